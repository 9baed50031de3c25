"""Amounts: rounding, proration, and parts that add up to the whole."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import periods
from odoo.addons.invoice_run.engine.periods import DAY, Charge, Span, Terms
from odoo.tests import BaseCase, tagged

from .properties import FIXED
from .test_periods import (
    SIXTY_YEARS,
    Case,
    cases,
    day,
    days_of,
    each_day,
    months_later,
    slow_start,
    some_terms,
    span,
)

CENT = Fraction(1, 100)
COINS = {
    "EUR": CENT,
    "JPY": Fraction(1),
    "KWD": Fraction(1, 1000),
    "CHF": Fraction(1, 20),
}
MONTHS = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}
INTERVALS = ["day", "week", *MONTHS, "period"]
HUNDRED = Fraction(100)


def amount(terms, first, part, interval="month", price=HUNDRED, coin=CENT) -> Fraction:
    return periods.charge(terms, interval, first, part, price, coin).amount


def money(text: str) -> Fraction:
    return Fraction(text)


# ---------------------------------------------------------------------------
# A second, slow opinion: from the text of the rules, in running totals
# ---------------------------------------------------------------------------


def slow_serial(one: date) -> int:
    """Day number in a year of twelve months of 30 days."""
    return one.year * 360 + one.month * 30 + min(one.day, 30)


def slow_month_share(month: Span, part: Span, proration: str) -> Fraction:
    days = len(each_day(*part))
    shares = {
        "actual": Fraction(days, len(each_day(*month))),
        "thirty": Fraction(days, 30),
        "thirty_360": Fraction(slow_serial(part.date_to + DAY) - slow_serial(part.date_from), 30),
        "none": Fraction(1),
    }
    return Fraction(1) if part == month else min(shares[proration], Fraction(1))


def slow_total(terms: Terms, interval: str, unit: periods.Grid, part: Span) -> Fraction:
    """f: units from the first to the last day of ``part``, all in the unit of ``unit``."""
    days = len(each_day(*part))
    if interval in ("day", "week"):
        return Fraction(days, 7 if interval == "week" else 1)
    if terms.proration == "none_period":
        return Fraction(1)
    number = unit.index(part.date_from)
    if unit.unit != "month" or terms.proration == "days_of_period":
        whole = (slow_start(unit, number + 1) - slow_start(unit, number)).days
        return Fraction(1) if terms.proration == "none" else Fraction(days, whole)
    months = range(number * unit.count, (number + 1) * unit.count)
    return slow_share(unit.anchor, months, part, terms.proration, unit.day)


def slow_share(anchor: date, months: range, part: Span, proration: str, on: int) -> Fraction:
    """Every month of a unit counts the same; cut ones are prorated."""
    total = Fraction()
    for number in months:
        month = Span(months_later(anchor, number, on), months_later(anchor, number + 1, on) - DAY)
        inside = [one for one in each_day(*part) if month.date_from <= one <= month.date_to]
        if inside:
            total += slow_month_share(month, Span(inside[0], inside[-1]), proration)
    return total / len(months)


def slow_round(value: Fraction, coin: Fraction) -> Fraction:
    below = abs(value) // coin
    coins = below + (abs(value) - below * coin >= coin / 2)
    return coins * coin * (-1 if value < 0 else 1)


def slow_charge(terms, interval, first, part, price, coin) -> Charge:
    units = total = Fraction()
    grid = terms.unit_grid(interval)
    for number in sorted({grid.index(one) for one in each_day(*part)}):
        unit = grid.period(number)
        begin = max(unit.date_from, first)
        until = slow_total(terms, interval, grid, Span(begin, min(unit.date_to, part.date_to)))
        before = Fraction()
        if part.date_from > begin:
            before = slow_total(terms, interval, grid, Span(begin, part.date_from - DAY))
        units += until - before
        total += slow_round(until * price, coin) - slow_round(before * price, coin)
    return Charge(units, total)


# ---------------------------------------------------------------------------
# What hypothesis draws
# ---------------------------------------------------------------------------

PRICES = st.decimals("-2000", "2000", places=2) | st.decimals("0", "10", places=4)
SOME_PRICES = PRICES.map(Fraction) | st.sampled_from([HUNDRED, Fraction(1), Fraction(1000, 3)])
SOME_COINS = st.sampled_from(list(COINS.values()))
SOME_INTERVALS = st.sampled_from(INTERVALS)


@st.composite
def parts_of(draw, whole: Span) -> list[Span]:
    """``whole``, cut at up to six places."""
    shifts = draw(st.sets(st.integers(1, max(whole.days - 1, 1)), max_size=6))
    starts = [whole.date_from + timedelta(days=shift) for shift in sorted(shifts)]
    starts = [whole.date_from, *(start for start in starts if start <= whole.date_to)]
    ends = [start - DAY for start in starts[1:]] + [whole.date_to]
    return [Span(*pair) for pair in zip(starts, ends, strict=True)]


@st.composite
def bills(draw):
    """Terms, first day of a line, and a span of it."""
    terms = draw(some_terms())
    first = terms.start + timedelta(days=draw(st.just(0) | st.integers(0, 400)))
    start = first + timedelta(days=draw(st.just(0) | st.integers(0, 100)))
    length = draw(st.integers(0, 40) | st.integers(0, 500))
    return terms, first, Span(start, start + timedelta(days=length))


# ---------------------------------------------------------------------------
# Numbers
# ---------------------------------------------------------------------------


@tagged("post_install", "-at_install")
class TestNumbers(BaseCase):
    def test_round_half_up(self):
        table = [
            ("0.005", "0.01", "0.01"),
            ("0.0049999", "0.01", "0"),
            ("-0.005", "0.01", "-0.01"),
            ("2.5", "1", "3"),
            ("-2.5", "1", "-3"),
            ("1.0005", "0.001", "1.001"),
            ("0.025", "0.05", "0.05"),
            ("0.0249", "0.05", "0"),
            ("10.07", "0.05", "10.05"),
            ("10.075", "0.05", "10.10"),
        ]
        for value, coin, expected in table:
            with self.subTest(value=value, coin=coin):
                found = periods.round_half_up(money(value), money(coin))
                self.assertEqual(found, money(expected))

    @settings(max_examples=150, **FIXED)
    @given(
        value=st.decimals("-100000", "100000", places=4),
        places=st.sampled_from(["1", "0.1", "0.01", "0.001"]),
    )
    def test_rounds_as_decimal(self, value, places):
        expected = value.quantize(Decimal(places), rounding=ROUND_HALF_UP)
        found = periods.round_half_up(Fraction(value), Fraction(places))
        self.assertEqual(found, Fraction(expected))

    @settings(max_examples=80, **FIXED)
    @given(value=st.fractions(-1000, 1000, max_denominator=372), coin=SOME_COINS)
    def test_nearest_coin(self, value, coin):
        found = periods.round_half_up(value, coin)
        self.assertEqual((found / coin).denominator, 1)
        self.assertLessEqual(abs(found - value), coin / 2)

    def test_exact(self):
        for number in (0.1, "0.1", Decimal("0.1")):
            self.assertEqual(periods.exact(number), Fraction(1, 10))
        self.assertEqual(periods.exact(3), 3)
        self.assertEqual(periods.exact(1e-05), Fraction(1, 100000))

    def test_net_price(self):
        self.assertEqual(periods.net_price(2, 49.95), money("99.9"))
        self.assertEqual(periods.net_price(3, "33.10", 12.5), money("86.8875"))
        self.assertEqual(periods.net_price(1, 100, 100), 0)
        self.assertEqual(periods.net_price(-1, 100, 10), -90)

    def test_days_360(self):
        """By hand: twelve months of 30 days, a 31st is a 30th; the last day is excluded."""
        table = [
            ("2025-01-15", "2025-02-01", 16),
            ("2025-01-01", "2025-01-15", 14),
            ("2025-01-15", "2025-01-31", 15),
            ("2025-01-30", "2025-01-31", 0),
            ("2025-01-31", "2025-02-01", 1),
            ("2025-01-30", "2025-02-01", 1),
            ("2025-02-01", "2025-03-01", 30),
            ("2025-02-28", "2025-03-01", 3),
            ("2024-02-28", "2024-02-29", 1),
            ("2024-02-29", "2024-03-01", 2),
            ("2025-01-31", "2025-03-31", 60),
            ("2025-01-31", "2026-01-31", 360),
            ("2024-11-30", "2025-02-28", 88),
        ]
        for first, until, expected in table:
            with self.subTest(first=first, until=until):
                self.assertEqual(periods.days_360(day(first), day(until)), expected)


# ---------------------------------------------------------------------------
# Worked examples
# ---------------------------------------------------------------------------


@tagged("post_install", "-at_install")
class TestExamples(BaseCase):
    def assertCost(self, terms, first, part, expected, interval="month", price=HUNDRED):
        found = amount(terms, day(first), span(part), interval, price)
        self.assertEqual(found, money(expected))

    def test_until_a_date(self):
        table = [
            ("2020-11-01", "2020-11-01..2020-11-25", "83.33"),
            ("2020-01-10", "2020-01-10..2020-11-25", "1053.33"),
            ("2020-01-10", "2020-01-10..2020-10-31", "970.97"),
            ("2020-01-10", "2020-11-01..2020-11-25", "82.36"),
            ("2020-01-10", "2020-11-10..2020-11-25", "53.33"),
            ("2020-01-10", "2020-11-26..2020-12-09", "46.67"),
            ("2020-01-10", "2020-11-10..2020-12-09", "100"),
        ]
        for start, part, expected in table:
            with self.subTest(start=start, part=part):
                self.assertCost(Terms(day(start)), start, part, expected)

    def test_units(self):
        """10 + 16/30 months; what the invoice line shows as its quantity."""
        terms = Terms(day("2020-01-10"))
        whole = span("2020-01-10..2020-11-25")
        found = periods.charge(terms, "month", terms.start, whole, HUNDRED, CENT)
        self.assertEqual(found.units, 10 + Fraction(16, 30))
        rest = span("2020-11-01..2020-11-25")
        found = periods.charge(terms, "month", terms.start, rest, HUNDRED, CENT)
        self.assertEqual(found.units, 1 + Fraction(16, 30) - Fraction(22, 31))

    def test_last_period_cut_by_the_end(self):
        terms = Terms(day("2020-01-10"), day("2021-04-28"))
        self.assertCost(terms, "2020-01-10", "2021-04-10..2021-04-28", "63.33")

    def test_prorations(self):
        """At 100 a month, on calendar months."""
        start, rest = "2025-01-15", "2025-01-15..2025-01-31"
        table = [
            ("actual", "2018-02-24", "2018-02-24..2018-02-28", "17.86"),
            ("actual", start, rest, "54.84"),
            ("thirty", start, rest, "56.67"),
            ("thirty_360", start, rest, "53.33"),
            ("none", start, rest, "100"),
            ("thirty", "2025-01-01", "2025-01-01..2025-01-14", "46.67"),
            ("thirty", "2025-01-01", rest, "53.33"),
            ("thirty_360", "2025-01-01", rest, "53.33"),
            ("none", "2025-01-01", rest, "0"),
            ("thirty", "2025-01-02", "2025-01-02..2025-01-31", "100"),
            ("thirty", "2025-02-02", "2025-02-02..2025-02-28", "90"),
            ("thirty_360", "2025-02-02", "2025-02-02..2025-02-28", "96.67"),
            ("actual", "2024-02-02", "2024-02-02..2024-02-29", "96.55"),
        ]
        for proration, first, part, expected in table:
            with self.subTest(proration=proration, first=first, part=part):
                terms = Terms(day(first), anchor="calendar", proration=proration)
                self.assertCost(terms, first, part, expected)

    def test_complete_months(self):
        """A whole month is one month, whether it has 28 days or 31."""
        for proration in ("actual", "thirty", "thirty_360", "none"):
            terms = Terms(day("2025-01-01"), proration=proration)
            for part in ("2025-01-01..2025-01-31", "2025-02-01..2025-02-28"):
                with self.subTest(proration=proration, part=part):
                    self.assertCost(terms, "2025-01-01", part, "100")

    def test_thirty_360_off_the_calendar(self):
        """Grid months from the 10th and from the 31st."""
        table = [
            ("2025-01-10", "2025-01-10..2025-01-31", "70"),
            ("2025-01-10", "2025-01-10..2025-02-08", "96.67"),
            ("2025-01-10", "2025-02-10..2025-02-28", "70"),
            ("2024-12-31", "2025-02-28..2025-03-29", "100"),
            ("2024-12-31", "2025-01-31..2025-02-10", "36.67"),
        ]
        for first, part, expected in table:
            with self.subTest(first=first, part=part):
                terms = Terms(day(first), proration="thirty_360")
                self.assertCost(terms, first, part, expected)

    def test_thirty_360_of_a_longer_unit(self):
        """28 February to 29 March are 32 days of 30/360: one month, and no more."""
        terms = Terms(day("2024-12-31"), proration="thirty_360")
        part = "2025-02-28..2025-03-29"
        self.assertCost(terms, "2025-02-28", part, "100", "quarter", Fraction(300))

    def test_months_of_a_unit_that_starts_on_a_shorter_month(self):
        """A half-year from 29 February still has its months on the 31st."""
        terms = Terms(day("2023-08-31"))
        table = [
            ("2024-02-29..2024-03-30", "100"),
            ("2024-03-31..2024-04-29", "100"),
            ("2024-02-29..2024-04-14", "150"),
        ]
        for part, expected in table:
            with self.subTest(part=part):
                self.assertCost(terms, "2023-08-31", part, expected, "half_year", Fraction(600))

    def test_quarter(self):
        terms = Terms(day("2023-01-01"))
        part = "2023-01-01..2023-04-14"
        self.assertCost(terms, "2023-01-01", part, "115.56", "quarter")
        found = periods.charge(terms, "quarter", terms.start, span(part), HUNDRED, CENT)
        self.assertEqual(found.units, 1 + Fraction(14, 30) / 3)

    def test_year_billed_monthly(self):
        terms = Terms(day("2023-01-01"))
        for month in terms.grid.cut(span("2023-01-01..2023-12-31")):
            with self.subTest(month=month):
                found = amount(terms, terms.start, month, "year", Fraction(1200))
                self.assertEqual(found, 100)

    def test_year_that_does_not_divide(self):
        """1,000 a year invoiced monthly: never off by more than a coin, 1,000 in the end."""
        terms = Terms(day("2024-02-29"))
        months = [terms.grid.period(number) for number in range(12)]
        found = [amount(terms, terms.start, month, "year", Fraction(1000)) for month in months]
        self.assertEqual(found[:3], [money("83.33"), money("83.34"), money("83.33")])
        self.assertEqual(set(found), {money("83.33"), money("83.34")})
        self.assertEqual(sum(found), 1000)

    def test_april_in_three_tens(self):
        terms = Terms(day("2023-04-01"))
        table = [("01", "10", "33.33"), ("11", "20", "33.34"), ("21", "30", "33.33")]
        for first, last, expected in table:
            with self.subTest(first=first):
                part = f"2023-04-{first}..2023-04-{last}"
                self.assertCost(terms, "2023-04-01", part, expected)

    def test_line_that_starts_later(self):
        """On the contract's grid, counted from the line's first day."""
        terms = Terms(day("2020-01-10"))
        self.assertCost(terms, "2020-01-20", "2020-01-20..2020-02-09", "67.74")
        self.assertCost(terms, "2020-01-20", "2020-02-10..2020-03-09", "100")

    def test_days_and_weeks(self):
        terms = Terms(day("2020-01-10"))
        month = "2020-01-10..2020-02-09"
        self.assertCost(terms, "2020-01-10", month, "103.23", "day", money("3.33"))
        self.assertCost(terms, "2020-01-10", month, "442.86", "week")
        self.assertCost(terms, "2020-01-10", "2020-01-10..2020-01-10", "14.29", "week")

    def test_billing_period(self):
        """100 per billing period, whatever its length."""
        start = "2023-01-01"
        table = [
            (3, "month", "2023-01-01..2023-03-31", "100"),
            (3, "month", "2023-01-01..2023-01-31", "33.33"),
            (3, "month", "2023-01-01..2023-02-14", "50"),
            (2, "week", "2023-01-01..2023-01-14", "100"),
            (2, "week", "2023-01-01..2023-01-05", "35.71"),
            (2, "week", "2023-01-15..2023-02-11", "200"),
        ]
        for count, unit, part, expected in table:
            with self.subTest(count=count, unit=unit, part=part):
                terms = Terms(day(start), count=count, unit=unit)
                self.assertCost(terms, start, part, expected, "period")

    def test_days_of_the_whole_period(self):
        """As Business Central, Kill Bill and Lago count: days ÷ days of the whole period."""
        year = Terms(day("2023-01-01"), proration="days_of_period")
        part = span("2023-01-01..2023-01-14")
        self.assertEqual(amount(year, year.start, part, "year", Fraction(1200)), money("46.03"))
        quarter = Terms(day("2023-05-20"), count=3, anchor="calendar", proration="days_of_period")
        part = span("2023-05-20..2023-06-30")
        for price, expected in ((120, "55.38"), (100, "46.15")):
            # 42 of the 91 days of the second quarter
            found = amount(quarter, quarter.start, part, "quarter", Fraction(price))
            self.assertEqual(found, money(expected))
        month = Terms(day("2025-01-15"), anchor="calendar", proration="days_of_period")
        self.assertEqual(amount(month, month.start, span("2025-01-15..2025-01-31")), money("54.84"))

    def test_price_that_changes_within_a_quarter(self):
        """120.00 a quarter until 19 May, 100.00 from 20 May: 64.62 + 46.15."""
        terms = Terms(day("2023-04-01"), count=3, proration="days_of_period")
        before, after = span("2023-04-01..2023-05-19"), span("2023-05-20..2023-06-30")
        self.assertEqual(
            amount(terms, terms.start, before, "quarter", Fraction(120)), money("64.62")
        )
        self.assertEqual(amount(terms, terms.start, after, "quarter"), money("46.15"))

    def test_begun_period_counts_whole(self):
        terms = Terms(day("2023-05-20"), count=3, anchor="calendar", proration="none_period")
        parts = (span("2023-05-20..2023-05-31"), span("2023-06-01..2023-06-30"))
        found = [amount(terms, terms.start, part, "quarter") for part in parts]
        self.assertEqual(found, [100, 0])

    def test_billing_period_of_weeks_without_proration(self):
        terms = Terms(day("2023-01-01"), unit="week", count=2, proration="none")
        self.assertCost(terms, "2023-01-01", "2023-01-01..2023-01-03", "100", "period")
        self.assertCost(terms, "2023-01-01", "2023-01-04..2023-01-14", "0", "period")

    def test_month_billed_in_weeks(self):
        """The weeks of a month cost the month, each its days."""
        terms = Terms(day("2024-01-01"), unit="week", anchor="calendar")
        january = span("2024-01-01..2024-01-31")
        weeks = list(terms.grid.cut(january))
        found = [amount(terms, terms.start, week) for week in weeks]
        self.assertEqual(
            found, [money(text) for text in ("22.58", "22.58", "22.58", "22.58", "9.68")]
        )
        self.assertCost(terms, "2024-01-01", "2024-01-29..2024-02-04", "23.47")

    def test_months_of_weeks_that_start_in_a_month(self):
        """Months of the calendar, although the weeks begin on the 8th."""
        terms = Terms(day("2024-01-10"), unit="week", anchor="calendar")
        self.assertCost(terms, "2024-01-10", "2024-01-10..2024-01-14", "16.13")
        self.assertCost(terms, "2024-01-10", "2024-02-05..2024-02-11", "24.14")

    def test_units_on_the_calendar(self):
        """1,200 a year on calendar years: the contract's first year is a part of one."""
        terms = Terms(day("2023-03-16"), anchor="calendar")
        self.assertCost(
            terms, "2023-03-16", "2023-03-16..2023-12-31", "951.61", "year", Fraction(1200)
        )
        self.assertCost(
            terms, "2023-03-16", "2024-01-01..2024-12-31", "1200", "year", Fraction(1200)
        )

    def test_once(self):
        terms = Terms(day("2023-01-01"))
        for price, expected in (("99.995", "100"), ("-99.995", "-100"), ("0", "0")):
            with self.subTest(price=price):
                found = periods.charge(
                    *(terms, "once", terms.start, span("2023-01-01..2023-01-31")),
                    *(money(price), CENT),
                )
                self.assertEqual(found, Charge(Fraction(1), money(expected)))

    def test_discount(self):
        terms = Terms(day("2023-04-01"))
        price = periods.net_price(2, "49.99", 15)
        self.assertCost(terms, "2023-04-01", "2023-04-01..2023-04-30", "84.98", price=price)
        self.assertCost(terms, "2023-04-01", "2023-04-01..2023-04-10", "28.33", price=price)

    def test_coins(self):
        """A third of 100 in each currency, and what is left of the whole."""
        terms = Terms(day("2023-04-01"))
        table = [
            ("EUR", "33.33", "66.67"),
            ("JPY", "33", "67"),
            ("KWD", "33.333", "66.667"),
            ("CHF", "33.35", "66.65"),
        ]
        for currency, third, rest in table:
            with self.subTest(currency=currency):
                coin = COINS[currency]
                found = [
                    amount(terms, terms.start, span(part), coin=coin)
                    for part in ("2023-04-01..2023-04-10", "2023-04-11..2023-04-30")
                ]
                self.assertEqual(found, [money(third), money(rest)])


