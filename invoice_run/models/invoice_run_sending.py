import logging

from odoo import models
from odoo.exceptions import UserError

from .invoice_run_invoicing import RETRY_ERRORS

_logger = logging.getLogger(__name__)


class InvoiceRunDocument(models.Model):
    """From a confirmed invoice to the customer."""

    _inherit = "invoice.run.document"

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
