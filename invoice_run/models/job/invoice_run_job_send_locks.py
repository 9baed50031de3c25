from contextlib import contextmanager

from odoo import models
from odoo.tools import SQL

from ...advisory_locks import DOCUMENT, MAILS, SENDING, give_up
from .invoice_run_job import JobLeft


class InvoiceRunJobSend(models.AbstractModel):
    """The worker that a mail belongs to, from its hand-over to the mail server's answer.

    Both are committed, and so are the mails before and after: no lock of a transaction lasts that
    long. These are locks of the connection, which a worker that dies gives up: each document has
    one worker at most, and nobody ends the job while another worker still has some in hand.
    """

    _inherit = "invoice.run.job.send"

    @contextmanager
    def _working(self, run):
        """Be one of the workers that send ``run``.

        :raises JobLeft: somebody is about to end the job
        """
        with self._sending(run) as is_on:
            if not is_on:
                self._leave_to_others(run)
            yield

    @contextmanager
    def _sending(self, run):
        """Take part in sending this run, by a lock that outlives the commit of each mail.

        Yields False if another worker has it alone. At the end all locks are given up, also those
        of documents.
        """
        cr = self.env.cr
        if not run._can_commit():
            yield True
            return
        try:
            yield self._try_lock(SQL("pg_try_advisory_lock_shared(%s)", SENDING + run.id))
        except JobLeft:
            # all its work is committed
            raise
        except Exception:
            # what it did is undone in any case; in a failed transaction nothing can be unlocked
            cr.rollback()
            raise
        finally:
            self._give_back_all()

    def _take_alone(self, run):
        """Take the run to end the job: only when no other worker has mails in hand.

        Its own part is given up first: of two that end at the same time one sees the other gone.
        """
        if not run._can_commit():
            return
        self._give_back_all()
        # nobody begins without the row of the run
        if not run._lock_to_finish(self._get_kind()) or not self._is_last(run):
            self._leave_to_others(run)

    def _is_last(self, run):
        """Whether nobody else sends; this worker, which has the run's row, goes on to do so."""
        key = SENDING + run.id
        if not self._try_lock(SQL("pg_try_advisory_lock(%s)", key)):
            return False
        self._try_lock(SQL("pg_try_advisory_lock_shared(%s)", key))
        return self._try_lock(SQL("pg_advisory_unlock(%s)", key))

    def _try_lock(self, function):
        """Return what ``function`` of PostgreSQL says, True or False."""
        [(is_done,)] = self.env.execute_query(SQL("SELECT %s", function))
        return is_done

    def _lock_documents(self, run, documents):
        """Return those of ``documents`` that no other worker has, as this one's."""
        if not run._can_commit():
            return documents
        rows = self.env.execute_query(
            SQL(
                "SELECT id FROM unnest(%s::bigint[]) AS id WHERE pg_try_advisory_lock(%s + id)",
                documents.ids,
                DOCUMENT,
            )
        )
        free = {row[0] for row in rows}
        return documents.filtered(lambda document: document.id in free)

    def _give_back(self, run, documents):
        """Give these documents back to other workers; what was done with them is committed."""
        if run._can_commit() and documents:
            give_up(self.env.cr, DOCUMENT, ids=documents.ids)

    def _give_back_all(self):
        """Give up whatever this connection holds of sending."""
        give_up(self.env.cr, SENDING, DOCUMENT, MAILS)
