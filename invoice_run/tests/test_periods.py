"""Periods: grids, what is due, one-off charges, the next invoicing date."""

import calendar
from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import date, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import periods
from odoo.addons.invoice_run.engine.periods import DAY, Span, Terms
from odoo.tests import BaseCase, tagged

from .properties import FIXED

SIXTY_YEARS = 21_914

day = date.fromisoformat


def span(text: str) -> Span:
    """``2020-01-10..2020-02-09``, both inclusive."""
    return Span(*map(day, text.split("..")))


def spans(text: str) -> list[Span]:
    return [span(part) for part in text.split()]


# ---------------------------------------------------------------------------
# A second, slow opinion: day by day, without the module's arithmetic
# ---------------------------------------------------------------------------


def months_later(anchor: date, months: int, on: int = 0) -> date:
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    return date(year, month + 1, min(on or anchor.day, calendar.monthrange(year, month + 1)[1]))


def slow_start(grid: periods.Grid, number: int) -> date:
    if grid.unit != "month":
        days = {"week": 7, "day": 1}[grid.unit] * grid.count
        return date.fromordinal(grid.anchor.toordinal() + days * number)
    return months_later(grid.anchor, grid.count * number, grid.day)


def each_day(first: date, last: date) -> list[date]:
    return [date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]


def days_of(parts) -> list[date]:
    return [one for part in parts for one in each_day(*part)]


def slow_starts(terms: Terms) -> list[date]:
    """Period starts some twelve years around the contract."""
    grid = terms.grid
    reach = 4500 + ((terms.end - terms.start).days if terms.end else 0)
    count = reach // (grid.count * {"day": 1, "week": 7, "month": 28}[grid.unit]) + 2
    return [slow_start(grid, number) for number in range(-count, count)]


def slow_horizon(terms: Terms, target: date) -> date | None:
    if terms.mode != "periodic":
        limit = terms.end if terms.mode == "end" else terms.until
        return min(limit, terms.end) if terms.end else limit
    starts = slow_starts(terms)
    if terms.timing == "advance":
        current = bisect_right(starts, target) - 1
        is_first = starts[current] <= terms.start < starts[current + 1]
        if terms.first_due == "start" and is_first and target < terms.start:
            current -= 1  # the first period begins with the contract
        last = starts[current + 1 + terms.prebilling] - DAY
    elif terms.end and terms.end <= target:
        return terms.end
    else:
        last = max(start - DAY for start in starts if start - DAY <= target)
    return min(last, terms.end) if terms.end else last


def slow_due(case: "Case", target: date) -> list[Span]:
    """Day by day: open, not past the horizon; a new span at a gap and at a period start."""
    terms = case.terms
    last = min(filter(None, (slow_horizon(terms, target), case.last)))
    taken = set(days_of(case.taken))
    open_days = [one for one in each_day(case.first, last) if one not in taken]
    by_period = terms.mode == "periodic" or terms.split
    if not by_period and case.skip_before:
        open_days = [one for one in open_days if one >= case.skip_before]
    if terms.mode != "periodic" and open_days and open_days[0] > target:
        return []
    cuts = set(slow_starts(terms)) if by_period else set()
    found = []
    for one in open_days:
        if found and found[-1].date_to == one - DAY and one not in cuts:
            found[-1] = Span(found[-1].date_from, one)
        else:
            found.append(Span(one, one))
    return [part for part in found if not case.skip_before or part.date_to >= case.skip_before]


# ---------------------------------------------------------------------------
# What hypothesis draws
# ---------------------------------------------------------------------------

EDGE_DAYS = [
    day(text)
    for text in (
        "2024-01-31 2023-01-31 2023-11-30 2024-02-29 2023-02-28 2000-02-29 2023-12-31"
        " 2024-01-01 2020-01-10 2021-05-29 2021-08-31 2099-12-31 2100-02-28"
    ).split()
]
DATES = st.sampled_from(EDGE_DAYS) | st.dates(day("1999-01-01"), day("2101-12-31"))
UNITS = st.sampled_from(
    [("month", n) for n in (1, 2, 3, 4, 6, 12, 24)]
    + [("week", n) for n in (1, 2, 4, 13)]
    + [("day", n) for n in (1, 7, 28, 30, 90)]
)
PRORATIONS = ["actual", "thirty", "thirty_360", "none", "days_of_period", "none_period"]
LENGTHS = st.sampled_from([0, 30, 364, 365, 366]) | st.integers(0, 900)
SHIFTS = st.sampled_from([-1, 0, 400]) | st.integers(-60, 1000)


@st.composite
def grids(draw):
    unit, count = draw(UNITS)
    return periods.Grid(draw(DATES), count, unit)


