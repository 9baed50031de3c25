from odoo import api, models
from odoo.addons.invoice_run.memory import remember

from .. import core, plain_taxes
from ..environments import environments_kept
from ..mailer import get_mailer
from ..mails import MailsKept
from ..numbering import Chunk, NotAtOnceError, NotInBulkError, get_chunk
from ..plain_taxes import Rounding
from ..taxes import are_questions_known, is_engine_known
from ..waiting import held_back


class InvoiceRunDocument(models.Model):
    _name = "invoice.run.document"
    _inherit = ["invoice.run.document", "invoice.run.bulk.mixin"]

    def _create_moves(self):
        # EXTENDS 'invoice_run': confirmed as they are created, where nothing needs the draft
        with environments_kept(self):
            documents = self.with_context(invoice_run_chunk=Chunk())
            try:
                with self.env.cr.savepoint():
                    return super(InvoiceRunDocument, documents)._create_moves()
            except NotAtOnceError:
                documents = self
            except NotInBulkError:
                documents = self.with_context(invoice_run_chunk=Chunk(is_plain=True))
            self.env.invalidate_all(flush=False)
            return super(InvoiceRunDocument, documents)._create_moves()

    def _create_account_moves(self):
        # EXTENDS 'invoice_run': how many there are, so that all are confirmed at once or none;
        # those of a preview stay drafts
        chunk = get_chunk(self.env)
        if not chunk or chunk.is_plain or self.run_id._get_invoice_state() != "posted":
            return super()._create_account_moves()
        documents = self.with_context(invoice_run_chunk=Chunk(len(self)))
        return super(InvoiceRunDocument, documents)._create_account_moves().with_env(self.env)

    def _get_tax_summary(self, sign):
        # EXTENDS 'invoice_run': once for documents whose amounts are equal
        if not self._are_taxes_remembered():
            return super()._get_tax_summary(sign)
        lines = self.line_ids
        key = (
            *("taxes", sign, self.company_id.id, self.currency_id.id, self._get_currency_rate()),
            *(line._get_tax_key() for line in lines),
        )

        def compute():
            summary, base_lines = super(InvoiceRunDocument, self)._get_tax_summary(sign)
            return summary, [base_line["tax_details"] for base_line in base_lines]

        summary, details = remember(self.env, key, compute)
        pairs = zip(lines, details, strict=True)
        return summary, [{"record": line, "tax_details": found} for line, found in pairs]

    def _get_totals(self, sign):
        # EXTENDS 'invoice_run': plain percentages without the tax engine
        if not self._are_taxes_remembered():
            return super()._get_totals(sign)
        numbers = [line._get_plain_numbers(sign) for line in self.line_ids]
        if None in numbers:
            return super()._get_totals(sign)
        rate = self._get_currency_rate()
        rounding = remember(
            self.env,
            ("rounding", self.company_id.id, self.currency_id.id, rate),
            lambda: Rounding(self.company_id, self.currency_id, rate),
        )
        found = plain_taxes.compute(numbers, rounding)
        pairs = zip(self.line_ids, found, strict=True)
        base_lines = [{"record": line, "tax_details": plain.get_details()} for line, plain in pairs]
        return plain_taxes.get_totals(found), base_lines

    def _are_taxes_remembered(self):
        """Whether the taxes of this document depend on its currency and amounts alone."""
        is_known = is_engine_known(self.env) and are_questions_known(self.env)
        return is_known and not self._is_tax_discounted()

    def _get_all_previous(self, found, before=None):
        # EXTENDS 'invoice_run': what has an invoice is not new
        with held_back(self.env):
            return super()._get_all_previous(found, before)

    def _get_all_invoiced(self):
        # EXTENDS 'invoice_run': see above
        with held_back(self.env):
            return super()._get_all_invoiced()

    @api.model
    def _create_drafts(self, vals_list):
        # EXTENDS 'invoice_run': together, with the same rows
        return self.env["invoice.run.bulk"]._create_moves(vals_list)

    def _post_moves(self):
        # EXTENDS 'invoice_run': what Odoo does for each invoice is done once
        if set(self.move_id.mapped("state")) == {"posted"}:
            return None  # they were created so
        if not core.is_as_read(self.env, core.CONFIRM):
            return super()._post_moves()
        documents = self.with_context(invoice_run_bulk_post=True)
        with documents.move_id._posting_together(documents.move_id.journal_id):
            return super(InvoiceRunDocument, documents)._post_moves()

    def _process_send(self):
        # EXTENDS 'invoice_run': of a worker that died before it deleted them
        queued = self.filtered("send_message_id")
        queued._get_mails(["sent"]).filtered("auto_delete").unlink()
        return super()._process_send()

    def _hand_over_mails(self, until=None):
        # EXTENDS 'invoice_run': the mails of a chunk are deleted together, when all is noted
        if not core.is_as_read(self.env, core.SEND):
            return super()._hand_over_mails(until)
        mailer = get_mailer(self.env)
        kept = MailsKept(mailer.sessions if mailer else None)
        documents = self.with_context(invoice_run_mails=kept)
        left = super(InvoiceRunDocument, documents)._hand_over_mails(until)
        # sudo: mail.mail belongs to the technical side of messaging
        self.env["mail.mail"].sudo().browse(kept.done).exists().unlink()
        return left.with_env(self.env)
