from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain
from odoo.tools import SQL


class BillingUsage(models.Model):
    """Usage items that are rated together, by a metered price line."""

    _inherit = "billing.usage"

    contract_line_id = fields.Many2one(
        "billing.contract.line",
        "Price Line",
        compute="_compute_contract_line_id",
        store=True,
        readonly=False,
        precompute=True,
        check_company=True,
        ondelete="restrict",
        domain="[('contract_id', '=', contract_id), ('is_metered', '=', True), "
        "('bound_scope', '=', 'line')]",
        help="The items of a price line by usage are invoiced together, at its price, when the "
        "billing period is over.",
    )
    meter_code = fields.Char(help="Finds the price line of the contract that has the same code.")
    usage_key = fields.Char(
        "Key", help="What is counted where different keys are: a user, a card, a device."
    )
    usage_claim_ids = fields.One2many("invoice.run.usage", "usage_id", "Claims", engine=True)

    _open_line_idx = models.Index(
        "(contract_line_id, date) WHERE state = 'open' AND contract_line_id IS NOT NULL"
    )
    _contract_line_idx = models.Index("(contract_line_id, date) WHERE contract_line_id IS NOT NULL")

    @api.depends("contract_id", "product_id", "meter_code", "date", "partner_id")
    def _compute_contract_line_id(self):
        for usage in self:
            if usage.state in (False, "open"):
                lines = usage._get_metered_lines()
                if usage.contract_line_id not in lines or not usage.contract_line_id:
                    usage.contract_line_id = lines if len(lines) == 1 else False

    def _get_meters(self):
        """Return the metered price lines of the contract with the code or product of this item.

        Items of another customer are invoiced to that customer, at their own price.
        """
        metered = self.contract_id.line_ids.filtered(lambda line: line._is_meter())
        payer = self.partner_id.commercial_partner_id
        if payer != self.contract_id.commercial_partner_id:
            return metered.browse()
        if self.meter_code:
            return metered.filtered(lambda line: line.meter_code == self.meter_code)
        return metered.filtered(
            lambda line: line.product_id == self.product_id and not line.meter_code
        )

    def _get_metered_lines(self):
        """Return the metered price lines that could rate this item; it needs exactly one."""
        return self._get_meters().filtered(lambda line: line._covers(self.date))

    def _get_metering_errors(self):
        """Return the reason, as (code, message), why the price of this item is not known.

        It has the meter of a price line and no price of its own: it is never invoiced by the item.
        """
        meters = self._get_meters()
        if not meters or self.contract_line_id:
            return []
        lines = meters.filtered(lambda line: line._covers(self.date))
        values = {"contract": self.contract_id.name, "lines": ", ".join(meters.mapped("name"))}
        if len(lines) > 1:
            message = self.env._(
                "Several price lines of contract %(contract)s measure this: %(lines)s. Choose "
                "the price line, or enter its meter code.",
                **values,
            )
        else:
            message = self.env._(
                "Contract %(contract)s measures this by %(lines)s, but not on this day. Correct "
                "the date of the item or the days of the price line.",
                **values,
            )
        return [("metered", message)]

    @api.constrains("contract_line_id", "contract_id", "currency_id")
    def _check_contract_line(self):
        for usage in self.filtered("contract_line_id"):
            contract = usage.contract_line_id.contract_id
            is_same = usage.contract_id == contract and usage.contract_line_id._is_meter()
            if not is_same or usage.currency_id != contract.currency_id:
                raise ValidationError(
                    self.env._(
                        "“%(item)s”: the price line must be one by usage, of the contract and in "
                        "the currency of the item.",
                        item=usage.name,
                    )
                )

    def _mark_metered_stale(self):
        """Mark the amounts that hold these items, possibly with others."""
        claims = Domain("usage_id", "in", self.ids) & Domain("is_claimed", "=", True)
        self.env["invoice.run.line"]._mark_stale(Domain("usage_claim_ids", "any", claims))

    def _mark_periods_stale(self):
        """Mark the amounts of the periods into which these items fall, unless they are approved.

        Approved amounts are invoiced as they are; the items then count as usage reported later.
        """
        metered = self.filtered("contract_line_id")
        if metered:
            domain = Domain("run_id.approved_date", "=", False)
            domain &= Domain("id", "in", metered._select_rating_amounts())
            self.env["invoice.run.line"]._mark_stale(domain)

    def _select_rating_amounts(self):
        """Return the query of the amounts that rate the periods of these items."""
        self.env["billing.usage"].flush_model(["contract_line_id", "date", "state"])
        amount_fields = ["contract_line_id", "is_metered", "period_from", "period_to"]
        self.env["invoice.run.line"].flush_model(amount_fields)
        return SQL(
            """(
            SELECT amount.id FROM billing_usage usage
              JOIN invoice_run_line amount ON amount.contract_line_id = usage.contract_line_id
               AND usage.date BETWEEN amount.period_from AND amount.period_to
             WHERE usage.id = ANY(%s) AND usage.state = 'open' AND amount.is_metered
            )""",
            self.ids,
        )
