"""Refuses years that can only be typing errors, before they make runs for centuries."""

from odoo.exceptions import ValidationError

FIRST_YEAR, LAST_YEAR = 1900, 2200


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
                        "“%(field)s”: the year %(year)s cannot be meant. Correct the date; where "
                        "there is no such day, leave it empty.",
                        field=record._fields[name]._description_string(record.env),
                        year=f"{day.year:04}",
                    )
                )
