from odoo import api, fields, models

from ..models.invoice_run_guarded import ENGINE, EngineValue


class AccountMoveReversal(models.TransientModel):
    _inherit = "account.move.reversal"

    invoice_bill_again = fields.Boolean(
        "Bill the Periods Again",
        help="When the credit note is confirmed in full, the next invoice run proposes the "
        "periods of the invoice again.",
    )
    has_billed_periods = fields.Boolean(compute="_compute_has_billed_periods")

    @api.depends("move_ids")
    def _compute_has_billed_periods(self):
        for wizard in self:
            lines = wizard.move_ids._get_affected_run_lines()
            # a credited order is to be invoiced again by Odoo's own invoiced quantities
            wizard.has_billed_periods = any(not line.sale_order_id for line in lines)

    def _prepare_default_reversal(self, move):
        # EXTENDS 'account'
        vals = super()._prepare_default_reversal(move)
        moves_claims = self.env.context.get("invoice_run_move_claims") is ENGINE
        if self.invoice_bill_again or moves_claims:
            # what the wizard asks becomes a field of the engine on the credit note
            vals["invoice_bill_again"] = EngineValue(True)
        return vals

    def modify_moves(self):
        # EXTENDS 'account': the new invoice takes over the periods of the reversed one
        wizard = self.with_context(invoice_run_move_claims=ENGINE)
        action = super(AccountMoveReversal, wizard).modify_moves()
        for move in self.new_move_ids:
            # sudo: who reverses an invoice need not see the run that made it
            document = move.sudo().invoice_line_ids.invoice_run_line_id.document_id[:1]
            move._write_engine(
                {"invoice_run_document_id": document.id, "invoice_run_id": document.run_id.id}
            )
        self.new_move_ids._get_affected_run_lines()._follow_invoices()
        return action
