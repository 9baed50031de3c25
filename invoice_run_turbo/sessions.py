"""Sessions with mail servers that outlive a chunk of mails, as long as one worker is at a job."""

import logging
import smtplib

_logger = logging.getLogger(__name__)

#: Sessions that are open at the same time; with more servers or senders they take turns.
MOST_OPEN = 4
#: Seconds in which a server answers that still knows of the session.
MOST_SECONDS = 5


class Sessions:
    """The open sessions of one thread, by what they were opened for.

    Whoever gets a session may ``quit`` it as Odoo does after each batch: it stays open until
    :meth:`close`.
    """

    def __init__(self):
        #: {key: session}, the one that was used last at the end
        self._open = {}
        self._carried = {}

    def get(self, key, connect, count, limit):
        """Return a session for ``count`` further mails.

        :param key: what the session is for
        :param connect: function that opens a new one
        :param limit: mails that one session carries at most
        """
        session = self._open.pop(key, None)
        if session and not self._is_usable(session, count, limit):
            self._end(session)
            session = None
        if session is None:
            self._end_oldest()
            session = connect()
            if not isinstance(session, smtplib.SMTP):
                return session
            self._carried[session] = 0
            session.quit = lambda: None
        self._open[key] = session
        return session

    def _is_usable(self, session, count, limit):
        """Whether the server still listens, and has forgotten what went wrong before."""
        if session.sock is None or self._carried[session] + min(count, limit) > limit:
            return False
        try:
            session.sock.settimeout(MOST_SECONDS)
            code, _text = session.rset()
            session.sock.settimeout(session.timeout)
        except (OSError, smtplib.SMTPException):
            return False
        return code == 250

    def note(self, session):
        """Count a mail that ``session`` is to carry."""
        if session in self._carried:
            self._carried[session] += 1

    def _end_oldest(self):
        if len(self._open) >= MOST_OPEN:
            key = next(iter(self._open))
            self._end(self._open.pop(key))

    def _end(self, session):
        self._carried.pop(session)
        del session.quit
        try:
            session.quit()
        except (OSError, smtplib.SMTPException) as error:
            _logger.info("Invoice run: the mail server had ended the session: %s", error)
            session.close()

    def close(self):
        """End all sessions."""
        while self._open:
            _key, session = self._open.popitem()
            self._end(session)
