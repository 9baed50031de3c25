from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain


class InvoiceRun(models.Model):
    """Confirm the drafts that a run created."""

    _inherit = "invoice.run"

    draft_count = fields.Integer("Draft Invoices", compute="_compute_draft_count")

    @api.depends("document_ids.move_id.state")
    def _compute_draft_count(self):
        counts = dict(
            self.env["invoice.run.document"]._read_group(
                self._get_drafts_domain(), ["run_id"], ["__count"]
            )
        )
        for run in self:
            run.draft_count = counts.get(run, 0)

    def _get_drafts_domain(self):
        """Return the documents of these runs whose invoice is a draft."""
        return (
            Domain("run_id", "in", self.ids)
            & Domain("state", "=", "invoiced")
            & Domain("move_id.state", "=", "draft")
        )

    def action_confirm_drafts(self):
        """Confirm the draft invoices of these runs in the background, in their order.

        Sending goes on afterwards where it is automatic. What cannot be confirmed says why.

        :raises AccessError: the user may not confirm invoices
        :raises UserError: there is no draft, or the run is busy
        """
        self.check_access("write")
        self._check_not_busy()
        self.env["account.move"].check_access("create")
        for run in self.filtered(lambda run: run.job != "confirm"):
            run._check_confirmable()
            # sudo: documents belong to the engine
            drafts = self.env["invoice.run.document"].sudo().search(run._get_drafts_domain())
            drafts.filtered("error").write({"error": False})
            run._queue_job("confirm")

    def _check_confirmable(self):
        if not self.draft_count:
            raise UserError(self.env._("%(run)s has no drafts to confirm.", run=self.reference))
        self._check_no_job()


class InvoiceRunDocument(models.Model):
    _inherit = "invoice.run.document"

    def _process_confirm(self):
        """Confirm the invoices of these documents; what cannot be confirmed says why."""
        self._attempt("_confirm_moves", "_set_unconfirmed")

    def _set_unconfirmed(self, reason):
        self.error = reason

    def _confirm_moves(self):
        # a draft may have got another date by hand
        self._refuse(
            lambda document: "\n".join(
                document._get_lock_date_errors(document.move_id.invoice_date)
            )
        )
        self._post_moves()
        # an approval of another addon, for example
        self._refuse(
            lambda document: (
                document.move_id.state == "draft"
                and self.env._("The invoice is still a draft. Confirm it in Accounting.")
            )
        )
