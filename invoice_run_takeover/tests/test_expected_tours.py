from dateutil.relativedelta import relativedelta

from odoo import fields
from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.tests import HttpCase, tagged


@tagged("post_install", "-at_install")
class TestExpectedTours(HttpCase, InvoiceRunCommon):
    """What a manager clicks to compare contracts that come from a file."""

    def _make_moved(self, number, until, **vals):
        """A draft of 100 a month, invoiced elsewhere up to and including ``until``."""
        vals = {"name": number, "date_start": "2023-01-01", **vals}
        return self._make_contract([{"initial_invoiced_until": until}], activate=False, **vals)

    def test_expected_invoices(self):
        first = fields.Date.today().replace(day=1)
        day = relativedelta(days=1)
        next_month = first + relativedelta(months=1)
        self._make_moved("OLD-1", next_month - day)
        self._make_moved("OLD-2", first - day)
        ended = self._make_moved("OLD-3", next_month - day, date_end=next_month - day)
        vals = {"contract_id": ended.id, "date": next_month, "amount_untaxed": 100.0}
        rows = self.env["billing.expected.invoice"]
        rows.create(vals)
        action = "/odoo/action-invoice_run_takeover.billing_expected_invoice_action"
        self.start_tour(action, "invoice_run_takeover_expected", login="run_manager")
        found = {row.contract_id.name: row for row in rows.search([])}
        verdicts = {name: row.verdict for name, row in found.items()}
        expected = {"OLD-1": "equal", "OLD-2": "day", "OLD-3": "none"}
        self.assertEqual(verdicts, expected)
        self.assertEqual(found["OLD-2"].our_date, first)
        self.assertFalse(self.env["invoice.run"].search([]))
