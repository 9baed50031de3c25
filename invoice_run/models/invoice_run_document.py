import logging
import re

import psycopg2
from psycopg2 import errors as pg_errors

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date
from odoo.tools.misc import format_amount

_logger = logging.getLogger(__name__)

#: The transaction cannot go on after these: roll back and repeat the chunk.
RETRY_ERRORS = (
    pg_errors.SerializationFailure,
    pg_errors.DeadlockDetected,
    pg_errors.LockNotAvailable,
)
PLACEHOLDER = re.compile(r"\{(date_from|date_to|month|year|quarter|week)(?::([^{}]+))?\}")
#: Babel patterns of the placeholders that need none, on the first day of the period.
SHORTHANDS = {"month": "MMMM", "year": "yyyy", "quarter": "QQQ", "week": "w"}


class InvoiceRunDocument(models.Model):
    """One invoice that a run will make, or has made."""

    _name = "invoice.run.document"
    _description = "Invoice Run Document"
    _inherit = ["invoice.run.guarded"]
    _order = "run_id, sequence, id"
    _check_company_auto = True
    _rec_name = "title"

    run_id = fields.Many2one("invoice.run", required=True, index=True, ondelete="restrict")
    company_id = fields.Many2one("res.company", required=True, index=True)
    sequence = fields.Integer(default=10)
    title = fields.Char("Invoice Name")
    partner_id = fields.Many2one("res.partner", "Customer", required=True, index=True)
    payer_id = fields.Many2one(
        "res.partner", readonly=True, help="Who owes it, whatever address the invoice goes to."
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
    part = fields.Char(help="Number of this invoice where the limit of lines made several.")
    contract_ids = fields.Many2many("billing.contract", string="Contracts")
    is_grouped = fields.Boolean(help="Holds several contracts, a section for each.")
    date_from = fields.Date(help="First day billed, included.")
    date_to = fields.Date(help="Last day billed, included.")
    invoice_date = fields.Date()
    invoice_date_due = fields.Date("Due Date", help="Empty: by the payment term.")
    line_ids = fields.One2many("invoice.run.line", "document_id", "Amounts")
    amount_untaxed = fields.Monetary("Untaxed")
    amount_tax = fields.Monetary("Taxes")
    amount_total = fields.Monetary("Total")
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
            ("nothing", "Nothing to Invoice"),
            ("released", "Released"),
        ],
        required=True,
        default="to_do",
        index=True,
        readonly=True,
        help="Released: its invoice was deleted, cancelled or credited to bill again; the next "
        "run proposes its periods.",
    )
    error = fields.Text("Reason", readonly=True)
    send_action = fields.Selection(
        [("email", "Email"), ("print", "Print"), ("none", "Nothing")],
        "Send By",
        required=True,
        default="none",
    )
    send_state = fields.Selection(
        [
            ("none", "Not Sent"),
            ("pending", "Pending"),
            ("sent", "Sent"),
            ("failed", "Failed"),
            ("printed", "Printed"),
        ],
        required=True,
        default="none",
        readonly=True,
    )
    send_channel = fields.Char("Sent By", readonly=True)
    send_error = fields.Text("Reason Not Sent", readonly=True)
    send_message_id = fields.Many2one("mail.message", readonly=True, index="btree_not_null")
    move_id = fields.Many2one(
        "account.move", "Invoice", readonly=True, index="btree_not_null", ondelete="set null"
    )
    move_state = fields.Selection(related="move_id.state", string="Invoice Status")
    payment_state = fields.Selection(related="move_id.payment_state")

    _run_state_idx = models.Index("(run_id, state)")

    @api.model
    def _get_engine_fields(self):
        # EXTENDS 'invoice.run.guarded'
        return super()._get_engine_fields() | set(self._fields) - {"send_action"}

    def action_open_invoice(self):
        """Open the invoice of this document."""
        self.ensure_one()
        return self.move_id._get_records_action() if self.move_id else None

    def action_view_lines(self):
        """Open what this document bills."""
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.invoice_run_line_action"
        )
        action["domain"] = [("document_id", "in", self.ids)]
        return action

    def action_exclude(self):
        """Leave these documents out of the run; their periods stay billable.

        :raises UserError: one of them has an invoice
        """
        self.check_access("write")
        invoiced = self.filtered("move_id")
        if invoiced:
            raise UserError(
                self.env._(
                    "%(documents)s: there is an invoice already. Reverse or delete it instead.",
                    documents=", ".join(invoiced.mapped("display_name")),
                )
            )
        # sudo: amounts and documents are the engine's
        documents = self.sudo().filtered(lambda document: document.state in ("to_do", "failed"))
        documents.line_ids._release()
        documents.write({"state": "excluded", "error": False})
        documents.run_id._withdraw_approval()

    def _release_documents(self):
        """Give up these documents, which have no invoice: the next run proposes their periods."""
        self.line_ids._release()
        self.write({"state": "released", "error": False})
        self.run_id._withdraw_approval()

    # ------------------------------------------------------------------
    # Totals
    # ------------------------------------------------------------------

    def _update_amounts(self):
        """Write totals and the lines' untaxed amounts, from Odoo's own tax engine.

        The same calls in the same order as the invoice makes, so they are its amounts.
        """
        for document in self:
            summary, base_lines = document._get_tax_summary(1)
            sign = 1
            if summary["total_amount_currency"] < 0:
                sign = -1
                summary, base_lines = document._get_tax_summary(-1)
            document.write(document._prepare_amount_vals(summary, sign))
            for base_line in base_lines:
                details = base_line["tax_details"]
                line = base_line["record"]
                # with its share of the difference when taxes are rounded per document
                untaxed = (
                    details["total_excluded_currency"] + details["delta_total_excluded_currency"]
                )
                line.amount_untaxed = sign * untaxed

    def _get_tax_summary(self, sign):
        """Return the tax totals of this document and its base lines, see ``_prepare_base_line``."""
        self.ensure_one()
        AccountTax = self.env["account.tax"]
        rate = self._get_currency_rate()
        base_lines = [line._prepare_base_line(rate, sign) for line in self.line_ids]
        AccountTax._add_tax_details_in_base_lines(base_lines, self.company_id)
        AccountTax._round_base_lines_tax_details(base_lines, self.company_id)
        summary = AccountTax._get_tax_totals_summary(base_lines, self.currency_id, self.company_id)
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
        """Return units of the document currency per unit of company currency on its date."""
        self.ensure_one()
        return self.env["res.currency"]._get_conversion_rate(
            from_currency=self.company_id.currency_id,
            to_currency=self.currency_id,
            company=self.company_id,
            date=self.invoice_date or self.company_id._get_invoice_run_today(),
        )

    # ------------------------------------------------------------------
    # Names
    # ------------------------------------------------------------------

    def _update_title(self):
        """Write the invoice name: by the format of the schedule, in the customer's language."""
        for document in self:
            schedule = document.run_id.schedule_id
            name = document._render_placeholders(schedule.invoice_name or document.run_id.name)
            contracts = ", ".join(document.contract_ids.mapped("name"))
            # a credit goes to who was invoiced, whoever the contract bills today
            credited = document.line_ids.corrects_id.document_id
            debtor = (credited or document).payer_id[:1].name
            parts = {
                "contract": [contracts],
                "contract_debtor": [contracts, debtor],
                "debtor": [debtor],
            }[schedule.invoice_name_format]
            title = " – ".join(filter(None, [name, *parts]))
            document.title = f"{title} ({document.part})" if document.part else title

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

        return PLACEHOLDER.sub(render, text or "")

    # ------------------------------------------------------------------
    # Invoices
    # ------------------------------------------------------------------

    def _process_invoices(self):
        """Make the invoices of these documents: all at once, one by one where that fails.

        A document that fails keeps its reason and its claims; later periods of its contracts
        wait for it.
        """
        try:
            with self.env.cr.savepoint():
                self._create_moves()
            return
        except RETRY_ERRORS:
            raise
        except Exception as error:  # what is wrong is found document by document
            _logger.info("Invoice run: %s documents one by one after: %s", len(self), error)
        self.env.invalidate_all(flush=False)
        for document in self:
            if not document._is_waiting():
                document._process_invoice()

    def _process_invoice(self):
        try:
            with self.env.cr.savepoint():
                self._create_moves()
        except RETRY_ERRORS:
            raise
        except Exception as error:
            self.env.invalidate_all(flush=False)
            self.write({"state": "failed", "error": self._get_error_text(error)})

    def _is_waiting(self):
        """Whether an earlier period of one of the contracts failed in this run."""
        self.ensure_one()
        return bool(self.contract_ids & self.run_id._get_failed_contracts())

    def _get_error_text(self, error):
        """Return the reason of a failure in words, and log what only a developer can read."""
        if isinstance(error, UserError):
            return str(error.args[0] if error.args else error)
        _logger.exception("Invoice run: document %s failed", self.id)
        if isinstance(error, psycopg2.Error):
            text = (error.diag.message_primary or str(error)).strip()
        else:
            text = f"{type(error).__name__}: {error}"
        return self.env._("Technical error, ask your administrator: %(error)s", error=text)

    def _create_moves(self):
        """Create and, unless the scenario wants drafts, post the invoices of these documents.

        :raises UserError: an amount differs from what was approved, a date is locked, …
        """
        self._check_invoiceable()
        to_invoice = self.filtered(lambda doc: not doc.currency_id.is_zero(doc.amount_total))
        (self - to_invoice).write({"state": "nothing", "error": False})
        for company, documents in to_invoice.grouped("company_id").items():
            vals_list = [document._prepare_move_vals() for document in documents]
            moves = self.env["account.move"].with_company(company).create(vals_list)
            for document, move in zip(documents, moves, strict=True):
                document._check_move_amounts(move)
                document.write({"move_id": move.id, "state": "invoiced", "error": False})
            if documents.run_id.scenario_id.invoice_state == "posted":
                # soft=False: a date in the future is meant, not to be waited for
                moves._post(soft=False)
        self._prepare_sending()
        self.line_ids.usage_id._update_state()

    def _check_invoiceable(self):
        for document in self:
            errors = document._get_invoice_errors()
            if errors:
                raise UserError("\n".join(errors))

    def _get_invoice_errors(self):
        """Return all reasons why the invoice of this document cannot be made now."""
        self.ensure_one()
        errors = []
        if self.move_id or self.state not in ("to_do", "failed"):
            errors.append(self.env._("This document is invoiced already."))
        if self.line_ids.filtered(lambda line: not line._is_held()):
            errors.append(
                self.env._(
                    "The periods were released meanwhile. Delete the amounts and renew them."
                )
            )
        if self.invoice_date_due and self.invoice_date_due < self.invoice_date:
            errors.append(self.env._("The due date is before the invoice date. Correct one."))
        return errors + self._get_change_errors() + self._get_lock_date_errors()

    def _get_change_errors(self):
        """Return what changed on the contracts since the amounts were made and forbids them."""
        errors = []
        for contract in self.contract_ids:
            name = contract.name
            if contract.state not in ("active", "closed"):
                errors.append(self.env._("%(contract)s is not active any more.", contract=name))
            elif contract.billing_hold:
                errors.append(self.env._("%(contract)s is on hold.", contract=name))
        for line in self.line_ids.filtered(lambda line: line._is_beyond_end()):
            message = self.env._(
                "%(contract)s ends before %(date)s now. Delete the amounts and renew them.",
                contract=line.contract_id.name,
                date=format_date(self.env, line.billing_date_to),
            )
            errors.append(message)
        return errors

    def _get_lock_date_errors(self):
        """Return why the books are closed on the invoice date.

        Odoo would not refuse, but move the accounting date.
        """
        has_tax = bool(self.line_ids.tax_ids)
        locks = self.company_id._get_violated_lock_dates(
            self.invoice_date, has_tax, self.journal_id
        )
        if not locks:
            return []
        return [
            self.env._(
                "The books are closed on %(date)s (%(locks)s). Choose a later invoice date.",
                date=format_date(self.env, self.invoice_date),
                locks=self.env["res.company"]._format_lock_dates(locks),
            )
        ]

    def _check_move_amounts(self, move):
        """Refuse an invoice whose amounts are not those that were approved.

        :raises UserError: names both totals
        """
        self.ensure_one()
        sign = -1 if move.move_type == "out_refund" else 1
        pairs = [
            (self.amount_untaxed, sign * move.amount_untaxed),
            (self.amount_total, sign * move.amount_total),
        ]
        if all(self.currency_id.compare_amounts(*pair) == 0 for pair in pairs):
            return
        raise UserError(
            self.env._(
                "The invoice would be %(invoice)s, but %(preview)s was approved: prices, taxes or "
                "rates have changed. Delete the amounts and generate them again.",
                invoice=format_amount(self.env, sign * move.amount_total, self.currency_id),
                preview=format_amount(self.env, self.amount_total, self.currency_id),
            )
        )

    def _prepare_move_vals(self):
        """Return the values of the invoice, or of the credit note when the total is negative."""
        self.ensure_one()
        sign = -1 if self.amount_total < 0 else 1
        vals = {
            "move_type": "out_refund" if sign < 0 else "out_invoice",
            "company_id": self.company_id.id,
            "journal_id": self.journal_id.id,
            "partner_id": self.partner_id.id,
            "currency_id": self.currency_id.id,
            "invoice_date": self.invoice_date,
            "fiscal_position_id": self.fiscal_position_id.id,
            "invoice_payment_term_id": self.payment_term_id.id,
            "preferred_payment_method_line_id": self.preferred_payment_method_line_id.id,
            "invoice_user_id": self._get_invoice_user().id,
            "invoice_origin": ", ".join(self.contract_ids.mapped("name")) or False,
            "ref": self._get_customer_reference(),
            "billing_title": self.title,
            "billing_category_id": self.category_id.id,
            "invoice_run_id": self.run_id.id,
            "invoice_run_document_id": self.id,
            "invoice_line_ids": [
                fields.Command.create(line_vals) for line_vals in self._get_move_lines_vals(sign)
            ],
        }
        if self.invoice_date_due:
            # without a term Odoo keeps the due date that it is given
            vals.update(invoice_payment_term_id=False, invoice_date_due=self.invoice_date_due)
        elif not self.payment_term_id:
            # payable at once: Odoo would take today, be it before the invoice date
            vals["invoice_date_due"] = self.invoice_date
        if sign < 0 and self.reversed_entry_id:
            vals["reversed_entry_id"] = self.reversed_entry_id.id
        if "arrears" in self.contract_ids.mapped("billing_timing"):
            vals["delivery_date"] = self.date_to
        return vals

    def _get_invoice_user(self):
        return self.contract_ids.user_id[:1] or self.run_id.user_id

    def _get_customer_reference(self):
        """Return the customer's own references of the contracts, for the invoice."""
        references = [ref for ref in self.contract_ids.mapped("client_order_ref") if ref]
        return ", ".join(dict.fromkeys(references)) or False

    def _get_move_lines_vals(self, sign):
        """Return the values of all invoice lines; grouped documents get a section per contract."""
        result = []
        section = None
        for line in self.line_ids:
            contract = line.contract_id
            if self.is_grouped and contract != section:
                section = contract
                result.append(self._prepare_section_vals(contract))
            result.append(line._prepare_move_line_vals(sign))
        return [{**vals, "sequence": number} for number, vals in enumerate(result, 1)]

    def _prepare_section_vals(self, contract):
        """Return the section line under which the charges of ``contract`` stand."""
        lang_env = self.with_context(lang=self.partner_id.lang or self.env.lang).env
        parts = [contract.name, contract.title, contract.client_order_ref]
        name = " – ".join(filter(None, parts)) or lang_env._("Usage")
        return {"display_type": "line_section", "name": name}

    def _sync_state(self):
        """Follow the claims of invoiced documents: released while none is held any more."""
        for document in self.filtered(lambda doc: doc.state in ("invoiced", "released")):
            held = document.line_ids.filtered(lambda line: line._is_held() or line.superseded_by_id)
            moves = held.move_line_ids.move_id.filtered(lambda move: move._is_billing())
            state = "invoiced" if held else "released"
            vals = {"state": state} if document.state != state else {}
            if moves and document.move_id not in moves:
                vals["move_id"] = moves[-1].id
            if vals:
                document.write(vals)

    # ------------------------------------------------------------------
    # Sending
    # ------------------------------------------------------------------

    def _prepare_sending(self):
        """Mark what waits to be emailed after its invoice was made."""
        wanted = self.filtered(
            lambda document: document.state == "invoiced" and document.send_action == "email"
        )
        wanted.write({"send_state": "pending"})

    def _process_send(self):
        """Put the mails of these documents into Odoo's outgoing queue, with their PDF.

        The caller commits and then calls :meth:`_hand_over_mails`. A worker that dies in
        between leaves queued mails; the next one hands over those, and makes no second ones.
        """
        queued = self.filtered("send_message_id")
        queued._get_mails(["exception"]).mark_outgoing()
        to_queue = self - queued
        no_address = to_queue.filtered(lambda document: not document.partner_id.email)
        no_address._set_send_failed(
            self.env._("The customer has no email address. Add one to the contact, then retry.")
        )
        (to_queue - no_address)._queue_mails()

    def _get_mails(self, states):
        """Return the mails of these documents that are in one of ``states``."""
        # sudo: mail.mail belongs to the technical side of messaging
        messages = self.sudo().send_message_id
        return (
            self.env["mail.mail"]
            .sudo()
            .search([("mail_message_id", "in", messages.ids), ("state", "in", states)])
        )

    def _queue_mails(self):
        if not self:
            return
        try:
            with self.env.cr.savepoint():
                self._create_mails()
            return
        except RETRY_ERRORS:
            raise
        except Exception as error:  # what is wrong is found invoice by invoice
            _logger.info("Invoice run: %s mails one by one after: %s", len(self), error)
        self.env.invalidate_all(flush=False)
        for document in self:
            try:
                with self.env.cr.savepoint():
                    document._create_mails()
            except RETRY_ERRORS:
                raise
            except Exception as error:
                self.env.invalidate_all(flush=False)
                document._set_send_failed(document._get_error_text(error))

    def _create_mails(self):
        """Render the PDFs and create the mails through ``account.move.send``, not sent yet."""
        moves = self.move_id
        known = self._get_messages(moves)
        send = self.env["account.move.send"].with_context(mail_notify_force_send=False)
        send._generate_and_send_invoices(moves, sending_methods=["email"])
        messages = self._get_messages(moves) - known
        by_move = {message.res_id: message for message in messages.sorted("id")}
        for document in self:
            message = by_move.get(document.move_id.id)
            if not message:
                raise UserError(self.env._("Odoo made no mail. Check the customer's address."))
            document.send_message_id = message

    def _get_messages(self, moves):
        # sudo: messages of the invoices that the caller may see, whoever wrote them
        return (
            self.env["mail.message"]
            .sudo()
            .search(
                [
                    ("model", "=", "account.move"),
                    ("res_id", "in", moves.ids),
                    ("message_type", "=", "comment"),
                ]
            )
        )

    def _hand_over_mails(self):
        """Hand the queued mails to the mail server and note its answer on each document.

        What is being sent by Odoo's own mail queue at this moment stays pending; the
        scheduled action reads its state later.
        """
        self._get_mails(["outgoing"]).try_lock_for_update().send()
        self._update_send_state()

    def _update_send_state(self):
        """Read from Odoo's notifications whether the mail server took each mail."""
        # sudo: notifications of the customers' mails
        notifications = self.sudo().send_message_id.notification_ids.filtered(
            lambda notification: notification.notification_type == "email"
        )
        by_message = notifications.grouped("mail_message_id")
        for document in self.filtered("send_message_id"):
            found = by_message.get(document.sudo().send_message_id)
            document._set_send_state(found)

    def _set_send_state(self, notifications):
        """Write what ``notifications`` of the mail say: sent, failed, or still pending."""
        if not notifications:
            self._set_send_failed(self.env._("Nobody was found to send the invoice to."))
            return
        failed = notifications.filtered(
            lambda notification: notification.notification_status in ("exception", "bounce")
        )
        if failed:
            reasons = dict(failed._fields["failure_type"]._description_selection(self.env))
            reason = failed[0].failure_reason or reasons.get(failed[0].failure_type)
            self._set_send_failed(reason)
        elif all(item.notification_status == "sent" for item in notifications):
            self.write({"send_state": "sent", "send_channel": "email", "send_error": False})

    def _set_send_failed(self, reason):
        self.write({"send_state": "failed", "send_error": reason})
