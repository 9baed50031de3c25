import email
import email.policy
import io
import socket
from contextlib import contextmanager
from unittest.mock import patch

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from pypdf import PdfReader

from odoo.addons.base.models.ir_mail_server import IrMail_Server
from odoo.tests import tagged

from .common import InvoiceRunCommon


class Inbox(Message):
    """Keeps what arrives; refuses recipients whose address begins with ``refused``."""

    def __init__(self):
        super().__init__()
        self.mails = []

    def handle_message(self, message):
        self.mails.append(email.message_from_bytes(bytes(message), policy=email.policy.default))

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("refused"):
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@tagged("post_install", "-at_install")
class TestSending(InvoiceRunCommon):
    """Mails really leave through SMTP, with the real PDF, to whom they should and once."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.inbox = Inbox()
        cls.smtp = Controller(cls.inbox, hostname="127.0.0.1", port=cls._get_free_port())
        cls.smtp.start()
        cls.addClassCleanup(cls.smtp.stop)
        host, port = cls.smtp.server.sockets[0].getsockname()[:2]
        cls.env["ir.mail_server"].search([]).active = False
        cls.env["ir.mail_server"].create(
            {"name": "Inbox", "smtp_host": host, "smtp_port": port, "smtp_encryption": "none"}
        )
        cls.debtor.invoice_sending_method = "email"

    @classmethod
    def _get_free_port(cls):
        with socket.create_server(("127.0.0.1", 0)) as server:
            return server.getsockname()[1]

    def setUp(self):
        super().setUp()
        self.inbox.mails.clear()

    @contextmanager
    def _real_sending(self):
        with (
            patch.object(IrMail_Server, "_disable_send", lambda self: False),
            self.allow_pdf_render(),
        ):
            yield

    def _make_sent_run(self, invoice_date="2024-01-15"):
        run = self._run_all(invoice_date).with_context(force_report_rendering=True)
        with self._real_sending():
            run.with_user(self.user).action_send()
            run._process_queue()
        return run

    def _get_recipients(self):
        return [mail["To"].addresses[0].addr_spec for mail in self.inbox.mails]

    def _get_pdf_text(self):
        [attachment] = self.inbox.mails[0].iter_attachments()
        self.assertEqual(attachment.get_content_type(), "application/pdf")
        reader = PdfReader(io.BytesIO(attachment.get_content()))
        return "\n".join(page.extract_text() for page in reader.pages)

    def test_subtotal_per_contract_on_the_pdf(self):
        self.debtor.allow_invoice_grouping = True
        first = self._make_contract([{}, {"price_unit": 23.0}], date_start="2024-01-01")
        second = self._make_contract([{}, {"price_unit": 45.0}], date_start="2024-01-01")
        self._make_sent_run()
        text = self._get_pdf_text()
        for expected in (first.name, "123.00", second.name, "145.00", "268.00"):
            self.assertIn(expected, text)

    def test_mail_arrives_with_the_pdf_once(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_sent_run()
        document = run.document_ids
        self.assertEqual(document.send_error, False)
        self.assertEqual(document.send_state, "sent")
        self.assertEqual(self._get_recipients(), ["debtor@example.com"])
        text = self._get_pdf_text()
        self.assertIn(document.move_id.name, text)
        self.assertIn("100.00", text)
        self.assertIn(document.title, text)
        with self._real_sending():
            run.action_send()
            run._process_queue()
        self.assertEqual(len(self.inbox.mails), 1)

    def test_unset_sending_method_gets_no_mail(self):
        silent = self._make_partner("Silent", "silent@example.com")
        self._make_contract(date_start="2024-01-01", partner_id=silent.id)
        run = self._make_sent_run()
        self.assertEqual(run.document_ids.send_action, "none")
        self.assertEqual(run.document_ids.send_state, "none")
        self.assertFalse(self.inbox.mails)

    def test_missing_address_fails_and_is_retried(self):
        self.debtor.email = False
        self._make_contract(date_start="2024-01-01")
        run = self._make_sent_run()
        document = run.document_ids
        self.assertEqual(document.send_state, "failed")
        self.assertIn("no email address", document.send_error)
        self.debtor.email = "found@example.com"
        with self._real_sending():
            run.with_user(self.user).action_retry_failed()
            run._process_queue()
        self.assertEqual(document.send_state, "sent")
        self.assertEqual(self._get_recipients(), ["found@example.com"])

    def test_refused_recipient_fails_the_others_are_sent(self):
        refused = self._make_partner(
            "Refused", "refused@example.com", invoice_sending_method="email"
        )
        self._make_contract(date_start="2024-01-01", partner_id=refused.id)
        self._make_contract(date_start="2024-01-01")
        run = self._make_sent_run()
        states = {doc.partner_id.name: doc.send_state for doc in run.document_ids}
        self.assertEqual(states, {"Refused": "failed", "Debtor": "sent"})
        self.assertEqual(self._get_recipients(), ["debtor@example.com"])
        refused.email = "accepted@example.com"
        with self._real_sending():
            run.action_retry_failed()
            run._process_queue()
        self.assertEqual(self._get_recipients(), ["debtor@example.com", "accepted@example.com"])

    def test_worker_killed_after_queueing_sends_once(self):
        self._make_contract(date_start="2024-01-01")
        run = self._run_all("2024-01-15").with_context(force_report_rendering=True)
        with self._real_sending():
            run.action_send()
            # the worker dies after its first commit: the mail is queued, nobody sent it
            run.sudo().document_ids._process_send()
            run._process_queue()
        self.assertEqual(run.document_ids.send_state, "sent")
        self.assertEqual(len(self.inbox.mails), 1)
