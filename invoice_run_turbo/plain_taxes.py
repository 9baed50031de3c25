"""The numbers of Odoo's tax engine for percent taxes on top of the price, without records.

The same operations in the same order, so that results are equal to the last bit: of ``account.tax``
``_get_tax_details``, ``_add_tax_details_in_base_line``, ``_round_base_lines_tax_details`` and
``_get_tax_totals_summary``. ``tests/test_plain_taxes.py`` compares them.
"""

from functools import partial, reduce
from operator import add
from typing import NamedTuple

from odoo.tools import float_is_zero, float_round

#: Each amount is a pair: in the currency of the document, in that of the company.
DOCUMENT, COMPANY = PAIR = (0, 1)


def get_percents(taxes):
    """Return ((tax id, percent), …) in the order of the engine, or None if these are not plain.

    Plain are percentages of the untaxed price that other taxes do not change, booked as a whole.
    """
    taxes = taxes._flatten_taxes_and_sort_them()[0] if taxes else taxes
    if all(map(_is_plain, taxes)):
        return tuple((tax.id, tax.amount) for tax in taxes)
    return None


def _is_plain(tax):
    sides = tax.invoice_repartition_line_ids, tax.refund_repartition_line_ids
    factors = [[line.factor for line in side if line.repartition_type == "tax"] for side in sides]
    is_plain = tax.amount_type == "percent" and not tax.price_include
    return is_plain and not tax.include_base_amount and factors == [[1.0], [1.0]]


def add_up(amounts, start=0.0):
    """Return the sum as repeated addition gives it: ``sum`` is more exact from Python 3.12 on."""
    return reduce(add, amounts, start)


class Numbers(NamedTuple):
    """What the amounts of a line follow from."""

    price_unit: float
    quantity: float
    #: in percent
    discount: float
    #: see :func:`get_percents`
    percents: tuple


class Rounding:
    """How a document's amounts are rounded and converted."""

    def __init__(self, company, currency, rate):
        """:param rate: units of the document currency per unit of company currency"""
        self.rate = rate
        self.is_per_line = company.tax_calculation_rounding_method == "round_per_line"
        currencies = currency, company.currency_id
        self.places = [currency.decimal_places for currency in currencies]
        steps = [currency.rounding for currency in currencies]
        self.round = [partial(float_round, precision_rounding=step) for step in steps]
        self.is_zero = [partial(float_is_zero, precision_rounding=step) for step in steps]
        self._distribute = company.env["account.tax"]._distribute_delta_amount_smoothly

    def convert(self, amount):
        """Return an amount before it is rounded per document, as a pair."""
        converted = amount / self.rate if self.rate else 0.0
        return amount, self.round[COMPANY](converted) if self.is_per_line else converted

    def book(self, index, amount):
        """Return a tax as its tax line gets it: rounded, and what that takes away given back.

        Cents that are no multiple of the coin: ``_add_accounting_data_to_base_line_tax_details``.
        """
        booked = self.round[index](amount)
        [rest] = self.distribute(index, amount - booked, [booked])
        return booked + rest

    def distribute(self, index, difference, raw_amounts):
        """Return the share of each amount in a difference, see ``account.tax``."""
        factors = [{"factor": amount} for amount in raw_amounts]
        return self._distribute(self.places[index], difference, factors)


class PlainTax:
    """What one tax adds to one line."""

    def __init__(self, raw, raw_base, rounding):
        self.raw, self.raw_base = rounding.convert(raw), rounding.convert(raw_base)
        self.amount = [rounding.round[index](self.raw[index]) for index in PAIR]
        self.base = [rounding.round[index](self.raw_base[index]) for index in PAIR]


class PlainLine:
    """The amounts of one line; ``difference`` is its share of what rounding per document adds."""

    def __init__(self, numbers, rounding):
        base = numbers.quantity * (numbers.price_unit * (1 - (numbers.discount / 100.0)))
        if rounding.is_per_line:
            base = rounding.round[DOCUMENT](base)
        self.raw = rounding.convert(base)
        self.untaxed = [rounding.round[index](self.raw[index]) for index in PAIR]
        self.difference = [0.0, 0.0]
        #: {tax id: what it adds}
        self.taxes = {}
        for tax_id, percent in numbers.percents:
            amount = base * percent / 100.0
            if rounding.is_per_line:
                amount = rounding.round[DOCUMENT](amount)
            self.taxes[tax_id] = PlainTax(amount, base, rounding)
        # before what rounding per document adds
        self.total = [add_up(self._get_parts(index), self.untaxed[index]) for index in PAIR]

    def _get_parts(self, index):
        return (tax.amount[index] for tax in self.taxes.values())

    def get_untaxed(self, index):
        return self.untaxed[index] + self.difference[index]

    def get_tax(self, index):
        return add_up(self._get_parts(index))

    def get_details(self):
        """Return those of the engine's ``tax_details`` that a document asks for."""
        return {
            "total_excluded_currency": self.untaxed[DOCUMENT],
            "delta_total_excluded_currency": self.difference[DOCUMENT],
        }


def compute(numbers, rounding):
    """Return a :class:`PlainLine` for each :class:`Numbers` of a document."""
    lines = [PlainLine(line, rounding) for line in numbers]
    by_tax = {}
    for line in lines:
        for tax_id, tax in line.taxes.items():
            by_tax.setdefault(tax_id, []).append(tax)
    for index in PAIR:
        for taxes in by_tax.values():
            _round_together(rounding, index, [tax.raw for tax in taxes], [t.amount for t in taxes])
            _round_together(rounding, index, [t.raw_base for t in taxes], [t.base for t in taxes])
        _round_untaxed(rounding, index, lines)
    return lines


def _round_together(rounding, index, raw, rounded):
    """Add to rounded amounts what they lack of their rounded sum."""
    raw_amounts = [amount[index] for amount in raw]
    total = rounding.round[index](add_up(raw_amounts))
    difference = total - add_up(amount[index] for amount in rounded)
    if not rounding.is_zero[index](difference):
        shares = rounding.distribute(index, difference, raw_amounts)
        for amount, share in zip(rounded, shares, strict=True):
            amount[index] += share


def _round_untaxed(rounding, index, lines):
    """Note what the lines' untaxed amounts lack of their rounded sum."""
    raw_amounts = [line.raw[index] for line in lines]
    if total := add_up(raw_amounts):
        difference = rounding.round[index](total)
        difference -= add_up(line.untaxed[index] for line in lines)
        if difference:
            shares = rounding.distribute(index, difference, raw_amounts)
            for line, share in zip(lines, shares, strict=True):
                line.difference[index] += share


def get_totals(lines):
    """Return the totals of a document, with the names of ``_get_tax_totals_summary``."""
    totals = {}
    for index, suffix in zip(PAIR, ("_currency", ""), strict=True):
        taxed = [line for line in lines if line.taxes]
        free = [line for line in lines if not line.taxes]
        parts = [taxed, free] if lines and lines[0].taxes else [free, taxed]
        untaxed = add_up(add_up(line.get_untaxed(index) for line in part) for part in parts)
        tax = add_up(line.get_tax(index) for line in taxed)
        totals[f"base_amount{suffix}"] = untaxed
        totals[f"tax_amount{suffix}"] = tax
        totals[f"total_amount{suffix}"] = untaxed + tax
    return totals
