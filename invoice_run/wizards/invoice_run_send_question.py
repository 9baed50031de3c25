from odoo import api, fields, models


class InvoiceRunSendQuestion(models.TransientModel):
    """Asks whether to send although something is missing."""

    _name = "invoice.run.send.question"
    _description = "Question Before Sending"
    _inherit = "invoice.run.wizard"

    run_ids = fields.Many2many("invoice.run", required=True)
    readiness = fields.Json(compute="_compute_readiness")

    def _compute_readiness(self):
        for question in self:
            question.readiness = question.run_ids._get_readiness()

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        return super()._get_fixed_fields() | {"run_ids"}

    def action_confirm(self):
        """Send what can be sent."""
        self.ensure_one()
        self.run_ids.action_send()
        return {"type": "ir.actions.act_window_close"}
