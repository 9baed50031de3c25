from odoo import api, models

from ..base.states import DOCUMENT_SETTLED


class InvoiceRunJobReverse(models.AbstractModel):
    """Reverse what users asked for, the latest documents first: a later one may build on them."""

    _name = "invoice.run.job.reverse"
    _description = "Reverse Invoices"
    _inherit = "invoice.run.job"

    @api.model
    def _collect_chunks(self, run):
        order = "sequence desc, id desc"
        while documents := run._get_documents_to_reverse(limit=self._limit_chunk(run), order=order):
            yield documents
            self.env.invalidate_all()

    @api.model
    def _work(self, run, chunk):
        chunk._process_reversal()

    @api.model
    def _withdraw(self, run):
        run._get_documents_to_reverse()._write_engine({"is_to_reverse": False})

    @api.model
    def _finish(self, run):
        run.write({"job": "none"})
        credited, failed = self._count_result(run)
        body = self.env._(
            "Credit notes of this run: %(count)s. The periods are billable again.", count=credited
        )
        if failed:
            body += " " + self.env._(
                "Not reversed: %(count)s. Their documents say why.", count=failed
            )
        run.message_post(body=body)

    def _count_result(self, run):
        """Return how many credit notes the run has, and how many invoices were not reversed."""
        own = [("run_id", "=", run.id)]
        return run._count_documents(
            [*own, ("state", "=", "credit")],
            [*own, ("state", "in", DOCUMENT_SETTLED), ("error", "!=", False)],
        )

    @api.model
    def _count_progress(self, run):
        own = [("run_id", "=", run.id)]
        done, left = run._count_documents(
            [*own, ("state", "=", "released")], [*own, ("is_to_reverse", "=", True)]
        )
        return done, done + left