@st.composite
def some_terms(draw, mode=None, lengths=LENGTHS):
    start = draw(DATES)
    unit, count = draw(UNITS)
    mode = mode or draw(st.sampled_from(["periodic", "periodic", "date", "end"]))
    ends = lengths.map(lambda days: start + timedelta(days=days))
    return Terms(
        start=start,
        end=draw(ends if mode == "end" else st.none() | ends),
        mode=mode,
        until=start + timedelta(days=draw(SHIFTS)) if mode == "date" else None,
        count=count,
        unit=unit,
        prebilling=draw(st.integers(0, 3)),
        timing=draw(st.sampled_from(["advance", "arrears"])),
        anchor=draw(st.sampled_from(["start", "calendar", "month_end", "day"])),
        anchor_day=draw(st.sampled_from([1, 15, 28, 29, 30, 31])),
        anchor_month=draw(st.sampled_from([0, 0, 1, 2, 4, 12])),
        first_due=draw(st.sampled_from(["grid", "start"])),
        proration=draw(st.sampled_from(PRORATIONS)),
        split=draw(st.booleans()),
    )


@st.composite
def some_spans(draw, start: date):
    """Up to four spans around ``start``, unsorted; they may touch, overlap, or lie before."""
    shifts = st.tuples(st.integers(-40, 700), st.integers(0, 120))
    return [
        Span(start + timedelta(days=skip), start + timedelta(days=skip + length))
        for skip, length in draw(st.lists(shifts, max_size=4))
    ]


@dataclass(frozen=True)
class Case:
    """One line of a contract with what is taken already."""

    terms: Terms
    first: date
    last: date | None
    taken: list
    skip_before: date | None = None

    def due(self, target: date) -> list[Span]:
        return periods.due_spans(
            self.terms, self.first, self.last, self.taken, target, self.skip_before
        )


@st.composite
def cases(draw, mode=None, skip=False):
    terms = draw(some_terms(mode))
    room = min((terms.end - terms.start).days, 300) if terms.end else 300
    first = terms.start + timedelta(days=draw(st.just(0) | st.integers(0, room)))
    ends = LENGTHS.map(lambda days: first + timedelta(days=days))
    skips = SHIFTS.map(lambda days: terms.start + timedelta(days=days))
    return Case(
        terms,
        first,
        draw(st.none() | ends),
        draw(some_spans(terms.start)),
        draw(st.none() | skips) if skip else None,
    )


def targets_of(terms: Terms):
    return SHIFTS.map(lambda days: terms.start + timedelta(days=days))


# ---------------------------------------------------------------------------
# Grids
# ---------------------------------------------------------------------------


