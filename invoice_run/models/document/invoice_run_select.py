from odoo import fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

from ..base.states import DOCUMENT_LEFT_OUT, DOCUMENT_OPEN, RUN_APPROVED


class InvoiceRun(models.Model):
    """Invoices of the selected documents of a run only."""

    _inherit = "invoice.run"

    #: Outlives the job, so it is no part of it: what is tried again, or goes on after a limit is
    #: raised, is no more than was asked for, also where something was printed or sent meanwhile.
    only_selected = fields.Boolean(
        readonly=True,
        copy=False,
        help="The last invoices were requested for selected documents only.",
        engine=True,
    )
    invoice_state = fields.Selection(
        [("posted", "Confirmed"), ("draft", "Draft")],
        "Create Invoices As",
        help="For this run only. Empty: as set on the scenario.",
    )

    def _get_invoice_state(self):
        """Return how the invoices of this run are created: ``posted`` or ``draft``."""
        self.ensure_one()
        return self.invoice_state or self.scenario_id.invoice_state

    def _lock_rows(self):
        """Wait until nobody works on these runs, and lock them until the end of the transaction.

        A worker that finishes must not overlook what is added to its work.
        """
        self._wait_for_turn()
        query = SQL("SELECT id FROM invoice_run WHERE id = ANY(%s) FOR NO KEY UPDATE", self.ids)
        self.env.execute_query(query)

    def _start_selected(self, documents):
        """Create the invoices of ``documents``, and of no others, in the background.

        Added to the work on an earlier selection that is not finished.

        :raises UserError: the run is not approved, or is busy otherwise
        """
        self.ensure_one()
        self._check_startable(documents)
        if self._is_invoicing_all():
            return  # all documents are being invoiced
        if self.job == "none":
            self._get_selected_documents().write({"is_selected": False})
        documents._set_state("to_do", is_selected=True, error=False)
        self._start_invoices(state="approved", only_selected=True)

    def _check_startable(self, documents):
        """Refuse to invoice these documents of a run that is not ready for it.

        :raises UserError: says why
        """
        # a run that is finished was approved: what failed can be tried again
        if self.state not in RUN_APPROVED:
            raise UserError(self.env._("%(run)s is not approved yet.", run=self.reference))
        if self.job not in ("none", "invoices"):
            raise UserError(
                self.env._(
                    "%(run)s: %(job)s. Wait until this is done.",
                    run=self.reference,
                    job=dict(self._fields["job"]._description_selection(self.env))[self.job],
                )
            )
        documents._check_earlier_periods()

    def _get_selected_documents(self):
        # sudo: documents belong to the engine
        documents = self.env["invoice.run.document"].sudo()
        return documents.search([("run_id", "in", self.ids), ("is_selected", "=", True)])

    def _get_open_documents_domain(self):
        """Return what the job may invoice now, whoever is at work on it."""
        domain = self._get_to_invoice_domain()
        blocked = self._get_blocked_contracts()
        return domain & Domain("contract_ids", "not in", blocked.ids) if blocked else domain

    def _get_to_invoice_domain(self):
        """Return the documents whose invoices the current job creates.

        All of the run or a selection, but not what is above the maximum: it waits for a reviewer.
        """
        domain = Domain("run_id", "=", self.id) & Domain("state", "=", "to_do")
        if self.only_selected:
            domain &= Domain("is_selected", "=", True)
        return domain & ~self._get_above_domain()

    def _get_blocked_contracts(self):
        """Return the contracts of what failed or waits for a reviewer: other periods wait too."""
        failed = Domain("state", "=", "failed")
        blocking = self._get_documents(failed | self._get_above_domain())
        return blocking.contract_ids

    def _close_if_done(self):
        """End the invoicing of runs that have invoices and nothing left to invoice."""
        Document = self.env["invoice.run.document"]
        for run in self.filtered(lambda run: run.state == "approved" and run.job == "none"):
            domain = Domain("run_id", "=", run.id)
            to_do = Document.search_count(domain & Domain("state", "=", "to_do"), limit=1)
            if not to_do and Document.search_count(
                domain & Domain("move_id", "!=", False), limit=1
            ):
                run._set_state("invoiced")


