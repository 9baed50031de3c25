"""All that was due against all that was invoiced, sent, held back or failed: to the cent."""

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from ...engine.charge import NotBillable, get_charges
from ..base.states import SEND_DONE

#: Exceptions that wait for a decision; all others need a correction first.
HELD_CODES = ("hold", "held")
#: What concerns the run as a whole: the documents that it is about are counted already.
NOTE_CODES = ("lock_date", "sequence", "skipped", "due_date", "selection")

#: Parts of what is due: of documents, then of exceptions.
PARTS = (
    "to_do",
    "invoiced",
    "nothing",
    "excluded",
    "held",
    "not_invoiced",
    "released",
    "held_exception",
    "failed_exception",
)


class InvoiceRunSource(models.AbstractModel):
    _inherit = "invoice.run.source"

    def _get_exceptions(self, run, errors, collect):
        """Yield the exceptions of this record, the first one with what is due.

        :param errors: reasons as (code, message)
        :param collect: yields the charges that there would be; may raise
        """
        for number, (code, message) in enumerate(errors):
            vals = self._prepare_exception_vals(code, message)
            # one record is counted once, however many reasons there are
            vals |= {"kind": "note"} if number else self._get_due_vals(run, errors, collect)
            yield NotBillable(vals)

    def _get_due_vals(self, run, errors, collect):
        """Return what an exception says about its amount, where that can be known."""
        if "currency" in dict(errors):
            return {}
        try:
            charges = get_charges(collect())
            amounts = [self._get_charge_amount(run, charge) for charge in charges]
        except (ValueError, UserError):
            return {}
        return {"amount": sum(amounts), "has_amount": bool(amounts)}

    def _get_charge_amount(self, run, charge):
        """Return what ``charge`` comes to, untaxed, in company currency."""
        company = run.company_id
        currency = self.env["res.currency"].browse(charge.document["currency_id"])
        amount = self._get_charge_untaxed(charge)
        return currency._convert(amount, company.currency_id, company, run.invoice_date)

    @api.model
    def _get_charge_untaxed(self, charge):
        """Return what ``charge`` comes to without the taxes in its price, in its currency."""
        currency = self.env["res.currency"].browse(charge.document["currency_id"])
        return self._get_run_untaxed(charge.line, currency)

    @api.model
    def _get_run_untaxed(self, vals, currency):
        """Return what an amount with these values comes to without the taxes in its price."""
        taxes = self.env["account.tax"].browse(vals.get("tax_ids") or [])
        if not any(taxes.flatten_taxes_hierarchy().mapped("price_include")):
            return vals["amount"]
        price = vals["price_unit"] * (1 - (vals.get("discount") or 0.0) / 100)
        return taxes.compute_all(price, currency, vals["quantity"])["total_excluded"]


class InvoiceRunException(models.Model):
    """What is due but not on a document counts as well, with its amount where it is known."""

    _inherit = "invoice.run.exception"

    currency_id = fields.Many2one(related="company_id.currency_id")
    amount = fields.Monetary(
        "Amount to Invoice",
        readonly=True,
        help="Untaxed, in company currency, where it can be known.",
    )
    has_amount = fields.Boolean("Amount Known", readonly=True)
    kind = fields.Selection(
        [("held", "Waiting"), ("failed", "Not Billable"), ("note", "Note")],
        "Status",
        required=True,
        default="failed",
        readonly=True,
        help="Waiting: on hold, or claimed by another run. Not billable: something must be "
        "corrected first. Note: information about something that is already counted.",
    )

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            # the code is required: Odoo itself says so
            vals.setdefault("kind", self._get_kind(vals.get("code")))
        return super().create(vals_list)

    @api.model
    def _get_kind(self, code):
        """Return how an exception with this code counts."""
        if code in HELD_CODES:
            return "held"
        return "note" if code in NOTE_CODES else "failed"


