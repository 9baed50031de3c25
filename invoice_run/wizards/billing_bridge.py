from collections import defaultdict
from fractions import Fraction

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import date_utils, format_date

from ..engine import periods, recurring
from ..models.base.possible_dates import check_ahead

#: What a row of the bridge is; the first is what was there before.
KINDS = [
    ("start", "Before"),
    (recurring.NEW, "New"),
    (recurring.ENDED, "Ended"),
    (recurring.PRICE, "Price Changes"),
    (recurring.QUANTITY, "Quantity Changes"),
    (recurring.OTHER, "Other Changes"),
    ("credit", "Credits by Hand"),
]
#: As far ahead as the forecast.
BRIDGE_YEARS = 3


class BillingBridge(models.TransientModel):
    """How the monthly charges of contracts lead to those of another month, by reason.

    A month is what the price lines in force on its last day charge per month, less what was
    credited by hand in it. A line and what replaced it ("Change from date…") are compared with
    each other: what is a change of price or quantity is neither an end nor new.
    """

    _name = "billing.bridge"
    _description = "Month over Month"
    _inherit = "billing.price.report"

    month_from = fields.Date(
        "From Month",
        required=True,
        default=lambda self: fields.Date.context_today(self) - relativedelta(months=1),
        help="Any day of the month: its last day counts.",
    )
    month_to = fields.Date(
        "To Month",
        required=True,
        default=fields.Date.context_today,
        help="Any day of the month: its last day counts, as planned where it is to come.",
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
    currency_id = fields.Many2one(related="company_id.currency_id")
    line_ids = fields.One2many("billing.bridge.line", "bridge_id", "Details")
    amount_start = fields.Monetary("Before", compute="_compute_amounts")
    amount_new = fields.Monetary("New", compute="_compute_amounts")
    amount_ended = fields.Monetary("Ended", compute="_compute_amounts")
    amount_price = fields.Monetary("Price Changes", compute="_compute_amounts")
    amount_quantity = fields.Monetary("Quantity Changes", compute="_compute_amounts")
    amount_other = fields.Monetary("Other Changes", compute="_compute_amounts")
    amount_credit = fields.Monetary("Credits by Hand", compute="_compute_amounts")
    amount_end = fields.Monetary(
        "After", readonly=True, help="What is charged in the later month, less credits."
    )

    @api.depends("line_ids")
    def _compute_amounts(self):
        for bridge in self:
            groups = self.env["billing.bridge.line"]._read_group(
                [("bridge_id", "=", bridge.id)], ["kind"], ["amount:sum"]
            )
            amounts = dict(groups)
            for kind, _label in KINDS:
                bridge[f"amount_{kind}"] = amounts.get(kind, 0.0)

    @api.depends("month_from", "month_to")
    def _compute_display_name(self):
        for bridge in self:
            months = filter(None, (bridge.month_from, bridge.month_to))
            labels = [format_date(self.env, month, date_format="MMMM y") for month in months]
            bridge.display_name = " – ".join(labels) or self.env._("Month over Month")

    def action_compute(self):
        """Compute the bridge and open it.

        :raises UserError: the months are not in order, or too far away
        """
        self.ensure_one()
        check_ahead(self, "month_to", self.company_id._get_invoice_run_today(), BRIDGE_YEARS)
        before, after = self._get_days()
        if before >= after:
            raise UserError(self.env._("Choose two months, the earlier one first."))
        # sudo: nobody else writes what a report says; it is read with the user's rights
        self.sudo().line_ids.unlink()
        earlier, later = self._get_standings(before), self._get_standings(after)
        self._create_rows("kind", self._get_amounts(earlier, later, before, after))
        # calculated by itself, because the parts must add up to it
        self.sudo().amount_end = float(sum(self._get_end_amounts(later, after)))
        view = self.env.ref("invoice_run.billing_bridge_view_statement")
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Month over Month"),
            "res_model": self._name,
            "res_id": self.id,
            "views": [(view.id, "form")],
        }

    def action_open_part(self):
        """Open the contracts of one part: ``bridge_kind`` in the context, without it of all."""
        self.check_access("read")
        kind = self.env.context.get("bridge_kind")
        lines = self.line_ids.filtered(lambda line: not kind or line.kind == kind)
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_contract_action"
        )
        labels = dict(lines._fields["kind"]._description_selection(self.env))
        action["name"] = labels.get(kind, action["name"])
        action["domain"] = [("id", "in", lines.contract_id.ids)]
        return self._with_path(f"billing-bridge-{kind or 'contracts'}", action)

    def action_open_details(self):
        """Open the rows of the bridge."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_bridge_line_action"
        )
        action["domain"] = [("bridge_id", "in", self.ids)]
        return self._with_path("billing-bridge-rows", action)

    def _get_days(self):
        """Return the last days of the two months."""
        months = (self.month_from, self.month_to)
        return tuple(date_utils.end_of(month, "month") for month in months)

    # ------------------------------------------------------------------
    # Amounts
    # ------------------------------------------------------------------

    def _get_amounts(self, earlier, later, before, after):
        """Return {(price line id, kind): amount in company currency} of all rows.

        :param earlier: see :meth:`_get_standings`, of ``before``
        :param later: the same of ``after``
        :param before: last day of the earlier month
        :param after: last day of the later month
        """
        amounts = defaultdict(Fraction)
        coin = periods.exact(self.currency_id.rounding)
        for root in {**earlier, **later}:
            old, new = earlier.get(root, {}), later.get(root, {})
            start, end = recurring.combine(old.values()), recurring.combine(new.values())
            if start:
                amounts[min(old), "start"] += start.amount
            for kind, amount in recurring.movements(start, end, coin).items():
                amounts[min(new or old), kind] += amount
        self._add_credits(amounts, before, after)
        return amounts

    def _add_credits(self, amounts, before, after):
        """Add what was credited by hand: in the earlier month it was less, in the later it is."""
        for line_id, amount in self._get_credits(before).items():
            amounts[line_id, "start"] += amount
            amounts[line_id, "credit"] -= amount
        for line_id, amount in self._get_credits(after).items():
            amounts[line_id, "credit"] += amount

    def _get_end_amounts(self, later, day):
        """Yield what the month that ends on ``day`` is made of, without the way that led there."""
        for standings in later.values():
            yield from (standing.amount for standing in standings.values())
        yield from self._get_credits(day).values()

    def _get_lines_domain(self):
        domain = [("company_id", "=", self.company_id.id)]
        if self.cluster_ids:
            domain.append(("contract_id.cluster_id", "in", self.cluster_ids.ids))
        return domain

    def _get_standings(self, day):
        """Return what is charged on ``day``: {first line: {price line id: Standing}}.

        Lines that replace each other are together, under the first of them. At today's rates.
        """
        standings = defaultdict(dict)
        roots = self._get_roots()
        rates = {}
        planned = self._get_planned_rows(day)
        for row in self._get_running_rows(day):
            line_id, currency_id, amount, quantity, price_unit, discount, *terms = row
            if line_id in planned:
                amount, quantity, price_unit, discount = planned[line_id]
            price = (price_unit, discount, *terms)
            if currency_id not in rates:
                rates[currency_id] = self._get_rate(currency_id)
            standing = recurring.Standing(
                self._convert(amount, rates[currency_id]),
                periods.exact(quantity),
                self._get_price_key(price),
            )
            standings[roots.get(line_id, line_id)][line_id] = standing
        return standings

    def _get_price_key(self, price):
        # a discount that nobody gave is empty, and 0.0 on a copy
        return tuple(value or 0 for value in price)

    def _get_running_rows(self, day):
        """Return id, currency, amount and what it depends on of the lines in force on ``day``."""
        lines = self.env["billing.contract.line"]
        query = lines._search(
            [
                *self._get_lines_domain(),
                ("running_from", "<=", day),
                "|",
                ("running_until", "=", False),
                ("running_until", ">=", day),
            ],
            order="id",
        )
        names = ["id", "currency_id", "price_month", "quantity"]
        names += ["price_unit", "discount", "price_interval", "product_id"]
        columns = [lines._field_to_sql(lines._table, name, query) for name in names]
        return self.env.execute_query(query.select(*columns))

    def _get_planned_rows(self, day):
        """Return {price line id: what its planned price of ``day`` comes to, and its parts}."""
        prices = self.env["billing.contract.line.price"]
        lines = self.env["billing.contract.line"]._search(self._get_lines_domain())
        query = prices._search(
            [("contract_line_id", "in", lines), ("date_from", "<=", day)],
            order="contract_line_id, date_from",
        )
        names = ["contract_line_id", "price_month", "quantity", "price_unit", "discount"]
        columns = [prices._field_to_sql(prices._table, name, query) for name in names]
        # the last one of a line is kept
        return {line_id: row for line_id, *row in self.env.execute_query(query.select(*columns))}

    def _get_roots(self):
        """Return {price line id: id of the first line of those that replaced each other}."""
        lines = self.env["billing.contract.line"]
        query = lines._search([*self._get_lines_domain(), ("previous_line_id", "!=", False)])
        columns = [lines._field_to_sql(lines._table, name) for name in ("id", "previous_line_id")]
        previous = dict(self.env.execute_query(query.select(*columns)))
        roots = {}
        for line_id in sorted(previous):
            # a line is younger than the one that it replaces
            earlier = previous[line_id]
            roots[line_id] = roots.get(earlier, earlier)
        return roots

    def _get_rate(self, currency_id):
        company = self.company_id
        currency = self.env["res.currency"].browse(currency_id)
        today = company._get_invoice_run_today()
        rate = currency._get_conversion_rate(currency, company.currency_id, company, today)
        return periods.exact(rate)

    def _convert(self, amount, rate):
        if rate == 1:
            return periods.exact(amount)
        coin = periods.exact(self.currency_id.rounding)
        return periods.round_half_up(periods.exact(amount) * rate, coin)

    def _get_credits(self, day):
        """Return {price line id: credited by hand in the month that ends on ``day``}, negative."""
        lines = self.env["billing.contract.line"]
        domain = [*self._get_lines_domain(), ("price_interval", "!=", "once")]
        credits = self.env["billing.ledger"]._get_credits_by_hand(
            lines._search(domain), day.replace(day=1), day
        )
        coin = periods.exact(self.currency_id.rounding)
        return {
            line_id: periods.round_half_up(periods.exact(amount), coin)
            for line_id, amount in credits.items()
        }


class BillingBridgeLine(models.TransientModel):
    _name = "billing.bridge.line"
    _description = "Month over Month: Row"
    _inherit = "invoice.run.wizard"
    _order = "contract_id, id"

    bridge_id = fields.Many2one("billing.bridge", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="bridge_id.company_id", related_sudo=False)
    currency_id = fields.Many2one(related="company_id.currency_id")
    kind = fields.Selection(KINDS, "What Changed", required=True)
    contract_line_id = fields.Many2one(
        "billing.contract.line", "Price Line", required=True, ondelete="cascade"
    )
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
    amount = fields.Monetary("Per Month", help="Untaxed, in company currency, at today's rates.")
