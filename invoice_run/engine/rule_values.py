"""Parses the text of a scenario's rule. Pure: no ORM, no I/O. All raise ValueError."""

import math
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

#: Dates that move along with the calendar, from the company's local day.
RELATIVE_DATES = {
    "today": lambda today: today,
    "month_start": lambda today: today + relativedelta(day=1),
    "month_end": lambda today: today + relativedelta(day=31),
    "previous_month_start": lambda today: today + relativedelta(months=-1, day=1),
    "previous_month_end": lambda today: today + relativedelta(day=1) - timedelta(days=1),
}
BOOLEANS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def parse_boolean(text) -> bool:
    """Return yes, true, 1 or no, false, 0 as a boolean."""
    if text.lower() not in BOOLEANS:
        raise ValueError(text)
    return BOOLEANS[text.lower()]


def parse_date(text, today) -> date:
    """Return 2025-01-31, or one of ``RELATIVE_DATES``, as a date."""
    if text in RELATIVE_DATES:
        return RELATIVE_DATES[text](today)
    return date.fromisoformat(text)


def parse_number(text, whole=False):
    """Return a finite number, whole where ``whole``."""
    number = int(text) if whole else float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
