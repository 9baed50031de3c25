from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import SQL, format_date

from ...engine import periods, planned, tariff
from ...engine.charge import Charge, NotBillable
from ...memory import remember
from ..base.states import CONTRACT_BILLED

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

        Also those with a commitment of which something is missing, that ends where it was invoiced.

        As a domain of ids, mostly none, so that others are still found by the index of their dates.
        """
        self.env["billing.usage"].flush_model(["contract_line_id", "state", "date"])
        names = ["invoiced_until", "is_metered", "is_shortfall_open"]
        self.env["billing.contract.line"].flush_model(names)
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
                 UNION
                SELECT contract_id FROM billing_contract_line
                 WHERE is_shortfall_open AND company_id = %(company)s
                   AND invoiced_until <= %(target)s
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
        for line in self.line_ids.filtered(lambda line: line._is_meter()):
            billed = due[line]
            for vals in line._get_true_ups(terms, claims[line.id], billed, position):
                span = periods.Span(vals["period_from"], vals["period_to"])
                in_period = span in [one for one, _vals in billed]
                yield self._prepare_metered_charge(terms, span, vals, document, in_period)
            yield from self._get_shortfall_charges(
                line, terms, run, claims[line.id], billed, records
            )

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
