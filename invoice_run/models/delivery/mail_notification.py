from odoo import api, fields, models

#: A mail was being handed over when the worker or the connection stopped.
UNKNOWN = "invoice_run_unknown"
#: Longest part of a bounce that is shown as the reason.
REASON_LENGTH = 500


class MailNotification(models.Model):
    _inherit = "mail.notification"

    failure_type = fields.Selection(selection_add=[(UNKNOWN, "Connection lost during delivery")])

    def write(self, vals):
        # EXTENDS 'mail': bounces, and mails that Odoo's own queue sends, reach the document too
        result = super().write(vals)
        if "notification_status" in vals and "invoice_run_hand_over" not in self.env.context:
            self._update_run_documents()
        return result

    def _update_run_documents(self):
        # sudo: whoever fetches mail or sends it need not see the documents of a run
        messages = self.sudo().mail_message_id.filtered(lambda one: one.model == "account.move")
        if messages:
            documents = self.env["invoice.run.document"].sudo()
            documents.search([("send_message_id", "in", messages.ids)])._update_send_state()

    def _get_run_reason(self, answer=None):
        """Return in words why this recipient did not get the mail.

        :param answer: (code, text) of the mail server
        """
        self.ensure_one()
        address = self.res_partner_id.email or self.mail_email_address or ""
        if self.failure_type == UNKNOWN:
            return self._get_unknown_reason()
        if self.notification_status == "canceled":
            return self.env._("The mail was cancelled in Odoo.")
        if answer:
            return self.env._(
                "The mail server refused it: %(code)s %(text)s (to %(address)s)",
                code=answer[0],
                text=answer[1],
                address=address,
            )
        return self._get_run_failure(address)

    @api.model
    def _get_unknown_reason(self):
        return self.env._(
            "Delivery unconfirmed: the connection was lost while the mail server was "
            "accepting this email. Ask the customer or check the log of the mail server; then "
            "mark it as sent, or send it again."
        )

    def _get_run_failure(self, address):
        """Return the reason for what failed without an answer of the mail server."""
        reason = (self.failure_reason or self.mail_mail_id.failure_reason or "").strip()
        reason = reason[:REASON_LENGTH]
        if self.failure_type == "mail_bounce":
            return self.env._(
                "Bounced from %(address)s: %(reason)s", address=address, reason=reason
            )
        if self.failure_type in ("mail_email_invalid", "mail_email_missing"):
            return self.env._("%(address)s is not a valid email address.", address=address or "–")
        if self.failure_type == "mail_smtp":
            return self.env._("The mail server cannot be reached: %(reason)s", reason=reason)
        labels = dict(self._fields["failure_type"]._description_selection(self.env))
        return reason or labels.get(self.failure_type) or self.env._("Unknown reason")
