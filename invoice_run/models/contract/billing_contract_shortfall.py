"""Commitments whose last term ends on a day that was invoiced before the end was known."""

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date

from ...engine import periods
from ...engine.charge import NotBillable
from .billing_contract_commitment import FIRST_TRUE_UP


class BillingContractLine(models.Model):
    """Whether something is missing is asked once, when the end moves; the next run invoices it.

    Not again by each later run: what somebody lowers on an invoice, or changes in the contract
    afterwards, leaves what was settled alone.
    """

    _inherit = "billing.contract.line"

    is_shortfall_open = fields.Boolean(
        "Commitment to Settle",
        compute="_compute_is_shortfall_open",
        store=True,
        copy=False,
        help="Something is missing of the commitment of its last term, whose end was invoiced "
        "before it was known.",
        engine=True,
    )

    _shortfall_idx = models.Index("(contract_id) WHERE is_shortfall_open")

    @api.depends("date_end", "contract_id.date_end")
    def _compute_is_shortfall_open(self):
        for line in self:
            line.is_shortfall_open = line._has_shortfall()

    def _has_shortfall(self):
        """Whether something is missing of the last term, though all its days are invoiced."""
        if not self.commitment_amount or self != self._origin or not self.contract_id.date_start:
            return False
        last = self._get_last_day()
        if not last or self.invoiced_until != last:
            return False
        contract = self.contract_id
        try:
            terms = contract._get_billing_terms(contract._new_preview_run(self.company_id, last))
            return any(
                self._is_term_short(terms, term)
                for term in self._get_committed_terms(terms, [periods.Span(last, last)])
            )
        except (UserError, ValueError):
            return True  # the next run says what is wrong

    def _is_term_short(self, terms, term):
        """Whether something is missing of ``term`` that no true-up has settled."""
        # not remembered: some may have been claimed right now
        holding = self._find_holding_amounts([term])
        is_settled = any(
            amount.late_number > FIRST_TRUE_UP and amount.billing_date_to == term.date_to
            for amount in holding
        )
        return not is_settled and bool(self._get_shortfall(terms, term, holding).owed)

    def _get_open_terms(self, terms, run):
        """Return the terms of the commitment that ``run`` settles; one, or none."""
        last = self._get_last_day() if self.is_shortfall_open else None
        if not last or last > run.target_date or (run.skip_before and last < run.skip_before):
            return []
        return self._get_committed_terms(terms, [periods.Span(last, last)])

    def _get_term_customer(self, term):
        """Return to whom the end of ``term`` was invoiced."""
        amounts = self._get_holding_amounts(term).sorted("period_to")
        return amounts[-1:].document_id.payer_id.commercial_partner_id

    def _get_former_customer_message(self, term, customer):
        return self.env._(
            "“%(line)s”: something is missing of the commitment until %(date)s, which was invoiced "
            "to %(customer)s, and the contract has another customer now. Set %(customer)s on the "
            "contract again and invoice what is missing; then change the customer.",
            line=self.name,
            date=format_date(self.env, term.date_to),
            customer=customer.display_name,
        )


class BillingContract(models.Model):
    _inherit = "billing.contract"

    def _get_shortfall_charges(self, line, terms, run, claimed, due, records, others=()):
        """Yield what ``run`` invoices of a commitment that ended where it was invoiced.

        What is wrong with it is an exception, and everything else of the contract is invoiced.

        :param claimed: days of this line that are invoiced or claimed
        :param due: [(span, values)] of what this run invoices of this line
        :param records: see :meth:`_get_run_document_records`
        :param others: values of what it invoices of the other lines, where these count
        """
        for term in line._get_open_terms(terms, run):
            # what is invoiced of the term now settles it, and what was reversed is invoiced again
            if any(term.clip(*span) for span, _vals in due) or periods.open_spans(*term, claimed):
                continue
            try:
                yield from self._get_term_charges(line, terms, term, records, others)
            except UserError as error:
                yield NotBillable(self._prepare_exception_vals("contract", str(error)))

    def _get_term_charges(self, line, terms, term, records, others):
        document = self._prepare_run_document_vals(records)
        for vals in line._get_true_up(terms, term, [], records["fiscal_position_id"], others):
            customer = line._get_term_customer(term)
            if customer != self.commercial_partner_id:
                raise UserError(line._get_former_customer_message(term, customer))
            span = periods.Span(vals["period_from"], vals["period_to"])
            yield self._prepare_metered_charge(terms, span, vals, document, in_period=False)


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    def _follow_shortfalls(self, is_claimed):
        """Ask again what is missing of a commitment, once these are claimed, or released."""
        if is_claimed:
            lines = self.contract_line_id.filtered("is_shortfall_open")
        else:
            lines = self.filtered(lambda one: one.late_number > FIRST_TRUE_UP).contract_line_id
        # sudo: whoever gives up a run need not write contracts
        lines.sudo()._compute_is_shortfall_open()
