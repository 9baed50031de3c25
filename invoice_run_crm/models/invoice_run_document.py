from odoo import api, fields, models


class InvoiceRunDocument(models.Model):
    """Opportunity and team of a document, where all its orders have the same."""

    _inherit = "invoice.run.document"

    opportunity_id = fields.Many2one(
        "crm.lead",
        compute="_compute_opportunity",
        store=True,
        index="btree_not_null",
        help="Empty where the document invoices orders of several opportunities.",
    )
    sale_team_id = fields.Many2one(
        "crm.team",
        "Sales Team",
        compute="_compute_opportunity",
        store=True,
        index="btree_not_null",
        help="Empty where the document invoices orders of several teams.",
    )

    @api.depends("line_ids.opportunity_id", "line_ids.sale_team_id")
    def _compute_opportunity(self):
        for document in self:
            document.opportunity_id = document._get_shared("opportunity_id")
            document.sale_team_id = document._get_shared("sale_team_id")

    def _get_shared(self, name):
        """Return the record that all amounts have in field ``name``, else none."""
        values = {line[name] for line in self.line_ids}
        return values.pop() if len(values) == 1 else False
