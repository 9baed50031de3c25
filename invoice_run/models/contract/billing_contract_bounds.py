"""A minimum, a maximum or a commitment of a whole contract: a price line that trues it up."""

from collections import defaultdict
from contextlib import suppress
from fractions import Fraction
from typing import NamedTuple

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain
from odoo.tools import format_date

from ...engine import ledger, periods, tariff
from ...engine.charge import get_charges
from ...memory import remember
from ..base.scopes import BY_CONTRACT
from ..base.states import CONTRACT_BILLED, DOCUMENT_CHANGEABLE
from .billing_contract_commitment import FIRST_TRUE_UP
from .billing_contract_timeline import Planned

NOTHING = Fraction()


class Counted(NamedTuple):
    """What one amount contributes to the bounds of its contract.

    :param span: the days that it is for
    :param money: what it came to, exact
    :param planned: price of one unit of time and amount, as it was calculated by its price; None:
        usage, credits
    """

    line: models.BaseModel
    span: periods.Span
    money: Fraction
    planned: tuple | None


def _is_of_term(vals):
    """Whether these are the values of the true-up of one line's commitment."""
    return bool(vals.get("is_true_up"))


class BillingContractLine(models.Model):
    """The price line that holds the bounds of its contract.

    It has no price and no usage of its own: what it charges for a billing period is the amount by
    which the other price lines miss the minimum or exceed the maximum. It is treated as lines by
    usage are: due when the period is over, calculated again when something of the period is
    invoiced later.
    """

    _inherit = "billing.contract.line"

    bound_scope = fields.Selection(
        [("line", "This price line"), ("contract", "All price lines of the contract")],
        "Minimum and Maximum Of",
        required=True,
        default="line",
        help="Of all price lines: this line has no price of its own. It charges what the others "
        "lack of the minimum or the commitment, and gives back what is above the maximum. One-off "
        "lines and usage items with a price of their own do not count.",
    )

    _bounds_idx = models.Index("(contract_id) WHERE bound_scope = 'contract'")

    @api.onchange("bound_scope")
    def _onchange_bound_scope(self):
        # they are not on the form any more
        if self._bounds_contract():
            self.update({"tariff_id": False, "meter_code": False, "discount": 0.0})

    @api.constrains(
        "bound_scope",
        "is_metered",
        "tariff_id",
        "meter_code",
        "minimum_amount",
        "maximum_amount",
        "commitment_amount",
        "date_start",
        "date_end",
        "contract_id",
    )
    def _check_bound_scope(self):
        """Refuse a line that bounds the contract and has a price, or another such line.

        :raises ValidationError: says what to do
        """
        for line in self.filtered("bound_scope"):
            if not line._bounds_contract():
                continue
            bounds = line.minimum_amount or line.maximum_amount or line.commitment_amount
            if not line.is_metered or line.tariff_id or line.meter_code or not bounds:
                raise ValidationError(
                    self.env._(
                        "“%(line)s”: a minimum, maximum or commitment of all price lines is for a "
                        "line by usage without tariff and meter code. Enter one of the three "
                        "amounts.",
                        line=line.name,
                    )
                )
            line._check_bounds_alone()

    @api.constrains("bound_scope", "initial_invoiced_until", "date_start", "contract_id")
    def _check_bounds_from_here(self):
        """Refuse bounds for days that were partly invoiced elsewhere: the amount is not known.

        :raises ValidationError: names the day
        """
        for holder in self.contract_id.line_ids.filtered(lambda line: line._bounds_contract()):
            counted = holder.contract_id.line_ids.filtered(lambda line: line._is_counted())
            days = filter(None, counted.mapped("initial_invoiced_until"))
            last, first = max(days, default=None), holder._get_first_day()
            end = holder._get_last_day()
            if last and first <= last and (not end or end >= first):
                raise ValidationError(
                    self.env._(
                        "“%(line)s”: other price lines of contract %(contract)s were invoiced "
                        "elsewhere until %(date)s. Enter that day on this line too: what was "
                        "charged until then is not known here.",
                        line=holder.name,
                        contract=holder.contract_id.name,
                        date=format_date(self.env, last),
                    )
                )

    def _check_bounds_alone(self):
        own = periods.Span(*self._get_own_days())
        # what this line replaces is ended the moment after, and then looked at itself
        others = self.contract_id.line_ids - self - self.previous_line_id
        for other in others.filtered(lambda other: other._bounds_contract()):
            first, last = other._get_own_days()
            begins_after = own.date_to and first > own.date_to
            if not begins_after and not (last and last < own.date_from):
                raise ValidationError(
                    self.env._(
                        "Contract %(contract)s: “%(line)s” and “%(other)s” bound the same days. "
                        "Keep one of them, or end one before the other.",
                        contract=self.contract_id.name,
                        line=self.name,
                        other=other.name,
                    )
                )

    @api.constrains("bound_scope")
    def _check_bound_scope_from_the_start(self):
        for line in self.filtered("run_line_ids"):
            amounts = line.run_line_ids.filtered(lambda one: one.late_number <= FIRST_TRUE_UP)
            if any(amount.is_true_up != line._bounds_contract() for amount in amounts):
                raise ValidationError(
                    self.env._(
                        "“%(line)s” has already been invoiced. End it and add another price line.",
                        line=line.name,
                    )
                )

    def _bounds_contract(self):
        """Whether this line has the minimum, maximum or commitment of its contract."""
        return self.bound_scope == BY_CONTRACT

    def _is_counted(self):
        """Whether what this line charges counts for the bounds of its contract."""
        return self.price_interval != "once" and not self._bounds_contract()

    # ------------------------------------------------------------------
    # What a period comes to
    # ------------------------------------------------------------------

    def _rate_bounds(self, terms, span, used, billed=()):
        """Return what is left to invoice of ``span`` by its bounds, and what all comes to then.

        :param used: what the other price lines come to
        :param billed: what this line has invoiced of it
        """
        coin = periods.exact(self.currency_id.rounding)
        first = self._get_counted_from()
        share = periods.charge(terms, "period", first, span, periods.ONE, coin).units
        bounded = tariff.bound(
            used,
            periods.exact(self.minimum_amount) if self.minimum_amount else None,
            periods.exact(self.maximum_amount) if self.maximum_amount else None,
            share,
        )
        return tariff.get_due(bounded, [used, *billed], coin), bounded

    def _prepare_bound_vals(self, terms, span, used, position):
        """Return the values of the amount that brings ``span`` within the bounds.

        :param used: see :meth:`_rate_bounds`
        """
        held = self._get_holding_amounts(span)
        held = held.filtered(lambda amount: amount.late_number < FIRST_TRUE_UP)
        billed = self._get_billed_of(held, span)
        amount, bounded = self._rate_bounds(terms, span, used, billed.values())
        note = self._get_bound_note(used, bounded, billed.values())
        return {
            **self._prepare_true_up_vals(terms, span, float(amount), position),
            "period_from": span.date_from,
            "period_to": span.date_to,
            "name": self._get_invoice_line_name(span, note),
            "late_number": self._get_next_number(held),
        }

    def _get_bound_note(self, used, bounded, before):
        """Return the explanation of the amount for the invoice line."""
        env = self.with_context(lang=self.contract_id._get_invoice_lang()).env
        parts = [env._("price lines: %(amount)s", amount=self._get_money_text(env, used))]
        price = self._get_money_text(env, bounded)
        if bounded > used:
            parts.append(env._("minimum: %(price)s", price=price))
        elif bounded < used:
            parts.append(env._("maximum: %(price)s", price=price))
        if before:
            amount = self._get_money_text(env, sum(before, NOTHING))
            parts.append(env._("less %(before)s invoiced before", before=amount))
        return ", ".join(parts)

    def _get_bound_charge_vals(self, terms, span):
        """Return quantity, price, discount and amount of ``span`` as if nothing were invoiced."""
        used = NOTHING
        for line in self.contract_id.line_ids.filtered(lambda line: line._is_counted()):
            part = span.clip(line._get_first_day(), line._get_last_day())
            for days in line._cut_at_prices(list(terms.grid.cut(part))) if part else ():
                used += periods.exact(line._get_charge_vals(terms, days)["amount"])
        amount, bounded = self._rate_bounds(terms, span, used)
        return {
            "quantity": -1.0 if amount < 0 else 1.0,
            "price_unit": abs(float(amount)),
            "discount": 0.0,
            "amount": float(amount),
            "note": self._get_bound_note(used, bounded, ()),
        }

    def _get_bound_forecast(self, terms, spans):
        """Yield what each of ``spans`` will come to, given the forecast of the other lines.

        With the taxes in the prices, as minimum and maximum are compared with prices.
        """
        for span in spans:
            used = NOTHING
            for line in self.contract_id.line_ids.filtered(lambda line: line._is_counted()):
                part = span.clip(line._get_first_day(), line._get_last_day())
                parts = list(terms.grid.cut(part)) if part else []
                used += sum(map(periods.exact, line._get_forecast_prices(terms, parts)), NOTHING)
            yield float(self._rate_bounds(terms, span, used)[0])

    def _get_bound_texts(self):
        """Return minimum, maximum and commitment of this line in words, as customers read them."""
        texts = []
        if self.minimum_amount:
            text = self._format_price(self.env, self.minimum_amount)
            texts.append(self.env._("at least %(price)s", price=text))
        if self.maximum_amount:
            text = self._format_price(self.env, self.maximum_amount)
            texts.append(self.env._("at most %(price)s", price=text))
        if self.commitment_amount:
            names = dict(self._fields["commitment_interval"]._description_selection(self.env))
            texts.append(
                self.env._(
                    "committed: %(price)s per %(interval)s",
                    price=self._format_price(self.env, self.commitment_amount),
                    interval=names[self.commitment_interval],
                )
            )
        return texts


