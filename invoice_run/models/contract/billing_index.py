from odoo import api, fields, models

from ...engine import indexation, periods
from ..base.possible_dates import check_years


class BillingIndex(models.Model):
    """A published index that prices follow."""

    _name = "billing.index"
    _description = "Price Index"
    _inherit = ["mail.thread"]
    _order = "code, id"
    _rec_names_search = ["code", "name"]
    _check_company_auto = True

    code = fields.Char(required=True, tracking=True, help="For example BE-HEALTH or FR-IRL.")
    name = fields.Char(required=True, translate=True, tracking=True)
    decimals = fields.Integer(default=2, help="Of the values that are published.")
    publisher = fields.Char(help="For example Statbel, INSEE, Destatis, BFS or CBS.")
    company_id = fields.Many2one(
        "res.company", required=True, index=True, default=lambda self: self.env.company
    )
    active = fields.Boolean(default=True)
    value_ids = fields.One2many("billing.index.value", "index_id", "Values")
    factor_ids = fields.One2many("billing.index.factor", "index_id", "Base Years")
    last_month = fields.Date("Published Until", compute="_compute_last_month")

    _code_unique = models.UniqueIndex(
        "(company_id, code)", "There is already an index with this code."
    )
    _decimals_range = models.Constraint(
        "CHECK (decimals BETWEEN 0 AND 6)", "An index has at most 6 decimals."
    )

    @api.depends("name", "code")
    def _compute_display_name(self):
        for index in self:
            index.display_name = " ".join(filter(None, (index.code, index.name)))

    @api.depends("value_ids.month")
    def _compute_last_month(self):
        groups = self.env["billing.index.value"]._read_group(
            [("index_id", "in", self.ids)], ["index_id"], ["month:max"]
        )
        months = {index.id: month for index, month in groups}
        for index in self:
            index.last_month = months.get(index._origin.id, False)

    def _get_series(self):
        """Return what was published, as an :class:`indexation.Series`."""
        self.ensure_one()
        values = {}
        for value in self.value_ids:
            number = indexation.Value(periods.exact(value.value), value.base_year)
            values.setdefault(value.month, {})[value.base_year] = number
        factors = {
            (factor.base_year, factor.new_base_year): periods.exact(factor.factor)
            for factor in self.factor_ids
        }
        return indexation.Series(values, factors)


class BillingIndexValue(models.Model):
    """What was published for one month."""

    _name = "billing.index.value"
    _description = "Index Value"
    _inherit = ["mail.thread", "invoice.run.import.mixin"]
    _order = "index_id, month desc, base_year desc"
    _rec_name = "month"

    index_id = fields.Many2one("billing.index", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="index_id.company_id", store=True, index=True)
    month = fields.Date(required=True, help="Any day of the month; kept is the first.")
    value = fields.Float(digits=False, required=True, tracking=True)
    base_year = fields.Integer(
        help="The year in which the index is 100. Empty for an index that never changed its base."
    )

    _one_a_month = models.UniqueIndex(
        "(index_id, month, base_year)", "This month already has a value with the same base year."
    )
    _value_positive = models.Constraint(
        "CHECK (value > 0)", "The value of an index must be above 0."
    )

    @api.constrains("month")
    def _check_years(self):
        check_years(self, ["month"])

    @api.model_create_multi
    def create(self, vals_list):
        values = super().create([self._prepare_month(vals) for vals in vals_list])
        # prices that could not be calculated before; what was applied already stays
        values.index_id._apply()
        return values

    def write(self, vals):
        return super().write(self._prepare_month(vals))

    @api.model
    def _prepare_month(self, vals):
        if not vals.get("month"):
            return vals
        return {**vals, "month": fields.Date.to_date(vals["month"]).replace(day=1)}


class BillingIndexFactor(models.Model):
    """The factor by which values on one base become values on a later one."""

    _name = "billing.index.factor"
    _description = "Change of Base Year"
    _order = "index_id, base_year, new_base_year"

    index_id = fields.Many2one("billing.index", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="index_id.company_id", store=True, index=True)
    base_year = fields.Integer("From Base Year", required=True)
    new_base_year = fields.Integer("To Base Year", required=True)
    factor = fields.Float(
        digits=False,
        required=True,
        help="As published: a value on the first base × this factor is the value on the second.",
    )

    _one_a_change = models.UniqueIndex(
        "(index_id, base_year, new_base_year)", "This change of base already has a factor."
    )
    _factor_positive = models.Constraint("CHECK (factor > 0)", "The factor must be above 0.")
    _bases_differ = models.Constraint(
        "CHECK (base_year <> new_base_year)", "The two base years must differ."
    )

    @api.model_create_multi
    def create(self, vals_list):
        factors = super().create(vals_list)
        factors.index_id._apply()
        return factors
