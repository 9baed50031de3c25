from dateutil.relativedelta import relativedelta

from odoo import api, models
from odoo.exceptions import UserError
from odoo.tools import format_date

from ...engine import cycles
from ..base.states import DOCUMENT_OPEN

#: Months shown before and after the present one.
MONTHS_BACK = 6
MONTHS_AHEAD = 5
#: Above this the forecast is left to its report: it reads every contract.
MAX_FORECAST_CONTRACTS = 500
NEXT_RUNS = 6


class InvoiceRun(models.Model):
    """The dashboard: what waits today, the next runs, and what is invoiced per month."""

    _inherit = "invoice.run"

    @api.model
    def get_dashboard(self):
        """Return what the dashboard of the company in use shows; amounts are in its currency.

        :raises AccessError: the user may not see invoice runs
        """
        self.check_access("read")
        company = self.env.company
        today = company._get_invoice_run_today()
        return {
            "today": self.get_today(),
            "runs": self._get_next_runs(company),
            **self._get_chart(today),
        }

    @api.model
    def get_dashboard_forecast(self):
        """Return what contracts will invoice per month of the chart, untaxed; see MAX_….

        :return: amounts from the present month on, or None where there are too many contracts
        """
        self.check_access("read")
        company = self.env.company
        today = company._get_invoice_run_today()
        until = cycles.last_of_month(today + relativedelta(months=MONTHS_AHEAD))
        forecast = self.env["billing.forecast"].new({"date_to": until, "company_id": company.id})
        if len(forecast._get_contracts()) > MAX_FORECAST_CONTRACTS:
            return None
        amounts = dict.fromkeys(self._get_months(today)[MONTHS_BACK:], 0.0)
        # what runs claim is part of the runs' bars already
        for (_line, month), amount in forecast._get_amounts(held=False).items():
            amounts[month] += amount
        return [company.currency_id.round(amount) for amount in amounts.values()]

    @api.model
    def action_view_month(self, kind, number):
        """Open the records behind a bar of the chart.

        :param kind: ``invoiced`` by runs, or ``planned``: in runs and not invoiced yet
        :param number: of the month, from 1 to 12: each is once in the chart
        :raises UserError: there is no such bar
        """
        self.check_access("read")
        company, today = self.env.company, self.env.company._get_invoice_run_today()
        get_domain = {
            "invoiced": self._get_invoiced_domain,
            "planned": self._get_planned_domain,
        }.get(str(kind))
        month = next((month for month in self._get_months(today) if month.month == number), None)
        if get_domain is None or month is None:
            raise UserError(self.env._("The chart has no such month. Reload the page."))
        name = format_date(self.env, month, date_format="MMM yyyy")
        action = {
            "type": "ir.actions.act_window",
            "name": name,
            "display_name": name,
            "res_model": "account.move" if kind == "invoiced" else "invoice.run.document",
            "views": [(False, "list"), (False, "form")],
            "domain": get_domain(company, month, month + relativedelta(months=1)),
            "context": {"create": False},
        }
        return self._with_path(f"billing-chart-{kind}-{number}", action)

    def _get_months(self, today):
        first = today.replace(day=1)
        return [first + relativedelta(months=n) for n in range(-MONTHS_BACK, MONTHS_AHEAD + 1)]

    def _get_next_runs(self, company):
        domain = [("company_id", "=", company.id), ("state", "=", "on_hold")]
        domain += [("activation_date", "!=", False), ("schedule_id.state", "=", "active")]
        runs = self.search(domain, order="activation_date, id", limit=NEXT_RUNS)
        return [
            {
                "id": run.id,
                "name": run.display_name,
                "date": format_date(self.env, run.activation_date),
                "period": self.env._(
                    "%(date_from)s – %(date_to)s",
                    date_from=format_date(self.env, run.date_from),
                    date_to=format_date(self.env, run.date_to),
                ),
            }
            for run in runs
        ]

    def _get_chart(self, today):
        """Return months, their names and what runs invoiced or claim in each, untaxed."""
        company = self.env.company
        months = self._get_months(today)
        domain = self._get_invoiced_domain(company, months[0], months[-1] + relativedelta(months=1))
        rows = self.env["account.move"]._read_group(
            domain, ["invoice_date:month"], ["amount_untaxed_signed:sum"]
        )
        amounts, planned = dict(rows), self._get_planned(company, months)
        return {
            "currency": company.currency_id.name,
            "months": [format_date(self.env, day, date_format="MMM yyyy") for day in months],
            "days": [str(day) for day in months],
            "present": MONTHS_BACK,
            "invoiced": [amounts.get(day, 0.0) for day in months],
            "planned": [planned.get(day, 0.0) for day in months],
        }

    def _get_invoiced_domain(self, company, begin, end):
        """Return the invoices of runs from ``begin`` until the day before ``end``."""
        return [
            ("company_id", "=", company.id),
            ("state", "=", "posted"),
            ("invoice_run_id", "!=", False),
            ("invoice_date", ">=", begin),
            ("invoice_date", "<", end),
        ]

    def _get_planned_domain(self, company, begin, end):
        """Return the documents without an invoice from ``begin`` until the day before ``end``."""
        return [
            ("company_id", "=", company.id),
            ("state", "in", DOCUMENT_OPEN),
            ("invoice_date", ">=", begin),
            ("invoice_date", "<", end),
        ]

    def _get_planned(self, company, months):
        """Return {first of month: untaxed amount} that runs hold without an invoice yet."""
        domain = self._get_planned_domain(company, months[0], months[-1] + relativedelta(months=1))
        rows = self.env["invoice.run.document"]._read_group(
            domain, ["invoice_date:month"], ["company_amount_untaxed:sum"]
        )
        return dict(rows)
