"""Invoiced shares of bands that counted usage which is not invoiced after all."""

from contextlib import suppress
from fractions import Fraction

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date

from ...engine import periods, tariff
from ...memory import remember
from ..base.states import DOCUMENT_CHANGEABLE


class BillingContractLine(models.Model):
    """The difference is due by itself where nothing else of the pool is.

    A share that was invoiced stands: it was right when it was approved. What is invoiced next of
    its pool settles the difference. Where nothing is (the other contract is on hold, was cancelled,
    or is not invoiced by this run), it is an amount of its own of the lines that were invoiced.
    """

    _inherit = "billing.contract.line"

    def _get_unsettled_spans(self, target, skip_before=None):
        """Return the invoiced periods up to ``target`` whose shares have something to settle."""
        return [
            periods.Span(amount.period_from, amount.period_to)
            for amount in self._get_unsettled(target, skip_before)
            if not amount._is_of_another_customer()
        ]

    def _get_unsettled(self, target, skip_before=None):
        """Return the invoiced shares up to ``target`` that have something to settle."""
        if not self._shares_bands():
            return []
        found = remember(self.env, ("unsettled", self.id), self._find_unsettled)
        return [
            amount
            for amount in found.get(self.id, [])
            if amount.period_to <= target and (not skip_before or amount.period_to >= skip_before)
        ]

    def _find_unsettled(self):
        """Return {line id: invoiced shares with something to settle} of these lines."""
        # sudo: what others invoiced counts, whoever may read their runs
        amounts = self.env["invoice.run.line"].sudo()
        domain = Domain("contract_line_id", "in", self.ids) & Domain("is_unsettled", "=", True)
        found = amounts.search(domain & Domain("is_claimed", "=", True))
        return {line.id: own for line, own in found.grouped("contract_line_id").items()}

    def _settles_nothing(self, span, vals, run):
        """Whether ``vals``, an amount of ``span``, holds no new usage and comes to nothing."""
        if not vals["late_number"] or vals["amount"]:
            return False
        days = self._get_open_usage_days(run.target_date)
        return not any(span.date_from <= day <= span.date_to for day in days)


class BillingContract(models.Model):
    _inherit = "billing.contract"

    def _get_other_customer_exceptions(self, run, claims):
        """Return values of exceptions for late usage and differences that are another customer's.

        The contract has gone to somebody else since, who is not to pay or get them.
        """
        target, skip = run.target_date, run.skip_before or None
        messages = {}
        for line in self.line_ids.filtered(lambda line: line._is_meter()):
            for amount in line._get_unsettled(target, skip):
                if amount._is_of_another_customer():
                    messages[amount.id] = amount._get_other_customer_message()
            for amount in line._get_late_amounts(claims[line.id], target, skip):
                if amount._is_of_another_customer():
                    messages[amount.id] = amount._get_late_customer_message()
        return [self._prepare_exception_vals("contract", text) for text in messages.values()]

    @api.model
    def _get_pool_difference(self, amounts):
        """Return what is left to invoice of a pool when only ``amounts``, which hold it, count.

        Nothing where some wait to be recalculated: they settle it.
        """
        line = amounts[0].contract_line_id
        if line.tariff_id != amounts.tariff_id or any(one._is_to_be_renewed() for one in amounts):
            return Fraction()
        parts = [
            one._get_part(measure)
            for (one, _span), measure in self._get_parts_before(amounts, []).items()
        ]
        pool = line._get_pool(parts, self._get_charged(amounts))
        return tariff.get_due(pool.total, [pool.before], periods.exact(line.currency_id.rounding))


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    is_unsettled = fields.Boolean(
        "Share to Settle",
        readonly=True,
        help="Its share counted usage that was taken out of its run or whose invoice was reversed.",
    )

    _unsettled_idx = models.Index("(contract_line_id) WHERE is_unsettled")

    def _update_unsettled(self):
        """Note which invoiced shares are right no more after a change of these claims."""
        keys = {amount.pool_key for amount in self.sudo() if amount.pool_key}
        if not keys:
            return
        contracts = self.env["billing.contract"]
        for amounts in contracts._find_pool_amounts(keys).sudo().grouped("pool_key").values():
            invoiced = amounts.filtered(lambda amount: amount._is_invoiced_share())
            if invoiced:
                difference = Fraction()
                with suppress(UserError):  # the next run that rates the pool says what is wrong
                    difference = contracts._get_pool_difference(amounts)
                invoiced._set_unsettled(bool(difference))

    def _is_invoiced_share(self):
        """Whether this amount holds a period, and is no longer part of what a run will invoice."""
        waiting = DOCUMENT_CHANGEABLE
        return not self.late_number and self.document_id.state not in waiting

    def _is_of_another_customer(self):
        """Whether this was invoiced to somebody else than the customer of its contract now."""
        # who was invoiced may have become a branch since
        payer = self.document_id.payer_id.commercial_partner_id
        return payer != self.contract_id.commercial_partner_id

    def _get_other_customer_message(self):
        return self.env._(
            "“%(line)s”: %(what)s was invoiced to %(customer)s, and what was counted with it has "
            "been taken out of its run or reversed. Set that customer on the contract again and "
            "invoice the difference; then change the customer.",
            line=self.contract_line_id.name,
            what=self._get_reference(),
            customer=self.document_id.payer_id.display_name,
        )

    def _get_late_customer_message(self):
        return self.env._(
            "“%(line)s”: usage from %(date_from)s to %(date_to)s was reported after these days "
            "were invoiced to %(customer)s (%(what)s), and the contract has another customer now. "
            "Set %(customer)s on the contract again and invoice this usage; then change the "
            "customer. If nobody is to pay it, delete the usage items.",
            line=self.contract_line_id.name,
            date_from=format_date(self.env, self.period_from),
            date_to=format_date(self.env, self.period_to),
            customer=self.document_id.payer_id.display_name,
            what=self._get_reference(),
        )

    def _set_unsettled(self, is_unsettled):
        self.filtered(lambda one: one.is_unsettled != is_unsettled).is_unsettled = is_unsettled

    def _settle_pools(self):
        """Note that these new amounts settle what was left of their pools."""
        keys = {amount.pool_key for amount in self if amount.pool_key}
        if keys:
            # sudo: those of other runs as well
            domain = [("pool_key", "in", list(keys)), ("is_unsettled", "=", True)]
            self.sudo().search(domain)._set_unsettled(False)
