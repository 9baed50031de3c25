import smtplib
import socketserver
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.tests.properties import FIXED
from odoo.tests import BaseCase, tagged

from ..pipelining import NOT_ABLE, pipelining

REFUSALS = [421, 450, 550]
MAILS = st.fixed_dictionaries(
    {
        "MAIL": st.sampled_from([250, 250, 250, *REFUSALS]),
        "RCPT": st.lists(st.sampled_from([250, 250, 251, *REFUSALS]), min_size=1, max_size=4),
        "DATA": st.sampled_from([354, 354, 354, *REFUSALS]),
        "END": st.sampled_from([250, 250, 250, *REFUSALS]),
        # whether it asks for the content although it refused the sender, or all recipients
        "asks_anyway": st.booleans(),
    }
)
WILLING = {"MAIL": 250, "RCPT": [250], "DATA": 354, "END": 250, "asks_anyway": False}


class ScriptedServer(socketserver.StreamRequestHandler):
    """Answers as ``server.script`` says, one entry a mail; ``server.kept`` is what it took."""

    def handle(self):
        self.answer(220)
        while line := self.rfile.readline():
            command = line.split()[0].upper().decode()
            if command == "QUIT" or getattr(self, f"do_{command.lower()}")(line):
                return

    def answer(self, code):
        self.wfile.write(b"%d as the script says\r\n" % code)
        return code == 421

    def do_ehlo(self, _line):
        self.wfile.write(b"250-scripted\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n")
        self.mail = None

    def do_rset(self, _line):
        self.mail = None
        return self.answer(250)

    def do_mail(self, line):
        if self.mail is not None:
            # within the transaction of a mail that is not over; that one goes on
            return self.answer(503)
        self.script = dict(self.server.script.pop(0))
        self.replies = list(self.script["RCPT"])
        self.mail = [line, []] if self.script["MAIL"] == 250 or self.script["asks_anyway"] else None
        return self.answer(self.script["MAIL"])

    def do_rcpt(self, line):
        if self.mail is None:
            return self.answer(503)
        code = self.replies.pop(0)
        if code < 300:
            self.mail[1].append(line)
        return self.answer(code)

    def do_data(self, _line):
        if self.mail is None or not (self.mail[1] or self.script["asks_anyway"]):
            return self.answer(503)
        if self.answer(self.script["DATA"]) or self.script["DATA"] != 354:
            return self.script["DATA"] == 421
        content = b""
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return True  # the other side went away
            content += line
        mail, self.mail = self.mail, None
        if not mail[1]:
            return self.answer(554)
        if self.script["END"] == 250:
            self.server.kept.append((*mail, content))
        return self.answer(self.script["END"])


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    script, kept = (), ()


@tagged("post_install", "-at_install")
class TestPipelining(BaseCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(("127.0.0.1", 0), ScriptedServer)
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    def _send(self, mails, is_pipelined):
        """Send ``mails`` by one session; return what came of each, what was kept, and the sends."""
        self.server.script, self.server.kept, sent = list(mails), [], []
        session, outcomes = None, []
        for mail in mails:
            if session is None or session.sock is None:
                session = self._connect(is_pipelined, sent)
            outcomes.append(self._send_one(session, mail))
            if outcomes[-1][0] is smtplib.SMTPDataError and not is_pipelined and session.sock:
                session._rset()  # which smtplib forgets
        session.close()
        return outcomes, self.server.kept, sent

    def _connect(self, is_pipelined, sent):
        session = smtplib.SMTP(*self.server.server_address, timeout=10)
        session.ehlo()
        if not is_pipelined:
            del session.esmtp_features["pipelining"]
        send = session.send
        session.send = lambda text: (sent.append(text), send(text))
        return session

    def _send_one(self, session, mail):
        recipients = [f"to{number}@example.com" for number, _code in enumerate(mail["RCPT"])]
        content = b"Subject: Invoice\r\n\r\n.dots\r\nlast line"
        with pipelining(session):
            try:
                return (None, session.sendmail("from@example.com", recipients, content))
            except smtplib.SMTPException as error:
                return type(error), error.args

    @settings(max_examples=150, **FIXED)
    @given(mail=MAILS)
    def test_as_without(self, mail):
        """Whatever the server answers: the same results, the same mails, and the next one goes."""
        mails = [mail, WILLING]
        plain, kept, _sent = self._send(mails, is_pipelined=False)
        self.assertEqual(self._send(mails, is_pipelined=True)[:2], (plain, kept))

    def test_two_round_trips(self):
        outcomes, kept, sent = self._send([{**WILLING, "RCPT": [250, 550]}], is_pipelined=True)
        self.assertEqual([*outcomes[0][1]], ["to1@example.com"])
        self.assertEqual(len(kept), 1)
        self.assertEqual(len(sent), 2, "commands, then the content")
        self.assertTrue(sent[0].endswith("rcpt TO:<to1@example.com>\r\ndata\r\n"), sent[0])

    def test_nothing_is_said_with_a_line_break(self):
        self.server.script, self.server.kept, to = [WILLING], [], ["to@example.com"]
        with smtplib.SMTP(*self.server.server_address, timeout=10) as session:
            session.ehlo()
            with pipelining(session), self.assertRaises(ValueError):
                session.sendmail("from@example.com", to, b"text", rcpt_options=["\r\nRSET"])
            with pipelining(session):
                session.sendmail("from@example.com", to, b"text")
        self.assertEqual(len(self.server.kept), 1)

    def test_a_server_that_does_not_hold_what_it_offers(self):
        """It loses all but the first command; on the next connection it gets them one by one."""
        self.patch(ScriptedServer, "do_rcpt", lambda handler, _line: True)
        self.addCleanup(NOT_ABLE.discard, self.server.server_address[0])
        outcomes, kept, _sent = self._send([WILLING], is_pipelined=True)
        self.assertIs(outcomes[0][0], smtplib.SMTPServerDisconnected)
        self.assertFalse(kept)
        self.assertEqual(NOT_ABLE, {self.server.server_address[0]})
        with smtplib.SMTP(*self.server.server_address, timeout=10) as session:
            session.ehlo()
            with pipelining(session):
                self.assertNotIn("sendmail", vars(session))
