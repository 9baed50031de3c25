from odoo import fields, models


class InvoiceRunException(models.Model):
    _inherit = "invoice.run.exception"

    repair_id = fields.Many2one("workshop.repair", index="btree_not_null", ondelete="cascade")
