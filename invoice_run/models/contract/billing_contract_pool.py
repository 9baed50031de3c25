"""Price lines of a contract that share the bands of a tariff: they are rated by their sum."""

from collections import defaultdict
from fractions import Fraction

from odoo import api, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain

from ...engine import periods, tariff
from ...memory import remember
from ..base.states import DOCUMENT_LEFT_OUT, DOCUMENT_OPEN, DOCUMENT_SETTLED
from .billing_contract_metering import Pool, Rating

#: Scope of a tariff whose bands the price lines of a contract share.
SHARED = "contract"


class BillingTariff(models.Model):
    _inherit = "billing.tariff"

    @api.constrains("tier_scope")
    def _check_tier_scope(self):
        """Refuse lines that cannot share bands."""
        lines = self.env["billing.contract.line"].search([("tariff_id", "in", self.ids)])
        lines._check_tariff()

    def _check_tier_scope_free(self, vals):
        """Refuse that ``vals`` change the scope of bands by which usage was invoiced.

        Late usage of an invoiced period would be charged the difference of the scopes.

        :raises UserError: says what to do instead
        """
        changed = self._get_changed(vals, {"tier_scope"})
        settled = Domain("tariff_id", "in", changed.ids) & Domain("is_claimed", "=", True)
        settled &= Domain("document_id.state", "in", DOCUMENT_SETTLED)
        # sudo: whoever changes a tariff need not see the runs
        amount = self.env["invoice.run.line"].sudo().search(settled, limit=1) if changed else None
        if amount:
            raise UserError(
                self.env._(
                    "Tariff %(tariff)s: usage has been invoiced by its bands. Duplicate it, and "
                    "use “Change from Date…” for the price lines that are to have the other "
                    "tariff.",
                    tariff=amount.tariff_id.name,
                )
            )


class BillingContractLine(models.Model):
    """What the price lines of a contract cost together, and what each of them is charged.

    All that was measured by the lines with the tariff in a billing period enters the bands
    together. What is due is the rating of that sum, rounded once, less what was invoiced of it; the
    lines that are invoiced now share it by what they measured anew. So, whatever is invoiced one
    after the other, all of it together is the rating of the sum, to the coin. Lines that are not
    invoiced yet and not now (excluded, not over) do not count before they are.
    """

    _inherit = "billing.contract.line"

    def _shares_bands(self):
        return self.is_metered and self.tariff_id.tier_scope == SHARED

    def _check_shared_bands(self):
        """Refuse what a price line cannot have whose tariff is shared.

        :raises ValidationError: says why
        """
        if self.tariff_id.tier_scope != SHARED:
            return
        if not self.is_metered or self.minimum_amount or self.maximum_amount:
            raise ValidationError(
                self.env._(
                    "“%(line)s”: bands that price lines share are for lines by usage without a "
                    "minimum or maximum of their own. Choose another tariff, or change the line.",
                    line=self.name,
                )
            )

    def _get_pool_period(self, terms, span):
        """Return the billing period in which ``span`` of this line enters the bands.

        Of the contract as it is now; usage reported later may be of a longer one.
        """
        period = terms.grid.period(terms.grid.index(span.date_from))
        return period if span.clip(*period) == span else span

    def _get_part(self, measure):
        return tariff.Part(measure, periods.exact(self.discount) / 100)

    def _rate_share(self, span):
        """Return the :class:`Rating` of this line's part of ``span``, as if nothing were invoiced.

        As it would be charged if all lines were invoiced together.
        """
        lines = self.contract_id._get_pool_lines(self.tariff_id)
        days = {line: span.clip(line._get_first_day(), line._get_last_day()) for line in lines}
        days = {line: part for line, part in days.items() if part}
        measures = {line: line._get_measure(part) for line, part in days.items()}
        if len(measures) < 2:
            measures = {self: self._get_measure(span)}
        pool = self._get_pool([line._get_part(measure) for line, measure in measures.items()])
        shares = self._split_due(pool, [(line, one.quantity) for line, one in measures.items()])
        amount = shares[list(measures).index(self)]
        return Rating(measures[self], amount, {}, amount, pool)

    def _get_pool(self, parts, before=Fraction()):
        whole = tariff.rate_together(self._get_tariff(), parts)
        return Pool(tariff.get_sum(parts), whole, before)

    def _split_due(self, pool, news):
        """Return what is left to invoice of ``pool``, in shares to the coin.

        :param news: (price line, what it measured that is not invoiced yet) of each share
        """
        coin = periods.exact(self.currency_id.rounding)
        due = tariff.get_due(pool.total, [pool.before], coin)
        weights = [new * (1 - periods.exact(line.discount) / 100) for line, new in news]
        return tariff.split(due, weights, coin)

    def _get_pool_texts(self, env, rating):
        """Return how the share of this line came about, for the invoice line."""
        pool = rating.pool
        whole = env._(
            "all price lines of this tariff: %(quantity)s",
            quantity=self._get_quantity_text(env, pool.measure.quantity),
        )
        texts = [whole]
        if self.tariff_id.included_quantity:
            included = self._get_quantity_text(env, self.tariff_id.included_quantity)
            texts.append(env._("included: %(quantity)s", quantity=included))
        slices = tariff.get_slices(self._get_tariff(), pool.measure)
        texts += [self._get_slice_text(env, part) for part in slices]
        total = self._get_money_text(env, pool.total)
        if pool.before:
            before = self._get_money_text(env, pool.before)
            texts.append(
                env._("%(total)s, less %(before)s invoiced before", total=total, before=before)
            )
        texts.append(
            env._("share of this line: %(amount)s", amount=self._get_money_text(env, rating.amount))
        )
        return texts


