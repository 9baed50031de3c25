from odoo import api, fields, models

USERS = "invoice_run.invoice_run_group_user"


class ResPartner(models.Model):
    """What the contracts of a customer charge today."""

    _inherit = "res.partner"

    billing_currency_id = fields.Many2one(
        "res.currency", compute="_compute_billing_amount_month", groups=USERS
    )
    billing_amount_month = fields.Monetary(
        "Recurring per Month",
        compute="_compute_billing_amount_month",
        currency_field="billing_currency_id",
        groups=USERS,
        help="Untaxed, of the price lines of this customer that are in force today, in company "
        "currency at today's rates.",
    )

    @api.depends_context("company", "allowed_company_ids")
    def _compute_billing_amount_month(self):
        lines = self.env["billing.contract.line"]
        sums = lines._get_recurring_sums("partner_id", self)
        for partner in self:
            partner.billing_currency_id = self.env.company.currency_id
            partner.billing_amount_month = sums.get(partner._origin.id, (0.0, 0.0))[0]
