from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

from odoo import api, models
from odoo.tools import format_date

from ...engine import periods, price_change
from ...memory import remembering
from .billing_contract_rates import BOUND_FIELDS, COMMITMENT_FIELDS
from .billing_price_trace import BOUNDS, CHANGED_BY_DATE

#: Fields of a price line by which it is rated, besides price, quantity and discount.
RATED_BY = {"tariff_id", *BOUND_FIELDS, *COMMITMENT_FIELDS}


class BillingContractLine(models.Model):
    """A price line as it is rated on one side of a change."""

    _inherit = "billing.contract.line"

    def _with_rates(self, vals):
        """Return this line as it is rated with ``vals``, where they say so; nothing is written."""
        rates = {name: vals[name] for name in RATED_BY if name in vals}
        return self.new(rates, origin=self) if rates else self


class BillingPriceChange(models.AbstractModel):
    """What prices become from a day on: proposed as plain values, then applied.

    How to use
    ----------
    * :meth:`_get_proposed_date`: the first day from which nothing is invoiced yet;
    * :meth:`_propose`: what :class:`price_change.Terms` change on price lines, or
      :meth:`_get_changes`, where each line has new values of its own: a
      :class:`price_change.PriceChange` for each line, in order, with prices per month and year,
      what will be credited, and the reason where a line is left out;
    * :meth:`_get_total`: what they come to together;
    * :meth:`_apply`: writes those that are not left out.

    All are set-based: a fixed number of queries, however many lines, but for lines whose days
    were invoiced beyond the change. What they return may be kept: it holds no records.
    """

    _name = "billing.price.change"
    _description = "Change of Prices"

    # ------------------------------------------------------------------
    # Proposed
    # ------------------------------------------------------------------

    @api.model
    def _get_proposed_date(self, lines):
        """Return the first day from which none of these lines is invoiced or in a run.

        A change from then on credits nothing. Lines that end before it do not count.

        :return: None where no line has an open day
        """
        claims = lines._get_claimed_spans()
        days = []
        for line in lines.filtered(lambda line: line.contract_id.date_start):
            spans = claims[line.id]
            day = spans[-1].date_to + periods.DAY if spans else line._get_first_day()
            last = line._get_last_day()
            if not last or day <= last:
                days.append(max(day, line._get_first_day()))
        return max(days, default=None)

    @api.model
    def _propose(self, lines, terms):
        """Return the changes that ``terms`` mean for these price lines, in their order.

        :param terms: :class:`price_change.Terms`
        """
        vals_by_line = {line: self._prepare_new_vals(line, terms) for line in lines}
        reasons = {line: self._get_own_reason(line, terms) for line in lines}
        return self._get_changes(terms.date, vals_by_line, reasons)

    @api.model
    def _get_changes(self, date, vals_by_line, reasons=None):
        """Return a :class:`price_change.PriceChange` for each of these lines, in order.

        :param date: first day of the change, inclusive
        :param vals_by_line: {price line: values in which the new line differs; None: it ends}
        :param reasons: {price line: why it is left out, whatever its days say}
        """
        lines = self.env["billing.contract.line"].union(*vals_by_line)
        taken = lines._get_taken_spans()
        with remembering(self.env):
            changes = [
                self._new_change(line, date, vals, taken[line.id], (reasons or {}).get(line))
                for line, vals in vals_by_line.items()
            ]
        credits = self._get_credits(
            {one.line_id: one.date_from for one in changes if one.is_billed}
        )
        return [replace(one, credit=credits.get(one.line_id, 0.0)) for one in changes]

    def _new_change(self, line, date, vals, taken, reason):
        """Return the change of one line, but for what is credited.

        :param taken: days that are invoiced or claimed, as spans
        """
        first, last = line._get_own_days()
        reason = (
            self._get_days_reason(date, first, last, vals, taken)
            or reason
            or self._get_rating_reason(line, vals)
            or ""
        )
        is_changed = not reason
        return price_change.PriceChange(
            line_id=line.id,
            contract_id=line.contract_id.id,
            currency_id=line.currency_id.id,
            date_from=max(first, date),
            old=self._get_old_price(line, max(first, date)),
            new=self._get_new_price(line, max(first, date), vals if is_changed else None),
            vals=vals,
            old_vals=self._get_old_vals(line, max(first, date), vals),
            reason=reason,
            in_place=is_changed and date <= first,
            is_billed=is_changed and any(span.date_to >= date for span in taken),
        )

    def _get_days_reason(self, date, first, last, vals, taken):
        """Return why no line can begin, or end, on ``date``; None where it can."""
        if last and last < date:
            return price_change.ENDED
        if date > first:
            return None
        if taken:
            return price_change.BILLED
        return None if vals else price_change.EMPTY

    def _get_own_reason(self, line, terms):
        """Return why ``terms`` leave out a line that has days to change; None where they do not.

        A line that has not begun yet is changed as it is: the same percentage would count twice.
        """
        raised_from = line.raised_from if terms.kind == "percentage" else None
        if raised_from and raised_from >= terms.date:
            return price_change.RAISED
        if terms.bounds and not terms.is_alone and self._is_bounded_by_another(line, terms):
            return price_change.NO_BOUND
        since = line._get_price_since(terms.date)
        if terms.older_than and since and since >= terms.older_than:
            return price_change.RECENT
        return None

    def _is_bounded_by_another(self, line, terms):
        """Whether another line of the contract has the bound that ``terms`` set, and this has not.

        The minimum of a contract does not become one of each of its lines by usage.
        """
        (name,) = BOUNDS.intersection(terms.bounds)
        in_force = line.contract_id.line_ids.filtered(
            lambda other: not other.date_end or other.date_end >= terms.date
        )
        return not line[name] and any(in_force.mapped(name))

    def _get_rating_reason(self, line, vals):
        """Return why new values have no effect: a tariff gives the price, or usage the quantity."""
        if not vals or "product_id" in vals:
            return None
        if "tariff_id" in vals:
            return self._get_tariff_reason(line, vals["tariff_id"])
        if RATED_BY & vals.keys():
            return self._get_bounds_reason(line, vals)
        if line._bounds_contract():
            is_priced = {"quantity", "price_unit", "discount"} & vals.keys()
            return price_change.BOUNDS if is_priced else None
        if line.is_metered and "quantity" in vals:
            return price_change.METERED
        return price_change.TARIFF if line.tariff_id and "price_unit" in vals else None

    def _get_tariff_reason(self, line, tariff_id):
        if not line.tariff_id:
            return price_change.NO_TARIFF
        return price_change.SAME_TARIFF if line.tariff_id.id == tariff_id else None

    def _get_bounds_reason(self, line, vals):
        if not line.is_metered:
            return price_change.FIXED
        is_shared = line._shares_bands() and BOUND_FIELDS & vals.keys()
        return price_change.SHARED if is_shared else None

    def _get_old_vals(self, line, day, vals):
        """Return by what ``line`` is rated where ``vals`` say something else."""
        names = RATED_BY.intersection(vals or ())
        old = {name: line[name] for name in names}
        if "tariff_id" in old:
            old["tariff_id"] = line.tariff_id.id
        if "discount" in (vals or ()):
            old["discount"] = line._get_price_on(day).discount
        return old

    def _get_old_price(self, line, day):
        # a planned price may be valid by then
        valid = line._get_planned_on(day) or line
        names = ("quantity", "price_unit", "price_month", "price_year")
        return price_change.Price(*(valid[name] for name in names))

    def _get_new_price(self, line, day, vals):
        if not vals:
            return price_change.NOTHING
        line = line._with_rates(vals)
        vals = {**line._prepare_price_vals(day), **vals}
        month, year = line._get_recurring_price(vals)
        return price_change.Price(vals["quantity"], vals["price_unit"], month, year)

    # ------------------------------------------------------------------
    # New values
    # ------------------------------------------------------------------

    def _prepare_new_vals(self, line, terms):
        """Return the values in which the new line differs; None where the line just ends."""
        makers = {
            "percentage": self._prepare_raised_vals,
            "price": lambda line, terms: {"price_unit": terms.price_unit, "raised_from": False},
            "quantity": lambda line, terms: {"quantity": terms.quantity},
            "discount": lambda line, terms: {"discount": terms.discount},
            "product": self._prepare_product_vals,
            "tariff": lambda line, terms: {"tariff_id": terms.tariff_id},
            "bound": lambda line, terms: dict(terms.bounds or {}),
            "end": lambda line, terms: None,
        }
        return makers[terms.kind](line, terms)

    def _prepare_raised_vals(self, line, terms):
        coin = line.currency_id.rounding
        price = line._get_price_on(terms.date).price_unit
        raised = periods.raise_price(price, terms.percentage, terms.step, coin)
        return {
            "price_unit": float(raised),
            "raised_from": max(terms.date, line._get_own_days()[0]),
        }

    def _prepare_product_vals(self, line, terms):
        product = self.env["product.product"].browse(terms.product_id or ())
        if not product:
            return {"product_id": line.product_id.id}
        lang = line.contract_id.partner_id.lang or self.env.lang
        return {
            "product_id": product.id,
            "raised_from": False,
            "name": product.with_context(lang=lang).get_product_multiline_description_sale(),
            "product_uom_id": product.uom_id.id,
            "price_unit": line._get_default_price(product, product.uom_id),
        }

    # ------------------------------------------------------------------
    # Credits and totals
    # ------------------------------------------------------------------

    def _get_credits(self, first_days):
        """Return what the next run would credit if the lines ended before their days.

        By the method that calculates the corrections themselves, so it is the same to the coin.

        :param first_days: {price line id: first day that is no longer owed, inclusive}
        :return: {price line id: amount}, positive, in the currency of the contract
        """
        if not first_days:
            return {}
        amounts = self.env["invoice.run.line"].search(
            [
                ("contract_line_id", "in", list(first_days)),
                ("is_claimed", "=", True),
                ("period_to", ">=", min(first_days.values())),
            ]
        )
        amounts = amounts.filtered(
            lambda amount: amount._is_overbilled(
                first_days[amount.contract_line_id.id] - periods.DAY
            )
        )
        billed_lines = self.env["billing.ledger"]._get_billed_lines(amounts.contract_line_id)
        credits = defaultdict(Fraction)
        for amount in amounts:
            line = amount.contract_line_id
            billed = amount._get_billed_line(billed_lines[line.id])
            if billed and not amount._get_correction_errors(billed):
                credit = amount._get_amount_to_credit(first_days[line.id], billed)
                credits[line.id] += self._convert_credit(line, billed, credit)
        return {line_id: float(credit) for line_id, credit in credits.items()}

    def _convert_credit(self, line, billed, credit):
        """Return ``credit`` in the currency of the contract, if it was another one then."""
        currency = self.env["res.currency"].browse(billed.entry.currency_id)
        if currency == line.currency_id:
            return credit
        return periods.exact(line.contract_id._convert_today(currency, float(credit)))

    @api.model
    def _get_total(self, changes, company):
        """Return what the changes come to, and the currency: theirs, else the company's.

        Several currencies are added up at today's rates. Where a line and the one that replaces
        it later are both changed, the total has the price of the first.

        :return: (:class:`price_change.Total`, currency)
        """
        ids = {one.currency_id for one in changes}
        currencies = self.env["res.currency"].browse(ids)
        currency = currencies if len(currencies) == 1 else company.currency_id
        today = company._get_invoice_run_today()
        rates = {
            one.id: periods.exact(one._get_conversion_rate(one, currency, company, today))
            for one in currencies
        }
        return price_change.total(changes, rates, self._get_followers(changes)), currency

    def _get_followers(self, changes):
        """Return the ids of lines that replace, directly or not, another line that is changed."""
        changed = {change.line_id for change in changes if not change.reason}
        lines = self.env["billing.contract.line"].browse(changed)
        return {line.id for line in lines if changed.intersection(line._get_replaced_ids())}

    # ------------------------------------------------------------------
    # In words
    # ------------------------------------------------------------------

    @api.model
    def _get_reason_text(self, change):
        """Return why this line is left out, and what to do; empty where it is changed."""
        line = self.env["billing.contract.line"].browse(change.line_id)
        texts = {
            price_change.ENDED: lambda: self._get_end_text(line),
            price_change.RAISED: lambda: self.env._(
                "Already raised from %(date)s. Set a new price instead.",
                date=format_date(self.env, line.raised_from),
            ),
            price_change.RECENT: lambda: self.env._(
                "Its price counts since %(date)s.",
                date=format_date(self.env, line._get_price_since(change.date_from)),
            ),
            price_change.BILLED: lambda: line._get_billed_line_message(change.vals),
            price_change.EMPTY: lambda: line._get_whole_line_message(),
            price_change.METERED: lambda: self.env._("Its quantity is what is used."),
            price_change.BOUNDS: lambda: self.env._(
                "It has the minimum or maximum of the contract, and no price of its own."
            ),
            price_change.TARIFF: lambda: self.env._(
                "Its price is that of tariff %(tariff)s. Choose “Set another tariff”.",
                tariff=line.tariff_id.name,
            ),
            price_change.NO_TARIFF: lambda: self.env._("It has a price of its own, no tariff."),
            price_change.SAME_TARIFF: lambda: self.env._("It already has this tariff."),
            price_change.NO_BOUND: lambda: self.env._(
                "Another price line of the contract has it. To give this one its own, remove the "
                "other lines here."
            ),
            price_change.FIXED: lambda: self.env._("It is not by usage."),
            price_change.SHARED: lambda: self.env._(
                "It shares the bands of tariff %(tariff)s and has no minimum or maximum of its "
                "own.",
                tariff=line.tariff_id.name,
            ),
        }
        return texts[change.reason]() if change.reason else ""

    def _get_end_text(self, line):
        return self.env._(
            "It ends on %(date)s, before the change.",
            date=format_date(self.env, line._get_last_day()),
        )

    @api.model
    def _get_letters(self, changes):
        """Return what customers are told: {contract id: {"date": …, "changes": […]}}.

        Of a contract with lines that change on several days (one has not begun yet) the first day.
        """
        letters = {}
        for change in changes:
            if change.reason:
                continue
            letter = letters.setdefault(
                change.contract_id, {"date": change.date_from, "changes": []}
            )
            letter["date"] = min(letter["date"], change.date_from)
            letter["changes"].append(change)
        return letters

    # ------------------------------------------------------------------
    # Applied
    # ------------------------------------------------------------------

    @api.model
    def _apply(self, changes):
        """Write the changes that are not left out, and say so in the chatter of the contracts.

        :return: the price lines that hold the new prices
        """
        changes = [change for change in changes if not change.reason]
        # before the lines are written: it names what they were
        bodies = self._get_notes(changes)
        lines = self.env["billing.contract.line"]
        result = lines
        for change in changes:
            if change.in_place:
                result |= lines.browse(change.line_id)
                # its note already says so
                line = lines.browse(change.line_id).with_context(invoice_run_trace=CHANGED_BY_DATE)
                line.write(change.vals)
        replaced = [change for change in changes if not change.in_place]
        result |= lines.create(
            [self._prepare_replacing_vals(change) for change in replaced if change.vals]
        )
        self._end_lines(replaced)
        contracts = self.env["billing.contract"].browse(bodies)
        contracts._message_log_batch(bodies=bodies)
        return result

    def _prepare_replacing_vals(self, change):
        line = self.env["billing.contract.line"].browse(change.line_id)
        default = {
            "raised_from": line.raised_from,
            **line._prepare_price_vals(change.date_from),
            **change.vals,
            "contract_id": change.contract_id,
            "date_start": change.date_from,
            "previous_line_id": change.line_id,
        }
        return line.copy_data(default)[0]

    def _end_lines(self, changes):
        """End each line on the day before its change."""
        by_day = defaultdict(list)
        for change in changes:
            by_day[change.date_from - periods.DAY].append(change.line_id)
        for day, ids in by_day.items():
            self.env["billing.contract.line"].browse(ids).write({"date_end": day})

    def _get_notes(self, changes):
        """Return {contract id: what is noted there}: each line with both prices."""
        rows = defaultdict(list)
        for change in changes:
            rows[change.contract_id].append(change)
        contracts = self.env["billing.contract"].browse(rows)
        return {contract.id: contract._get_change_note(rows[contract.id]) for contract in contracts}
