from odoo import api, fields, models

from .. import ledger
from .account_move import ACCOUNTANTS
from .invoice_run_guarded import ENGINE


class AccountMoveLine(models.Model):
    _name = "account.move.line"
    _inherit = ["account.move.line", "invoice.run.guarded"]

    invoice_run_line_id = fields.Many2one(
        "invoice.run.line",
        "Billed Amount",
        copy=False,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        groups=ACCOUNTANTS,
    )
    billing_credited_line_id = fields.Many2one(
        "account.move.line",
        "Credited Invoice Line",
        copy=False,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        groups=ACCOUNTANTS,
        help="Invoice line of a run that this one gives back; the ledger counts them together.",
    )
    billing_credit_kind = fields.Selection(
        [
            (ledger.LAST, "For the last days billed"),
            (ledger.DAYS, "For the days of the line"),
            (ledger.GOODWILL, "A goodwill, not for days"),
        ],
        "Credit For",
        copy=False,
        readonly=True,
        groups=ACCOUNTANTS,
        help="For which days the money is given back. Empty: nobody was asked.",
    )
    billing_date_from = fields.Date("Period From", help="First day billed, included.")
    billing_date_to = fields.Date("Period To", help="Last day billed, included.")

    @api.model
    def _get_engine_fields(self):
        # EXTENDS 'invoice.run.guarded'
        return super()._get_engine_fields() | {
            "invoice_run_line_id",
            "billing_credited_line_id",
            "billing_credit_kind",
        }

    def unlink(self):
        # EXTENDS 'account': a deleted invoice line gives its period back
        # sudo: who may delete an invoice line need not see the run that made it
        run_lines = self.sudo().invoice_run_line_id
        result = super().unlink()
        if run_lines:
            run_lines.exists()._sync_claims()
        return result

    def _copy_data_extend_business_fields(self, values):
        # EXTENDS 'account': "Reverse and create invoice" moves the claim to the new invoice
        result = super()._copy_data_extend_business_fields(values)
        reversing = "move_reverse_cancel" in self.env.context
        # the object, not True: over RPC a context can hold anything else
        if self.env.context.get("invoice_run_move_claims") is ENGINE and not reversing:
            # sudo: who reverses an invoice need not see the run that made it
            values["invoice_run_line_id"] = self.sudo().invoice_run_line_id.id
        return result
