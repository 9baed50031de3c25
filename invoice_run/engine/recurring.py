"""What prices come to per month and per year, and what changed in between: pure functions.

A year has 365 days, 52 weeks, 12 months; a month is the twelfth part of a year, whatever its
length. So a price per day counts 365/12 times a month, one per week 52/12 times.

The bridge compares what is charged per month on two days. What replaced a price line is
compared with it, so a change of price is not an end and a new start. Whatever the history,
what was there before plus all movements is what is there after, to the coin.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from fractions import Fraction
from typing import NamedTuple

from .periods import round_half_up

#: Units of a price in one year; one-off charges do not recur.
UNITS = {"day": 365, "week": 52, "month": 12, "quarter": 4, "half_year": 2, "year": 1, "once": 0}
#: Movements between two days.
NEW, ENDED, PRICE, QUANTITY, OTHER = "new", "ended", "price", "quantity", "other"


def units_per_year(interval: str, count: int = 1, unit: str = "month") -> Fraction:
    """How often a price per ``interval`` is charged in a year.

    :param count: length of a billing period, for a price per ``period``, in ``unit``
    :param unit: ``month``, ``week`` or ``day``
    """
    if interval == "period":
        return Fraction(UNITS[unit], count)
    return Fraction(UNITS[interval])


def per_year(price: Fraction, interval: str, count: int = 1, unit: str = "month") -> Fraction:
    """What ``price`` per ``interval`` comes to in a year, exact."""
    return price * units_per_year(interval, count, unit)


def per_month(price: Fraction, interval: str, count: int = 1, unit: str = "month") -> Fraction:
    """What ``price`` per ``interval`` comes to in a month, exact: a twelfth of the year."""
    return per_year(price, interval, count, unit) / 12


class Standing(NamedTuple):
    """What a price line charges per month on one day.

    :param amount: to the coin
    :param quantity: how many pieces, None where several lines are added up
    :param price: all that the price of one piece depends on: equal where it is the same
    """

    amount: Fraction
    quantity: Fraction | None = None
    price: Hashable = None


def combine(standings: Iterable[Standing]) -> Standing | None:
    """What lines that replaced each other charge together on one day; None: nothing."""
    standings = list(standings)
    if len(standings) < 2:
        return standings[0] if standings else None
    return Standing(sum((standing.amount for standing in standings), Fraction()))


def movements(
    before: Standing | None, after: Standing | None, coin: Fraction
) -> dict[str, Fraction]:
    """The movements from ``before`` to ``after``, by kind; those of 0 are left out.

    Quantity: the further pieces at the old price; price: the rest.
    """
    if before is None or after is None:
        kind = NEW if before is None else ENDED
        found = {kind: _amount(after) - _amount(before)}
    else:
        found = _changes(before, after, coin)
    return {kind: amount for kind, amount in found.items() if amount}


def _amount(standing: Standing | None) -> Fraction:
    return standing.amount if standing else Fraction()


def _changes(before: Standing, after: Standing, coin: Fraction) -> dict[str, Fraction]:
    difference = after.amount - before.amount
    if before.quantity is None or after.quantity is None:
        return {OTHER: difference}
    if before.quantity == after.quantity:
        return {PRICE: difference}
    if before.price == after.price:
        return {QUANTITY: difference}
    if not before.quantity:
        return {OTHER: difference}
    further = before.amount * after.quantity / before.quantity - before.amount
    further = round_half_up(further, coin)
    return {QUANTITY: further, PRICE: difference - further}
