from odoo import api, fields, models
from odoo.fields import Domain

from ..base.scopes import BY_CUSTOMER


class InvoiceRun(models.Model):
    """Documents that the limits of the company hold back."""

    _inherit = "invoice.run"

    @api.model
    def _get_above_domain(self):
        """Return the documents above the maximum that no reviewer has checked."""
        above = Domain("is_above_max", "=", True) & Domain("is_accepted", "=", False)
        return above & Domain("state", "=", "to_do")


class InvoiceRunDocument(models.Model):
    """The minimum and maximum of an invoice, and the maximum of its credits.

    A person checks large credits: a mistyped end date would credit years.
    """

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
    is_large_credit = fields.Boolean(
        "Large Credit",
        readonly=True,
        help="It credits more than the company lets runs credit without a check.",
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

    def _is_held_back(self):
        """Whether this document waits for a reviewer because it is above the maximum."""
        self.ensure_one()
        return self.state == "to_do" and self.is_above_max and not self.is_accepted

    def _apply_limits(self):
        """Postpone those of these new documents that are too small; mark those that are too large.

        Small ones that reach the minimum together are put on one invoice.
        """
        low = self.company_id.invoice_run_min_amount
        small = self.browse()
        if low > 0:
            # credits are never postponed: neither a credit note nor what corrects a claim; nor is
            # usage that shares of other documents count
            small = self.filtered(
                lambda document: (
                    0 < document.company_amount_total < low
                    and not document.line_ids.corrects_id
                    and BY_CUSTOMER not in document.line_ids.tariff_id.mapped("tier_scope")
                )
            )
        for documents in small.grouped(lambda document: document._get_limit_key()).values():
            documents._apply_minimum(low)
        self.exists()._update_above_max()
        self.exists()._update_large_credit()

    def _get_limit_key(self):
        """Return what documents must have in common to be put on one invoice."""
        names = self.run_id._get_document_key_fields()
        shared = (self[name] for name in names)
        return (self.payer_id, self.contract_ids, *shared, *self._get_source_key())

    def _get_source_key(self):
        """Return the values of the source that are the same for all that this document invoices."""
        line = self.line_ids[:1]
        source = line._get_source()
        return line[source._source_record_field]._get_grouping_key()

    def _apply_minimum(self, low):
        """Postpone these documents, which belong together, or put them on one invoice.

        :param low: minimum in company currency, taxes included
        """
        if sum(self.mapped("company_amount_total")) >= low:
            self._merge()
        elif not self._is_last_of_contracts():
            self.line_ids._release()
            self._set_state("held", is_below_min=True)

    def _is_last_of_contracts(self):
        """Whether nothing is left to invoice of the contracts after these documents."""
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

    # ------------------------------------------------------------------
    # Credits
    # ------------------------------------------------------------------

    def _update_large_credit(self):
        for document in self:
            is_large = document._gives_much_back()
            if document.is_large_credit != is_large:
                document.is_large_credit = is_large

    def _gives_much_back(self):
        """Whether the credits of this document are above the company's limit.

        Other lines do not count: what is invoiced in place of the credits must not hide them.
        """
        self.ensure_one()
        credits = self.line_ids.filtered(lambda line: line._is_money_back())
        if not credits:
            return False
        total = self.company_currency_id.round(
            abs(sum(credits.mapped("amount_untaxed"))) / (self.currency_rate or 1.0)
        )
        company = self.company_id
        if company.invoice_run_credit_limit > 0:
            return total > company.invoice_run_credit_limit
        is_long = any(
            lines._get_billed_time() > 1
            for lines in credits.filtered("contract_line_id").grouped("contract_line_id").values()
        )
        return is_long or 0 < company.invoice_run_max_amount < total


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    def _is_money_back(self):
        """Whether this amount credits what was invoiced, or is an item below zero.

        Down payments that Sales deducts were paid before, so they do not count.
        """
        self.ensure_one()
        source = self._get_source()
        is_item = not source._source_has_periods and not source._source_follows_invoices
        return bool(self.corrects_id) or is_item and self.amount < 0
