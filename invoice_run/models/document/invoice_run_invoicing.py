import logging
from collections import defaultdict

import psycopg2

from odoo import api, fields, models
from odoo.exceptions import RedirectWarning, UserError
from odoo.fields import Domain
from odoo.tools import float_compare, format_date
from odoo.tools.misc import format_amount
from odoo.tools.translate import get_translation

from ...memory import assign, remember, remembering
from ..base.errors import RETRY_ERRORS, is_outage
from ..base.states import DOCUMENT_HAD_INVOICE, DOCUMENT_OPEN

_logger = logging.getLogger(__name__)


class DocumentsRefused(Exception):
    """Some documents cannot be invoiced, for reasons in words; the others can."""

    def __init__(self, reasons):
        """
        :param reasons: {document: text}
        """
        super().__init__("\n".join(reasons.values()))
        self.reasons = reasons


class InvoiceRunDocument(models.Model):
    """From an approved document to its invoice."""

    _inherit = "invoice.run.document"

    def _process_invoices(self):
        """Create the invoices of these documents.

        A document that fails keeps its reason and its claims; later periods of its contracts
        wait for it.
        """
        self._attempt("_create_moves", "_set_failed", ready="_get_ready")

    def _attempt(self, work, set_failed, ready="exists"):
        """Carry out ``work`` for these documents: all at once, in halves where that fails.

        The halves are tried from first to last, so the numbers stay in order.

        :param work: name of the method that does it, for all documents or for none
        :param set_failed: name of the method that notes the reason on one document
        :param ready: name of the method that returns those for which it can be tried now
        :raises RETRY_ERRORS: the whole transaction must be repeated
        """
        documents = getattr(self, ready)()
        if not documents:
            return
        try:
            with self.env.cr.savepoint():
                getattr(documents, work)()
            return
        except RETRY_ERRORS:
            raise
        except Exception as error:
            if is_outage(error):
                raise
            self.env.invalidate_all(flush=False)
            parts = documents._get_parts_after(error, set_failed)
        for part in parts:
            part._attempt(work, set_failed, ready)

    def _get_parts_after(self, error, set_failed):
        """Note why these documents failed together; return what to try again, in parts."""
        if isinstance(error, DocumentsRefused):
            for document, reason in error.reasons.items():
                getattr(document, set_failed)(reason)
            return [self - self.browse().concat(*error.reasons)]
        if len(self) == 1:
            getattr(self, set_failed)(self._get_error_text(error))
            return []
        _logger.info("Invoice run: %s documents in halves after: %s", len(self), error)
        half = len(self) // 2
        return [self[:half], self[half:]]

    def _set_failed(self, reason):
        self._set_state("failed", error=reason)
        # documents that differ from what was approved can be recalculated at once
        self._detect_stale()

    def _get_ready(self):
        """Return the documents whose contracts have no earlier period that failed in this run."""
        failed = self.run_id._get_blocked_contracts()
        return self.filtered(lambda document: not document.contract_ids & failed)

    def _get_error_text(self, error):
        """Return the reason of a failure in words, and log what only a developer can read."""
        if not isinstance(error, UserError | RedirectWarning):
            _logger.exception("Invoice run: document %s failed", self.id)
        return self._get_reason(error)

    @api.model
    def _get_reason(self, error):
        """Return ``error`` in words."""
        if isinstance(error, UserError | RedirectWarning):
            return str(error.args[0] if error.args else error)
        if isinstance(error, psycopg2.IntegrityError):
            text = self._get_constraint_text(error)
        elif isinstance(error, psycopg2.Error):
            text = (error.diag.message_primary or str(error)).strip()
        else:
            text = f"{type(error).__name__}: {error}"
        return self.env._("Technical error, ask your administrator: %(error)s", error=text)

    def _get_constraint_text(self, error):
        """Return the model's own message about the constraint that was violated."""
        models_by_table = {model._table: name for name, model in self.env.registry.items()}
        model = self.env[models_by_table.get(error.diag.table_name, "base")]
        return model._sql_error_to_message(error)

    def _get_waiting_for_others(self, domain):
        """Return those of these documents before which other documents of a contract come.

        :param domain: the documents that are not invoiced yet
        """
        earlier = self.search(
            domain
            & Domain("id", "not in", self.ids)
            & Domain("contract_ids", "in", self.contract_ids.ids)
        )
        first = {}
        for document in earlier:
            for contract in document.contract_ids:
                first[contract] = min(first.get(contract, document.sequence), document.sequence)
        return self.filtered(
            lambda document: any(
                first.get(contract, document.sequence) < document.sequence
                for contract in document.contract_ids
            )
        )

    def _create_moves(self):
        """Create and, unless the scenario wants drafts, post the invoices of these documents.

        :raises DocumentsRefused: some cannot be invoiced: a date is locked, an amount differs
            from what was approved, …
        """
        with remembering(self.env):
            self._refuse(lambda document: "\n".join(document._get_invoice_errors()))
        unapproved = self._get_unapproved()
        self._refuse(lambda document: document in unapproved and document._get_approval_error())
        to_invoice = self.filtered(lambda document: not document._is_nothing())
        (self - to_invoice)._set_state("nothing", error=False)
        for company, documents in to_invoice.grouped("company_id").items():
            moves = documents.with_company(company)._create_account_moves()
            assign(documents, [{"move_id": move} for move in moves])
            documents._set_state("invoiced", error=False)
            documents._refuse(lambda document: document._get_amount_error())
            if documents.run_id._get_invoice_state() == "posted":
                documents.with_company(company)._post_moves()
        self._prepare_sending()
        self.line_ids._note_invoiced()
        self._attach_usage_annex()

    def _is_nothing(self):
        """Whether there is nothing to invoice: the period is settled without an invoice.

        A total of zero whose lines move something, revenue from one product to another or a
        tax, needs its invoice of 0.00.
        """
        self.ensure_one()
        if not self.currency_id.is_zero(self.amount_total):
            return False
        if any(source._source_follows_invoices for source in self.line_ids._get_sources()):
            return False  # only an invoice settles these, even one of 0.00
        moved = defaultdict(float)
        for line in self.line_ids:
            moved[line._get_booking_key()] += line.amount
        return all(map(self.currency_id.is_zero, moved.values()))

    def _create_account_moves(self):
        """Create the draft invoices of these documents of one company; return them in order."""
        by_document = {}
        for name, documents in self.grouped(lambda one: one._get_source()._name).items():
            moves = self.env[name]._create_run_moves(documents)
            by_document |= dict(zip(documents.ids, moves, strict=True))
        return self.env["account.move"].union(*(by_document[document.id] for document in self))

    def _get_source(self):
        """Return the source that creates the invoice of this document, see ``invoice.run.source``.

        Where it invoices several, as contracts with their usage, the first one.
        """
        self.ensure_one()
        return self.line_ids._get_sources()[0]

    @api.model
    def _create_drafts(self, vals_list):
        """Create the draft invoices of these values; return them in order.

        :param vals_list: as for ``account.move.create``, with ``invoice_line_ids``
        """
        return self.env["account.move"].create(vals_list)

    def _post_moves(self):
        """Confirm the invoices of these documents, at most 1,000: beyond it Odoo mixes numbers."""
        # soft=False: a date in the future is intended, nobody waits for it
        self.move_id._post(soft=False)

    def _refuse(self, get_reason):
        """Stop where ``get_reason(document)`` gives a text, naming all such documents.

        Not those with a later period of a contract that is named already: they wait.

        :raises DocumentsRefused: the others can be tried again without them
        """
        reasons, contracts = {}, self.env["billing.contract"]
        for document in self:
            if document.contract_ids & contracts:
                continue
            if reason := get_reason(document):
                reasons[document] = reason
                contracts |= document.contract_ids
        if reasons:
            raise DocumentsRefused(reasons)

    def _get_invoice_errors(self):
        """Return all reasons why the invoice of this document cannot be created now."""
        self.ensure_one()
        errors = []
        if self.move_id or self.state not in DOCUMENT_OPEN:
            errors.append(self.env._("This document has already been invoiced."))
        if self.line_ids.filtered(lambda line: not line._is_held()):
            errors.append(
                self.env._(
                    "The periods have been released in the meantime. Delete the amounts and "
                    "generate them again."
                )
            )
        if self.invoice_date_due and self.invoice_date_due < self.invoice_date:
            errors.append(self.env._("The due date is before the invoice date. Correct one."))
        errors += self._get_change_errors() + self._get_setup_errors()
        return errors + self._get_lock_date_errors()

    def _get_setup_errors(self):
        """Return what was blocked, archived or removed since the amounts were created.

        By the checks that ran before the approval: customer, accounts, currency, rate.
        """
        source = self.run_id.scenario_id._get_source()
        names = ("company_id", "partner_id", "currency_id", "journal_id", "fiscal_position_id")
        records = {name: self[name] for name in names}
        errors = source._get_document_errors(self.payer_id, records, self._get_move_dates().rate)
        for product in self.line_ids.product_id:
            errors += source._get_account_errors(product, records)
        return [message for _code, message in errors]

    def _bills(self, contract):
        """Whether this document invoices something of ``contract``, and not only credits it."""
        lines = self.line_ids.filtered(lambda line: line.contract_id == contract)
        return any(not line.corrects_id for line in lines)

    def _get_change_errors(self):
        """Return what changed since the amounts were created and forbids an invoice of them."""
        sources = self.env["invoice.run.source"]._get_sources()
        errors = [error for source in sources for error in source._get_change_errors(self)]
        return errors or self._get_stale_errors()

    def _get_credit_errors(self):
        """Return the credits of this document that no longer equal what is left to credit."""
        credits = self.line_ids.filtered("corrects_id")
        if not credits:
            return []
        ledger = self.env["billing.ledger"]._get_billed_lines(credits.contract_line_id)
        changed = credits.filtered(
            lambda line: line._is_credit_changed(ledger[line.contract_line_id.id])
        )
        return [
            self.env._(
                "%(invoice)s has been changed or credited since: “%(what)s” is no longer what "
                "is left to credit. Press “Recalculate Changed”, then approve again.",
                invoice=line.credited_line_id.move_id.display_name or line.run_id.reference,
                what=line.name.split("\n")[0],
            )
            for line in changed
        ]

    def _get_lock_date_errors(self, date=None):
        """Return why the books are closed on the date on which the invoice is booked.

        Odoo would not refuse, but move the accounting date.

        :param date: invoice date of a draft, where it is not the one of the document
        """
        date = self.move_id.date or date or self._get_move_dates().booked
        has_tax = bool(self.line_ids.tax_ids)
        return remember(
            self.env,
            ("lock dates", self.company_id, date, has_tax, self.journal_id),
            lambda: self._find_lock_date_errors(date, has_tax),
        )

    def _find_lock_date_errors(self, date, has_tax):
        locks = self.company_id._get_violated_lock_dates(date, has_tax, self.journal_id)
        if not locks:
            return []
        return [
            self.env._(
                "The books are closed on %(date)s (%(locks)s). Choose a later invoice date.",
                date=format_date(self.env, date),
                locks=self.env["res.company"]._format_lock_dates(locks),
            )
        ]

    def _get_amount_error(self):
        """Return why the amounts of the invoice are not those that were approved, or nothing."""
        self.ensure_one()
        move = self.move_id
        sign = -1 if move.move_type == "out_refund" else 1
        pairs = [
            (self.amount_untaxed, sign * move.amount_untaxed),
            (self.amount_total, sign * move.amount_total),
        ]
        if all(self.currency_id.compare_amounts(*pair) == 0 for pair in pairs):
            return self._get_rate_error()
        return self.env._(
            "The invoice would be %(invoice)s, but %(preview)s was approved: prices, taxes or "
            "rates have changed. Delete the amounts and generate them again.",
            invoice=format_amount(self.env, sign * move.amount_total, self.currency_id),
            preview=format_amount(self.env, self.amount_total, self.currency_id),
        )

    def _get_rate_error(self):
        """Return why the invoice is not worth what was approved in company currency, or nothing.

        Its rate has changed since.
        """
        company_currency = self.company_currency_id
        total = self.move_id.amount_total_signed
        if company_currency.compare_amounts(self.company_amount_total, total) == 0:
            return False
        return self.env._(
            "The invoice would be booked at %(invoice)s, but %(preview)s was approved: the "
            "rate of %(currency)s has changed. Press “Recalculate Changed”.",
            invoice=format_amount(self.env, total, company_currency),
            preview=format_amount(self.env, self.company_amount_total, company_currency),
            currency=self.currency_id.name,
        )

    def _is_rate_changed(self):
        """Whether the rate of this document's date is another one than that of its totals."""
        self.ensure_one()
        source = self.run_id.scenario_id._get_source()
        date = self._get_move_dates().rate
        if source._get_currency_errors(self.currency_id, self.company_id, date):
            return False  # there is none: the error of the invoice says so
        return float_compare(self.currency_rate, self._get_currency_rate(), precision_digits=9) != 0

    def _prepare_move_vals(self):
        """Return the values of the invoice, or of the credit note when the total is negative."""
        self.ensure_one()
        sign = -1 if self.amount_total < 0 else 1
        vals = {
            **self._prepare_header_vals(),
            "move_type": "out_refund" if sign < 0 else "out_invoice",
            "invoice_user_id": self._get_invoice_user().id,
            "invoice_origin": ", ".join(sorted(self._get_source_names())) or False,
            "ref": self._get_reference(sign),
            "invoice_line_ids": [
                fields.Command.create(line_vals) for line_vals in self._get_move_lines_vals(sign)
            ],
        }
        if sign < 0 and self.reversed_entry_id:
            vals["reversed_entry_id"] = self.reversed_entry_id.id
        if self.reversed_entry_id and self.currency_id != self.company_currency_id:
            vals["invoice_currency_rate"] = self.reversed_entry_id.invoice_currency_rate
        if delivery_date := self._get_delivery_date():
            # supplied when it is complete, whether invoiced before or after
            vals["delivery_date"] = delivery_date
        return vals

    def _prepare_header_vals(self):
        """Return what the document decides of its invoice, whatever source it is from."""
        vals = {
            "company_id": self.company_id.id,
            "journal_id": self.journal_id.id,
            "partner_id": self.partner_id.id,
            "currency_id": self.currency_id.id,
            "invoice_date": self.invoice_date,
            "fiscal_position_id": self.fiscal_position_id.id,
            "invoice_payment_term_id": self.payment_term_id.id,
            "preferred_payment_method_line_id": self.preferred_payment_method_line_id.id,
            "billing_title": self.title,
            "billing_category_id": self.category_id.id,
            "invoice_run_id": self.run_id.id,
            "invoice_run_document_id": self.id,
            **self._prepare_date_vals(),
        }
        if self.invoice_date_due:
            # without a term Odoo keeps the due date that it is given
            vals.update(invoice_payment_term_id=False, invoice_date_due=self.invoice_date_due)
        elif not self.payment_term_id:
            # payable at once: Odoo would take today, be it before the invoice date
            vals["invoice_date_due"] = self.invoice_date
        return vals

    def _get_invoice_user(self):
        """Return the salesperson of the invoice, from whom its email comes: nobody who has left."""
        sellers = self.contract_ids.user_id.filtered("active")
        return sellers[:1] or self.run_id.user_id.filtered("active")

    def _get_reference(self, sign):
        """Return the reference of the invoice; a credit note names what it credits, as Odoo's do.

        In the words of Odoo's reversals and the language of the customer; one that credits no
        invoice names its contracts. Some electronic formats refuse a credit note without it.

        :param sign: -1 for a credit note
        """
        reference = self._get_customer_reference()
        credited = self.reversed_entry_id or self.line_ids.credited_line_id.move_id
        # a draft has no number yet
        names = ", ".join(filter(None, credited.mapped("name")))
        if sign > 0:
            return reference
        if not names:
            # it credits no invoice, so the contracts say what it is for
            return reference or ", ".join(sorted(self._get_source_names())) or False
        lang = self.partner_id.lang or self.env.lang or "en_US"
        if not reference:
            return get_translation("account", lang, "Reversal of: %s", (names,))
        values = {"move_name": names, "reason": reference}
        return get_translation("account", lang, "Reversal of: %(move_name)s, %(reason)s", values)

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
        # a hyphen, as between days: see the names of contract lines
        name = " - ".join(filter(None, parts)) or lang_env._("Usage")
        return {"display_type": "line_section", "name": name}

    def _sync_state(self):
        """Follow the amounts of invoiced documents: released while no invoice is in force."""
        for document in self.filtered(lambda doc: doc.state in DOCUMENT_HAD_INVOICE):
            held = document.line_ids.filtered(lambda line: line._is_in_force())
            moves = held.move_line_ids.move_id.filtered(lambda move: move._is_billing())
            state = "invoiced" if held else "released"
            is_other = bool(moves) and document.move_id not in moves
            if is_other or document.state != state:
                # a mail that still waits has the invoice of before
                document._forget_unsent_mails()
            if is_other:
                document.move_id = moves[-1]
            if document.state != state:
                document._set_state(state)
                document._follow_state_in_sending()

    def _follow_state_in_sending(self):
        """No longer send what was released; what comes back waits to be sent again."""
        if self.state == "released" and self.send_state == "pending":
            self._set_send_state("none")
        if self.state == "invoiced" and self.send_state == "none" and self.send_action != "none":
            self._set_send_state("pending")
