"""The usage items of an invoice as a file that customers can calculate with: CSV or XLSX.

Dates are dates and numbers are numbers, whatever the language: in CSV as 2024-01-31 and 12.5, with
semicolons between the columns, which spreadsheets in all countries accept, and a byte order mark,
by which they recognise UTF-8.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date

import xlsxwriter

#: First characters by which a spreadsheet takes a text for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
MIMETYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def render(kind: str, header: Sequence[str], rows: Iterable[Sequence]) -> bytes:
    """Return the file.

    :param kind: ``csv`` or ``xlsx``
    :param rows: of texts, dates and numbers
    """
    return (render_csv if kind == "csv" else render_xlsx)(header, rows)


def render_csv(header: Sequence[str], rows: Iterable[Sequence]) -> bytes:
    """Return the rows as CSV; a text that looks like a formula gets an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";", lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_get_csv_value(value) for value in row] for row in rows)
    return buffer.getvalue().encode("utf-8-sig")


def _get_csv_value(value):
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return value


def render_xlsx(header: Sequence[str], rows: Iterable[Sequence]) -> bytes:
    """Return the rows as a spreadsheet; text stays text."""
    buffer = io.BytesIO()
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(buffer, options) as book:
        bold = book.add_format({"bold": True})
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet = book.add_worksheet()
        sheet.set_column(0, len(header), 18)
        sheet.write_row(0, 0, header, bold)
        for number, row in enumerate(rows, 1):
            for column, value in enumerate(row):
                if isinstance(value, date):
                    sheet.write_datetime(number, column, value, day)
                else:
                    sheet.write(number, column, value)
    return buffer.getvalue()
