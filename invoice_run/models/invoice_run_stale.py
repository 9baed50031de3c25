from odoo import api, fields, models
from odoo.fields import Domain

#: What a run selects; the manager who lets a schedule approve by itself has seen these.
SELECTION_FIELDS = {
    "scenario_id",
    "cluster_ids",
    "partner_ids",
    "record_ids",
    "rule_values",
    "target_date",
}


class InvoiceRunLine(models.Model):
    """Amounts whose contract, price, customer or usage item changed after they were made."""

    _inherit = "invoice.run.line"

    is_stale = fields.Boolean(
        "Outdated", readonly=True, help="What it was made from has changed: renew it."
    )

    @api.model
    def _mark_stale(self, domain):
        """Mark the amounts of ``domain`` that are not invoiced yet, and their documents.

        Those that were left out too: they can be put back.
        """
        domain = Domain(domain) & Domain("is_stale", "=", False)
        domain &= Domain("document_id.state", "in", ("to_do", "failed", "excluded"))
        # sudo: who changes a customer need not see the runs that bill him
        lines = self.sudo().search(domain)
        lines.write({"is_stale": True})
        lines.document_id.write({"is_stale": True})


class InvoiceRunDocument(models.Model):
    _inherit = "invoice.run.document"

    is_stale = fields.Boolean(
        "Outdated",
        readonly=True,
        help="A contract, order, price, customer or item of it has changed since: no invoice is "
        "made until its amounts are renewed.",
    )

    def _detect_stale(self):
        """Mark what changed without anybody writing it; a source adds how that is seen."""

    def _get_change_errors(self):
        # EXTENDS 'invoice_run': what changed otherwise is refused as well
        errors = super()._get_change_errors()
        if self.is_stale and not errors:
            errors.append(
                self.env._(
                    "The contract, the order, the customer or an item was changed after the "
                    "amounts were made. Press “Renew Outdated”, then approve again."
                )
            )
        return errors


class InvoiceRun(models.Model):
    """The run's own dates and selection count as well: what was approved is what is billed."""

    _name = "invoice.run"
    _inherit = ["invoice.run", "invoice.run.stale.mixin"]

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return SELECTION_FIELDS | {"skip_before", "invoice_date", "due_date"}

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return [("run_id", "in", self.ids)]

    def write(self, vals):
        changed = self._get_changed(vals, self._get_stale_fields())
        selected = self._get_changed(vals, SELECTION_FIELDS).schedule_id
        if "yes" in selected.mapped("auto_approve"):
            selected._check_manager()
        result = super().write(vals)
        changed.filtered("document_ids")._withdraw_approval()
        return result

    def _get_changed(self, vals, names):
        # EXTENDS 'invoice.run.stale.mixin': the engine dates the documents together with the run
        if self.env.su:
            return self.browse()
        return super()._get_changed(vals, names)

    def action_renew_stale(self):
        """Make the amounts of customers with outdated documents again, and only those.

        An approval is withdrawn.

        :raises UserError: the run is not in a state in which amounts can be renewed
        """
        self.check_access("write")
        for run in self:
            # sudo: amounts and documents are the engine's
            documents = run.sudo().document_ids.filtered(
                lambda document: document.state in ("to_do", "failed")
            )
            documents._detect_stale()
            payers = documents.filtered("is_stale").payer_id
            if not payers or run.job != "none":
                continue
            run._check_amounts_state()
            documents = documents.filtered(
                lambda document, payers=payers: document.payer_id in payers
            )
            documents.line_ids._release()
            documents.line_ids.unlink()
            documents.unlink()
            run._remove_exceptions(payers)
            run._write_engine(
                {
                    "state": "submitted",
                    "amounts_by_id": self.env.uid,
                    **run._prepare_no_approval_vals(),
                }
            )
            run._queue_job("amounts")

    def _remove_exceptions(self, payers):
        """Remove the exceptions of these customers and those of the run as a whole."""
        # sudo: exceptions are the engine's
        self.sudo().exception_ids.filtered(
            lambda exception: (
                not exception.partner_id
                or exception.partner_id.commercial_partner_id in payers
                or exception.blocking_run_id
            )
        ).unlink()
