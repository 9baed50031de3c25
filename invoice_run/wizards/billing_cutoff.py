from dateutil.relativedelta import relativedelta

from odoo import fields, models

from ..engine import cutoff
from ..models.base.possible_dates import check_ahead


class BillingCutoff(models.TransientModel):
    """Deferred and accrued revenue at a date, from the ledger; booked by one button."""

    _name = "billing.cutoff"
    _description = "Cut-off Report"
    _inherit = "invoice.run.wizard"

    date = fields.Date(
        "As Of",
        required=True,
        default=lambda self: self._get_last_month_end(),
        help="Last day of the accounting period, included.",
    )
    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )

    def _get_last_month_end(self):
        """Return the last day of the month before today's, which is the one to be closed."""
        return self.env.company._get_invoice_run_today() + relativedelta(day=1, days=-1)

    def action_compute(self):
        """Compute the report and open it.

        :raises ValidationError: the date is too far away
        """
        self.ensure_one()
        check_ahead(self, "date", self.company_id._get_invoice_run_today())
        # sudo: nobody else writes what a report says; it was read with the user's rights
        lines = self.env["billing.cutoff.line"].sudo()
        lines.search([("cutoff_id", "=", self.id)]).unlink()
        rows = self.env["billing.cutoff.rows"]._get_rows(self.company_id, self.date)
        lines.create([self._prepare_line_vals(row) for row in rows])
        return self.action_view_rows()

    def action_view_rows(self):
        """Open what was computed, without computing it again."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_cutoff_line_action"
        )
        action["domain"] = [("cutoff_id", "in", self.ids)]
        # the address names this report also where no button opened the list
        action["context"] = {"billing_cutoff_id": self.id, "active_id": self.id}
        return self._with_path("billing-cutoff-rows", action)

    def action_post(self):
        """Book the cut-off: the month-end entry, and its reversal on the next day.

        :raises AccessError: the user keeps no books
        :raises UserError: an account is missing, the books are closed, nothing is to be booked,
            or the entry is posted already
        """
        self.ensure_one()
        self.check_access("write")
        check_ahead(self, "date", self.company_id._get_invoice_run_today())
        moves = self.env["account.move"]
        moves._check_cutoff_rights()
        entry = moves._open_cutoff_entry(self.company_id, self.date)
        entry._post(soft=False)
        return entry._get_records_action(name=self.env._("Month-end Entry"))

    def _prepare_line_vals(self, row):
        amount = float(row["amount"])
        is_deferred = row["kind"] == cutoff.DEFERRED
        names = set(self.env["billing.cutoff.line"]._fields)
        return {
            **{name: value for name, value in row.items() if name in names},
            "cutoff_id": self.id,
            "billed_in_advance": amount if is_deferred else 0.0,
            "not_yet_billed": 0.0 if is_deferred else amount,
        }


class BillingCutoffLine(models.TransientModel):
    _name = "billing.cutoff.line"
    _description = "Cut-off per Invoice Line"
    _inherit = ["analytic.mixin", "invoice.run.wizard"]
    _order = "account_id, contract_id, date_from, id"

    cutoff_id = fields.Many2one("billing.cutoff", "Cut-off", required=True, ondelete="cascade")
    date = fields.Date(related="cutoff_id.date", related_sudo=False, store=True)
    company_id = fields.Many2one(related="cutoff_id.company_id", related_sudo=False)
    currency_id = fields.Many2one(related="company_id.currency_id")
    contract_id = fields.Many2one("billing.contract", ondelete="cascade")
    contract_line_id = fields.Many2one("billing.contract.line", "Price Line", ondelete="cascade")
    usage_id = fields.Many2one("billing.usage", ondelete="cascade")
    partner_id = fields.Many2one("res.partner", "Customer", ondelete="cascade")
    cluster_id = fields.Many2one("billing.cluster")
    product_id = fields.Many2one("product.product")
    account_id = fields.Many2one("account.account")
    invoice_line_id = fields.Many2one("account.move.line", ondelete="cascade")
    invoice_id = fields.Many2one(related="invoice_line_id.move_id", related_sudo=False)
    date_from = fields.Date("From", help="First day that the amount is for, included.")
    date_to = fields.Date("To", help="Last day that the amount is for, included.")
    billed_in_advance = fields.Monetary(
        "Deferred Revenue", help="Invoiced for days after the date, as booked: not yet earned."
    )
    not_yet_billed = fields.Monetary(
        "Accrued Revenue", help="Days and usage up to the date that are not on any invoice: earned."
    )

    def action_post(self):
        """Book the cut-off that is shown; see ``billing.cutoff.action_post``."""
        wizard_id = self.env.context.get("billing_cutoff_id")
        wizard = self.env["billing.cutoff"].browse(wizard_id).exists() or self.cutoff_id
        return wizard.action_post()
