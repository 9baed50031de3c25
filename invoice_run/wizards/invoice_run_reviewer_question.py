from odoo import api, fields, models
from odoo.exceptions import UserError


class InvoiceRunReviewerQuestion(models.TransientModel):
    """Asks who is to approve a run."""

    _name = "invoice.run.reviewer.question"
    _description = "Question Who Approves a Run"
    _inherit = "invoice.run.wizard"

    run_id = fields.Many2one("invoice.run", required=True, ondelete="cascade")
    company_id = fields.Many2one(related="run_id.company_id")
    reviewer_id = fields.Many2one(
        "res.users",
        required=True,
        domain=lambda self: [
            *self.env["res.users"]._get_invoice_run_reviewer_domain(),
            ("id", "!=", self.env.uid),
        ],
    )

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        return super()._get_fixed_fields() | {"run_id"}

    def action_confirm(self):
        """Ask this colleague, who gets an activity; the answer comes back as a message.

        :raises UserError: the colleague may not approve the run, or cannot see it
        """
        self.ensure_one()
        run, reviewer = self.run_id, self.reviewer_id
        if not (reviewer._is_invoice_run_reviewer() and run._is_visible_to(reviewer)):
            raise UserError(
                self.env._(
                    "%(user)s cannot approve this run: choose a colleague with the reviewer's role "
                    "in %(company)s.",
                    user=reviewer.name,
                    company=run.company_id.name,
                )
            )
        run.reviewer_id = reviewer
        if run.is_approval_asked:
            run._ask_for_approval()
        else:
            run._ask_reviewer()
        run._notify_progress()
        return {"type": "ir.actions.act_window_close"}
