from odoo import api, models


class BasePartnerMergeAutomaticWizard(models.TransientModel):
    """Customers that are merged share the bands of a tariff from then on."""

    _inherit = "base.partner.merge.automatic.wizard"

    @api.model
    def _update_foreign_keys(self, src_partners, dst_partner):
        # EXTENDS 'base': pools name their customer in a text
        result = super()._update_foreign_keys(src_partners, dst_partner)
        self.env["invoice.run.line"]._follow_merged_customers(src_partners, dst_partner)
        return result
