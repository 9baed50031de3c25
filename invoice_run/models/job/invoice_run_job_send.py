import time
from dataclasses import dataclass

from odoo import api, fields, models
from odoo.fields import Domain

from ..base.states import SEND_FAILED
from ..delivery.invoice_run_document_send import BUSY_WAIT
from .invoice_run_job import CHUNK_SECONDS, JobLeft


@dataclass
class Chunk:
    """Documents that are sent in one way."""

    documents: models.BaseModel
    #: Documents, also of an earlier chunk, whose mails wait in the queue, because the mail server
    #: was slow with the others.
    left: models.BaseModel


class InvoiceRunJobSend(models.AbstractModel):
    """Send what was asked for: by email, by networks, by post.

    Workers share the documents: each has those of its chunk by locks of its connection, which
    outlive the commits around each mail (models/job/invoice_run_job_send_locks.py).
    """

    _name = "invoice.run.job.send"
    _description = "Send Invoices"
    _inherit = "invoice.run.job"

    _is_shared = True
    #: Invoices rendered and mails handed over in one go.
    _chunk_size = 50
    _first_chunk_size = 10

    @api.model
    def _collect_chunks(self, run):
        """Yield what is done of one way of sending, next in the order of their ids.

        Each way is a chunk for itself: an error of one rolls back what is not committed, never
        what another one queued. After the last one it looks again for what other workers gave back,
        and once at what Odoo's own queue is sending.
        """
        if run.send_after and run.send_after > fields.Datetime.now():
            self._wait(run, run.send_after)
        last_id, seen = 0, set()
        while True:
            documents = self._take_documents(run, last_id, seen)
            if not documents and not last_id:
                return
            last_id = documents[-1:].id or 0
            for chunk in self._collect_ways(run, documents):
                yield chunk
                seen.update(chunk.documents.filtered("send_message_id").ids)
                if chunk.left:
                    # their mails are queued, and come first now
                    seen.difference_update(chunk.left.ids)
                    last_id = min(last_id, min(chunk.left.ids) - 1)
                # memory stays that of one chunk
                self.env.invalidate_all()
            # none of them was wanted any more
            run.company_id._end_taking_mails()
            self._give_back(run, documents)

    def _take_documents(self, run, last_id, seen):
        """Return the next documents that no other worker has; they are this one's alone.

        Seen anew after they are taken: whoever had them before may just have sent them.

        :param seen: ids of those whose mails Odoo's own queue was processing
        :raises JobLeft: no mail may leave now, or somebody else wants the run
        """
        documents = self._lock_free_documents(run, last_id, seen)
        if not documents:
            return documents
        if run._can_commit():
            run._commit_step(remaining=1)
            if not run._lock_job(self._get_kind()):
                raise JobLeft
        wanted = run._get_documents_to_send(among=documents)
        self._give_back(run, documents - wanted)
        if not wanted:
            return self._take_documents(run, documents[-1].id, seen)
        # what an earlier chunk queued is counted already
        counted = wanted.filtered(lambda doc: doc._is_counted())
        allowed, free_at = run.company_id._take_mails(len(wanted) - len(counted))
        taken = counted | (wanted - counted)[:allowed]
        if not taken:
            self._wait(run, free_at)
        self._give_back(run, wanted - taken)
        return taken.sorted("id")

    def _lock_free_documents(self, run, last_id, seen):
        """Return the next documents by id, as many as are one worker's share, locked."""
        size = self._get_send_share(run)
        free = self.env["invoice.run.document"]
        while missing := size - len(free):
            documents = run._get_documents_to_send(last_id, missing)
            if not documents:
                break
            last_id = documents[-1].id
            free += self._lock_documents(
                run, documents.filtered(lambda document: document.id not in seen)
            )
        return free

    def _get_send_share(self, run):
        """Return how many documents this worker takes, so that all end at the same time."""
        size, workers = self._limit_chunk(run), run._count_workers()
        if workers < 2:
            return size
        left = self.env["invoice.run.document"].search_count(run._get_to_send_domain())
        return min(size, max(self._first_chunk_size, -(-left // workers)))

    def _collect_ways(self, run, documents):
        groups = documents.grouped("send_action")
        # email first: this worker holds the limit per hour until its mails are noted
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
        run.company_id._end_taking_mails()
        until = begin + 2 * CHUNK_SECONDS if run._can_commit() else None
        chunk.left = self._hand_over(run, free, until)

    @api.model
    def _hand_over(self, run, documents, until):
        """Hand over the mails of ``documents``, which are in the queue and this worker's.

        :param until: moment of ``time.monotonic()`` after which no further one is handed over
        :return: the documents, also of earlier chunks, whose mails stay queued because the time was
            over
        """
        return documents._hand_over_mails(until)

    @api.model
    def _count_units(self, chunk):
        return len(chunk.documents - chunk.left)

    @api.model
    def _has_more(self, run):
        """Whether documents were asked for in the last moment, or given back by other workers.

        Without mails that Odoo's own queue is processing.
        """
        documents = run._get_documents_to_send()
        if any(not document.send_message_id for document in documents):
            return True
        return bool(documents._get_mails(["outgoing"]).try_lock_for_update(limit=1))

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
        run.invalidate_recordset(["sent_count", "failed_count", "uncertain_count"])
        body = self.env._(
            "Documents sent: %(sent)s. Failed: %(failed)s.",
            sent=run.sent_count,
            failed=run.failed_count,
        )
        if run.uncertain_count:
            body += " " + self.env._("Delivery unconfirmed: %(count)s.", count=run.uncertain_count)
        run.message_post(body=body)
        run._tell_result()

    def _wait(self, run, moment):
        """Have the scheduled action come back at ``moment``.

        :raises JobLeft: always
        """
        if run.send_wait_until != moment:
            if not run._lock_to_finish(self._get_kind()):
                # other workers are still at it, and will end the job
                self._leave_to_others(run)
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
