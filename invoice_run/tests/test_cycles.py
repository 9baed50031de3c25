"""Schedules: periods of runs, invoice and due dates, activation."""

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import cycles
from odoo.addons.invoice_run.engine.periods import DAY
from odoo.tests import BaseCase, tagged

from .properties import FIXED
from .test_periods import DATES, day, days_of, each_day, months_later, span, spans

MONTHS = {"monthly": 1, "quarterly": 3, "half_yearly": 6, "yearly": 12}
DAYS = {"weekly": 7, "biweekly": 14}
REPEATED = st.sampled_from([*MONTHS, *DAYS])
RUNS = st.integers(0, 60)


def is_last_of_month(one: date) -> bool:
    return (one + DAY).day == 1


@tagged("post_install", "-at_install")
class TestScheduleExamples(BaseCase):
    def test_monthly(self):
        """The worked example: April 2023, invoice date the 3rd, due on the 30th."""
        first, last = day("2023-04-01"), day("2023-04-30")
        table = [
            ("2023-04-01..2023-04-30", "2023-04-03", "2023-04-30", "2023-03-22"),
            ("2023-05-01..2023-05-31", "2023-05-03", "2023-05-31", "2023-04-21"),
            ("2023-06-01..2023-06-30", "2023-06-03", "2023-06-30", "2023-05-22"),
        ]
        for number, (period, invoiced, due, active) in enumerate(table):
            with self.subTest(run=number):
                found = cycles.run_period(first, last, "monthly", number)
                self.assertEqual(found, span(period))
                self.assertEqual(self.moved("2023-04-03", number), day(invoiced))
                self.assertEqual(self.moved("2023-04-30", number), day(due))
                self.assertEqual(cycles.activation_date("before_start", found, 10), day(active))

    def moved(self, text, number):
        return cycles.shift(day(text), "monthly", number, keep_last_day=True)

    def test_weekly(self):
        first = day("2023-04-01")
        found = [cycles.run_period(first, day("2023-04-07"), "weekly", n) for n in range(3)]
        self.assertEqual(
            found, spans("2023-04-01..2023-04-07 2023-04-08..2023-04-14 2023-04-15..2023-04-21")
        )

    def test_first_period_end(self):
        table = [
            ("2023-04-01", "monthly", "2023-04-30"),
            ("2023-04-01", "weekly", "2023-04-07"),
            ("2023-04-01", "biweekly", "2023-04-14"),
            ("2023-04-01", "quarterly", "2023-06-30"),
            ("2023-04-01", "half_yearly", "2023-09-30"),
            ("2024-02-29", "yearly", "2025-02-27"),
            ("2023-01-31", "monthly", "2023-02-27"),
            ("2023-04-01", "once", "2023-04-30"),
        ]
        for first, cycle, expected in table:
            with self.subTest(first=first, cycle=cycle):
                self.assertEqual(cycles.first_period_end(day(first), cycle), day(expected))

    def test_once(self):
        """One run, with the period that was entered."""
        entered = span("2023-04-05..2023-05-20")
        self.assertEqual(cycles.run_period(*entered, "once", 0), entered)
        for keep in (True, False):
            self.assertEqual(cycles.shift(day("2023-04-30"), "once", 0, keep), day("2023-04-30"))

    def test_day_31(self):
        table = [
            ("monthly", "2023-01-31 2023-02-28 2023-03-31 2023-04-30 2023-05-31"),
            ("quarterly", "2023-01-31 2023-04-30 2023-07-31 2023-10-31 2024-01-31"),
            ("half_yearly", "2023-08-31 2024-02-29 2024-08-31 2025-02-28"),
        ]
        for cycle, text in table:
            expected = [day(part) for part in text.split()]
            for keep in (True, False):
                with self.subTest(cycle=cycle, keep=keep):
                    found = [
                        cycles.shift(expected[0], cycle, n, keep) for n in range(len(expected))
                    ]
                    self.assertEqual(found, expected)

    def test_last_day_stays_last(self):
        """Invoice and due dates; the 28th of a leap year is no last day."""
        table = [
            ("2023-04-30", "monthly", 1, "2023-05-31", "2023-05-30"),
            ("2023-04-30", "quarterly", 1, "2023-07-31", "2023-07-30"),
            ("2023-02-28", "monthly", 1, "2023-03-31", "2023-03-28"),
            ("2023-02-28", "yearly", 1, "2024-02-29", "2024-02-28"),
            ("2024-02-29", "yearly", 1, "2025-02-28", "2025-02-28"),
            ("2024-02-29", "yearly", 4, "2028-02-29", "2028-02-29"),
            ("2024-02-28", "monthly", 1, "2024-03-28", "2024-03-28"),
            ("2023-04-29", "monthly", 1, "2023-05-29", "2023-05-29"),
            ("2023-04-30", "weekly", 1, "2023-05-07", "2023-05-07"),
            ("2023-04-30", "biweekly", 2, "2023-05-28", "2023-05-28"),
        ]
        for first, cycle, number, sticky, plain in table:
            with self.subTest(first=first, cycle=cycle):
                found = cycles.shift(day(first), cycle, number, keep_last_day=True)
                self.assertEqual(found, day(sticky))
                self.assertEqual(cycles.shift(day(first), cycle, number), day(plain))

    def test_last_of_month(self):
        for text, expected in (
            ("2023-02-01", "2023-02-28"),
            ("2024-02-29", "2024-02-29"),
            ("2023-12-05", "2023-12-31"),
            ("2023-04-30", "2023-04-30"),
        ):
            with self.subTest(text=text):
                self.assertEqual(cycles.last_of_month(day(text)), day(expected))


