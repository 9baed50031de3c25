from odoo import api, models
from odoo.exceptions import AccessError

from ..base.states import CONTRACT_BILLED

PANEL = "invoice_run.onboarding_first_steps"
RUN_STEP = "invoice_run.onboarding_step_run"
SCHEDULE_STEP = "invoice_run.onboarding_step_schedule"
#: Codes of readiness that the guided set-up asks for, see ``billing.setup``.
ASKED_BY_SETUP = ("sender", "setting")
COMPANY_STEP = "account.onboarding_onboarding_step_company_data"


class InvoiceRun(models.Model):
    """First steps on the dashboard: Odoo's onboarding, ticked by what there is."""

    _inherit = "invoice.run"

    @api.model
    def get_first_steps(self):
        """Return the first steps of the company in use; None when they are over or closed.

        A step is done when its record exists, whoever created it: sample data tick steps, and
        what is removed is open again. The first invoices of own data end the first steps.
        """
        self.check_access("read")
        panel = self._get_first_steps_panel()
        sample = bool(self.env["invoice.run.sample"]._get_records("billing.contract"))
        over = not sample and self._exists_for_first_step(RUN_STEP)
        if not panel or panel.is_onboarding_closed or over:
            return None
        steps = [self._prepare_first_step(step) for step in panel.step_ids]
        steps = [step for step in steps if step]
        manager = self.env.user.has_group("invoice_run.invoice_run_group_manager")
        findings = self._get_first_findings(manager)
        return {"steps": steps, "sample": sample, "manager": manager, "findings": findings}

    @api.model
    def _get_first_findings(self, manager):
        """Return what is missing before the first invoices; not what the set-up still asks."""
        findings = self.env["invoice.run.readiness"]._get_company_findings(self.env.company)
        if not manager or self._exists_for_first_step(SCHEDULE_STEP):
            return findings
        # without buttons: it does not ask those who may not answer
        return [one for one in findings if one["code"] not in ASKED_BY_SETUP or not one["buttons"]]

    @api.model
    def close_first_steps(self):
        """Hide the first steps from everybody of this company.

        :raises AccessError: the user is not a manager of invoice runs
        """
        if not self.env.user.has_group("invoice_run.invoice_run_group_manager"):
            raise AccessError(
                self.env._("Only managers of invoice runs can close the first steps.")
            )
        panel = self._get_first_steps_panel()
        panel._search_or_create_progress()
        panel.action_close()

    @api.model
    def _get_first_steps_panel(self):
        # sudo: users of runs have no rights on the records of onboarding
        panel = self.env.ref(PANEL, raise_if_not_found=False)
        return (panel or self.env["onboarding.onboarding"]).sudo()

    @api.model
    def _prepare_first_step(self, step):
        """Return what the dashboard shows of a step; None for what the user cannot do."""
        xml_id = step.get_external_id()[step.id]
        if xml_id == COMPANY_STEP and not self.env["res.company"].has_access("write"):
            return None
        return {
            "id": step.id,
            "title": step.title,
            "description": step.description,
            "button": step.button_text,
            "method": step.panel_step_open_action_name,
            "done": self._is_first_step_done(step, xml_id),
        }

    @api.model
    def _is_first_step_done(self, step, xml_id):
        if xml_id == COMPANY_STEP:
            return bool(self.env.company.street)
        if xml_id in self._get_first_step_domains():
            return self._exists_for_first_step(xml_id)
        return step.current_step_state != "not_done"

    @api.model
    def _exists_for_first_step(self, xml_id):
        model, domain = self._get_first_step_domains()[xml_id]
        domain = [("company_id", "=", self.env.company.id), *domain]
        return bool(self.env[model].search_count(domain, limit=1))

    @api.model
    def _get_first_step_domains(self):
        """Return {external id of the step: (model, domain of the records by which it is done)}."""
        return {
            "invoice_run.onboarding_step_scenario": ("billing.scenario", []),
            "invoice_run.onboarding_step_contract": (
                "billing.contract",
                [("state", "in", CONTRACT_BILLED)],
            ),
            SCHEDULE_STEP: (
                "invoice.run.schedule",
                [("cycle", "!=", "once")],
            ),
            RUN_STEP: (
                "invoice.run.document",
                [("state", "=", "invoiced")],
            ),
        }
