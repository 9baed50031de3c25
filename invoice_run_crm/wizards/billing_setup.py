from odoo import api, models


class BillingSetup(models.TransientModel):
    _inherit = "billing.setup"

    @api.model
    def _get_choice_keys(self):
        # EXTENDS 'invoice_run'
        return [*super()._get_choice_keys(), "invoice_run_crm.scenario_won_opportunities"]
