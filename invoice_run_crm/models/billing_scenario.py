from odoo import api, models
from odoo.fields import Command

WON_AND_APPROVED = [
    ("opportunity_id.won_status", "=", "won"),
    ("approved_for_invoicing", "=", True),
]


class BillingScenario(models.Model):
    _inherit = "billing.scenario"

    @api.model
    def _get_default_scenarios(self):
        # EXTENDS 'invoice_run'
        closed = {
            "name": self.env._("Closed"),
            "field_path": "opportunity_id.date_closed",
            "operator": "between",
            "value": "previous_month_start",
            "value_to": "previous_month_end",
            "is_asked": True,
        }
        won = {
            "name": self.env._("Won opportunities"),
            "description": self.env._(
                "Orders of opportunities that were won and closed in the range that you give, "
                "and that are approved for invoicing."
            ),
            "source": "sale",
            "domain": str(WON_AND_APPROVED),
            "rule_ids": [Command.create(closed)],
        }
        defaults = super()._get_default_scenarios()
        return {**defaults, "invoice_run_crm.scenario_won_opportunities": won}