class InvoiceRun(models.Model):
    """Reconciliation: due = invoiced + excluded + postponed + failed + nothing + to do.

    Counts and untaxed amounts in company currency, by aggregates over documents and exceptions.
    What was released after it was invoiced is shown separately.
    """

    _inherit = "invoice.run"

    due_count = fields.Integer("Due", compute="_compute_reconciliation")
    due_amount = fields.Monetary("Amount to Invoice", compute="_compute_reconciliation")
    to_do_count = fields.Integer("To Do", compute="_compute_reconciliation")
    to_do_amount = fields.Monetary("Amount Not Yet Invoiced", compute="_compute_reconciliation")
    invoiced_count = fields.Integer("Invoiced", compute="_compute_reconciliation")
    invoiced_amount = fields.Monetary("Amount Invoiced", compute="_compute_reconciliation")
    nothing_count = fields.Integer("Nothing to Invoice", compute="_compute_reconciliation")
    nothing_amount = fields.Monetary("Amount Without Invoice", compute="_compute_reconciliation")
    excluded_count = fields.Integer("Excluded", compute="_compute_reconciliation")
    excluded_amount = fields.Monetary("Amount Excluded", compute="_compute_reconciliation")
    held_count = fields.Integer("Outside Limits", compute="_compute_reconciliation")
    held_amount = fields.Monetary("Amount Outside Limits", compute="_compute_reconciliation")
    not_invoiced_count = fields.Integer("Failed Documents", compute="_compute_reconciliation")
    not_invoiced_amount = fields.Monetary("Amount Failed", compute="_compute_reconciliation")
    released_count = fields.Integer("Released", compute="_compute_reconciliation")
    released_amount = fields.Monetary("Amount Released", compute="_compute_reconciliation")
    held_exception_count = fields.Integer("Waiting Exceptions", compute="_compute_reconciliation")
    held_exception_amount = fields.Monetary(
        "Amount of Waiting Exceptions", compute="_compute_reconciliation"
    )
    failed_exception_count = fields.Integer("Not Billable", compute="_compute_reconciliation")
    failed_exception_amount = fields.Monetary(
        "Amount Not Billable", compute="_compute_reconciliation"
    )
    unknown_count = fields.Integer("Without Amount", compute="_compute_reconciliation")

    @api.depends(
        "document_ids.state",
        "document_ids.is_above_max",
        "document_ids.is_accepted",
        "document_ids.company_amount_untaxed",
        "exception_ids.kind",
        "exception_ids.amount",
    )
    def _compute_reconciliation(self):
        figures = self._get_reconciliation()
        empty = self._get_no_figures()
        for run in self:
            run.update(figures.get(run.id, empty))

    @api.model
    def _get_no_figures(self):
        names = (*PARTS, "due")
        figures = {f"{name}_{what}": 0 for name in names for what in ("count", "amount")}
        return {**figures, "unknown_count": 0}

    def _get_reconciliation(self):
        """Return {run id: counts and amounts}, with three aggregate queries."""
        figures = {run_id: self._get_no_figures() for run_id in self.ids}
        for run, name, count, amount in (*self._get_document_parts(), *self._get_open_parts()):
            figures[run.id][f"{name}_count"] += count
            figures[run.id][f"{name}_amount"] += amount
        for run, count in self._get_unknown():
            figures[run.id]["unknown_count"] = count
        for values in figures.values():
            for what in ("count", "amount"):
                values[f"due_{what}"] = sum(values[f"{name}_{what}"] for name in PARTS)
        return figures

    def _get_document_parts(self):
        """Yield (run, part, count, amount) of the documents."""
        groups = self.env["invoice.run.document"]._read_group(
            [("run_id", "in", self.ids), ("state", "!=", "credit")],
            ["run_id", "state", "is_above_max", "is_accepted"],
            ["__count", "company_amount_untaxed:sum"],
        )
        for run, state, above, accepted, count, amount in groups:
            name = "not_invoiced" if state == "failed" else state
            if state == "to_do" and above and not accepted:
                name = "held"
            yield run, name, count, amount

    def _get_open_parts(self):
        """Yield (run, part, count, amount) of what is due but on no document."""
        groups = self.env["invoice.run.exception"]._read_group(
            [("run_id", "in", self.ids), ("kind", "!=", "note")],
            ["run_id", "kind"],
            ["__count", "amount:sum"],
        )
        for run, kind, count, amount in groups:
            yield run, f"{kind}_exception", count, amount

    def _get_unknown(self):
        """Return [(run, number of exceptions whose amount is not known)]."""
        return self.env["invoice.run.exception"]._read_group(
            [("run_id", "in", self.ids), ("kind", "!=", "note"), ("has_amount", "=", False)],
            ["run_id"],
            ["__count"],
        )

    # ------------------------------------------------------------------
    # Each figure opens its list
    # ------------------------------------------------------------------

    def action_view_part(self):
        """Open the documents of one part; the context says which: ``invoice_run_part``."""
        part = self.env.context.get("invoice_run_part")
        above = self._get_above_domain()
        domains = {
            "to_do": Domain("state", "=", "to_do") & ~above,
            "held": Domain("state", "=", "held") | above,
            "not_invoiced": Domain("state", "=", "failed"),
        }
        domain = (domains | self._get_sending_domains()).get(part, Domain("state", "=", part))
        return self._get_list_action(
            "invoice_run.invoice_run_document_action",
            list(domain),
            f"billing-run-part-{part}".replace("_", "-"),
        )

    @api.model
    def _get_sending_domains(self):
        """Return {part: documents} of what is sent, and of what is not."""
        pending = Domain("send_state", "=", "pending")
        to_print = Domain("send_action", "=", "print")
        return {
            "draft": Domain("state", "=", "invoiced") & Domain("move_id.state", "=", "draft"),
            "sent": Domain("send_state", "in", SEND_DONE),
            "to_send": pending & ~to_print,
            "to_print": pending & to_print,
            "not_sent": Domain("send_state", "=", "failed"),
            "uncertain": Domain("send_state", "=", "uncertain"),
        }

    def action_view_exceptions_of_kind(self):
        """Open the exceptions of one kind; the context says which: ``invoice_run_part``."""
        kind = self.env.context.get("invoice_run_part")
        domain = [("kind", "=", kind)]
        return self._get_list_action(
            "invoice_run.invoice_run_exception_action",
            domain,
            f"billing-run-exceptions-{kind}".replace("_", "-"),
        )
