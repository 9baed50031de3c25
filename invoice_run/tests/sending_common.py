import email
import email.policy
import socket
from contextlib import contextmanager
from unittest.mock import patch

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from odoo.addons.base.models.ir_mail_server import IrMail_Server
from odoo.tests.common import TEST_CURSOR_COOKIE_NAME, release_test_lock

from ..models.delivery.ir_actions_report import PdfProcess
from .common import InvoiceRunCommon

start, wait = PdfProcess.start, PdfProcess.wait


class MailServer:
    """Keeps what arrives; misbehaves by the address of the recipient or of the sender."""

    ANSWERS = {
        "refused": "550 5.1.1 No such mailbox",
        "later": "450 4.2.0 Greylisted, come again later",
        "slower": "421 4.7.0 Too many mails, closing",
    }

    def __init__(self):
        self.mails = []
        self.reset()

    def reset(self):
        self.mails.clear()
        self.forgiven = ()
        self.hang_up_on = None
        #: Command that gets no answer but a closed connection: MAIL, RCPT or DATA; how often.
        self.hang_up_at = None
        self.hang_ups = 0
        self.connections = 0
        #: Mails that are taken by one connection; None: any number.
        self.mails_per_connection = None

    def is_hanging_up(self, server, command):
        if self.hang_up_at != command or not self.hang_ups:
            return False
        self.hang_ups -= 1
        server.transport.abort()
        return True

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        session.carried = 0
        self.connections += 1
        # as most mail servers do; it changes nothing without `invoice_run_turbo`
        return [responses[0], "250-PIPELINING", *responses[1:]]

    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        if self.is_hanging_up(server, "MAIL"):
            return "421 bye"
        if address.startswith("refused"):
            return "553 5.1.8 Sender not allowed here"
        if session.carried == self.mails_per_connection:
            return "421 4.7.0 Too many mails in this connection"
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if self.is_hanging_up(server, "RCPT"):
            return "421 bye"
        for name, answer in self.ANSWERS.items():
            if address.startswith(name) and name not in self.forgiven:
                return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.hang_up_on in envelope.rcpt_tos:
            server.transport.abort()
            return "421 bye"
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append(message)
        session.carried += 1
        return "250 kept"

    def get_recipients(self):
        return [mail["To"].addresses[0].addr_spec for mail in self.mails]


class Session(SMTP):
    """A session that can break off before it reads a mail."""

    async def smtp_DATA(self, arg):
        if not self.event_handler.is_hanging_up(self, "DATA"):
            await super().smtp_DATA(arg)


class Smtp(Controller):
    """A mail server on a free port of this machine, with a limit of 300 kB a mail."""

    def factory(self):
        return Session(self.handler, **self.SMTP_kwargs)

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        super().__init__(MailServer(), hostname="127.0.0.1", port=port, data_size_limit=300_000)


class SendingCommon(InvoiceRunCommon):
    """Runs whose mails really leave through SMTP."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["ir.mail_server"].search([]).active = False
        cls.inbox, cls.server = cls._make_mail_server("Inbox")
        cls.debtor.invoice_sending_method = "email"

    @classmethod
    def _make_mail_server(cls, name, **vals):
        smtp = Smtp()
        smtp.start()
        cls.addClassCleanup(smtp.stop)
        server = cls.env["ir.mail_server"].create(
            {
                "name": name,
                "smtp_host": smtp.hostname,
                "smtp_port": smtp.port,
                "smtp_encryption": "none",
                **vals,
            }
        )
        return smtp.handler, server

    def setUp(self):
        super().setUp()
        self.inbox.reset()

    @contextmanager
    def _real_sending(self):
        with (
            patch.object(IrMail_Server, "_disable_send", lambda self: False),
            patch.object(PdfProcess, "start", lambda process: self._start_allowed(process)),
            patch.object(PdfProcess, "wait", lambda process: self._wait_allowed(process)),
            self.allow_pdf_render(),
        ):
            yield

    def _start_allowed(self, process):
        """Start a process whose requests Odoo's test server answers, as `allow_pdf_render` does."""
        process.args = ["--cookie", TEST_CURSOR_COOKIE_NAME, "wkhtmltopdf", *process.args]
        start(process)

    def _wait_allowed(self, process):
        with patch.object(self, "http_request_key", "wkhtmltopdf"), release_test_lock():
            wait(process)

    def _send(self, run, user=None):
        """Press "Send" and do the work here and now."""
        with self._real_sending():
            run.with_user(user or self.user).action_send()
            run._process_queue()

    def _retry(self, run, user=None):
        with self._real_sending():
            run.with_user(user or self.user).action_retry_failed()
            run._process_queue()

    def _make_run_to_send(self, *partners, invoice_date="2024-01-15"):
        """Return a run with a confirmed invoice of 100.00 for each of ``partners``."""
        for partner in partners or [self.debtor]:
            self._make_contract(date_start="2024-01-01", partner_id=partner.id)
        return self._run_all(invoice_date)

    def _make_customer(self, name, address, **vals):
        vals.setdefault("invoice_sending_method", "email")
        return self._make_partner(name, address, **vals)

    def _get_states(self, run):
        return {doc.partner_id.name: doc.send_state for doc in run.document_ids}