class BillingContract(models.Model):
    """The pools of a contract: what is invoiced of them now, and what was before."""

    _inherit = "billing.contract"

    def _get_pool_lines(self, tariff_record):
        """Return the price lines of this contract that share the bands of this tariff."""
        return self.line_ids.filtered(
            lambda line: line.is_metered and line.tariff_id == tariff_record
        )

    def _rate_pools(self, terms, pairs, run):
        """Return {(price line, span): :class:`Rating`} of those of ``pairs`` that share bands.

        :param pairs: (price line, span) that ``run`` invoices of this contract
        """
        pools = defaultdict(list)
        for line, span in pairs:
            if line._shares_bands() and not self._is_left_out(line, span, run):
                period = line._get_pool_period(terms, span)
                pools[line.tariff_id, period].append((line, span))
        ratings = {}
        for (tariff_record, period), due in pools.items():
            ratings.update(self._rate_pool(tariff_record, period, due))
        return ratings

    def _is_left_out(self, line, span, run):
        """Whether somebody excluded this from ``run``, which is generating its amounts again."""
        payers = run.renew_payer_ids & self.commercial_partner_id
        if not payers:
            return False
        excluded = remember(
            self.env, ("excluded", run.id, payers.id), lambda: run._get_excluded_keys(payers)
        )
        held = line._get_rated_amounts(span)
        number = line._get_next_number(Rating(None, None, held, None)) if held else 0
        vals = {
            "contract_line_id": line.id,
            "late_number": number,
            "billing_date_from": span.date_from,
        }
        return run._get_charge_key(vals) in excluded

    def _rate_pool(self, tariff_record, period, due):
        """Return {(price line, span): :class:`Rating`} of ``due``, what is invoiced of a pool now.

        Nothing where a line is alone: it is rated as it would be by itself.
        """
        held = self._get_pool_amounts(tariff_record, period, due)
        before = self._get_parts_before(held, due)
        if len(due) + len(before) < 2:
            return {}
        line = due[0][0]
        measures = {(one, span): one._get_measure(span) for one, span in due}
        parts = [one._get_part(measure) for (one, _span), measure in measures.items()]
        parts += [one._get_part(measure) for (one, _span), measure in before.items()]
        billed = {}
        for one, amounts in held.grouped("contract_line_id").items():
            billed |= one._get_billed_of(amounts, period)
        pool = line._get_pool(parts, sum(billed.values(), Fraction()))
        own = {pair: self._get_own_billed(billed, *pair) for pair in due}
        shares = line._split_due(pool, self._get_new_quantities(measures, own))
        return {
            pair: Rating(measures[pair], share, own[pair], share, pool)
            for pair, share in zip(due, shares, strict=True)
        }

    def _get_own_billed(self, billed, line, span):
        """Return those of ``billed`` that hold usage of this line in ``span``."""
        amounts = line._get_rated_amounts(span)
        return {amount: value for amount, value in billed.items() if amount in amounts}

    def _get_new_quantities(self, measures, own):
        """Return (price line, what is measured and not invoiced yet) of what is due."""
        late = [pair for pair, billed in own.items() if billed]
        before = self.env["billing.contract.line"]._read_measures(late, claimed=True)
        nothing = tariff.Measure(Fraction())
        return [
            (line, measure.quantity - before.get((line.id, span), nothing).quantity)
            for (line, span), measure in measures.items()
        ]

    def _get_pool_amounts(self, tariff_record, period, due):
        """Return the amounts that hold usage of a pool in ``period``, and will be invoiced so.

        What changed and waits is calculated again, and counts these: it does not count before.
        Nor does what is settled of other periods than the present ones.
        """
        rated = [line for line, _span in due]
        lines = self._get_pool_lines(tariff_record)
        found = remember(
            self.env,
            ("pool", self.id, period),
            lambda: self.line_ids._find_holding_amounts([period]),
        )
        return found.filtered(
            lambda amount: (
                amount.contract_line_id in lines
                and not amount.is_true_up
                and period.clip(amount.period_from, amount.period_to)
                == (amount.period_from, amount.period_to)
                and (amount.contract_line_id in rated or not amount._is_to_be_renewed())
            )
        )

    def _get_parts_before(self, held, due):
        """Return {(price line, span): ``tariff.Measure``} of what is invoiced and not due again."""
        pairs = {
            (amount.contract_line_id, periods.Span(amount.period_from, amount.period_to))
            for amount in held
        }
        pairs = sorted(pairs - set(due), key=lambda pair: (pair[0].id, pair[1]))
        measures = self.env["billing.contract.line"]._read_measures(pairs, claimed=True)
        return {(line, span): measures[line.id, span] for line, span in pairs}

    def _read_pools_ahead(self, run, pairs):
        """Read what holds usage of the pools of these contracts, with one query for all.

        :param pairs: (price line, span) that ``run`` invoices
        """
        wanted = defaultdict(set)
        for line, span in pairs:
            if line._shares_bands():
                terms = line.contract_id._get_billing_terms(run)
                wanted[line.contract_id].add(line._get_pool_period(terms, span))
        if not wanted:
            return
        lines = self.browse().union(*wanted).line_ids
        holding = lines._find_holding_amounts(sorted(set().union(*wanted.values())))
        by_contract = holding.grouped("contract_id")
        for contract, spans in wanted.items():
            own = by_contract.get(contract, holding.browse())
            for period in spans:
                remember(self.env, ("pool", contract.id, period), lambda found=own: found)


