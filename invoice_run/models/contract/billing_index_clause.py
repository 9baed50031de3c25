from dataclasses import replace

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import format_date, formatLang

from ...engine import indexation, periods
from ..base.possible_dates import check_years

#: The fields that decide the price that a clause gives.
TERMS = (
    "index_id",
    "formula",
    "base_price",
    "base_month",
    "lag_months",
    "every_months",
    "first_date",
    "threshold_percent",
    "has_floor",
    "floor_percent",
    "has_cap",
    "cap_percent",
    "share_percent",
    "rounding",
)


class BillingIndexClause(models.Model):
    """How the price of a line, or of all lines of a contract, follows an index.

    Its results are stored as planned prices of the lines, with the figures behind them, as soon as
    an index value is published. A value that is revised later changes no price.
    """

    _name = "billing.index.clause"
    _description = "Index Clause"
    _inherit = "invoice.run.import.mixin"
    _order = "contract_id, contract_line_id, id"
    _check_company_auto = True

    contract_id = fields.Many2one(
        "billing.contract", index=True, required=True, ondelete="cascade", check_company=True
    )
    contract_line_id = fields.Many2one(
        "billing.contract.line",
        "Price Line",
        index="btree_not_null",
        ondelete="cascade",
        domain="[('contract_id', '=', contract_id), ('price_interval', '!=', 'once'), "
        "('is_metered', '=', False), ('tariff_id', '=', False)]",
        check_company=True,
        help="Empty: all price lines of the contract that have no clause of their own.",
    )
    company_id = fields.Many2one(related="contract_id.company_id", store=True, index=True)
    index_id = fields.Many2one(
        "billing.index", required=True, index=True, ondelete="restrict", check_company=True
    )
    formula = fields.Selection(
        [
            ("base", "Base price × new index ÷ base index"),
            ("chain", "Last price × new index ÷ index at that time"),
        ],
        required=True,
        default="base",
        help="Base: always from the price agreed at first, as in Belgium. Last price: from one "
        "adjustment to the next, as in France.",
    )
    base_price = fields.Float(
        min_display_digits="Product Price", help="Empty: the price of the line."
    )
    base_month = fields.Date(
        required=True, help="Any day of the month whose index belongs to the base price."
    )
    lag_months = fields.Integer(
        "Index Published Before",
        default=1,
        required=True,
        help="The index taken is that of so many months before the month of the adjustment.",
    )
    every_months = fields.Integer("Every", default=12, required=True)
    first_date = fields.Date("First Adjustment", required=True)
    threshold_percent = fields.Float(
        "Threshold %",
        digits=False,
        help="The price stays until the index has changed by at least so much since it was last "
        "applied.",
    )
    share_percent = fields.Float(
        "Share %", digits=False, default=100.0, help="How much of the change is passed on."
    )
    has_floor = fields.Boolean("At Least")
    floor_percent = fields.Float(
        "Floor %", digits=False, help="Least change at a time; 0: the price is never lowered."
    )
    has_cap = fields.Boolean("At Most")
    cap_percent = fields.Float("Cap %", digits=False, help="Greatest change at a time.")
    rounding = fields.Float(
        digits=False, default=0.01, help="The new price is rounded to this, once. 0: not at all."
    )

    _one_a_line = models.UniqueIndex(
        "(contract_id, COALESCE(contract_line_id, 0))",
        "This price has an index clause already. Change that one.",
    )

    @api.depends("index_id", "contract_line_id")
    def _compute_display_name(self):
        for clause in self:
            names = (clause.index_id.code, clause.contract_line_id.name)
            clause.display_name = " – ".join(filter(None, names))

    @api.constrains(*TERMS, "contract_line_id", "contract_id")
    def _check_terms(self):
        check_years(self, ["first_date", "base_month"])
        for clause in self:
            line = clause.contract_line_id
            if line and (line.contract_id != clause.contract_id or not line._has_own_price()):
                raise ValidationError(
                    self.env._(
                        "“%(line)s” cannot follow an index with this contract: choose a line of it "
                        "that is charged repeatedly, at a price of its own.",
                        line=line.name,
                    )
                )
            try:
                clause._get_terms()
            except ValueError as error:
                raise ValidationError(clause._get_terms_message()) from error

    def _get_terms_message(self):
        return self.env._(
            "Contract %(contract)s: check the figures of the index clause. It adjusts every month "
            "or less often; threshold, share, lag and rounding are not negative; the floor is not "
            "above the cap.",
            contract=self.contract_id.name,
        )

    @api.model_create_multi
    def create(self, vals_list):
        clauses = super().create(vals_list)
        clauses._apply()
        return clauses

    def write(self, vals):
        lines = self._get_lines()
        result = super().write(vals)
        (lines | self._get_lines())._plan_anew()
        return result

    def unlink(self):
        lines = self._get_lines()
        lines._forget_open_index()
        result = super().unlink()
        lines.exists()._apply_index()
        return result

    def action_recalculate(self):
        """Recalculate prices that are not invoiced yet, by the values published now."""
        self.check_access("write")
        self._get_lines()._plan_anew()

    def _get_terms(self):
        """Return this clause as an :class:`indexation.Clause`.

        :raises ValueError: its figures contradict each other
        """
        exact = periods.exact
        return indexation.Clause(
            first_date=self.first_date,
            base_month=self.base_month.replace(day=1),
            formula=self.formula,
            lag_months=self.lag_months,
            every_months=self.every_months,
            threshold=exact(self.threshold_percent),
            share=exact(self.share_percent),
            floor=exact(self.floor_percent) if self.has_floor else None,
            cap=exact(self.cap_percent) if self.has_cap else None,
            rounding=exact(self.rounding),
        )

    def _get_lines(self):
        """Return the price lines that follow these clauses."""
        lines = self.contract_id.line_ids
        return lines.filtered(lambda line: line._get_index_clause() in self)

    def _apply(self):
        """Plan the prices by these clauses and the published values; those already applied stay."""
        self._get_lines()._apply_index()


