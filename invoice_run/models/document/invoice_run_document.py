import re

from odoo import api, fields, models
from odoo.tools import format_date

from ...memory import assign, remembering
from ..base.states import DOCUMENT_TRANSITIONS, SEND_TRANSITIONS

PLACEHOLDER = re.compile(r"\{(date_from|date_to|month|year|quarter|week)(?::([^{}]+))?\}")
#: Babel patterns of the placeholders that need none, on the first day of the period.
SHORTHANDS = {"month": "MMMM", "year": "yyyy", "quarter": "QQQ", "week": "w"}


class InvoiceRunDocument(models.Model):
    """One invoice that a run will create, or has created."""

    _name = "invoice.run.document"
    _description = "Invoice Run Document"
    _inherit = "invoice.run.states"
    # by id, which an index sorts without reading the runs
    _order = "run_id.id desc, sequence, id"
    _check_company_auto = True
    _rec_name = "title"
    _is_engine_model = True

    run_id = fields.Many2one("invoice.run", required=True, ondelete="restrict")
    company_id = fields.Many2one("res.company", required=True, index=True)
    sequence = fields.Integer(default=10)
    title = fields.Char("Invoice Name")
    partner_id = fields.Many2one("res.partner", "Customer", required=True, index=True)
    payer_id = fields.Many2one(
        "res.partner",
        "Commercial Entity",
        readonly=True,
        help="The customer as a whole, whatever address the invoice goes to.",
    )
    currency_id = fields.Many2one("res.currency", required=True)
    journal_id = fields.Many2one("account.journal", required=True)
    fiscal_position_id = fields.Many2one("account.fiscal.position")
    payment_term_id = fields.Many2one("account.payment.term")
    preferred_payment_method_line_id = fields.Many2one(
        "account.payment.method.line", "Payment Method"
    )
    category_id = fields.Many2one("billing.category", "Invoice Category")
    reversed_entry_id = fields.Many2one(
        "account.move", "Credits", help="Invoice that this credit note corrects."
    )
    part = fields.Char(help="Number of this invoice if the limit of lines led to several.")
    contract_ids = fields.Many2many("billing.contract", string="Contracts")
    is_grouped = fields.Boolean(help="Contains several contracts, with a section for each.")
    date_from = fields.Date(help="First day invoiced, included.")
    date_to = fields.Date(help="Last day invoiced, included.")
    invoice_date = fields.Date()
    invoice_date_due = fields.Date("Due Date", help="Empty: by the payment term.")
    line_ids = fields.One2many("invoice.run.line", "document_id", "Amounts")
    amount_untaxed = fields.Monetary("Untaxed")
    amount_tax = fields.Monetary("Taxes")
    amount_total = fields.Monetary("Total")
    currency_rate = fields.Float(
        digits=0,
        help="Units of the document's currency per unit of company currency of these totals.",
    )
    company_currency_id = fields.Many2one(
        related="company_id.currency_id", string="Company Currency"
    )
    company_amount_untaxed = fields.Monetary(
        "Untaxed in Company Currency", currency_field="company_currency_id"
    )
    company_amount_tax = fields.Monetary(
        "Taxes in Company Currency", currency_field="company_currency_id"
    )
    company_amount_total = fields.Monetary(
        "Total in Company Currency", currency_field="company_currency_id"
    )
    state = fields.Selection(
        [
            ("to_do", "To Do"),
            ("invoiced", "Invoiced"),
            ("failed", "Failed"),
            ("excluded", "Excluded"),
            ("held", "Postponed"),
            ("nothing", "Nothing to Invoice"),
            ("released", "Released"),
            ("credit", "Credit Note"),
        ],
        "Status",
        required=True,
        default="to_do",
        index=True,
        readonly=True,
        help="Postponed: below the minimum of the company, left for a later run. Released: its "
        "invoice was deleted, cancelled, or credited and released for invoicing; the next "
        "run proposes its periods. Credit note: reverses a document and is sent in the same "
        "way.",
    )
    error = fields.Text("Reason", readonly=True)
    move_id = fields.Many2one(
        "account.move", "Invoice", readonly=True, index="btree_not_null", ondelete="set null"
    )
    move_state = fields.Selection(related="move_id.state", string="Invoice Status")
    payment_state = fields.Selection(related="move_id.payment_state")

    _run_state_idx = models.Index("(run_id, state)")
    _run_payer_idx = models.Index("(run_id, payer_id)")
    _run_sequence_idx = models.Index("(run_id DESC, sequence, id)")
    _to_do_idx = models.Index("(run_id, invoice_date, sequence, id) WHERE state = 'to_do'")

    @api.model
    def _get_transitions(self):
        return {"state": DOCUMENT_TRANSITIONS, "send_state": SEND_TRANSITIONS}

    @api.model
    def _prepare_lines_vals(self, lines, contract_ids):
        """Return what a document says of its amounts: its period and its contracts.

        Late usage and credits do not turn the invoice into one of an earlier month.

        :param lines: amounts, or their values as dicts
        :param contract_ids: ids of the contracts that they are about
        """
        periods = [line for line in lines if line["contract_line_id"] and not line["corrects_id"]]
        # usage before an invoice in advance does not count either
        periods = [line for line in periods if not line["is_metered"]] or [
            line for line in periods if not line["late_number"]
        ]
        return {
            "contract_ids": [fields.Command.set(sorted(contract_ids))],
            "date_from": min(line["billing_date_from"] for line in periods or lines),
            "date_to": max(line["billing_date_to"] for line in periods or lines),
        }

    def _order_new_lines(self):
        """Put new amounts of these documents in the order of the invoice, not of the claims."""
        field = self._fields["line_ids"]
        for document in self:
            field._update_cache(document, document.line_ids.sorted("sequence")._ids)

    def action_open_invoice(self):
        """Open the invoice of this document."""
        self.ensure_one()
        self.check_access("read")
        return self.move_id._get_records_action() if self.move_id else None

    def action_view_lines(self):
        """Open what this document invoices."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.invoice_run_line_action"
        )
        action["domain"] = [("document_id", "in", self.ids)]
        return self._with_path("billing-document-amounts", action)

    def _release_documents(self):
        """Give up these documents, which have no invoice: the next run proposes their periods."""
        self._give_up()
        self.run_id._withdraw_approval()

    def _give_up(self):
        """Release the amounts of these documents, which keep them to be read."""
        self.line_ids._release()
        self._set_state("released", error=False)

    def _cancel_drafts(self):
        """Delete the draft invoices of these documents; cancel those that carry a number.

        Deleting these would leave a gap.
        """
        drafts = self.move_id.filtered(lambda move: move.state == "draft")
        numbered = drafts.filtered("posted_before")
        numbered.button_cancel()
        (drafts - numbered).unlink()

    def _remove(self):
        """Delete these documents with their amounts: what they claimed is due again.

        :raises UserError: one of the amounts is on an invoice, or was credited in part
        """
        self.line_ids._release()
        self.line_ids.unlink()
        self.unlink()

    # ------------------------------------------------------------------
    # Totals
    # ------------------------------------------------------------------

    def _update_amounts(self):
        """Write totals and the lines' untaxed amounts, from Odoo's own tax engine.

        The same calls in the same order as the invoice makes, so they are its amounts.
        """
        totals, untaxed, lines = [], [], []
        with remembering(self.env):
            found = [document._get_amount_vals() for document in self]
        for vals, sign, base_lines in found:
            totals.append(vals)
            for base_line in base_lines:
                details = base_line["tax_details"]
                lines.append(base_line["record"])
                # with its share of the difference when taxes are rounded per document
                untaxed.append(
                    details["total_excluded_currency"] + details["delta_total_excluded_currency"]
                )
                untaxed[-1] *= sign
        assign(self, totals)
        lines = self.env["invoice.run.line"].concat(*lines)
        assign(lines, [{"amount_untaxed": amount} for amount in untaxed])

    def _get_amount_vals(self):
        """Return totals and rate, the sign of the document and its base lines."""
        summary, base_lines = self._get_totals(1)
        sign = 1
        if summary["total_amount_currency"] < 0:
            sign = -1
            summary, base_lines = self._get_totals(-1)
        vals = self._prepare_amount_vals(summary, sign)
        return {**vals, "currency_rate": self._get_currency_rate()}, sign, base_lines

    def _get_totals(self, sign):
        """Return the totals of :meth:`_get_tax_summary`, without its parts, and the base lines."""
        return self._get_tax_summary(sign)

    def _get_tax_summary(self, sign):
        """Return the tax totals of this document and its base lines, see ``_prepare_base_line``."""
        self.ensure_one()
        AccountTax = self.env["account.tax"]
        rate = self._get_currency_rate()
        base_lines = [line._prepare_base_line(rate, sign) for line in self.line_ids]
        all_lines = base_lines + self._prepare_other_base_lines(rate, sign)
        AccountTax._add_tax_details_in_base_lines(all_lines, self.company_id)
        AccountTax._round_base_lines_tax_details(all_lines, self.company_id)
        summary = AccountTax._get_tax_totals_summary(all_lines, self.currency_id, self.company_id)
        return summary, base_lines

    def _prepare_amount_vals(self, summary, sign):
        return {
            "amount_untaxed": sign * summary["base_amount_currency"],
            "amount_tax": sign * summary["tax_amount_currency"],
            "amount_total": sign * summary["total_amount_currency"],
            "company_amount_untaxed": sign * summary["base_amount"],
            "company_amount_tax": sign * summary["tax_amount"],
            "company_amount_total": sign * summary["total_amount"],
        }

    def _get_currency_rate(self):
        """Return units of the document currency per unit of company currency for its invoice."""
        self.ensure_one()
        if self.currency_id == self.company_currency_id:
            return 1.0
        if self.reversed_entry_id:
            # what was booked is credited, not what it is worth today
            return self.reversed_entry_id.invoice_currency_rate
        return self.env["res.currency"]._get_conversion_rate(
            from_currency=self.company_id.currency_id,
            to_currency=self.currency_id,
            company=self.company_id,
            date=self._get_move_dates().rate,
        )

    # ------------------------------------------------------------------
    # Names
    # ------------------------------------------------------------------

    def _update_title(self):
        """Write the invoice name: by the format of the schedule, in the customer's language."""
        with remembering(self.env):
            titles = [document._get_title() for document in self]
        assign(self, [{"title": title} for title in titles])

    def _get_title(self):
        schedule = self.run_id.schedule_id
        parts = self._get_title_parts(schedule.invoice_name, schedule.invoice_name_format)
        title = " – ".join(filter(None, parts))
        return f"{title} ({self.part})" if self.part else title

    def _get_title_parts(self, name, name_format):
        """Return the parts of the invoice name; without ``name``, what is invoiced and when."""
        # a credit goes to the customer that was invoiced, whatever the contract says today
        credited = self.line_ids.corrects_id.document_id
        debtor = (credited or self).payer_id[:1].name
        if not name:
            parts = self._get_default_names()
            return parts if name_format == "contract" else [*parts, debtor]
        contracts = ", ".join(self._get_source_names())
        parts = {
            "contract": [contracts],
            "contract_debtor": [contracts, debtor],
            "debtor": [debtor],
        }[name_format]
        return [self._render_placeholders(name), *parts]

    def _get_source_names(self):
        """Return the numbers of the contracts, or of what else this document invoices."""
        self.ensure_one()
        sources = self.env["invoice.run.source"]._get_sources()
        return [name for source in sources for name in source._get_document_names(self)]

    def _render_placeholders(self, text):
        """Replace {date_from}, {date_to}, {month}, {year}, {quarter} and {week} of the period.

        A Babel pattern may follow a colon: ``{date_from:MMMM yyyy}``.
        """
        self.ensure_one()
        lang = self.partner_id.lang or self.env.lang

        def render(match):
            name, pattern = match.groups()
            day = self.date_to if name == "date_to" else self.date_from
            pattern = pattern or SHORTHANDS.get(name)
            return format_date(self.env, day, lang_code=lang, date_format=pattern)

        return PLACEHOLDER.sub(render, text)
