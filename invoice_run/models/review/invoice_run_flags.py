from odoo import api, fields, models
from odoo.fields import Domain

from ..base.states import DOCUMENT_OPEN

#: Flags of documents, and the count of each on the run.
FLAGS = {
    "is_outlier": "outlier_count",
    "has_missing_charge": "missing_charge_count",
    "is_above_max": "above_max_count",
    "is_large_credit": "large_credit_count",
    "is_first": "first_count",
}


class InvoiceRun(models.Model):
    """How many documents of a run a reviewer should look at, and why."""

    _inherit = "invoice.run"

    outlier_count = fields.Integer("Unusual Amounts", compute="_compute_flag_counts")
    missing_charge_count = fields.Integer("Charges Missing", compute="_compute_flag_counts")
    above_max_count = fields.Integer("Above Maximum", compute="_compute_flag_counts")
    large_credit_count = fields.Integer("Large Credits", compute="_compute_flag_counts")
    first_count = fields.Integer("First Invoices", compute="_compute_flag_counts")

    @api.depends("document_ids.state", *(f"document_ids.{flag}" for flag in FLAGS))
    def _compute_flag_counts(self):
        counts = {run_id: dict.fromkeys(FLAGS.values(), 0) for run_id in self.ids}
        groups = self.env["invoice.run.document"]._read_group(
            [("run_id", "in", self.ids), ("state", "in", DOCUMENT_OPEN)],
            ["run_id", *FLAGS],
            ["__count"],
        )
        for run, *flags, count in groups:
            for name, flag in zip(FLAGS.values(), flags, strict=True):
                counts[run.id][name] += count if flag else 0
        for run in self:
            run.update(counts.get(run.id) or dict.fromkeys(FLAGS.values(), 0))

    def action_view_flag(self):
        """Open the open documents with one flag; the context says which: ``invoice_run_flag``."""
        flag = self.env.context.get("invoice_run_flag")
        domain = Domain(flag if flag in FLAGS else "is_flagged", "=", True)
        domain &= Domain("state", "in", DOCUMENT_OPEN)
        return self._get_list_action(
            "invoice_run.invoice_run_document_action",
            list(domain),
            f"billing-run-flag-{flag}".replace("_", "-"),
        )
