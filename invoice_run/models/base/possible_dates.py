"""Refuses years that can only be typing errors, before they create runs for centuries."""

from dateutil.relativedelta import relativedelta

from odoo.exceptions import ValidationError
from odoo.tools import format_date

FIRST_YEAR, LAST_YEAR = 1900, 2200
#: How far ahead amounts are calculated at most: a year may have 12 or 52 for each price line.
MAX_YEARS_AHEAD = 10


def check_years(records, names):
    """Refuse dates of these fields in years before ``FIRST_YEAR`` or after ``LAST_YEAR``.

    :raises ValidationError: names the field
    """
    for record in records:
        for name in names:
            day = record[name]
            if day and not FIRST_YEAR <= day.year <= LAST_YEAR:
                raise ValidationError(
                    record.env._(
                        "“%(field)s”: the year %(year)s is not plausible. Correct the date, or "
                        "leave it empty if there is none.",
                        field=record._fields[name]._description_string(record.env),
                        year=f"{day.year:04}",
                    )
                )


def check_ahead(record, name, today, years=MAX_YEARS_AHEAD):
    """Refuse a date up to which amounts are computed, more than so many years ahead.

    :param record: one record
    :raises ValidationError: names the field and the last day
    """
    check_years(record, [name])
    last = today + relativedelta(years=years)
    if record[name] and record[name] > last:
        raise ValidationError(
            record.env._(
                "“%(field)s”: the last possible date is %(last)s. Correct the date.",
                field=record._fields[name]._description_string(record.env),
                last=format_date(record.env, last),
            )
        )
