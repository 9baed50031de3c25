import re
from io import BytesIO
from unittest.mock import patch

from pypdf import PdfReader

from odoo.exceptions import AccessError, UserError
from odoo.tests import HttpCase, tagged

from .sale_common import SaleRunCommon
from .sending_common import SendingCommon

#: What an invoice leaves behind, by model.
TRACES = (
    "account.move",
    "account.move.line",
    "ir.attachment",
    "mail.mail",
    "mail.message",
    "mail.notification",
)


class PreviewCommon(SendingCommon):
    """Compares previews with the invoices that come of them."""

    def _render(self, document):
        with self._real_sending():
            return document.with_context(force_report_rendering=True)._render_preview()

    def _get_words(self, content):
        pages = PdfReader(BytesIO(content)).pages
        return " ".join(page.extract_text() for page in pages).split()

    def _count_traces(self):
        return {name: self.env[name].sudo().search_count([]) for name in TRACES}

    def _check_equal(self, document, preview):
        """The text of ``preview`` is that of the invoice, but for number and mark."""
        move = document.move_id
        with self._real_sending():
            reports = self.env["ir.actions.report"].with_context(force_report_rendering=True)
            content, _kind = reports._render_qweb_pdf("account.account_invoices", move.ids)
        words = " ".join(self._get_words(content)).replace(move.name, "PREVIEW").split()
        shown = self._get_words(preview)
        pages = len(PdfReader(BytesIO(preview)).pages)
        self.assertEqual(shown.count("PREVIEW"), words.count("PREVIEW") + pages)
        self.assertEqual(
            [word for word in shown if word != "PREVIEW"],
            [word for word in words if word != "PREVIEW"],
        )
        return words


@tagged("post_install", "-at_install")
class TestInvoicePreview(HttpCase, PreviewCommon):
    """Before the approval the reviewer sees the invoice as the customer will get it."""

    def setUp(self):
        super().setUp()
        self.contract = self._make_contract(date_start="2024-01-01", title="Hall 7")
        self.run = self._make_run("2024-01-15")
        self._make_amounts(self.run)
        self.document = self.run.document_ids

    def test_preview_is_the_invoice(self):
        preview = self._render(self.document.with_user(self.reviewer))
        self._make_invoices(self.run)
        words = self._check_equal(self.document, preview)
        self.assertIn("Debtor", words)
        self.assertTrue(any(re.search("100.00", word) for word in words))

    def test_preview_of_a_credit_is_the_credit_note(self):
        self._make_invoices(self.run)
        self.contract.date_end = "2024-01-15"
        run = self._make_run("2024-02-15")
        self._make_amounts(run)
        document = run.document_ids
        self.assertLess(document.amount_total, 0)
        preview = self._render(document)
        self._make_invoices(run)
        self.assertIn("Credit", self._check_equal(document, preview))

    def test_preview_leaves_nothing_behind(self):
        self.env.cr.flush()
        before = self._count_traces()
        for _time in range(2):
            self._render(self.document.with_user(self.reviewer))
        self.assertEqual(self._count_traces(), before)
        self.assertFalse(self.document.move_id)
        self.assertEqual(self.document.state, "to_do")
        self.assertTrue(self.run.line_ids.is_claimed)
        self.assertFalse(self.inbox.mails)
        twin = self._make_run_to_send(self._make_customer("Twin", "twin@example.com"))
        self.assertTrue(twin.invoice_ids.name.endswith("00001"), "a number was used up")

    def test_preview_is_refused_where_it_would_not_be_the_invoice(self):
        self.document.sudo().amount_total += 1
        with self.assertRaises(UserError) as error:
            self._render(self.document)
        self.assertIn("was approved", str(error.exception))
        self.assertFalse(self.env["account.move"].search([("invoice_run_id", "=", self.run.id)]))

    def test_preview_of_what_is_settled_is_refused(self):
        self._make_invoices(self.run)
        with self.assertRaises(UserError):
            self.document.action_preview()

    def test_preview_only_for_those_who_may_read_the_document(self):
        stranger = self._make_user("stranger", "base.group_user")
        with self.assertRaises(AccessError):
            self._render(self.document.with_user(stranger))
        url = self.document.with_user(self.user).action_preview()["url"]
        self.authenticate("stranger", "stranger")
        self.assertEqual(self.url_open(url).status_code, 403)

    def test_the_browser_gets_a_pdf(self):
        url = self.document.with_user(self.user).action_preview()["url"]
        self.authenticate("run_user", "run_user")
        # what is in it: see above
        model = self.env.registry["invoice.run.document"]
        with patch.object(model, "_render_preview", lambda document: b"%PDF-1.7"):
            answer = self.url_open(url)
        self.assertEqual(answer.headers["Content-Type"], "application/pdf")
        self._make_invoices(self.run)
        answer = self.url_open(url)
        self.assertEqual((answer.status_code, "settled" in answer.text), (409, True))


@tagged("post_install", "-at_install")
class TestSalePreview(PreviewCommon, SaleRunCommon):
    """What Sales invoices itself can be seen before, and Sales does not notice."""

    def test_preview_of_an_order_is_the_invoice(self):
        order = self._make_order()
        run = self._make_run("2024-01-15", self.sale_scenario)
        self._make_amounts(run)
        preview = self._render(run.document_ids.with_user(self.reviewer))
        self.assertEqual((order.invoice_count, order.invoice_status), (0, "to invoice"))
        self.assertFalse(order.order_line.qty_invoiced)
        self._make_invoices(run)
        self.assertIn("Goods", self._check_equal(run.document_ids, preview))
