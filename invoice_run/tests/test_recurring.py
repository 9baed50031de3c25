"""What prices come to per month and year, and how the bridge adds up: properties."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import recurring
from odoo.addons.invoice_run.engine.recurring import Standing
from odoo.tests import BaseCase, tagged

from .properties import FIXED

INTERVALS = [*recurring.UNITS, "period"]
COINS = [Fraction(1), Fraction(1, 100), Fraction(1, 1000), Fraction(1, 20)]
prices = st.fractions(min_value=-10000, max_value=10000, max_denominator=1000)
coins = st.sampled_from(COINS)


@st.composite
def standings(draw, coin):
    """A line of whole coins, or none, or several added up."""
    amount = draw(st.integers(-100_000, 100_000)) * coin
    quantity = draw(st.one_of(st.none(), st.integers(-5, 20).map(Fraction)))
    return draw(st.sampled_from([None, Standing(amount, quantity, draw(st.integers(0, 2)))]))


@st.composite
def histories(draw):
    """Days of one price line and of what replaced it, by month."""
    coin = draw(coins)
    return coin, draw(st.lists(standings(coin), min_size=2, max_size=12))


@tagged("post_install", "-at_install")
class TestRecurring(BaseCase):
    @settings(**FIXED)
    @given(
        prices, st.sampled_from(INTERVALS), st.integers(1, 60), st.sampled_from(["month", "week"])
    )
    def test_twelve_months_are_a_year(self, price, interval, count, unit):
        month = recurring.per_month(price, interval, count, unit)
        self.assertEqual(month * 12, recurring.per_year(price, interval, count, unit))

    @settings(**FIXED)
    @given(prices, st.integers(1, 60), st.sampled_from(["month", "week"]))
    def test_a_price_per_period_is_one_per_unit_of_it(self, price, count, unit):
        per_period = recurring.per_year(price * count, "period", count, unit)
        self.assertEqual(per_period, recurring.per_year(price, unit))

    def test_units(self):
        """The rule of docs/billing.md."""
        months = {
            "day": Fraction(3650, 12),
            "week": Fraction(520, 12),
            "month": 10,
            "quarter": Fraction(10, 3),
            "half_year": Fraction(10, 6),
            "year": Fraction(10, 12),
            "once": 0,
        }
        found = {interval: recurring.per_month(Fraction(10), interval) for interval in months}
        self.assertEqual(found, months)
        self.assertEqual(recurring.per_month(Fraction(60), "period", 3), 20)
        self.assertEqual(
            recurring.per_month(Fraction(60), "period", 4, "week"), Fraction(60 * 13, 12)
        )

    @settings(**FIXED)
    @given(histories())
    def test_the_bridge_adds_up(self, history):
        """From any month to any later one, and from month to month."""
        coin, months = history
        total = months[0].amount if months[0] else Fraction()
        for before, after in zip(months, months[1:], strict=False):
            parts = recurring.movements(before, after, coin)
            for amount in parts.values():
                self.assertFalse(amount % coin, "whole coins")
            total += sum(parts.values())
            self.assertEqual(total, after.amount if after else 0)
        start = months[0].amount if months[0] else 0
        parts = recurring.movements(months[0], months[-1], coin)
        self.assertEqual(start + sum(parts.values()), total)

    def test_price_and_quantity_at_once(self):
        """2 at 10.00 become 3 at 12.00: the third at the old price, the rest is price."""
        before = Standing(Fraction(20), Fraction(2), "ten")
        after = Standing(Fraction(36), Fraction(3), "twelve")
        parts = recurring.movements(before, after, Fraction(1, 100))
        self.assertEqual(parts, {"quantity": 10, "price": 6})

    def test_a_quantity_at_a_price_that_is_not_in_coins(self):
        """1,000 a year: 83.33 and 166.67 a month; the odd cent is no change of price."""
        before = Standing(Fraction(8333, 100), Fraction(1), "thousand")
        after = Standing(Fraction(16667, 100), Fraction(2), "thousand")
        parts = recurring.movements(before, after, Fraction(1, 100))
        self.assertEqual(parts, {"quantity": Fraction(8334, 100)})

    def test_lines_added_up_have_no_quantity(self):
        one = Standing(Fraction(20), Fraction(2), "ten")
        self.assertIsNone(recurring.combine([]))
        self.assertEqual(recurring.combine([one]), one)
        both = recurring.combine([one, one])
        self.assertEqual(both, Standing(Fraction(40)))
        self.assertEqual(recurring.movements(one, both, Fraction(1)), {"other": 20})
