from odoo import fields, models


class BillingCategory(models.Model):
    _name = "billing.category"
    _description = "Invoice Category"
    _order = "name, id"
    _check_company_auto = True

    name = fields.Char(required=True, translate=True)
    journal_id = fields.Many2one(
        "account.journal",
        check_company=True,
        domain="[('type', '=', 'sale')]",
        help="Invoices of this category are numbered in this journal. "
        "Empty: the journal of the billing cluster, else the company's.",
    )
    company_id = fields.Many2one(
        "res.company", required=True, index=True, default=lambda self: self.env.company
    )
    active = fields.Boolean(default=True)
