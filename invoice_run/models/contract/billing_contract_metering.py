from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import NamedTuple

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import SQL, format_date, formatLang

from ...engine import periods, planned, tariff
from ...engine.charge import Charge, NotBillable
from ...memory import remember
from ..base.states import CONTRACT_BILLED

#: What the items of a period come to. A value is what percentages go by.
AGGREGATES = {
    tariff.SUM: SQL("sum(usage.quantity)"),
    tariff.MAX: SQL("max(usage.quantity)"),
    tariff.LAST: SQL("(array_agg(usage.quantity ORDER BY usage.date DESC, usage.id DESC))[1]"),
    tariff.COUNT: SQL("count(usage.id)"),
    tariff.COUNT_DISTINCT: SQL("count(DISTINCT COALESCE(usage.usage_key, '#' || usage.id))"),
    "value": SQL("sum(usage.amount)"),
}
#: Models whose quantities are not those of the invoice line: packages, steps, values.
NO_SINGLE_PRICE = (tariff.PACKAGE, tariff.STAIRSTEP, tariff.PERCENTAGE)
#: Fields that decide which usage items belong to a metered price line.
METER_FIELDS = {
    "is_metered",
    "bound_scope",
    "product_id",
    "meter_code",
    "date_start",
    "date_end",
    "contract_id",
}


class Pool(NamedTuple):
    """What a period of several price lines comes to whose usage enters the bands together.

    :param measure: all that they measured, a ``tariff.Measure``
    :param total: what that costs, exact
    :param before: what was charged of it already, exact, whatever people changed on invoices
    :param edited: what people took off invoices by hand, exact, and is not charged now
    """

    measure: tariff.Measure
    total: Fraction
    before: Fraction
    edited: Fraction = Fraction()


class Rating(NamedTuple):
    """What a period of a metered price line comes to.

    :param measure: all that was measured in it, a ``tariff.Measure``
    :param total: what that costs, exact, within minimum and maximum
    :param billed: the amounts that hold some of it already, with what each invoiced
    :param amount: what is left to invoice, to the coin; below zero: to credit
    :param pool: the :class:`Pool` of price lines that share the bands, else None
    :param edited: what people took off these amounts on their invoices, and is charged now
    """

    measure: tariff.Measure
    total: Fraction
    billed: dict
    amount: Fraction
    pool: Pool | None = None
    edited: Fraction = Fraction()


