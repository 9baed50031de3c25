from collections import defaultdict
from functools import partial

from odoo import api, models
from odoo.exceptions import UserError
from odoo.tools import SQL, format_date

from ...engine import periods, tariff
from ...memory import remember

#: What the items of a period come to. A value is what percentages go by.
AGGREGATES = {
    tariff.SUM: SQL("sum(usage.quantity)"),
    tariff.MAX: SQL("max(usage.quantity)"),
    tariff.LAST: SQL("(array_agg(usage.quantity ORDER BY usage.date DESC, usage.id DESC))[1]"),
    tariff.COUNT: SQL("count(usage.id)"),
    tariff.COUNT_DISTINCT: SQL("count(DISTINCT COALESCE(usage.usage_key, '#' || usage.id))"),
    "value": SQL("sum(usage.amount)"),
}


class BillingContractLine(models.Model):
    """What was measured in a period, and which amounts hold it: of many price lines at once."""

    _inherit = "billing.contract.line"

    def _get_aggregate(self):
        """Return what the price of this metered line depends on, see ``AGGREGATES``."""
        return "value" if self.tariff_id.model == tariff.PERCENTAGE else self.aggregation

    def _get_measure(self, span):
        """Return what was measured in ``span``, invoiced or not, as ``tariff.Measure``."""
        measures = remember(
            self.env,
            ("measure", self.id, span),
            lambda: self._read_measures([(self, span)]),
        )
        return measures[self.id, span]

    @api.model
    def _read_measures_ahead(self, pairs):
        """Remember what was measured in ``pairs`` (price line, span), read for all together."""
        measures = self._read_measures(pairs)
        for line, span in pairs:
            remember(self.env, ("measure", line.id, span), lambda: measures)

    @api.model
    def _read_measures(self, pairs, claimed=False):
        """Return {(line id, span): ``tariff.Measure``}, with one query for each aggregate.

        :param pairs: (price line, span)
        :param claimed: only of items that are invoiced, or in a run
        """
        usage_fields = ["contract_line_id", "date", "quantity", "usage_key", "amount", "state"]
        self.env["billing.usage"].flush_model(usage_fields)
        by_aggregate = defaultdict(list)
        for line, span in pairs:
            by_aggregate[line._get_aggregate()].append((line.id, span))
        measures = {}
        for aggregate, keys in by_aggregate.items():
            measures.update(self._read_aggregate(AGGREGATES[aggregate], keys, claimed))
        return measures

    def _read_aggregate(self, aggregate, keys, claimed):
        """Yield ((line id, span), ``tariff.Measure``) of ``keys``, those pairs in a list."""
        rows = self.env.execute_query(
            SQL(
                """
                SELECT span.number, COALESCE(%(aggregate)s, 0), count(usage.id)
                  FROM unnest(%(lines)s, %(first)s::date[], %(last)s::date[]) WITH ORDINALITY
                       AS span(line_id, first, last, number)
                  LEFT JOIN billing_usage usage ON usage.contract_line_id = span.line_id
                   AND usage.date BETWEEN span.first AND span.last
                   AND (usage.state <> 'open' OR NOT %(claimed)s)
                 GROUP BY span.number
                """,
                aggregate=aggregate,
                claimed=claimed,
                lines=[line_id for line_id, _span in keys],
                first=[span.date_from for _line_id, span in keys],
                last=[span.date_to for _line_id, span in keys],
            )
        )
        for number, quantity, count in rows:
            yield keys[number - 1], tariff.Measure(periods.exact(quantity), count)

    def _get_holding_amounts(self, span):
        """Return the amounts that hold days or usage of this line in ``span``, and its true-ups."""
        amounts = remember(
            self.env, ("holding", self.id, span), lambda: self._find_holding_amounts([span])
        )
        return amounts.filtered(
            lambda amount: (
                amount.contract_line_id == self
                and amount.period_from <= span.date_to
                and amount.period_to >= span.date_from
            )
        )

    def _read_holding_ahead(self, pairs):
        """Remember the amounts that hold days of ``pairs`` (price line, span), and their invoices.

        Read for all of these lines together.
        """
        holding = self._find_holding_amounts([span for _line, span in pairs])
        holding.document_id.fetch(["currency_id"])
        by_line = holding.grouped("contract_line_id")
        for line, span in pairs:
            amounts = by_line.get(line, holding.browse())
            remember(self.env, ("holding", line.id, span), lambda found=amounts: found)
        held = self.browse().union(*by_line)
        billed = self.env["billing.ledger"]._get_billed_lines(held) if held else {}
        for line in held:
            remember(self.env, ("billed lines", line.id), lambda: billed)

    def _find_holding_amounts(self, spans):
        """Return the amounts that hold usage of these lines within the days of ``spans``."""
        return self.env["invoice.run.line"].search(
            [
                ("contract_line_id", "in", self.ids),
                ("is_metered", "=", True),
                ("is_claimed", "=", True),
                ("period_from", "<=", max(span.date_to for span in spans)),
                ("period_to", ">=", min(span.date_from for span in spans)),
            ]
        )

    def _get_rated_amounts(self, span):
        """Return the amounts that rated usage of this line in ``span``, without its true-ups."""
        return self._get_holding_amounts(span).filtered(lambda amount: not amount.is_true_up)

    def _get_billed_usage(self, span):
        """Return {amount: what it invoiced, exact} of the amounts that rated usage of ``span``."""
        return self._get_billed_of(self._get_rated_amounts(span), span)

    def _get_billed_of(self, amounts, span, read_ledger=None):
        """Return {amount: what it invoiced, exact} of amounts of this line.

        It is what the invoice says, where there is one; what was credited by hand stays credited.

        :param span: the period that they are part of
        :param read_ledger: returns the ledger of several lines, see :meth:`_get_ledger_lines`
        :raises UserError: one of them is in another currency, or of another period
        """
        strange = amounts.filtered(
            lambda amount: (
                amount.currency_id != self.currency_id
                or amount.period_from < span.date_from
                or amount.period_to > span.date_to
            )
        )
        if strange:
            raise UserError(
                self.env._(
                    "“%(line)s”: usage from %(date)s on was invoiced by %(what)s with another "
                    "period or currency. Reverse that with “Release for Invoicing”.",
                    line=self.name,
                    date=format_date(self.env, strange[0].period_from),
                    what=strange[0]._get_reference(),
                )
            )
        billed_lines = self._get_ledger_lines(read_ledger) if amounts else []
        result = {}
        for amount in amounts:
            billed = amount._get_billed_line(billed_lines)
            result[amount] = periods.exact(billed.entry.price_amount if billed else amount.amount)
        return result

    def _get_ledger_lines(self, read_ledger=None):
        """Return the :class:`ledger.BilledLine` of all that invoiced this line, oldest first.

        :param read_ledger: returns those of several lines, by id, where it is not known yet
        """
        ledger = self.env["billing.ledger"]
        read = read_ledger or partial(ledger._get_billed_lines, self)
        return remember(self.env, ("billed lines", self.id), read)[self.id]
