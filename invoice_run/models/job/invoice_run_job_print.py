from odoo import api, models
from odoo.tools import split_every


class InvoiceRunJobPrint(models.AbstractModel):
    """Create the PDFs that are missing, then bind all of them into one file."""

    _name = "invoice.run.job.print"
    _description = "Print Invoices"
    _inherit = "invoice.run.job"

    #: PDFs created before memory is given back.
    _chunk_size = 50
    #: Thousands of PDFs are bound in a single step.
    _has_short_steps = False

    @api.model
    def _collect_chunks(self, run):
        missing = run._get_documents_to_print(run.is_reprint)._get_without_pdf()
        for ids in split_every(self._chunk_size, missing.ids):
            yield missing.browse(ids)
            self.env.invalidate_all()

    @api.model
    def _work(self, run, chunk):
        chunk._make_pdfs()

    @api.model
    def _finish(self, run):
        # without those whose PDF failed
        run._get_documents_to_print(run.is_reprint)._print()
        run.write({"job": "none", "is_reprint": False})
        if run._get_documents_to_send(limit=1):
            # somebody asked for them while the others were being printed
            run._queue_job("send")

    @api.model
    def _count_progress(self, run):
        moves = run._get_documents_to_print(run.is_reprint).move_id
        return len(moves.filtered("invoice_pdf_report_id")), len(moves)
