from odoo import api, models
from odoo.fields import Domain
from odoo.tools import SQL

from ..base.states import DOCUMENT_SETTLED


class InvoiceRunJobInvoices(models.AbstractModel):
    """Create the invoices of the approved documents.

    Workers share the documents: each locks those of its chunk.
    """

    _name = "invoice.run.job.invoices"
    _description = "Create Invoices"
    _inherit = "invoice.run.job"

    _is_shared = True

    @api.model
    def _collect_chunks(self, run):
        documents = self.env["invoice.run.document"]
        while documents := self._take_documents(run, self._get_invoice_share(run, len(documents))):
            yield documents

    def _take_documents(self, run, limit=None):
        """Return the next documents to invoice, locked, without those that other workers have.

        Nor those that wait for a failed period, or for an earlier one that another worker has;
        nor those of a later invoice date while there are any of an earlier one.
        """
        Document = self.env["invoice.run.document"]
        domain = run._get_open_documents_domain()
        Document.flush_model()
        earliest = Document.search(domain, order="invoice_date", limit=1)
        domain &= Domain("invoice_date", "=", earliest.invoice_date)
        query = Document._search(domain, order="sequence, id", limit=limit)
        locked = SQL("%s FOR UPDATE OF %s SKIP LOCKED", query.select(), SQL.identifier(query.table))
        # another worker ended its chunk meanwhile: this one begins anew, which is no error to log
        self.env.cr.execute(locked, log_exceptions=False)
        documents = Document.browse([row[0] for row in self.env.cr.fetchall()])
        return documents - documents._get_waiting_for_others(domain)

    def _get_invoice_share(self, run, before):
        """Return how many invoices this worker creates in its next transaction.

        :param before: how many it created in its last one; 0: all workers have just begun
        """
        size = self._limit_chunk(run)
        workers = run._count_workers()
        if workers < 2:
            return size
        left = self.env["invoice.run.document"].search_count(run._get_open_documents_domain())
        return self._get_share(run, size, left - (workers - 1) * before // 2)

    @api.model
    def _work(self, run, chunk):
        chunk._process_invoices()

    @api.model
    def _has_more(self, run):
        domain = run._get_open_documents_domain()
        return bool(self.env["invoice.run.document"].search_count(domain, limit=1))

    @api.model
    def _finish(self, run):
        """Move the run on; documents that wait for a correction keep it approved."""
        self._update_sequence_gaps(run)
        run._set_state("approved" if self._is_waiting(run) else "invoiced", job="none")
        run.message_post(
            body=self.env._(
                "Invoices created: %(invoices)s. Failed: %(failed)s.",
                invoices=run.invoice_count,
                failed=run.failed_count,
            )
        )
        run._tell_result()
        run._go_on_sending()

    def _is_waiting(self, run):
        """Whether something is still to be invoiced, or everything failed: nothing is invoiced."""
        Document = self.env["invoice.run.document"]
        domain = Domain("run_id", "=", run.id)
        if Document.search_count(domain & Domain("state", "=", "to_do"), limit=1):
            return True
        settled = domain & Domain("state", "in", DOCUMENT_SETTLED)
        return run.failed_count and not Document.search_count(settled, limit=1)

    def _update_sequence_gaps(self, run):
        """Look again for gaps before the first numbers of chunks.

        A worker whose chunk began before another's ended does not see the numbers before its
        own, and Odoo notes a gap that does not exist.
        """
        moves = self.env["account.move"].search(
            [("invoice_run_id", "=", run.id), ("made_sequence_gap", "=", True)]
        )
        self.env.add_to_compute(moves._fields["made_sequence_gap"], moves)

    @api.model
    def _count_progress(self, run):
        if not run.only_selected:
            return run.progress_done, run.progress_total
        domain = Domain("run_id", "=", run.id) & Domain("is_selected", "=", True)
        to_do = Domain("state", "=", "to_do")
        total, left = run._count_documents(domain, domain & to_do)
        return total - left, total
