"""Prices that change on days agreed beforehand: pure functions, no ORM, no I/O.

A price line has a price from its first day on, and any number of further ones, each from a day
on until the next one. What is invoiced is cut where the price changes, so that each part has one
price; :func:`periods.charge` counts the parts of a unit together, so they never cost more than one
unit of time, however often the price changes within it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from .periods import DAY, Grid, Span, net_price


class Price(NamedTuple):
    """What one unit of time costs from a day on.

    :param date_from: first day, inclusive; None: since ever
    :param price_unit: price of a piece
    :param quantity: pieces
    :param discount: in percent
    """

    date_from: date | None
    price_unit: float
    quantity: float = 1.0
    discount: float = 0.0

    def net(self) -> Fraction:
        """The price of the whole quantity after discount, exact."""
        return net_price(self.quantity, self.price_unit, self.discount)


def in_order(prices: Iterable[Price]) -> list[Price]:
    """``prices`` by their first days; of several from one day the last one counts."""
    by_day = {price.date_from or date.min: price for price in prices}
    return [by_day[day] for day in sorted(by_day)]


def price_on(prices: Sequence[Price], day: date) -> Price:
    """The price that is valid on ``day``.

    :param prices: in order, see :func:`in_order`; the first one counts since ever
    """
    valid = prices[0]
    for price in prices[1:]:
        if price.date_from > day:
            break
        valid = price
    return valid


def cut(span: Span, prices: Sequence[Price]) -> list[Span]:
    """The parts of ``span`` in each of which one price is valid, in order.

    :param prices: in order, see :func:`in_order`
    """
    parts, first = [], span.date_from
    for price in prices[1:]:
        if first < price.date_from <= span.date_to:
            parts.append(Span(first, price.date_from - DAY))
            first = price.date_from
    return [*parts, Span(first, span.date_to)]


def periods_end(grid: Grid, first: date, count: int) -> date:
    """Last day of ``count`` billing periods from ``first`` on, for a discount that ends.

    A first period that the grid cuts counts as one. 1: once.

    :raises ValueError: less than one period
    """
    if count < 1:
        raise ValueError("A discount lasts at least one billing period.")
    return grid.period(grid.index(first) + count - 1).date_to