class BillingContract(models.Model):
    """When the bounds of a contract are due, and what counts for them."""

    _inherit = "billing.contract"

    def _get_contract_charges(self, run, claims, records):
        """Yield all charges of this contract: those of its price lines, then its bounds.

        :param records: see :meth:`_get_run_document_records`
        """
        items = []
        for item in self._get_line_charges(run, claims, records):
            items.append(item)
            yield item
        holders = self.line_ids.filtered(lambda line: line._bounds_contract())
        if holders and self.state in CONTRACT_BILLED:
            yield from self._get_bound_charges(run, claims, records, holders, get_charges(items))

    def _get_bound_charges(self, run, claims, records, holders, charges):
        """Yield the charges that bring periods and terms of this contract within its bounds.

        :param holders: the price lines that have them
        :param charges: what ``run`` invoices of the other price lines
        """
        terms = self._get_billing_terms(run)
        document = self._prepare_run_document_vals(records)
        position = records["fiscal_position_id"]
        here = self._get_counted_here(run, charges)
        for holder in holders:
            due = []
            for span in self._get_bound_spans(terms, run, claims, holder, here):
                used = self._get_used(span, here)
                due.append((span, holder._prepare_bound_vals(terms, span, used, position)))
            for span, vals in due:
                if vals["amount"] or not vals["late_number"]:
                    yield self._prepare_metered_charge(terms, span, vals, document)
            for vals in holder._get_true_ups(terms, claims[holder.id], due, position, here):
                span = periods.Span(vals["period_from"], vals["period_to"])
                in_period = span in [one for one, one_vals in due if not one_vals["late_number"]]
                yield self._prepare_metered_charge(terms, span, vals, document, in_period)
            yield from self._get_shortfall_charges(
                holder, terms, run, claims[holder.id], due, records, here
            )

    def _get_counted_here(self, run, charges):
        """Return the values of the amounts among ``charges`` that count, but for excluded ones."""
        excluded = run._get_excluded_keys(run.renew_payer_ids & self.commercial_partner_id)
        counted = self.line_ids.filtered(lambda line: line._is_counted())
        return [
            charge.line
            for charge in charges
            if charge.line.get("contract_line_id") in counted.ids
            and run._get_charge_key(charge.line) not in excluded
        ]

    def _get_bound_spans(self, terms, run, claims, holder, here):
        """Yield the periods of ``holder`` that are complete, then those calculated anew.

        A period is complete when nothing of the other lines is open in it, or waits to be
        calculated again.
        """
        claimed, skip = claims[holder.id], run.skip_before or None
        for span in holder._get_metered_spans(terms, claimed, run.target_date, skip):
            if not self._is_open_in(span, claims, here):
                yield span
        days = [periods.Span(vals["billing_date_from"], vals["billing_date_to"]) for vals in here]
        days = [one for one in days if any(span.clip(*one) for span in claimed)]
        if days:
            billed = holder._find_holding_amounts(days).filtered(lambda one: not one.late_number)
            for amount in billed.sorted("period_from"):
                span = periods.Span(amount.period_from, amount.period_to)
                if any(span.clip(*one) for one in days) and not self._is_open_in(
                    span, claims, here
                ):
                    yield span

    def _is_open_in(self, span, claims, here):
        """Whether days of another line are neither invoiced nor in a run, or wait for it."""
        taken = defaultdict(list)
        for vals in here:
            if not vals.get("corrects_id"):
                days = periods.Span(vals["period_from"], vals["period_to"])
                taken[vals["contract_line_id"]].append(days)
        for line in self.line_ids.filtered(lambda line: line._is_counted()):
            part = span.clip(line._get_first_day(), line._get_last_day())
            spans = [*claims[line.id], *taken[line.id]]
            if part and periods.open_spans(*part, spans):
                return True
        return any(amount._is_to_be_renewed() for amount in self._find_counted(span))

    def _find_counted(self, span):
        """Return the amounts in force of the lines that count, of days in ``span``."""
        found = remember(
            self.env, ("counted", self.id, span), lambda: self._find_all_counted([span])
        )
        return found.filtered(
            lambda amount: (
                amount.contract_id == self
                and amount.billing_date_from <= span.date_to
                and amount.billing_date_to >= span.date_from
            )
        )

    def _find_all_counted(self, spans):
        """Return the amounts in force of the lines that count of these contracts, within ``spans``.

        Also some of the days between these.
        """
        counted = self.line_ids.filtered(lambda line: line._is_counted())
        in_force = Domain("is_claimed", "=", True) | Domain("superseded_by_id", "!=", False)
        return self.env["invoice.run.line"].search(
            Domain("contract_line_id", "in", counted.ids)
            & Domain("billing_date_from", "<=", max(span.date_to for span in spans))
            & Domain("billing_date_to", ">=", min(span.date_from for span in spans))
            & (in_force | Domain("is_applied", "=", True))
        )

    def _get_used(self, span, here, with_terms=False):
        """Return what the lines that count come to in ``span``, invoiced before or ``here``.

        It is what the invoices say; what was credited by hand stays credited.

        :param with_terms: with the true-ups of the commitments of single lines
        """
        counted = [self._count_vals(vals) for vals in here if with_terms or not _is_of_term(vals)]
        amounts = self._find_counted(span)
        billed = {}
        if amounts:
            billed = remember(self.env, ("counted ledger", self.id), self._read_counted_ledger)
        counted += [
            self._count_amount(amount, billed)
            for amount in amounts
            if with_terms or not amount.is_true_up
        ]
        shares = (one.money * self._get_part_in(span, one) for one in counted if one.money)
        return sum(shares, NOTHING)

    def _read_counted_ledger(self):
        """Return the :class:`ledger.BilledLine` of the lines that count of these contracts."""
        counted = self.line_ids.filtered(lambda line: line._is_counted())
        return self.env["billing.ledger"]._get_billed_lines(counted)

    def _find_bounds_due(self, run, claims):
        """Return (price line, span) of the bounds that can be due of these contracts."""
        due = []
        for line in self.line_ids.filtered(lambda line: line._bounds_contract()):
            with suppress(ValueError):  # an exception of the run reports impossible dates
                terms = line.contract_id._get_billing_terms(run)
                skip = run.skip_before or None
                spans = line._get_metered_spans(terms, claims[line.id], run.target_date, skip)
                due += [(line, span) for span in spans]
        return due

    def _read_bounds_ahead(self, pairs):
        """Remember what counts for bounds, and what its invoices say, read for all contracts.

        :param pairs: (price line, period or term), of lines with bounds and others
        """
        spans = defaultdict(list)
        for line, span in pairs:
            if line._bounds_contract():
                spans[line.contract_id].append(span)
        if not spans:
            return
        contracts = self.browse().union(*spans)
        found = contracts._find_all_counted([one for own in spans.values() for one in own])
        billed = found.contract_id._read_counted_ledger()
        by_contract = found.grouped("contract_id")
        for contract, own in spans.items():
            amounts = by_contract.get(contract, found.browse())
            remember(self.env, ("counted ledger", contract.id), lambda: billed)
            for span in own:
                remember(self.env, ("counted", contract.id, span), lambda found=amounts: found)

    def _count_amount(self, amount, billed_lines):
        """Return an amount of a run as :class:`Counted`.

        :param billed_lines: {price line id: [:class:`ledger.BilledLine`]}
        """
        line = amount.contract_line_id
        billed = amount._get_billed_line(billed_lines.get(line.id, []))
        return Counted(
            line=line,
            span=periods.Span(amount.billing_date_from, amount.billing_date_to),
            money=periods.exact(billed.entry.price_amount if billed else amount.amount),
            planned=None if amount.corrects_id else (amount.net_price, amount.amount),
        )

    def _count_vals(self, vals):
        """Return the values of an amount, which is not created yet, as :class:`Counted`."""
        is_price = "net_price" in vals
        return Counted(
            line=self.env["billing.contract.line"].browse(vals["contract_line_id"]),
            span=periods.Span(vals["billing_date_from"], vals["billing_date_to"]),
            money=periods.exact(vals["amount"]),
            planned=(vals["net_price"], vals["amount"]) if is_price else None,
        )

    def _get_part_in(self, span, counted):
        """Return the share of what is counted that is for the days in ``span``.

        It is spread as its price spreads it, usage and credits evenly over their days.
        """
        whole = counted.span
        if whole.clip(*span) == whole:
            return periods.ONE
        share = ledger.share_by_days(whole)
        if counted.planned and not counted.line.is_metered:
            planned = Planned(whole, self.currency_id.rounding, *counted.planned)
            share = counted.line._get_share_of(planned)
        return share(span.date_to) - share(span.date_from - periods.DAY)


