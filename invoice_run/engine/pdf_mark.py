"""A word across each page of a PDF, as on a proof."""

import io

from reportlab.lib.colors import Color
from reportlab.pdfgen.canvas import Canvas

from odoo.tools.pdf import PdfFileReader, PdfFileWriter

FONT = "Helvetica-Bold"
COLOR = Color(0.8, 0.1, 0.1, alpha=0.18)
#: The part of the page's diagonal that the word takes.
PART = 0.6


def mark_pages(content, text):
    """Return the PDF ``content`` with ``text`` across each of its pages, from corner to corner."""
    writer = PdfFileWriter()
    for page in PdfFileReader(io.BytesIO(content), strict=False).pages:
        box = page.mediaBox
        page.mergePage(_make_mark(text, float(box.getWidth()), float(box.getHeight())))
        writer.addPage(page)
    marked = io.BytesIO()
    writer.write(marked)
    return marked.getvalue()


def _make_mark(text, width, height):
    """Return a page of this size with nothing but ``text`` on it."""
    packet = io.BytesIO()
    canvas = Canvas(packet, pagesize=(width, height))
    size = PART * (width**2 + height**2) ** 0.5 / max(canvas.stringWidth(text, FONT, 1), 1)
    canvas.setFont(FONT, size)
    canvas.setFillColor(COLOR)
    canvas.translate(width / 2, height / 2)
    canvas.rotate(45)
    canvas.drawCentredString(0, -size / 3, text)
    canvas.save()
    packet.seek(0)
    return PdfFileReader(packet).pages[0]
