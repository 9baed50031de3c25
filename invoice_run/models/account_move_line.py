from odoo import api, fields, models

from .account_move import ACCOUNTANTS
from .invoice_run_guarded import ENGINE, EngineValue


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
    billing_given_back = fields.Boolean(
        copy=False,
        readonly=True,
        groups=ACCOUNTANTS,
        help="As on the invoice: for the index, which sees no other table.",
    )
    billing_date_from = fields.Date("Period From", help="First day billed, included.")
    billing_date_to = fields.Date("Period To", help="Last day billed, included.")

    _run_line_invoiced_once = models.UniqueIndex(
        "(invoice_run_line_id) WHERE invoice_run_line_id IS NOT NULL"
        " AND parent_state IS DISTINCT FROM 'cancel' AND billing_given_back IS NOT TRUE",
        "This amount of an invoice run is on an invoice already. Cancel or delete one of the two.",
    )

    @api.model
    def _get_engine_fields(self):
        # EXTENDS 'invoice.run.guarded'
        return super()._get_engine_fields() | {"invoice_run_line_id", "billing_given_back"}

    def unlink(self):
        # EXTENDS 'account': a deleted invoice line gives its period back
        # sudo: who may delete an invoice line need not see the run that made it
        run_lines = self.sudo().invoice_run_line_id
        result = super().unlink()
        if run_lines:
            run_lines.exists()._follow_invoices()
        return result

    def _copy_data_extend_business_fields(self, values):
        # EXTENDS 'account': "Reverse and create invoice" moves the claim to the new invoice
        result = super()._copy_data_extend_business_fields(values)
        reversing = "move_reverse_cancel" in self.env.context
        # the object, not True: over RPC a context can hold anything else
        if self.env.context.get("invoice_run_move_claims") is ENGINE and not reversing:
            # sudo: who reverses an invoice need not see the run that made it
            values["invoice_run_line_id"] = EngineValue(self.sudo().invoice_run_line_id.id)
        return result
