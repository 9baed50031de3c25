from odoo import api, models
from odoo.fields import Domain

from ..base.states import DOCUMENT_HOLDING


class InvoiceRunJobDelete(models.AbstractModel):
    """Delete the amounts of a run that is too large for the click of a button."""

    _name = "invoice.run.job.delete"
    _description = "Delete Amounts"
    _inherit = "invoice.run.job"

    @api.model
    def _get_domain(self, run):
        """Return which documents of ``run`` are still to be worked on."""
        return []

    @api.model
    def _collect_chunks(self, run):
        # the latest first: a later one may correct an earlier one
        query = {"domain": self._get_domain(run), "order": "sequence desc, id desc"}
        while documents := run._get_documents(**query, limit=self._limit_chunk(run)):
            yield documents
            # memory stays that of one chunk
            self.env.invalidate_all()

    @api.model
    def _work(self, run, chunk):
        chunk._remove()

    @api.model
    def _finish(self, run):
        run._remove_amounts()
        run.write({"job": "none"})


class InvoiceRunJobRenew(models.AbstractModel):
    """The same, to calculate them anew from what is due; maybe those of some customers only."""

    _name = "invoice.run.job.renew"
    _description = "Recalculate Amounts"
    _inherit = "invoice.run.job.delete"

    @api.model
    def _get_domain(self, run):
        payers = run.renew_payer_ids
        return run._get_renewable_domain(payers) if payers else super()._get_domain(run)

    @api.model
    def _finish(self, run):
        if not run.renew_payer_ids:
            run._remove_amounts()
        run._queue_job("amounts")


class InvoiceRunJobCancel(models.AbstractModel):
    """Cancel a large run: delete its drafts, release its amounts, which it keeps to be read."""

    _name = "invoice.run.job.cancel"
    _description = "Cancel"
    _inherit = "invoice.run.job.delete"

    @api.model
    def _get_domain(self, run):
        return Domain("state", "in", DOCUMENT_HOLDING) | Domain("move_id.state", "=", "draft")

    @api.model
    def _work(self, run, chunk):
        chunk._cancel_drafts()
        # credit documents go with their credit notes
        chunk.exists().filtered(lambda document: document.state in DOCUMENT_HOLDING)._give_up()

    @api.model
    def _count_progress(self, run):
        domain = Domain("run_id", "=", run.id)
        total, left = run._count_documents(domain, domain & self._get_domain(run))
        return total - left, total

    @api.model
    def _finish(self, run):
        run._end_cancelled()
