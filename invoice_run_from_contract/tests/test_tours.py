from odoo.addons.invoice_run_takeover.tests.tours_common import TakeoverTours
from odoo.tests import HttpCase, tagged

from .common import FromContractCommon


@tagged("post_install", "-at_install")
class TestTours(TakeoverTours, FromContractCommon, HttpCase):
    _report_tour = "invoice_run_takeover_report_contract"

    def test_report_take_over_and_undo(self):
        moved = self._make_oca(name="Office")
        other = self._make_oca(name="Store", partner_id=self._make_partner("Stays There").id)
        contracts = moved | other
        lines = ["recurring_next_date", "last_date_invoiced", "date_end"]
        self._take_over_by_clicks(
            moved,
            other,
            lambda: (
                contracts.read(["active", "recurring_next_date"]),
                contracts.contract_line_ids.read(lines),
                self.env["account.move"].search_count([]),
            ),
        )
        self.assertTrue(moved._recurring_create_invoice(), "it invoices as before")
