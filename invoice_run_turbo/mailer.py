"""Mails that leave while the next documents are rendered.

A mailer is a worker of its own that does nothing but hand over what is in the queue: a thread with
its own connection, locks and sessions. So each document still belongs to one worker, each mail is
noted as by any worker, and a process that dies leaves one mail unconfirmed at most.
"""

import logging
import threading
import time
from contextlib import contextmanager

from odoo.addons.invoice_run.models.job.invoice_run_job import CHUNK_SECONDS

from .sessions import Sessions

_logger = logging.getLogger(__name__)

#: Share of its time for which a hand-over waits, mostly for the mail server, from which on others
#: leave beside the rendering.
SHARE_WAITED = 0.5


class Mailer:
    """Hands over the mails of one chunk at a time; an object, so that no RPC call can forge it.

    ``sessions``: those with the mail servers. ``is_worth_it``: whether the mails before were mostly
    waited for. ``ids``: of the documents that it was given and whose end nobody has waited for.
    ``has_left``: whether mails stayed in the queue, because the time was over.
    """

    def __init__(self, env):
        self._env = env
        self._thread = self._error = None
        self.sessions = Sessions()
        self.is_worth_it = False
        self.ids = ()
        self.has_left = False

    def __enter__(self):
        return self

    def __exit__(self, _kind, error, _traceback):
        try:
            self.wait()
        except Exception:
            if error is None:
                raise
            _logger.exception("Invoice run: mails could not be handed over")
        finally:
            self.sessions.close()

    @contextmanager
    def watching(self):
        """See whether the mails that are handed over meanwhile are mostly waited for."""
        begin, cpu = time.monotonic(), time.thread_time()
        yield
        seconds = time.monotonic() - begin
        self.is_worth_it = time.thread_time() - cpu < (1 - SHARE_WAITED) * seconds

    def start(self, run, documents):
        """Begin to hand over the mails of ``documents``, on which the caller has no locks left."""
        self.wait()
        self.ids = documents.ids
        self._thread = threading.Thread(
            target=self._work, args=(run.id, self.ids), name=f"invoice_run.mailer.{run.id}"
        )
        self._thread.dbname = self._env.cr.dbname  # which Odoo's log names
        self._thread.start()

    def wait(self):
        """Wait until the mails have left.

        The caller has no row locks, for which the mailer could wait in turn.

        :raises Exception: what stopped the mailer
        """
        if self._thread is None:
            return
        self._thread.join()
        error, self._thread, self._error, self.ids = self._error, None, None, ()
        if error is not None:
            raise error

    def _work(self, run_id, document_ids):
        until = time.monotonic() + CHUNK_SECONDS
        context = {**self._env.context, "invoice_run_mailer": self}
        try:
            with self._env.registry.cursor() as cr:
                env = self._env(cr=cr, context=context)
                self.has_left |= env["invoice.run.job.send"]._hand_over_beside(
                    env["invoice.run"].browse(run_id),
                    env["invoice.run.document"].browse(document_ids),
                    until,
                )
        except Exception as error:  # the worker that waits for it hears of it
            self._error = error


def get_mailer(env):
    """Return the ``Mailer`` of the worker that sends, or None."""
    mailer = env.context.get("invoice_run_mailer")
    return mailer if isinstance(mailer, Mailer) else None
