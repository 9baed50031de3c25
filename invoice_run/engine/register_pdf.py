"""The report of a run as PDF. Rows are drawn as they come: only finished pages are in memory."""

import io
from functools import cache, lru_cache

from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from odoo.tools import file_path

SIZE = landscape(A4)
MARGIN = 36
BOTTOM = 48
ROW = 12.5
FONT_SIZE = 7.5
GAP = 6
GREY, LIGHT = (0.35, 0.35, 0.35), (0.8, 0.8, 0.8)
FACT_COLUMNS = 3
REGULAR, BOLD = "invoice_run.regular", "invoice_run.bold"
FILES = {REGULAR: "Open_Sans-Regular.ttf", BOLD: "Open_Sans-Bold.ttf"}
#: Spaces of numbers and times in some languages; few fonts have them.
NARROW_SPACES = dict.fromkeys((0x2009, 0x202F), "\xa0")
#: Scripts that no font of Odoo has: the PDF names a font that readers, or systems, bring.
EAST_ASIAN = (("぀", "ヿ", "HeiseiKakuGo-W5"), ("가", "힣", "HYGothic-Medium"))
OTHER = "STSong-Light"


class PagedCanvas(Canvas):
    """Holds the pages until their number is known."""

    def __init__(self, *args, draw_footer, **kwargs):
        super().__init__(*args, **kwargs)
        self.draw_footer = draw_footer
        self.pages = []

    def showPage(self):
        self.pages.append(dict(self.__dict__))
        self._startPage()

    def save(self):
        pages = self.pages
        for number, page in enumerate(pages, 1):
            self.__dict__.update(page)
            self.draw_footer(self, number, len(pages))
            Canvas.showPage(self)
        return super().save()


