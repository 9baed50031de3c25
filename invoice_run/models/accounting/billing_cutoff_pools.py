"""What open usage of shared bands comes to, next to what was invoiced of them by the day."""

from fractions import Fraction
from typing import NamedTuple

from odoo import api, models

from ...engine import periods
from ...memory import remember
from ..contract.billing_contract_metering import Rating


class InvoicedShare(NamedTuple):
    """What the books say of the usage of a price line in a period, exact.

    :param billed: what its invoices say
    :param charged: what it was charged of its pool, whatever people changed on the invoices
    :param quantity: what had been measured
    """

    billed: Fraction
    charged: Fraction
    quantity: Fraction


NOTHING = InvoicedShare(Fraction(), Fraction(), Fraction())


class BillingCutoffRows(models.AbstractModel):
    """Shares in a cut-off: what the next run would invoice, were nothing later than the day.

    All that was measured in a billing period enters the bands together, invoiced or not, less what
    the books say up to the day. Usage reported later for a share that was invoiced gets its part
    of that, as in a run, though a cut-off does not accrue it.
    """

    _inherit = "billing.cutoff.rows"

    @api.model
    def _read_shares_ahead(self, pairs, billed, date):
        """Rate the shares of ``pairs``, so that the price lines know them.

        :param pairs: (price line, open days up to ``date``)
        :param billed: {price line id: :class:`ledger.BilledLine` up to ``date``}
        """
        pools = self._get_open_pools(pairs)
        if not pools:
            return
        # sudo: what others invoiced counts, whoever may read their runs
        amounts = self.env["invoice.run.line"].sudo()
        held = amounts.search([("pool_key", "in", list(pools))]).with_env(self.env)
        price_lines = self.env["billing.contract.line"]
        price_lines._read_sharing_ahead(
            price_lines.union(*(line for line, _period in pools.values()))
        )
        sharing = {key: line._get_sharing_lines(period) for key, (line, period) in pools.items()}
        lines = held.contract_line_id.union(*sharing.values())
        others = lines.filtered(lambda line: line.id not in billed)
        billed = {**self.env["billing.ledger"]._get_billed_lines(others, as_of=date), **billed}
        # not of lines that were invoiced and share no more: their contracts are not owed
        open_lines = lines.browse().union(*sharing.values())
        days = {line: self._get_open_days(line, billed, date) for line in open_lines}
        by_key = {
            key: self._get_invoiced_shares(own, billed)
            for key, own in held.grouped("pool_key").items()
        }
        measures = lines._read_measures([pair for shares in by_key.values() for pair in shares])
        for key, (_line, period) in pools.items():
            parts = [
                (line, part)
                for line in sharing[key]
                for part in days[line]
                if part.clip(*period) == part
            ]
            shares = self._rate_shares_at(parts, by_key.get(key, {}), measures)
            for (line, part), rating in shares.items():
                remember(self.env, ("share", line.id, part), lambda found=rating: found)

    def _get_open_pools(self, pairs):
        """Return {pool key: (price line, billing period)} that ``pairs`` enter."""
        pools = {}
        for line, part in sorted(pairs, key=lambda pair: (pair[0].id, pair[1])):
            if line._shares_bands():
                period = line._get_pool_period(line.contract_id._get_billing_terms(), part)
                pools.setdefault(line._get_new_pool_key(period), (line, period))
        return pools

    def _get_open_days(self, line, billed, date):
        """Return the days of ``line`` up to ``date`` that are on no invoice, by billing period."""
        terms = line.contract_id._get_billing_terms()
        parts = self._get_open_parts(line, terms, billed.get(line.id, []), date)
        return [part for _whole, part in parts]

    def _rate_shares_at(self, parts, invoiced, measures):
        """Return {(price line, days): :class:`Rating`} of a pool.

        :param parts: (price line, days) that are on no invoice
        :param invoiced: see :meth:`_get_invoiced_shares`; these come to what the invoices say
        :param measures: {(price line id, days): what was measured} of ``invoiced``
        """
        if not parts:
            return {}
        found = {pair: measures[pair[0].id, pair[1]] for pair in invoiced}
        found |= {(line, part): line._get_measure(part) for line, part in parts}
        line = parts[0][0]
        before = sum((share.charged for share in invoiced.values()), Fraction())
        pool = line._get_pool([one._get_part(found[one, days]) for one, days in found], before)
        news = [
            (pair[0], measure.quantity - invoiced.get(pair, NOTHING).quantity)
            for pair, measure in found.items()
        ]
        if not any(quantity for _line, quantity in news):
            news = [(pair[0], measure.quantity) for pair, measure in found.items()]
        shares = dict(zip(found, line._split_due(pool, news), strict=True))
        shares |= {pair: share.billed for pair, share in invoiced.items()}
        return {pair: Rating(found[pair], share, {}, share, pool) for pair, share in shares.items()}

    def _get_invoiced_shares(self, held, billed):
        """Return {(price line, days): :class:`InvoicedShare`} of what is in the books.

        :param held: amounts that hold usage of the pool, or held it
        :param billed: {price line id: :class:`ledger.BilledLine`}
        """
        found = {}
        for amount in held.sorted("late_number"):
            line = amount.contract_line_id
            entry = amount._get_billed_line(billed.get(line.id, []))
            if entry:
                pair = line, periods.Span(amount.period_from, amount.period_to)
                before = found.get(pair, NOTHING)
                found[pair] = InvoicedShare(
                    before.billed + periods.exact(entry.entry.price_amount),
                    before.charged + self.env["billing.contract"]._get_charged(amount),
                    periods.exact(amount.rated_quantity),
                )
        return found