@tagged("post_install", "-at_install")
class TestGrid(BaseCase):
    def test_month_end_and_chosen_days(self):
        """The last day of each month; a billing day of its own; a year that begins in April."""
        table = [
            ({"anchor": "month_end"}, "2024-04-30", "2024-04-30 2024-05-31 2024-06-30"),
            ({"anchor": "month_end"}, "2024-01-15", "2023-12-31 2024-01-31 2024-02-29"),
            ({"anchor": "day", "anchor_day": 15}, "2024-01-20", "2024-01-15 2024-02-15 2024-03-15"),
            ({"anchor": "day", "anchor_day": 31}, "2024-01-20", "2023-12-31 2024-01-31 2024-02-29"),
            (
                {"anchor": "day", "anchor_day": 6, "anchor_month": 4, "count": 3},
                "2024-05-20",
                "2024-04-06 2024-07-06 2024-10-06",
            ),
            (
                {"anchor": "day", "anchor_month": 4, "count": 12},
                "2024-02-20",
                "2023-04-01 2024-04-01 2025-04-01",
            ),
            ({"unit": "day", "count": 28}, "2024-02-20", "2024-02-20 2024-03-19 2024-04-16"),
            ({"unit": "day", "anchor": "calendar"}, "2024-02-28", "2024-02-28 2024-02-29"),
            ({"unit": "week", "anchor": "day"}, "2024-02-28", "2024-02-28 2024-03-06"),
        ]
        for terms, start, starts in table:
            with self.subTest(terms=terms, start=start):
                grid = Terms(day(start), **terms).grid
                first = grid.index(day(start))
                found = [grid.start(first + number) for number in range(len(starts.split()))]
                self.assertEqual(found, [day(text) for text in starts.split()])

    def test_no_such_day(self):
        for terms in ({"anchor_day": 0}, {"anchor_day": 32}, {"anchor_month": 13}):
            with self.subTest(terms=terms), self.assertRaises(ValueError):
                Terms(day("2024-01-01"), **terms)

    def test_first_period_due(self):
        """A first period that the calendar cuts: from the contract's start, or the period's."""
        for first_due, begin in (("grid", "2024-01-01"), ("start", "2024-01-15")):
            terms = Terms(day("2024-01-15"), anchor="calendar", first_due=first_due)
            self.assertEqual(periods.next_invoicing_date(terms, terms.start), day(begin))
            self.assertEqual(
                periods.next_invoicing_date(terms, day("2024-02-01")), day("2024-02-01")
            )
            before = periods.billing_horizon(terms, day("2024-01-14"))
            self.assertEqual(before, day("2024-01-31" if first_due == "grid" else "2023-12-31"))
            self.assertEqual(periods.billing_horizon(terms, day("2024-01-15")), day("2024-01-31"))

    def test_worked_examples(self):
        """The table of anchors: every boundary comes from the anchor."""
        table = [
            (
                periods.Grid(day("2024-01-31"), 1),
                "2024-01-31..2024-02-28 2024-02-29..2024-03-30 2024-03-31..2024-04-29",
            ),
            (
                periods.Grid(day("2023-11-30"), 3),
                "2023-11-30..2024-02-28 2024-02-29..2024-05-29"
                " 2024-05-30..2024-08-29 2024-08-30..2024-11-29",
            ),
            (
                periods.Grid(day("2024-02-29"), 12),
                "2024-02-29..2025-02-27 2025-02-28..2026-02-27 2026-02-28..2027-02-27"
                " 2027-02-28..2028-02-28 2028-02-29..2029-02-27",
            ),
            (
                periods.Grid(day("2023-01-31"), 1),
                "2023-01-31..2023-02-27 2023-02-28..2023-03-30 2023-03-31..2023-04-29",
            ),
        ]
        for grid, text in table:
            expected = spans(text)
            with self.subTest(anchor=grid.anchor, count=grid.count):
                self.assertEqual([grid.period(n) for n in range(len(expected))], expected)

    def test_weeks(self):
        grid = periods.Grid(day("2023-04-01"), 2, "week")
        self.assertEqual(grid.period(-1), span("2023-03-18..2023-03-31"))
        self.assertEqual(grid.period(0), span("2023-04-01..2023-04-14"))
        self.assertEqual(grid.period(26), span("2024-03-30..2024-04-12"))
        self.assertEqual(grid.index(day("2023-03-31")), -1)
        self.assertEqual(grid.index(day("2023-04-14")), 0)

    def test_before_the_anchor(self):
        grid = periods.Grid(day("2024-03-31"))
        self.assertEqual(grid.period(-1), span("2024-02-29..2024-03-30"))
        self.assertEqual(grid.period(-2), span("2024-01-31..2024-02-28"))
        self.assertEqual(grid.index(day("2024-02-28")), -2)
        self.assertEqual(grid.index(day("2024-02-29")), -1)

    def test_shorter_than_one_unit(self):
        for count in (0, -1):
            with self.subTest(count=count), self.assertRaises(ValueError):
                periods.Grid(day("2024-01-01"), count)

    @settings(max_examples=150, **FIXED)
    @given(grid=grids(), number=st.integers(-60, 720))
    def test_starts_come_from_the_anchor(self, grid, number):
        """Also 60 years on: the 31st and 29 February come back, and nothing drifts."""
        number //= grid.count
        self.assertEqual(grid.start(number), slow_start(grid, number))

    @settings(max_examples=100, **FIXED)
    @given(grid=grids(), number=st.integers(-60, 60))
    def test_no_gap_no_overlap(self, grid, number):
        period, following = grid.period(number), grid.period(number + 1)
        self.assertLessEqual(period.date_from, period.date_to)
        self.assertEqual(following.date_from, period.date_to + DAY)

    @settings(max_examples=100, **FIXED)
    @given(grid=grids(), number=st.integers(-60, 60))
    def test_index_and_period_agree(self, grid, number):
        period = grid.period(number)
        self.assertEqual(grid.index(period.date_from), number)
        self.assertEqual(grid.index(period.date_to), number)
        self.assertEqual(grid.index(period.date_to + DAY), number + 1)

    @settings(max_examples=100, **FIXED)
    @given(grid=grids(), one=DATES)
    def test_period_of_any_day(self, grid, one):
        period = grid.period(grid.index(one))
        self.assertTrue(period.date_from <= one <= period.date_to)

    @settings(max_examples=80, **FIXED)
    @given(grid=grids(), first=DATES, length=LENGTHS)
    def test_cut(self, grid, first, length):
        whole = Span(first, first + timedelta(days=length))
        parts = list(grid.cut(whole))
        self.assertEqual(days_of(parts), each_day(*whole))
        self.assertEqual(
            [grid.index(part.date_from) for part in parts],
            list(range(grid.index(whole.date_from), grid.index(whole.date_to) + 1)),
        )
        for part in parts:
            self.assertEqual(grid.index(part.date_from), grid.index(part.date_to))

    def test_cut_sixty_years(self):
        whole = Span(day("2024-02-29"), day("2024-02-29") + timedelta(days=SIXTY_YEARS))
        for count, unit, number in ((1, "week", 3131), (1, "month", 720), (12, "month", 60)):
            with self.subTest(count=count, unit=unit):
                parts = list(periods.Grid(whole.date_from, count, unit).cut(whole))
                self.assertEqual(days_of(parts), each_day(*whole))
                self.assertEqual(len(parts), number)


