"""What invoices in force charged, and what credits took back: plain rows, no ORM, no I/O.

``billing.ledger`` (``models/ledger/``) reads the rows from the journal items; this module
says what they mean. Money is positive where it was invoiced and negative where it was credited,
whatever the type of the invoice. All dates are inclusive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from .periods import DAY, Span, exact, round_half_up

#: What an entry does to days and to money.
BILLED = "billed"  # invoices its days
RELEASED = "released"  # releases days, with their money: they are not invoiced any more
RESTORED = "restored"  # undoes a release: invoices these days again
DAYS = "days"  # credits its days; the days stay invoiced
LAST = "last"  # counted from the last day invoiced; the days stay invoiced
GOODWILL = "goodwill"  # for no particular days
UNASKED = "unasked"  # nobody was asked for which days

#: {day: share of the amount that is for the days up to and including it}, from 0 to 1.
Share = Callable[[date], Fraction]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One journal item that invoices something of a run, or credits it.

    :param record_id: the record that was asked about: price line, usage item or order line
    :param kind: one of the constants above
    :param line_id: the journal item; None where a period was settled without an invoice
    :param move_id: its invoice or credit note, as above
    :param amount_id: the ``invoice.run.line`` that claims what is invoiced here; of a credit the
        one that the credited invoice line is about; None on invoices that Sales created alone
    :param origin_id: of a credit: the journal item of the invoice line that it credits
    :param date_from: first day that it is about; None where it is not about days
    :param date_to: last day that it is about
    :param accounting_date: date of the entry in the books
    :param is_posted: whether it is confirmed; a draft is not in the books yet
    :param currency_id: currency of the invoice
    :param coin: smallest coin of that currency
    :param amount: untaxed, in the currency of the invoice
    :param company_amount: untaxed, in company currency, as booked (at the rate of then)
    :param tax_amount: all taxes of this line, in the currency of the invoice, as Odoo shows them
        on the line (taxes rounded per document: without the line's share of the difference)
    :param price_amount: quantity × price after discount, to the coin: tax included where the tax is
    :param account_id: the account in the books; None without a journal item
    :param product_id: the product
    :param analytic_distribution: as on the journal item, {} for none
    :param planned_amount: amount of ``amount_id`` as its run approved it: not what was invoiced
    :param net_price: price of one unit of time then, see ``invoice.run.line``
    """

    record_id: int
    kind: str
    line_id: int | None
    move_id: int | None
    amount_id: int | None
    origin_id: int | None
    date_from: date | None
    date_to: date | None
    accounting_date: date
    is_posted: bool
    currency_id: int
    coin: float
    amount: float
    company_amount: float
    tax_amount: float
    price_amount: float
    account_id: int | None
    product_id: int | None
    analytic_distribution: dict
    planned_amount: float
    net_price: float

    @property
    def span(self) -> Span | None:
        """The days that this entry is about, None where it is about none."""
        if self.date_from is None or self.date_to is None:
            return None
        return Span(self.date_from, self.date_to)


@dataclass(frozen=True, slots=True)
class BilledLine:
    """One invoice line in force, and everything that credits something of it."""

    entry: LedgerEntry
    credits: tuple[LedgerEntry, ...] = ()

    def left(self, measure: str = "amount") -> Fraction:
        """Return the part that was not credited, goodwill included.

        :param measure: which figure of the entries: ``amount``, ``company_amount`` or
            ``price_amount``
        """
        figures = (getattr(entry, measure) for entry in (self.entry, *self.credits))
        return sum(map(exact, figures), Fraction())

    def left_after(
        self, day: date, share: Share, measure: str = "amount", coin: float | None = None
    ) -> Fraction:
        """Return the part for the days after ``day`` that was not credited.

        Never more than :meth:`left`. A credit for days counts for these days, one for the last
        days counts from the last day back, a goodwill credit for none; a credit that nobody has
        explained counts as one for the last days.

        :param share: how the amount is spread over the days, see ``billing.ledger._get_share``
        :param coin: smallest coin of ``measure``, default that of the invoice's currency
        """
        coin = exact(coin or self.entry.coin)
        billed = exact(getattr(self.entry, measure))
        after = billed - round_half_up(billed * share(day), coin)
        for credit in self.credits:
            figure = exact(getattr(credit, measure))
            after += round_half_up(figure * _share_after(credit, day, share), coin)
        return _between(after, self.left(measure))

    def is_released(self) -> bool:
        """Whether nothing of what it invoiced is still invoiced."""
        if self.entry.span:
            return not self.open_days()
        kinds = [credit.kind for credit in self.credits]
        return kinds.count(RELEASED) > kinds.count(RESTORED)

    def open_days(self) -> list[Span]:
        """The days that it invoices and that no credit released, in order."""
        if not self.entry.span:
            return []
        return net_spans([self.entry, *self.credits])


def _between(value: Fraction, limit: Fraction) -> Fraction:
    """``value``, but not beyond 0 and ``limit``, which may be negative."""
    return min(max(value, Fraction()), limit) if limit >= 0 else max(min(value, 0), limit)


def _share_after(credit: LedgerEntry, day: date, share: Share) -> Fraction:
    """The share of ``credit`` that is for the days after ``day``."""
    if credit.kind == GOODWILL:
        return Fraction()
    if credit.kind in (LAST, UNASKED) or not credit.span:
        return Fraction(1)
    first, last = credit.span
    if day < first:
        return Fraction(1)
    if day >= last:
        return Fraction()
    whole = share(last) - share(first - DAY)
    if not whole:
        return Fraction((last - day).days, credit.span.days)
    return (share(last) - share(day)) / whole


def net_spans(entries: list[LedgerEntry]) -> list[Span]:
    """The days that ``entries`` of one record invoice and that none of them released, in order."""
    changes = {}
    for entry in entries:
        if entry.span and entry.kind in (BILLED, RESTORED, RELEASED):
            sign = -1 if entry.kind == RELEASED else 1
            first, last = entry.span
            changes[first] = changes.get(first, 0) + sign
            changes[last + DAY] = changes.get(last + DAY, 0) - sign
    spans, count, begin = [], 0, None
    for day in sorted(changes):
        count += changes[day]
        if count > 0 and begin is None:
            begin = day
        elif count <= 0 and begin is not None:
            spans.append(Span(begin, day - DAY))
            begin = None
    return spans


def share_by_days(span: Span) -> Share:
    """Spread an amount evenly over the days of ``span``."""

    def share(day: date) -> Fraction:
        days = (min(day, span.date_to) - span.date_from).days + 1
        return Fraction(max(days, 0), span.days)

    return share
