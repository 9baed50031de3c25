from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestLedger(InvoiceRunCommon):
    """What the invoices in force say was billed."""

    def setUp(self):
        super().setUp()
        self.contract = self._make_contract(date_start="2024-01-01")
        self.line = self.contract.line_ids
        self.run = self._run_all("2024-01-15")
        self.move = self.run.document_ids.move_id
        self.ledger = self.env["billing.ledger"]

    def _get_billed(self, **kwargs):
        return self.ledger._get_billed_lines(self.line, **kwargs)[self.line.id]

    def test_entry_says_what_the_invoice_says(self):
        [billed] = self._get_billed()
        entry = billed.entry
        self.assertEqual(entry.kind, "billed")
        self.assertEqual(entry.line_id, self.move.invoice_line_ids.id)
        self.assertEqual(entry.amount_id, self.run.line_ids.id)
        self.assertEqual((entry.amount, entry.company_amount, entry.price_amount), (100,) * 3)
        self.assertEqual([str(day) for day in entry.span], ["2024-01-01", "2024-01-31"])
        self.assertEqual(entry.account_id, self.move.invoice_line_ids.account_id.id)
        self.assertFalse(billed.credits)
        self.assertFalse(self._get_billed(as_of=self._date("2024-01-14")))
        self.assertTrue(self._get_billed(as_of=self._date("2024-01-15")))
        totals = self.ledger._get_totals(self.line)[self.line.id]
        self.assertEqual(totals, {self.company.currency_id.id: (100.0, 0.0, 100.0, 0.0)})

    def test_amount_is_spread_as_the_contract_bills_it(self):
        [billed] = self._get_billed()
        share = self.ledger._get_share(billed.entry)
        self.assertEqual(float(billed.left_after(self._date("2024-01-15"), share)), 51.61)