@tagged("post_install", "-at_install")
class TestAnchor(BaseCase):
    def test_calendar(self):
        table = [
            ("2024-05-15", 1, "month", "2024-05-01"),
            ("2024-05-15", 2, "month", "2024-05-01"),
            ("2024-05-15", 3, "month", "2024-04-01"),
            ("2024-12-31", 3, "month", "2024-10-01"),
            ("2024-05-15", 4, "month", "2024-05-01"),
            ("2024-05-15", 6, "month", "2024-01-01"),
            ("2024-07-01", 6, "month", "2024-07-01"),
            ("2024-12-31", 12, "month", "2024-01-01"),
            ("2024-05-15", 24, "month", "2024-05-01"),
            ("2024-05-15", 1, "week", "2024-05-13"),
            ("2024-05-13", 2, "week", "2024-05-13"),
            ("2024-05-19", 3, "week", "2024-05-13"),
            ("2023-01-01", 12, "week", "2022-12-26"),
        ]
        for start, count, unit, expected in table:
            with self.subTest(start=start, count=count, unit=unit):
                found = periods.grid_anchor(day(start), count, unit, "calendar")
                self.assertEqual(found, day(expected))
                terms = Terms(day(start), count=count, unit=unit, anchor="calendar")
                self.assertEqual(terms.grid, periods.Grid(day(expected), count, unit))

    @settings(max_examples=100, **FIXED)
    @given(start=DATES, units=UNITS)
    def test_start(self, start, units):
        unit, count = units
        self.assertEqual(periods.grid_anchor(start, count, unit, "start"), start)

    @settings(max_examples=100, **FIXED)
    @given(terms=some_terms())
    def test_start_is_in_period_zero(self, terms):
        self.assertEqual(terms.grid.index(terms.start), 0)

    def test_unit_grids(self):
        """Units of a price lie on the anchor of their own length."""
        table = [
            ("start", "month", "2024-05-15", 1),
            ("start", "year", "2024-05-15", 12),
            ("calendar", "month", "2024-05-01", 1),
            ("calendar", "quarter", "2024-04-01", 3),
            ("calendar", "half_year", "2024-01-01", 6),
            ("calendar", "year", "2024-01-01", 12),
        ]
        for anchor, interval, expected, count in table:
            for unit in ("month", "week"):
                with self.subTest(anchor=anchor, interval=interval, unit=unit):
                    terms = Terms(day("2024-05-15"), count=2, unit=unit, anchor=anchor)
                    grid = periods.Grid(day(expected), count, "month")
                    self.assertEqual(terms.unit_grid(interval), grid)

    def test_units_of_the_billing_period(self):
        terms = Terms(day("2024-05-15"), count=2, unit="week", anchor="calendar")
        for interval in ("day", "week", "period"):
            with self.subTest(interval=interval):
                grid = periods.Grid(day("2024-05-13"), 2, "week")
                self.assertEqual(terms.unit_grid(interval), grid)


@tagged("post_install", "-at_install")
class TestTerms(BaseCase):
    def test_one_day(self):
        terms = Terms(day("2024-02-29"), day("2024-02-29"))
        due = periods.due_spans(terms, terms.start, terms.end, [], terms.start)
        self.assertEqual(due, spans("2024-02-29..2024-02-29"))

    def test_refused(self):
        start = day("2024-03-01")
        for values in (
            {"end": day("2024-02-29")},
            {"count": 0},
            {"count": 0, "unit": "week"},
            {"prebilling": -1},
        ):
            with self.subTest(**values), self.assertRaises(ValueError):
                Terms(start, **values)


# ---------------------------------------------------------------------------
# Spans
# ---------------------------------------------------------------------------


