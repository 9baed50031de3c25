from odoo import api, fields, models

from ..settings.res_company import STEPS


class InvoiceRunSchedule(models.Model):
    """Which steps of a schedule's runs need no person."""

    _inherit = "invoice.run.schedule"

    stop_text = fields.Char("Where Its Runs Stop", compute="_compute_stop_text")

    @api.depends("company_id", *(f"auto_{step}" for step in STEPS))
    def _compute_stop_text(self):
        for schedule in self:
            automatic = {step: schedule._is_automatic(step) for step in STEPS}
            schedule.stop_text = schedule.company_id._get_invoice_run_stop_text(automatic)

    def _is_automatic(self, step):
        """Whether ``step``, one of ``STEPS``, of the runs of this schedule needs no person."""
        choice = self[f"auto_{step}"]
        if choice == "company":
            # sudo: the company's settings say what its runs do
            return self.company_id.sudo()[f"invoice_run_auto_{step}"]
        return choice == "yes"
