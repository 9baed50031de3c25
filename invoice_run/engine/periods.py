"""Date arithmetic and proration of recurring charges: pure functions, no ORM, no I/O.

How to use
----------
Describe how a contract is invoiced with :class:`Terms`, then ask

* :func:`due_spans`: which open days of a price line are to be invoiced up to a target
  date, as a list of inclusive spans in order;
* :func:`charge`: what such a span costs, to the smallest coin;
* :func:`next_invoicing_date`: from which target date on there is something to invoice.

How it works
------------
Every boundary is ``anchor + k × period`` computed from the anchor, never from the
previous boundary, so that a grid that starts on the 31st always comes back to the 31st.
All spans are inclusive at both ends.

Amounts are exact fractions. ``f(day)`` is the amount from the later of the start of the
price unit and the first day of the line up to and including that day, never more than the
whole unit and exactly the whole unit when it is complete. The amount of a span is
``round f(last day) − round f(first day − 1)``, summed over the units that it touches, so
the parts of a unit add up to the whole unit to the smallest coin, however they are cut.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import NamedTuple

DAY = timedelta(days=1)
ONE = Fraction(1)

#: Months in one unit of a price. Prices per day, week, billing period and one-off
#: charges are not counted in months.
INTERVAL_MONTHS = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}


class OpenEnded(ValueError):
    """A contract without end date is to be invoiced until its end."""


class Span(NamedTuple):
    """Days from ``date_from`` to ``date_to``, both inclusive."""

    date_from: date
    date_to: date

    @property
    def days(self) -> int:
        """Number of days, including both ends."""
        return (self.date_to - self.date_from).days + 1

    def clip(self, first: date | None, last: date | None) -> Span | None:
        """The part within ``first`` … ``last`` (inclusive, None = unbounded), if any."""
        date_from = max(self.date_from, first) if first else self.date_from
        date_to = min(self.date_to, last) if last else self.date_to
        return Span(date_from, date_to) if date_from <= date_to else None


class Charge(NamedTuple):
    """What a span costs: ``units`` of the price, and ``amount``, rounded to the coin."""

    units: Fraction
    amount: Fraction


#: Days in one unit of a grid that is counted in days.
UNIT_DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True)
class Grid:
    """Consecutive periods of ``count`` months, weeks or days; period 0 starts on ``anchor``.

    :param day: day of the month on which periods of months start, the last one of a shorter
        month: 31 is the end of each month; 0: that of ``anchor``
    """

    anchor: date
    count: int = 1
    unit: str = "month"
    day: int = 0

    def __post_init__(self):
        if self.count < 1:
            raise ValueError("A billing period must be at least one month, week or day long.")

    @cached_property
    def _days(self) -> int:
        # length of a period; 0: counted in months
        return UNIT_DAYS.get(self.unit, 0) * self.count

    @cached_property
    def _months(self) -> int:
        # months since year 0; integers, because relativedelta costs most of a 60-year contract
        return self.anchor.year * 12 + self.anchor.month - 1

    def start(self, index: int) -> date:
        """First day of period ``index`` (negative before the anchor)."""
        if self._days:
            return self.anchor + timedelta(days=index * self._days)
        year, month = divmod(self._months + index * self.count, 12)
        day = self.day or self.anchor.day
        if day > 28:
            day = min(day, monthrange(year, month + 1)[1])
        return date(year, month + 1, day)

    def period(self, index: int) -> Span:
        """The days of period ``index``."""
        return Span(self.start(index), self.start(index + 1) - DAY)

    def index(self, day: date) -> int:
        """Index of the period that contains ``day``."""
        if self._days:
            return (day - self.anchor).days // self._days
        months = (day.year - self.anchor.year) * 12 + day.month - self.anchor.month
        index = months // self.count
        return index if self.start(index) <= day else index - 1

    def cut(self, span: Span) -> Iterator[Span]:
        """The parts of ``span`` that fall into each period, in order."""
        for index in range(self.index(span.date_from), self.index(span.date_to) + 1):
            yield self.period(index).clip(*span)


def grid_anchor(
    start: date, count: int, unit: str, anchor: str, day: int = 1, month: int = 0
) -> date:
    """First day of period 0 of a contract that starts on ``start``.

    ``anchor`` is ``start`` (the contract's own start), ``calendar``: the first of that month,
    of its quarter for 3 months, half-year for 6, year for 12; the Monday for weeks;
    ``month_end``: the latest end of a month, or ``day``: the latest ``day`` of a month, or of
    ``month`` (1 to 12), where that is given. Periods of days always begin with the contract;
    those of weeks know no day of a month.
    """
    if anchor == "start" or unit == "day":
        return start
    if anchor in ("month_end", "day"):
        latest = Grid(date(start.year - 1, month or 1, 1), 12 if month else 1, "month", day)
        if unit == "week":
            return start
        grid = Grid(latest.start(latest.index(start)), count, "month", day)
        return grid.start(grid.index(start))
    if unit == "week":
        return start - timedelta(days=start.weekday())
    size = count if count in (3, 6, 12) else 1
    return date(start.year, (start.month - 1) // size * size + 1, 1)


@dataclass(frozen=True)
class Terms:
    """How one contract is invoiced.

    :param start: first day of the contract
    :param end: last day (inclusive), None = open-ended
    :param mode: ``periodic``, ``date`` (to ``until``) or ``end`` (to the end date)
    :param until: last day to invoice in mode ``date`` (inclusive)
    :param count: length of a billing period, in ``unit`` (``month``, ``week`` or ``day``)
    :param prebilling: periods invoiced ahead of the one that contains the target date
    :param timing: ``advance``, or ``arrears``: only periods that are over
    :param anchor: ``start``, ``calendar``, ``month_end`` or ``day``, see :func:`grid_anchor`
    :param anchor_day: day of the month with the anchor ``day``, 1 to 31
    :param anchor_month: month in which the year begins with the anchor ``day``; 0: any
    :param first_due: from which day a first period that the grid cuts is due: ``grid`` (the
        first day that it would have) or ``start`` (that of the contract)
    :param proration: how a cut month is counted: ``actual``, ``thirty``, ``thirty_360``
        or ``none``; or a cut unit of the price, whatever its months: ``days_of_period`` (its
        days by the days of the whole unit) or ``none_period`` (in full)
    :param split: cut the spans of ``date`` and ``end`` on the period grid
    :raises ValueError: period shorter than one unit, negative pre-billing, end before start,
        no such day or month
    """

    start: date
    end: date | None = None
    mode: str = "periodic"
    until: date | None = None
    count: int = 1
    unit: str = "month"
    prebilling: int = 0
    timing: str = "advance"
    anchor: str = "start"
    proration: str = "actual"
    split: bool = False
    anchor_day: int = 1
    anchor_month: int = 0
    first_due: str = "grid"

    def __post_init__(self):
        if not (1 <= self.anchor_day <= 31 and 0 <= self.anchor_month <= 12):
            raise ValueError("Periods begin on a day from 1 to 31, of a month from 1 to 12.")
        if self.prebilling < 0:
            raise ValueError("The number of periods invoiced in advance cannot be negative.")
        if self.end and self.end < self.start:
            raise ValueError("The end date is before the start date.")
        Grid(self.start, self.count, self.unit)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # they are part of many keys
        return hash(tuple(getattr(self, name) for name in self.__dataclass_fields__))

    @cached_property
    def grid(self) -> Grid:
        """The billing periods of the contract."""
        return self._get_grid(self.count, self.unit)

    def _get_grid(self, count: int, unit: str) -> Grid:
        day = {"month_end": 31, "day": self.anchor_day}.get(self.anchor, 0)
        month = self.anchor_month if self.anchor == "day" else 0
        anchor = grid_anchor(self.start, count, unit, self.anchor, day, month)
        return Grid(anchor, count, unit, day)

    def period_begin(self, index: int) -> date:
        """The day from which period ``index`` of the grid is the present one.

        Its first day; of the contract's first period, where it says so, the contract's.
        """
        begin = self.grid.start(index)
        if self.first_due == "start" and begin < self.start < self.grid.start(index + 1):
            return self.start
        return begin

    def present(self, target: date) -> int:
        """Index of the period that is the present one on ``target``."""
        index = self.grid.index(target)
        return index if self.period_begin(index) <= target else index - 1

    def unit_grid(self, interval: str) -> Grid:
        """The units in which a price per ``interval`` is counted and rounded.

        Prices per day and week are rounded once per billing period.
        """
        months = INTERVAL_MONTHS.get(interval)
        if not months:
            return self.grid
        if months not in self._unit_grids:
            self._unit_grids[months] = self._get_grid(months, "month")
        return self._unit_grids[months]

    @cached_property
    def _unit_grids(self) -> dict[int, Grid]:
        return {}


# ---------------------------------------------------------------------------
# What is due
# ---------------------------------------------------------------------------


def open_spans(first: date, last: date, taken: Iterable[Span]) -> list[Span]:
    """The days of ``first`` … ``last`` (inclusive) that no span of ``taken`` covers."""
    spans, day = [], first
    for span in sorted(taken):
        if span.date_from > last:
            break
        if span.date_from > day:
            spans.append(Span(day, span.date_from - DAY))
        day = max(day, span.date_to + DAY)
    if day <= last:
        spans.append(Span(day, last))
    return spans


def union(spans: Iterable[Span]) -> list[Span]:
    """The days that any of ``spans`` covers, in order; adjoining ones are one span."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.date_from <= merged[-1].date_to + DAY:
            merged[-1] = Span(merged[-1].date_from, max(merged[-1].date_to, span.date_to))
        else:
            merged.append(span)
    return merged


def first_open_day(first: date, last: date | None, taken: Iterable[Span]) -> date | None:
    """The first day of a line that is not invoiced yet; None when nothing is left.

    :param last: last day of the line, None = open-ended
    """
    day = first
    for span in sorted(taken):
        if span.date_from > day:
            break
        day = max(day, span.date_to + DAY)
    return day if last is None or day <= last else None


def billing_horizon(terms: Terms, target: date) -> date | None:
    """Last day (inclusive) that a run with this target date invoices; None = nothing.

    Periodic: the end of the period that contains the target date, counted on the grid also
    before the contract starts (see :meth:`Terms.present`), plus the pre-billed ones; in arrears
    the end of the last period that is over on the target date (a period cut by the end of the
    contract is over on that day).

    :raises OpenEnded: mode ``end`` and the contract has no end date
    """
    if terms.mode == "end":
        if terms.end is None:
            raise OpenEnded("The contract has no end date.")
        return terms.end
    if terms.mode == "date":
        return min(filter(None, (terms.until, terms.end)), default=None)
    grid = terms.grid
    index = grid.index(target)
    if terms.timing == "advance":
        last = grid.period(terms.present(target) + terms.prebilling).date_to
    else:
        over = min(filter(None, (grid.period(index).date_to, terms.end))) <= target
        last = grid.period(index if over else index - 1).date_to
    return min(last, terms.end) if terms.end else last


def due_spans(
    terms: Terms,
    first: date,
    last: date | None,
    taken: Iterable[Span],
    target: date,
    skip_before: date | None = None,
) -> list[Span]:
    """The open days of one price line that are due, one span per invoice period, in order.

    :param first: first day of the line that we invoice (its start, or the day after what was
        invoiced elsewhere)
    :param last: last day of the line (inclusive), None = open-ended
    :param taken: spans that are claimed already
    :param target: invoice up to the period that contains this day
    :param skip_before: leave out periods that end before this day, and days before it where
        the mode does not invoice by period
    :raises OpenEnded: mode ``end`` and the contract has no end date
    """
    horizon = billing_horizon(terms, target)
    if horizon is None or (terms.mode != "periodic" and first > target):
        return []
    horizon = min(horizon, last) if last else horizon
    by_period = terms.mode == "periodic" or terms.split
    if skip_before and not by_period:
        first = max(first, skip_before)
    spans = open_spans(first, horizon, taken) if first <= horizon else []
    if terms.mode != "periodic" and spans and spans[0].date_from > target:
        return []
    if by_period:
        spans = [part for span in spans for part in terms.grid.cut(span)]
    return [span for span in spans if not skip_before or span.date_to >= skip_before]


def once_period(terms: Terms, day: date, target: date) -> Span | None:
    """The period with which a one-off charge of ``day`` is due, None while it is not due."""
    horizon = billing_horizon(terms, target)
    if horizon is None or day > horizon:
        return None
    if terms.mode != "periodic":
        return Span(day, day) if day <= target else None
    return terms.grid.period(terms.grid.index(day)).clip(terms.start, terms.end)


def next_invoicing_date(terms: Terms, day: date | None) -> date | None:
    """Earliest target date at which something would be proposed.

    :param day: first open day of the contract's lines, None = nothing is left
    """
    if day is None or (terms.end and day > terms.end):
        return None
    if terms.mode == "date":
        last = billing_horizon(terms, day)
        return day if last and day <= last else None
    if terms.mode == "end":
        return day
    index = terms.grid.index(day)
    if terms.timing == "advance":
        return terms.period_begin(index - terms.prebilling)
    return min(filter(None, (terms.grid.period(index).date_to, terms.end)))


# ---------------------------------------------------------------------------
# What it costs
# ---------------------------------------------------------------------------


@lru_cache(maxsize=10_000, typed=True)
def exact(number) -> Fraction:
    """The decimal number that a float, int, Decimal or str shows, as an exact fraction."""
    return Fraction(str(number))


def round_half_up(value: Fraction, coin: Fraction) -> Fraction:
    """``value`` rounded to the smallest coin, halves away from zero (as Odoo rounds currencies)."""
    quotient = abs(value) / coin
    coins = (2 * quotient.numerator + quotient.denominator) // (2 * quotient.denominator)
    return coins * coin if value >= 0 else -coins * coin


@lru_cache(maxsize=10_000, typed=True)
def net_price(quantity, price_unit, discount=0) -> Fraction:
    """Price of one unit of time: quantity × unit price after ``discount`` percent."""
    return exact(quantity) * exact(price_unit) * (ONE - exact(discount) / 100)


def raise_price(price, percentage, step=None, coin=None) -> Fraction:
    """``price`` raised by ``percentage``, exact unless it is to be rounded.

    :param step: round to multiples of this, e.g. ``0.05``; None or 0: to the coin where the price
        is a multiple of it itself, otherwise not at all (0.0345 and 3 % make 0.035535)
    :param coin: smallest coin of the currency
    """
    price = exact(price)
    raised = price * (1 + exact(percentage) / 100)
    step = exact(step or 0) or (exact(coin or 0) if coin and not price % exact(coin) else 0)
    return round_half_up(raised, step) if step else raised


def days_360(first: date, until: date) -> int:
    """Days from ``first`` to ``until`` (exclusive), strict 30/360: a 31st counts as 30.

    Source: 30E/360, ISDA 2006 section 4.16(g).
    """
    months = (until.year - first.year) * 12 + until.month - first.month
    return months * 30 + min(until.day, 30) - min(first.day, 30)


def _month_share(month: Span, part: Span, proration: str) -> Fraction:
    """Share of the grid month ``month`` that ``part`` of it costs, at most 1."""
    if part == month or proration == "none":
        return ONE
    if proration == "actual":
        return Fraction(part.days, month.days)
    if proration == "thirty":
        return min(Fraction(part.days, 30), ONE)
    return min(Fraction(days_360(part.date_from, part.date_to + DAY), 30), ONE)


def _unit_share(unit: Span, part: Span, grid: Grid, proration: str) -> Fraction:
    """Share of one price unit of ``grid`` that ``part`` of it costs, at most 1."""
    if part == unit or proration == "none_period":
        return ONE
    if grid.unit != "month":
        return ONE if proration == "none" else Fraction(part.days, unit.days)
    if proration == "days_of_period":
        return Fraction(part.days, unit.days)
    months = Grid(grid.anchor, 1, "month", grid.day)
    shares = (
        _month_share(months.period(months.index(cut.date_from)), cut, proration)
        for cut in months.cut(part)
    )
    return sum(shares, Fraction()) / grid.count


def _share(terms: Terms, interval: str, grid: Grid, unit: Span, part: Span) -> Fraction:
    if interval == "day":
        return Fraction(part.days)
    if interval == "week":
        return Fraction(part.days, 7)
    return _unit_share(unit, part, grid, terms.proration)


def is_one_unit(terms: Terms, interval: str, first: date, span: Span) -> bool:
    """Whether ``span`` is one whole unit of the price, so that it costs just that.

    :param interval: see :func:`charge`
    :param first: first day of the line, see :func:`charge`
    """
    if interval == "once":
        return True
    if interval in ("day", "week") or first > span.date_from:
        return False
    grid = terms.unit_grid(interval)
    return grid.period(grid.index(span.date_from)) == span


def charge(
    terms: Terms, interval: str, first: date, span: Span, price: Fraction, coin: Fraction
) -> Charge:
    """What ``span`` of a line costs.

    :param interval: the time that the price is for: ``day``, ``week``, ``month``,
        ``quarter``, ``half_year``, ``year``, ``period`` (one billing period, whatever its
        length) or ``once``
    :param first: first day of the line; a month begun before it is not counted. Of a line that
        replaces another one without a gap: the first day of that one, so that the two never
        cost more than one unit (30 days: 15 + 16 days; "none": the begun month is the first's)
    :param price: net price of one unit, see :func:`net_price`
    :param coin: smallest coin of the currency, e.g. ``Fraction("0.01")``
    """
    if interval == "once":
        return Charge(ONE, round_half_up(price, coin))
    grid = terms.unit_grid(interval)
    units = amount = Fraction()
    whole = round_half_up(price, coin)
    for index in range(grid.index(span.date_from), grid.index(span.date_to) + 1):
        unit = grid.period(index)
        part = unit.clip(*span)
        begin = max(unit.date_from, first)
        if part == unit and begin == unit.date_from and interval not in ("day", "week"):
            units, amount = units + ONE, amount + whole
            continue
        after = _share(terms, interval, grid, unit, Span(begin, part.date_to))
        before = Fraction()
        if part.date_from > begin:
            before = _share(terms, interval, grid, unit, Span(begin, part.date_from - DAY))
        units += after - before
        amount += round_half_up(after * price, coin) - round_half_up(before * price, coin)
    return Charge(units, amount)
