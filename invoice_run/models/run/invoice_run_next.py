from odoo import api, fields, models
from odoo.tools import SQL


class InvoiceRun(models.Model):
    """The order in which runs need attention, and what a phone shows first."""

    _inherit = "invoice.run"

    next_rank = fields.Integer(
        "Order of What Comes Next",
        compute="_compute_next_rank",
        help="What has begun comes first, the oldest period on top; then what begins next; then "
        "what is finished, the newest on top.",
    )

    def _compute_next_rank(self):
        self.flush_model(["state", "date_from", "activation_date"])
        query = self._search([("id", "in", self.ids)], active_test=False, bypass_access=True)
        rank = self._field_to_sql(self._table, "next_rank", query)
        ranks = dict(self.env.execute_query(query.select(SQL.identifier("id"), rank)))
        for run in self:
            run.next_rank = ranks.get(run._origin.id, 0)

    def _field_to_sql(self, alias, field_expr, query=None):
        # EXTENDS 'base': computed, and still a list can be sorted by it
        if field_expr != "next_rank":
            return super()._field_to_sql(alias, field_expr, query)
        return SQL(
            """CASE
                WHEN %(state)s IN ('submitted', 'amounts', 'approved')
                    THEN %(date_from)s - DATE '1900-01-01'
                WHEN %(state)s IN ('draft', 'on_hold')
                    THEN 1000000 + (COALESCE(%(activation)s, %(date_from)s) - DATE '1900-01-01')
                ELSE 3000000 - (%(date_from)s - DATE '1900-01-01')
            END""",
            state=self._field_to_sql(alias, "state", query),
            date_from=self._field_to_sql(alias, "date_from", query),
            activation=self._field_to_sql(alias, "activation_date", query),
        )

    @api.model
    def _get_view(self, view_id=None, view_type="form", **options):
        # EXTENDS 'base': the phone shows one column at a time, so grouped cards would begin with an
        # empty one; there they come in the order of what comes next
        arch, view = super()._get_view(view_id, view_type, **options)
        if view_type == "kanban" and options.get("mobile"):
            arch.attrib.pop("default_group_by", None)
        return arch, view