@tagged("post_install", "-at_install")
class TestSpans(BaseCase):
    def test_days(self):
        self.assertEqual(span("2024-02-28..2024-03-01").days, 3)
        self.assertEqual(span("2024-02-29..2024-02-29").days, 1)

    def test_clip(self):
        april = span("2024-04-01..2024-04-30")
        table = [
            (None, None, april),
            ("2024-04-10", None, span("2024-04-10..2024-04-30")),
            (None, "2024-04-10", span("2024-04-01..2024-04-10")),
            ("2024-04-30", "2024-05-10", span("2024-04-30..2024-04-30")),
            ("2024-03-01", "2024-05-10", april),
            ("2024-05-01", None, None),
            (None, "2024-03-31", None),
        ]
        for first, last, expected in table:
            with self.subTest(first=first, last=last):
                found = april.clip(first and day(first), last and day(last))
                self.assertEqual(found, expected)

    @settings(max_examples=100, **FIXED)
    @given(data=st.data(), first=DATES, length=LENGTHS)
    def test_open_spans(self, data, first, length):
        last = first + timedelta(days=length)
        taken = data.draw(some_spans(first))
        found = periods.open_spans(first, last, taken)
        covered = set(days_of(taken))
        expected = [one for one in each_day(first, last) if one not in covered]
        self.assertEqual(days_of(found), expected)
        for before, after in zip(found, found[1:], strict=False):
            self.assertGreater(after.date_from, before.date_to + DAY)

    @settings(max_examples=100, **FIXED)
    @given(data=st.data(), first=DATES, length=st.none() | LENGTHS)
    def test_first_open_day(self, data, first, length):
        last = None if length is None else first + timedelta(days=length)
        taken = data.draw(some_spans(first))
        covered = set(days_of(taken))
        horizon = last or first + timedelta(days=1000)
        expected = [one for one in each_day(first, horizon) if one not in covered]
        self.assertEqual(
            periods.first_open_day(first, last, taken), expected[0] if expected else None
        )


# ---------------------------------------------------------------------------
# What is due
# ---------------------------------------------------------------------------


def invoiced_to(start: date, until: str | None) -> list[Span]:
    return [Span(start, day(until))] if until else []


