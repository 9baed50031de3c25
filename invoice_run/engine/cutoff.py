"""What a month-end entry moves: pure arithmetic on the ledger, no ORM, no I/O.

Deferred revenue is invoiced and not yet earned; accrued revenue is earned and not yet invoiced.
Both are in company currency, to the coin, positive where revenue was, or will be, invoiced.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from .ledger import BilledLine, Share
from .periods import exact, round_half_up

DEFERRED = "deferred"
ACCRUED = "accrued"
#: How an amount of each kind moves the revenue account: deferring takes revenue away.
REVENUE_SIGN = {DEFERRED: 1, ACCRUED: -1}


class Split(NamedTuple):
    """What is left of an invoiced amount after its credits, split by what is earned."""

    deferred: Fraction
    earned: Fraction


def split(billed: BilledLine, day: date, share: Share, coin: float) -> Split:
    """Split what is left of an invoice line into the days after ``day`` and those up to it.

    Amounts are as booked, at the rate of the invoice; the two add up to what is left.

    :param day: last day of the accounting period, inclusive
    :param share: how the amount is spread over the days, see ``billing.ledger._get_share``
    :param coin: smallest coin of the company currency
    """
    deferred = billed.left_after(day, share, "company_amount", coin)
    return Split(deferred, billed.left("company_amount") - deferred)


def part_of(untaxed: float, part: Fraction, whole: Fraction, coin: float) -> Fraction:
    """The share ``part`` ÷ ``whole`` of an untaxed amount, to the coin, at most all of it."""
    if part == whole:
        return exact(untaxed)
    return round_half_up(exact(untaxed) * part / whole, exact(coin))


@dataclass(frozen=True)
class Row:
    """One amount of a cut-off: of one invoice line, or of days that are on none.

    :param kind: ``DEFERRED`` or ``ACCRUED``
    :param account_id: revenue account
    :param analytic: analytic distribution as sorted pairs, hashable
    :param amount: exact, in company currency
    """

    kind: str
    account_id: int
    analytic: tuple[Hashable, ...]
    amount: Fraction


@dataclass
class EntryLine:
    """One line of the month-end entry.

    :param kind: of its rows
    :param account_id: None on the line of the deferred or accrued account
    :param balance: debit, credits negative
    :param rows: positions of the rows that it sums up; empty on a counterpart
    """

    kind: str
    account_id: int | None
    analytic: tuple[Hashable, ...] = ()
    balance: Fraction = Fraction()
    rows: list[int] = field(default_factory=list)


def entry_lines(rows: Iterable[Row]) -> list[EntryLine]:
    """The lines of the entry: revenue by account and analytic distribution, then the balances.

    They add up to zero; lines of zero are left out.
    """
    lines: dict[tuple, EntryLine] = {}
    totals = dict.fromkeys(REVENUE_SIGN, Fraction())
    for number, row in enumerate(rows):
        key = (row.kind, row.account_id, row.analytic)
        line = lines.setdefault(key, EntryLine(*key))
        line.balance += REVENUE_SIGN[row.kind] * row.amount
        line.rows.append(number)
        totals[row.kind] -= REVENUE_SIGN[row.kind] * row.amount
    counterparts = [EntryLine(kind, None, balance=total) for kind, total in totals.items()]
    return [line for line in (*lines.values(), *counterparts) if line.balance]