class BillingIndex(models.Model):
    _inherit = "billing.index"

    def _apply(self):
        """Plan the prices that follow from what was published of these indexes."""
        clauses = self.env["billing.index.clause"].search([("index_id", "in", self.ids)])
        clauses._apply()


class BillingContractLinePrice(models.Model):
    _inherit = "billing.contract.line.price"

    clause_id = fields.Many2one(
        "billing.index.clause", index="btree_not_null", ondelete="set null", engine=True
    )
    index_month = fields.Date(engine=True, help="The month whose index this price belongs to.")
    index_value = fields.Float("Index", digits=False, engine=True)
    old_index_value = fields.Float("Index Before", digits=False, engine=True)
    is_applied = fields.Boolean(
        default=True, engine=True, help="No: the index had not changed enough, the price stayed."
    )


class BillingContract(models.Model):
    _inherit = "billing.contract"

    index_clause_ids = fields.One2many("billing.index.clause", "contract_id", "Index Clauses")

    def _split_waiting(self, due):
        """Return what can be invoiced, and exceptions for the price lines that have no price yet.

        :param due: (price line, span) in order
        :return: ([(price line, span)], [values of exceptions])
        """
        due, unpublished = self._split_unpublished(due)
        due, unpriced = self._split_unpriced(due)
        return due, unpublished + unpriced

    def _split_unpublished(self, due):
        """Return what can be invoiced, and exceptions that name the index that is missing.

        A price line waits from the day whose index is not published; the others go on.

        :param due: (price line, span) in order
        :return: ([(price line, span)], [values of exceptions])
        """
        if not self.index_clause_ids:
            return due, []
        gaps = {line: line._get_index_gap() for line in self.line_ids}
        billable, waiting = [], {}
        for line, span in due:
            if gaps[line] and span.date_to >= gaps[line]:
                waiting[line] = gaps[line]
            else:
                billable.append((line, span))
        return billable, [self._prepare_gap_vals(line, day) for line, day in waiting.items()]

    def _prepare_gap_vals(self, line, day):
        """Return the values of the exception of a line whose price from ``day`` on is not known."""
        clause = line._get_index_clause()
        names = {"line": line.name, "index": clause.index_id.display_name}
        try:
            line._adjust_on(clause, day)
        except indexation.NotPublished as error:
            message = self.env._(
                "“%(line)s” waits for index %(index)s of %(month)s, which is not known yet. Enter "
                "it as soon as it is published.",
                month=format_date(self.env, error.month, date_format="MMMM y"),
                **names,
            )
        except indexation.NoFactor as error:
            message = self.env._(
                "“%(line)s” waits for index %(index)s: enter the factor from base %(base)s to base "
                "%(other)s.",
                base=error.base,
                other=error.other,
                **names,
            )
        else:
            message = self.env._(
                "“%(line)s” waits for index %(index)s: press “Calculate Again” on its clause.",
                **names,
            )
        return self._prepare_exception_vals("index", message)


