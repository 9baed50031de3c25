from odoo import models

from ..mails import get_kept


class IrMailServer(models.Model):
    _inherit = "ir.mail_server"

    def _get_default_bounce_address(self):
        # EXTENDS 'mail': one for the mails of a hand-over; each commit forgets the company
        kept = get_kept(self.env)
        if kept is None:
            return super()._get_default_bounce_address()
        if kept.bounce_address is None:
            kept.bounce_address = super()._get_default_bounce_address() or ""
        return kept.bounce_address or None
