from odoo import models

from ..mails import get_kept


class MailMail(models.Model):
    _inherit = "mail.mail"

    def unlink(self):
        # EXTENDS 'mail': the mails of a hand-over are deleted together, when all is noted
        kept = get_kept(self.env)
        if kept is None:
            return super().unlink()
        kept.done.update(self.ids)
        return True
