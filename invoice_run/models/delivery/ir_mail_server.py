import smtplib

from odoo import models
from odoo.addons.base.models.ir_mail_server import MailDeliveryException


class IrMailServer(models.Model):
    _inherit = "ir.mail_server"

    def send_email(self, message, *args, smtp_session=None, **kwargs):
        # EXTENDS 'base': remember what the mail server answered, code and text
        answers = self.env.context.get("invoice_run_answers")
        if answers is None:
            return super().send_email(message, *args, smtp_session=smtp_session, **kwargs)
        if smtp_session and smtp_session.sock is None:
            # closed by the answer to an earlier mail, 421 for example: this one never left
            answers.untried.add(message["Message-Id"])
            raise smtplib.SMTPServerDisconnected("the mail server had closed the connection")
        try:
            return super().send_email(message, *args, smtp_session=smtp_session, **kwargs)
        except MailDeliveryException as error:
            answer = _get_answer(error.__context__)
            if answer:
                answers[message["Message-Id"]] = answer
            raise


def _get_answer(error):
    """Return (code, text) of what the mail server refused, None where it said nothing."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        code, text = error.smtp_code, error.smtp_error
    else:
        return None
    return code, text.decode(errors="replace") if isinstance(text, bytes) else str(text)
