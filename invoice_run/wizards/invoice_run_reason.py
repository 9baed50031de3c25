from odoo import fields, models


class InvoiceRunReason(models.TransientModel):
    """Asks why the amounts of a run are deleted."""

    _name = "invoice.run.reason"
    _description = "Reason to Delete Amounts"

    run_id = fields.Many2one("invoice.run", required=True, ondelete="cascade")
    reason = fields.Char(required=True)

    def action_confirm(self):
        """Delete the amounts."""
        self.ensure_one()
        self.run_id.action_delete_amounts(self.reason)
        return {"type": "ir.actions.act_window_close"}
