from freezegun import freeze_time

from odoo.fields import Command
from odoo.tests import tagged

from .ledger_common import LedgerCommon


@tagged("post_install", "-at_install")
@freeze_time("2024-01-15")
class TestForecast(LedgerCommon):
    """What runs will invoice, by month: open runs, credits, blocked customers, included taxes."""

    def _get_forecast(self, date_to="2024-04-30", user=None, **vals):
        wizard = self.env["billing.forecast"].with_user(user or self.user)
        wizard = wizard.create({"date_to": date_to, "company_id": self.company.id, **vals})
        self.action = wizard.action_compute()
        self.wizard = wizard
        months = {}
        for line in wizard.line_ids:
            month = str(line.month)[:7]
            months[month] = round(months.get(month, 0) + line.amount, 2)
        return months

    def test_what_open_runs_hold_counts(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-02-15"))
        months = {"2024-01": 0.0, "2024-02": 200.0, "2024-03": 100.0, "2024-04": 100.0}
        del months["2024-01"]
        self.assertEqual(self._get_forecast(), months)
        self._make_invoices(run)
        del months["2024-02"]
        self.assertEqual(self._get_forecast(), months)

    def test_run_of_a_later_month_than_asked_for(self):
        self._make_contract(date_start="2024-01-01", date_end="2024-01-31")
        self._make_amounts(self._make_run("2024-06-15"))
        self.assertEqual(self._get_forecast(), {})
        self.assertEqual(self._get_forecast("2024-06-30"), {"2024-06": 100.0})

    def test_due_credits_count_in_the_present_month(self):
        self._bill([{}], date_start="2024-01-01")
        self.contract.date_end = "2024-01-10"
        self.assertEqual(self._get_forecast(), {"2024-01": -67.74})
        self._make_amounts(self._make_run("2024-01-20"))
        self.assertEqual(self._get_forecast(), {"2024-01": -67.74})

    def test_the_credit_is_what_is_left_of_the_invoice(self):
        self._credit(self._bill([{}], date_start="2024-01-01"), 51.61, date="2024-01-15")
        self.contract.date_end = "2024-01-10"
        self.assertEqual(self._get_forecast(), {"2024-01": -16.13})

    def test_lines_that_start_later_count_in_their_month(self):
        self._make_contract(
            [{}, {"price_unit": 10.0, "date_start": "2024-03-01"}], date_start="2024-02-01"
        )
        months = {"2024-02": 100.0, "2024-03": 110.0, "2024-04": 110.0}
        self.assertEqual(self._get_forecast(), months)

    def test_until_the_end_all_lines_come_with_the_first(self):
        """As a run invoices it: nothing is in a month after the last one of the forecast."""
        contract = self._make_contract(
            [{}, {"price_unit": 10.0, "date_start": "2024-06-01"}],
            date_start="2024-02-01",
            date_end="2024-07-31",
            billing_mode="end",
        )
        self.assertEqual(self._get_forecast(), {"2024-02": 620.0})
        run = self._make_amounts(self._make_run("2024-02-01"))
        self.assertEqual(run.line_ids.contract_id, contract)
        self.assertEqual(run.amount_untaxed, 620.0)

    def test_blocked_customers_are_left_out_with_a_word(self):
        blocked = self._make_partner("Blocked")
        blocked.with_company(self.company).billing_hold = True
        self._make_contract(date_start="2024-01-01")
        self._make_contract(date_start="2024-01-01", partner_id=blocked.id)
        child = self._make_partner("Accounts", parent_id=blocked.id, type="invoice")
        self._make_contract(date_start="2024-01-01", partner_invoice_id=child.id)
        self._make_contract(date_start="2024-01-01").billing_hold = True
        self.assertEqual(set(self._get_forecast().values()), {100.0})
        self.assertEqual(len(self.wizard.line_ids.contract_id), 1)
        note = "Not in the forecast: contracts on hold (1), contracts of blocked customers (2)."
        self.assertEqual(self.wizard.note, note)
        params = self.action["params"]
        self.assertEqual(params["message"], self.wizard.note)
        self.assertEqual(params["next"]["res_model"], "billing.forecast.line")
        blocked.with_company(self.company).billing_hold = False
        self._get_forecast()
        self.assertEqual(self.wizard.note, "Not in the forecast: contracts on hold (1).")

    def test_draft_and_cancelled_contracts_are_none(self):
        for state in ("draft", "cancelled"):
            self._make_contract(activate=False, date_start="2024-01-01").state = state
        self.assertEqual(self._get_forecast(), {})
        self.assertFalse(self.wizard.note)
        self.assertEqual(self.action["res_model"], "billing.forecast.line")

    def test_untaxed_and_in_company_currency(self):
        tax = self._make_tax(21, price_include_override="tax_included")
        euro = self.env.ref("base.EUR")
        euro.active = True
        euro.rate_ids.unlink()
        self.env["res.currency.rate"].create(
            {
                "currency_id": euro.id,
                "name": "2024-01-01",
                "company_id": self.company.id,
                "rate": 0.5,
            }
        )
        line = self._with_tax(tax, price_unit=121.0)
        self._make_contract([line], date_start="2024-04-01", currency_id=euro.id)
        self.assertEqual(self._get_forecast(), {"2024-04": 200.0})
        product = self._make_product("Bin", 0, taxes_id=[Command.set(tax.ids)])
        line = {"product_id": product.id, "price_unit": 60.5, "date_end": "2024-04-15"}
        self._make_contract([line], date_start="2024-04-01")
        self.assertEqual(self._get_forecast(), {"2024-04": 225.0})

    def test_the_same_as_the_runs_of_the_months(self):
        tax = self._make_tax(21, price_include_override="tax_included")
        self._make_contract(
            [
                {"price_unit": 33.33, "price_interval": "quarter"},
                self._with_tax(tax, price_unit=99.99, date_start="2024-02-10"),
                {"price_unit": 5.0, "price_interval": "once", "date_start": "2024-03-05"},
            ],
            date_start="2024-01-10",
            prebilling_periods=1,
        )
        self._make_contract([{"price_interval": "day"}], date_start="2024-01-31")
        arrears = {"billing_timing": "arrears", "period_anchor": "calendar"}
        self._make_contract(date_start="2024-01-20", date_end="2024-04-10", **arrears)
        forecast = self._get_forecast()
        billed = {}
        for month, last in (("01", 31), ("02", 29), ("03", 31), ("04", 30)):
            run = self._run_all(f"2024-{month}-{last}")
            if run.document_ids:
                billed[f"2024-{month}"] = run.amount_untaxed
        self.assertEqual(forecast, billed)

    def test_clusters(self):
        cluster = self.env["billing.cluster"].create(
            {"name": "North", "company_id": self.company.id}
        )
        self._make_contract(date_start="2024-04-01", cluster_id=cluster.id)
        self._make_contract(date_start="2024-04-01")
        self.assertEqual(self._get_forecast(), {"2024-04": 200.0})
        months = self._get_forecast(cluster_ids=[Command.set(cluster.ids)])
        self.assertEqual(months, {"2024-04": 100.0})
        self.assertEqual(self.wizard.line_ids.cluster_id, cluster)

    def test_each_company_its_own(self):
        other = self.setup_other_company()["company"]
        self._make_contract(date_start="2024-04-01")
        self.user.company_ids += other
        self.assertEqual(self._get_forecast(company_id=other.id), {})

    def test_set_based(self):
        """Ten times as many contracts take about as many queries."""
        self._make_contract(date_start="2024-01-01")
        self._get_forecast()
        counts = []
        for _number in range(2):
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            self._get_forecast()
            counts.append(self.env.cr.sql_log_count - before)
            for number in range(9):
                partner = self._make_partner(f"Customer {number}")
                self._make_contract(date_start="2024-01-01", partner_id=partner.id)
        self.assertLess(counts[1], counts[0] + 10)
