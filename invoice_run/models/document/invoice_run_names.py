from datetime import timedelta

from babel.dates import format_interval
from dateutil.relativedelta import relativedelta

from odoo import models
from odoo.tools import format_date
from odoo.tools.misc import babel_locale_parse

from ...memory import remember

#: More names than this are counted: the sections of the invoice name all.
MAX_NAMES = 3


class InvoiceRunDocument(models.Model):
    """The names of invoices to which the schedule gives none."""

    _inherit = "invoice.run.document"

    def _get_default_names(self):
        """Return what is invoiced and for which time, in the language of the customer.

        The time is left out for sources that follow Odoo's own invoices: an order has none.
        """
        self.ensure_one()
        document = self.with_context(lang=self.partner_id.lang or self.env.lang)
        sources = document.line_ids._get_sources()
        names = document._get_subjects() or [source._get_source_label() for source in sources]
        is_dated = not all(source._source_follows_invoices for source in sources)
        return [document._join_names(names), is_dated and document._get_period_name()]

    def _get_subjects(self):
        """Return the titles of the contracts; without one, numbers, also those of orders."""
        if self.contract_ids:
            return [contract.title or contract.name for contract in self.contract_ids]
        return self._get_source_names()

    def _join_names(self, names):
        """Return ``names`` with commas, each once; of many the first ones, and how many more."""
        names = list(dict.fromkeys(names))
        if len(names) <= MAX_NAMES:
            return ", ".join(names)
        return self.env._(
            "%(names)s and %(count)s others",
            names=", ".join(names[: MAX_NAMES - 1]),
            count=len(names) - MAX_NAMES + 1,
        )

    def _get_period_name(self):
        """Return the days of this document: whole months by their names, else from day to day."""
        first, last = self.date_from, self.date_to
        if not (first and last):
            return ""
        if first.day == 1 and (last + timedelta(days=1)).day == 1:
            return self._get_months_name(first, last)
        days = [format_date(self.env, day) for day in (first, last)]
        return days[0] if first == last else " – ".join(days)

    def _get_months_name(self, first, last):
        """Return e.g. "November 2026" or "October – December 2026"."""
        key = ("months", self.env.lang, first, last)
        return remember(self.env, key, lambda: self._format_months(first, last))

    def _format_months(self, first, last):
        locale = babel_locale_parse(self.env.lang)
        months = [day + relativedelta(day=1) for day in (first, last)]
        text = format_interval(*months, "yMMMM", locale=locale)
        # Babel puts thin spaces, which not every format of invoices can carry
        return text.replace("\u2009", " ").replace("\u202f", " ")