class InvoiceRunLine(models.Model):
    """An amount of a pool counts others: what becomes of them outdates it."""

    _inherit = "invoice.run.line"

    def _is_to_be_renewed(self):
        return self.is_stale and self.document_id.state in DOCUMENT_OPEN

    def _mark_sharing_stale(self):
        """Mark the amounts that counted these, which change or are released.

        Those of the same run were calculated together, those created later counted what was there.
        """
        counting = self._find_counting_bounds() | self._find_counting_shares()
        self._mark_stale(Domain("id", "in", counting.ids))

    def _find_counting_shares(self):
        """Return the open shares of pools that counted some of these."""
        shared = self.sudo().filtered(lambda amount: amount._is_of_pool())
        if not shared:
            return self.sudo().browse()
        # sudo: the runs of others count as well
        others = self.sudo().search(
            Domain("contract_id", "in", shared.contract_id.ids)
            & Domain("tariff_id", "in", shared.tariff_id.ids)
            & Domain("id", "not in", self.ids)
            & Domain("is_stale", "=", False)
            & Domain("document_id.state", "in", (*DOCUMENT_OPEN, *DOCUMENT_LEFT_OUT))
        )
        changed = shared.grouped(lambda amount: (amount.contract_id, amount.tariff_id))
        return others.filtered(
            lambda other: any(
                other._has_counted(amount)
                for amount in changed.get((other.contract_id, other.tariff_id), ())
            )
        )

    def _is_of_pool(self):
        """Whether this amount is the share of a price line that shares bands with others."""
        return self.is_metered and not self.is_true_up and self.tariff_id.tier_scope == SHARED

    def _has_counted(self, amount):
        """Whether this amount was calculated with ``amount``, of the same pool."""
        if not self._is_of_pool() or self.run_id != amount.run_id and self.id < amount.id:
            return False
        terms = amount.contract_id._get_billing_terms()
        span = periods.Span(amount.period_from, amount.period_to)
        period = amount.contract_line_id._get_pool_period(terms, span)
        return bool(period.clip(self.period_from, self.period_to))
