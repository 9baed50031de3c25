from odoo import models
from odoo.exceptions import UserError
from odoo.fields import Domain

from ..models.base.states import DOCUMENT_OPEN, RUN_APPROVED, SEND_OPEN
from ..models.job.invoice_run_progress import WATCHED_LIMIT


class InvoiceManager(models.TransientModel):
    """From the selected rows to invoices, to the customers, and to the end."""

    _inherit = "invoice.manager"

    def _get_run(self):
        """Return the run; it may have been deleted meanwhile.

        :raises UserError: there is none
        """
        run = self._find_run()
        if not run:
            raise UserError(self.env._("Press “Fetch” first: there is nothing to process."))
        return run

    def action_set_invoice_state(self, invoice_state):
        """Choose whether the invoices of this run are created as drafts, or confirmed.

        Those that exist already stay as they are.

        :param invoice_state: ``draft`` or ``posted``
        """
        run = self._find_run()
        self._check_idle()
        self._write_fixed({"invoice_state": invoice_state})
        if run:
            run.invoice_state = invoice_state
        return self.get_state()

    def action_process(self, selection, fingerprint=None):
        """Create the invoices of the selected rows, then send them as each row says.

        Where approval is needed first, the reviewer is asked and nothing else happens; the
        user comes back and presses again. Failed rows are tried again. Up to
        ``WATCHED_LIMIT`` rows are invoiced by :meth:`action_work`, while the user watches.

        :param fingerprint: of the rows that the user saw, see :meth:`get_rows`
        :raises UserError: nothing is selected, the run is busy, or it is no longer what the
            user saw
        """
        run = self._get_run()
        domain = self._get_selection_domain(selection)
        domain &= Domain("state", "in", DOCUMENT_OPEN)
        documents = self.env["invoice.run.document"].search(domain)
        if run.job == "invoices":
            return self.get_state()  # pressed twice
        self._check_idle()
        if not documents:
            raise UserError(self.env._("Select at least one row that is not processed yet."))
        if self._approve_run(run, fingerprint):
            self._start_invoices(run, documents, selection == {"all": True, "ids": []})
        return self.get_state()

    def _start_invoices(self, run, documents, is_all):
        watched = {"invoice_run_watched": len(documents) <= WATCHED_LIMIT}
        if is_all and "failed" not in documents.mapped("state"):
            run.with_context(**watched).action_generate_invoices()
        else:
            documents.with_context(**watched).action_generate_invoices()

    def _approve_run(self, run, fingerprint):
        """Approve the run if this user, or a setting, may; else ask the reviewer.

        :return: whether the invoices can be created
        """
        if run.state in RUN_APPROVED:
            return True
        if run.state != "amounts":
            raise UserError(self.env._("%(run)s has no amounts yet.", run=run.reference))
        if self._is_approved_by_setting(run):
            run.check_access("write")
            # sudo: the company's setting approves, not the user
            run.sudo()._approve()
        elif run._can_approve():
            run.action_approve(fingerprint)
        else:
            run._ask_reviewer()
            return False
        return True

    def action_work(self):
        """Carry out a small step of what is queued, and return the state.

        Large jobs, and those that another worker is on, are left to the background.
        """
        run = self._get_run()
        run.check_access("write")
        if run.job != "none" and run.is_watched:
            run._process_step()
            run.invalidate_recordset()
        return self.get_state()

    def action_renew(self):
        """Recalculate the amounts of the changed rows, and no others."""
        run = self._get_run()
        self._check_idle()
        run.with_context(invoice_run_watched=True).action_renew_stale()
        return self.get_state()

    def action_send(self, selection):
        """Send the selected invoices: what is pending, and what failed, again."""
        run = self._get_run()
        domain = self._get_selection_domain(selection)
        domain &= Domain("send_state", "in", SEND_OPEN)
        domain &= Domain("send_action", "not in", ("print", "none"))
        documents = self.env["invoice.run.document"].search(domain)
        if run.job == "send":
            return self.get_state()  # pressed twice
        self._check_idle()
        if not documents:
            raise UserError(self.env._("None of the selected invoices is waiting to be sent."))
        small = len(documents) <= WATCHED_LIMIT
        documents.with_context(invoice_run_watched=small).action_send()
        return self.get_state()

    def get_send_question(self, selection):
        """Return what is missing before the selected invoices leave, as a run's readiness does.

        False where nothing is missing, or where nothing leaves: what is printed, or is chosen to
        stay here, waits for another button.
        """
        run = self._get_run()
        leaving = Domain("send_action", "not in", ("print", "none"))
        domain = self._get_selection_domain(selection)
        domain &= self.env["invoice.run.readiness"]._get_unsent_domain(run)
        domain &= leaving | Domain("is_send_unset", "=", True)
        leaves = self.env["invoice.run.document"].search_count(domain, limit=1)
        return bool(leaves) and run._get_readiness()

    def action_confirm(self):
        """Confirm the drafts that this run created; then they are sent as each row says."""
        run = self._get_run()
        if run.job == "confirm":
            return self.get_state()  # pressed twice
        self._check_idle()
        small = run.draft_count <= WATCHED_LIMIT
        run.with_context(invoice_run_watched=small).action_confirm_drafts()
        return self.get_state()

    def action_print(self):
        """Print what waits to be printed as one PDF; the latest one again where nothing waits.

        Many PDFs that are still missing are printed in the background; then it is pressed again.

        :return: the action that opens the file, or nothing
        """
        run = self._get_run()
        self._check_idle()
        # not watched: what is printed at once is printed by this request, the rest is too much
        return run.action_print()

    def action_finish(self):
        """End this run: what was not processed is left out, its periods are billable again.

        A run without any invoice is cancelled; a large one in the background, and its periods are
        billable when that is done.
        """
        run = self._get_run()
        self._check_idle()
        self._finish_run(run)
        self._write_fixed({"run_id": False})
        return self.get_cards()

    def _finish_run(self, run):
        if not run._has_invoices():
            run.action_cancel()
            return
        rest = self.env["invoice.run.document"].search(
            [("run_id", "=", run.id), ("state", "in", DOCUMENT_OPEN)]
        )
        rest.action_exclude()
