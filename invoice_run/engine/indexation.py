"""Prices that follow a published index: pure functions, no ORM, no I/O.

How to use
----------
A :class:`Clause` says what was agreed, a :class:`Series` what was published. :func:`due_dates` says
on which days a price is adjusted, :func:`adjust` how much it is then.

How it works
------------
All factors are exact fractions of the published figures, and a price is rounded once, at the end:
1,000.00 × 111.56 ÷ 110.09 is 1,013.35 and not 1,000.00 × 1.0134. An index that is published on
another base (2013 = 100, later 2020 = 100) is brought to one by the published factor between the
two. A value that is not published is an error that names it, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from .periods import ONE, Grid, round_half_up

#: How the new price is calculated: from the price agreed at first, or from the last one.
BASE, CHAIN = "base", "chain"


class NotPublished(ValueError):
    """The value of a month is not known.

    :param month: first day of the month
    """

    def __init__(self, month: date):
        self.month = month
        super().__init__(f"The index of {month:%m/%Y} has not been published.")


class NoFactor(ValueError):
    """Two values have different base years, and nothing published leads from one to the other.

    :param base: base year of the earlier value
    :param other: base year of the later value
    """

    def __init__(self, base: int, other: int):
        self.base, self.other = base, other
        super().__init__(f"There is no factor from base {base} to base {other}.")


class Value(NamedTuple):
    """A published value.

    :param number: as published, e.g. 111.56
    :param base: the year in which the index is 100; 0: never changed
    """

    number: Fraction
    base: int = 0


@dataclass(frozen=True)
class Series:
    """What was published of one index.

    :param values: {first day of the month: {base year: :class:`Value`}}
    :param factors: {(base year, later base year): by which a value on the first is multiplied to be
        on the second}, as published
    """

    values: Mapping[date, Mapping[int, Value]]
    factors: Mapping[tuple[int, int], Fraction] = field(default_factory=dict)

    def on_one_base(self, month: date, later: date) -> tuple[Value, Value]:
        """The values of two months on the same base: one that both have, else linked by factors.

        Where both months have several bases in common, the newest one is taken.

        :raises NotPublished: one of the months has no value
        :raises NoFactor: no factor leads from one base to the other
        """
        old, new = self._of_month(month), self._of_month(later)
        if shared := set(old) & set(new):
            return old[max(shared)], new[max(shared)]
        start, end = old[max(old)], new[max(new)]
        return self._linked(start, end.base), end

    def _of_month(self, month: date) -> Mapping[int, Value]:
        found = self.values.get(month.replace(day=1))
        if not found:
            raise NotPublished(month.replace(day=1))
        return found

    def _linked(self, value: Value, base: int) -> Value:
        """``value`` on another base, over as many published factors as it takes."""
        reached, todo = {value.base: ONE}, [value.base]
        while todo:
            here = todo.pop(0)
            for (one, other), factor in self.factors.items():
                for start, end, step in ((one, other, factor), (other, one, 1 / factor)):
                    if start == here and end not in reached:
                        reached[end] = reached[here] * step
                        todo.append(end)
        if base not in reached:
            raise NoFactor(value.base, base)
        return Value(value.number * reached[base], base)


@dataclass(frozen=True)
class Clause:
    """What was agreed.

    :param first_date: first day on which the price is adjusted
    :param base_month: month whose index belongs to the price agreed at first
    :param formula: ``base``: agreed price × new ÷ base index, as in Belgium; ``chain``: last
        price × new ÷ the index at that time, as in France
    :param lag_months: how many months before the day of the adjustment the new index is of
    :param every_months: months from one adjustment to the next
    :param threshold: change of the index, in percent either way, below which nothing happens;
        until it is reached the change adds up
    :param share: percent of the change that is passed on
    :param floor: the price changes by at least this percentage (0: it is never lowered); None: none
    :param cap: the price changes by at most this percentage at a time; None: no limit
    :param rounding: what the new price is rounded to, e.g. 0.01 or 0.05; 0: not at all
    :raises ValueError: figures that contradict each other
    """

    first_date: date
    base_month: date
    formula: str = BASE
    lag_months: int = 1
    every_months: int = 12
    threshold: Fraction = Fraction()
    share: Fraction = Fraction(100)
    floor: Fraction | None = None
    cap: Fraction | None = None
    rounding: Fraction = Fraction(1, 100)

    def __post_init__(self):
        if self.every_months < 1 or self.lag_months < 0:
            raise ValueError(
                "A price is adjusted every month or less often, without looking ahead."
            )
        if self.threshold < 0 or self.share < 0 or self.rounding < 0:
            raise ValueError("Threshold, share and rounding of an index clause are not negative.")
        if None not in (self.floor, self.cap) and self.floor > self.cap:
            raise ValueError("The least change of a price is above the greatest one.")

    def month_of(self, day: date) -> date:
        """The month whose index the adjustment on ``day`` takes."""
        return Grid(day.replace(day=1)).start(-self.lag_months)


class Standing(NamedTuple):
    """What was applied last.

    :param price: the price of one unit that is valid
    :param month: the month whose index belongs to it
    """

    price: Fraction
    month: date


class Adjustment(NamedTuple):
    """What an adjustment makes of a price.

    :param price: from then on, rounded
    :param month: the month whose index was looked at
    :param old: the index compared with, on the base of ``new``
    :param new: the index of ``month``
    :param is_applied: False: the threshold is not reached, the price stays
    """

    price: Fraction
    month: date
    old: Value
    new: Value
    is_applied: bool


def due_dates(clause: Clause, first: date, last: date | None) -> Iterator[date]:
    """The days of adjustments from ``first`` to ``last`` (inclusive; None: without end)."""
    grid = Grid(clause.first_date, clause.every_months)
    index = max(0, grid.index(first))
    if grid.start(index) < first:
        index += 1
    while last is None or grid.start(index) <= last:
        yield grid.start(index)
        index += 1


def adjust(
    clause: Clause, series: Series, base_price: Fraction, last: Standing, day: date
) -> Adjustment:
    """The price on ``day``, and how it came about.

    Both formulas compare with the last index applied to see whether the threshold is reached, and
    both bound the change against the price that is valid.

    :param base_price: the price agreed at first
    :param last: what was applied last; before the first adjustment the price that is valid, and the
        base month
    :raises NotPublished: an index that is needed is not known
    :raises NoFactor: a base year was changed and no factor is known
    """
    month = clause.month_of(day)
    before, now = series.on_one_base(last.month, month)
    if abs(now.number - before.number) * 100 < clause.threshold * before.number:
        return Adjustment(last.price, month, before, now, False)
    is_chained = clause.formula == CHAIN and last.month != clause.base_month
    start, price = last[::-1] if is_chained else (clause.base_month, base_price)
    old, new = series.on_one_base(start, month)
    ratio = 1 + (new.number / old.number - 1) * clause.share / 100
    price = _bounded(price * ratio, last.price, clause)
    rounded = round_half_up(price, clause.rounding) if clause.rounding else price
    return Adjustment(rounded, month, old, new, True)


def _bounded(price: Fraction, last: Fraction, clause: Clause) -> Fraction:
    """``price`` within the agreed limits of its change from ``last``."""
    if clause.floor is not None:
        price = max(price, last * (1 + clause.floor / 100))
    if clause.cap is not None:
        price = min(price, last * (1 + clause.cap / 100))
    return price
