from odoo import api, models
from odoo.fields import Domain


class InvoiceRunJobConfirm(models.AbstractModel):
    """Confirm the draft invoices of a run, in their order."""

    _name = "invoice.run.job.confirm"
    _description = "Confirm Drafts"
    _inherit = "invoice.run.job"

    @api.model
    def _collect_chunks(self, run):
        domain = run._get_drafts_domain() & Domain("error", "=", False)
        Document = self.env["invoice.run.document"]
        while documents := Document.search(domain, limit=self._limit_chunk(run)):
            yield documents

    @api.model
    def _work(self, run, chunk):
        chunk._process_confirm()

    @api.model
    def _finish(self, run):
        run.write({"job": "none"})
        body = self.env._("Drafts confirmed.")
        if run.draft_count:
            body = self.env._(
                "Drafts that could not be confirmed: %(count)s.", count=run.draft_count
            )
        run.message_post(body=body)
        run._go_on_sending()

    @api.model
    def _count_progress(self, run):
        return run.invoice_count - run.draft_count, run.invoice_count

    @api.model
    def _get_unit(self):
        return self.env._("invoices")
