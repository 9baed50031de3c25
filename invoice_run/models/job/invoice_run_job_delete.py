from odoo import api, models


class InvoiceRunJobDelete(models.AbstractModel):
    """Delete the amounts of a run that is too large for the click of a button."""

    _name = "invoice.run.job.delete"
    _description = "Delete Amounts"
    _inherit = "invoice.run.job"

    @api.model
    def _collect_chunks(self, run):
        # the latest first: a later one may correct an earlier one
        order = "sequence desc, id desc"
        while documents := run._get_documents([], limit=self._limit_chunk(run), order=order):
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
    """The same, to calculate them anew from what is due."""

    _name = "invoice.run.job.renew"
    _description = "Recalculate Amounts"
    _inherit = "invoice.run.job.delete"

    @api.model
    def _finish(self, run):
        run._remove_amounts()
        run._queue_job("amounts")
