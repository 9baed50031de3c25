from odoo import fields, models


class InvoiceRunLine(models.Model):
    """Opportunity and team of an order's amounts, stored to group and filter by them."""

    _inherit = "invoice.run.line"

    opportunity_id = fields.Many2one(
        related="sale_order_id.opportunity_id", store=True, index="btree_not_null"
    )
    sale_team_id = fields.Many2one(
        related="sale_order_id.team_id",
        string="Sales Team",
        store=True,
        index="btree_not_null",
    )