@tagged("post_install", "-at_install")
class TestActivation(BaseCase):
    def test_rules(self):
        table = [
            ("before_start", "2023-04-01..2023-04-30", 10, "2023-03-22"),
            ("before_start", "2023-04-01..2023-04-30", 0, "2023-04-01"),
            ("before_start", "2024-03-05..2024-04-04", 10, "2024-02-24"),
            ("first_of_month", "2023-04-01..2023-04-30", 10, "2023-05-01"),
            ("fifth_of_month", "2023-04-01..2023-04-30", 10, "2023-05-05"),
            ("first_of_month", "2023-04-10..2023-05-09", 10, "2023-06-01"),
            ("fifth_of_month", "2023-12-01..2023-12-31", 0, "2024-01-05"),
            ("first_of_month", "2023-01-01..2023-01-31", 0, "2023-02-01"),
            ("fifth_of_month", "2025-06-01..2025-06-30", 0, "2025-07-05"),
        ]
        for rule, period, before, expected in table:
            with self.subTest(rule=rule, period=period):
                found = cycles.activation_date(rule, span(period), before)
                self.assertEqual(found, day(expected))

    def test_by_hand(self):
        period = span("2023-04-01..2023-04-30")
        self.assertIsNone(cycles.activation_date("disabled", period, 10))

    def test_unknown_rule(self):
        with self.assertRaises(KeyError):
            cycles.activation_date("now", span("2023-04-01..2023-04-30"), 10)


@tagged("post_install", "-at_install")
class TestCycles(BaseCase):
    @settings(max_examples=150, **FIXED)
    @given(first=DATES, cycle=REPEATED, number=RUNS)
    def test_from_the_first_run(self, first, cycle, number):
        """Never from the previous one: nothing drifts."""
        if cycle in DAYS:
            expected = first + timedelta(days=DAYS[cycle] * number)
        else:
            expected = months_later(first, MONTHS[cycle] * number)
        self.assertEqual(cycles.shift(first, cycle, number), expected)

    @settings(max_examples=150, **FIXED)
    @given(first=DATES, cycle=st.sampled_from([*MONTHS]), number=RUNS)
    def test_keeps_last_day(self, first, cycle, number):
        plain = cycles.shift(first, cycle, number)
        sticky = cycles.shift(first, cycle, number, keep_last_day=True)
        self.assertEqual((sticky.year, sticky.month), (plain.year, plain.month))
        if is_last_of_month(first):
            self.assertTrue(is_last_of_month(sticky))
        else:
            self.assertEqual(sticky, plain)

    @settings(max_examples=60, **FIXED)
    @given(first=DATES, cycle=REPEATED, count=st.integers(1, 24))
    def test_periods_follow_each_other(self, first, cycle, count):
        last = cycles.first_period_end(first, cycle)
        found = [cycles.run_period(first, last, cycle, number) for number in range(count)]
        self.assertEqual(found[0], (first, last))
        self.assertEqual(days_of(found), each_day(first, found[-1].date_to))

    @settings(max_examples=150, **FIXED)
    @given(first=DATES, cycle=REPEATED, number=RUNS, before=st.integers(0, 60))
    def test_activation(self, first, cycle, number, before):
        last = cycles.first_period_end(first, cycle)
        period = cycles.run_period(first, last, cycle, number)
        found = cycles.activation_date("before_start", period, before)
        self.assertEqual((period.date_from - found).days, before)
        for rule, expected in (("first_of_month", 1), ("fifth_of_month", 5)):
            found = cycles.activation_date(rule, period, before)
            self.assertEqual(found.day, expected)
            # the month right after the one in which the period ends
            month_end = found - timedelta(days=expected)
            self.assertEqual(
                (month_end.year, month_end.month), (period.date_to.year, period.date_to.month)
            )
