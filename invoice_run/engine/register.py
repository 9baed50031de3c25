"""The report of a run as plain data, from which the PDF and the spreadsheet are written."""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Amount(NamedTuple):
    value: float
    #: digits after the point, of the amount's currency
    digits: int


class Column(NamedTuple):
    label: str
    #: `text`, `date`, `count` or `amount`
    kind: str
    #: share of the page's width
    weight: int


class Section(NamedTuple):
    title: str
    columns: list[Column]
    #: yields tuples with a value for each column, None where there is none
    rows: Callable[[], Iterable[tuple]]
    #: the last row is a total
    has_total: bool = False


class Register(NamedTuple):
    title: str
    #: name, then address, of the company that issues the invoices
    company: list[str]
    #: picture, as bytes, or nothing
    logo: bytes | None
    #: (label, text)
    facts: list[tuple[str, str]]
    #: short: on the first pages, or the first sheet
    totals: list[Section]
    #: as long as the run is large
    lists: list[Section]
