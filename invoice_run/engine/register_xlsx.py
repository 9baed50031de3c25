"""The report of a run as a spreadsheet. Rows go to disk as they come (`constant_memory`)."""

import io

import xlsxwriter

#: The longest name of a sheet, and the characters that it must not have.
SHEET_LENGTH = 31
NOT_IN_NAMES = str.maketrans("", "", "[]:*?/\\'")
WIDTHS = {"text": 22, "date": 12, "count": 10, "amount": 15}


class RegisterXlsx:
    """Writes a report into a spreadsheet: a sheet with the totals, then one for each list."""

    def __init__(self, register, totals_name):
        """:param totals_name: name of the first sheet"""
        self.register = register
        self.totals_name = totals_name

    def render(self):
        """Return the file, as bytes."""
        buffer = io.BytesIO()
        # a customer's name may begin like a formula or a link: text stays text
        options = {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        }
        with xlsxwriter.Workbook(buffer, options) as self.book:
            self.bold = self.book.add_format({"bold": True})
            self.large = self.book.add_format({"bold": True, "font_size": 14})
            self.formats = {}
            self._write_totals()
            for section in self.register.lists:
                self._write_list(section)
        return buffer.getvalue()

    def _write_totals(self):
        sheet = self._add_sheet(self.totals_name)
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 10, 18)
        sheet.write_string(0, 0, self.register.title, self.large)
        row = 1
        for line in self.register.company:
            sheet.write_string(row, 0, line)
            row += 1
        row += 1
        for label, text in self.register.facts:
            sheet.write_string(row, 0, label, self.bold)
            sheet.write_string(row, 1, text)
            row += 1
        for section in self.register.totals:
            row = self._write_section(sheet, section, row + 1)

    def _write_section(self, sheet, section, row):
        """Write a section from ``row`` on; return the row after it."""
        rows = list(section.rows())
        if not rows:
            return row - 1
        sheet.write_string(row, 0, section.title, self.bold)
        row += 1
        for number, column in enumerate(section.columns):
            sheet.write_string(row, number, column.label, self.bold)
        for values in rows:
            row += 1
            self._write_row(sheet, row, section.columns, values)
        return row + 1

    def _write_list(self, section):
        sheet = self._add_sheet(section.title)
        sheet.freeze_panes(1, 0)
        for number, column in enumerate(section.columns):
            sheet.set_column(number, number, WIDTHS[column.kind])
            sheet.write_string(0, number, column.label, self.bold)
        row = 0
        for row, values in enumerate(section.rows(), 1):
            self._write_row(sheet, row, section.columns, values)
        if row:
            sheet.autofilter(0, 0, row, len(section.columns) - 1)

    def _write_row(self, sheet, row, columns, values):
        for number, (column, value) in enumerate(zip(columns, values, strict=True)):
            if value is None or value is False:
                continue
            if column.kind == "amount":
                sheet.write_number(row, number, value.value, self._get_format(value.digits))
            elif column.kind == "count":
                sheet.write_number(row, number, value)
            elif column.kind == "date":
                sheet.write_datetime(row, number, value, self._get_format("date"))
            else:
                sheet.write_string(row, number, str(value))

    def _get_format(self, key):
        """Return the format of dates, or of amounts with ``key`` digits after the point."""
        if key not in self.formats:
            pattern = self._get_pattern(key)
            self.formats[key] = self.book.add_format({"num_format": pattern})
        return self.formats[key]

    def _get_pattern(self, key):
        if key == "date":
            return "yyyy-mm-dd"
        return "#,##0." + "0" * key if key else "#,##0"

    def _add_sheet(self, name):
        return self.book.add_worksheet(name.translate(NOT_IN_NAMES)[:SHEET_LENGTH])
