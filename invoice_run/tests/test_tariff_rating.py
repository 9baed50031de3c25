"""What quantities cost: worked examples, and properties of the arithmetic."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import tariff
from odoo.addons.invoice_run.engine.periods import round_half_up
from odoo.addons.invoice_run.engine.tariff import Band, Measure, Tariff, TariffError
from odoo.tests import BaseCase, tagged

from .properties import FIXED

#: EUR, JPY, KWD and Swiss cash.
COINS = [Fraction(1, 100), Fraction(1), Fraction(1, 1000), Fraction(1, 20)]
coins = st.sampled_from(COINS)
prices = st.fractions(min_value=0, max_value=1000, max_denominator=1000)
quantities = st.fractions(min_value=0, max_value=10_000, max_denominator=1000)


def frac(text):
    return Fraction(text)


def bands(*rows):
    """Bands of (up to, price[, flat fee])."""
    return tuple(Band(up_to and frac(up_to), *map(frac, row)) for up_to, *row in rows)


@st.composite
def stepped_bands(draw):
    limits = sorted(draw(st.sets(st.integers(1, 9000), max_size=5)))
    return tuple(
        Band(limit and Fraction(limit), draw(prices), draw(prices)) for limit in [*limits, None]
    )


@st.composite
def tariffs(draw, models=tariff.MODELS):
    model = draw(st.sampled_from(models))
    band = Band(None, draw(prices), draw(prices), draw(st.integers(0, 100).map(Fraction)))
    return Tariff(
        model,
        draw(stepped_bands()) if model in tariff.STEPPED else (band,),
        included=draw(st.one_of(st.just(Fraction()), quantities)),
        package_size=draw(st.integers(1, 50).map(Fraction)),
        round_up=draw(st.booleans()),
    )


@tagged("post_install", "-at_install")
class TestTariffExamples(BaseCase):
    def assertRated(self, rated, expected):
        for quantity, amount in expected.items():
            with self.subTest(quantity=quantity):
                measure = Measure(frac(quantity), 1)
                self.assertEqual(tariff.rate(rated, measure), frac(amount))

    def test_flat(self):
        self.assertRated(Tariff(bands=bands((None, "0.25"))), {"0": "0", "10.5": "2.625"})

    def test_graduated(self):
        """10 units at 1.00, then 1.50, from 20 on 2.00."""
        rated = Tariff("graduated", bands(("10", "1"), ("20", "1.5"), (None, "2")))
        self.assertRated(
            rated, {"0": "0", "10": "10", "10.5": "10.75", "20": "25", "23": "31", "25": "35"}
        )

    def test_graduated_adds_the_fee_of_each_band_entered(self):
        rated = Tariff("graduated", bands(("10", "1", "5"), (None, "1.5", "20")))
        self.assertRated(rated, {"0": "0", "0.1": "5.1", "10": "15", "10.1": "35.15"})

    def test_volume_falls_off_a_cliff(self):
        """All units at the price of the band that is reached: 11 cost less than 10."""
        rated = Tariff("volume", bands(("10", "1"), ("100", "0.8"), (None, "0.5", "7")))
        self.assertRated(
            rated, {"10": "10", "10.5": "8.4", "11": "8.8", "100": "80", "101": "57.5"}
        )

    def test_package(self):
        rated = Tariff("package", bands((None, "100")), package_size=frac("10"))
        self.assertRated(rated, {"0": "0", "1": "100", "120": "1200", "121": "1300"})

    def test_package_after_what_is_included(self):
        """ceil((q − included) ÷ size) × price."""
        rated = Tariff(
            "package", bands((None, "100")), included=frac("50"), package_size=frac("10")
        )
        self.assertRated(rated, {"50": "0", "51": "100", "121": "800"})

    def test_stairstep(self):
        rated = Tariff("stairstep", bands(("5", "0", "10"), ("50", "0", "25"), (None, "0", "90")))
        self.assertRated(rated, {"0": "0", "1": "10", "5": "10", "5.01": "25", "51": "90"})

    def test_percentage_of_the_value_and_a_fee_for_each_item(self):
        rated = Tariff("percentage", (Band(rate=frac("1.4"), flat_fee=frac("0.25")),))
        measure = Measure(frac("1234.50"), 3)
        self.assertEqual(tariff.rate(rated, measure), frac("18.033"))
        self.assertEqual(tariff.rate(rated, Measure(frac("0"), 2)), frac("0.5"))

    def test_included(self):
        """The bands count from what is included."""
        rated = Tariff("graduated", bands(("10", "1"), (None, "1.5")), included=frac("100"))
        self.assertRated(rated, {"99": "0", "100": "0", "110": "10", "112": "13"})

    def test_begun_units_count_in_full(self):
        rated = Tariff(bands=bands((None, "2")), included=frac("0.5"), round_up=True)
        self.assertRated(rated, {"0": "0", "0.2": "1", "1": "1", "1.01": "3"})

    def test_below_zero_is_zero(self):
        self.assertRated(Tariff(bands=bands((None, "2"))), {"-3": "0"})

    def test_minimum_is_prorated(self):
        """A minimum of 50.00, 15 of 30 days: 25.00."""
        half = Fraction(1, 2)
        self.assertEqual(tariff.bound(frac("12"), frac("50"), None, half), 25)
        self.assertEqual(tariff.bound(frac("30"), frac("50"), None, half), 30)
        self.assertEqual(tariff.bound(frac("90"), None, frac("120"), half), 60)
        self.assertEqual(tariff.bound(frac("12")), 12)

    def test_late_usage(self):
        """Rated 55.00 with it, 35.00 were invoiced: 20.00."""
        rated = Tariff("graduated", bands(("10", "1"), ("20", "1.5"), (None, "2")))
        cent = Fraction(1, 100)
        first = tariff.get_due(tariff.rate(rated, Measure(frac("25"))), [], cent)
        second = tariff.get_due(tariff.rate(rated, Measure(frac("35"))), [first], cent)
        self.assertEqual((first, second), (35, 20))

    def test_commitment_with_a_cut_first_term(self):
        """1,200 a year, 184 of 366 days in the first: 603.28 committed, 500.00 were invoiced."""
        share, cent = Fraction(184, 366), Fraction(1, 100)
        billed = [frac("300"), frac("200")]
        self.assertEqual(tariff.true_up(frac("1200"), share, billed, cent), frac("103.28"))
        self.assertEqual(tariff.true_up(frac("1200"), share, [frac("700")], cent), 0)

    def test_gaps_and_disorder_are_refused(self):
        for code, model, rows in (
            ("no_band", "flat", ()),
            ("one_band", "flat", (("5", "1"), (None, "2"))),
            ("one_band", "package", (("5", "1"), (None, "2"))),
            ("open_end", "graduated", (("5", "1"), ("10", "2"))),
            ("order", "volume", (("5", "1"), ("5", "2"), (None, "3"))),
            ("order", "stairstep", (("9", "1"), ("5", "2"), (None, "3"))),
            ("order", "graduated", ((None, "1"), (None, "2"))),
            ("order", "graduated", (("0", "1"), (None, "2"))),
            ("model", "unknown", ((None, "2"),)),
        ):
            with self.subTest(code=code, model=model):
                with self.assertRaises(TariffError) as error:
                    Tariff(model, bands(*rows))
                self.assertEqual(error.exception.code, code)
        for code, values in (
            ("negative", {"included": frac("-1")}),
            ("package", {"model": "package", "package_size": Fraction()}),
        ):
            with self.assertRaises(TariffError) as error:
                Tariff(**values)
            self.assertEqual(error.exception.code, code)


@tagged("post_install", "-at_install")
class TestTariffProperties(BaseCase):
    @settings(**FIXED)
    @given(tariffs(("flat", "graduated", "package", "percentage")), quantities, quantities)
    def test_more_never_costs_less(self, rated, quantity, more):
        """Not so by volume, whose price falls for all, nor by steps that somebody lets fall."""
        amounts = [tariff.rate(rated, Measure(one)) for one in (quantity, quantity + more)]
        self.assertLessEqual(*amounts)

    @settings(**FIXED)
    @given(tariffs(), quantities, st.integers(0, 1000))
    def test_slices_are_the_whole(self, rated, quantity, count):
        measure = Measure(quantity, count)
        slices = tariff.get_slices(rated, measure)
        self.assertEqual(sum(part.amount for part in slices), tariff.rate(rated, measure))
        if rated.model in ("flat", "graduated", "volume", "percentage"):
            charged = rated.get_charged(quantity)
            self.assertEqual(sum(part.quantity for part in slices), charged)

    @settings(**FIXED)
    @given(stepped_bands(), quantities)
    def test_each_quantity_has_one_price(self, steps, quantity):
        """As a graduated tariff without fees asks for it, band by band."""
        plain = tuple(band._replace(flat_fee=Fraction()) for band in steps)
        lower, expected = Fraction(), Fraction()
        for band in plain:
            upper = quantity if band.up_to is None else band.up_to
            expected += max(min(quantity, upper) - lower, 0) * band.price_unit
            lower = upper
        self.assertEqual(tariff.rate(Tariff("graduated", plain), Measure(quantity)), expected)

    @settings(**FIXED)
    @given(tariffs(), st.lists(quantities, min_size=1, max_size=6), coins)
    def test_a_period_may_be_billed_in_parts(self, rated, parts, coin):
        """However late the items come, the amounts add up to the rating of all, to the coin."""
        billed, quantity = [], Fraction()
        for count, part in enumerate(parts, 1):
            quantity += part
            total = tariff.rate(rated, Measure(quantity, count))
            billed.append(tariff.get_due(total, billed, coin))
        self.assertEqual(sum(billed), round_half_up(total, coin))
        for amount in billed:
            self.assertEqual(amount % coin, 0)

    @settings(**FIXED)
    @given(stepped_bands())
    def test_bands_meet(self, steps):
        """At its limit a graduated price has no gap, but for the fee of the next band."""
        assume(len(steps) > 1)
        tiny = Fraction(1, 10**9)
        for band, following in pairwise(steps):
            rated = Tariff("graduated", steps)
            at, after = (tariff.rate(rated, Measure(band.up_to + step)) for step in (0, tiny))
            self.assertEqual(after - at, following.flat_fee + tiny * following.price_unit)

    @settings(**FIXED)
    @given(quantities, prices, prices, st.integers(0, 30))
    def test_bounds(self, amount, minimum, more, days):
        share = Fraction(days, 30)
        maximum = minimum + more
        result = tariff.bound(amount, minimum, maximum, share)
        self.assertGreaterEqual(result, minimum * share)
        self.assertLessEqual(result, maximum * share)
        self.assertEqual(tariff.bound(result, minimum, maximum, share), result)

    @settings(**FIXED)
    @given(prices, st.integers(1, 12), st.lists(quantities, max_size=12), coins)
    def test_a_commitment_is_met_exactly(self, commitment, months, amounts, coin):
        share = Fraction(months, 12)
        billed = [round_half_up(amount, coin) for amount in amounts]
        missing = tariff.true_up(commitment, share, billed, coin)
        owed = round_half_up(commitment * share, coin)
        self.assertEqual(sum(billed) + missing, max(owed, sum(billed)))
