"""Price lines of a contract or customer that share the bands of a tariff: rated by their sum."""

from collections import defaultdict
from fractions import Fraction
from functools import cache

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import format_date

from ...engine import periods, tariff
from ...engine.charge import get_charges
from ...memory import remember
from ..base.scopes import BY_CUSTOMER, SHARED
from ..base.states import CONTRACT_BILLED, DOCUMENT_CHANGEABLE, DOCUMENT_OPEN, DOCUMENT_SETTLED
from .billing_contract_metering import Pool, Rating

#: In the context: contracts are looked at without the others of their customer. An object, because
#: over RPC nobody can send one.
ALONE = object()


class BillingTariff(models.Model):
    _inherit = "billing.tariff"

    @api.constrains("tier_scope", "currency_id")
    def _check_tier_scope(self):
        """Refuse lines that cannot share bands, or whose contracts are in another currency."""
        lines = self.env["billing.contract.line"].search([("tariff_id", "in", self.ids)])
        lines._check_tariff()

    def _check_tier_scope_free(self, vals):
        """Refuse a change by ``vals`` of the scope of bands by which usage was invoiced.

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
    """What the price lines of a contract or customer cost together, and what each is charged.

    All that was measured by the lines with the tariff in a billing period enters the bands
    together. What is due is the rating of that sum, rounded once, less what was invoiced of it; the
    lines that are invoiced now share it by what they measured anew. So the amounts
    invoiced one after the other add up to the rating of the sum, to the coin. Lines that are not
    invoiced yet and not now (excluded, not over) do not count before they are.
    """

    _inherit = "billing.contract.line"

    def _shares_bands(self):
        return self.is_metered and self.tariff_id.tier_scope in SHARED

    def _shares_with_customer(self):
        return self.is_metered and self.tariff_id.tier_scope == BY_CUSTOMER

    def _check_shared_bands(self):
        """Refuse settings that a price line with a shared tariff cannot have.

        :raises ValidationError: says why
        """
        if self.tariff_id.tier_scope not in SHARED:
            return
        if not self.is_metered or self.minimum_amount or self.maximum_amount:
            raise ValidationError(
                self.env._(
                    "“%(line)s”: bands that price lines share are for lines by usage without a "
                    "minimum or maximum of their own. Choose another tariff, or change the line.",
                    line=self.name,
                )
            )

    @api.constrains("tariff_id")
    def _check_tariff_kept(self):
        """Refuse another tariff for usage that was invoiced by shared bands, or the other way.

        Usage reported later would count in the bands of both: those that shared the old ones
        would be charged for it as well.

        :raises ValidationError: says what to do
        """
        settled = Domain("contract_line_id", "in", self.ids) & Domain("is_metered", "=", True)
        settled &= Domain("is_claimed", "=", True) & Domain("is_true_up", "=", False)
        settled &= Domain("document_id.state", "in", DOCUMENT_SETTLED)
        sharing = self.filtered(lambda line: line._shares_bands())
        settled &= Domain("pool_key", "!=", False) | Domain("contract_line_id", "in", sharing.ids)
        # sudo: whoever changes a price line need not see the runs
        for amount in self.env["invoice.run.line"].sudo().search(settled):
            line = amount.contract_line_id
            if amount.tariff_id != line.tariff_id:
                raise ValidationError(
                    self.env._(
                        "“%(line)s”: usage up to %(date)s has been invoiced, and other price lines "
                        "share bands with it. Use “Change from Date…” to have the other tariff "
                        "from a day on.",
                        line=line.name,
                        date=format_date(self.env, amount.period_to),
                    )
                )

    def _get_pool_period(self, terms, span):
        """Return the billing period in which ``span`` of this line enters the bands.

        By the contract as it is now; usage reported later may belong to a longer period.
        """
        period = terms.grid.period(terms.grid.index(span.date_from))
        return period if span.clip(*period) == span else span

    def _get_pool_key(self, terms, span):
        """Return the name of the pool that ``span`` of this line enters; False without one.

        What was invoiced of a period stays in its pool, and usage reported later enters that: also
        where the contract has another customer or other periods since.
        """
        if not self._shares_bands():
            return False
        held = self._get_rated_amounts(span).filtered(
            lambda amount: amount.pool_key and amount.tariff_id == self.tariff_id
        )
        return held[:1].pool_key or self._get_new_pool_key(self._get_pool_period(terms, span))

    def _get_new_pool_key(self, period):
        """Return the name of the pool of ``period`` of this line as its contract is now."""
        record, scope = self.tariff_id, self.tariff_id.tier_scope
        contract = self.contract_id
        owner = contract.commercial_partner_id if scope == BY_CUSTOMER else contract
        return f"{scope}/{owner._origin.id}/{record.id}/{period.date_from}/{period.date_to}"

    def _get_part(self, measure):
        return tariff.Part(measure, periods.exact(self.discount) / 100)

    def _rate_share(self, span):
        """Return the :class:`Rating` of this line's part of ``span``, as if nothing were invoiced.

        It is what would be charged if all lines were invoiced together. A cut-off, which knows
        what was invoiced of them, has remembered it.
        """
        return remember(self.env, ("share", self.id, span), lambda: self._rate_new_share(span))

    def _rate_new_share(self, span):
        lines = self._get_sharing_lines(span)
        ratings = remember(
            self.env, ("shares", lines._ids, span), lambda: self._rate_shares(lines, span)
        )
        return ratings.get(self) or self._rate_shares(self, span)[self]

    def _rate_shares(self, lines, span):
        """Return {price line: :class:`Rating`} of those of ``lines`` with days in ``span``."""
        days = {line: span.clip(line._get_first_day(), line._get_last_day()) for line in lines}
        measures = {line: line._get_measure(part) for line, part in days.items() if part}
        if len(measures) < 2:
            measures = {self: self._get_measure(span)}
        pool = self._get_pool([line._get_part(measure) for line, measure in measures.items()])
        shares = self._split_due(pool, [(line, one.quantity) for line, one in measures.items()])
        return {
            line: Rating(measures[line], share, {}, share, pool)
            for line, share in zip(measures, shares, strict=True)
        }

    def _get_sharing_lines(self, span):
        """Return the price lines that share bands with this one in ``span``, itself among them."""
        if not self._shares_with_customer():
            return self.contract_id._get_pool_lines(self.tariff_id)
        period = self._get_pool_period(self.contract_id._get_billing_terms(), span)
        key = self._get_new_pool_key(period)
        return remember(self.env, ("sharing", key), lambda: self._find_sharing_lines(key, period))

    @api.model
    def _read_sharing_ahead(self, lines):
        """Find the contracts that share bands with those of ``lines``, of all customers together.

        :param lines: price lines that share bands
        """
        contracts = lines.filtered(lambda line: line._shares_with_customer()).contract_id
        if not contracts:
            return
        found = contracts._find_billed_contracts()
        (found | contracts).fetch(["line_ids"])
        by_customer = found.grouped(lambda contract: contract._get_customer_key())
        for key in {contract._get_customer_key() for contract in contracts}:
            own = by_customer.get(key, contracts.browse())
            remember(self.env, key, lambda own=own: own)

    def _find_sharing_lines(self, key, period):
        contracts = remember(
            self.env,
            self.contract_id._get_customer_key(),
            self.contract_id._find_billed_contracts,
        )
        lines = (contracts | self.contract_id)._get_pool_lines(self.tariff_id)
        return lines.filtered(lambda line: line._enters_pool(key, period))

    def _enters_pool(self, key, period):
        """Whether usage of this line in ``period`` enters this pool, by the contract as it is."""
        try:
            grid = self.contract_id._get_billing_terms().grid
        except ValueError:  # impossible dates: the runs report it
            return False
        return self._get_new_pool_key(grid.period(grid.index(period.date_from))) == key

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
        """Return the explanation of this line's share for the invoice line."""
        pool = rating.pool
        quantity = self._get_quantity_text(env, pool.measure.quantity)
        texts = [env._("all price lines of this tariff: %(quantity)s", quantity=quantity)]
        if self._shares_with_customer():
            texts = [env._("all contracts with this tariff: %(quantity)s", quantity=quantity)]
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
        texts += self._get_kept_texts(env, pool.edited)
        if rating.edited:
            edited = self._get_money_text(env, rating.edited)
            texts.append(env._("taken off the invoice before by hand: %(amount)s", amount=edited))
        texts.append(
            env._("share of this line: %(amount)s", amount=self._get_money_text(env, rating.amount))
        )
        return texts

    def _get_kept_texts(self, env, kept):
        """Return what people took off invoices by hand that is not charged; below zero: added."""
        amount = self._get_money_text(env, abs(kept))
        if kept > 0:
            return [env._("of this, %(amount)s was taken off by hand, which stays", amount=amount)]
        if kept < 0:
            return [env._("to this, %(amount)s was added by hand, which stays", amount=amount)]
        return []


