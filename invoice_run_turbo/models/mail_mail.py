from odoo import models

from ..cache import ValuesKept
from ..mails import get_kept

#: What Odoo reads of each mail on its own, after each commit.
READ_TOGETHER = ("recipient_ids", "attachment_ids", "mail_message_id")


class MailMail(models.Model):
    _inherit = "mail.mail"

    def send(self, *args, **kwargs):
        # EXTENDS 'mail': a session is used again only for what it may still carry
        if kept := get_kept(self.env):
            kept.count = len(self)
        return super().send(*args, **kwargs)

    def _send(self, auto_commit=False, **kwargs):
        # EXTENDS 'mail': what all mails of a hand-over read is read once, not after each commit
        kept = get_kept(self.env)
        if kept is None or auto_commit is not True:
            return super()._send(auto_commit, **kwargs)
        kept.values = ValuesKept(self.env)
        self._read_together()
        try:
            return super()._send(auto_commit, **kwargs)
        finally:
            kept.values.end()
            kept.values = None

    def _read_together(self):
        """Read what the mails need; :class:`ValuesKept` keeps it."""
        for name in READ_TOGETHER:
            self.mapped(name).fetch()
        self.mail_message_id.mapped("attachment_ids")

    def _commit_hand_over(self):
        # EXTENDS 'invoice_run'
        kept = get_kept(self.env)
        if kept and kept.values:
            kept.values.keep()
        return super()._commit_hand_over()

    def unlink(self):
        # EXTENDS 'mail': the mails of a hand-over are deleted together, when all is noted
        kept = get_kept(self.env)
        if kept is None:
            return super().unlink()
        kept.done.update(self.ids)
        return True
