from odoo import api, models

from ..mails import get_kept
from ..pipelining import pipelining

#: What `mail.mail` connects by.
CONNECTED_BY = {"mail_server_id", "smtp_from"}
#: Mails in one session, where the system parameter says nothing: as in `mail.mail`.
SESSION_SIZE = 1000


class IrMailServer(models.Model):
    _inherit = "ir.mail_server"

    def _connect__(self, *args, **kwargs):
        # EXTENDS 'base': the session of the chunk before, where it is for the same
        connect = super()._connect__
        kept = get_kept(self.env)
        if kept is None or kept.sessions is None or args or set(kwargs) != CONNECTED_BY:
            return connect(*args, **kwargs)
        # sudo: the mail server's settings are the system's
        size = self.env["ir.config_parameter"].sudo().get_param("mail.session.batch.size")
        return kept.sessions.get(
            self._get_session_key(**kwargs),
            lambda: connect(**kwargs),
            count=kept.count,
            limit=int(size) or SESSION_SIZE,
        )

    @api.model
    def _get_session_key(self, mail_server_id, smtp_from):
        """Return what a session depends on: a server that was changed needs a new one."""
        # sudo: the mail server's settings are the system's
        server = self.sudo().browse(mail_server_id)
        changed = server.write_date if server else self._get_default_from_filter()
        return mail_server_id, smtp_from, changed

    def _get_default_bounce_address(self):
        # EXTENDS 'mail': one for the mails of a hand-over; each commit forgets the company
        kept = get_kept(self.env)
        if kept is None:
            return super()._get_default_bounce_address()
        if kept.bounce_address is None:
            kept.bounce_address = super()._get_default_bounce_address() or ""
        return kept.bounce_address or None

    def send_email(self, message, *args, smtp_session=None, **kwargs):
        # EXTENDS 'base': fewer round trips to the mail server
        send = super().send_email
        kept = get_kept(self.env)
        if not smtp_session or kept is None:
            return send(message, *args, smtp_session=smtp_session, **kwargs)
        if kept.sessions:
            kept.sessions.note(smtp_session)
        with pipelining(smtp_session):
            return send(message, *args, smtp_session=smtp_session, **kwargs)