class BillingContractLine(models.Model):
    """Price lines whose quantity is measured, and prices that depend on the quantity."""

    _inherit = "billing.contract.line"

    tariff_id = fields.Many2one(
        "billing.tariff",
        check_company=True,
        index="btree_not_null",
        ondelete="restrict",
        help="Prices that depend on the quantity, instead of the price.",
    )
    is_metered = fields.Boolean(
        "By Usage",
        help="The quantity is what usage items measured in the billing period; it is invoiced when "
        "the period is over.",
    )
    aggregation = fields.Selection(
        [
            ("sum", "Sum"),
            ("max", "Highest"),
            ("last", "Last"),
            ("count", "Number of items"),
            ("count_distinct", "Number of different keys"),
        ],
        "Measured As",
        required=True,
        default="sum",
        help="How the usage items of a billing period become one quantity.",
    )
    meter_code = fields.Char(
        help="Usage items with this code belong to this price line, whatever their product."
    )
    minimum_amount = fields.Monetary(
        help="Charged at least in a whole billing period; a part of one in proportion."
    )
    maximum_amount = fields.Monetary(
        help="Charged at most in a whole billing period; a part of one in proportion. "
        "0: no maximum."
    )
    usage_ids = fields.One2many("billing.usage", "contract_line_id")

    _metered_idx = models.Index("(company_id) WHERE is_metered")
    _metered_by_period = models.Constraint(
        "CHECK (is_metered IS NOT TRUE OR price_interval = 'period')",
        "A price line by usage is charged per billing period. Choose “Billing period”.",
    )
    _amounts_in_order = models.Constraint(
        "CHECK (COALESCE(minimum_amount, 0) >= 0 AND (COALESCE(maximum_amount, 0) = 0 "
        "OR maximum_amount >= COALESCE(minimum_amount, 0)))",
        "The minimum amount must be at least 0, and the maximum not less than the minimum.",
    )

    @api.onchange("is_metered")
    def _onchange_is_metered(self):
        if self.is_metered:
            self.price_interval = "period"
        else:
            self.bound_scope = "line"

    @api.constrains("tariff_id", "is_metered", "minimum_amount", "maximum_amount")
    def _check_tariff(self):
        for line in self:
            line._check_tariff_fits()

    def _check_tariff_fits(self):
        currency = self.tariff_id.currency_id
        if currency and currency != self.currency_id:
            raise ValidationError(
                self.env._(
                    "Tariff %(tariff)s is in %(currency)s, the contract in %(other)s. Choose a "
                    "tariff in the currency of the contract.",
                    tariff=self.tariff_id.name,
                    currency=currency.name,
                    other=self.currency_id.name,
                )
            )
        self._check_shared_bands()
        if self.is_metered:
            return
        if self.tariff_id.model == tariff.PERCENTAGE or self.minimum_amount or self.maximum_amount:
            raise ValidationError(
                self.env._(
                    "“%(line)s”: percentages, minimum and maximum amounts are for price lines by "
                    "usage. Tick “By Usage”.",
                    line=self.name,
                )
            )

    def _is_meter(self):
        """Whether usage items are of this line."""
        return self.is_metered and not self._bounds_contract()

    def _has_own_price(self):
        """Whether this line is charged repeatedly at its own price: no tariff, not by usage."""
        return self.price_interval != "once" and not self.is_metered and not self.tariff_id

    @api.constrains("tariff_id", "is_metered", "price_ids", "is_price_looked_up")
    def _check_price_has_one_home(self):
        for line in self.filtered(lambda line: line.tariff_id or line.is_metered):
            if line.price_ids or line.is_price_looked_up:
                raise ValidationError(
                    self.env._(
                        "“%(line)s” goes by usage or by a tariff: it has no planned prices, and "
                        "its price is not looked up. Add another price line from that day on.",
                        line=line.name,
                    )
                )

    @api.constrains("is_metered")
    def _check_metered_from_the_start(self):
        for line in self:
            if any(amount.is_metered != line.is_metered for amount in line.run_line_ids):
                raise ValidationError(
                    self.env._(
                        "“%(line)s” has already been invoiced. End it and add another price line "
                        "to invoice usage from then on.",
                        line=line.name,
                    )
                )

    @api.constrains("date_end", "contract_id")
    def _check_end_not_metered(self):
        """Refuse an end before days whose usage was invoiced: it cannot be credited by days.

        :raises ValidationError: names the days, and says what to do
        """
        metered = self.filtered(lambda line: line.is_metered and line.run_line_ids)
        claims = metered._get_claimed_spans()
        for line in metered:
            last, spans = line._get_last_day(), claims[line.id]
            if last and spans and spans[-1].date_to > last:
                raise ValidationError(
                    self.env._(
                        "Contract %(contract)s, line “%(line)s”: its usage up to %(date)s has been "
                        "invoiced. Reverse that with “Release for Invoicing”, then move the end.",
                        contract=line.contract_id.name,
                        line=line.name,
                        date=format_date(self.env, spans[-1].date_to),
                    )
                )

    def _relink_usage(self, vals):
        """Find the price lines of usage anew where ``vals``, just written, affect them."""
        if METER_FIELDS.intersection(vals):
            self.contract_id._link_usage()

    # ------------------------------------------------------------------
    # What is due
    # ------------------------------------------------------------------

    def _get_own_terms(self, terms):
        """Return the terms by which this line is due: usage by the period, when that is over."""
        if not self.is_metered:
            return terms
        return replace(
            terms, mode="periodic", timing="arrears", prebilling=0, split=False, until=None
        )

    def _get_metered_spans(self, terms, claimed, target, skip_before=None):
        """Return the open periods of a metered line that are over on ``target``."""
        last = self._get_last_day()
        if terms.mode == "date" and terms.until:
            last = min(filter(None, (last, terms.until)))
        return periods.due_spans(
            self._get_own_terms(terms), self._get_first_day(), last, claimed, target, skip_before
        )

    def _get_late_spans(self, claimed, target, skip_before=None):
        """Return the periods of a metered line that are invoiced and have something due, in order.

        It is usage that was reported later, or what is to be settled with others. They are as they
        were invoiced: the contract may have got other periods since. Not what was invoiced to
        another customer, see :meth:`_get_other_customer_exceptions`.
        """
        late = [
            periods.Span(amount.period_from, amount.period_to)
            for amount in self._get_late_amounts(claimed, target, skip_before)
            if not amount._is_of_another_customer()
        ]
        unsettled = self._get_unsettled_spans(target, skip_before)
        return sorted({*late, *unsettled}) if unsettled else late

    def _get_late_amounts(self, claimed, target, skip_before=None):
        """Return the first amounts of the periods for which usage was reported later, in order."""
        days = [
            day
            for day in self._get_open_usage_days(target)
            if any(span.date_from <= day <= span.date_to for span in claimed)
        ]
        billed = self._get_billed_periods(days) if days else []
        return [
            amount
            for amount in billed
            if (not skip_before or amount.period_to >= skip_before)
            and any(amount.period_from <= day <= amount.period_to for day in days)
        ]

    def _get_billed_periods(self, days):
        """Return the first amount of each of this line's periods around ``days``, in order."""
        found = remember(
            self.env, ("billed periods", self.id), lambda: self._find_billed_periods(days)
        )
        return found.get(self.id, [])

    def _find_billed_periods(self, days):
        """Return {line id: the first amounts of its periods around ``days``}, in order."""
        span = periods.Span(min(days), max(days))
        amounts = self._find_holding_amounts([span]).filtered(lambda one: not one.late_number)
        found = defaultdict(list)
        for amount in amounts.sorted("period_from"):
            found[amount.contract_line_id.id].append(amount)
        return found

    def _get_open_usage_days(self, target):
        """Return the days up to ``target`` (inclusive) with usage of this line that is open."""
        days = remember(
            self.env, ("usage days", self.id, target), lambda: self._read_usage_days(target)
        )
        return days.get(self.id, [])

    def _read_usage_days(self, target):
        """Return {line id: days up to ``target`` with open usage} of these lines."""
        self.env["billing.usage"].flush_model(["contract_line_id", "date", "state"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT contract_line_id, array_agg(DISTINCT date) FROM billing_usage
                 WHERE contract_line_id = ANY(%s) AND state = 'open' AND date <= %s
                 GROUP BY contract_line_id
                """,
                self.ids,
                target,
            )
        )
        return dict(rows)

    # ------------------------------------------------------------------
    # What it costs
    # ------------------------------------------------------------------

    def _get_tariff(self):
        """Return the tariff of this line for the engine; without one, its own price.

        :raises UserError: names what is wrong with the tariff
        """
        if not self.tariff_id:
            return tariff.Tariff(bands=(tariff.Band(price_unit=periods.exact(self.price_unit)),))
        record = self.tariff_id
        try:
            return remember(self.env, ("tariff", record.id), record._get_rating)
        except tariff.TariffError as error:
            raise UserError(record._get_refusal(error.code)) from error

    def _get_rated_price(self, measure):
        """Return what ``measure`` costs by the tariff after discount, exact."""
        rated = tariff.rate(self._get_tariff(), measure)
        return rated * (1 - periods.exact(self.discount) / 100)

    def _get_committed_price(self):
        """Return what a metered line charges at least in a whole period, whatever others do."""
        return periods.exact(0 if self._bounds_contract() else self.minimum_amount)

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

    def _rate(self, terms, span, as_new=False):
        """Return the :class:`Rating` of ``span``, a billing period of this metered line.

        :param as_new: as if nothing of it were invoiced or claimed; also of a part of a period
        """
        if as_new and self._shares_bands():
            return self._rate_share(span)
        measure = self._get_measure(span)
        coin = periods.exact(self.currency_id.rounding)
        share = periods.charge(
            terms, "period", self._get_counted_from(), span, periods.ONE, coin
        ).units
        total = tariff.bound(
            self._get_rated_price(measure),
            periods.exact(self.minimum_amount) if self.minimum_amount else None,
            periods.exact(self.maximum_amount) if self.maximum_amount else None,
            share,
        )
        billed = {} if as_new else self._get_billed_usage(span)
        edited = self._get_edited_to_charge(span, measure, billed)
        charged = self.env["billing.contract"]._get_charged(billed)
        amount = tariff.get_due(total, [charged], coin) + edited
        return Rating(measure, total, billed, amount, edited=edited)

    def _get_edited_to_charge(self, span, measure, billed):
        """Return what people took off ``billed``, where usage of ``span`` is rated with it.

        What only settles shared bands leaves it as it is.
        """
        edited = self._get_edited(billed)
        if not edited or not self._shares_bands():
            return edited
        pair = self, span
        news = self.env["billing.contract"]._get_new_quantities({pair: measure}, {pair: billed})
        return edited if news[0][1] else Fraction()

    @api.model
    def _get_edited(self, billed):
        """Return what people took off amounts on their invoices, and was not charged since.

        :param billed: {amount: what it invoiced, exact}
        """
        charged = self.env["billing.contract"]._get_charged(billed)
        return charged - sum(billed.values(), Fraction())

    def _get_metered_vals(self, rating, taxes=None):
        """Return quantity, price, discount, amount and note that ``rating`` leaves to invoice."""
        amount = float(rating.amount)
        before = self._get_quantity_before(rating)
        quantity = float(rating.measure.quantity) - before
        single = None
        if taxes and quantity and taxes._is_per_quantity():
            # the tax depends on the pieces, however they are priced
            price = {"quantity": quantity, "price_unit": amount / quantity}
        else:
            single = self._get_single_price(rating, taxes)
            price = single or {
                "quantity": -1.0 if amount < 0 else 1.0,
                "price_unit": abs(amount),
            }
        note = self._get_rating_note(rating, with_slices=not single)
        return {"discount": 0.0, **price, "amount": amount, "note": note}

    def _get_quantity_before(self, rating):
        """Return what had been measured when the period was last rated."""
        return max((amount.rated_quantity for amount in rating.billed), default=0.0)

    def _get_single_price(self, rating, taxes):
        """Return quantity, price and discount where these alone give the amount, else None."""
        if rating.billed or rating.pool or self.tariff_id.model in NO_SINGLE_PRICE:
            return None
        slices = tariff.get_slices(self._get_tariff(), rating.measure)
        if len(slices) > 1 or slices and slices[0].fee:
            return None
        part = slices[0] if slices else tariff.Slice(Fraction(), Fraction())
        quantity, price = float(part.quantity), float(part.price)
        digits = self.env["decimal.precision"].precision_get("Product Unit")
        is_exact = round(quantity, digits) == quantity and periods.exact(price) == part.price
        shown = planned.Price(None, price, discount=self.discount)
        if not is_exact or not self._gives_amount(shown, quantity, float(rating.amount), taxes):
            return None
        return {"quantity": quantity, "price_unit": price, "discount": self.discount}

    # ------------------------------------------------------------------
    # How it came about
    # ------------------------------------------------------------------

    def _get_rating_note(self, rating, with_slices=True):
        """Return the explanation of the amount for the invoice line.

        :param with_slices: the invoice line itself does not show quantity and price
        """
        env = self.with_context(lang=self.contract_id._get_invoice_lang()).env
        parts = [self._get_measure_text(env, rating)]
        if rating.pool:
            return "\n".join([*parts, *self._get_pool_texts(env, rating)])
        if self.tariff_id.included_quantity and not rating.billed:
            included = self._get_quantity_text(env, self.tariff_id.included_quantity)
            parts.append(env._("included: %(quantity)s", quantity=included))
        if with_slices and not rating.billed:
            slices = tariff.get_slices(self._get_tariff(), rating.measure)
            parts += [self._get_slice_text(env, part) for part in slices]
        bounded = self._get_rated_price(rating.measure)
        if rating.total > bounded:
            parts.append(env._("minimum: %(price)s", price=self._get_money_text(env, rating.total)))
        elif rating.total < bounded:
            parts.append(env._("maximum: %(price)s", price=self._get_money_text(env, rating.total)))
        if rating.billed:
            kept = self._get_edited(rating.billed) - rating.edited
            before = sum(rating.billed.values(), kept)
            parts.append(
                env._(
                    "%(total)s, less %(before)s invoiced before",
                    total=self._get_money_text(env, rating.total),
                    before=self._get_money_text(env, before),
                )
            )
            parts += self._get_kept_texts(env, kept)
        return "\n".join(parts)

    def _get_band_texts(self):
        """Return what the tariff costs, one text per band, in the language of the environment."""
        texts = [self._get_band_text(tier) for tier in self.tariff_id.tier_ids.sorted("sequence")]
        if self.tariff_id.included_quantity:
            included = self._get_quantity_text(self.env, self.tariff_id.included_quantity)
            texts.insert(0, self.env._("included: %(quantity)s", quantity=included))
        if self._shares_with_customer():
            texts.append(self.env._("for all contracts with this tariff together"))
        elif self._shares_bands():
            texts.append(self.env._("for all price lines of this tariff together"))
        return texts

    def _get_band_text(self, tier):
        """Return what a band of the tariff costs, and how far it goes."""
        price = self._get_band_price_text(tier)
        if tier.up_to:
            limit = self._get_quantity_text(self.env, tier.up_to)
            return self.env._("up to %(quantity)s: %(price)s", quantity=limit, price=price)
        if len(self.tariff_id.tier_ids) > 1:
            return self.env._("above that: %(price)s", price=price)
        return price

    def _get_band_price_text(self, tier):
        kind, parts = self.tariff_id.model, []
        if kind == tariff.PERCENTAGE and tier.rate:
            parts.append(f"{formatLang(self.env, tier.rate, digits=2)} %")
        elif kind == tariff.PACKAGE:
            size = self._get_quantity_text(self.env, self.tariff_id.package_size)
            price = self._format_unit_price(self.env, tier.price_unit)
            parts.append(self.env._("%(price)s per %(quantity)s", price=price, quantity=size))
        elif kind not in (tariff.PERCENTAGE, tariff.STAIRSTEP) and tier.price_unit:
            parts.append(self._format_unit_price(self.env, tier.price_unit))
        if tier.flat_fee or not parts:
            parts.append(self._format_price(self.env, tier.flat_fee))
        return " + ".join(parts)

    def _get_measure_text(self, env, rating):
        measure = rating.measure
        quantity = self._get_quantity_text(env, measure.quantity)
        before = self._get_quantity_before(rating)
        if rating.billed and self._shares_bands() and before == float(measure.quantity):
            return env._(
                "Usage as invoiced: %(quantity)s. What was counted with it has changed",
                quantity=quantity,
            )
        if rating.billed:
            return env._(
                "Usage reported later: %(quantity)s instead of %(before)s",
                quantity=quantity,
                before=self._get_quantity_text(env, before),
            )
        return env._(
            "Usage: %(quantity)s (items: %(count)s)", quantity=quantity, count=measure.count
        )

    def _get_slice_text(self, env, part):
        """Return a part of the quantity with its price, in Latin-1."""
        fee = self._get_money_text(env, part.fee)
        if not part.quantity:
            return fee
        text = f"{self._get_part_text(env, part)} × {self._get_share_text(env, part)}"
        return f"{text} + {fee}" if part.fee else text

    def _get_part_text(self, env, part):
        if self.tariff_id.model == tariff.PACKAGE:
            return env._("%(count)s packages", count=int(part.quantity))
        return self._get_quantity_text(env, part.quantity)

    def _get_share_text(self, env, part):
        """Return the price of a part; of a value the percentage."""
        if self.tariff_id.model == tariff.PERCENTAGE:
            return f"{formatLang(env, float(part.price * 100), digits=2)} %"
        return self._format_unit_price(env, float(part.price))

    def _get_money_text(self, env, price):
        return self._format_price(env, float(price))

    def _get_quantity_text(self, env, quantity):
        if self._get_aggregate() == "value":
            return self._get_money_text(env, quantity)
        quantity = float(quantity)
        digits = 0 if quantity == int(quantity) else None
        text = formatLang(env, quantity, digits=digits, dp=None if digits == 0 else "Product Unit")
        uom = self.with_env(env).product_uom_id
        return f"{text} {uom.name}" if uom and self.aggregation in ("sum", "max", "last") else text

    # ------------------------------------------------------------------
    # Amounts
    # ------------------------------------------------------------------

    def _prepare_metered_line_vals(self, terms, span, fiscal_position, rating=None):
        """Return the values of the run line that invoices the usage of ``span``, or more of it.

        :param rating: its :class:`Rating`, where that depends on other price lines
        """
        contract = self.contract_id
        taxes = contract._get_run_taxes(
            self.tax_ids, self.product_id, contract.company_id, fiscal_position
        )
        rating = rating or self._rate(terms, span)
        vals = self._get_metered_vals(rating, taxes)
        note = vals.pop("note")
        return {
            **vals,
            "contract_id": contract.id,
            "contract_line_id": self.id,
            "tariff_id": self.tariff_id.id,
            "product_id": self.product_id.id,
            "product_uom_id": self.product_uom_id.id,
            "name": self._get_invoice_line_name(span, note),
            "period_from": span.date_from,
            "period_to": span.date_to,
            "billing_date_from": span.date_from,
            "billing_date_to": span.date_to,
            "tax_ids": taxes.ids,
            "analytic_distribution": self.analytic_distribution,
            "is_metered": True,
            "rated_quantity": float(rating.measure.quantity),
            "charged_edits": float(rating.edited),
            "pool_key": self._get_pool_key(terms, span),
            "late_number": self._get_next_number(rating.billed),
        }

    @api.model
    def _get_next_number(self, held):
        """Return the ``late_number`` of what is invoiced of a period next to ``held``.

        0 where the first amount of the period is in force no more, though later ones may be.
        """
        numbers = [amount.late_number for amount in held]
        return max(numbers) + 1 if 0 in numbers else 0


class BillingContract(models.Model):
    """Usage of metered price lines: whose it is, and when it is due."""

    _inherit = "billing.contract"

    @api.constrains("currency_id")
    def _check_tariffs_fit(self):
        self.line_ids._check_tariff()

    @api.constrains("date_end", "cancel_date", "state")
    def _check_end_not_metered(self):
        self.line_ids._check_end_not_metered()

    def _link_usage(self):
        """Find the price lines of the open usage of these contracts anew."""
        domain = Domain("contract_id", "in", self.ids) & Domain("state", "=", "open")
        if not self.line_ids.filtered("is_metered"):
            domain &= Domain("contract_line_id", "!=", False)
        self.env["billing.usage"].search(domain)._compute_contract_line_id()

    @api.model
    def _get_late_domain(self, run):
        """Return the contracts with usage that came after its period was invoiced, or to settle.

        As a domain of ids, mostly none, so that others are still found by the index of their dates.
        """
        self.env["billing.usage"].flush_model(["contract_line_id", "state", "date"])
        self.env["billing.contract.line"].flush_model(["invoiced_until", "is_metered"])
        self.env["invoice.run.line"].flush_model(["is_unsettled", "is_claimed"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT DISTINCT line.contract_id FROM billing_contract_line line
                 WHERE line.is_metered AND line.company_id = %(company)s AND EXISTS (
                       SELECT FROM billing_usage usage
                        WHERE usage.contract_line_id = line.id AND usage.state = 'open'
                          AND usage.date <= LEAST(line.invoiced_until, %(target)s)
                          AND line.invoiced_until IS NOT NULL)
                 UNION
                SELECT contract_id FROM invoice_run_line
                 WHERE is_unsettled AND is_claimed AND company_id = %(company)s
                   AND period_to <= %(target)s
                """,
                company=run.company_id.id,
                target=run.target_date,
            )
        )
        ids = [contract_id for (contract_id,) in rows]
        return Domain("id", "in", ids) if ids else Domain.FALSE

    def _get_metered_due(self, terms, claims, run):
        """Yield (price line, span) of the usage that ``run`` invoices: periods, then late usage."""
        skip, target = run.skip_before or None, run.target_date
        for line in self.line_ids.filtered(lambda line: line._is_meter()):
            claimed = claims[line.id]
            for span in line._get_metered_spans(terms, claimed, target, skip):
                yield line, span
            for span in line._get_late_spans(claimed, target, skip):
                yield line, span

    def _read_metered_ahead(self, run, claims):
        """Read what the metered lines of these contracts have due, with a few queries for all."""
        lines = self.line_ids.filtered("is_metered")
        # one by one, because a bad contract must not stop the others
        if not lines or self.env.context.get("invoice_run_isolate"):
            return
        bounds = self._find_bounds_due(run, claims)
        days = lines._read_usage_days(run.target_date)
        shared = lines.filtered(lambda line: line._shares_bands())
        unsettled = shared._find_unsettled() if shared else {}
        for line in lines:
            remember(self.env, ("usage days", line.id, run.target_date), lambda: days)
            remember(self.env, ("unsettled", line.id), lambda: unsettled)
        late = lines.browse(days)
        if late:
            found = late._find_billed_periods([day for some in days.values() for day in some])
            for line in late:
                remember(self.env, ("billed periods", line.id), lambda: found)
        due = [pair for contract in self for pair in contract._find_metered_due(run, claims)]
        if due:
            lines._read_measures_ahead(due)
        if due or bounds:
            terms = self._find_committed_terms(run, [*due, *bounds])
            lines._read_holding_ahead([*due, *bounds, *terms])
            self._read_bounds_ahead([*bounds, *terms])
            self._read_pools_ahead(run, due)

    def _find_metered_due(self, run, claims):
        """Return what :meth:`_get_metered_due` yields; nothing where terms are impossible."""
        if self.state not in CONTRACT_BILLED or not self.line_ids.filtered("is_metered"):
            return []
        try:
            return list(self._get_metered_due(self._get_billing_terms(run), claims, run))
        except ValueError:  # an exception of the run reports it
            return []

    def _get_metered_charges(self, terms, claims, run, records, document):
        """Yield the charges of usage that ``run`` invoices of this contract.

        In arrears it joins the other charges of its period; in advance, and where the usage came
        late, it joins the newest invoice.
        """
        yield from map(NotBillable, self._get_other_customer_exceptions(run, claims))
        position = records["fiscal_position_id"]
        due = defaultdict(list)
        pairs = list(self._get_metered_due(terms, claims, run))
        ratings = self._rate_pools(terms, pairs, run)
        for line, span in pairs:
            vals = line._prepare_metered_line_vals(terms, span, position, ratings.get((line, span)))
            if line._settles_nothing(span, vals, run):
                continue
            due[line].append((span, vals))
            yield self._prepare_metered_charge(terms, span, vals, document)
        for line, billed in due.items():
            for vals in line._get_true_ups(terms, claims[line.id], billed, position):
                span = periods.Span(vals["period_from"], vals["period_to"])
                in_period = span in [one for one, _vals in billed]
                yield self._prepare_metered_charge(terms, span, vals, document, in_period)

    def _prepare_metered_charge(self, terms, span, vals, document, in_period=None):
        """Return the charge of ``vals``, an amount of ``span``.

        :param in_period: whether it joins the invoice of its period; by default unless it is late
        """
        if in_period is None:
            in_period = not vals["late_number"]
        in_period = in_period and terms.timing == "arrears"
        return Charge(
            payer=self.commercial_partner_id,
            contract=self,
            bucket=self._get_bucket(terms, span) if in_period else ("usage", self.id),
            joins=not in_period,
            key=self._get_grouping_key(),
            document=document,
            line=vals,
        )


