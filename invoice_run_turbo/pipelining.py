"""Mails in two round trips to the mail server instead of four (RFC 2920, command pipelining).

Sender, recipients and DATA are said together where the server offers it; smtplib's own ``sendmail``
then reads the replies one by one and decides as always. A mail's content is never sent ahead: it
still follows the reply to DATA, so whether it left is as certain as before.
"""

import smtplib
from contextlib import contextmanager

#: The reply to DATA that asks for the content.
GO_AHEAD = 354
#: Hosts that offered it and did not answer when they were taken at their word.
NOT_ABLE = set()


@contextmanager
def pipelining(session):
    """Have the mails of ``session`` say their commands together, where the server offers it."""
    if not isinstance(session, smtplib.SMTP) or not _is_able(session):
        yield
        return
    pipeline = _Pipeline(session)
    session.sendmail = pipeline.sendmail
    try:
        yield
    finally:
        del session.sendmail


def _is_able(session):
    """Whether the server offers it; a firewall on the way may do so in its name and not hold it."""
    return session.has_extn("pipelining") and _get_host(session) not in NOT_ABLE


def _get_host(session):
    return getattr(session, "_host", None)


class _Pipeline:
    """Stands in for three methods of a session while one mail is sent."""

    def __init__(self, session):
        self._session = session
        self._putcmd, self._getreply = session.putcmd, session.getreply
        self._recipients, self._rcpt_options = [], ""
        #: commands that were said and whose replies are not read yet
        self._owed = []

    def sendmail(self, from_addr, to_addrs, msg, mail_options=(), rcpt_options=()):
        """As ``smtplib.SMTP.sendmail``, with its results and its errors."""
        self._recipients = [to_addrs] if isinstance(to_addrs, str) else to_addrs
        self._rcpt_options = "".join(f" {option}" for option in rcpt_options)
        self._owed = []
        session = self._session
        session.putcmd, session.getreply = self._say, self._hear
        try:
            return type(session).sendmail(
                session, from_addr, to_addrs, msg, mail_options, rcpt_options
            )
        except smtplib.SMTPServerDisconnected:
            if self._owed:
                NOT_ABLE.add(_get_host(session))
            raise
        except smtplib.SMTPDataError:
            # smtplib leaves the transaction open where DATA is refused; said together with those of
            # the next mail, its recipients would join it
            if session.sock:
                session.putcmd = self._putcmd
                session._rset()
            raise
        finally:
            del session.putcmd, session.getreply

    def _say(self, command, args=""):
        """Say MAIL with all that follows it, and that not again."""
        if command == "mail":
            self._say_together(args)
        elif command == "rset":
            self._hear_the_rest()
            self._putcmd(command, args)
        elif command not in self._owed:
            self._putcmd(command, args)

    def _say_together(self, args):
        commands = [("mail", args)]
        for recipient in self._recipients:
            address = smtplib.quoteaddr(recipient)
            commands.append(("rcpt", f"TO:{address}{self._rcpt_options}"))
        commands.append(("data", ""))
        # smtplib writes each command, and refuses line breaks in it
        session, send, texts = self._session, self._session.send, []
        session.send = texts.append
        try:
            for command, arguments in commands:
                self._putcmd(command, arguments)
        finally:
            session.send = send
        session.send("".join(texts))
        self._owed = [command for command, _arguments in commands]

    def _hear(self):
        if self._owed:
            self._owed.pop(0)
        return self._getreply()

    def _hear_the_rest(self):
        """Read the replies to what was said before one of them was a refusal.

        A server may ask for the content although it refused all recipients; it gets an empty one,
        which goes to nobody (RFC 2920, 3.1). One that asks although it refused the sender may have
        recipients: it gets none, the connection ends.
        """
        is_sender_refused = "rcpt" in self._owed
        code = None
        while self._owed:
            code, _text = self._hear()
        if code != GO_AHEAD:
            return
        if is_sender_refused:
            self._session.close()
            return
        self._session.send(".\r\n")
        self._getreply()