# ---------------------------------------------------------------------------
# Properties
# ---------------------------------------------------------------------------


@tagged("post_install", "-at_install")
class TestCharge(BaseCase):
    @settings(max_examples=150, **FIXED)
    @given(bill=bills(), interval=SOME_INTERVALS, price=SOME_PRICES, coin=SOME_COINS)
    def test_same_as_running_totals(self, bill, interval, price, coin):
        terms, first, part = bill
        self.assertEqual(
            periods.charge(terms, interval, first, part, price, coin),
            slow_charge(terms, interval, first, part, price, coin),
        )

    @settings(max_examples=150, **FIXED)
    @given(
        bill=bills(),
        interval=SOME_INTERVALS,
        price=SOME_PRICES,
        coin=SOME_COINS,
        data=st.data(),
    )
    def test_parts_add_up(self, bill, interval, price, coin, data):
        terms, first, whole = bill
        found = [
            periods.charge(terms, interval, first, part, price, coin)
            for part in data.draw(parts_of(whole))
        ]
        expected = periods.charge(terms, interval, first, whole, price, coin)
        self.assertEqual(sum(one.amount for one in found), expected.amount)
        self.assertEqual(sum(one.units for one in found), expected.units)

    @settings(max_examples=100, **FIXED)
    @given(
        terms=some_terms(),
        interval=st.sampled_from([*MONTHS, "period"]),
        number=st.integers(1, 40),
        price=SOME_PRICES,
        coin=SOME_COINS,
    )
    def test_complete_unit(self, terms, interval, number, price, coin):
        unit = terms.unit_grid(interval).period(number)
        found = periods.charge(terms, interval, terms.start, unit, price, coin)
        self.assertEqual(found, Charge(Fraction(1), periods.round_half_up(price, coin)))
        self.assertTrue(periods.is_one_unit(terms, interval, unit.date_from, unit))

    @settings(max_examples=150, **FIXED)
    @given(bill=bills(), interval=SOME_INTERVALS, price=SOME_PRICES, shift=st.integers(-1, 1))
    def test_what_is_one_unit(self, bill, interval, price, shift):
        """What is said to be one unit costs just that, also if its line began at its edge."""
        terms, first, part = bill
        unit = terms.unit_grid(interval).period(terms.unit_grid(interval).index(first))
        for begin, days in ((first, part), (unit.date_from + shift * DAY, unit)):
            if periods.is_one_unit(terms, interval, begin, days):
                found = periods.charge(terms, interval, begin, days, price, CENT)
                self.assertEqual(found, Charge(Fraction(1), periods.round_half_up(price, CENT)))

    @settings(max_examples=100, **FIXED)
    @given(
        terms=some_terms(),
        interval=st.sampled_from([*MONTHS, "period"]),
        later=st.just(0) | st.integers(0, 400),
        price=SOME_PRICES.map(abs),
        coin=SOME_COINS,
        data=st.data(),
    )
    def test_never_more_than_the_unit(self, terms, interval, later, price, coin, data):
        """No part of a unit is negative or dearer than the whole, whenever the line starts."""
        first = terms.start + timedelta(days=later)
        grid = terms.unit_grid(interval)
        unit = grid.period(grid.index(first) + data.draw(st.integers(0, 2)))
        for part in data.draw(parts_of(unit.clip(first, None))):
            found = periods.charge(terms, interval, first, part, price, coin)
            self.assertTrue(0 <= found.units <= 1)
            self.assertTrue(0 <= found.amount <= periods.round_half_up(price, coin))

    @settings(max_examples=80, **FIXED)
    @given(bill=bills(), interval=SOME_INTERVALS, price=SOME_PRICES, coin=SOME_COINS)
    def test_negative_prices_mirror(self, bill, interval, price, coin):
        terms, first, part = bill
        credit = periods.charge(terms, interval, first, part, -price, coin)
        debit = periods.charge(terms, interval, first, part, price, coin)
        self.assertEqual(credit, Charge(debit.units, -debit.amount))

    @settings(max_examples=80, **FIXED)
    @given(
        bill=bills(),
        interval=SOME_INTERVALS,
        quantity=st.decimals("0", "50", places=3),
        price=st.decimals("-500", "500", places=4),
        discount=st.decimals("0", "100", places=2),
        coin=SOME_COINS,
    )
    def test_discount(self, bill, interval, quantity, price, discount, coin):
        """It lowers the price before anything is rounded."""
        terms, first, part = bill
        net = periods.net_price(quantity, price, discount)
        self.assertEqual(net, Fraction(quantity * price * (100 - discount)) / 100)
        found = periods.charge(terms, interval, first, part, net, coin)
        whole = periods.charge(terms, interval, first, part, Fraction(1), coin)
        self.assertEqual(found.units, whole.units)
        off = abs(found.amount - found.units * net)
        touched = len(list(terms.unit_grid(interval).cut(part)))
        self.assertLessEqual(off, touched * coin)

    @settings(max_examples=50, **FIXED)
    @given(bill=bills(), interval=st.sampled_from(["day", "week"]), price=SOME_PRICES)
    def test_days_do_not_depend_on_the_month(self, bill, interval, price):
        terms, first, part = bill
        found = periods.charge(terms, interval, first, part, price, CENT)
        self.assertEqual(found.units, Fraction(part.days, 7 if interval == "week" else 1))

    def test_sixty_years(self):
        """Billed at once or period by period: the same."""
        table = [(1, "month", "month"), (1, "month", "year"), (13, "week", "month")]
        whole = Span(day("2024-02-29"), day("2024-02-29") + timedelta(days=SIXTY_YEARS))
        for count, unit, interval in table:
            with self.subTest(count=count, unit=unit, interval=interval):
                terms = Terms(*whole, count=count, unit=unit)
                line = (terms, interval, terms.start)
                found = [
                    periods.charge(*line, part, Fraction(1000, 7), CENT)
                    for part in terms.grid.cut(whole)
                ]
                expected = periods.charge(*line, whole, Fraction(1000, 7), CENT)
                self.assertEqual(sum(one.amount for one in found), expected.amount)
                self.assertEqual(sum(one.units for one in found), expected.units)

    def test_sixty_years_of_months(self):
        """720 months from the 31st at 100 a month are 72,000."""
        terms = Terms(day("2024-01-31"), day("2084-01-30"))
        self.assertEqual(amount(terms, terms.start, Span(terms.start, terms.end)), 72_000)