class InvoiceRunLine(models.Model):
    """Amounts by the bounds of a contract count its others: a change of these marks them."""

    _inherit = "invoice.run.line"

    def _find_counting_bounds(self):
        """Return the open amounts by the bounds of contracts that counted some of these."""
        # sudo: the runs of others count as well
        lines = self.env["billing.contract.line"].sudo()
        holders = lines.search(
            [("contract_id", "in", self.contract_id.ids), ("bound_scope", "=", BY_CONTRACT)]
        )
        if not holders:
            return self.browse()
        amounts = self.sudo().filtered(
            lambda amount: amount.contract_line_id and amount.late_number <= FIRST_TRUE_UP
        )
        others = self.sudo().search(
            Domain("contract_line_id", "in", holders.ids)
            & Domain("id", "not in", self.ids)
            & Domain("is_stale", "=", False)
            & Domain("document_id.state", "in", DOCUMENT_CHANGEABLE)
        )
        by_contract = amounts.grouped("contract_id")
        return others.filtered(
            lambda other: any(
                other._bounds_amount(amount) for amount in by_contract.get(other.contract_id, ())
            )
        )

    def _bounds_amount(self, amount):
        """Whether this amount by the bounds of a contract was calculated with ``amount``."""
        if self.run_id != amount.run_id and self.id < amount.id:
            return False
        own = periods.Span(self.billing_date_from, self.billing_date_to)
        return bool(own.clip(amount.billing_date_from, amount.billing_date_to))
