"""What becomes of a contract of another module, and the proof that it charges the same.

Pure functions, no ORM. All days are inclusive.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from odoo.addons.invoice_run.engine import periods

#: Cannot be taken over · only if somebody accepts it · good to know.
STOP, ACCEPT, NOTE = "stop", "accept", "note"
#: Prices for one billing period that price lines name by its length.
INTERVALS = {
    ("month", 1): "month",
    ("month", 3): "quarter",
    ("month", 6): "half_year",
    ("month", 12): "year",
}


class Finding(NamedTuple):
    """One sentence of the report."""

    kind: str
    text: str


class Invoice(NamedTuple):
    """One of the next invoices; amounts in the currency of the contract."""

    date: date
    untaxed: float
    tax: float
    total: float


@dataclass
class LinePlan:
    """One price line: what is charged for each of its coming periods."""

    #: Id of the line in the other module.
    key: int
    name: str
    #: Values of the ``billing.contract.line``, without days.
    vals: dict
    #: First and last day (None = open-ended) in the other module.
    date_start: date
    date_end: date | None
    #: Last day that was invoiced; None = nothing was.
    invoiced_until: date | None
    #: The periods that the other module would invoice next, in order.
    spans: list[periods.Span]
    count: int = 1
    unit: str = "month"
    timing: str = "advance"

    @property
    def price(self) -> Fraction:
        """The exact price of one period, after discount."""
        vals = self.vals
        return periods.net_price(vals["quantity"], vals["price_unit"], vals.get("discount") or 0)

    @property
    def interval(self) -> str:
        return INTERVALS.get((self.unit, self.count), "period")


@dataclass
class ContractPlan:
    """One ``billing.contract``: lines that share their periods."""

    terms: periods.Terms
    lines: list[LinePlan] = field(default_factory=list)


@dataclass
class Plan:
    """What becomes of one contract of another module."""

    record: object
    #: Values of the ``billing.contract``, without periods.
    vals: dict = field(default_factory=dict)
    lines: list[LinePlan] = field(default_factory=list)
    contracts: list[ContractPlan] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        self.findings.append(Finding(kind, text))

    @property
    def verdict(self) -> str:
        """``stop``, ``accept`` or ``ready``."""
        kinds = {finding.kind for finding in self.findings}
        return STOP if STOP in kinds else ACCEPT if ACCEPT in kinds else "ready"


def group_lines(lines: Iterable[LinePlan]) -> tuple[list[ContractPlan], list[LinePlan]]:
    """Put lines that share one grid of periods together.

    :return: the contracts, and the lines whose periods no grid gives
    """
    contracts, misfits = [], []
    for line in lines:
        for contract in contracts:
            terms = _fit([*contract.lines, line])
            if terms:
                contract.terms = terms
                contract.lines.append(line)
                break
        else:
            terms = _fit([line])
            if terms:
                contracts.append(ContractPlan(terms, [line]))
            else:
                misfits.append(line)
    return contracts, misfits


def _fit(lines: list[LinePlan]) -> periods.Terms | None:
    """Return terms whose grid gives the coming periods of all lines."""
    shapes = {(line.count, line.unit, line.timing) for line in lines}
    if len(shapes) > 1:
        return None
    return next((terms for terms in _get_candidates(lines) if _fits(terms, lines)), None)


def _get_candidates(lines: list[LinePlan]) -> Iterable[periods.Terms]:
    first = lines[0]
    start = min(line.date_start for line in lines)
    coming = min((line.spans[0].date_from for line in lines if line.spans), default=start)
    terms = periods.Terms(
        start, count=first.count, unit=first.unit, timing=first.timing, proration="none"
    )
    for day in (start, coming, start.replace(day=1), coming.replace(day=1)):
        yield replace(terms, start=day)


def _fits(terms: periods.Terms, lines: list[LinePlan]) -> bool:
    return all(get_misfit(terms, line) is None for line in lines)


def get_misfit(terms: periods.Terms, line: LinePlan) -> periods.Span | None:
    """Return the first coming period of ``line`` that the grid does not give."""
    for number, span in enumerate(line.spans):
        whole = terms.grid.period(terms.grid.index(span.date_from))
        begins = number == 0 or whole.date_from == span.date_from
        ends = span.date_to == min(filter(None, (whole.date_to, line.date_end)))
        if not begins or not ends:
            return span
    return None


def get_wrong_amount(terms: periods.Terms, line: LinePlan, coin: Fraction):
    """Return the first coming period that would cost something else, and what; None if none."""
    first = max(terms.start, line.date_start)
    price = periods.round_half_up(line.price, coin)
    for span in line.spans:
        amount = periods.charge(terms, line.interval, first, span, line.price, coin).amount
        if amount != price:
            return span, float(price), float(amount)
    return None


def get_due_days(contracts: list[ContractPlan]) -> list[date]:
    """Return the days on which something is invoiced, in order."""
    return sorted(
        {
            periods.next_invoicing_date(contract.terms, span.date_from)
            for contract in contracts
            for line in contract.lines
            for span in line.spans
        }
    )


def find_invoiced_until(spans: list[periods.Span], dates: list[date], scheduled: list[date]):
    """Read from invoices which day is the last that they cover.

    :param spans: the periods of a line from its start on, in order
    :param dates: the dates of its invoices
    :param scheduled: the day on which each period is invoiced
    :return: last day (None = nothing was invoiced), and whether each period from the first to
        the last invoice has exactly one
    """
    found = sorted(_get_period(scheduled, day) for day in dates)
    if not found:
        return None, True
    is_sound = found == list(range(found[0], found[-1] + 1))
    return spans[found[-1]].date_to, is_sound


def _get_period(scheduled: list[date], day: date) -> int:
    """Return the number of the last period that was due on ``day``; invoices can be late."""
    return max((number for number, due in enumerate(scheduled) if due <= day), default=0)
