from odoo import models

from ..posting import KnownRecipients


class MailFollowers(models.Model):
    _inherit = "mail.followers"

    def _get_recipient_data(self, records, message_type, subtype_id, pids=None):
        # EXTENDS 'mail': found for all invoices of a chunk at once
        known = records.env.context.get("invoice_run_recipients") if len(records) == 1 else None
        if isinstance(known, KnownRecipients):
            found = known.get(records, message_type, subtype_id, pids)
            if found is not None:
                return {records.id: found}
        return super()._get_recipient_data(records, message_type, subtype_id, pids=pids)
