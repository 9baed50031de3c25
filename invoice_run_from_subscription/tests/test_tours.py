from odoo import fields
from odoo.addons.invoice_run_takeover.tests.tours_common import TakeoverTours
from odoo.tests import HttpCase, tagged

from .common import FromSubscriptionCommon


@tagged("post_install", "-at_install")
class TestTours(TakeoverTours, FromSubscriptionCommon, HttpCase):
    _report_tour = "invoice_run_takeover_report_subscription"

    def test_report_take_over_and_undo(self):
        start = str(fields.Date.today().replace(day=1))
        moved = self._make_subscription(start=start)
        other = self._make_subscription(
            start=start, partner_id=self._make_partner("Stays There").id
        )
        subscriptions = moved | other
        self._take_over_by_clicks(
            moved,
            other,
            lambda: (
                subscriptions.read(["active", "recurring_next_date", "in_progress"]),
                self.env["account.move"].search_count([]),
            ),
        )
        moved.manual_invoice()
        self.assertEqual(len(moved.invoice_ids), 1, "it invoices as before")
