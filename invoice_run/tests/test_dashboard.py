from datetime import date

from freezegun import freeze_time

from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
@freeze_time("2024-03-15 12:00:00")
class TestDashboard(InvoiceRunCommon):
    def _get_figures(self, user=None):
        return self.env["invoice.run"].with_user(user or self.user).get_dashboard()

    def test_months(self):
        self._make_contract(date_start="2024-02-10")
        self._run_all("2024-02-15")
        figures = self._get_figures()
        self.assertEqual(len(figures["months"]), 12)
        self.assertEqual(figures["days"][figures["present"]], "2024-03-01")
        self.assertEqual(figures["invoiced"][figures["present"] - 1], 100.0)
        self.assertEqual(sum(figures["planned"]), 0.0)
        self._make_amounts(self._make_run("2024-03-15"))
        figures = self._get_figures()
        self.assertEqual(figures["planned"][figures["present"]], 100.0)
        forecast = self.env["invoice.run"].with_user(self.user).get_dashboard_forecast()
        # March is held by a run already; from April on, one month each
        self.assertEqual(forecast, [0.0, *[100.0] * 5])

    def test_next_runs(self):
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "Monthly",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": date(2024, 4, 1),
                "run_count": 2,
            }
        )
        schedule.action_generate_runs()
        figures = self._get_figures()
        runs = schedule.run_ids.sorted("number")
        self.assertEqual([row["id"] for row in figures["runs"]], runs.ids)
        schedule.action_pause()
        figures = self._get_figures()
        self.assertFalse(figures["runs"])

    def test_other_company_has_nothing_here(self):
        other = self.setup_other_company()["company"]
        stranger = self._make_user("run_other", "invoice_run.invoice_run_group_user", company=other)
        self._make_contract(date_start="2024-01-01")
        self._make_amounts(self._make_run("2024-02-15"))
        figures = self._get_figures(stranger)
        self.assertFalse(figures["today"])
        self.assertFalse(figures["runs"])
        self.assertFalse(any(figures["invoiced"]))

    def test_only_for_people_of_invoice_runs(self):
        outsider = new_test_user(self.env, "employee", groups="base.group_user")
        for method in ("get_dashboard", "get_dashboard_forecast"):
            with self.assertRaises(AccessError):
                getattr(self.env["invoice.run"].with_user(outsider), method)()
