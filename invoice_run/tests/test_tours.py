from odoo.tests import HttpCase, tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestTours(HttpCase, InvoiceRunCommon):
    """What people click; the scheduled action works between the tours."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.invoice_run_auto_amounts = False
        cls._make_contract(date_start="2024-01-01")

    def _work(self):
        self.env.ref("invoice_run.invoice_run_cron").method_direct_trigger()
        self.env.invalidate_all()

    def test_schedule_to_posted_invoice(self):
        self.start_tour(
            "/odoo/action-invoice_run.invoice_run_schedule_action/new",
            "invoice_run_schedule_to_amounts",
            login="run_user",
        )
        schedule = self.env["invoice.run.schedule"].search([("name", "=", "Monthly rent")])
        self.assertEqual(len(schedule.run_ids), 2)
        self.start_tour(
            f"/odoo/action-invoice_run.invoice_run_schedule_action/{schedule.id}",
            "invoice_run_save_and_return",
            login="run_user",
        )
        self.assertEqual(schedule.name, "Rent of halls")
        run = schedule.run_ids.sorted("number")[0]
        self.assertEqual(run.job, "amounts")
        self._work()
        self.assertEqual(run.state, "amounts")
        url = f"/odoo/action-invoice_run.invoice_run_action/{run.id}"
        self.start_tour(url, "invoice_run_approve_to_invoices", login="run_reviewer")
        self.assertEqual(run.approved_by_id, self.reviewer)
        self._work()
        self.assertEqual(run.state, "invoiced")
        self.start_tour(url, "invoice_run_open_invoice", login="run_user")
