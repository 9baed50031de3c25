"""What a quantity costs by a tariff: pure functions, no ORM, no I/O.

How to use
----------
Describe the price list with :class:`Tariff` (:class:`Band` for each of its lines), then ask

* :func:`rate`: what a quantity costs, exact;
* :func:`rate_together`: what several price lines cost whose quantities enter the bands together,
  and :func:`split`: who of them is charged how much of it;
* :func:`get_slices`: the same, cut into the parts that people read ("10 × 1.00, then 1.50 …");
* :func:`bound`: a minimum and a maximum per period, in proportion to the time;
* :func:`true_up`: what is missing of a commitment at the end of its term.

How it works
------------
Bands are half-open: a band holds the quantities above the ``up_to`` of the one before it, up to
and including its own. So 10.5 between a band up to 10 and one up to 20 has a price, whatever the
accuracy of a meter. The last band has no limit.

All results are exact fractions. The caller rounds once, at the end, what is due for a period as a
whole (:func:`get_due`), so what several invoices charge for one period adds up to its rating.

A quantity that was measured below zero is rated as zero: a period never pays the customer. What is
credited belongs to the period in which it was charged, which is then rated anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from .periods import round_half_up

ZERO = Fraction()

FLAT, GRADUATED, VOLUME = "flat", "graduated", "volume"
PACKAGE, STAIRSTEP, PERCENTAGE = "package", "stairstep", "percentage"
#: Models whose bands are steps of the quantity; the others have one band without limit.
STEPPED = (GRADUATED, VOLUME, STAIRSTEP)
MODELS = (FLAT, GRADUATED, VOLUME, PACKAGE, STAIRSTEP, PERCENTAGE)

#: How the usage items of a period become the one quantity that is rated.
SUM, MAX, LAST, COUNT, COUNT_DISTINCT = "sum", "max", "last", "count", "count_distinct"


class TariffError(ValueError):
    """A tariff that leaves a quantity without a price, or gives it two.

    :ivar code: ``model``, ``no_band``, ``one_band``, ``order``, ``open_end``, ``negative`` or
        ``package``: what is wrong, for a message in the user's language
    """

    def __init__(self, code: str):
        self.code = code
        super().__init__(code)


class Band(NamedTuple):
    """The quantities above the band before it, up to and including ``up_to``.

    :param up_to: None = without limit
    :param price_unit: of one unit; of a package with that model
    :param flat_fee: once, as soon as the band is entered; with ``percentage`` for each item
    :param rate: percent of the value, with ``percentage``
    """

    up_to: Fraction | None = None
    price_unit: Fraction = ZERO
    flat_fee: Fraction = ZERO
    rate: Fraction = ZERO


class Measure(NamedTuple):
    """What was measured in one period.

    :param quantity: what the price depends on; with ``percentage`` the value, in currency
    :param count: how many items there are behind it
    """

    quantity: Fraction
    count: int = 0


class Slice(NamedTuple):
    """A part of a quantity that has one price.

    :param quantity: how many units, packages, or how much value; 0 for a fee alone
    :param price: of one of them; of a value the share that is charged
    :param fee: what comes on top
    """

    quantity: Fraction
    price: Fraction
    fee: Fraction = ZERO

    @property
    def amount(self) -> Fraction:
        """What this part costs, exact."""
        return self.quantity * self.price + self.fee


@dataclass(frozen=True)
class Tariff:
    """A price that depends on the quantity.

    :param model: one of ``MODELS``
    :param bands: in order; see ``STEPPED``
    :param included: quantity of each period that costs nothing; the bands count from there on
    :param package_size: how many units are in a package
    :param round_up: whether the quantity counts in whole units, begun ones in full
    :raises TariffError: gap, disorder, or a band that the model does not have
    """

    model: str = FLAT
    bands: tuple[Band, ...] = (Band(),)
    included: Fraction = ZERO
    package_size: Fraction = Fraction(1)
    round_up: bool = False

    def __post_init__(self):
        if self.model not in MODELS:
            raise TariffError("model")
        if self.included < 0:
            raise TariffError("negative")
        if self.model == PACKAGE and self.package_size <= 0:
            raise TariffError("package")
        check_bands(self.model, self.bands)

    def get_charged(self, quantity: Fraction) -> Fraction:
        """The part of a measured quantity that is charged: whole units, less the included ones."""
        if self.round_up and self.model != PERCENTAGE:
            quantity = Fraction(ceil(quantity))
        return max(quantity - self.included, ZERO)


def check_bands(model: str, bands: Iterable[Band]) -> None:
    """Refuse bands that leave a quantity without a price, or that the model does not use.

    :raises TariffError: see its codes
    """
    bands = list(bands)
    if not bands:
        raise TariffError("no_band")
    if model not in STEPPED and len(bands) > 1:
        raise TariffError("one_band")
    limits = [band.up_to for band in bands]
    if limits[-1] is not None:
        raise TariffError("open_end")
    previous = ZERO
    for limit in limits[:-1]:
        if limit is None or limit <= previous:
            raise TariffError("order")
        previous = limit


def rate(tariff: Tariff, measure: Measure) -> Fraction:
    """What a measured quantity costs, exact."""
    return sum((part.amount for part in get_slices(tariff, measure)), ZERO)


def get_slices(tariff: Tariff, measure: Measure) -> list[Slice]:
    """The parts of a measured quantity with a price each; their amounts add up to :func:`rate`."""
    charged = tariff.get_charged(measure.quantity)
    band = tariff.bands[0]
    if tariff.model == PERCENTAGE:
        return _get_percentage(band, charged, measure.count)
    if not charged:
        return []
    if tariff.model == PACKAGE:
        packages = Fraction(ceil(charged / tariff.package_size))
        return [Slice(packages, band.price_unit, band.flat_fee)]
    if tariff.model == GRADUATED:
        return list(_get_graduated(tariff.bands, charged))
    reached = _get_reached(tariff.bands, charged)
    if tariff.model == STAIRSTEP:
        return [Slice(ZERO, ZERO, reached.flat_fee)]
    return [Slice(charged, reached.price_unit, reached.flat_fee)]


def _get_percentage(band: Band, value: Fraction, count: int) -> list[Slice]:
    fee = band.flat_fee * count
    return [Slice(value, band.rate / 100, fee)] if value or fee else []


def _get_graduated(bands: Iterable[Band], charged: Fraction) -> Iterable[Slice]:
    lower = ZERO
    for band in bands:
        upper = charged if band.up_to is None else min(charged, band.up_to)
        yield Slice(upper - lower, band.price_unit, band.flat_fee)
        if upper == charged:
            return
        lower = upper


def _get_reached(bands: Iterable[Band], charged: Fraction) -> Band:
    """The band that holds the quantity."""
    return next(band for band in bands if band.up_to is None or charged <= band.up_to)


# ---------------------------------------------------------------------------
# Several price lines together
# ---------------------------------------------------------------------------


class Part(NamedTuple):
    """What one price line measured, of several whose quantities enter the bands together.

    :param measure: its own quantity
    :param discount: the share of its price that is given away, from 0 to 1
    """

    measure: Measure
    discount: Fraction = ZERO


def get_sum(parts: Iterable[Part]) -> Measure:
    """What all parts measured together."""
    measures = [part.measure for part in parts]
    quantity = sum((measure.quantity for measure in measures), ZERO)
    return Measure(quantity, sum(measure.count for measure in measures))


def rate_together(tariff: Tariff, parts: Sequence[Part]) -> Fraction:
    """What the parts cost after discount, exact: the bands are entered by their sum.

    Each unit of the sum costs the same on average, whoever used it first, so the order of the
    parts decides nothing; each part's discount is taken off its share.
    """
    whole = get_sum(parts)
    gross = rate(tariff, whole)
    weights = [
        part.measure.quantity if whole.quantity > 0 else part.measure.count for part in parts
    ]
    if not sum(weights):
        return gross
    kept = sum((w * (1 - part.discount) for w, part in zip(weights, parts, strict=True)), ZERO)
    return gross * kept / sum(weights)


def split(total: Fraction, weights: Sequence[Fraction], coin: Fraction) -> list[Fraction]:
    """``total``, whole coins, in shares of whole coins by ``weights``, which add up to it.

    By largest remainder: each share is its exact one rounded down, the coins that are left go to
    those that lost most by that, the first of equal ones first. So no share is more than a coin
    away from its exact one, and none is below zero while the total is not. Weights below zero
    count as none; where there is no weight at all the first one has everything.
    """
    weights = [max(weight, ZERO) for weight in weights]
    whole = sum(weights, ZERO)
    if not whole:
        return [total, *[ZERO] * (len(weights) - 1)]
    coins = abs(total) / coin
    exact_shares = [coins * weight / whole for weight in weights]
    shares = [Fraction(floor(share)) for share in exact_shares]
    lost = sorted(range(len(shares)), key=lambda number: shares[number] - exact_shares[number])
    for number in lost[: int(coins - sum(shares))]:
        shares[number] += 1
    sign = -coin if total < 0 else coin
    return [share * sign for share in shares]


# ---------------------------------------------------------------------------
# What a period comes to
# ---------------------------------------------------------------------------


def bound(
    amount: Fraction,
    minimum: Fraction | None = None,
    maximum: Fraction | None = None,
    share: Fraction = Fraction(1),
) -> Fraction:
    """``amount`` of a period, not less than its minimum and not more than its maximum.

    :param minimum: of a whole period, None = no minimum
    :param maximum: of a whole period, None = no maximum
    :param share: how much of a whole period it is, as a price is prorated
    """
    if minimum is not None:
        amount = max(amount, minimum * share)
    if maximum is not None:
        amount = min(amount, maximum * share)
    return amount


def get_due(total: Fraction, billed: Iterable[Fraction], coin: Fraction) -> Fraction:
    """What is left to invoice of a period that costs ``total``; below zero: to credit.

    The whole is rounded once, and what was invoiced of it is read from the invoices: so the
    amounts invoiced for a period one after the other add up to its rating.
    """
    return round_half_up(total, coin) - sum(billed, ZERO)


def true_up(
    commitment: Fraction, share: Fraction, billed: Iterable[Fraction], coin: Fraction
) -> Fraction:
    """What is missing of a commitment at the end of its term; 0 where it was met.

    :param commitment: what is to be paid at least in a whole term
    :param share: how much of a whole term the customer had, 1 where it is not cut
    :param billed: what the periods of the term came to
    """
    return max(get_due(commitment * share, billed, coin), ZERO)
