import time
from contextlib import contextmanager
from dataclasses import dataclass

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL

from ...advisory_locks import SENDING
from ..base.states import SEND_FAILED
from ..delivery.invoice_run_document_send import BUSY_WAIT
from .invoice_run_job import CHUNK_SECONDS, JobLeft


@dataclass
class Chunk:
    """Documents that are sent in one way."""

    documents: models.BaseModel
    #: Those whose mails wait in the queue, because the mail server took long for the others.
    left: models.BaseModel


class InvoiceRunJobSend(models.AbstractModel):
    """Send what was asked for: by email, by networks, by post.

    One worker for a run: by a lock of its connection, which outlives the commits around each mail.
    """

    _name = "invoice.run.job.send"
    _description = "Send Invoices"
    _inherit = "invoice.run.job"

    #: Invoices rendered and mails handed over in one go.
    _chunk_size = 50
    _first_chunk_size = 10

    @contextmanager
    def _working(self, run):
        """Be the only one who sends ``run``.

        :raises JobLeft: somebody else does
        """
        with self._sending_alone(run) as is_alone:
            if not is_alone:
                self._leave_to_others(run)
            yield

    @contextmanager
    def _sending_alone(self, run):
        """Keep other workers off the sending of this run, beyond the commit of each mail.

        By a lock of the connection: a worker that dies gives it up. False: somebody has it.
        """
        cr, key = self.env.cr, SENDING + run.id
        if not run._can_commit():
            yield True
            return
        [(is_free,)] = self.env.execute_query(SQL("SELECT pg_try_advisory_lock(%s)", key))
        try:
            yield is_free
        except JobLeft:
            # all that it did is committed
            raise
        except Exception:
            # what it did is undone in any case; in a failed transaction nothing can be unlocked
            cr.rollback()
            raise
        finally:
            if is_free:
                cr.execute(SQL("SELECT pg_advisory_unlock(%s)", key))

    @api.model
    def _collect_chunks(self, run):
        """Yield the documents of one way of sending, next in the order of their ids.

        Each way is a chunk for itself: an error of one rolls back what is not committed, never
        what another one queued.
        """
        if run.send_after and run.send_after > fields.Datetime.now():
            self._wait(run, run.send_after)
        last_id = 0
        while documents := run._get_documents_to_send(last_id, self._limit_chunk(run)):
            allowed, free_at = run.company_id._take_mails(len(documents))
            if not allowed:
                self._wait(run, free_at)
            documents = documents[:allowed]
            last_id = documents[-1].id
            for chunk in self._collect_ways(run, documents):
                yield chunk
                # memory stays that of one chunk
                self.env.invalidate_all()
                if chunk.left:
                    # their mails are queued, and come first now
                    last_id = min(last_id, min(chunk.left.ids) - 1)

    def _collect_ways(self, run, documents):
        groups = documents.grouped("send_action")
        # email first: the limit per hour is ours until its commit
        for way in sorted(groups, key=lambda way: way != "email"):
            # after a commit somebody may have decided otherwise
            wanted = run._get_documents_to_send(among=groups[way])
            if same := wanted.filtered(lambda doc, way=way: doc.send_action == way):
                yield Chunk(same, same.browse())

    @api.model
    def _work(self, run, chunk):
        """Queue the mails, commit, hand them over."""
        begin = time.monotonic()
        free = chunk.documents._take_invoices()
        free._process_send()
        # after an error, which would have undone it
        (chunk.documents - free).send_next_try = fields.Datetime.now() + BUSY_WAIT
        # the mails are in the queue for good before the mail server sees one
        run._commit_step(remaining=1)
        until = begin + 2 * CHUNK_SECONDS if run._can_commit() else None
        chunk.left = free._hand_over_mails(until)

    @api.model
    def _count_units(self, chunk):
        return len(chunk.documents - chunk.left)

    @api.model
    def _has_more(self, run):
        """Whether documents were asked for in the last moment.

        A mail that Odoo's own queue has in hand is none of them.
        """
        return any(not document.send_message_id for document in run._get_documents_to_send())

    @api.model
    def _finish(self, run):
        """End the job, or wait for the documents that the mail server wanted later."""
        waiting = self.env["invoice.run.document"].search(
            run._get_to_send_domain() & Domain("send_next_try", "!=", False),
            order="send_next_try",
            limit=1,
        )
        if waiting:
            self._wait(run, waiting.send_next_try)
        run.write({"job": "none", "send_wait_until": False})
        self._tell_sent(run)

    def _tell_sent(self, run):
        """Say what was sent, and tell the responsible what failed."""
        run.invalidate_recordset(["sent_count", "failed_count"])
        run.message_post(
            body=self.env._(
                "Documents sent: %(sent)s. Failed: %(failed)s.",
                sent=run.sent_count,
                failed=run.failed_count,
            )
        )
        run._tell_result()

    def _wait(self, run, moment):
        """Have the scheduled action come back at ``moment``.

        :raises JobLeft: always
        """
        if run.send_wait_until != moment:
            run.write({"send_wait_until": moment})
            # sudo: the scheduled action is the system's
            self.env.ref("invoice_run.invoice_run_cron").sudo()._trigger(moment)
            run._notify_progress()
        run._commit_step()
        raise JobLeft

    @api.model
    def _count_progress(self, run):
        domain = Domain("run_id", "=", run.id) & Domain("send_action", "not in", ("print", "none"))
        done, left = run._count_documents(
            domain & Domain("send_state", "in", ("sent", *SEND_FAILED)),
            domain & Domain("send_state", "=", "pending") & Domain("send_asked", "=", True),
        )
        return done, done + left
