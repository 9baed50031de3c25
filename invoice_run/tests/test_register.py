import base64
import io

from openpyxl import load_workbook
from pypdf import PdfReader

from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import HttpCase, freeze_time, tagged

from .common import InvoiceRunCommon


@freeze_time("2024-03-15 09:00:00")
@tagged("post_install", "-at_install")
class TestRegister(InvoiceRunCommon):
    """Everything in a run on paper and in a spreadsheet, with totals that agree."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = cls.env["billing.cluster"].create({"name": "North"})
        cls.low = cls.env["account.tax"].create({"name": "Low 6 %", "amount": 6.0})
        cls.high = cls.env["account.tax"].create({"name": "High 21 %", "amount": 21.0})
        cls.other = cls._make_partner("Żółć & Söhne", "zolc@example.com")
        cls.nameless = cls._make_partner("株式会社", allow_invoice_grouping=True)

    @classmethod
    def _tax(cls, *taxes):
        return {"tax_ids": [Command.set([tax.id for tax in taxes])]}

    def _make_three(self):
        """Return a run with amounts of three customers, two taxes, and one exception."""
        start = {"date_start": "2024-03-01"}
        self._make_contract([self._tax(self.low)], cluster_id=self.cluster.id, **start)
        self._make_contract([self._tax(self.high)], partner_id=self.other.id, **start)
        self._make_contract([self._tax()], partner_id=self.nameless.id, **start)
        held = self._make_contract(partner_id=self.other.id, **start)
        held.write({"billing_hold": True, "billing_hold_reason": "asked to wait"})
        return self._make_amounts(self._make_run("2024-03-15"))

    def _get_text(self, run):
        """Return the text of the PDF, page by page."""
        reader = PdfReader(io.BytesIO(run._render_register("pdf")))
        return [page.extract_text() for page in reader.pages]

    def _get_sheets(self, run):
        """Return {sheet: rows}, without empty cells at the end of a row."""
        book = load_workbook(io.BytesIO(run._render_register("xlsx")), read_only=False)
        return {
            sheet.title: [
                [value for value in row if value is not None]
                for row in sheet.iter_rows(values_only=True)
            ]
            for sheet in book
        }

    def _get_section(self, rows, title):
        """Return the rows under a heading of the sheet with the totals."""
        start = [row[:1] for row in rows].index([title]) + 2
        length = [*rows[start:], []].index([])
        return rows[start : start + length]

    def test_before_and_after_the_invoices(self):
        run = self._make_three()
        sheets = self._get_sheets(run)
        self.assertEqual(
            self._get_section(sheets["Totals"], "Per tax (USD)"),
            [
                ["High 21 %, to be invoiced", 100, 21],
                ["Low 6 %, to be invoiced", 100, 6],
                ["No tax, to be invoiced", 100, 0],
                ["Total", 300, 27],
            ],
        )
        self._make_invoices(run)
        sheets = self._get_sheets(run.with_user(self.user))
        totals = sheets["Totals"]
        self.assertEqual(
            self._get_section(totals, "Per tax (USD)"),
            [["High 21 %", 100, 21], ["Low 6 %", 100, 6], ["No tax", 100, 0], ["Total", 300, 27]],
        )
        self.assertEqual(self._get_section(totals, "Per currency"), [["USD", 3, 300, 27, 327]])
        self.assertEqual(
            self._get_section(totals, "Per billing cluster"),
            [["North", "USD", 1, 100], ["Without cluster", "USD", 2, 200]],
        )
        due = self._get_section(totals, "What is due (untaxed, USD)")
        self.assertEqual(due[0], ["Invoiced", 3, 300])
        self.assertEqual(due[-1], ["Due", 4, 400])
        *_accounts, total = self._get_section(totals, "Per account, created invoices (USD)")
        self.assertEqual(total, ["Total", 327, 327])
        documents = sheets["Documents"][1:]
        self.assertEqual(
            sorted(row[0] for row in documents), sorted(run.invoice_ids.mapped("name"))
        )
        self.assertEqual({row[1] for row in documents}, {"Debtor", "Żółć & Söhne", "株式会社"})
        [exception] = sheets["Exceptions"][1:]
        self.assertIn("asked to wait", exception[2])

    def test_pdf_names_everything(self):
        run = self._make_three()
        self._make_invoices(run)
        [*pages] = self._get_text(run)
        text = "\n".join(pages)
        wanted = (
            "Page 1 of",
            self.company.name,
            run.reference,
            "run_reviewer",
            "Żółć & Söhne",
            "asked to wait",
            "High 21 %",
            "327.00",
            *run.invoice_ids.mapped("name"),
        )
        for part in wanted:
            self.assertIn(part, text)

    def test_groups_several_taxes_and_currencies(self):
        foreign = self.setup_other_currency("EUR", rates=[("2024-01-01", 2.0)])
        start = {"date_start": "2024-03-01"}
        self._make_contract([self._tax(self.low, self.high)], **start)
        self._make_contract(currency_id=foreign.id, partner_id=self.other.id, **start)
        run = self._make_amounts(self._make_run("2024-03-15"))
        totals = self._get_sheets(run)["Totals"]
        self.assertEqual(
            self._get_section(totals, "Per tax (USD)")[0],
            ["High 21 % + Low 6 %, to be invoiced", 100, 27],
        )
        self.assertCountEqual(
            self._get_section(totals, "Per currency"),
            [["USD", 1, 100, 27, 127], ["EUR", 1, 100, 0, 100]],
        )

    def test_language_of_the_user(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.user.lang = "fr_FR"
        self._make_contract([{"price_unit": 1234.5}], date_start="2024-03-01")
        run = self._make_amounts(self._make_run("2024-03-15")).with_user(self.user)
        text = "\n".join(self._get_text(run)).replace("\xa0", " ")
        self.assertIn("1 234,50", text)
        self.assertIn("15/03/2024", text)

    def test_what_looks_like_a_formula_is_text(self):
        self.other.name = "=HYPERLINK(1)"
        self._make_contract(partner_id=self.other.id, date_start="2024-03-01")
        run = self._make_amounts(self._make_run("2024-03-15"))
        book = load_workbook(io.BytesIO(run._render_register("xlsx")))
        cell = book["Documents"]["B2"]
        self.assertEqual((cell.value, cell.data_type), ("=HYPERLINK(1)", "s"))

    def test_a_logo_that_cannot_be_drawn_is_left_out(self):
        run = self._make_amounts(self._make_run("2024-03-15"))
        drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"></svg>'
        webp = b"RIFF\x1a\x00\x00\x00WEBPVP8L\r\x00\x00\x00/\x00\x00\x00" + bytes(10)
        for logo in (drawing, webp):
            self.company.logo = base64.b64encode(logo)
            self.assertTrue(self.company.logo_web)
            self.assertIn(run.reference, self._get_text(run)[0])

    def test_an_empty_run(self):
        run = self._make_amounts(self._make_run("2024-03-15"))
        self.assertEqual(self._get_sheets(run)["Documents"][1:], [])
        self.assertIn(run.reference, self._get_text(run)[0])

    def test_many_documents_in_pieces(self):
        for _number in range(3):
            self._make_contract(date_start="2024-03-01")
        run = self._make_amounts(self._make_run("2024-03-15"))
        self.patch(type(run), "_get_document_query", self._limit(run, 2))
        self.assertEqual(len(self._get_sheets(run)["Documents"]), 4)

    def _limit(self, run, limit):
        original = type(run)._get_document_query

        def get_query(run, *key):
            query = original(run, *key)
            return type(query)("SELECT * FROM (%s) pieces LIMIT %s", query, limit)

        return get_query

    def test_only_for_who_may_read_the_run(self):
        run = self._make_three()
        company = self.env["res.company"].create({"name": "Elsewhere"})
        stranger = self._make_user(
            "stranger", "invoice_run.invoice_run_group_manager", company=company
        )
        employee = self._make_user("employee", "base.group_user")
        for user in (stranger, employee):
            for method in ("action_register_pdf", "action_register_xlsx"):
                with self.assertRaises(AccessError):
                    getattr(run.with_user(user), method)()
            with self.assertRaises(AccessError):
                run.with_user(user)._render_register("xlsx")


@tagged("post_install", "-at_install")
class TestRegisterDownload(HttpCase, InvoiceRunCommon):
    def test_download(self):
        self._make_contract(date_start="2024-03-01")
        run = self._make_amounts(self._make_run("2024-03-15"))
        url = run.with_user(self.user).action_register_xlsx()["url"]
        self.authenticate("run_user", "run_user")
        answer = self.url_open(url)
        self.assertEqual(answer.status_code, 200)
        self.assertIn(f"{run.reference}.xlsx", answer.headers["Content-Disposition"])
        self.assertTrue(answer.content.startswith(b"PK"))
        self._make_user("nobody", "base.group_user")
        self.authenticate("nobody", "nobody")
        self.assertEqual(self.url_open(url).status_code, 403)
