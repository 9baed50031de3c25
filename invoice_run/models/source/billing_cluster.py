from odoo import fields, models


class BillingCluster(models.Model):
    """Business unit: what is invoiced together, and by which company."""

    _name = "billing.cluster"
    _description = "Billing Cluster"
    _order = "name, id"
    _check_company_auto = True
    _rec_names_search = ["name", "code"]

    name = fields.Char(required=True)
    code = fields.Char()
    company_id = fields.Many2one(
        "res.company",
        "Invoicing Party",
        required=True,
        index=True,
        default=lambda self: self.env.company,
        help="Company that issues the invoices.",
    )
    journal_id = fields.Many2one(
        "account.journal",
        check_company=True,
        domain="[('type', '=', 'sale')]",
        help="Journal of the invoices of this cluster. Empty: the company's sales journal.",
    )
    active = fields.Boolean(default=True)
