from odoo import api, fields, models
from odoo.fields import Domain

from ..base.groups import INTERNAL


class ResCompany(models.Model):
    _inherit = "res.company"

    invoice_run_min_amount = fields.Monetary(
        "Smallest Invoice",
        help="Documents with a smaller total, including taxes, are postponed: this run does not "
        "invoice them. Their periods stay billable; once they reach the minimum together, "
        "they are put on one invoice. The last invoice of a contract is never postponed. 0: "
        "no minimum.",
        groups=INTERNAL,
    )
    invoice_run_max_amount = fields.Monetary(
        "Largest Invoice Without Check",
        help="Documents with a larger total, taxes included, wait until a reviewer has checked "
        "them. 0: no maximum.",
        groups=INTERNAL,
    )


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    invoice_run_min_amount = fields.Monetary(
        related="company_id.invoice_run_min_amount",
        readonly=False,
        currency_field="currency_id",
    )
    invoice_run_max_amount = fields.Monetary(
        related="company_id.invoice_run_max_amount",
        readonly=False,
        currency_field="currency_id",
    )


class InvoiceRun(models.Model):
    """What the limits of the company keep back."""

    _inherit = "invoice.run"

    def _get_to_invoice_domain(self):
        # EXTENDS 'invoice_run': what is above the maximum waits for a reviewer
        return super()._get_to_invoice_domain() & ~self._get_above_domain()

    @api.model
    def _get_above_domain(self):
        """Return the documents above the maximum that no reviewer has checked."""
        above = Domain("is_above_max", "=", True) & Domain("is_accepted", "=", False)
        return above & Domain("state", "=", "to_do")

    def _get_failed_contracts(self):
        # EXTENDS 'invoice_run': other periods of what waits for a reviewer wait with it
        above = Domain("run_id", "=", self.id) & self._get_above_domain()
        waiting = self.env["invoice.run.document"].search(above)
        return super()._get_failed_contracts() | waiting.contract_ids


class InvoiceRunDocument(models.Model):
    """Minimum and maximum of what one invoice may come to."""

    _inherit = "invoice.run.document"

    is_below_min = fields.Boolean(
        "Below Minimum",
        readonly=True,
        help="Its total was below the minimum of the company when its amounts were generated.",
    )
    is_above_max = fields.Boolean(
        "Above Maximum",
        readonly=True,
        help="Its total is above the maximum of the company: it is not invoiced until a reviewer "
        "has checked it.",
    )
    hold_reason = fields.Char("Why It Waits", compute="_compute_hold_reason")

    @api.depends("state", "is_above_max", "is_accepted")
    def _compute_hold_reason(self):
        for document in self:
            reason = False
            if document.state == "held":
                reason = self.env._(
                    "Below the minimum: its periods stay billable. “Include Again” invoices it "
                    "anyway."
                )
            elif document._is_held_back():
                reason = self.env._(
                    "Above the maximum: not invoiced until a reviewer marks it as checked."
                )
            document.hold_reason = reason

    @api.depends("is_above_max")
    def _compute_is_flagged(self):
        return super()._compute_is_flagged()

    def _needs_check(self):
        # EXTENDS 'invoice_run'
        return super()._needs_check() or self.is_above_max

    def _is_held_back(self):
        """Whether this document waits for a reviewer because it is above the maximum."""
        self.ensure_one()
        return self.state == "to_do" and self.is_above_max and not self.is_accepted

    def _is_left_out(self):
        # EXTENDS 'invoice_run'
        return super()._is_left_out() or self.state == "held"

    def _move_lines(self, lines, document):
        # EXTENDS 'invoice_run'
        result = super()._move_lines(lines, document)
        (self | document).exists()._update_above_max()
        (self | document).exists()._update_large_credit()
        return result

    def _apply_limits(self):
        """Postpone those of these new documents that are too small; mark those that are too large.

        Small ones that reach the minimum together are put on one invoice.
        """
        low = self.company_id.invoice_run_min_amount
        small = self.browse()
        if low > 0:
            # credits are never postponed: neither a credit note nor what corrects a claim
            small = self.filtered(
                lambda document: (
                    0 < document.company_amount_total < low and not document.line_ids.corrects_id
                )
            )
        for documents in small.grouped(lambda document: document._get_limit_key()).values():
            documents._apply_minimum(low)
        self.exists()._update_above_max()
        self.exists()._update_large_credit()

    def _get_limit_key(self):
        """Return what documents must have in common to come on one invoice."""
        names = self.run_id._get_document_key_fields()
        return (self.payer_id, self.contract_ids, *(self[name] for name in names))

    def _apply_minimum(self, low):
        """Postpone these documents, which belong together, or put them on one invoice.

        :param low: minimum in company currency, taxes included
        """
        if sum(self.mapped("company_amount_total")) >= low:
            self._merge()
        elif not self._is_last_of_contracts():
            self.line_ids._release()
            self.write({"state": "held", "is_below_min": True})

    def _is_last_of_contracts(self):
        """Whether nothing is left to bill of the contracts after these documents."""
        return self.contract_ids and not any(self.contract_ids.mapped("next_invoicing_date"))

    def _merge(self):
        """Put all amounts of these documents on the first of them."""
        lines = self.line_ids.sorted(lambda line: (line.billing_date_from, line.sequence, line.id))
        first = self[:1]
        for number, line in enumerate(lines, 1):
            line.sequence = number
        for document in self - first:
            document._move_lines(document.line_ids, first)

    def _update_above_max(self):
        for document in self:
            high = document.company_id.invoice_run_max_amount
            above = bool(high > 0 and abs(document.company_amount_total) > high)
            if document.is_above_max != above:
                document.is_above_max = above
