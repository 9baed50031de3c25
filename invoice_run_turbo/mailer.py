"""Mails that leave while the next documents are rendered.

A mailer is a worker of its own that does nothing but hand over what is in the queue: a thread with
its own connection, locks and sessions. So each document still belongs to one worker, each mail is
noted as by any worker, and a process that dies leaves one mail unconfirmed at most.
"""

import logging
import threading
import time
from contextlib import contextmanager

from odoo.addons.invoice_run.models.job.invoice_run_job import CHUNK_SECONDS, JobLeft
from odoo.addons.invoice_run.models.job.invoice_run_queue import CALL_KEYS

from .sessions import Sessions

_logger = logging.getLogger(__name__)

#: Share of its time for which a hand-over waits, mostly for the mail server, from which on others
#: leave beside the rendering.
SHARE_WAITED = 0.5
#: Mails of which that can be said.
ENOUGH = 10
#: For how long that is believed.
FAR_SECONDS = 3600
#: {database whose mails were mostly waited for: until when, by the monotonic clock}
FAR = {}


class Mailer:
    """Hands over the mails of one chunk at a time; an object, so that no RPC call can forge it.

    ``sessions``: those with the mail servers. ``most``: how many mails leave in the time of a
    chunk, where that is known to be too short for all of them; else None.
    """

    def __init__(self, env):
        # without a call of a scheduled action, whose progress the worker notes
        context = {name: value for name, value in env.context.items() if name not in CALL_KEYS}
        self._env = env(context={**context, "invoice_run_mailer": self})
        self._thread = self._error = None
        self._ids = self._left_ids = ()
        self.sessions = Sessions()
        self.most = None
        #: whether it was given anything
        self.has_begun = False

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

    @property
    def is_worth_it(self):
        """Whether the mails of this database were mostly waited for within the last hour."""
        return FAR.get(self._env.cr.dbname, 0) > time.monotonic()

    @contextmanager
    def watching(self, count):
        """See whether ``count`` mails that are handed over meanwhile are mostly waited for."""
        begin, cpu = time.monotonic(), time.thread_time()
        yield
        seconds, cpu = time.monotonic() - begin, time.thread_time() - cpu
        if count >= ENOUGH and cpu < (1 - SHARE_WAITED) * seconds:
            FAR[self._env.cr.dbname] = begin + seconds + FAR_SECONDS

    @property
    def is_at_work(self):
        """Whether it was given mails whose end nobody has waited for."""
        return self._thread is not None

    def start(self, run, documents):
        """Begin to hand over the mails of ``documents``, on which the caller has no locks left.

        It returns when the mailer has them, so that no other worker takes them meanwhile.
        """
        begun = threading.Event()
        self._ids, self._left_ids, self.has_begun = documents.ids, (), True
        # a process that is to end does not wait for it
        thread = threading.Thread(target=self._work, args=(run.id, begun), daemon=True)
        thread.name = f"invoice_run.mailer.{run.id}"
        thread.dbname = self._env.cr.dbname  # which Odoo's log names
        thread.start()
        self._thread = thread
        begun.wait()

    def wait(self):
        """Wait until the mails have left; return the documents whose mails stay in the queue.

        The caller has no row locks, for which the mailer could wait in turn.

        :raises Exception: what stopped the mailer
        """
        left = self._env["invoice.run.document"]
        if self._thread is None:
            return left
        self._thread.join()
        error, self._thread, self._error = self._error, None, None
        if error is not None:
            raise error
        left = left.browse(self._left_ids)
        if 0 < len(left) < len(self._ids):
            self.most = len(self._ids) - len(left)
        elif self.most:
            self.most *= 2
        return left

    def _work(self, run_id, begun):
        until = time.monotonic() + CHUNK_SECONDS
        try:
            with self._env.registry.cursor() as cr:
                env = self._env(cr=cr)
                run = env["invoice.run"].browse(run_id)
                documents = env["invoice.run.document"].browse(self._ids)
                job = env["invoice.run.job.send"]
                self._left_ids = job._hand_over_beside(run, documents, until, begun.set).ids
        except JobLeft:
            # somebody is about to end the job, and will see that these are left
            self._left_ids = self._ids
        except Exception as error:  # the worker that waits for it hears of it
            self._error = error
        finally:
            begun.set()


def get_mailer(env):
    """Return the ``Mailer`` of the worker that sends, or None."""
    mailer = env.context.get("invoice_run_mailer")
    return mailer if isinstance(mailer, Mailer) else None
