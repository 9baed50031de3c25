from odoo import api, fields, models


class InvoiceRunReason(models.TransientModel):
    """Asks why the amounts of a run are deleted or rejected."""

    _name = "invoice.run.reason"
    _description = "Reason to Delete or Reject Amounts"
    _inherit = "invoice.run.wizard"

    run_id = fields.Many2one("invoice.run", required=True, ondelete="cascade")
    purpose = fields.Selection(
        [("delete", "Delete Amounts"), ("reject", "Reject Amounts")],
        required=True,
        default="delete",
    )
    reason = fields.Char(required=True)

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        return super()._get_fixed_fields() | {"run_id", "purpose"}

    def action_confirm(self):
        """Delete or reject the amounts."""
        self.ensure_one()
        if self.purpose == "reject":
            self.run_id.action_reject(self.reason)
        else:
            self.run_id.action_delete_amounts(self.reason)
        return {"type": "ir.actions.act_window_close"}
