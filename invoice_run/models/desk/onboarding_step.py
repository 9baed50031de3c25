from odoo import api, models


class OnboardingStep(models.Model):
    """What the buttons of the first steps open."""

    _inherit = "onboarding.onboarding.step"

    @api.model
    def action_open_step_invoice_run_scenario(self):
        return self._open_invoice_run("billing_scenario_action")

    @api.model
    def action_open_step_invoice_run_contract(self):
        return self._open_invoice_run("billing_contract_action", new=True)

    @api.model
    def action_open_step_invoice_run_schedule(self):
        return self._open_invoice_run("invoice_run_schedule_action", new=True)

    @api.model
    def action_open_step_invoice_run_run(self):
        return self._open_invoice_run("invoice_run_action")

    @api.model
    def _open_invoice_run(self, xml_id, new=False):
        """Return the action, for users who work with runs.

        :raises AccessError: the user has none of the roles of invoice runs
        """
        self.env["invoice.run"].check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(f"invoice_run.{xml_id}")
        if new:
            action["views"] = [(False, "form")]
        return action
