import smtplib
import socket
from unittest.mock import patch

from odoo.addons.invoice_run.tests.sending_common import SendingCommon
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..mailer import Mailer
from ..sessions import MOST_OPEN, Sessions

LOGGED = ("odoo.addons.mail.models.mail_mail", "odoo.addons.base.models.ir_mail_server")


@tagged("post_install", "-at_install")
class TestSessions(SendingCommon):
    """Sessions with mail servers that outlive a chunk of mails."""

    def setUp(self):
        super().setUp()
        self.mailer = Mailer(self.env)
        self.addCleanup(self.mailer.sessions.close)

    def _hand_over(self, *names):
        """Send an invoice to each of these customers, as one chunk."""
        partners = [self._make_customer(name, f"{name}@example.com") for name in names]
        run = self._make_run_to_send(*partners)
        documents = run.document_ids.filtered(lambda document: document.partner_id.name in names)
        documents = documents.sudo().with_context(invoice_run_mailer=self.mailer)
        with self._real_sending(), mute_logger(*LOGGED):
            documents._process_send()
            documents._hand_over_mails()
        return documents

    def _assert_sent(self, documents):
        self.assertEqual(set(documents.mapped("send_state")), {"sent"})

    def test_one_for_all_chunks(self):
        self._assert_sent(self._hand_over("first", "second"))
        self._assert_sent(self._hand_over("third"))
        self.assertEqual(self.inbox.connections, 1)
        self.assertEqual(len(self.inbox.mails), 3)

    def test_a_new_one_without_a_worker(self):
        self.mailer = None
        self._assert_sent(self._hand_over("first"))
        self._assert_sent(self._hand_over("second"))
        self.assertEqual(self.inbox.connections, 2)
        self.mailer = Mailer(self.env)

    def test_a_new_one_after_the_server_was_changed(self):
        self._hand_over("first")
        self.env.cr.execute(
            "UPDATE ir_mail_server SET write_date = write_date + interval '1 s' WHERE id = %s",
            [self.server.id],
        )
        self.env.invalidate_all()
        self._assert_sent(self._hand_over("second"))
        self.assertEqual(self.inbox.connections, 2)

    def test_a_new_one_after_as_many_mails_as_odoo_sends_by_one(self):
        self.env["ir.config_parameter"].set_param("mail.session.batch.size", "3")
        self._hand_over("first", "second")
        self._assert_sent(self._hand_over("third", "fourth"))
        self.assertEqual(self.inbox.connections, 2, "two and two are more than three")

    def test_lost_between_two_chunks(self):
        """Nobody notices: the mails have not been tried."""
        self._hand_over("first")
        [session] = self.mailer.sessions._open.values()
        session.sock.shutdown(socket.SHUT_RDWR)
        documents = self._hand_over("second")
        self._assert_sent(documents)
        self.assertFalse(documents.send_attempts)
        self.assertEqual(self.inbox.connections, 2)

    def test_used_up_between_two_chunks(self):
        """The server says so only when it is to take the next mail."""
        self.inbox.mails_per_connection = 1
        self._hand_over("first")
        self._assert_sent(self._hand_over("second"))
        self.assertEqual(self.inbox.connections, 2)

    def test_refused_mails_leave_the_session_clean(self):
        refused = self._hand_over("refused", "first")
        self.assertEqual(sorted(refused.mapped("send_state")), ["failed", "sent"])
        self._assert_sent(self._hand_over("second"))
        self.assertEqual(self.inbox.get_recipients(), ["first@example.com", "second@example.com"])
        self.assertEqual(self.inbox.connections, 1)

    def test_few_are_open_at_once(self):
        sessions, ended = Sessions(), []
        self.addCleanup(sessions.close)

        def connect():
            session = smtplib.SMTP(self.server.smtp_host, self.server.smtp_port, timeout=10)
            session.ehlo()
            return session

        with patch.object(smtplib.SMTP, "quit", lambda session: ended.append(session)):
            opened = [sessions.get(key, connect, 1, 10) for key in range(MOST_OPEN + 2)]
            self.assertEqual(ended, opened[:2], "those that waited longest")
            self.assertIs(sessions.get(2, connect, 1, 10), opened[2])
            sessions.get(0, connect, 1, 10)
            self.assertEqual(ended, [*opened[:2], opened[3]], "not the one that was used since")
            sessions.close()
        self.assertEqual(len(ended), MOST_OPEN + 3, "all, in the end")
        for session in ended:
            session.close()
