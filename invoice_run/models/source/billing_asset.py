from odoo import fields, models


class BillingAsset(models.Model):
    """What is invoiced: a vehicle, a unit, a machine."""

    _name = "billing.asset"
    _description = "Asset"
    _order = "name, id"
    _check_company_auto = True
    _rec_names_search = ["name", "code"]

    name = fields.Char(required=True)
    code = fields.Char(help="Number plate, unit or serial number.")
    cluster_id = fields.Many2one(
        "billing.cluster",
        check_company=True,
        index="btree_not_null",
        help="Business unit by which the charges of this asset are selected.",
    )
    company_id = fields.Many2one(
        "res.company", required=True, index=True, default=lambda self: self.env.company
    )
    active = fields.Boolean(default=True)
