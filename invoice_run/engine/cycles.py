"""Dates of the runs of a schedule: pure functions, no ORM, no I/O.

Every date is computed from the first run's, never from the previous run's: the 31st comes
back after February, and nothing drifts.
"""

from __future__ import annotations

from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from .periods import DAY, Span

#: Months or weeks of one cycle; ``once`` has none.
CYCLE_MONTHS = {"monthly": 1, "quarterly": 3, "half_yearly": 6, "yearly": 12}
CYCLE_WEEKS = {"weekly": 1, "biweekly": 2}


def last_of_month(day: date) -> date:
    """Last day of the month of ``day``."""
    return day + relativedelta(day=31)


def shift(day: date, cycle: str, number: int, keep_last_day: bool = False) -> date:
    """``day`` moved by ``number`` cycles; in a shorter month a 31st becomes the last day.

    :param keep_last_day: a last day of a month stays one (invoice and due dates)
    """
    if cycle in CYCLE_WEEKS:
        return day + timedelta(weeks=CYCLE_WEEKS[cycle] * number)
    moved = day + relativedelta(months=CYCLE_MONTHS.get(cycle, 0) * number)
    if keep_last_day and cycle in CYCLE_MONTHS and day == last_of_month(day):
        return last_of_month(moved)
    return moved


def first_period_end(date_from: date, cycle: str) -> date:
    """Last day of the first period of a schedule: ``date_from`` + one cycle − 1 day."""
    return shift(date_from, cycle if cycle != "once" else "monthly", 1) - DAY


def run_period(date_from: date, date_to: date, cycle: str, number: int) -> Span:
    """Period of run ``number`` (0 = the first), both days inclusive."""
    if cycle == "once":
        return Span(date_from, date_to)
    return Span(shift(date_from, cycle, number), shift(date_from, cycle, number + 1) - DAY)


def activation_date(rule: str, period: Span, days_before: int) -> date | None:
    """Day on which a run becomes active.

    ``before_start``: ``days_before`` days before its period; ``first_of_month`` and
    ``fifth_of_month``: that day of the month after the one in which the period ends;
    ``disabled``: None, it is activated only by hand.
    """
    if rule == "before_start":
        return period.date_from - timedelta(days=days_before)
    if rule == "disabled":
        return None
    day = {"first_of_month": 1, "fifth_of_month": 5}[rule]
    return period.date_to + relativedelta(months=1, day=day)
