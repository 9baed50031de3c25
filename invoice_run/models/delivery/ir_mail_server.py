import smtplib
from contextlib import contextmanager

from odoo import models
from odoo.addons.base.models.ir_mail_server import MailDeliveryException

#: The dot after the last line of a mail.
END_OF_MAIL = b"\r\n.\r\n"
#: "Service not available, closing transmission channel" (RFC 5321, 4.2.2).
CLOSING = 421


class ConnectionUsedUp(smtplib.SMTPServerDisconnected):
    """The mail server takes no further mail by a connection that has carried some."""


class IrMailServer(models.Model):
    _inherit = "ir.mail_server"

    def send_email(self, message, *args, smtp_session=None, **kwargs):
        # EXTENDS 'base': remember what the mail server answered, code and text
        answers = self.env.context.get("invoice_run_answers")
        if answers is None:
            return super().send_email(message, *args, smtp_session=smtp_session, **kwargs)
        message_id = message["Message-Id"]
        if smtp_session and smtp_session.sock is None:
            # closed by the answer to an earlier mail, 421 for example
            answers.note_untried(message_id)
            raise smtplib.SMTPServerDisconnected("the mail server had closed the connection")
        if answers.is_late():
            answers.note_untried(message_id)
            raise smtplib.SMTPServerDisconnected("the time for this chunk is over")
        answers.tried += 1
        with _watching(smtp_session) as phase:
            try:
                result = super().send_email(message, *args, smtp_session=smtp_session, **kwargs)
            except MailDeliveryException as error:
                answer = _get_answer(error.__context__)
                is_new = message_id not in answers.left
                if is_new and _is_used_up(smtp_session, error.__context__):
                    answers.note_untried(message_id)
                    raise ConnectionUsedUp(answer[1]) from error
                if answer:
                    answers[message_id] = answer
                raise
            except smtplib.SMTPServerDisconnected:
                if not phase["is_complete"]:
                    answers.note_untried(message_id)
                    answers.broken.add(message_id)
                raise
        answers.left.add(message_id)
        if smtp_session:
            smtp_session.has_carried = True
        return result


@contextmanager
def _watching(smtp_session):
    """Give a dict that says whether a mail is completely in the hands of the mail server.

    RFC 5321 (4.1.1.4): the server takes a mail with the dot after its last line. Before that
    dot a mail certainly did not leave, whatever broke; after it nobody knows before the answer.
    A session of Odoo's own making cannot be watched: there nobody knows either.
    """
    if not smtp_session:
        yield {"is_complete": True}
        return
    phase, send = {"is_complete": False}, smtp_session.send

    def watched(data):
        send(data)
        if isinstance(data, bytes) and data.endswith(END_OF_MAIL):
            phase["is_complete"] = True

    smtp_session.send = watched
    try:
        yield phase
    finally:
        smtp_session.send = send


def _is_used_up(smtp_session, error):
    """Whether ``error`` says that this connection has carried enough: servers count its mails.

    It is the answer to the first command of a mail, after others went through.
    """
    return (
        isinstance(error, smtplib.SMTPSenderRefused)
        and error.smtp_code == CLOSING
        and getattr(smtp_session, "has_carried", False)
    )


def _get_answer(error):
    """Return (code, text) of what the mail server refused, None where it said nothing."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        code, text = error.smtp_code, error.smtp_error
    else:
        return None
    return code, text.decode(errors="replace") if isinstance(text, bytes) else str(text)
