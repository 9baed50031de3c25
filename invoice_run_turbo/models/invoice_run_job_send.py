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
        if mailer is None:
            yield from super()._collect_chunks(run)
            return
        mailer.has_left = True
        while mailer.has_left:
            mailer.has_left = False
            yield from super()._collect_chunks(run)
            self._wait_for_mailer(run, mailer)

    def _wait_for_mailer(self, run, mailer):
        """Wait until the mails have left, without a lock that they could need.

        :raises JobLeft: somebody else wants the run
        """
        if not mailer.ids:
            return
        run._commit_step(remaining=1)
        mailer.wait()
        if not run._lock_job(self._get_kind()):
            raise JobLeft

    @api.model
    def _hand_over(self, run, documents, until):
        # EXTENDS 'invoice_run'
        mailer = get_mailer(self.env)
        if mailer is None:
            return super()._hand_over(run, documents, until)
        if not mailer.is_worth_it:
            with mailer.watching():
                documents = documents.with_context(invoice_run_mailer=mailer)
                return super()._hand_over(run, documents, until).with_env(run.env)
        mailer.wait()
        self._give_back(run, documents)
        mailer.start(run, documents)
        return documents.browse()

    def _give_back(self, run, documents):
        # EXTENDS 'invoice_run': the mailer has its documents already
        mailer = get_mailer(self.env)
        ids = mailer.ids if mailer else ()
        return super()._give_back(run, documents.filtered(lambda document: document.id not in ids))

    @api.model
    def _hand_over_beside(self, run, documents, until):
        """Hand over the mails of ``documents`` beside the worker that queued them.

        :return: whether some stay in the queue
        """
        with self._working(run):
            free = self._lock_documents(run, documents)
            left = run._get_documents_to_send(among=free)._hand_over_mails(until)
            run._commit_step()
            return bool(left)
