from odoo import fields, models
from odoo.tools import float_compare

from ...engine import ledger
from ..base.groups import ACCOUNTANTS
from ..base.invoice_run_guarded import ENGINE, EngineValue

#: Fields that a credit depends on: they do not change before the credit is undone.
CREDITED_FIELDS = {
    "quantity",
    "price_unit",
    "discount",
    "tax_ids",
    "product_id",
    "account_id",
    "billing_date_from",
    "billing_date_to",
}


class AccountMoveLine(models.Model):
    _name = "account.move.line"
    _inherit = ["account.move.line", "invoice.run.guarded"]

    invoice_run_line_id = fields.Many2one(
        "invoice.run.line",
        "Amount of the Run",
        copy=False,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        groups=ACCOUNTANTS,
        engine=True,
    )
    billing_given_back = fields.Boolean(
        "Released for Invoicing",
        copy=False,
        readonly=True,
        groups=ACCOUNTANTS,
        help="Copied from the invoice, because an index cannot read another table.",
        engine=True,
    )
    billing_credited_line_id = fields.Many2one(
        "account.move.line",
        "Credited Invoice Line",
        copy=False,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        groups=ACCOUNTANTS,
        help="Invoice line of a run that this line credits; the ledger counts them together.",
        engine=True,
    )
    billing_credit_kind = fields.Selection(
        [
            (ledger.LAST, "For the last days invoiced"),
            (ledger.DAYS, "For the days of the line"),
            (ledger.GOODWILL, "Goodwill, not for particular days"),
        ],
        "Credit For",
        copy=False,
        readonly=True,
        groups=ACCOUNTANTS,
        help="The days that the credit is for. Empty: not specified.",
        engine=True,
    )
    billing_date_from = fields.Date("Period From", help="First day invoiced, included.")
    billing_date_to = fields.Date("Period To", help="Last day invoiced, included.")

    _run_line_invoiced_once = models.UniqueIndex(
        "(invoice_run_line_id) WHERE invoice_run_line_id IS NOT NULL "
        "AND parent_state IS DISTINCT FROM 'cancel' AND billing_given_back IS NOT TRUE",
        "This amount of an invoice run is already on an invoice. Cancel or delete one of the two.",
    )

    def write(self, vals):
        # EXTENDS 'account': a credit stands on the amounts and days of what it credits
        if CREDITED_FIELDS.intersection(vals):
            self._get_changed_lines(vals)._check_credits_undone()
        return super().write(vals)

    def _get_changed_lines(self, vals):
        """Return those of these lines of runs whose amount, account or days ``vals`` change."""
        # sudo: users who edit an invoice need not see the run that created it
        lines = self.sudo().filtered("invoice_run_line_id")
        if not lines:
            return lines
        names = CREDITED_FIELDS.intersection(vals)
        return lines.filtered(lambda line: any(line._is_other(name, vals[name]) for name in names))

    def _is_other(self, name, value):
        """Whether ``value``, as given to ``write``, differs from that of this line."""
        field = self._fields[name]
        new = field.convert_to_record(field.convert_to_cache(value, self), self)
        if field.type == "float":
            return float_compare(self[name], new, precision_digits=9) != 0
        return self[name] != new

    def _is_idle_bound(self):
        """Whether this is the 0.00 of a minimum that was reached, or of a maximum that was not."""
        self.ensure_one()
        if self.display_type != "product" or not self.currency_id.is_zero(self.price_total):
            return False
        # sudo: users who print an invoice, and customers, need not see the run that created it
        line = self.sudo()
        amount = line.invoice_run_line_id or line.billing_credited_line_id.invoice_run_line_id
        return amount.is_true_up

    def unlink(self):
        # EXTENDS 'account': a deleted invoice line releases its period
        # sudo: users who delete an invoice line need not see the run that created it
        billed = self.sudo().filtered("invoice_run_line_id")
        billed._check_credits_undone()
        run_lines = billed.invoice_run_line_id
        result = super().unlink()
        if run_lines:
            run_lines.exists()._follow_invoices()
        return result

    def _copy_data_extend_business_fields(self, values):
        # EXTENDS 'account': what reverses an invoice line names it; "Reverse and create invoice"
        # moves the claim to the new invoice
        result = super()._copy_data_extend_business_fields(values)
        # sudo: whoever reverses an invoice need not see the run that created it
        line, links = self.sudo(), {}
        # the object, not True: over RPC a context can hold anything else
        if self.env.context.get("invoice_run_reversing") is ENGINE:
            billed = line.invoice_run_line_id and not line.billing_credited_line_id
            links["billing_credited_line_id"] = (
                line if billed else line.billing_credited_line_id
            ).id
            links["billing_credit_kind"] = line.billing_credit_kind
        elif self.env.context.get("invoice_run_move_claims") is ENGINE:
            links["invoice_run_line_id"] = line.invoice_run_line_id.id
            links["billing_credited_line_id"] = line.billing_credited_line_id.id
        values.update({name: EngineValue(value) for name, value in links.items()})
        return result
