import logging

from odoo import api, models
from odoo.tools import split_every

from ..base.errors import RETRY_ERRORS, is_outage
from .ir_actions_report import PrintHangs

_logger = logging.getLogger(__name__)

#: How often a batch waits for a program that hangs; then the rest fails, to be tried again, so that
#: the worker has time to note it.
MOST_HUNG = 2
#: Invoices that one process prints: the time that it has is for so many.
INVOICES_PER_PRINT = 10
#: Marks the messages that Odoo's sending posts. An object: no RPC call can forge it.
SENT_MESSAGE = object()


class SendBatch:
    """What the steps of ``account.move.send`` share while they send documents of a run."""

    def __init__(self, documents):
        self.documents = {document.move_id.id: document for document in documents}
        self.settings = {}
        self.errors = {}
        #: errors of what hung
        self.hangs = []


class AccountMoveSend(models.AbstractModel):
    """Sends many invoices at once, by Odoo's own hooks; no failure stops the others."""

    _inherit = "account.move.send"

    @api.model
    def _get_run_batch(self):
        return self.env.context.get("invoice_run_batch")

    @api.model
    def _send_run_documents(self, documents, method):
        """Send the invoices of ``documents`` by ``method``, through Odoo's own steps.

        :return: {move id: reason} of those that failed
        """
        batch = self._make_run_batch(documents)
        # one company at a time: a run has one
        send = self.with_company(documents.company_id).with_context(invoice_run_batch=batch)
        # the moves carry the context into their messages: queued, not sent at once
        moves = documents.move_id.with_env(send.env).filtered(
            lambda move: send._prepare_run_settings(move, method)
        )
        if moves:
            send._generate_and_send_invoices(moves, sending_methods=[method], allow_raising=False)
        return batch.errors

    @api.model
    def _make_run_batch(self, documents):
        return SendBatch(documents)

    def _prepare_run_settings(self, move, method):
        """Collect the settings of ``move``; return whether it can be sent."""
        batch = self._get_run_batch()
        document = batch.documents[move.id]
        author = document.run_id.user_id or self.env.user
        settings = self._try_step(
            lambda: self._get_default_sending_settings(
                move,
                sending_methods=[method],
                author_user_id=author.id,
                author_partner_id=author.partner_id.id,
            ),
            lambda error: batch.errors.update({move.id: document._get_error_text(error)}),
        )
        if settings is None:
            return False
        if error := self._get_run_settings_error(move, method, settings):
            batch.errors[move.id] = error
            return False
        batch.settings[move.id] = settings
        return True

    def _get_run_settings_error(self, move, method, settings):
        """Return why ``move`` cannot be sent with these settings, or nothing."""
        document = self._get_run_batch().documents[move.id]
        if method == "email":
            partners = self.env["res.partner"].browse(settings["mail_partner_ids"])
            partners -= document._get_reached_partners()
            settings["mail_partner_ids"] = partners.ids
            return (
                document._get_template_error()
                or document._get_address_error(partners)
                or document._get_sender_error(settings["mail_template"])
            )
        if not self._is_applicable_to_move(method, move, **settings):
            return self.env._(
                "This customer cannot be reached by %(method)s. Complete the contact, or choose "
                "another way of sending.",
                method=document._get_channel_label(),
            )
        return None

    # ------------------------------------------------------------------
    # Settings
    # ------------------------------------------------------------------

    @api.model
    def _get_default_sending_settings(self, move, from_cron=False, **custom_settings):
        # EXTENDS 'account': what the run sends, and to whom
        batch = self._get_run_batch()
        if batch and move.id in batch.settings:
            return batch.settings[move.id]
        return super()._get_default_sending_settings(move, from_cron=from_cron, **custom_settings)

    @api.model
    def _get_default_mail_template_id(self, move):
        # EXTENDS 'account': the template of the scenario, else of the company, for runs
        # sudo: users who send an invoice in Accounting need not see the run that created it
        run = move.sudo().invoice_run_id
        template = run and move.move_type == "out_invoice" and run._get_mail_template()
        # one for other records is never rendered: the document says why, see below
        if not template or template._get_invoice_error():
            template = super()._get_default_mail_template_id(move)
        return template

    @api.model
    def _get_default_mail_attachments_widget(self, move, mail_template, **kwargs):
        # EXTENDS 'account': what the run adds to each of its invoices
        widget = super()._get_default_mail_attachments_widget(move, mail_template, **kwargs)
        # sudo: see above
        attachments = move.sudo().invoice_run_id.send_attachment_ids
        attachments |= move.sudo().invoice_run_document_id.usage_annex_id
        return widget + [
            {
                "id": attachment.id,
                "name": attachment.name,
                "mimetype": attachment.mimetype,
                "placeholder": False,
                "manual": True,
                "protect_from_deletion": True,
            }
            for attachment in attachments
        ]

    # ------------------------------------------------------------------
    # Documents and errors
    # ------------------------------------------------------------------

    @api.model
    def _prepare_invoice_pdf_report(self, invoices_data):
        # EXTENDS 'account': an invoice whose PDF fails does not hold the others
        if self._get_run_batch() is None:
            return super()._prepare_invoice_pdf_report(invoices_data)
        for part in self._get_printed_together(list(invoices_data.items())):
            self._print_part(super()._prepare_invoice_pdf_report, part)
        return None

    def _get_printed_together(self, items):
        """Return ``items`` in the parts that are printed one after the other."""
        return split_every(INVOICES_PER_PRINT, items, list)

    def _print_part(self, prepare, items):
        """Print these by ``prepare``, unless too many processes hang; errors are noted on them."""
        hangs = self._get_run_batch().hangs
        if len(hangs) > MOST_HUNG:
            self._set_pdf_error(items, hangs[-1])
            return
        self._try_step(
            lambda: prepare(dict(items)), lambda error: self._handle_pdf_error(items, error)
        )

    def _try_step(self, step, handle):
        """Return what ``step`` returns; where it fails, undo it and return ``handle(error)``."""
        try:
            with self.env.cr.savepoint():
                return step()
        except RETRY_ERRORS:
            raise
        except Exception as error:
            if is_outage(error):
                raise
            self.env.invalidate_all(flush=False)
            return handle(error)

    def _handle_pdf_error(self, items, error):
        """Find the invoice to blame; the others get their PDF."""
        if isinstance(error, PrintHangs):
            self._get_run_batch().hangs.append(error)
        if len(items) == 1:
            self._set_pdf_error(items, error)
            return
        for part in self._get_pdf_parts(items, error):
            self._prepare_invoice_pdf_report(dict(part))

    def _get_pdf_parts(self, items, error):
        """Return ``items`` in parts that are tried for themselves: halves, to find those that fail.

        What hangs is looked for one by one at once, because each attempt takes long.
        """
        if not isinstance(error, PrintHangs):
            middle = len(items) // 2
            return [items[:middle], items[middle:]]
        suspects = [item for item in items if not error.ids or item[0].id in error.ids]
        rest = [item for item in items if item not in suspects]
        return [rest, *([item] for item in suspects)]

    def _set_pdf_error(self, items, error):
        for move, data in items:
            text = self._get_run_batch().documents[move.id]._get_error_text(error)
            data["error"] = {
                "error_title": self.env._("The PDF could not be created: %(error)s", error=text)
            }

    @api.model
    def _hook_if_errors(self, moves_data, allow_raising=True):
        # EXTENDS 'account': the document says what the chatter says
        batch = self._get_run_batch()
        if batch is not None:
            for move, data in moves_data.items():
                if isinstance(data["error"], str):
                    data["error"] = {"error_title": data["error"]}
                batch.errors[move.id] = self._format_error_text(data["error"])
        return super()._hook_if_errors(moves_data, allow_raising=allow_raising)

    @api.model
    def _send_mails(self, moves_data):
        # EXTENDS 'account': a mail that cannot be created does not stop the others
        send = super()._send_mails
        if self._get_run_batch() is None:
            return send(moves_data)
        return self._try_step(
            lambda: self._post_mails(send, moves_data),
            lambda error: self._handle_mail_error(moves_data, error),
        )

    @api.model
    def _post_mails(self, send, moves_data):
        """Create the mails by ``send``, Odoo's own method; an addon may write them together."""
        return send(moves_data)

    def _handle_mail_error(self, moves_data, error):
        """Try again one by one; what fails alone is noted."""
        batch = self._get_run_batch()
        if len(moves_data) > 1:
            for move, data in moves_data.items():
                self._send_mails({move: data})
            return
        [move] = moves_data
        batch.errors[move.id] = batch.documents[move.id]._get_error_text(error)

    @api.model
    def _send_mail(self, move, mail_template, **kwargs):
        # EXTENDS 'account': the document follows the message, see `_message_post_after_hook`
        return super()._send_mail(
            move.with_context(invoice_run_message=SENT_MESSAGE), mail_template, **kwargs
        )
