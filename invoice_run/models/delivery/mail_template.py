from odoo import models


class MailTemplate(models.Model):
    _inherit = "mail.template"

    def _get_invoice_error(self):
        """Return why this template cannot be used for invoices; None where it can.

        Odoo renders the template of an invoice as superuser: with a template for other records
        this would tell what the other record of the same id says. Templates for invoices were
        written, or checked, by whoever may edit templates.
        """
        if not self or self.model == "account.move":
            return None
        return self.env._(
            "Email template “%(template)s” is not for invoices. Choose another one.",
            template=self.display_name,
        )

    def _has_own_sender(self):
        """Whether mails by this template come from one address, whoever sends them."""
        # sudo: tells only whether there is one
        sender = self.sudo().email_from
        return bool(sender) and "{{" not in sender