class BillingContract(models.Model):
    """The pools of a contract or customer: what is invoiced of them now, and what was before."""

    _inherit = "billing.contract"

    def _get_pool_lines(self, tariff_record):
        """Return the price lines of these contracts that share the bands of this tariff."""
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
                pools[line._get_pool_key(terms, span)].append((line, span))
        ratings = {}
        for key, own in pools.items():
            rated = self._rate_pool_of(key, own, run)
            ratings.update({pair: rated[pair] for pair in own if pair in rated})
        return ratings

    # ------------------------------------------------------------------
    # Contracts of one customer
    # ------------------------------------------------------------------

    def _rate_pool_of(self, key, own, run):
        """Return {(price line, span): :class:`Rating`} of what ``run`` invoices of a pool.

        :param own: (price line, span) of this contract
        """
        is_alone = self.env.context.get("invoice_run_pools") is ALONE
        if is_alone or not own[0][0]._shares_with_customer():
            return self._rate_pool(key, own)
        payer = self.commercial_partner_id
        pools = remember(
            self.env, ("customer pools", run.id, payer.id), lambda: self._find_customer_pools(run)
        )
        pooled = pools.get(key, {})
        if all(pair in pooled for pair in own):
            # once for all contracts, in an order that does not depend on them
            return remember(
                self.env,
                ("pool rating", run.id, payer.id, key),
                lambda: self._rate_pool(key, list(pooled)),
            )
        others = [pair for pair in pooled if pair[0].contract_id != self._origin]
        return self._rate_pool(key, [*own, *others])

    def _find_customer_pools(self, run):
        """Return what :meth:`_collect_customer_pools` says of all contracts of this customer."""
        contracts = self._find_customer_contracts(self._get_run_domain(run))
        claims = contracts.line_ids._get_taken_spans()
        return contracts._collect_customer_pools(run, claims)

    def _get_customer_key(self):
        """Return by what the contracts of a customer that are invoiced are remembered."""
        return "customer contracts", self.company_id.id, self.commercial_partner_id.id

    def _find_billed_contracts(self):
        return self._find_customer_contracts(Domain("state", "in", CONTRACT_BILLED))

    def _find_customer_contracts(self, domain):
        """Return the contracts of these customers that share bands, in order.

        In each company of these contracts.
        """
        shared = Domain("is_metered", "=", True) & Domain("tariff_id.tier_scope", "=", BY_CUSTOMER)
        domain &= Domain("company_id", "in", self.company_id.ids)
        domain &= Domain("commercial_partner_id", "in", self.commercial_partner_id.ids)
        return self.search(domain & Domain("line_ids", "any", shared), order="name, id")

    def _collect_customer_pools(self, run, claims):
        """Return {pool key: {(price line, span): True}} that ``run`` invoices of these contracts.

        Each is calculated on its own first: what cannot be invoiced does not count for others, nor
        does what somebody excluded.
        """
        lines = {line.id: line for line in self.line_ids}
        alone = self.with_context(invoice_run_pools=ALONE)
        items = alone._collect_records(
            run, lambda contract: contract._collect_contract_charges(run, claims)
        )
        pools = defaultdict(dict)
        for charge in get_charges(list(items)):
            line = lines.get(charge.line.get("contract_line_id"))
            if not charge.line.get("pool_key") or not line._shares_with_customer():
                continue
            span = periods.Span(charge.line["period_from"], charge.line["period_to"])
            if not line.contract_id._is_left_out(line, span, run):
                pools[charge.line["pool_key"]][line, span] = True
        return pools

    def _read_customer_pools_ahead(self, run, claims):
        """Find the pools of the customers of these contracts, all that ``run`` invoices of them."""
        if self.env.context.get("invoice_run_isolate"):
            return
        sharing = self.filtered(
            lambda contract: any(line._shares_with_customer() for line in contract.line_ids)
        )
        if sharing:
            pools = sharing._collect_customer_pools(run, claims)
            for payer in sharing.commercial_partner_id:
                remember(self.env, ("customer pools", run.id, payer.id), lambda: pools)

    # ------------------------------------------------------------------
    # What a pool comes to
    # ------------------------------------------------------------------

    def _is_left_out(self, line, span, run):
        """Whether somebody excluded this from ``run``, whose amounts are being recalculated."""
        payers = run.renew_payer_ids & self.commercial_partner_id
        if not payers:
            return False
        excluded = remember(
            self.env, ("excluded", run.id, payers.id), lambda: run._get_excluded_keys(payers)
        )
        vals = {
            "contract_line_id": line.id,
            "late_number": line._get_next_number(line._get_rated_amounts(span)),
            "billing_date_from": span.date_from,
        }
        return run._get_charge_key(vals) in excluded

    def _rate_pool(self, key, due):
        """Return {(price line, span): :class:`Rating`} of ``due``, what is invoiced of a pool now.

        Empty where a line is alone: it is rated by itself.
        """
        held = self._get_pool_amounts(key, due)
        before = self._get_parts_before(held, due)
        if len(due) + len(before) < 2:
            return {}
        line = due[0][0]
        measures = {(one, span): one._get_measure(span) for one, span in due}
        parts = [one._get_part(measure) for (one, _span), measure in measures.items()]
        parts += [one._get_part(measure) for (one, _span), measure in before.items()]
        own = {(one, span): one._get_billed_usage(span) for one, span in due}
        billed = self._get_billed_of_pool(held)
        for values in own.values():
            billed |= values
        pool = line._get_pool(parts, self._get_charged(billed))
        news = self._get_new_quantities(measures, own)
        # usage that is new is rated with what its own invoices say; the others' stay as they are
        edits = {
            pair: line._get_edited(own[pair])
            for pair, (_line, quantity) in zip(due, news, strict=True)
            if quantity
        }
        if not any(quantity for _line, quantity in news):
            news = [(one, measure.quantity) for (one, _span), measure in measures.items()]
        shares = line._split_due(pool, news)
        left = line._get_edited(billed) - sum(edits.values(), Fraction())
        return {
            pair: self._get_share_rating(
                measures[pair], share, own[pair], pool._replace(edited=left), edits.get(pair)
            )
            for pair, share in zip(due, shares, strict=True)
        }

    @api.model
    def _get_share_rating(self, measure, share, billed, pool, edited):
        edited = edited or Fraction()
        return Rating(measure, share + edited, billed, share + edited, pool, edited)

    @api.model
    def _get_charged(self, amounts):
        """Return what these amounts charged of their pool, exact.

        It is what they came to when they were calculated, whatever people have changed on the
        invoices since: that concerns the usage of the invoice, and is not charged to others.
        """
        sums = ((periods.exact(one.amount), periods.exact(one.charged_edits)) for one in amounts)
        return sum((amount - edits for amount, edits in sums), Fraction())

    def _get_billed_of_pool(self, held):
        """Return {amount: what it invoiced, exact} of the amounts of a pool."""
        billed, lines = {}, held.contract_line_id
        # for all of them together, once one is not known yet
        read_ledger = cache(lambda: self.env["billing.ledger"]._get_billed_lines(lines))
        for line, amounts in held.grouped("contract_line_id").items():
            days = amounts.mapped("period_from"), amounts.mapped("period_to")
            span = periods.Span(min(days[0]), max(days[1]))
            billed |= line._get_billed_of(amounts, span, read_ledger)
        return billed

    def _get_new_quantities(self, measures, own):
        """Return (price line, what is measured and not invoiced yet) of what is due."""
        late = [pair for pair, billed in own.items() if billed]
        before = self.env["billing.contract.line"]._read_measures(late, claimed=True)
        nothing = tariff.Measure(Fraction())
        return [
            (line, measure.quantity - before.get((line.id, span), nothing).quantity)
            for (line, span), measure in measures.items()
        ]

    def _get_pool_amounts(self, key, due):
        """Return the amounts that hold usage of a pool, and will be invoiced so.

        Amounts that have changed are recalculated, and count these, so they do not count here.
        """
        rated = [line for line, _span in due]
        found = remember(self.env, ("pool", key), lambda: self._find_pool_amounts([key]))
        return found.filtered(
            lambda amount: (
                amount.pool_key == key
                and (amount.contract_line_id in rated or not amount._is_to_be_renewed())
            )
        )

    @api.model
    def _find_pool_amounts(self, keys):
        """Return the amounts of runs that hold usage of these pools."""
        # sudo: what others invoiced counts, whoever may read their runs
        amounts = self.env["invoice.run.line"].sudo()
        found = amounts.search([("pool_key", "in", list(keys)), ("is_claimed", "=", True)])
        return found.with_env(self.env)

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
        keys = {
            line._get_pool_key(line.contract_id._get_billing_terms(run), span)
            for line, span in pairs
            if line._shares_bands()
        }
        if not keys:
            return
        by_key = self._find_pool_amounts(keys).grouped("pool_key")
        for key in keys:
            own = by_key.get(key, self.env["invoice.run.line"])
            remember(self.env, ("pool", key), lambda found=own: found)