class RegisterPdf:
    """Writes the report of a run into a PDF.

    :param format_amount: called with value and digits
    :param format_date: called with a date
    :param format_page: called with the page's number and their number
    """

    def __init__(self, register, format_amount, format_date, format_page):
        register_fonts()
        self.register = register
        self.format_amount = format_amount
        self.format_date = cache(format_date)
        self.format_page = format_page
        self.width = SIZE[0] - 2 * MARGIN
        self.y = 0

    def render(self):
        """Return the PDF, as bytes."""
        buffer = io.BytesIO()
        self.canvas = PagedCanvas(
            buffer, pagesize=SIZE, pageCompression=1, draw_footer=self._draw_footer
        )
        self.canvas.setTitle(self.register.title)
        self.canvas.setAuthor(self.register.company[0])
        self._begin_page()
        self._draw_facts()
        for section in (*self.register.totals, *self.register.lists):
            self._draw_section(section)
        self.canvas.showPage()
        self.canvas.save()
        return buffer.getvalue()

    # ------------------------------------------------------------------
    # Pages
    # ------------------------------------------------------------------

    def _begin_page(self):
        top = SIZE[1] - MARGIN
        self._draw_text(self.register.title, MARGIN, top - 10, BOLD, 13)
        right = SIZE[0] - MARGIN
        name, *address = self.register.company
        self._draw_text(name, right, top - 8, BOLD, 9, align="right")
        for number, line in enumerate(address, 1):
            self._draw_text(line, right, top - 8 - 9 * number, REGULAR, 7, align="right")
        self._draw_logo(MARGIN, top - 46)
        self.y = top - 62
        self._draw_rule(self.y + 8)

    def _draw_logo(self, x, y):
        if not self.register.logo:
            return
        # one reader for all pages: the picture is in the file once
        self.logo = getattr(self, "logo", None) or ImageReader(io.BytesIO(self.register.logo))
        width, height = self.logo.getSize()
        scale = min(120 / width, 28 / height)
        self.canvas.drawImage(self.logo, x, y, width * scale, height * scale, mask="auto")

    def _draw_footer(self, canvas, number, count):
        text = self.format_page(number, count)
        canvas.setFont(REGULAR, 7)
        canvas.setFillColorRGB(*GREY)
        canvas.drawRightString(SIZE[0] - MARGIN, MARGIN - 10, text)
        canvas.drawString(MARGIN, MARGIN - 10, self.register.title)

    def _need(self, height):
        """Begin a new page where ``height`` is not left on this one; return whether it did."""
        if self.y - height >= BOTTOM:
            return False
        self.canvas.showPage()
        self._begin_page()
        return True

    # ------------------------------------------------------------------
    # Content
    # ------------------------------------------------------------------

    def _draw_facts(self):
        width = self.width / FACT_COLUMNS
        facts = self.register.facts
        rows = -(-len(facts) // FACT_COLUMNS)
        for number, (label, text) in enumerate(facts):
            x = MARGIN + width * (number // rows)
            y = self.y - ROW * (number % rows + 1)
            self._draw_text(label, x, y, REGULAR, FONT_SIZE, color=GREY)
            text = self._cut(text, REGULAR, width - 110)
            self._draw_text(text, x + 100, y, REGULAR, FONT_SIZE)
        self.y -= ROW * rows

    def _draw_section(self, section):
        rows = iter(section.rows())
        row = next(rows, None)
        if row is None:
            return
        cells = self._place(section.columns)
        self._need(5 * ROW)
        self.y -= 2 * ROW
        self._draw_text(section.title, MARGIN, self.y, BOLD, 10)
        self._draw_head(cells)
        while row is not None:
            following = next(rows, None)
            is_total = section.has_total and following is None
            if self._need(ROW):
                self._draw_head(cells)
            self._draw_row(cells, row, is_total)
            row = following

    def _place(self, columns):
        """Return (column, left, right) on the page."""
        scale = self.width / max(sum(column.weight for column in columns), 100)
        cells, x = [], MARGIN
        for column in columns:
            cells.append((column, x, x + column.weight * scale - GAP))
            x += column.weight * scale
        return cells

    def _draw_head(self, cells):
        self.y -= ROW
        for column, left, right in cells:
            align = "right" if column.kind in ("amount", "count") else "left"
            label = self._cut(column.label, BOLD, right - left)
            x = right if align == "right" else left
            self._draw_text(label, x, self.y, BOLD, FONT_SIZE, align, GREY)
        self._draw_rule(self.y - 3)

    def _draw_row(self, cells, row, is_total):
        self.y -= ROW
        font = BOLD if is_total else REGULAR
        if is_total:
            self._draw_rule(self.y + ROW - 3)
        self.canvas.setFillColorRGB(0, 0, 0)
        # one text object a row: three times as fast as a string each
        drawn = self.canvas.beginText()
        for (column, left, right), value in zip(cells, row, strict=True):
            if value is None or value is False:
                continue
            text = self._get_text(column.kind, value)
            name = choose_font(text, font)
            if column.kind in ("amount", "count"):
                left = right - pdfmetrics.stringWidth(text, name, FONT_SIZE)
            else:
                text = self._cut(text, font, right - left)
            drawn.setFont(name, FONT_SIZE)
            drawn.setTextOrigin(left, self.y)
            drawn.textOut(text)
        self.canvas.drawText(drawn)

    def _get_text(self, kind, value):
        if kind == "amount":
            text = self.format_amount(value.value, value.digits)
        elif kind == "date":
            text = self.format_date(value)
        elif kind == "count":
            text = self.format_amount(value, 0)
        else:
            text = " ".join(str(value).split())
        return text.translate(NARROW_SPACES)

    def _draw_rule(self, y):
        self.canvas.setStrokeColorRGB(*LIGHT)
        self.canvas.setLineWidth(0.5)
        self.canvas.line(MARGIN, y, SIZE[0] - MARGIN, y)

    def _draw_text(self, text, x, y, font, size, align="left", color=(0, 0, 0)):
        text = text.translate(NARROW_SPACES)
        self.canvas.setFillColorRGB(*color)
        self.canvas.setFont(choose_font(text, font), size)
        draw = self.canvas.drawRightString if align == "right" else self.canvas.drawString
        draw(x, y, text)

    def _cut(self, text, font, width):
        text = text.translate(NARROW_SPACES)
        return cut(text, choose_font(text, font), width)


@lru_cache(10_000)
def cut(text, font, width):
    """Return as much of ``text`` as fits, with an ellipsis where some is missing."""
    length = pdfmetrics.stringWidth(text, font, FONT_SIZE)
    while length > width and len(text) > 1:
        text = text[: max(0, min(len(text) - 2, int(len(text) * width / length) - 1))] + "…"
        length = pdfmetrics.stringWidth(text, font, FONT_SIZE)
    return text


def register_fonts():
    for name, file in FILES.items():
        if name not in pdfmetrics.getRegisteredFontNames():
            path = file_path(f"web/static/fonts/google/Open_Sans/{file}")
            pdfmetrics.registerFont(TTFont(name, path))


def choose_font(text, font):
    """Return ``font``, or one that has what ``text`` is written in."""
    known = pdfmetrics.getFont(font).face.charToGlyph
    if text.isascii() or all(ord(char) in known for char in text):
        return font
    name = OTHER
    for first, last, candidate in EAST_ASIAN:
        if any(first <= char <= last for char in text):
            name = candidate
    if name not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(name))
    return name
