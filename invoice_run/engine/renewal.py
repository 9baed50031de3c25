"""The next term of a contract: pure functions, no ORM, no I/O."""

from __future__ import annotations

from datetime import date

from dateutil.relativedelta import relativedelta

from .periods import DAY


def next_end(start: date, term_start: date, end: date) -> date:
    """Last day of the term after the one from ``term_start`` to ``end``, as long as that.

    A term of whole months has as many again; counted from ``start``, the first day of the contract,
    where terms begin on its day of the month, so that the 31st comes back after February. Any
    other term has as many days again. All days are inclusive.
    """
    for anchor in (start, term_start):
        begun, ended = _count_months(anchor, term_start), _count_months(anchor, end + DAY)
        if begun is not None and ended is not None:
            return anchor + relativedelta(months=2 * ended - begun) - DAY
    return end + (end + DAY - term_start)


def _count_months(anchor: date, day: date) -> int | None:
    """Return how many months after ``anchor`` this day is; None: it is not a whole number."""
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    return months if anchor + relativedelta(months=months) == day else None
