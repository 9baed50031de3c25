import logging
import smtplib
import time

from odoo import models
from odoo.exceptions import UserError
from odoo.tools import human_size

from ..base.errors import get_conflict
from .ir_mail_server import ConnectionUsedUp
from .mail_notification import UNKNOWN

_logger = logging.getLogger(__name__)

#: Connections that may break before the rest of a chunk waits for its next try.
MAX_CONNECTIONS = 3


class Answers(dict):
    """Refusals of one hand-over, {Message-Id: (code, text)}, and what else became of its mails.

    Compared by identity, because contexts are compared by value.

    ``until``: moment of ``time.monotonic()`` after which no further mail is handed over.
    ``untried``: message ids of what certainly did not leave. ``broken``: of those of them in the
    middle of which the connection ended. ``left``: of what the mail server took, for a recipient
    at least. ``tried``: how many mails the mail server saw. ``open``: what
    became of the latest mails, {id: arguments of ``_postprocess_sent_message``}, until that is
    committed.
    """

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __init__(self, until=None):
        super().__init__()
        self.untried = set()
        self.broken = set()
        self.left = set()
        self.tried = 0
        self.open = {}
        self._until = until

    def note_untried(self, message_id):
        """Note that this mail did not leave; not where one of its recipients has it already."""
        if message_id not in self.left:
            self.untried.add(message_id)

    def is_late(self):
        """Whether the time is over, and something was handed over in it."""
        return bool(self._until and self.tried and time.monotonic() > self._until)


class MailMail(models.Model):
    _inherit = "mail.mail"

    def _hand_over(self, answers):
        """Hand these mails to the mail server; a mail that was not tried stays outgoing.

        There is one commit for each mail, before it is handed over, with what became of the one
        before (:meth:`_note_hand_over`).

        :param answers: an :class:`Answers`, which gets what the mail server said; also where an
            error ends it
        :raises Exception: what ended it; all that was not committed is rolled back
        """
        commit = self.env["invoice.run"]._can_commit()
        mails = self.try_lock_for_update().with_context(
            invoice_run_answers=answers, invoice_run_hand_over=True
        )
        connections = MAX_CONNECTIONS
        while connections:
            connections -= 1
            mails = mails.exists().filtered(lambda mail: mail.state == "outgoing")
            if not mails or answers.is_late():
                break
            try:
                mails.send(auto_commit=commit)
            except smtplib.SMTPServerDisconnected as error:
                # the mail that was under way is marked, the others are still outgoing
                _logger.info("Invoice run: connection to the mail server lost: %s", error)
                if isinstance(error, ConnectionUsedUp):
                    connections += 1
                # and those that left before it are deleted already
                left = mails.exists()
                left.filtered(lambda mail: mail.message_id in answers.untried)._offer_again()
                answers.untried.clear()
                self.env["invoice.run"]._commit_step(remaining=1)
            except Exception as error:
                if commit:
                    self.env.cr.rollback()
                    mails._note_open()
                if conflict := get_conflict(error):
                    raise conflict from error
                raise

    def _note_open(self):
        """Note and commit what became of the latest mails: it is known, but was rolled back."""
        known = dict(self.env.context["invoice_run_answers"].open)
        for mail_id, result in known.items():
            mail = self.browse(mail_id)
            if result["success_pids"] or result["success_emails"]:
                mail.write({"state": "sent", "failure_type": False, "failure_reason": False})
            else:
                names = ("failure_type", "failure_reason")
                mail.write({"state": "exception", **{name: result.get(name) for name in names}})
            mail._postprocess_sent_message(**result)
            mail._commit_hand_over()

    def _postprocess_sent_message(self, success_pids, success_emails, **kwargs):
        # EXTENDS 'mail': until this is committed, the answer of the mail server is ours to keep
        answers = self.env.context.get("invoice_run_answers")
        if answers is not None and len(self) == 1:
            given = {"success_pids": success_pids, "success_emails": success_emails, **kwargs}
            answers.open[self.id] = given
        return super()._postprocess_sent_message(success_pids, success_emails, **kwargs)

    def _offer_again(self):
        """Take back the note that these mails perhaps left: the mail server never saw them."""
        self.mark_outgoing()
        notifications = self.env["mail.notification"].search(
            [("mail_mail_id", "in", self.ids), ("failure_type", "=", UNKNOWN)]
        )
        # sudo: as in `mail.mail._send`
        notifications.sudo().write(
            {"notification_status": "ready", "failure_type": False, "failure_reason": False}
        )

    def _send(self, auto_commit=False, **kwargs):
        # EXTENDS 'mail': `_note_hand_over` may commit exactly where Odoo itself does
        mails = self.with_context(invoice_run_commit=auto_commit)
        ours = auto_commit and "invoice_run_hand_over" in self.env.context
        result = super(MailMail, mails)._send(auto_commit=auto_commit and not ours, **kwargs)
        if ours:
            mails._commit_hand_over()
        return result

    def _prepare_outgoing_list(self, mail_server=False, doc_to_followers=None):
        # EXTENDS 'mail': the last moment before the mail server sees the mail
        result = super()._prepare_outgoing_list(
            mail_server=mail_server, doc_to_followers=doc_to_followers
        )
        if self.model == "account.move" and "invoice_run_commit" in self.env.context:
            self._note_hand_over(mail_server, result)
        return result

    def _note_hand_over(self, mail_server, emails):
        """Commit, before the mail server sees it, the note that a run's mail may have left.

        A worker that dies after this leaves the mail as "delivery unconfirmed": nothing sends it a
        second time by itself, neither we nor Odoo's mail queue; a person decides. Without this
        Odoo would forget that it left and send it again. What became of the run's mail before is
        in the same commit: a worker that dies earlier leaves that one unconfirmed, and this one
        waiting.

        :raises UserError: the mail is larger than the server's limit
        """
        # sudo: Odoo's mail queue need not see the documents of a run
        documents = self.env["invoice.run.document"].sudo()
        ours = "invoice_run_hand_over" in self.env.context
        if not ours and not documents.search_count(
            [("send_message_id", "=", self.mail_message_id.id)], limit=1
        ):
            return
        self._check_run_size(mail_server, emails)
        notifications = self.env["mail.notification"].search(
            [
                ("mail_mail_id", "=", self.id),
                ("notification_status", "not in", ("sent", "canceled")),
            ]
        )
        # sudo: as in `mail.mail._send`
        notifications.sudo().write({"failure_type": UNKNOWN})
        if self.env.context["invoice_run_commit"]:
            self._commit_hand_over()

    def _commit_hand_over(self):
        """Commit what is noted, right before the mail server sees the next mail."""
        self.env.cr.commit()  # pylint: disable=invalid-commit
        if (answers := self.env.context.get("invoice_run_answers")) is not None:
            answers.open.clear()

    def _check_run_size(self, mail_server, emails):
        """Refuse what is larger than the limit of ``mail_server``, where it has one of its own."""
        limit = mail_server.max_email_size if mail_server else 0
        if not limit:
            return
        for email in emails:
            sizes = [len(content) for _name, content, _mimetype in email["attachments"]]
            size = self._estimate_email_size(email["headers"], email["body"], sizes)
            if size > limit * 1024 * 1024:
                raise UserError(
                    self.env._(
                        "The email would be %(size)s, but %(server)s accepts %(limit)s MB at "
                        "most. Remove attachments of the run or of the template, then retry.",
                        size=human_size(size),
                        server=mail_server.name,
                        limit=limit,
                    )
                )