class BillingContractLine(models.Model):
    """The prices of a line by its index clauses."""

    _inherit = "billing.contract.line"

    index_clause_ids = fields.One2many(
        "billing.index.clause", "contract_line_id", "Own Index Clause", copy=False
    )

    def _get_index_clause(self):
        """Return the clause that this line follows; it may be empty.

        Its own, or that of the line that it replaced; else the contract's.
        """
        clauses = self.contract_id.index_clause_ids
        if not clauses or not self._has_own_price() or self.is_price_looked_up:
            return clauses.browse()
        line = self
        while line:
            if own := clauses.filtered(lambda clause, line=line: clause.contract_line_id == line):
                return own
            line = line.previous_line_id
        return clauses.filtered(lambda clause: not clause.contract_line_id)

    def _get_index_start(self, clause):
        """Return what ``clause`` starts from: the price, and the month whose index belongs to it.

        A line that replaces another goes on from that one, unless its price was agreed anew.

        :return: a :class:`indexation.Standing`
        """
        previous, first = self.previous_line_id, self._get_own_days()[0]
        if not previous:
            price = periods.exact(clause.base_price or self.price_unit)
            return indexation.Standing(price, clause.base_month.replace(day=1))
        if self._goes_on_with(previous):
            return previous._get_index_start(clause)
        month = clause._get_terms().month_of(first)
        return indexation.Standing(periods.exact(self.price_unit), month)

    def _goes_on_with(self, previous):
        """Whether this line begins with the price with which ``previous`` ended."""
        last = previous._get_price_on(self._get_own_days()[0] - periods.DAY)
        return last.price_unit == self.price_unit

    def _get_index_rows(self):
        """Return the planned prices that an index decides, those that wait for it included."""
        return self.price_ids.filtered("index_month").sorted("date_from")

    def _get_last_month(self, clause):
        """Return the month whose index was applied last."""
        rows = self._get_index_rows().filtered("is_applied")
        previous = self.previous_line_id
        if rows:
            return rows[-1].index_month
        if previous and self._goes_on_with(previous):
            return previous._get_last_month(clause)
        return self._get_index_start(clause).month

    def _get_adjustment_days(self, clause):
        """Yield the days on which the price of this line is still to be adjusted."""
        first, last = self._get_own_days()
        rows = self._get_index_rows()
        if rows:
            first = max(first, rows[-1].date_from + periods.DAY)
        yield from indexation.due_dates(clause._get_terms(), first, last)

    def _get_index_gap(self):
        """Return the first day whose index is not applied, None where the line follows none."""
        clause = self._get_index_clause()
        return next(self._get_adjustment_days(clause), None) if clause else None

    def _adjust_on(self, clause, day):
        """Return the :class:`indexation.Adjustment` of this line on ``day``.

        :raises indexation.NotPublished: an index is not known
        :raises indexation.NoFactor: nothing published leads from one base year to the other
        """
        start = self._get_index_start(clause)
        valid = self._get_price_on(day - periods.DAY).price_unit
        last = indexation.Standing(periods.exact(valid), self._get_last_month(clause))
        terms = replace(clause._get_terms(), base_month=start.month)
        # sudo: what was published is no secret
        series = clause.sudo().index_id._get_series()
        return indexation.adjust(terms, series, start.price, last, day)

    def _apply_index(self):
        """Plan the prices that follow from the clauses of these lines and the published values.

        :return: the lines with another price than before
        """
        changed = self.browse()
        for line in self.filtered(lambda line: line.contract_id.date_start):
            clause = line._get_index_clause()
            if clause and line._apply_clause(clause):
                changed |= line
        self.env["billing.change"]._note(changed)
        return changed

    def _apply_clause(self, clause):
        """Plan the prices of this line by ``clause``, until an index value is missing.

        :return: whether a price was planned
        """
        # sudo: prices by a clause are fields of the engine
        line, is_changed = self.sudo(), False
        for day in line._get_adjustment_days(clause):
            try:
                found = line._adjust_on(clause, day)
            except (indexation.NotPublished, indexation.NoFactor):
                break
            line._plan_adjusted(clause, day, found)
            is_changed = True
        return is_changed

    def _plan_adjusted(self, clause, day, found):
        """Store the price of this line on ``day`` by the clause, with the figures behind it.

        :param found: an :class:`indexation.Adjustment`
        """
        kept = {
            "clause_id": clause.id,
            "index_month": found.month,
            "index_value": float(found.new.number),
            "old_index_value": float(found.old.number),
            "is_applied": found.is_applied,
        }
        agreed = self.price_ids.filtered(lambda price: price.date_from == day)
        if agreed:
            # a price agreed for this very day stands, as the one that belongs to this index
            agreed.write({**kept, "is_applied": True})
            return
        before = self._get_price_on(day - periods.DAY)
        agreed.create(
            {
                **kept,
                "contract_line_id": self.id,
                "date_from": day,
                "kind": "index",
                "price_unit": float(found.price),
                "quantity": before.quantity,
                "discount": before.discount,
                "note": self._get_index_note(clause, found),
            }
        )

    def _plan_anew(self):
        """Recalculate the indexed prices of days that are not invoiced yet."""
        self._forget_open_index()
        self.env["billing.change"]._note(self)
        self._apply_index()

    def _forget_open_index(self):
        """Remove the indexed prices of days that are not invoiced yet."""
        for line in self:
            until = line.invoiced_until
            rows = line._get_index_rows()
            rows = rows.filtered(lambda row, until=until: not until or row.date_from > until)
            # sudo: prices by a clause are fields of the engine
            rows = rows.sudo()
            rows.filtered(lambda row: row.kind == "index").unlink()
            rows.exists().write({"index_month": False})

    def _get_index_note(self, clause, found):
        env = self.with_context(lang=self.contract_id._get_invoice_lang()).env
        digits = clause.index_id.decimals
        values = {
            "index": clause.index_id.code,
            "old": formatLang(env, float(found.old.number), digits=digits),
            "new": formatLang(env, float(found.new.number), digits=digits),
            "month": format_date(env, found.month, date_format="MMMM y"),
        }
        if not found.is_applied:
            return env._("%(index)s %(month)s: %(old)s → %(new)s, below the threshold", **values)
        return env._("%(index)s %(month)s: %(old)s → %(new)s", **values)
