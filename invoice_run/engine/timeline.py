"""A strip of months for each price: how days and money fall into calendar months."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from fractions import Fraction

from .ledger import Share
from .periods import DAY, Grid, Span, round_half_up

#: What a month of a price can be, the one that names the month first.
STATES = ("paused", "open", "run", "credited", "invoiced", "elsewhere", "future")


def months(first: date, last: date) -> list[Span]:
    """The calendar months that ``first`` … ``last`` (inclusive) touch, whole."""
    grid = Grid(date(first.year, 1, 1))
    return [grid.period(index) for index in range(grid.index(first), grid.index(last) + 1)]


def cut(span: Span, first: date | None, last: date | None) -> Iterator[Span]:
    """The parts of ``span`` by calendar month, of ``first`` … ``last`` (inclusive) only."""
    part = span.clip(first, last)
    if part:
        yield from Grid(date(part.date_from.year, 1, 1)).cut(part)


def minus(span: Span, others: Iterable[Span]) -> list[Span]:
    """The days of ``span`` that none of ``others`` covers."""
    spans, day = [], span.date_from
    for other in sorted(others):
        if other.date_from > day:
            spans += filter(None, [Span(day, other.date_from - DAY).clip(*span)])
        day = max(day, other.date_to + DAY)
    return spans + ([Span(day, span.date_to)] if day <= span.date_to else [])


def part_of(amount: Fraction, share: Share, part: Span, coin: Fraction) -> Fraction:
    """Return the share of ``amount`` for the days of ``part``: shares add up to it, to the coin.

    :param share: which share of it is for the days up to a day
    """
    until = round_half_up(amount * share(part.date_to), coin)
    return until - round_half_up(amount * share(part.date_from - DAY), coin)


def name_month(states: Iterable[str]) -> str:
    """The one of these states that a month shows: that which needs attention first."""
    found = set(states)
    return next((state for state in STATES if state in found), "none")
