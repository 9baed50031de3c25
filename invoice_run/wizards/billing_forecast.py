from dateutil.relativedelta import relativedelta

from odoo import fields, models
from odoo.exceptions import UserError

from .. import cycles, periods
from ..models.possible_dates import check_ahead

#: A forecast has a row for each price line and month.
FORECAST_YEARS = 3


class BillingForecast(models.TransientModel):
    """What the active contracts will invoice, by the month in which it becomes due."""

    _name = "billing.forecast"
    _description = "Invoicing Forecast"
    _inherit = "invoice.run.wizard"

    date_to = fields.Date(
        "Until",
        required=True,
        default=lambda self: cycles.last_of_month(
            fields.Date.context_today(self) + relativedelta(months=11)
        ),
    )
    cluster_ids = fields.Many2many("billing.cluster", string="Clusters", help="Empty: all.")
    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )
    line_ids = fields.One2many("billing.forecast.line", "forecast_id", "Lines")

    def action_compute(self):
        """Compute the forecast and open it.

        :raises UserError: the last day has passed, or is too far away
        """
        self.ensure_one()
        check_ahead(self, "date_to", self._get_today(), FORECAST_YEARS)
        if self.date_to < self._get_today():
            raise UserError(self.env._("Choose a day that has not passed."))
        # sudo: nobody else writes what a report says; it is read with the user's rights
        self.sudo().line_ids.unlink()
        rows = {}
        for contract in self._get_contracts():
            for key, amount in contract._get_forecast(self._get_today(), self.date_to):
                rows[key] = rows.get(key, 0.0) + amount
        self.env["billing.forecast.line"].sudo().create(
            [self._prepare_line_vals(*key, amount) for key, amount in rows.items()]
        )
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_forecast_line_action"
        )
        action["domain"] = [("forecast_id", "=", self.id)]
        return action

    def _get_today(self):
        return self.company_id._get_invoice_run_today()

    def _get_contracts(self):
        domain = [
            ("company_id", "=", self.company_id.id),
            ("next_invoicing_date", "<=", self.date_to),
            ("billing_hold", "=", False),
        ]
        if self.cluster_ids:
            domain.append(("cluster_id", "in", self.cluster_ids.ids))
        return self.env["billing.contract"].search(domain)

    def _prepare_line_vals(self, line, month, amount):
        currency = line.contract_id.currency_id
        company = self.company_id
        return {
            "forecast_id": self.id,
            "contract_line_id": line.id,
            "month": month,
            "amount": currency._convert(amount, company.currency_id, company, self._get_today()),
        }


class BillingForecastLine(models.TransientModel):
    _name = "billing.forecast.line"
    _description = "Invoicing Forecast per Month"
    _inherit = "invoice.run.wizard"
    _order = "month, contract_id, id"

    forecast_id = fields.Many2one("billing.forecast", required=True, ondelete="cascade")
    company_id = fields.Many2one(related="forecast_id.company_id", related_sudo=False)
    currency_id = fields.Many2one(related="company_id.currency_id")
    contract_line_id = fields.Many2one("billing.contract.line", required=True, ondelete="cascade")
    contract_id = fields.Many2one(
        related="contract_line_id.contract_id", related_sudo=False, store=True
    )
    partner_id = fields.Many2one(
        related="contract_id.partner_id", related_sudo=False, store=True, string="Customer"
    )
    cluster_id = fields.Many2one(related="contract_id.cluster_id", related_sudo=False, store=True)
    product_id = fields.Many2one(
        related="contract_line_id.product_id", related_sudo=False, store=True
    )
    month = fields.Date(required=True, help="First day of the month in which it becomes due.")
    amount = fields.Monetary("Untaxed", help="In company currency, at today's rates.")


class BillingContract(models.Model):
    _inherit = "billing.contract"

    def _get_forecast(self, today, date_to):
        """Yield ((price line, first of the month), untaxed amount) due until ``date_to``.

        What is overdue counts in the present month.
        """
        self.ensure_one()
        terms = self._get_billing_terms()
        claims = self.line_ids._get_claimed_spans()
        for line in self.line_ids:
            for span in line._get_forecast_spans(terms, claims, date_to):
                due = periods.next_invoicing_date(terms, span.date_from) or today
                amount = line._get_charge_vals(terms, span)["amount"]
                yield (line, max(due, today).replace(day=1)), line._get_untaxed(amount)


class BillingContractLine(models.Model):
    _inherit = "billing.contract.line"

    def _get_forecast_spans(self, terms, claims, date_to):
        """Return what is due until ``date_to``; nothing where "until the end" has no end."""
        try:
            target = self.contract_id._get_contract_target(terms, claims, date_to)
            return self._get_due_spans(terms, claims[self.id], target)
        except periods.OpenEnded:
            return []

    def _get_untaxed(self, amount):
        """Return ``amount`` without the taxes that its price includes."""
        contract = self.contract_id
        taxes = contract._get_run_taxes(
            self.tax_ids,
            self.product_id,
            contract.company_id,
            contract._get_run_document_records()["fiscal_position_id"],
        )
        return taxes.compute_all(amount, self.currency_id)["total_excluded"]
