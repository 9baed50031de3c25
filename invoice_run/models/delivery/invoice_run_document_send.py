import logging
from contextlib import contextmanager
from datetime import timedelta

from odoo import Command, api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import email_normalize

from ..base.errors import RETRY_ERRORS, is_outage
from ..base.states import DOCUMENT_SENDABLE, SEND_DONE, SEND_FAILED, SEND_OPEN
from .mail_mail import Answers
from .mail_notification import UNKNOWN

_logger = logging.getLogger(__name__)

#: Minutes until a mail is offered again after "try again later" (greylisting, throttling).
#: After the last one it counts as failed.
TRY_AGAIN_MINUTES = (15, 30, 60, 120, 240)
#: How often what the mail server said is noted, at most, in spite of conflicts.
TRIES = 5
#: Time until an invoice that somebody else had locked is tried again.
BUSY_WAIT = timedelta(minutes=5)


class InvoiceRunDocument(models.Model):
    """How an invoice goes to the customer, and what became of it."""

    _inherit = "invoice.run.document"

    send_action = fields.Selection(
        selection="_selection_send_action",
        string="Send By",
        required=True,
        default="none",
        help="Email, print, or another sending method that Odoo offers for customers.",
        engine=False,
    )
    is_send_unset = fields.Boolean(
        "Sending Not Decided",
        readonly=True,
        help="Nobody chose how the customer gets invoices: choose it here, or on the customer.",
    )
    send_state = fields.Selection(
        [
            ("none", "Not Sent"),
            ("pending", "Pending"),
            ("sent", "Sent"),
            ("failed", "Failed"),
            ("uncertain", "Delivery Unconfirmed"),
            ("printed", "Printed"),
        ],
        "Sending Status",
        required=True,
        default="none",
        readonly=True,
        help="Sent: the mail server or the network accepted it. A bounce changes it to Failed. "
        "Delivery Unconfirmed: the connection was lost while it was being accepted, so it may or "
        "may not have been delivered. It is not sent again by itself.",
    )
    send_channel = fields.Char("Sent Via", readonly=True)
    send_error = fields.Text("Reason for Not Sending", readonly=True)
    #: Beside the state as ``is_selected`` is beside that of the document: what was asked for, not
    #: what became of it. Pending are also what waits for a person and what Accounting is sending.
    send_asked = fields.Boolean(
        "To Be Sent Now",
        readonly=True,
        help="A user or the schedule requested to send it. Stop withdraws the request.",
    )
    send_date = fields.Datetime(
        "Last Sent On", readonly=True, help="When it was last handed to the mail server."
    )
    send_attempts = fields.Integer(
        readonly=True, help="How often the mail server asked to try again later."
    )
    send_next_try = fields.Datetime("Next Attempt", readonly=True)
    send_message_id = fields.Many2one(
        "mail.message", readonly=True, index="btree_not_null", help="The latest attempt."
    )
    send_message_ids = fields.Many2many(
        "mail.message",
        "invoice_run_document_message_rel",
        string="Attempts",
        readonly=True,
        help="All attempts: recipients who have received the invoice do not get it again.",
    )

    failure = fields.Text(
        "Why It Failed", compute="_compute_failure", help="Why it was not invoiced, or not sent."
    )

    # few of many: those that a person must look at, or send
    _send_open_idx = models.Index(
        "(company_id, send_state) WHERE send_state IN ('pending', 'failed', 'uncertain')"
    )
    _handed_over_idx = models.Index("(company_id, send_date) WHERE send_date IS NOT NULL")

    @api.model
    def _selection_send_action(self):
        """Return the ways of sending: ours, and those that Odoo has for customers."""
        field = self.env["res.partner"]._fields["invoice_sending_method"]
        others = [
            (method, label)
            for method, label in field._description_selection(self.env)
            if method not in ("manual", "email")
        ]
        return [
            ("email", self.env._("Email")),
            ("print", self.env._("Print")),
            *others,
            ("none", self.env._("Do not send")),
        ]

    @api.depends("error", "send_error")
    def _compute_failure(self):
        for document in self:
            document.failure = document.error or document.send_error

    def write(self, vals):
        """Follow a change of the way of sending, as long as nothing was sent.

        An earlier attempt is forgotten, so that nothing leaves by the old way. Documents whose
        delivery is unconfirmed stay as they are: only a person can send them again.
        """
        result = super().write(vals)
        if "send_action" in vals:
            open_documents = self.filtered(lambda doc: doc.send_state not in SEND_DONE)
            # sudo: states belong to the engine; users who may write the document may choose the way
            open_documents.sudo()._change_sending()
            # sudo: see above; whoever writes the way of sending has decided
            self.sudo().filtered("is_send_unset").is_send_unset = False
        return result

    def _change_sending(self):
        certain = self.filtered(lambda doc: not doc._is_perhaps_sent())
        certain.filtered("send_message_id")._prepare_retry()
        certain.filtered(lambda doc: doc.send_action in ("print", "none")).send_asked = False
        certain._prepare_sending()

    def _is_perhaps_sent(self):
        """Whether a mail may have left without an answer, or is leaving at this moment."""
        # sudo: notifications of the customers' mails
        notifications = self.sudo().send_message_id.notification_ids
        return self.send_state == "uncertain" or any(
            item.failure_type == UNKNOWN and item.notification_status == "exception"
            for item in notifications
        )

    def _set_send_state(self, state, **vals):
        """Put the sending of these documents into ``state``, and write ``vals`` with it.

        :raises UserError: one of them is in a state that this one does not follow
        """
        self._write_engine({"send_state": state, **vals})

    def _prepare_sending(self):
        """Mark what waits to be sent or printed after its invoice was created."""
        wanted = self.filtered(
            lambda doc: doc.state in DOCUMENT_SENDABLE and doc.send_action != "none"
        )
        wanted._set_send_state("pending", send_error=False)
        (self - wanted)._set_send_state("none", send_error=False)

    # ------------------------------------------------------------------
    # Buttons
    # ------------------------------------------------------------------

    def action_send(self):
        """Send these documents in the background: what is pending, and what failed, again.

        Where delivery is unconfirmed, only documents named here are sent again.

        :raises UserError: none of them is to be sent
        """
        self.check_access("write")
        # sudo: documents belong to the engine
        documents = self.sudo().filtered(lambda doc: doc.send_action not in ("none", "print"))
        documents.filtered(lambda doc: doc.send_state in SEND_FAILED)._prepare_retry()
        pending = documents.filtered(lambda doc: doc.send_state == "pending")
        if not pending:
            raise UserError(self.env._("None of these documents is waiting to be sent."))
        for run, of_run in pending.grouped("run_id").items():
            run._ask_sending(of_run)

    @api.model
    def _get_failed_domain(self):
        """Return what "Retry Failed" takes: not what may have been delivered, a person decides."""
        return Domain("state", "=", "failed") | Domain("send_state", "=", "failed")

    def action_mark_sent(self):
        """Note that these customers have their invoices, however they got them."""
        self.check_access("write")
        # sudo: documents belong to the engine
        documents = self.sudo().filtered(lambda doc: doc.send_state in SEND_OPEN)
        documents._cancel_mails()
        documents._set_sent(self.env._("by hand, noted by %(user)s", user=self.env.user.name))

    # ------------------------------------------------------------------
    # Queueing
    # ------------------------------------------------------------------

    def _process_send(self):
        """Send these documents through ``account.move.send``; mails only as far as the queue.

        The caller commits and then calls :meth:`_hand_over_mails`. A worker that dies in
        between leaves queued mails; the next one hands over those, and creates no second ones.
        """
        queued = self.filtered("send_message_id")
        # those that perhaps left say so, whatever they waited for
        later = queued.filtered(lambda doc: doc.send_next_try and not doc._is_perhaps_sent())
        (queued - later)._update_send_state()
        anew = later.filtered(lambda doc: doc._needs_new_mail())
        fresh = self - queued
        if anew:
            fresh = (fresh | anew)._forget_mails(anew)
        for method, documents in fresh.grouped("send_action").items():
            documents._send_once(method)
        # last: an error above rolls back what is not committed
        (later - anew).exists()._offer_mails_again()
        mailed = self.filtered(lambda doc: doc.send_state == "pending" and doc.send_message_id)
        mailed.write({"send_date": fields.Datetime.now(), "send_next_try": False})

    def _is_counted(self):
        """Whether its mail is in the queue and counts among those of the last hour, untried."""
        hour_ago = fields.Datetime.now() - timedelta(hours=1)
        is_recent = self.send_date and self.send_date > hour_ago
        return bool(self.send_message_id and is_recent and not self.send_next_try)

    def _take_invoices(self):
        """Lock the invoices of these documents; return the documents of those nobody else has.

        Accounting's own sending of the same invoices waits, then finds them done. A network locks
        them against references too, and silently sends nothing where it cannot: so do we.
        """
        free = self.move_id.try_lock_for_update(
            allow_referencing=set(self.mapped("send_action")) <= {"email"}
        )
        return self.filtered(lambda doc: doc.move_id in free)

    def _send_once(self, method):
        """Send by ``method``; what an interrupted worker began is not tried again automatically.

        A network is called at once, and its module may commit before our note: so "delivery
        unconfirmed" is committed beforehand, as ``mail.mail._note_hand_over`` does for mails.
        """
        if method == "email" or not self.env["invoice.run"]._can_commit():
            self._send_by(method)
            return
        self._set_send_failed(self.env["mail.notification"]._get_unknown_reason(), "uncertain")
        self.env["invoice.run"]._commit_step(remaining=1)
        free = self._take_invoices()
        if free:
            free._send_by(method)
        # somebody took these just now; nothing was tried
        (self - free)._set_send_state(
            "pending",
            send_error=False,
            send_asked=True,
            send_next_try=fields.Datetime.now() + BUSY_WAIT,
        )

    def _send_by(self, method):
        """Render and send through Odoo; what fails says why and does not stop the others."""
        send = self.env["account.move.send"].with_context(mail_notify_force_send=False)
        try:
            with self._undo_on_error():
                errors = send._send_run_documents(self, method)
        except RETRY_ERRORS:
            raise
        except Exception as error:
            if is_outage(error):
                raise
            self._handle_send_error(method, error)
            return
        self._note_sending(method, errors)

    @contextmanager
    def _undo_on_error(self):
        """Undo this block when it fails, although a network's module may commit in between.

        A savepoint would end with such a commit, so the transaction is rolled back: a chunk has
        one way of sending and begins with nothing to lose. Tests have a single transaction.
        """
        if not self.env["invoice.run"]._can_commit():
            with self.env.cr.savepoint():
                yield
            return
        try:
            yield
        except RETRY_ERRORS:
            raise
        except Exception:
            self.env.cr.rollback()
            raise

    def _handle_send_error(self, method, error):
        """Note an error that Odoo's sending did not attribute to an invoice."""
        self.env.invalidate_all(flush=False)
        if method == "email" and len(self) > 1:
            _logger.info("Invoice run: %s mails one by one after: %s", len(self), error)
            for document in self:
                # somebody may have stopped it since
                if document.run_id._get_documents_to_send(among=document):
                    document._send_by(method)
                # the next one may fail too, and is undone alone
                self.env["invoice.run"]._commit_step(remaining=1)
            return
        # nobody knows how far a network had got; a mail is not in the queue
        state = "failed" if method == "email" else "uncertain"
        for document in self:
            document._set_send_failed(document._get_error_text(error), state)

    def _note_sending(self, method, errors):
        """Note what Odoo said: ``errors`` by move id, else sent, else a mail that waits."""
        label = dict(self._fields["send_action"]._description_selection(self.env))[method]
        for document in self:
            if error := errors.get(document.move_id.id):
                document._set_send_failed(error)
            elif document.send_message_id:
                continue
            elif method == "email":
                document._set_send_failed(
                    self.env._("No email was created. Check the address of the customer.")
                )
            else:
                document._set_sent(label)

    def _note_message(self, message):
        """Follow a message by which these documents go out, whoever posted it."""
        if not self:
            return
        # sudo: documents belong to the engine; users of Accounting need not see them
        self.sudo()._set_send_state(
            "pending",
            send_message_id=message.id,
            send_message_ids=[Command.link(message.id)],
            send_error=False,
        )

    def _get_reached_partners(self):
        """Return the recipients, of several, that an earlier attempt reached."""
        # sudo: notifications of the customers' mails
        notifications = self.sudo().send_message_ids.notification_ids
        sent = notifications.filtered(lambda item: item.notification_status == "sent")
        return sent.res_partner_id

    def _prepare_retry(self):
        """Forget the failed attempt of these documents: the next one is a new mail."""
        self._cancel_mails()
        self._set_send_state(
            "pending", send_error=False, send_message_id=False, send_attempts=0, send_next_try=False
        )

    def _forget_unsent_mails(self):
        """Withdraw the waiting emails of these documents; the next ones are created anew.

        What has left, or perhaps has, is not touched.
        """
        waiting = self.filtered(lambda doc: doc.send_state == "pending" and doc.send_message_id)
        unsent = waiting._get_mails(["outgoing", "exception"]).mail_message_id
        waiting.filtered(
            lambda doc: doc.send_message_id in unsent and not doc._is_perhaps_sent()
        )._prepare_retry()

    def _cancel_mails(self):
        """Ensure that no unsent mail of these documents leaves later."""
        mails = self._get_mails(["outgoing", "exception"])
        mails.cancel()
        # sudo: notifications of the customers' mails
        ids = set(mails.ids)
        mails.mail_message_id.notification_ids.filtered(
            lambda item: item.mail_mail_id.id in ids and item.notification_status != "sent"
        ).sudo().with_context(invoice_run_hand_over=True).notification_status = "canceled"

    def _needs_new_mail(self):
        """Whether a new mail takes the place of the one that did not leave.

        Where a person tries again, and where one of several recipients has it.
        """
        if not self.send_attempts:
            return True
        if self._get_mails(["outgoing"]):
            return False
        return not self._get_mails(["exception"]) or bool(self._get_reached_partners())

    def _forget_mails(self, anew):
        """Commit that ``anew`` of these documents have no mail, so that no error brings it back.

        :return: those of these documents that are still to be sent then
        """
        attempts = {document.id: document.send_attempts for document in anew}
        anew._prepare_retry()
        for document in anew:
            document.send_attempts = attempts[document.id]
        self.env["invoice.run"]._commit_step(remaining=1)
        return self.run_id._get_documents_to_send(among=self)

    def _offer_mails_again(self):
        """Have the mails that the mail server wanted later leave with the next ones."""
        refused = self.filtered(lambda doc: not doc._get_mails(["outgoing"]))
        refused._get_mails(["exception"]).mark_outgoing()

    def _get_mails(self, states):
        """Return the mails of these documents that are in one of ``states``."""
        # sudo: mail.mail belongs to the technical side of messaging
        messages = self.sudo().send_message_id
        return (
            self.env["mail.mail"]
            .sudo()
            .search([("mail_message_id", "in", messages.ids), ("state", "in", states)], order="id")
        )

    # ------------------------------------------------------------------
    # Handing over
    # ------------------------------------------------------------------

    def _hand_over_mails(self, until=None):
        """Hand the queued mails to the mail server and note its answer on each document.

        "Delivery unconfirmed" is committed before each mail is handed over, with what became of the
        one before: see ``mail.mail._note_hand_over``.

        :param until: moment of ``time.monotonic()`` after which no further one is handed over
        :return: the documents whose mails stay queued, because the time was over
        """
        answers = Answers(until)
        try:
            self._get_mails(["outgoing"])._hand_over(answers)
        except Exception:
            if self.env["invoice.run"]._can_commit():
                # what the mail server said is known, whatever ended it
                self.env.cr.rollback()
                self._keep_answers(answers)
            raise
        self._keep_answers(answers)
        waiting = self._get_mails(["outgoing"]).mail_message_id
        left = self.exists().filtered(lambda doc: doc.send_message_id in waiting)
        if answers.is_late():
            # not at once what a slow server breaks off: the others would never come
            broken = left.filtered(lambda doc: doc.send_message_id.message_id in answers.broken)
        else:
            broken = left
        for document in broken:
            document._set_try_again(self.env._("The mail server closed the connection."))
        return left - broken

    def _keep_answers(self, answers):
        """Note what the mail server said, and commit it: nobody else knows.

        Tried again when others write at the same time.
        """
        if not self.env["invoice.run"]._can_commit():
            self._note_answers(answers)
            return
        for tries_left in reversed(range(TRIES)):
            try:
                self._note_answers(answers)
                self.env["invoice.run"]._commit_step(remaining=1)
                return
            except RETRY_ERRORS:
                if not tries_left:
                    raise
                self.env.cr.rollback()

    def _note_answers(self, answers):
        # not what somebody took out of the queue meanwhile, or noted as sent
        pending = self.exists().filtered(lambda doc: doc.send_state == "pending")
        pending._update_send_state(answers)

    def _update_send_state(self, answers=None):
        """Read from Odoo's notifications whether the mail server took each mail.

        :param answers: {message id header: (code, text)} of refusals, as the server said them
        """
        # sudo: notifications of the customers' mails
        for document in self.filtered("send_message_id").sudo():
            message = document.send_message_id
            # followers get it too: what becomes of their mails is not the customer's affair
            wanted = message.partner_ids or message.notification_ids.res_partner_id
            notifications = message.notification_ids.filtered(
                lambda item, wanted=wanted: item.res_partner_id in wanted
            )
            document._note_notifications(notifications, (answers or {}).get(message.message_id))

    def _note_notifications(self, notifications, answer=None):
        """Note what ``notifications`` of the mail say: sent, failed, or still pending."""
        if not notifications:
            # that does not make it safe to send again what perhaps left
            state = "uncertain" if self.send_state == "uncertain" else "failed"
            self._set_send_failed(self.env._("No recipient was found for the invoice."), state)
            return
        failed = notifications.filtered(
            lambda item: item.notification_status in ("exception", "bounce", "canceled")
        )[:1]
        if not failed:
            # in the inbox: this recipient wants Odoo's messages there, not by email
            arrived = notifications.filtered(
                lambda item: item.notification_status == "sent" or item.notification_type == "inbox"
            )
            if arrived == notifications:
                self._set_sent(self._get_channel_label())
        elif answer and 400 <= answer[0] < 500:
            self._set_try_again(failed._get_run_reason(answer))
        else:
            state = "uncertain" if failed.failure_type == UNKNOWN else "failed"
            self._set_send_failed(failed._get_run_reason(answer), state)

    def _get_channel_label(self):
        field = self._fields["send_action"]
        return dict(field._description_selection(self.env)).get(self.send_action, "")

    def _set_sent(self, channel, state="sent", **vals):
        """Note that it is sent; what was sent before keeps its date.

        :param state: ``sent`` or ``printed``
        """
        self._set_send_state(
            state,
            send_channel=channel,
            send_error=False,
            send_next_try=False,
            send_asked=False,
            **vals,
        )

    def _set_send_failed(self, reason, state="failed"):
        """Note why it was not sent.

        :param state: ``uncertain`` where it may have been
        """
        self._set_send_state(state, send_error=reason, send_asked=False, send_next_try=False)

    def _set_try_again(self, reason):
        """Wait and try again: the mail server did not take it yet, and said so."""
        if self.send_attempts >= len(TRY_AGAIN_MINUTES):
            self._set_send_failed(reason)
            return
        minutes = TRY_AGAIN_MINUTES[self.send_attempts]
        self._set_send_state(
            "pending",
            send_error=reason,
            send_attempts=self.send_attempts + 1,
            send_next_try=fields.Datetime.now() + timedelta(minutes=minutes),
        )

    def _get_template_error(self):
        """Return why the email template of this document's run cannot be used, or nothing."""
        is_invoice = self.move_id.move_type == "out_invoice"
        return self.run_id._get_mail_template()._get_invoice_error() if is_invoice else None

    def _get_sender_error(self, template):
        """Return why there is no address to send from, or nothing.

        Odoo would send from that of the technical user who does the background work.
        """
        if self.company_id.email or self.move_id.invoice_user_id.email:
            return None
        # sudo: the address of a technical user
        technical = self.env.ref("base.user_root").sudo().email_normalized
        sender = template._render_field("email_from", self.move_id.ids)[self.move_id.id]
        if email_normalize(sender or "") not in (False, technical):
            return None
        return self.env._(
            "There is no address to send from. Enter the email address of %(company)s, then retry.",
            company=self.company_id.name,
        )

    def _get_address_error(self, partners):
        """Return why none of ``partners`` can be written to, or nothing."""
        if not partners:
            return self.env._(
                "The customer has no email address. Add one to the contact, then retry."
            )
        if not any(email_normalize(partner.email, strict=False) for partner in partners):
            return self.env._(
                "%(address)s is not a valid email address. Correct the contact, then retry.",
                address=", ".join(partner.email for partner in partners if partner.email),
            )
        return None
