"""What a change of prices does, as plain values: no ORM, no I/O.

A change is of one price line, from one day on. Screens, letters, notes and the code that applies it
all read it from here; ``billing.price.change`` (``models/contract/``) calculates and
applies it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from .periods import exact

#: Why a line is left out of a change.
ENDED = "ended"  # it ends before the change
RECENT = "recent"  # its price is not old enough
RAISED = "raised"  # its price holds a percentage from that day on already
BILLED = "billed"  # all of its days are invoiced or claimed: nothing would be left of it
EMPTY = "empty"  # nothing would be left of it, and nothing was invoiced
TARIFF = "tariff"  # its price is that of a tariff
NO_TARIFF = "no_tariff"  # it has a price of its own
SAME_TARIFF = "same_tariff"  # it has that tariff already
FIXED = "fixed"  # it is not by usage: it has no minimum, maximum or commitment
NO_BOUND = "no_bound"  # another line of its contract has the minimum, maximum or commitment
SHARED = "shared"  # it shares bands: it has no minimum or maximum of its own
METERED = "metered"  # its quantity is what is used
BOUNDS = "bounds"  # it has no price, but the minimum or maximum of the contract


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to be changed on whatever lines are chosen.

    :param kind: ``percentage``, ``price``, ``quantity``, ``discount``, ``product``, ``tariff``,
        ``bound`` or ``end``
    :param date: first day of the change, inclusive
    :param percentage: by which prices are raised; negative: lowered
    :param step: what raised prices are rounded to, see :func:`periods.raise_price`
    :param price_unit: the new price
    :param quantity: the new quantity
    :param discount: the new discount, in percent
    :param product_id: the new product
    :param tariff_id: the new tariff
    :param bounds: the new minimum, maximum or commitment, as values of the price line
    :param is_alone: one line alone was chosen: it gets them, whatever others of its contract have
    :param older_than: only lines whose price counts since before this day; None: all
    """

    kind: str
    date: date
    percentage: float = 0.0
    step: float = 0.0
    price_unit: float = 0.0
    quantity: float = 0.0
    discount: float = 0.0
    product_id: int | None = None
    tariff_id: int | None = None
    bounds: dict | None = None
    is_alone: bool = False
    older_than: date | None = None


class Price(NamedTuple):
    """One side of a change.

    :param quantity: pieces
    :param price_unit: price of a piece for one interval of the line, before discount
    :param month: what the line comes to in a month, untaxed, after discount, to the coin
    :param year: the same for a year
    """

    quantity: float
    price_unit: float
    month: float
    year: float


#: The new side of a line that ends.
NOTHING = Price(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class PriceChange:
    """What happens to one price line.

    :param line_id: the price line
    :param contract_id: its contract
    :param currency_id: currency of all amounts
    :param date_from: first day of the new price, inclusive
    :param old: the price until then
    :param new: the price from then on
    :param vals: values in which the new line differs; None: the line ends
    :param old_vals: what the old line had instead of ``vals``, where these are how it is rated
    :param reason: why it is left out, one of the constants above; empty: it is changed
    :param in_place: whether the line itself is overwritten: nothing of it is invoiced, and none of
        its days is before the change
    :param is_billed: whether days from ``date_from`` on are invoiced or claimed by a run
    :param credit: what the next run proposes to credit for days from ``date_from`` on, positive,
        with the taxes that the price includes; what is charged for them anew is not in it
    """

    line_id: int
    contract_id: int
    currency_id: int
    date_from: date
    old: Price
    new: Price
    vals: dict | None = None
    old_vals: dict = field(default_factory=dict)
    reason: str = ""
    in_place: bool = False
    is_billed: bool = False
    credit: float = 0.0


class Total(NamedTuple):
    """What changes come to together: exact, in one currency."""

    lines: int
    contracts: int
    old_month: Fraction
    new_month: Fraction
    old_year: Fraction
    new_year: Fraction
    credit: Fraction


def total(
    changes: Iterable[PriceChange], rates: dict[int, Fraction], followers: Container[int] = ()
) -> Total:
    """What is changed, added up; lines that are left out do not count.

    :param rates: what one unit of each currency (by id) is worth in that of the total
    :param followers: ids of lines that take the place of another changed line later on: of them
        only credits are added, prices of one and the same thing count once
    """
    changed = [change for change in changes if not change.reason]

    def add(figure, of=changed):
        return sum((figure(one) * rates[one.currency_id] for one in of), Fraction())

    first = [change for change in changed if change.line_id not in followers]

    return Total(
        lines=len(changed),
        contracts=len({change.contract_id for change in changed}),
        old_month=add(lambda one: exact(one.old.month), first),
        new_month=add(lambda one: exact(one.new.month), first),
        old_year=add(lambda one: exact(one.old.year), first),
        new_year=add(lambda one: exact(one.new.year), first),
        credit=add(lambda one: exact(one.credit)),
    )
