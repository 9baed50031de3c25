from collections import defaultdict
from datetime import date

from odoo import api, fields, models
from odoo.api import NewId
from odoo.exceptions import UserError, ValidationError
from odoo.tools import format_date

from ...engine import periods, planned
from ...memory import remember, remembering
from ..base.invoice_run_guarded import EngineValue
from ..base.possible_dates import check_years

#: What a price consists of.
PARTS = ("price_unit", "quantity", "discount")
#: Fields that nobody plans by hand.
ENGINE_KINDS = ("index", "update")


class BillingContractLinePrice(models.Model):
    """What a price line costs from a day on, agreed beforehand.

    It applies by itself: the line stays one line, with its claims, and each day has the price that
    is valid on it. What was invoiced stays as it was invoiced.
    """

    _name = "billing.contract.line.price"
    _description = "Planned Price"
    _inherit = ["invoice.run.guarded", "invoice.run.stale.mixin", "invoice.run.import.mixin"]
    _order = "contract_line_id, date_from, id"
    _rec_name = "date_from"
    _check_company_auto = True

    contract_line_id = fields.Many2one(
        "billing.contract.line",
        "Price Line",
        required=True,
        index=True,
        ondelete="cascade",
        check_company=True,
    )
    contract_id = fields.Many2one(related="contract_line_id.contract_id")
    company_id = fields.Many2one(related="contract_line_id.company_id", store=True, index=True)
    currency_id = fields.Many2one(related="contract_line_id.currency_id")
    date_from = fields.Date("From", required=True, help="First day of this price, included.")
    kind = fields.Selection(
        [
            ("planned", "Agreed"),
            ("discount_end", "Discount ends"),
            ("index", "Index"),
            ("update", "Price update"),
        ],
        "Reason",
        required=True,
        default="planned",
        engine=True,
    )
    price_unit = fields.Float(
        "Price",
        compute="_compute_price",
        store=True,
        readonly=False,
        precompute=True,
        recursive=True,
        min_display_digits="Product Price",
    )
    quantity = fields.Float(
        digits="Product Unit",
        compute="_compute_price",
        store=True,
        readonly=False,
        precompute=True,
        recursive=True,
    )
    discount = fields.Float(
        "Discount %",
        digits="Discount",
        compute="_compute_price",
        store=True,
        readonly=False,
        precompute=True,
        recursive=True,
    )
    price_month = fields.Monetary(
        "Per Month", compute="_compute_price_month", store=True, engine=True, aggregator=None
    )
    price_year = fields.Monetary(
        "Per Year", compute="_compute_price_month", store=True, engine=True, aggregator=None
    )
    sets_price_unit = fields.Boolean(engine=True, help="The price differs from the one before.")
    sets_quantity = fields.Boolean(engine=True, help="The quantity differs from the one before.")
    sets_discount = fields.Boolean(engine=True, help="The discount differs from the one before.")
    note = fields.Char("Calculation", engine=True, help="How the price came about.")

    _one_a_day = models.UniqueIndex(
        "(contract_line_id, date_from)",
        "This price line already has another price from the same day on.",
    )
    _discount_range = models.Constraint(
        "CHECK (discount BETWEEN 0 AND 100)", "The discount must be between 0 and 100 %."
    )

    @api.depends(
        "date_from",
        *(f"sets_{name}" for name in PARTS),
        *(f"contract_line_id.{name}" for name in PARTS),
        *(f"contract_line_id.price_ids.{name}" for name in ("date_from", *PARTS)),
    )
    def _compute_price(self):
        """Take from the price before what this one does not change, whenever that changes."""
        for price in self:
            before = price._get_price_before()
            # while it is typed: rows that exist stay, a new one begins as the price before it
            is_typed = isinstance(price.id, NewId) and price.quantity
            for name in PARTS:
                is_own = is_typed or price[f"sets_{name}"]
                price[name] = price[name] if is_own else getattr(before, name)

    def _get_price_before(self):
        """Return the price that this one takes over from."""
        line = self.contract_line_id
        earlier = line.price_ids.filtered(
            lambda other: (
                other.date_from and (not self.date_from or other.date_from < self.date_from)
            )
        )
        last = max(earlier - self, key=lambda other: other.date_from, default=line)
        return planned.Price(None, *(last[name] for name in PARTS))

    @api.depends(*PARTS, "contract_line_id.price_month")
    def _compute_price_month(self):
        with remembering(self.env):
            for price in self:
                vals = {name: price[name] for name in PARTS}
                month_and_year = price.contract_line_id._get_recurring_price(vals)
                price.price_month, price.price_year = month_and_year

    @api.constrains("date_from")
    def _check_years(self):
        check_years(self, ["date_from"])

    @api.constrains("contract_line_id", "date_from")
    def _check_recurring(self):
        self.contract_line_id._check_looked_up()
        self.contract_line_id._check_price_has_one_home()
        for price in self:
            line = price.contract_line_id
            if line.price_interval == "once":
                raise ValidationError(
                    self.env._(
                        "“%(line)s” is charged once: it has one price. Remove the price from "
                        "%(date)s on.",
                        line=line.name,
                        date=format_date(self.env, price.date_from),
                    )
                )

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {"date_from", *PARTS}

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return [("contract_line_id", "in", self.contract_line_id.ids)]

    @api.model_create_multi
    def create(self, vals_list):
        prices = super().create(self._fill_in(vals_list))
        prices._note_change()
        return prices

    def write(self, vals):
        self._check_may_change()
        # an import writes all columns, changed or not
        changed = self._get_changed(vals, {"contract_line_id", *self._get_stale_fields()})
        changed._note_change()
        result = super().write(vals)
        if "contract_line_id" in vals:
            changed._note_change()
        if any(name in vals for name in PARTS):
            for price in self:
                sets = price._prepare_sets({"kind": price.kind, **vals}, price._get_price_before())
                super(BillingContractLinePrice, price).write(sets)
        return result

    def unlink(self):
        self._check_may_change()
        self._note_change()
        return super().unlink()

    @api.model
    def _fill_in(self, vals_list):
        """Return values that say, in order of days, what each price changes against the one before.

        The rest follows the price before, also when that changes.
        """
        filled, known = {}, defaultdict(list)
        ids = {vals.get("contract_line_id") for vals in vals_list} - {None, False}
        # together, so that they are read together
        lines = {line.id: line for line in self.env["billing.contract.line"].browse(ids)}
        order = sorted(range(len(vals_list)), key=lambda at: str(vals_list[at].get("date_from")))
        for at in order:
            vals = filled[at] = dict(vals_list[at])
            line = lines.get(vals.get("contract_line_id"))
            day = fields.Date.to_date(vals.get("date_from"))
            if line and day:
                prices = known[line] or line._get_prices()
                before = planned.price_on(prices, day)
                vals |= self._prepare_sets(vals, before)
                own = [vals.setdefault(name, getattr(before, name)) for name in PARTS]
                known[line] = planned.in_order([*prices, planned.Price(day, *own)])
        return [filled[at] for at in range(len(vals_list))]

    @api.model
    def _prepare_sets(self, vals, before):
        """Return what ``vals`` change against the price ``before``, as the engine notes it."""
        kind = getattr(vals.get("kind"), "value", vals.get("kind"))
        sets = {
            f"sets_{name}": EngineValue(vals[name] != getattr(before, name))
            for name in PARTS
            if name in vals
        }
        if kind == "discount_end":
            sets["sets_discount"] = EngineValue(True)
        return sets

    def _note_change(self):
        """Note a change of the price line, for four eyes, and mark its amounts as changed."""
        if self:
            self.env["billing.change"]._note(self.contract_line_id)
            self.env["invoice.run.line"]._mark_stale(self._get_stale_domain())

    def _check_may_change(self):
        indexed = self.filtered(lambda price: price.kind in ENGINE_KINDS)
        if indexed and not self.env.su:
            raise UserError(
                self.env._(
                    "“%(line)s”: the price from %(date)s on comes from an index or a price update. "
                    "Change it with “Change from Date…”, or undo the update.",
                    line=indexed[0].contract_line_id.name,
                    date=format_date(self.env, indexed[0].date_from),
                )
            )


