from dateutil.relativedelta import relativedelta

from odoo import api, models
from odoo.fields import Domain
from odoo.tools import format_date

from ...engine import cycles
from ..base.states import DOCUMENT_OPEN, SEND_DONE, SEND_FAILED

#: Months shown before and after the present one.
MONTHS_BACK = 6
MONTHS_AHEAD = 5
#: Above this the forecast is left to its report: it reads every contract.
MAX_FORECAST_CONTRACTS = 500
NEXT_RUNS = 6


class InvoiceRun(models.Model):
    """Figures of the dashboard, each with the action that lists what it counts."""

    _inherit = "invoice.run"

    @api.model
    def get_dashboard(self):
        """Return the figures of the company in use; amounts are in its currency, as text.

        :raises AccessError: the user may not see invoice runs
        """
        self.check_access("read")
        company = self.env.company
        today = company._get_invoice_run_today()
        cards = [
            self._get_due_card(company, today),
            self._get_approval_card(company),
            self._get_failed_card(company),
            self._get_sent_card(company, today),
        ]
        return {"cards": cards, "runs": self._get_next_runs(company), **self._get_chart(today)}

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
        # what runs claim is in the bars of the runs already
        for (_line, month), amount in forecast._get_amounts(held=False).items():
            amounts[month] += amount
        return [company.currency_id.round(amount) for amount in amounts.values()]

    def _get_months(self, today):
        first = today.replace(day=1)
        return [first + relativedelta(months=n) for n in range(-MONTHS_BACK, MONTHS_AHEAD + 1)]

    def _get_due_card(self, company, today):
        domain = Domain("company_id", "=", company.id) & Domain("billing_hold", "=", False)
        domain &= Domain("next_invoicing_date", "<=", today)
        count = self.env["billing.contract"].search_count(domain)
        items = self.env["billing.usage"].search_count(
            [("company_id", "=", company.id), ("state", "=", "open"), ("date", "<=", today)]
        )
        return {
            "key": "due",
            "label": self.env._("Due now"),
            "value": count,
            "unit": self.env._("contracts"),
            "detail": self.env._("%(count)s usage items", count=items),
            "action": self._get_card_action("billing_contract_action", domain),
        }

    def _get_approval_card(self, company):
        domain = Domain("company_id", "=", company.id) & Domain("state", "=", "amounts")
        waiting = self.search(domain)
        total = sum(waiting.mapped("amount_total"))
        return {
            "key": "approval",
            "label": self.env._("Waiting for approval"),
            "value": len(waiting),
            "unit": self.env._("runs"),
            "detail": company.currency_id.format(total),
            "action": self._get_card_action("invoice_run_action", domain),
        }

    def _get_failed_card(self, company):
        Document = self.env["invoice.run.document"]
        invoices = Domain("company_id", "=", company.id) & Domain("state", "=", "failed")
        mails = Domain("company_id", "=", company.id) & Domain("send_state", "in", SEND_FAILED)
        unsent = Document.search_count(mails)
        return {
            "key": "failed",
            "label": self.env._("Failed"),
            "value": Document.search_count(invoices | mails),
            "unit": self.env._("invoices"),
            "detail": self.env._("%(count)s of them not sent", count=unsent),
            "action": self._get_card_action("invoice_run_document_action", invoices | mails),
        }

    def _get_sent_card(self, company, today):
        domain = Domain("company_id", "=", company.id) & Domain("state", "=", "invoiced")
        domain &= Domain("invoice_date", ">=", today.replace(day=1))
        domain &= Domain("invoice_date", "<=", cycles.last_of_month(today))
        sent = domain & Domain("send_state", "in", SEND_DONE)
        [[count, total]] = self.env["invoice.run.document"]._read_group(
            sent, [], ["__count", "company_amount_total:sum"]
        )
        of_all = self.env["invoice.run.document"].search_count(domain)
        return {
            "key": "sent",
            "label": self.env._("Sent, invoices of this month"),
            "value": count,
            "unit": self.env._("of %(count)s", count=of_all),
            "detail": company.currency_id.format(total or 0.0),
            "action": self._get_card_action("invoice_run_document_action", sent),
        }

    def _get_card_action(self, xml_id, domain):
        action = self.env["ir.actions.act_window"]._for_xml_id(f"invoice_run.{xml_id}")
        action["domain"] = list(domain)
        # what is counted is what is shown: no default filter on top
        action["context"] = {"create": False}
        return action

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
        domain = [("company_id", "=", company.id), ("state", "=", "posted")]
        domain += [("invoice_run_id", "!=", False), ("invoice_date", ">=", months[0])]
        domain += [("invoice_date", "<", months[-1] + relativedelta(months=1))]
        rows = self.env["account.move"]._read_group(
            domain, ["invoice_date:month"], ["amount_untaxed_signed:sum"]
        )
        amounts, planned = dict(rows), self._get_planned(company, months)
        return {
            "company": company.id,
            "currency": company.currency_id.name,
            "months": [format_date(self.env, day, date_format="MMM yyyy") for day in months],
            "days": [str(day) for day in months],
            "present": MONTHS_BACK,
            "invoiced": [amounts.get(day, 0.0) for day in months],
            "planned": [planned.get(day, 0.0) for day in months],
        }

    def _get_planned(self, company, months):
        """Return {first of month: untaxed amount} that runs hold without an invoice yet."""
        domain = [("company_id", "=", company.id), ("state", "in", DOCUMENT_OPEN)]
        domain += [("invoice_date", ">=", months[0])]
        domain += [("invoice_date", "<", months[-1] + relativedelta(months=1))]
        rows = self.env["invoice.run.document"]._read_group(
            domain, ["invoice_date:month"], ["company_amount_untaxed:sum"]
        )
        return dict(rows)
