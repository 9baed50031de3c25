from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL

#: Value of ``send_way`` where nobody has chosen how an invoice goes to its customer.
UNDECIDED = "undecided"


class InvoiceRunDocument(models.Model):
    """The way of sending by which documents are grouped and counted.

    What nobody decided about has "Do not send" stored, so that nothing leaves: grouped by that,
    it would be counted under a decision.
    """

    _inherit = "invoice.run.document"

    send_way = fields.Selection(
        selection="_selection_send_way",
        string="Way of Sending",
        compute="_compute_send_way",
        search="_search_send_way",
        help="How the invoice goes to the customer, or that nobody has decided it.",
    )

    @api.model
    def _selection_send_way(self):
        return [*self._selection_send_action(), (UNDECIDED, self.env._("Not decided"))]

    @api.depends("send_action", "is_send_unset")
    def _compute_send_way(self):
        for document in self:
            document.send_way = UNDECIDED if document.is_send_unset else document.send_action

    def _search_send_way(self, operator, value):
        if operator != "in":
            return NotImplemented
        decided = Domain("is_send_unset", "=", False)
        found = decided & Domain("send_action", "in", [way for way in value if way != UNDECIDED])
        return found | Domain("is_send_unset", "=", True) if UNDECIDED in value else found

    def _field_to_sql(self, alias, field_expr, query=None):
        # EXTENDS 'base': computed, and still lists and pivots are grouped by it
        if field_expr != "send_way":
            return super()._field_to_sql(alias, field_expr, query)
        return SQL(
            "CASE WHEN %(unset)s THEN %(undecided)s ELSE %(action)s END",
            unset=self._field_to_sql(alias, "is_send_unset", query),
            undecided=UNDECIDED,
            action=self._field_to_sql(alias, "send_action", query),
        )

    @api.model
    def fields_get(self, allfields=None, attributes=None):
        # EXTENDS 'base': pivots and lists propose the way of sending as a group, and not this one
        description = super().fields_get(allfields, attributes)
        if "groupable" in description.get("send_action", {}):
            description["send_action"]["groupable"] = False
        return description
