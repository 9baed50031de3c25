from odoo import api, models


class BillingScenario(models.Model):
    _inherit = "billing.scenario"

    @api.model
    def _get_default_scenarios(self):
        # EXTENDS 'invoice_run'
        repairs = {"name": self.env._("Finished repairs"), "source": "repair"}
        defaults = super()._get_default_scenarios()
        return {**defaults, "test_invoice_run_source.scenario_repairs": repairs}
