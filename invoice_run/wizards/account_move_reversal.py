from odoo import api, fields, models
from odoo.exceptions import UserError

from ..engine import ledger
from ..models.base.invoice_run_guarded import ENGINE, EngineValue


class BillingCreditMixin(models.AbstractModel):
    """The question for which days a credit is, and its three answers."""

    _name = "billing.credit.mixin"
    _description = "For Which Days a Credit Is"

    billing_credit_kind = fields.Selection(
        [
            (ledger.LAST, "For the last days invoiced"),
            (ledger.DAYS, "For certain days"),
            (ledger.GOODWILL, "Goodwill, not for particular days"),
        ],
        "For Which Days?",
        default=ledger.LAST,
        help="If the contract ends before days that have been invoiced, the next run credits "
        "what has not been credited for them yet.",
    )
    billing_credit_from = fields.Date("First Day Credited", help="First day, included.")
    billing_credit_to = fields.Date("Last Day Credited", help="Last day, included.")

    def _check_credit_answer(self):
        """Refuse days that are missing or out of order.

        :raises UserError: says what to fill in
        """
        self.ensure_one()
        first, last = self.billing_credit_from, self.billing_credit_to
        if self.billing_credit_kind == ledger.DAYS and not (first and last and first <= last):
            raise UserError(
                self.env._("Fill in the first and the last day that the credit is for, in order.")
            )


class AccountMoveReversal(models.TransientModel):
    _name = "account.move.reversal"
    _inherit = ["account.move.reversal", "billing.credit.mixin"]

    invoice_bill_again = fields.Boolean(
        "Release for Invoicing",
        help="When the credit note is confirmed for the full amount, the periods of the invoice "
        "are released and the next invoice run proposes them again.",
    )
    has_billed_periods = fields.Boolean(compute="_compute_has_billed_periods")

    @api.depends("move_ids")
    def _compute_has_billed_periods(self):
        for wizard in self:
            lines = wizard.move_ids._get_affected_run_lines()
            # a credited order is to be invoiced again by Odoo's own invoiced quantities
            wizard.has_billed_periods = any(
                not line._get_source()._source_follows_invoices for line in lines
            )

    def _prepare_default_reversal(self, move):
        # EXTENDS 'account': no credit note of a run's invoice is dated before it
        vals = super()._prepare_default_reversal(move)
        # sudo: users who reverse an invoice need not see the run that created it
        if move.sudo().invoice_run_id:
            for name in ("date", "invoice_date", "invoice_date_due"):
                vals[name] = max(filter(None, (vals.get(name), move.date, move.invoice_date)))
        moves_claims = self.env.context.get("invoice_run_move_claims") is ENGINE
        if self.invoice_bill_again or moves_claims:
            # what the wizard asks becomes a field of the engine on the credit note
            vals["invoice_bill_again"] = EngineValue(True)
        return vals

    def reverse_moves(self, is_modify=False):
        # EXTENDS 'account': the answer for which days it is
        self._check_credit_answer()
        action = super().reverse_moves(is_modify)
        if not is_modify:
            # sudo: users who reverse an invoice need not see the run that created it
            lines = self.new_move_ids.sudo().line_ids.filtered("billing_credited_line_id")
            lines.filtered(lambda line: line._is_money_back())._answer_credit(self)
        return action

    def modify_moves(self):
        # EXTENDS 'account': the new invoice takes over the periods of the reversed one
        wizard = self.with_context(invoice_run_move_claims=ENGINE)
        action = super(AccountMoveReversal, wizard).modify_moves()
        for move in self.new_move_ids:
            # sudo: users who reverse an invoice need not see the run that created it
            document = move.sudo().invoice_line_ids.invoice_run_line_id.document_id[:1]
            move._write_engine(
                {"invoice_run_document_id": document.id, "invoice_run_id": document.run_id.id}
            )
        self.new_move_ids._get_affected_run_lines()._follow_invoices()
        return action
