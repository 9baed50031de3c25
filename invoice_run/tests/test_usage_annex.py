"""The usage items of an invoice, for its customer: as a file and on the PDF."""

import io
from datetime import date

import openpyxl

from odoo.addons.invoice_run.engine import usage_annex
from odoo.tests import BaseCase, tagged

from .test_metering import MeteringCommon

HEADER = ["Date", "Reference", "Quantity"]
ROWS = [[date(2024, 1, 5), "=1+1", 12.5], [date(2024, 1, 6), "Trip; “long”", -3.0]]


@tagged("post_install", "-at_install")
class TestUsageFiles(BaseCase):
    def test_csv(self):
        content = usage_annex.render("csv", HEADER, ROWS)
        self.assertEqual(
            content.decode("utf-8-sig").splitlines(),
            [
                "Date;Reference;Quantity",
                "2024-01-05;'=1+1;12.5",
                '2024-01-06;"Trip; “long”";-3.0',
            ],
        )

    def test_xlsx(self):
        content = usage_annex.render("xlsx", HEADER, ROWS)
        sheet = openpyxl.load_workbook(io.BytesIO(content)).active
        rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
        self.assertEqual(rows[0], HEADER)
        self.assertEqual((rows[1][0].date(), *rows[1][1:]), (date(2024, 1, 5), "=1+1", 12.5))
        self.assertEqual(sheet["B2"].data_type, "s")


@tagged("post_install", "-at_install")
class TestUsageAnnex(MeteringCommon):
    def _invoice(self, **scenario):
        """Invoice two customers by usage, and an item that has a price of its own."""
        self.scenario.write({"invoice_state": "posted", **scenario})
        contract = self._make_metered()
        other = self._make_metered(partner_id=self._make_partner("Other").id)
        for one, name in ((contract, "Mine"), (other, "Not mine")):
            self._drive(one, d0105=12, d0203=4).name = name
        self._make_usage(
            date="2024-01-07", contract_id=contract.id, name="Car wash", external_ref="W-1"
        )
        run = self._run_all("2024-01-31")
        [document] = run.document_ids.filtered(lambda one: one.partner_id == self.debtor)
        return document

    def _get_lines(self, document):
        return document.usage_annex_id.raw.decode("utf-8-sig").splitlines()

    def test_file_has_the_items_of_its_invoice(self):
        document = self._invoice(usage_annex="csv")
        self.assertEqual(
            self._get_lines(document),
            [
                "Date;Reference;Description;Key;Quantity;Unit",
                "2024-01-05;;Mine;;12.0;Units",
                "2024-01-07;W-1;Car wash;;1.0;Units",
            ],
        )
        attachment = document.usage_annex_id
        self.assertEqual(
            (attachment.res_model, attachment.res_id), ("account.move", document.move_id.id)
        )
        self.assertIn(document.move_id.name.replace("/", "-"), attachment.name)

    def test_file_goes_with_the_mail(self):
        document = self._invoice(usage_annex="xlsx")
        move = document.move_id
        send = self.env["account.move.send"].with_user(self.user)
        template = send._get_default_mail_template_id(move)
        widget = send._get_default_mail_attachments_widget(move, template)
        self.assertIn(document.usage_annex_id.id, [data["id"] for data in widget])

    def test_no_file_unless_wanted(self):
        document = self._invoice()
        self.assertFalse(document.usage_annex_id)
        self.assertIsNone(document.move_id._get_usage_page())

    def test_page_of_the_pdf(self):
        document = self._invoice(has_usage_page=True)
        report = self.env["ir.actions.report"].with_user(self.user)
        html, _kind = report._render_qweb_html("account.account_invoices", document.move_id.ids)
        text = html.decode() if isinstance(html, bytes) else str(html)
        self.assertIn("usage_page", text)
        self.assertIn("Car wash", text)
        self.assertNotIn("Not mine", text)

    def test_the_customer_decides_before_the_scenario(self):
        self.debtor.billing_usage_annex = "csv"
        document = self._invoice(usage_annex="none")
        [other] = document.run_id.document_ids - document
        self.assertIn("Mine", "".join(self._get_lines(document)))
        self.assertFalse(other.usage_annex_id)

    def test_the_customer_wants_none(self):
        self.debtor.write({"billing_usage_annex": "none", "billing_usage_page": "no"})
        document = self._invoice(usage_annex="csv", has_usage_page=True)
        [other] = document.run_id.document_ids - document
        self.assertFalse(document.usage_annex_id)
        self.assertIsNone(document._get_usage_page())
        self.assertTrue(other.usage_annex_id)
        self.assertTrue(other._get_usage_page())

    def test_the_customer_wants_a_page(self):
        self.debtor.billing_usage_page = "yes"
        self.assertTrue(self._invoice().move_id._get_usage_page())

    def test_another_company_asks_for_itself(self):
        other = self.setup_other_company()["company"]
        self.debtor.with_company(other).billing_usage_annex = "csv"
        self.assertFalse(self._invoice().usage_annex_id)

    def test_a_contact_of_a_company_gets_what_the_company_wants(self):
        self.debtor.write({"is_company": True, "billing_usage_annex": "csv"})
        office = self._make_partner("Office", parent_id=self.debtor.id, type="invoice")
        self.scenario.invoice_state = "posted"
        self._drive(self._make_metered(partner_id=office.id), d0105=12)
        self.assertTrue(self._run_all("2024-01-31").document_ids.usage_annex_id)
