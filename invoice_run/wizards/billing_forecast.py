from collections import defaultdict

from dateutil.relativedelta import relativedelta

from odoo import fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from ..engine import cycles, periods
from ..engine.charge import get_charges
from ..memory import remembering
from ..models.base.possible_dates import check_ahead
from ..models.base.states import CONTRACT_BILLED, DOCUMENT_OPEN

#: A forecast has a row for each price line and month.
FORECAST_YEARS = 3


class BillingForecast(models.TransientModel):
    """What the active contracts will invoice, by the month in which it becomes due."""

    _name = "billing.forecast"
    _description = "Invoicing Forecast"
    _inherit = "billing.price.report"

    date_to = fields.Date(
        "Until",
        required=True,
        default=lambda self: cycles.last_of_month(
            fields.Date.context_today(self) + relativedelta(months=11)
        ),
    )
    cluster_ids = fields.Many2many(
        "billing.cluster",
        string="Clusters",
        check_company=True,
        context={"active_test": False},
        help="Empty: all.",
    )
    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )
    line_ids = fields.One2many("billing.forecast.line", "forecast_id", "Lines")
    note = fields.Text("Not Included", readonly=True)

    def action_compute(self):
        """Compute the forecast and open it; say what it leaves out.

        :raises UserError: the last day has passed, or is too far away
        """
        self.ensure_one()
        check_ahead(self, "date_to", self._get_today(), FORECAST_YEARS)
        if self.date_to < self._get_today():
            raise UserError(self.env._("Choose today or a later day."))
        # sudo: nobody else writes what a report says; it is read with the user's rights
        self.sudo().line_ids.unlink()
        coin = self.company_id.currency_id
        amounts = {key: coin.round(amount) for key, amount in self._get_amounts().items() if amount}
        self._create_rows("month", amounts)
        self.note = self._get_left_out()
        action = self.action_view_rows()
        return self._say(self.note, action) if self.note else action

    def action_view_rows(self):
        """Open what was computed, without computing it again."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_forecast_line_action"
        )
        action["domain"] = [("forecast_id", "in", self.ids)]
        # the address names this report also where no button opened the list
        action["context"] = {"active_id": self.id}
        return self._with_path("billing-forecast-rows", action)

    def _get_today(self):
        return self.company_id._get_invoice_run_today()

    # ------------------------------------------------------------------
    # Which contracts
    # ------------------------------------------------------------------

    def _get_scope_domain(self):
        domain = Domain("company_id", "=", self.company_id.id)
        domain &= self.env["billing.contract"]._get_billed_domain()
        if self.cluster_ids:
            domain &= Domain("cluster_id", "in", self.cluster_ids.ids)
        return domain

    def _get_blocked_domain(self):
        """Return the contracts that no run invoices because their customer is blocked."""
        partners = self.env["res.partner"].with_company(self.company_id)
        blocked = partners.search([("billing_hold", "=", True)])
        is_blocked = Domain("commercial_partner_id", "in", blocked.ids)
        return Domain("partner_id", "any", is_blocked) | Domain(
            "partner_invoice_id", "any", is_blocked
        )

    def _get_billable_domain(self):
        return (
            self._get_scope_domain()
            & Domain("billing_hold", "=", False)
            & ~self._get_blocked_domain()
        )

    def _get_contracts(self):
        """Return the contracts with something that becomes due until the last day."""
        due = Domain("next_invoicing_date", "<=", self.date_to)
        return self.env["billing.contract"].search(self._get_billable_domain() & due)

    def _get_left_out(self):
        """Return in words how many contracts are due and left out; empty when none are."""
        contracts = self.env["billing.contract"]
        due = self._get_scope_domain() & Domain("next_invoicing_date", "<=", self.date_to)
        on_hold = contracts.search_count(due & Domain("billing_hold", "=", True))
        blocked = contracts.search_count(
            due & Domain("billing_hold", "=", False) & self._get_blocked_domain()
        )
        parts = []
        if on_hold:
            parts.append(self.env._("contracts on hold (%(count)s)", count=on_hold))
        if blocked:
            parts.append(self.env._("contracts of blocked customers (%(count)s)", count=blocked))
        if not parts:
            return False
        return self.env._("Not in the forecast: %(what)s.", what=", ".join(parts))

    # ------------------------------------------------------------------
    # Amounts
    # ------------------------------------------------------------------

    def _get_amounts(self, held=True):
        """Return {(price line id, first of the month): untaxed amount in company currency}.

        What is overdue, and credits, count in the present month; at today's rates.

        :param held: with what runs claim and have not invoiced yet
        """
        contracts = self._get_contracts()
        claims = contracts.line_ids._get_taken_spans()
        amounts, today = defaultdict(float), self._get_today()
        with remembering(self.env):
            for contract in contracts:
                for key, amount in contract._get_forecast(today, self.date_to, claims):
                    amounts[key] += self._convert(amount, contract.currency_id)
        for key, amount, currency in self._get_credits(contracts):
            amounts[key] += self._convert(amount, currency)
        if held:
            for key, amount, currency in self._get_held():
                amounts[key] += self._convert(amount, currency)
        return amounts

    def _convert(self, amount, currency):
        company = self.company_id
        if currency == company.currency_id:
            return amount
        return currency._convert(amount, company.currency_id, company, self._get_today())

    def _get_credits(self, contracts):
        """Yield (key, amount, currency) of the credits that the next run proposes."""
        month = self._get_today().replace(day=1)
        for contract in contracts.filtered(lambda one: any(one.line_ids.mapped("overbilled_from"))):
            for charge in get_charges(contract._get_correction_charges({})):
                currency = self.env["res.currency"].browse(charge.document["currency_id"])
                key = charge.line["contract_line_id"], month
                yield key, contract._get_charge_untaxed(charge), currency

    def _get_held(self):
        """Yield (key, amount, currency) of what open runs claim, by the month of their invoices."""
        domain = Domain("contract_id", "any", self._get_billable_domain())
        domain &= Domain("contract_line_id", "!=", False)
        domain &= Domain("document_id.state", "in", DOCUMENT_OPEN)
        domain &= Domain("document_id.invoice_date", "<=", self.date_to)
        groups = self.env["invoice.run.line"]._read_group(
            domain, ["contract_line_id", "document_id"], ["amount_untaxed:sum"]
        )
        for line, document, amount in groups:
            month = max(document.invoice_date, self._get_today()).replace(day=1)
            yield (line.id, month), amount, document.currency_id


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

    def _get_forecast(self, today, date_to, claims):
        """Yield ((price line id, first of the month), untaxed amount) due until ``date_to``.

        In the month in which a run with the contract's own settings invoices it: until a date or
        the end, all lines with the first of them. What is overdue counts in the present month.

        :param claims: see ``billing.contract.line._get_taken_spans``
        """
        self.ensure_one()
        if self.state not in CONTRACT_BILLED:
            return
        terms = self._get_billing_terms()
        try:
            target = self._get_contract_target(terms, claims, date_to)
            due = {
                line: line._get_due_spans(terms, claims[line.id], target) for line in self.line_ids
            }
        except periods.OpenEnded:  # "until the end" has no end: an exception of the runs
            return
        first = min((spans[0].date_from for spans in due.values() if spans), default=None)
        for line, spans in due.items():
            amounts = line._get_forecast_amounts(terms, spans)
            for span, amount in zip(spans, amounts, strict=True):
                begin = span.date_from if terms.mode == "periodic" else first
                day = periods.next_invoicing_date(terms, begin) or today
                yield (line.id, max(day, today).replace(day=1)), amount


class BillingContractLine(models.Model):
    _inherit = "billing.contract.line"

    def _get_forecast_amounts(self, terms, spans):
        """Yield what each of ``spans`` will come to without the taxes in the price."""
        if not spans:
            return
        if self._bounds_contract():
            yield from map(self._get_bound_untaxed, self._get_bound_forecast(terms, spans))
            return
        if self._may_include_taxes():
            yield from self._get_taxed_amounts(terms, spans)
            return
        yield from self._get_forecast_prices(terms, spans)

    def _get_forecast_prices(self, terms, spans):
        """Yield what each of ``spans`` will come to by the price, with the taxes in it."""
        coin = periods.exact(self.currency_id.rounding)
        interval, first = self.price_interval, self._get_counted_from()
        for span in spans:
            parts = self._cut_at_prices([span])
            prices = [self._get_net_price(part.date_from) for part in parts]
            charges = [
                periods.charge(terms, interval, first, part, price, coin)
                for part, price in zip(parts, prices, strict=True)
            ]
            yield float(sum(charge.amount for charge in charges))

    def _get_bound_untaxed(self, amount):
        """Return the amount of a line with bounds without the taxes in it."""
        if not self._may_include_taxes():
            return amount
        contract = self.contract_id
        position = contract._get_run_document_records()["fiscal_position_id"]
        taxes = contract._get_run_taxes(
            self.tax_ids, self.product_id, contract.company_id, position
        )
        vals = {"quantity": 1.0, "price_unit": amount, "amount": amount, "tax_ids": taxes.ids}
        return contract._get_run_untaxed(vals, contract.currency_id)

    def _get_taxed_amounts(self, terms, spans):
        contract = self.contract_id
        position = contract._get_run_document_records()["fiscal_position_id"]
        for span in spans:
            parts = [
                self._prepare_run_line_vals(terms, part, position)
                for part in self._cut_at_prices([span])
            ]
            yield sum(contract._get_run_untaxed(vals, contract.currency_id) for vals in parts)
