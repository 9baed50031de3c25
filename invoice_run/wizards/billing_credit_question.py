from odoo import api, fields, models


class BillingCreditQuestion(models.TransientModel):
    """Asks for which days a credit is that nobody was asked about when it was created."""

    _name = "billing.credit.question"
    _inherit = ["billing.credit.mixin", "invoice.run.wizard"]
    _description = "For Which Days a Credit of an Invoice Is"

    exception_id = fields.Many2one("invoice.run.exception", required=True, ondelete="cascade")
    message = fields.Text(related="exception_id.message")

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        return super()._get_fixed_fields() | {"exception_id"}

    def action_apply(self):
        """Note the answer on the credit; the next run proposes what is left to credit.

        :raises UserError: days are missing, or more would be credited than was invoiced
        """
        self._check_credit_answer()
        self.exception_id.run_id.check_access("write")
        # sudo: exceptions and the days of credits belong to the engine
        self.exception_id.sudo()._answer_credits(self)
        return {"type": "ir.actions.act_window_close"}
