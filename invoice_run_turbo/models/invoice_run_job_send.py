from odoo import api, models
from odoo.addons.invoice_run.models.job.invoice_run_job import JobLeft

from ..mailer import Mailer, get_mailer


class InvoiceRunJobSend(models.AbstractModel):
    """Mails of a chunk leave while the next one is rendered, where the mail server is far."""

    _inherit = "invoice.run.job.send"

    @api.model
    def _process(self, run):
        # EXTENDS 'invoice_run': sessions with mail servers last as long as the worker is at it
        if not run._can_commit():
            return super()._process(run)
        with Mailer(run.env) as mailer:
            job = self.with_context(invoice_run_mailer=mailer)
            return super(InvoiceRunJobSend, job)._process(run)

    @api.model
    def _collect_chunks(self, run):
        # EXTENDS 'invoice_run': nobody ends the job while mails are leaving
        mailer = get_mailer(self.env)
        while True:
            yield from super()._collect_chunks(run)
            if mailer is None or not self._wait_for_mailer(run, mailer):
                return

    def _wait_for_mailer(self, run, mailer):
        """Wait until the mails have left; return the documents whose mails stay in the queue.

        :raises JobLeft: somebody else wants the run
        """
        if not mailer.is_at_work:
            return self.env["invoice.run.document"]
        # without a lock that the mailer could need
        run._commit_step(remaining=1)
        left = mailer.wait()
        if not run._lock_job(self._get_kind()):
            raise JobLeft
        return left

    @api.model
    def _limit_chunk(self, run):
        # EXTENDS 'invoice_run': no more than leave in the time of a chunk
        size, mailer = super()._limit_chunk(run), get_mailer(self.env)
        return min(size, mailer.most) if mailer and mailer.most else size

    @api.model
    def _hand_over(self, run, documents, until):
        # EXTENDS 'invoice_run'
        mailer = get_mailer(self.env)
        if mailer is None or not documents.send_message_id:
            return super()._hand_over(run, documents, until)
        # sessions with mail servers belong to one thread at a time
        left = mailer.wait().with_env(run.env)
        if not mailer.is_worth_it:
            with mailer.watching(len(documents)):
                documents = documents.with_context(invoice_run_mailer=mailer)
                return left | super()._hand_over(run, documents, until).with_env(run.env)
        if mailer.has_begun and run._is_call_over():
            # these come first in the next call; each call sends something
            return documents | left
        self._give_back(run, documents)
        mailer.start(run, documents)
        return left

    @api.model
    def _hand_over_beside(self, run, documents, until, begun):
        """Hand over the mails of ``documents`` beside the worker that queued them.

        :param begun: function to be called when the locks are there
        :return: the documents whose mails stay in the queue
        """
        with self._working(run):
            free = self._lock_documents(run, documents)
            # what others did with them before
            run._commit_step()
            begun()
            left = run._get_documents_to_send(among=free)._hand_over_mails(until)
            run._commit_step()
            return left