@tagged("post_install", "-at_install")
class TestDueExamples(BaseCase):
    def test_until_a_date(self):
        """The first table: not split, one span whatever its length."""
        table = [
            ("2020-11-01", None, "2020-11-01..2020-11-25", 25),
            ("2020-01-10", None, "2020-01-10..2020-11-25", 321),
            ("2020-01-10", "2020-10-31", "2020-11-01..2020-11-25", 25),
        ]
        until = day("2020-11-25")
        for start, billed, expected, days in table:
            with self.subTest(start=start, billed=billed):
                terms = Terms(day(start), mode="date", until=until)
                taken = invoiced_to(terms.start, billed)
                due = periods.due_spans(terms, terms.start, None, taken, until)
                self.assertEqual(due, spans(expected))
                self.assertEqual(due[0].days, days)

    def test_rest_of_a_period_then_the_grid(self):
        terms = Terms(day("2020-01-10"))
        taken = spans("2020-01-10..2020-11-25")
        due = periods.due_spans(terms, terms.start, None, taken, day("2020-12-10"))
        self.assertEqual(due, spans("2020-11-26..2020-12-09 2020-12-10..2021-01-09"))

    def test_proposals(self):
        """The second table: start 2020-01-10, ad hoc runs."""
        first = "2020-01-10..2020-02-09"
        table = [
            (
                *(1, None, "2021-03-09", "2021-04-30", 1),
                "2021-03-10..2021-04-09 2021-04-10..2021-05-09 2021-05-10..2021-06-09",
            ),
            (
                *(3, None, "2021-04-09", "2021-12-31", 2),
                "2021-04-10..2021-07-09 2021-07-10..2021-10-09 2021-10-10..2022-01-09"
                " 2022-01-10..2022-04-09 2022-04-10..2022-07-09",
            ),
            (
                *(1, None, "2021-03-09", "2021-04-09", 1),
                "2021-03-10..2021-04-09 2021-04-10..2021-05-09",
            ),
            (
                *(1, None, "2021-03-09", "2021-04-10", 1),
                "2021-03-10..2021-04-09 2021-04-10..2021-05-09 2021-05-10..2021-06-09",
            ),
            (
                *(1, "2021-04-28", "2021-03-09", "2021-04-30", 1),
                "2021-03-10..2021-04-09 2021-04-10..2021-04-28",
            ),
            (1, None, None, "2020-01-05", 1, first),
            (1, None, None, "2020-01-05", 0, ""),
            (1, None, None, "2019-12-09", 1, ""),
            (1, None, None, "2019-12-10", 1, first),
        ]
        for count, end, billed, target, ahead, expected in table:
            with self.subTest(count=count, end=end, target=target, ahead=ahead):
                terms = Terms(day("2020-01-10"), end and day(end), count=count, prebilling=ahead)
                taken = invoiced_to(terms.start, billed)
                due = periods.due_spans(terms, terms.start, terms.end, taken, day(target))
                self.assertEqual(due, spans(expected))

    def test_scheduled_run(self):
        """A run for April takes a contract of the 10th up to 10 April – 9 May."""
        terms = Terms(day("2023-03-10"))
        taken = spans("2023-03-10..2023-04-09")
        due = periods.due_spans(terms, terms.start, None, taken, day("2023-04-30"))
        self.assertEqual(due, spans("2023-04-10..2023-05-09"))

    def test_arrears(self):
        """Only periods that are over; one that the end cuts is over on that day."""
        terms = Terms(day("2023-01-31"), day("2023-04-15"), timing="arrears", prebilling=2)
        table = [
            ("2023-02-26", ""),
            ("2023-02-27", "2023-01-31..2023-02-27"),
            ("2023-03-29", "2023-01-31..2023-02-27"),
            ("2023-03-30", "2023-01-31..2023-02-27 2023-02-28..2023-03-30"),
            ("2023-04-14", "2023-01-31..2023-02-27 2023-02-28..2023-03-30"),
            (
                "2023-04-15",
                "2023-01-31..2023-02-27 2023-02-28..2023-03-30 2023-03-31..2023-04-15",
            ),
        ]
        for target, expected in table:
            with self.subTest(target=target):
                due = periods.due_spans(terms, terms.start, None, [], day(target))
                self.assertEqual(due, spans(expected))

    def test_arrears_of_a_line_that_stops_earlier(self):
        """Its last part waits for the end of the contract's period: one document."""
        terms = Terms(day("2023-01-01"), timing="arrears")
        last = day("2023-01-20")
        for target, expected in (
            ("2023-01-20", ""),
            ("2023-01-30", ""),
            ("2023-01-31", "2023-01-01..2023-01-20"),
        ):
            with self.subTest(target=target):
                due = periods.due_spans(terms, terms.start, last, [], day(target))
                self.assertEqual(due, spans(expected))

    def test_until_the_end(self):
        terms = Terms(day("2023-01-15"), day("2023-03-20"), mode="end")
        for split, expected in (
            (False, "2023-01-15..2023-03-20"),
            (True, "2023-01-15..2023-02-14 2023-02-15..2023-03-14 2023-03-15..2023-03-20"),
        ):
            with self.subTest(split=split):
                one = replace(terms, split=split)
                due = periods.due_spans(one, one.start, None, [], one.start)
                self.assertEqual(due, spans(expected))

    def test_open_ended(self):
        """Until the end of a contract without end: an exception, not a guess."""
        terms = Terms(day("2023-01-15"), mode="end")
        with self.assertRaises(periods.OpenEnded):
            periods.due_spans(terms, terms.start, None, [], terms.start)
        with self.assertRaises(periods.OpenEnded):
            periods.due_spans(terms, terms.start, day("2023-05-01"), [], terms.start)

    def test_hole_is_proposed_again(self):
        terms = Terms(day("2023-01-01"))
        taken = spans("2023-03-01..2023-04-30 2023-01-01..2023-01-31")
        due = periods.due_spans(terms, terms.start, None, taken, day("2023-05-05"))
        self.assertEqual(due, spans("2023-02-01..2023-02-28 2023-05-01..2023-05-31"))

    def test_earlier_periods_left_out(self):
        """The period of that day stays whole; what does not invoice by period starts there."""
        skip = day("2023-03-10")
        by_period = "2023-03-01..2023-03-31 2023-04-01..2023-04-30"
        table = [
            ({"mode": "periodic"}, by_period),
            ({"mode": "end"}, "2023-03-10..2023-04-30"),
            ({"mode": "date", "until": day("2023-04-30")}, "2023-03-10..2023-04-30"),
            ({"mode": "end", "split": True}, by_period),
        ]
        for values, expected in table:
            with self.subTest(**values):
                terms = Terms(day("2023-01-01"), day("2023-04-30"), **values)
                due = periods.due_spans(
                    terms, terms.start, None, [], day("2023-04-30"), skip_before=skip
                )
                self.assertEqual(due, spans(expected))

    def test_skip_before_the_first_day_of_a_period(self):
        terms = Terms(day("2023-01-01"))
        for skip, expected in (
            ("2023-01-31", "2023-01-01..2023-01-31 2023-02-01..2023-02-28"),
            ("2023-02-01", "2023-02-01..2023-02-28"),
        ):
            with self.subTest(skip=skip):
                due = periods.due_spans(
                    terms, terms.start, None, [], day("2023-02-10"), skip_before=day(skip)
                )
                self.assertEqual(due, spans(expected))

    def test_date_without_a_date_and_end(self):
        terms = Terms(day("2023-01-01"), mode="date")
        self.assertEqual(periods.due_spans(terms, terms.start, None, [], day("2023-06-01")), [])
        self.assertIsNone(periods.next_invoicing_date(terms, terms.start))

    def test_calendar_quarters(self):
        """The first period is cut by the start, the last one by the end."""
        terms = Terms(day("2023-02-15"), day("2023-08-10"), count=3, anchor="calendar")
        due = periods.due_spans(terms, terms.start, None, [], day("2023-12-31"))
        self.assertEqual(
            due, spans("2023-02-15..2023-03-31 2023-04-01..2023-06-30 2023-07-01..2023-08-10")
        )

    def test_calendar_weeks(self):
        terms = Terms(day("2024-05-15"), unit="week", anchor="calendar")
        due = periods.due_spans(terms, terms.start, None, [], day("2024-05-20"))
        self.assertEqual(due, spans("2024-05-15..2024-05-19 2024-05-20..2024-05-26"))