class BillingContractLine(models.Model):
    """Which price is valid on which day."""

    _inherit = "billing.contract.line"

    price_ids = fields.One2many(
        "billing.contract.line.price",
        "contract_line_id",
        "Planned Prices",
        help="Prices agreed for later: each applies by itself from its first day on.",
    )
    discount_until = fields.Date(
        compute="_compute_discount_until",
        inverse="_inverse_discount_until",
        help="Last day of the discount, included. Empty: it does not end.",
    )
    discount_periods = fields.Integer(
        "Discounted Periods",
        compute="_compute_discount_periods",
        inverse="_inverse_discount_periods",
        help="The discount ends after so many billing periods of the line; 1: once.",
    )
    present_price_unit = fields.Float(
        "Present Price",
        compute="_compute_present_price",
        min_display_digits="Product Price",
        help="Today's price; for a line that has not begun yet, its first.",
    )
    present_price_month = fields.Monetary(
        "Present Price per Month", compute="_compute_present_price", aggregator=None
    )

    @api.depends("price_unit", "price_month", "price_ids.date_from", "price_ids.price_unit")
    def _compute_present_price(self):
        for line in self:
            day = (line.company_id or self.env.company)._get_invoice_run_today()
            valid = line._get_planned_on(day) or line
            line.present_price_unit = valid.price_unit
            line.present_price_month = valid.price_month

    @api.depends("price_ids.kind", "price_ids.date_from")
    def _compute_discount_until(self):
        for line in self:
            end = line._get_discount_end()[:1]
            line.discount_until = end.date_from - periods.DAY if end else False

    @api.depends("discount_until")
    def _compute_discount_periods(self):
        # a number is a way to enter the day
        self.discount_periods = 0

    def _inverse_discount_until(self):
        for line in self:
            day = line.discount_until
            line._set_discount_end(day + periods.DAY if day else None)

    def _inverse_discount_periods(self):
        for line in self.filtered("discount_periods"):
            grid = line.contract_id._get_billing_terms().grid
            first = line._get_own_days()[0]
            last = planned.periods_end(grid, first, line.discount_periods)
            line._set_discount_end(last + periods.DAY)

    @api.onchange("discount_periods")
    def _onchange_discount_periods(self):
        contract = self.contract_id
        if self.discount_periods > 0 and contract.date_start and contract.period_count > 0:
            grid = contract._get_billing_terms().grid
            first = self._get_own_days()[0]
            self.discount_until = planned.periods_end(grid, first, self.discount_periods)

    def _get_discount_end(self):
        return self.price_ids.filtered(lambda price: price.kind == "discount_end")

    def _set_discount_end(self, day):
        """Let the discount of this line end before ``day``; None: it does not end."""
        ends = self._get_discount_end()
        if not day:
            ends.unlink()
        elif ends:
            ends.date_from = day
        else:
            ends.create(
                {
                    "contract_line_id": self.id,
                    "date_from": day,
                    "kind": EngineValue("discount_end"),
                    "discount": 0.0,
                }
            )

    # ------------------------------------------------------------------
    # The price of a day
    # ------------------------------------------------------------------

    def _get_prices(self):
        """Return the prices of this line in order of time, the first one since ever.

        :return: a list of :class:`planned.Price`; neighbours differ
        """
        first = planned.Price(None, self.price_unit, self.quantity, self.discount)
        if not self.price_ids:
            return [first]
        rows = self.price_ids.filtered("date_from")
        later = [planned.Price(row.date_from, *(row[name] for name in PARTS)) for row in rows]
        prices = [first]
        for price in planned.in_order(later):
            if price[1:] != prices[-1][1:]:
                prices.append(price)
        return prices

    def _get_price_on(self, day):
        """Return the :class:`planned.Price` that is valid on ``day``."""
        self.ensure_one()
        if self.is_price_looked_up:
            return self._look_up_price(day)
        prices = remember(self.env, ("prices", self._ids), self._get_prices)
        return planned.price_on(prices, day)

    def _get_price_since(self, day):
        """Return the first day of the planned price valid on ``day``, False where there is none."""
        planned_price = self._get_planned_on(day) if day else None
        return planned_price.date_from if planned_price else self.price_since

    def _prepare_price_vals(self, day):
        """Return price, quantity and discount of ``day``, for a line that goes on from then."""
        valid = self._get_price_on(day)
        return {name: getattr(valid, name) for name in PARTS}

    def _get_dated_prices(self):
        """Return the prices of this line in order of time, each with its days.

        :return: a list of dicts: ``line``, ``rated`` (the line, or its planned price), ``note``,
            ``date_from`` and ``date_to`` (inclusive, None where it is open-ended)
        """
        first, last = self._get_own_days()
        if last and last < first:
            return []
        whole = periods.Span(first, last or date.max)
        dated = []
        for part in self._cut_at_prices([whole]):
            planned_price = self._get_planned_on(part.date_from)
            dated.append(
                {
                    "line": self,
                    "rated": planned_price or self,
                    "note": planned_price.note,
                    "date_from": part.date_from,
                    "date_to": part.date_to if part.date_to != date.max else None,
                }
            )
        return dated

    def _get_planned_on(self, day):
        """Return the planned price that is valid on ``day``; empty where the line's own is."""
        begun = self.price_ids.filtered(lambda price: price.date_from and price.date_from <= day)
        return max(begun, key=lambda price: price.date_from, default=begun)

    def _cut_at_prices(self, spans):
        """Return ``spans`` cut where the price changes: each part has one price."""
        if not self.price_ids:
            return list(spans)
        prices = self._get_prices()
        return [part for span in spans for part in planned.cut(span, prices)]

    def _give_planned_prices(self, other):
        """Give the later planned prices to ``other``, which replaces this line or is restored.

        Later ones begin after the first day of ``other``.
        """
        first = other._get_own_days()[0]
        later = self.price_ids.filtered(lambda price: price.date_from > first)
        taken = set(other.price_ids.mapped("date_from"))
        # sudo: also what follows an index moves with its line
        later.filtered(lambda price: price.date_from not in taken).sudo().write(
            {"contract_line_id": other.id}
        )
