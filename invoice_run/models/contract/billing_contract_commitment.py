from collections import defaultdict
from fractions import Fraction
from typing import NamedTuple

from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...engine import periods, tariff

#: Number of the first true-up of a period in the constraint of claims: beyond all late usage.
FIRST_TRUE_UP = 5000
#: For how long a customer can be committed.
COMMITMENT_INTERVALS = [("quarter", "Quarter"), ("half_year", "Half-year"), ("year", "Year")]


class Shortfall(NamedTuple):
    """What is missing of the commitment of a term, and how it comes about; exact."""

    #: to be invoiced; negative: to be given back
    owed: Fraction
    #: of the days of the term
    commitment: Fraction
    used: Fraction
    #: {true-up of the term: what it invoiced}
    before: dict


class BillingContractLine(models.Model):
    """What a customer commits to over a term longer than a billing period.

    When the whole term is invoiced, the shortfall is an amount of its own, with the last period, or
    by itself where the line ends with a day that was invoiced before, see
    ``billing_contract_shortfall.py``. Usage of the term that is reported later lowers it again.
    """

    _inherit = "billing.contract.line"

    commitment_amount = fields.Monetary(
        "Committed",
        help="Charged at least in a whole term; what is missing is invoiced with its last period. "
        "A term that is cut counts in proportion.",
    )
    commitment_interval = fields.Selection(
        COMMITMENT_INTERVALS,
        "Committed Per",
        required=True,
        default="year",
    )

    _commitment_not_negative = models.Constraint(
        "CHECK (COALESCE(commitment_amount, 0) >= 0)", "The committed amount cannot be negative."
    )

    @api.constrains("commitment_amount", "commitment_interval", "is_metered", "contract_id")
    def _check_commitment(self):
        """Refuse a commitment whose term is not a number of whole billing periods."""
        for line in self.filtered("commitment_amount"):
            months = periods.INTERVAL_MONTHS[line.commitment_interval]
            contract = line.contract_id
            count = contract.period_count
            # the grids of these begin on the same days, whatever the contract starts on
            is_whole = count in (1, 3, 6, 12) and contract.period_unit == "month"
            if not line.is_metered or not is_whole or months % count:
                raise ValidationError(
                    self.env._(
                        "“%(line)s”: a commitment is for price lines by usage, and its term must "
                        "be made of whole billing periods of 1, 3, 6 or 12 months.",
                        line=line.name,
                    )
                )

    def _get_true_ups(self, terms, claimed, due, fiscal_position, others=()):
        """Yield the values of the run lines that true up the terms which this run completes.

        :param claimed: days of this line that are invoiced or claimed
        :param due: [(span, values)] of what this run invoices of this line
        :param others: values of what it invoices of the other lines, where these count
        """
        if not self.commitment_amount or not due:
            return
        spans = [span for span, _vals in due]
        for term in self._get_committed_terms(terms, spans):
            if not periods.open_spans(*term, [*claimed, *spans]):
                amounts = [periods.exact(vals["amount"]) for span, vals in due if term.clip(*span)]
                yield from self._get_true_up(terms, term, amounts, fiscal_position, others)

    def _get_committed_terms(self, terms, spans):
        """Return the terms of the commitment in which ``spans`` end, cut to the days of the line.

        :param terms: billing terms of the contract
        """
        ends = {periods.Span(span.date_to, span.date_to) for span in spans}
        found = {
            term
            for end in ends
            for term in self._get_terms_in(terms, end, self.commitment_interval)
        }
        return sorted(found)

    def _get_terms_in(self, terms, span, interval):
        """Yield the terms of ``interval`` with days in ``span``, cut to the days of the line.

        :param terms: billing terms of the contract
        """
        grid = terms.unit_grid(interval)
        first, last = self._get_first_day(), self._get_last_day()
        for index in range(grid.index(span.date_from), grid.index(span.date_to) + 1):
            term = grid.period(index).clip(first, last)
            if term:
                yield term

    def _get_true_up(self, terms, term, amounts, fiscal_position, others=()):
        """Yield the amount by which ``term`` falls short of its commitment, unless it is zero.

        :param amounts: what this run invoices of the term
        """
        holding = self._get_holding_amounts(term)
        short = self._get_shortfall(terms, term, holding, amounts, others)
        if short.owed:
            before = list(short.before.values())
            number = max((one.late_number for one in short.before), default=0)
            yield {
                **self._prepare_true_up_vals(terms, term, float(short.owed), fiscal_position),
                "name": self._get_invoice_line_name(
                    term, self._get_true_up_note(short.commitment, short.used, before)
                ),
                "late_number": (number or FIRST_TRUE_UP) + 1,
            }

    def _get_shortfall(self, terms, term, holding, amounts=(), others=()):
        """Return the :class:`Shortfall` of ``term``.

        :param holding: the amounts that hold its days or usage, and its true-ups
        :param amounts: what this run invoices of the term
        :raises UserError: one of them is in another currency, or of another period
        """
        coin = periods.exact(self.currency_id.rounding)
        billed = self._get_billed_of(holding, term)
        before = {one: value for one, value in billed.items() if one.late_number > FIRST_TRUE_UP}
        rated = [value for amount, value in billed.items() if amount not in before]
        share = periods.charge(
            terms, self.commitment_interval, self._get_counted_from(), term, periods.ONE, coin
        ).units
        commitment = periods.exact(self.commitment_amount)
        used = sum([*rated, *amounts], Fraction())
        if self._bounds_contract():
            used += self.contract_id._get_used(term, others, with_terms=True)
        owed = tariff.true_up(commitment, share, [used], coin) - sum(before.values(), Fraction())
        return Shortfall(owed, commitment * share, used, before)

    def _get_true_up_note(self, commitment, used, before):
        """Return the explanation of a true-up for the invoice line."""
        env = self.with_context(lang=self.contract_id._get_invoice_lang()).env
        text = env._(
            "Committed: %(commitment)s, usage came to %(used)s",
            commitment=self._get_money_text(env, commitment),
            used=self._get_money_text(env, used),
        )
        if not before:
            return text
        less = env._(
            "less %(before)s invoiced before",
            before=self._get_money_text(env, sum(before, Fraction())),
        )
        return f"{text}, {less}"

    def _prepare_true_up_vals(self, terms, term, amount, fiscal_position):
        contract = self.contract_id
        taxes = contract._get_run_taxes(
            self.tax_ids, self.product_id, contract.company_id, fiscal_position
        )
        last = terms.grid.period(terms.grid.index(term.date_to)).clip(*term)
        return {
            "contract_id": contract.id,
            "contract_line_id": self.id,
            "product_id": self.product_id.id,
            "product_uom_id": self.product_uom_id.id,
            "quantity": -1.0 if amount < 0 else 1.0,
            "price_unit": abs(amount),
            "discount": 0.0,
            "amount": amount,
            "period_from": last.date_from,
            "period_to": last.date_to,
            "billing_date_from": term.date_from,
            "billing_date_to": term.date_to,
            # a true-up has no price per piece: the pieces were on the invoices of the periods
            "tax_ids": taxes.filtered(lambda tax: not tax._is_per_quantity()).ids,
            "analytic_distribution": self.analytic_distribution,
            "is_metered": True,
            "is_true_up": True,
        }


class BillingContract(models.Model):
    """Which terms of commitments a run looks at."""

    _inherit = "billing.contract"

    def _find_committed_terms(self, run, due):
        """Return (price line, term) of the commitments of which ``due`` is a part.

        :param due: pairs (price line, span) that ``run`` invoices of these contracts
        """
        spans = defaultdict(list)
        for line, span in due:
            if line.commitment_amount:
                spans[line].append(span)
        return [
            (line, term)
            for line, own in spans.items()
            for term in line._get_committed_terms(line.contract_id._get_billing_terms(run), own)
        ]