class InvoiceRunDocument(models.Model):
    """Documents that people select, take out of their run and put back."""

    _inherit = "invoice.run.document"

    is_selected = fields.Boolean(
        readonly=True, copy=False, help="Its invoice was requested, possibly before the others."
    )
    run_state = fields.Selection(related="run_id.state", string="Run Status")
    excluded_from_id = fields.Many2one(
        "invoice.run.document",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="set null",
        help="Document that contained these amounts before they were excluded.",
    )

    _selected_idx = models.Index("(run_id) WHERE is_selected")

    # ------------------------------------------------------------------
    # Invoices of a selection
    # ------------------------------------------------------------------

    def action_generate_invoices(self):
        """Create the invoices of these documents only, in the background.

        Failed ones are tried again. The run stays approved while other documents are left.

        :raises AccessError: the user may not create invoices
        :raises UserError: nothing of it can be invoiced, an earlier period of the same contract
            is not selected, or the run is not approved
        """
        self.check_access("write")
        self.run_id.check_access("write")
        self.env["account.move"].check_access("create")
        # sudo: documents belong to the engine
        documents = self.sudo().filtered(lambda document: document._is_invoiceable())
        if not documents and not self.move_id:
            raise UserError(
                self.env._(
                    "There is nothing to invoice here: the documents are already processed, or "
                    "wait for a reviewer."
                )
            )
        documents.run_id._lock_rows()
        for run, group in documents.grouped("run_id").items():
            run.with_env(self.env)._start_selected(group)

    def _is_invoiceable(self):
        """Whether an invoice of this document may be asked for."""
        self.ensure_one()
        return self.state in DOCUMENT_OPEN and not self._is_held_back()

    def _check_earlier_periods(self):
        """Refuse a selection that leaves out earlier periods of its contracts.

        :raises UserError: names one of them
        """
        missing = self._get_missing_earlier()
        if missing:
            raise UserError(
                self.env._(
                    "“%(document)s” invoices an earlier period of the same contract and is not "
                    "among the selected documents. Select it as well, or exclude it.",
                    document=missing.display_name,
                )
            )

    def _get_missing_earlier(self):
        """Return one document of an earlier period of the same contracts that is open too."""
        self.flush_model(["run_id", "state", "date_from", "date_to", "contract_ids", "is_selected"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT earlier.id
                  FROM invoice_run_document document
                  JOIN billing_contract_invoice_run_document_rel own
                    ON own.invoice_run_document_id = document.id
                  JOIN billing_contract_invoice_run_document_rel same
                    ON same.billing_contract_id = own.billing_contract_id
                  JOIN invoice_run_document earlier
                    ON earlier.id = same.invoice_run_document_id
                   AND earlier.run_id = document.run_id
                   AND earlier.date_to < document.date_from
                 WHERE document.id = ANY(%(ids)s)
                   AND earlier.state = ANY(%(open)s)
                   AND earlier.id <> ALL(%(ids)s)
                 ORDER BY earlier.sequence, earlier.id
                 LIMIT 1
                """,
                ids=self.ids,
                open=list(DOCUMENT_OPEN),
            )
        )
        return self.browse([row[0] for row in rows])

    # ------------------------------------------------------------------
    # Exclude, include again
    # ------------------------------------------------------------------

    def action_exclude(self):
        """Leave these documents out of the run; their periods stay billable.

        Later periods of the same contracts stay in the run: each document is a decision.

        :raises UserError: one of them has an invoice
        """
        self.check_access("write")
        self.run_id._check_not_busy()
        self._check_not_invoiced()
        self.run_id._note_prepared()
        # sudo: amounts and documents belong to the engine
        documents = self.sudo().filtered(lambda document: document.state in DOCUMENT_OPEN)
        documents.line_ids._release()
        documents._set_state("excluded", error=False, is_selected=False)
        documents.run_id._withdraw_approval()
        documents.run_id._close_if_done()

    def _check_not_invoiced(self):
        """Refuse documents that have an invoice.

        :raises UserError: names them
        """
        invoiced = self.filtered("move_id")
        if invoiced:
            raise UserError(
                self.env._(
                    "%(documents)s: there is already an invoice. Reverse or delete it instead.",
                    documents=", ".join(invoiced.mapped("display_name")),
                )
            )

    def action_include(self):
        """Put excluded documents back into their run and claim their periods again.

        :raises UserError: the periods were claimed meanwhile (names by whom), or the run has
            no amounts any more
        """
        self.check_access("write")
        self.run_id._check_not_busy()
        self.run_id._note_prepared()
        # sudo: amounts and documents belong to the engine
        documents = self.sudo().filtered(lambda document: document._is_left_out())
        # whole documents first: amounts that were taken out go back into them
        for document in documents.sorted(lambda document: document.excluded_from_id.id):
            document._include_lines(document.line_ids)

    def _is_left_out(self):
        """Whether a person or a limit keeps this document out of its run, for now."""
        self.ensure_one()
        return self.state in DOCUMENT_LEFT_OUT

    def _exclude_lines(self, lines):
        """Release ``lines`` and take them out of this document, which has no invoice yet.

        They are kept in an excluded document of their own, so that nothing is forgotten.
        """
        if lines == self.line_ids:
            self.action_exclude()
            return
        lines._release()
        excluded = self.search([("excluded_from_id", "=", self.id), ("state", "=", "excluded")])
        self._move_lines(lines, excluded[:1] or self._copy_for("excluded", self.id))
        self.run_id._withdraw_approval(always=True)

    def _include_lines(self, lines):
        """Claim ``lines`` again and put them back where they were, else into one of their own."""
        run = self.run_id
        run._check_amounts_state()
        lines._claim()
        origin = self.excluded_from_id
        if origin.state in DOCUMENT_OPEN:
            self._move_lines(lines, origin)
        elif lines == self.line_ids:
            self._set_state("to_do", excluded_from_id=False)
            self._update_from_lines()
        else:
            self._move_lines(lines, self._copy_for("to_do"))
        run._withdraw_approval(always=True)

    def _copy_for(self, state, origin_id=False):
        """Return an empty document like this one."""
        return self.copy(
            {
                "state": state,
                "excluded_from_id": origin_id,
                "error": False,
                "contract_ids": [],
                "is_stale": False,
            }
        )

    def _move_lines(self, lines, document):
        """Move ``lines`` of this document to ``document``; an empty one disappears."""
        lines.write({"document_id": document.id})
        (self | document).invalidate_recordset(["line_ids"])
        changed = (self | document).filtered("line_ids")
        changed._update_from_lines()
        (self - changed).unlink()
        changed._update_above_max()
        changed._update_large_credit()

    def _update_from_lines(self):
        """Update these documents after amounts were added or removed."""
        for document in self:
            lines = document.line_ids
            document.write(
                {
                    **self._prepare_lines_vals(lines, lines.contract_id.ids),
                    "is_stale": any(lines.mapped("is_stale")),
                    "is_accepted": False,
                }
            )
        self._update_title()
        self._update_amounts()
        compared = self.filtered(lambda document: document.state in DOCUMENT_OPEN)
        compared._update_comparison()
        # a part of a document is not compared with a whole one
        (self - compared).write(self._prepare_no_comparison_vals())


class InvoiceRunLine(models.Model):
    """Single amounts that people take out of their run and put back."""

    _inherit = "invoice.run.line"

    document_state = fields.Selection(related="document_id.state", string="Status")

    def action_exclude(self):
        """Leave these amounts out of the run; their periods and items stay billable.

        Their document is totalled again and an approval is withdrawn. Later periods of the same
        price line stay in the run; an order is left out as a whole.

        :raises UserError: one of them is on an invoice
        """
        lines = self._get_whole()
        documents = self.document_id
        documents.check_access("write")
        documents.run_id._check_not_busy()
        documents._check_not_invoiced()
        documents.run_id._note_prepared()
        # sudo: amounts and documents belong to the engine
        open_documents = documents.sudo().filtered(lambda document: document.state in DOCUMENT_OPEN)
        for document in open_documents:
            document._exclude_lines(document.line_ids & lines)

    def action_include(self):
        """Put excluded amounts back into their run and claim their periods again.

        :raises UserError: the periods were claimed meanwhile (names by whom), or the run has
            no amounts any more
        """
        lines = self._get_whole()
        documents = self.document_id
        documents.check_access("write")
        documents.run_id._check_not_busy()
        documents.run_id._note_prepared()
        # sudo: amounts and documents belong to the engine
        for document in documents.sudo().filtered(lambda document: document._is_left_out()):
            document._include_lines(document.line_ids & lines)
