from odoo import api, models


class InvoiceRunJobPrint(models.AbstractModel):
    """Create the PDFs that are missing, then bind all of them into one file."""

    _name = "invoice.run.job.print"
    _description = "Print Invoices"
    _inherit = "invoice.run.job"

    #: PDFs created before memory is given back.
    _chunk_size = 50
    _first_chunk_size = 10
    #: Thousands of PDFs are bound in a single step.
    _has_short_steps = False

    @api.model
    def _get_documents(self, run):
        return run._get_documents_to_print()

    @api.model
    def _collect_chunks(self, run):
        missing = self._get_documents(run)._get_without_pdf()
        while missing:
            chunk = missing[: self._limit_chunk(run)]
            missing -= chunk
            yield chunk
            self.env.invalidate_all()

    @api.model
    def _work(self, run, chunk):
        chunk._make_pdfs()

    @api.model
    def _finish(self, run):
        # without those whose PDF failed
        self._get_documents(run)._print()
        run.write({"job": "none"})

    @api.model
    def _count_progress(self, run):
        moves = self._get_documents(run).move_id
        return len(moves.filtered("invoice_pdf_report_id")), len(moves)


class InvoiceRunJobReprint(models.AbstractModel):
    """The same with what was printed before, not with what waits for it."""

    _name = "invoice.run.job.reprint"
    _description = "Print Invoices Again"
    _inherit = "invoice.run.job.print"

    @api.model
    def _get_documents(self, run):
        return run._get_documents_to_print(again=True)
