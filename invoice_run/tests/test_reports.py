import io
import json

import openpyxl
from freezegun import freeze_time

from odoo import http
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import HttpCase, tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestReports(InvoiceRunCommon):
    """What-if, forecast and cut-off: the figures of the run's own code."""

    def test_due_equals_the_amounts_of_a_run(self):
        contract = self._make_contract(
            [{}, {"price_interval": "once", "price_unit": 30.0}], date_start="2024-01-10"
        )
        self._make_usage(date="2024-02-01", contract_id=contract.id, price_unit=7.0)
        wizard = (
            self.env["billing.due"]
            .with_user(self.user)
            .create({"contract_ids": contract.ids, "date": "2024-02-15"})
        )
        wizard.action_refresh()
        run = self._make_amounts(self._make_run("2024-02-15"))
        self.assertEqual(
            sorted(wizard.line_ids.mapped("amount")), sorted(run.line_ids.mapped("amount"))
        )
        self.assertEqual(wizard.amount_due, 237.0)
        wizard.action_refresh()
        self.assertFalse(wizard.line_ids)

    def test_due_says_what_cannot_be_billed(self):
        contract = self._make_contract(date_start="2024-01-10", billing_mode="end")
        wizard = (
            self.env["billing.due"]
            .with_user(self.user)
            .create({"contract_ids": contract.ids, "date": "2024-02-15"})
        )
        wizard.action_refresh()
        self.assertIn("no end date", wizard.note)
        self.assertIn(contract.name, wizard.note)

    @freeze_time("2024-01-15")
    def test_forecast_per_month(self):
        self._make_contract(date_start="2023-12-01")
        quarterly = self._make_contract(
            [{"price_interval": "period", "price_unit": 50.0}],
            date_start="2024-02-01",
            period_count=3,
            billing_timing="arrears",
        )
        wizard = (
            self.env["billing.forecast"]
            .with_user(self.user)
            .create({"date_to": "2024-04-30", "company_id": self.company.id})
        )
        wizard.action_compute()
        months = {}
        for line in wizard.line_ids:
            months[str(line.month)] = months.get(str(line.month), 0) + line.amount
        # December is overdue: it counts in January
        self.assertEqual(
            months,
            {"2024-01-01": 200.0, "2024-02-01": 100.0, "2024-03-01": 100.0, "2024-04-01": 150.0},
        )
        self.assertIn(quarterly, wizard.line_ids.contract_id)

    def test_no_report_reckons_for_centuries(self):
        contract = self._make_contract([{"price_interval": "day"}], date_start="2024-01-01")
        due = {"contract_ids": [Command.set(contract.ids)]}
        with freeze_time("2024-01-15"):
            for model, name, vals, last, press in (
                ("billing.forecast", "date_to", {}, "2027-01-15", "action_compute"),
                ("billing.cutoff", "date", {}, "2034-01-15", "action_compute"),
                ("billing.due", "date", due, "2034-01-15", "action_refresh"),
            ):
                Wizard = self.env[model].with_user(self.user)
                for date in ("9999-12-31", "2200-01-01", "2034-01-16", "1800-01-01"):
                    wizard = Wizard.create({name: date, **vals})
                    with self.subTest(model=model, date=date):
                        with self.assertRaises(UserError):
                            getattr(wizard, press)()
                getattr(Wizard.create({name: last, **vals}), press)()

    def _get_cutoff(self, date):
        wizard = (
            self.env["billing.cutoff"]
            .with_user(self.user)
            .create({"date": date, "company_id": self.company.id})
        )
        wizard.action_compute()
        lines = self.env["billing.cutoff.line"].with_user(self.user)
        return lines.search([("cutoff_id", "=", wizard.id)])

    def test_cutoff_in_advance_and_in_arrears(self):
        advance = self._make_contract(date_start="2024-01-16")
        arrears = self._make_contract(date_start="2024-01-16", billing_timing="arrears")
        self._run_all("2024-01-20")
        lines = self._get_cutoff("2024-01-31").grouped("contract_id")
        # 16 January – 15 February: 15 of 31 days are February's
        self.assertEqual(lines[advance].billed_in_advance, 48.39)
        self.assertEqual(lines[advance].not_yet_billed, 0.0)
        self.assertEqual(lines[arrears].billed_in_advance, 0.0)
        self.assertEqual(lines[arrears].not_yet_billed, 51.61)
        self.assertEqual(lines[advance].account_id, self.company_data["default_account_revenue"])

    def test_cutoff_counts_credits(self):
        contract = self._make_contract(date_start="2024-01-01", period_count=3)
        self._run_all("2024-01-15")
        self.assertEqual(self._get_cutoff("2024-01-31").billed_in_advance, 200.0)
        contract.date_end = "2024-02-29"
        self._run_all("2024-01-20")
        self.assertEqual(self._get_cutoff("2024-01-31").billed_in_advance, 100.0)

    def test_cutoff_of_usage_and_one_off_charges(self):
        self._make_usage(date="2024-01-05", price_unit=7.0)
        self._make_usage(date="2024-02-05", price_unit=9.0)
        self._make_contract(
            [{"price_interval": "once", "price_unit": 30.0}], date_start="2024-01-10"
        )
        lines = self._get_cutoff("2024-01-31")
        self.assertEqual(sorted(lines.mapped("not_yet_billed")), [7.0, 30.0])

    def test_cutoff_ignores_later_invoices(self):
        self._make_contract(date_start="2024-01-01")
        self._run_all("2024-02-03", target_date="2024-01-31")
        self.assertEqual(self._get_cutoff("2024-01-31").not_yet_billed, 100.0)
        self.assertFalse(self._get_cutoff("2024-02-03").filtered("billed_in_advance"))


@tagged("post_install", "-at_install")
class TestReportsExport(HttpCase, InvoiceRunCommon):
    def test_cutoff_as_xlsx(self):
        # Odoo gives the export to whom it is allowed alone
        exporter = self._make_user(
            "run_exporter", "invoice_run.invoice_run_group_user,base.group_allow_export"
        )
        self._make_contract(date_start="2024-01-16")
        self._run_all("2024-01-20")
        wizard = (
            self.env["billing.cutoff"]
            .with_user(exporter)
            .create({"date": "2024-01-31", "company_id": self.company.id})
        )
        action = wizard.action_compute()
        self.authenticate("run_exporter", "run_exporter")
        names = ("contract_id", "account_id", "billed_in_advance", "not_yet_billed")
        request = {
            "model": "billing.cutoff.line",
            "fields": [{"name": name, "label": name, "type": "char"} for name in names],
            "ids": False,
            "domain": action["domain"],
            "groupby": [],
            "context": {},
            "import_compat": False,
        }
        response = self.url_open(
            "/web/export/xlsx",
            data={"data": json.dumps(request), "csrf_token": http.Request.csrf_token(self)},
        )
        response.raise_for_status()
        rows = list(openpyxl.load_workbook(io.BytesIO(response.content)).active.values)
        self.assertEqual(rows[0], names)
        self.assertEqual(rows[1][2:], (48.39, 0))