@tagged("post_install", "-at_install")
class TestDue(BaseCase):
    @settings(max_examples=200, **FIXED)
    @given(case=cases(skip=True), data=st.data())
    def test_same_as_day_by_day(self, case, data):
        target = data.draw(targets_of(case.terms))
        self.assertEqual(case.due(target), slow_due(case, target))

    @settings(max_examples=80, **FIXED)
    @given(case=cases(), data=st.data())
    def test_no_overlap_no_hole(self, case, data):
        """With what is taken, every day up to the horizon is there, none of ours twice."""
        target = data.draw(targets_of(case.terms))
        due = case.due(target)
        mine = days_of(due)
        self.assertEqual(len(mine), len(set(mine)))
        taken = set(days_of(case.taken))
        self.assertFalse(taken & set(mine))
        if not due and case.terms.mode != "periodic":
            return
        horizon = periods.billing_horizon(case.terms, target)
        horizon = min(horizon, case.last) if case.last else horizon
        wanted = set(each_day(case.first, horizon))
        self.assertEqual(wanted - taken, set(mine))

    @settings(max_examples=60, **FIXED)
    @given(case=cases(), data=st.data())
    def test_nothing_is_left_after_billing(self, case, data):
        target = data.draw(targets_of(case.terms))
        billed = replace(case, taken=[*case.taken, *case.due(target)])
        self.assertEqual(billed.due(target), [])

    @settings(max_examples=60, **FIXED)
    @given(case=cases(), data=st.data())
    def test_later_targets_only_add(self, case, data):
        target = data.draw(targets_of(case.terms))
        later = target + timedelta(days=data.draw(st.integers(0, 400)))
        self.assertLessEqual(set(days_of(case.due(target))), set(days_of(case.due(later))))

    @settings(max_examples=5, **FIXED)
    @given(
        terms=some_terms(mode="periodic", lengths=st.just(SIXTY_YEARS)),
        data=st.data(),
    )
    def test_sixty_years(self, terms, data):
        terms = replace(terms, end=terms.start + timedelta(days=SIXTY_YEARS))
        taken = data.draw(some_spans(terms.start))
        case = Case(terms, terms.start, terms.end, taken)
        self.assertEqual(case.due(terms.end), slow_due(case, terms.end))


# ---------------------------------------------------------------------------
# When is it due
# ---------------------------------------------------------------------------


