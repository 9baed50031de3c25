from odoo import fields, models


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    repair_id = fields.Many2one("workshop.repair", index="btree_not_null", ondelete="restrict")

    _repair_claimed_once = models.UniqueIndex(
        "(repair_id) WHERE is_claimed AND repair_id IS NOT NULL",
        "This repair is already billed, or claimed by another run.",
    )