def bill(case: Case, targets: list[date]) -> list[Span]:
    """Run after run; what is due is taken from then on."""
    billed = []
    for target in targets:
        terms = replace(case.terms, until=target) if case.terms.mode == "date" else case.terms
        billed += replace(case, terms=terms, taken=[*case.taken, *billed]).due(target)
    return billed


def total(case: Case, billed: list[Span], interval, price=HUNDRED, coin=CENT) -> Fraction:
    return sum(amount(case.terms, case.first, part, interval, price, coin) for part in billed)


@tagged("post_install", "-at_install")
class TestBillingInSteps(BaseCase):
    """However the runs fall, in the end every day is invoiced once, at the same total."""

    @settings(max_examples=80, **FIXED)
    @given(
        case=cases(),
        interval=SOME_INTERVALS,
        price=SOME_PRICES,
        coin=SOME_COINS,
        data=st.data(),
    )
    def test_same_days_same_total(self, case, interval, price, coin, data):
        shifts = sorted(data.draw(st.lists(st.integers(-60, 460), max_size=6)))
        targets = [case.terms.start + timedelta(days=shift) for shift in shifts]
        until = case.terms.start + timedelta(days=500)
        in_steps = bill(case, [*targets, until])
        at_once = bill(case, [until])
        self.assertEqual(sorted(days_of(in_steps)), days_of(at_once))
        self.assertEqual(
            total(case, in_steps, interval, price, coin),
            total(case, at_once, interval, price, coin),
        )

    @settings(max_examples=80, **FIXED)
    @given(
        terms=some_terms(mode="periodic"),
        interval=SOME_INTERVALS,
        modes=st.lists(st.sampled_from(["date", "periodic"]), min_size=2, max_size=6),
        price=SOME_PRICES,
        data=st.data(),
    )
    def test_modes_in_turn(self, terms, interval, modes, price, data):
        """Runs until a date between periodic ones: the rest of the period, then the grid."""
        terms = replace(terms, timing="advance")
        case = Case(terms, terms.start, None, [])
        shifts = sorted(data.draw(st.integers(-30, 400)) for _mode in modes)
        targets = [terms.start + timedelta(days=shift) for shift in shifts]
        until = max(targets[-1], terms.start)
        billed = []
        for mode, target in zip([*modes, "periodic"], [*targets, until], strict=True):
            step = replace(case, terms=replace(terms, mode=mode, until=target), taken=billed)
            billed = [*billed, *step.due(target)]
        at_once = case.due(until)
        self.assertEqual(sorted(days_of(billed)), days_of(at_once))
        self.assertEqual(
            total(case, billed, interval, price),
            total(case, at_once, interval, price),
        )

    @settings(max_examples=50, **FIXED)
    @given(case=cases(mode="periodic"), interval=SOME_INTERVALS, data=st.data())
    def test_left_out_and_billed_later(self, case, interval, data):
        """What a person leaves out comes back, and costs what it would have cost."""
        target = case.terms.start + timedelta(days=600)
        due = case.due(target)
        kept = data.draw(st.lists(st.sampled_from(due), unique=True)) if due else []
        again = replace(case, taken=[*case.taken, *kept]).due(target)
        self.assertEqual(sorted([*kept, *again]), due)
        self.assertEqual(total(case, [*kept, *again], interval), total(case, due, interval))