@tagged("post_install", "-at_install")
class TestNextInvoicingDate(BaseCase):
    def test_examples(self):
        start = day("2020-01-10")
        until, end = day("2020-06-30"), day("2020-05-20")
        table = [
            ({}, "2020-01-10", "2020-01-10"),
            ({}, "2020-02-09", "2020-01-10"),
            ({}, "2020-02-10", "2020-02-10"),
            ({"prebilling": 1}, "2020-01-10", "2019-12-10"),
            ({"prebilling": 2, "count": 3}, "2020-01-10", "2019-07-10"),
            ({"timing": "arrears"}, "2020-01-10", "2020-02-09"),
            ({"timing": "arrears", "prebilling": 3}, "2020-01-10", "2020-02-09"),
            ({"timing": "arrears", "end": end}, "2020-05-10", "2020-05-20"),
            ({"anchor": "calendar"}, "2020-01-10", "2020-01-01"),
            ({"anchor": "calendar", "unit": "week"}, "2020-01-10", "2020-01-06"),
            ({"mode": "date", "until": until}, "2020-06-30", "2020-06-30"),
            ({"mode": "date", "until": until}, "2020-07-01", None),
            ({"mode": "date", "until": until, "end": end}, "2020-05-21", None),
            ({"mode": "date"}, "2020-01-10", None),
            ({"mode": "end", "end": end}, "2020-05-20", "2020-05-20"),
            ({"end": end}, "2020-05-21", None),
            ({"mode": "end", "end": end}, "2020-05-21", None),
            ({"timing": "arrears", "end": end}, "2020-05-21", None),
        ]
        for values, open_day, expected in table:
            with self.subTest(open_day=open_day, **values):
                found = periods.next_invoicing_date(Terms(start, **values), day(open_day))
                self.assertEqual(found, expected and day(expected))

    def test_nothing_left(self):
        for mode in ("periodic", "date", "end"):
            with self.subTest(mode=mode):
                self.assertIsNone(
                    periods.next_invoicing_date(Terms(day("2020-01-10"), mode=mode), None)
                )

    def test_open_ended_is_looked_at(self):
        """A contract to be invoiced to an end that it lacks comes up, to say so."""
        terms = Terms(day("2020-01-10"), mode="end")
        self.assertEqual(periods.next_invoicing_date(terms, terms.start), terms.start)

    @settings(max_examples=200, **FIXED)
    @given(case=cases())
    def test_is_the_earliest_target(self, case):
        """The day before nothing is due, on the day something is."""
        open_day = periods.first_open_day(case.first, case.last, case.taken)
        found = periods.next_invoicing_date(case.terms, open_day)
        if found is None:
            for years in (0, 1, 5, 30):
                self.assertEqual(case.due(case.first + timedelta(days=366 * years)), [])
            return
        for before in (1, 2, 10, 31, 400):
            self.assertEqual(case.due(found - timedelta(days=before)), [])
        self.assertEqual(case.due(found)[0].date_from, open_day)

    @settings(max_examples=100, **FIXED)
    @given(terms=some_terms(), shift=st.integers(0, 900))
    def test_of_a_one_off_charge(self, terms, shift):
        one = terms.start + timedelta(days=shift)
        found = periods.next_invoicing_date(terms, one)
        if found is None:
            late = one + timedelta(days=20_000)
            self.assertIsNone(periods.once_period(terms, one, late))
            return
        self.assertIsNone(periods.once_period(terms, one, found - DAY))
        self.assertIsNotNone(periods.once_period(terms, one, found))


@tagged("post_install", "-at_install")
class TestOncePeriod(BaseCase):
    def test_examples(self):
        start, end = day("2020-01-10"), day("2020-03-20")
        table = [
            ({}, "2020-01-10", "2020-01-09", None),
            ({}, "2020-01-10", "2020-01-10", "2020-01-10..2020-02-09"),
            ({}, "2020-02-09", "2020-01-10", "2020-01-10..2020-02-09"),
            ({}, "2020-02-10", "2020-02-09", None),
            ({"prebilling": 1}, "2020-02-10", "2020-01-10", "2020-02-10..2020-03-09"),
            ({"timing": "arrears"}, "2020-01-10", "2020-02-08", None),
            ({"timing": "arrears"}, "2020-01-10", "2020-02-09", "2020-01-10..2020-02-09"),
            ({"end": end}, "2020-03-20", "2020-04-01", "2020-03-10..2020-03-20"),
            ({"end": end}, "2020-03-21", "2020-04-01", None),
            (
                {"timing": "arrears", "end": end},
                *("2020-03-10", "2020-03-20", "2020-03-10..2020-03-20"),
            ),
            ({"anchor": "calendar"}, "2020-01-15", "2020-01-31", "2020-01-10..2020-01-31"),
            ({"mode": "date", "until": end}, "2020-01-15", "2020-01-14", None),
            (
                {"mode": "date", "until": end},
                *("2020-01-15", "2020-01-15", "2020-01-15..2020-01-15"),
            ),
            ({"mode": "date", "until": end}, "2020-03-21", "2020-04-01", None),
            ({"mode": "end", "end": end}, "2020-03-20", "2020-03-20", "2020-03-20..2020-03-20"),
            ({"mode": "date"}, "2020-01-15", "2020-02-15", None),
        ]
        for values, one, target, expected in table:
            with self.subTest(day=one, target=target, **values):
                found = periods.once_period(Terms(start, **values), day(one), day(target))
                self.assertEqual(found, expected and span(expected))

    def test_open_ended(self):
        terms = Terms(day("2020-01-10"), mode="end")
        with self.assertRaises(periods.OpenEnded):
            periods.once_period(terms, terms.start, terms.start)

    @settings(max_examples=100, **FIXED)
    @given(terms=some_terms(mode="periodic"), shift=st.integers(0, 900), data=st.data())
    @example(
        terms=Terms(day("2024-01-31"), day("2024-03-05"), timing="arrears"), shift=30, data=None
    )
    def test_same_document_as_that_day(self, terms, shift, data):
        """It comes with the period in which its day would be invoiced."""
        one = terms.start + timedelta(days=shift)
        target = data.draw(targets_of(terms)) if data else terms.end
        due = periods.due_spans(terms, terms.start, terms.end, [], target)
        expected = [part for part in due if part.date_from <= one <= part.date_to]
        self.assertEqual(periods.once_period(terms, one, target), next(iter(expected), None))
