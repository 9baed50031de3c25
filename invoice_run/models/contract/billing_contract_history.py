from odoo import api, fields, models

from ...engine import periods
from ...engine.charge import get_charges
from ..base.states import DOCUMENT_HAD_INVOICE

#: Rows of what is still to invoice that a contract's form shows; the rest has its own page.
DUE_ROWS = 24


class BillingContract(models.Model):
    """What was invoiced of a contract, and what is still to invoice, on its form."""

    _inherit = "billing.contract"

    invoiced_until = fields.Date(
        compute="_compute_invoiced_until",
        help="Up to this day, all days of all price lines are invoiced or claimed by a run. Empty: "
        "the first day of one of them never was.",
    )
    due_state = fields.Selection(
        [("overdue", "Overdue"), ("due", "Due Today"), ("hold", "On Hold")],
        "Due",
        compute="_compute_due_state",
        help="Overdue: it should have been invoiced before today.",
    )
    due_html = fields.Html("Still to Invoice", compute="_compute_due_html", sanitize=False)

    @api.depends("line_ids.invoiced_until", "line_ids.next_period_from", "date_start")
    def _compute_invoiced_until(self):
        for contract in self:
            days = contract.line_ids.mapped("invoiced_until")
            last = max(filter(None, days), default=False)
            open_days = contract.line_ids.filtered("next_period_from").mapped("next_period_from")
            if last and open_days:
                # a line that replaced another is not invoiced at first, but the days before it are
                last = min(last, min(open_days) - periods.DAY)
            is_begun = last and contract.date_start and last >= contract.date_start
            contract.invoiced_until = is_begun and last

    @api.depends("next_invoicing_date", "billing_hold", "company_id")
    def _compute_due_state(self):
        for contract in self:
            day = contract.next_invoicing_date
            today = contract.company_id._get_invoice_run_today()
            state = False
            if day and day <= today:
                state = "overdue" if day < today else "due"
            contract.due_state = "hold" if contract.billing_hold else state

    def _get_charges_until_today(self):
        """Return what a run would invoice today, by the run's own code; see ``_collect_due``."""
        self.ensure_one()
        target = self.company_id._get_invoice_run_today()
        return get_charges(self._collect_due(target))

    @api.depends("line_ids", "state", "next_invoicing_date", "billing_hold")
    def _compute_due_html(self):
        for contract in self:
            due = list(contract._get_charges_until_today()) if contract.ids else []
            values = {
                "contract": contract,
                "lines": [charge.line for charge in due[:DUE_ROWS]],
                "more": max(0, len(due) - DUE_ROWS),
            }
            contract.due_html = self.env["ir.qweb"]._render("invoice_run.contract_due", values)


class InvoiceRunLine(models.Model):
    """Where an amount is now, for the lists that show it with its contract."""

    _inherit = "invoice.run.line"

    amount_billed = fields.Monetary(
        "Invoiced",
        compute="_compute_amount_billed",
        help="Untaxed, as the invoice says now, less what was credited by hand. Without an "
        "invoice: the amount of the run.",
    )
    move_id = fields.Many2one(related="document_id.move_id", string="Invoice")
    payment_state = fields.Selection(related="document_id.payment_state", string="Payment")

    @api.depends("amount_untaxed", "document_id.state", "move_line_ids.price_subtotal")
    def _compute_amount_billed(self):
        invoiced = self.env["billing.ledger"]._get_amounts_invoiced(self)
        for line in self:
            has_invoice = line.document_id.state in DOCUMENT_HAD_INVOICE
            planned = 0.0 if has_invoice else line.amount_untaxed
            line.amount_billed = sum(invoiced.get(line._origin.id, (planned,)))
