"""Many PDFs into one file, on disk: memory holds one of them and a table of positions.

A PDF is a heap of numbered objects and a table that says where each one begins (ISO 32000-1,
7.5). The objects of each source are written as soon as they are read, under new numbers. Objects
that are equal, fonts and the logo of the letterhead, are written once.
"""

import hashlib
import inspect
import io

from odoo.tools.pdf import (
    ArrayObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NumberObject,
    OdooPdfFileReader,
    generic,
)

#: What a page may take from the nodes above it (ISO 32000-1, table 30).
INHERITED = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")
#: Entries of a page that refer to objects outside of it.
LEFT_OUT = ("/Parent", "/StructParents", "/B", "/Metadata")
#: Nodes above a page; a balanced tree of a million pages has twenty.
MOST_LEVELS = 1000
_STREAM_ONLY = len(inspect.signature(DictionaryObject.write_to_stream).parameters) == 2


class PdfBinder:
    """Binds PDFs; use as a context manager, the file is complete at its end."""

    def __init__(self, file):
        """:param file: binary file, open for writing"""
        self.file = file
        self.positions = [0]
        self.pages = []
        self.known = {}
        self.file.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        self.tree = self._reserve()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self._finish()

    def append(self, content):
        """Add all pages of a PDF; nothing of it counts if this fails.

        :param bytes content: the PDF
        :raises Exception: it cannot be read
        """
        pages = len(self.pages)
        try:
            reader = OdooPdfFileReader(io.BytesIO(content), strict=False)
            source = _Source(self)
            for page in reader.pages:
                self.pages.append(source.add_page(page))
        except Exception:
            del self.pages[pages:]
            raise

    def _reserve(self):
        self.positions.append(0)
        return len(self.positions) - 1

    def _refer(self, number):
        return IndirectObject(number, 0, None)

    def _write(self, number, data):
        self.positions[number] = self.file.tell()
        self.file.write(b"%d 0 obj\n" % number + data + b"\nendobj\n")

    def add(self, data):
        """Write the object ``data``, or find it among those written before; return its number."""
        key = hashlib.sha256(data).digest()
        if key not in self.known:
            self.known[key] = self._reserve()
            self._write(self.known[key], data)
        return self.known[key]

    def _finish(self):
        tree = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Pages"),
                NameObject("/Kids"): ArrayObject(map(self._refer, self.pages)),
                NameObject("/Count"): NumberObject(len(self.pages)),
            }
        )
        self._write(self.tree, serialize(tree))
        catalog = self._reserve()
        self._write(catalog, b"<< /Type /Catalog /Pages %d 0 R >>" % self.tree)
        start = self.file.tell()
        self.file.write(b"xref\n0 %d\n0000000000 65535 f \n" % len(self.positions))
        for position in self.positions[1:]:
            # a reserved number that was never written is a free one
            self.file.write(b"%010d 00000 n \n" % position if position else b"%010d 65535 f \n" % 0)
        self.file.write(
            b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n"
            % (len(self.positions), catalog, start)
        )


class _Source:
    """The objects of one PDF, and their numbers in the bound one."""

    def __init__(self, binder):
        self.binder = binder
        self.numbers = {}
        self.open = set()

    def add_page(self, page):
        values = {key: value for key, value in page.items() if key not in LEFT_OUT}
        for parent in _get_parents(page):
            for key in INHERITED:
                if key in parent:
                    values.setdefault(key, parent.raw_get(key))
        data = DictionaryObject({NameObject(key): self.convert(values[key]) for key in values})
        data[NameObject("/Parent")] = self.binder._refer(self.binder.tree)
        number = self.binder._reserve()
        self.binder._write(number, serialize(data))
        return number

    def convert(self, value):
        """Return ``value`` with the numbers of the bound file; write what it refers to."""
        if isinstance(value, IndirectObject):
            return self._copy_reference(value)
        if isinstance(value, ArrayObject):
            return ArrayObject(self.convert(item) for item in value)
        if isinstance(value, DictionaryObject):
            return self._copy_dictionary(value)
        return value

    def _copy_dictionary(self, value):
        result = type(value)() if isinstance(value, generic.StreamObject) else DictionaryObject()
        for key in value:
            result[NameObject(key)] = self.convert(value.raw_get(key))
        if isinstance(value, generic.StreamObject):
            result._data = value._data
        return result

    def _copy_reference(self, reference):
        key = (reference.idnum, reference.generation)
        if key in self.numbers:
            return self.binder._refer(self.numbers[key])
        if key in self.open:
            # refers to itself through others: its number is needed before it is written
            self.numbers[key] = self.binder._reserve()
            return self.binder._refer(self.numbers[key])
        target = reference.get_object()
        if isinstance(target, DictionaryObject) and target.get("/Type") in ("/Page", "/Pages"):
            # a link to another page of the source
            return generic.NullObject()
        self.open.add(key)
        data = serialize(self.convert(target))
        self.open.discard(key)
        if key in self.numbers:
            self.binder._write(self.numbers[key], data)
        else:
            self.numbers[key] = self.binder.add(data)
        return self.binder._refer(self.numbers[key])


def _get_parents(page):
    """Yield the nodes above ``page``, from below.

    :raises ValueError: there are too many of them: the file is broken, and they form a ring
    """
    parent = page.get("/Parent")
    for _level in range(MOST_LEVELS):
        if parent is None:
            return
        parent = parent.get_object()
        yield parent
        parent = parent.get("/Parent")
    raise ValueError("The pages of the PDF refer to each other in a circle.")


def serialize(value):
    """Return the bytes of a PDF object."""
    stream = io.BytesIO()
    if value is None:
        value = generic.NullObject()
    if _STREAM_ONLY:
        value.write_to_stream(stream)
    else:
        value.write_to_stream(stream, None)
    return stream.getvalue()