class InvoiceRunLine(models.Model):
    """An amount of a pool counts others: a change of these marks it."""

    _inherit = "invoice.run.line"

    pool_key = fields.Char(
        "Shared Bands",
        readonly=True,
        index="btree_not_null",
        help="What usage entered the bands together: whose it is, the tariff, and the days.",
    )

    @api.model
    def _follow_merged_customers(self, merged, customer):
        """Have the pools of ``merged`` customers go on as those of ``customer``.

        Not those of days and a tariff that both were invoiced for: these were rated apart, and
        stay so. What is not invoiced yet is to be calculated again.
        """
        # sudo: whoever merges customers need not see the runs
        amounts = self.sudo()
        owner = f"{BY_CUSTOMER}/{customer.commercial_partner_id.id}/"
        self._mark_stale(Domain("pool_key", "=like", f"{owner}%"))
        for partner in merged:
            prefix = f"{BY_CUSTOMER}/{partner.id}/"
            found = amounts.search([("pool_key", "=like", f"{prefix}%")])
            self._mark_stale(Domain("id", "in", found.ids))
            by_key = found.grouped(
                lambda one, prefix=prefix: one.pool_key.replace(prefix, owner, 1)
            )
            held = self.env["billing.contract"]._find_pool_amounts(by_key).sudo()
            billed = held.filtered(lambda one: one.document_id.state in DOCUMENT_SETTLED)
            for key in by_key.keys() - set(billed.mapped("pool_key")):
                by_key[key].pool_key = key

    def _is_to_be_renewed(self):
        return self.is_stale and self.document_id.state in DOCUMENT_OPEN

    def _mark_sharing_stale(self):
        """Mark the amounts that counted these, which are changed or released.

        Those of the same run were calculated together, those created later counted what was there.
        """
        counting = self._find_counting_bounds() | self._find_counting_shares()
        self._mark_stale(Domain("id", "in", counting.ids))

    def _find_counting_shares(self):
        """Return the open shares of pools that counted some of these."""
        shared = self.sudo().filtered("pool_key")
        if not shared:
            return self.sudo().browse()
        # sudo: the runs of others count as well
        others = self.sudo().search(
            Domain("pool_key", "in", shared.mapped("pool_key"))
            & Domain("id", "not in", self.ids)
            & Domain("is_stale", "=", False)
            & Domain("document_id.state", "in", DOCUMENT_CHANGEABLE)
        )
        changed = shared.grouped("pool_key")
        return others.filtered(
            lambda other: (
                other.id > min(changed[other.pool_key].ids)
                or other.run_id in changed[other.pool_key].run_id
            )
        )