class BillingUsage(models.Model):
    """Usage items that are rated together, by a metered price line."""

    _inherit = "billing.usage"

    contract_line_id = fields.Many2one(
        "billing.contract.line",
        "Price Line",
        compute="_compute_contract_line_id",
        store=True,
        readonly=False,
        precompute=True,
        check_company=True,
        ondelete="restrict",
        domain="[('contract_id', '=', contract_id), ('is_metered', '=', True), "
        "('bound_scope', '=', 'line')]",
        help="The items of a price line by usage are invoiced together, at its price, when the "
        "billing period is over.",
    )
    meter_code = fields.Char(help="Finds the price line of the contract that has the same code.")
    usage_key = fields.Char(
        "Key", help="What is counted where different keys are: a user, a card, a device."
    )
    usage_claim_ids = fields.One2many("invoice.run.usage", "usage_id", "Claims", engine=True)

    _open_line_idx = models.Index(
        "(contract_line_id, date) WHERE state = 'open' AND contract_line_id IS NOT NULL"
    )
    _contract_line_idx = models.Index("(contract_line_id, date) WHERE contract_line_id IS NOT NULL")

    @api.depends("contract_id", "product_id", "meter_code", "date", "partner_id")
    def _compute_contract_line_id(self):
        for usage in self:
            if usage.state in (False, "open"):
                lines = usage._get_metered_lines()
                if usage.contract_line_id not in lines or not usage.contract_line_id:
                    usage.contract_line_id = lines if len(lines) == 1 else False

    def _get_meters(self):
        """Return the metered price lines of the contract with the code or product of this item.

        Items of another customer are invoiced to that customer, at their own price.
        """
        metered = self.contract_id.line_ids.filtered(lambda line: line._is_meter())
        payer = self.partner_id.commercial_partner_id
        if payer != self.contract_id.commercial_partner_id:
            return metered.browse()
        if self.meter_code:
            return metered.filtered(lambda line: line.meter_code == self.meter_code)
        return metered.filtered(
            lambda line: line.product_id == self.product_id and not line.meter_code
        )

    def _get_metered_lines(self):
        """Return the metered price lines that could rate this item; it needs exactly one."""
        return self._get_meters().filtered(lambda line: line._covers(self.date))

    def _get_metering_errors(self):
        """Return the reason, as (code, message), why the price of this item is not known.

        It has the meter of a price line and no price of its own: it is never invoiced by the item.
        """
        meters = self._get_meters()
        if not meters or self.contract_line_id:
            return []
        lines = meters.filtered(lambda line: line._covers(self.date))
        values = {"contract": self.contract_id.name, "lines": ", ".join(meters.mapped("name"))}
        if len(lines) > 1:
            message = self.env._(
                "Several price lines of contract %(contract)s measure this: %(lines)s. Choose "
                "the price line, or enter its meter code.",
                **values,
            )
        else:
            message = self.env._(
                "Contract %(contract)s measures this by %(lines)s, but not on this day. Correct "
                "the date of the item or the days of the price line.",
                **values,
            )
        return [("metered", message)]

    @api.constrains("contract_line_id", "contract_id", "currency_id")
    def _check_contract_line(self):
        for usage in self.filtered("contract_line_id"):
            contract = usage.contract_line_id.contract_id
            is_same = usage.contract_id == contract and usage.contract_line_id._is_meter()
            if not is_same or usage.currency_id != contract.currency_id:
                raise ValidationError(
                    self.env._(
                        "“%(item)s”: the price line must be one by usage, of the contract and in "
                        "the currency of the item.",
                        item=usage.name,
                    )
                )

    def _mark_metered_stale(self):
        """Mark the amounts that hold these items, possibly with others."""
        claims = Domain("usage_id", "in", self.ids) & Domain("is_claimed", "=", True)
        self.env["invoice.run.line"]._mark_stale(Domain("usage_claim_ids", "any", claims))

    def _mark_periods_stale(self):
        """Mark the amounts of the periods into which these items fall, unless they are approved.

        Approved amounts are invoiced as they are; the items then count as usage reported later.
        """
        metered = self.filtered("contract_line_id")
        if metered:
            domain = Domain("run_id.approved_date", "=", False)
            domain &= Domain("id", "in", metered._select_rating_amounts())
            self.env["invoice.run.line"]._mark_stale(domain)

    def _select_rating_amounts(self):
        """Return the query of the amounts that rate the periods of these items."""
        self.env["billing.usage"].flush_model(["contract_line_id", "date", "state"])
        amount_fields = ["contract_line_id", "is_metered", "period_from", "period_to"]
        self.env["invoice.run.line"].flush_model(amount_fields)
        return SQL(
            """(
            SELECT amount.id FROM billing_usage usage
              JOIN invoice_run_line amount ON amount.contract_line_id = usage.contract_line_id
               AND usage.date BETWEEN amount.period_from AND amount.period_to
             WHERE usage.id = ANY(%s) AND usage.state = 'open' AND amount.is_metered
            )""",
            self.ids,
        )
