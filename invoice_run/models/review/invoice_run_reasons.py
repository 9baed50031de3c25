from collections import defaultdict
from dataclasses import dataclass, field

from odoo import models
from odoo.tools import formatLang

from ...engine import periods
from ..base.scopes import BY_CUSTOMER, SHARED

#: Prices that are counted in days, whatever the months are long.
PRICED_BY_DAY = ("day", "week")
#: Coins by which rounded parts can differ from their whole.
ROUNDING_COINS = 2


@dataclass
class Change:
    """What a document invoices of one thing, and what was invoiced of it last time.

    :param kind: ``line`` (price line with those that it replaced), ``usage`` (of one product),
        ``credit``, ``once`` (one-off charges and orders)
    :param here: amounts of this document
    :param before: amounts of the last invoice
    :param last: untaxed, what the last invoice charged, in the currency of this document
    :param is_known: there is a last invoice of the same contract or customer
    :param is_missing: it was invoiced last time, is still in force and is not invoiced here
    """

    kind: str
    here: models.BaseModel
    before: models.BaseModel
    last: float = 0.0
    is_known: bool = False
    is_missing: bool = False
    reasons: list = field(default_factory=list)

    @property
    def amount(self):
        return sum(self.here.mapped("amount_untaxed"))

    @property
    def newest(self):
        return self.here.sorted("billing_date_from")[-1:]

    @property
    def newest_before(self):
        return self.before.sorted("billing_date_from")[-1:]


class InvoiceRunDocument(models.Model):
    """Why a document is not what it was last time: each difference, with its amount.

    A price line that changed is one thing: price, quantity and time each take their part of the
    difference, in this order, and the parts add up to it. A reason is ``{"code", "text",
    "amount"}``; the text is for people, in the language of the user.
    """

    _inherit = "invoice.run.document"

    def _get_changes(self):
        """Return {document: [:class:`Change`]} of these documents of one run.

        By what the invoices in force say now. A part that was taken out of a document is compared
        with nothing. The number of queries does not depend on how many documents there are.
        """
        whole = self.filtered(lambda document: not document.excluded_from_id)
        found = {document: document._get_comparable_lines() for document in whole}
        previous = self._get_all_previous(found.values(), before=self)
        earlier = self.browse().union(*previous.values())
        invoiced = self.env["billing.ledger"]._get_amounts_invoiced(earlier.line_ids)
        # all lines at once, before each document looks at its own
        lines = (self | earlier).line_ids.contract_line_id
        lines.price_ids.fetch(["date_from"])
        versions = lines._get_first_versions()
        missing = self._get_all_missing(found, previous)
        nothing = self.env["billing.contract.line"]
        return {
            document: document._match_changes(
                found.get(document, {}),
                previous,
                missing.get(document, nothing),
                invoiced,
                versions,
            )
            for document in self
        }

    def _get_all_missing(self, found, previous):
        """Return {document: price lines}, as :meth:`_get_missing_lines` does for one."""
        missing = {}
        for document, keys in found.items():
            known = self.browse().union(*(previous[key] for key in keys if key in previous))
            missing[document] = document._get_lines_in_force(known)
        lines = self.env["billing.contract.line"].union(*missing.values())
        billed = lines._get_billed_in(self.run_id) if lines else lines
        for document, own in missing.items():
            elsewhere = own & billed
            missing[document] -= elsewhere - document.contract_ids.line_ids
        return missing

    def _match_changes(self, found, previous, missing, invoiced, versions):
        """Return the changes of this document, in the order of its lines, what is gone last."""
        nothing = self.env["invoice.run.line"]
        changes = {}

        def get_change(line):
            kind, *_rest = key = line._get_change_key(versions)
            return changes.setdefault(key, Change(kind, nothing, nothing))

        for line in self.line_ids:
            get_change(line).here |= line
        last = self._get_last_amounts(found, previous, missing, invoiced)
        for line, amount in last.items():
            change = get_change(line)
            change.before |= line
            change.last += amount
        known = [lines for key, lines in found.items() if key in previous]
        known = nothing.union(*known)
        for change in changes.values():
            change.is_known = bool(change.before or change.here & known)
            change.is_missing = bool(change.before.contract_line_id & missing)
            change.reasons = self._get_reasons(change)
        return list(changes.values())

    def _get_main_reasons(self, changes):
        """Return the reasons of all ``changes`` together, the one with the most money first."""
        sums = defaultdict(float)
        for change in changes:
            for reason in change.reasons:
                sums[reason["code"], reason["text"]] += reason["amount"]
        reasons = [self._new_reason(*key, amount) for key, amount in sums.items()]
        return sorted(reasons, key=lambda reason: -abs(reason["amount"]))

    # ------------------------------------------------------------------
    # Reasons
    # ------------------------------------------------------------------

    def _get_reasons(self, change):
        """Return the reasons of one change, which add up to its difference."""
        is_same = self.currency_id.is_zero(change.amount - change.last)
        if is_same or self.excluded_from_id:
            return []
        kinds = ("line", "usage", "metered", "bound")
        is_first = change.here and not change.is_known and change.kind in kinds
        if is_first:
            return [self._new_reason("first", self.env._("first invoice"), change.amount)]
        return getattr(self, f"_get_{change.kind}_reasons")(change)

    def _new_reason(self, code, text, amount):
        return {"code": code, "text": text, "amount": self.currency_id.round(amount)}

    def _get_credit_reasons(self, change):
        reasons = []
        if change.here:
            amount = formatLang(
                self.env, change.amount, digits=self.currency_id.decimal_places
            ).replace("-", "−")
            text = self.env._("credit %(amount)s", amount=amount)
            reasons.append(self._new_reason("credit", text, change.amount))
        if change.before:
            text = self.env._("credit last time")
            reasons.append(self._new_reason("credit_before", text, -change.last))
        return reasons

    def _get_once_reasons(self, change):
        if change.here:
            return [self._new_reason("once", self.env._("invoiced once"), change.amount)]
        text = self.env._("invoiced once last time")
        return [self._new_reason("once_before", text, -change.last)]

    def _get_usage_reasons(self, change):
        """Return price and quantity of usage: what a unit costs on average, and how many."""
        quantity, before = (sum(lines.mapped("quantity")) for lines in (change.here, change.before))
        reasons, rest = [], change.amount - change.last
        if quantity and before and change.last:
            same = change.last / before * quantity
            if same and not self._is_rounding(change.amount - same):
                reasons.append(self._get_price_reason(change.amount / same, change.amount - same))
                rest = same - change.last
        if quantity != before:
            text = self.env._(
                "usage %(before)s → %(now)s",
                before=self._format_number(before),
                now=self._format_number(quantity),
            )
            reasons.append(self._new_reason("usage", text, rest))
        return self._with_rest(reasons, change)

    def _get_metered_reasons(self, change):
        """Return what was measured, now and last time: prices depend on it, so it takes them in."""
        if not change.here or not change.before:
            return self._get_line_reasons(change)
        quantity, before = (
            sum(lines.mapped("rated_quantity")) for lines in (change.here, change.before)
        )
        if quantity == before:
            return self._get_shared_reasons(change)
        text = self.env._(
            "usage %(before)s → %(now)s",
            before=self._format_number(before),
            now=self._format_number(quantity),
        )
        return [self._new_reason("usage", text, change.amount - change.last)]

    def _get_bound_reasons(self, change):
        text = self.env._("minimum or maximum of the contract")
        return [self._new_reason("bound", text, change.amount - change.last)]

    def _get_shared_reasons(self, change):
        """Return why the same usage costs another amount: others reached the bands with it."""
        if change.here.tariff_id != change.before.tariff_id:
            return self._with_rest([], change)
        scopes = set(change.here.tariff_id.mapped("tier_scope"))
        if not scopes.intersection(SHARED):
            return self._with_rest([], change)
        text = self.env._("usage of other price lines")
        if BY_CUSTOMER in scopes:
            text = self.env._("usage of other contracts")
        return [self._new_reason("usage_shared", text, change.amount - change.last)]

    def _get_late_reasons(self, change):
        if change.here:
            text = self.env._("usage reported later")
            if not change.here.usage_claim_ids:
                text = self.env._("usage that was counted with it has changed")
            return [self._new_reason("late", text, change.amount)]
        text = self.env._("usage reported later, last time")
        return [self._new_reason("late_before", text, -change.last)]

    def _get_line_reasons(self, change):
        """Return how price, quantity and time of a price line changed."""
        if not change.before:
            return [self._new_reason("new", self.env._("new line"), change.amount)]
        if not change.here:
            code, text = "ended", self.env._("line ended")
            if change.is_missing:
                code, text = "missing", self.env._("charge missing")
            return [self._new_reason(code, text, -change.last)]
        at_price, at_quantity = self._get_amounts_at(change)
        reasons = []
        if not self.currency_id.is_zero(change.amount - at_price):
            price = change.newest._get_factors(change.newest_before)[0]
            kind = change.newest._get_planned_kind(change.newest_before)
            reasons.append(self._get_price_reason(price, change.amount - at_price, kind))
        if not self.currency_id.is_zero(at_price - at_quantity):
            reasons.append(self._get_quantity_reason(change, at_price - at_quantity))
        if not self._is_rounding(at_quantity - change.last):
            if time := self._get_time_text(change):
                reasons.append(self._new_reason("days", time, at_quantity - change.last))
        return self._with_rest(reasons, change)

    def _get_amounts_at(self, change):
        """Return what is invoiced here at the price of last time, and at its quantity as well."""
        at_price = at_quantity = 0.0
        for line in change.here:
            price, quantity = line._get_factors(change.newest_before)
            at_price += line.amount_untaxed / price
            at_quantity += line.amount_untaxed / (price * quantity)
        return at_price, at_quantity

    def _get_quantity_reason(self, change, amount):
        quantity = change.newest._get_contract_quantity()
        _price, factor = change.newest._get_factors(change.newest_before)
        text = self.env._(
            "quantity %(before)s → %(now)s",
            before=self._format_number(quantity / factor),
            now=self._format_number(quantity),
        )
        return self._new_reason("quantity", text, amount)

    def _get_price_reason(self, factor, amount, kind=None):
        """Return the reason of another price.

        :param kind: of the planned price that counts now; None: nobody had planned it
        """
        change = 100.0 * (factor - 1.0)
        digits = 1 if abs(change) >= 0.05 else 2
        text = formatLang(self.env, abs(change), digits=digits)
        text = self._get_price_text(kind, f"{'+' if change > 0 else '−'}{text}")
        return self._new_reason("price", text, amount)

    def _get_price_text(self, kind, change):
        if kind == "index":
            return self.env._("index %(change)s %%", change=change)
        if kind == "discount_end":
            return self.env._("discount ended %(change)s %%", change=change)
        if kind:
            return self.env._("planned price %(change)s %%", change=change)
        return self.env._("price %(change)s %%", change=change)

    def _with_rest(self, reasons, change):
        """Return ``reasons`` with what they do not explain, so that they add up."""
        total = sum(reason["amount"] for reason in reasons)
        rest = self.currency_id.round(change.amount - change.last - total)
        if self.currency_id.is_zero(rest):
            return reasons
        if self._is_rounding(rest) and reasons:
            *others, last = reasons
            return [*others, self._new_reason(last["code"], last["text"], last["amount"] + rest)]
        text = self.env._("rounding") if self._is_rounding(rest) else self.env._("other amount")
        return [*reasons, self._new_reason("other", text, rest)]

    def _is_rounding(self, amount):
        return abs(amount) < (ROUNDING_COINS + 0.5) * self.currency_id.rounding

    # ------------------------------------------------------------------
    # Time
    # ------------------------------------------------------------------

    def _get_time_text(self, change):
        """Return how much more or less time is invoiced than last time, in words, or nothing."""
        time, days, whole = change.here._get_time_facts()
        old_time, old_days, old_whole = change.before._get_time_facts()
        if time < 1 <= old_time or time < 1 and time != old_time:
            return self.env._("%(days)s of %(whole)s days", days=days, whole=whole)
        if old_time < 1 <= time:
            return self.env._(
                "last time %(days)s of %(whole)s days", days=old_days, whole=old_whole
            )
        if time != old_time:
            return self.env._(
                "%(now)s periods, %(before)s last time",
                now=self._format_number(time),
                before=self._format_number(old_time),
            )
        interval = change.here.contract_line_id[-1:].price_interval
        if days != old_days and interval in PRICED_BY_DAY:
            return self.env._("%(now)s days, %(before)s last time", now=days, before=old_days)
        return ""

    def _format_number(self, number):
        number = round(number, 2)
        return formatLang(self.env, number, digits=0 if number == int(number) else 2)


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    def _get_change_key(self, versions):
        """Return what this amount has in common with the one of last time, its kind first.

        :param versions: see ``billing.contract.line._get_first_versions``
        """
        self.ensure_one()
        line = self.contract_line_id
        if self.corrects_id:
            return "credit", versions[line]
        if line.price_interval == "once":
            return "once", line
        if self.is_true_up and line._bounds_contract() and not self.late_number:
            return "bound", versions[line]
        if self.is_true_up:
            return "once", self
        if self.is_metered:
            return ("late", self) if self.late_number else ("metered", versions[line])
        if line:
            return "line", versions[line]
        if self._is_comparable():
            return "usage", self.contract_id, self.product_id
        return "once", self

    def _get_factors(self, before):
        """Return price and quantity of this amount, each divided by that of an earlier one.

        The price is for one unit of time and one piece. What the contract no longer knows, the
        quantity of a line that was edited in place, follows from the price that it was invoiced at.
        """
        line, old_line = self.contract_line_id, before.contract_line_id
        if not self.net_price or not before.net_price or self.currency_id != before.currency_id:
            return 1.0, 1.0
        ratio, quantity = self.net_price / before.net_price, 1.0
        prices = {(amount.price_unit, amount.discount) for amount in (self, before)}
        here, there = self._get_contract_quantity(), before._get_contract_quantity()
        is_planned = line == old_line and self._get_planned_kind(before)
        if (line != old_line or is_planned) and here and there:
            quantity = here / there
        elif line == old_line and len(prices) == 1:
            quantity = ratio
        return ratio / quantity, quantity

    def _get_contract_quantity(self):
        """Return the pieces that the price line has on the first day of this amount."""
        line = self.contract_line_id
        return line._get_price_on(self.billing_date_from).quantity if line else 0.0

    def _get_planned_kind(self, before):
        """Return the kind of the planned price that came into force since ``before``, or None."""
        line = self.contract_line_id
        planned = line._get_planned_on(self.billing_date_from) if line else None
        if not planned or planned.date_from <= before.billing_date_from:
            return None
        return planned.kind

    def _get_time_facts(self):
        """Return what these amounts of one price line cover: periods, days, days of the first one.

        :return: (billing periods, rounded to a ten thousandth; days; days of the whole period)
        """
        spans = {(line.billing_date_from, line.billing_date_to) for line in self}
        days = sum(periods.Span(*span).days for span in spans)
        whole = self.contract_id._get_period_days(min(spans)[0]) or days
        return round(self._get_billed_time(), 4), days, whole


class BillingContract(models.Model):
    _inherit = "billing.contract"

    def _get_period_days(self, day):
        """Return the days of the billing period that contains ``day``; 0: impossible terms."""
        self.ensure_one()
        try:
            grid = self._get_billing_terms().grid
        except ValueError:  # an exception says so
            return 0
        return grid.period(grid.index(day)).days


class BillingContractLine(models.Model):
    _inherit = "billing.contract.line"

    def _get_first_versions(self):
        """Return {line: the first of the lines that it replaces, one after the other}."""
        earlier = self
        while earlier := earlier.previous_line_id:
            pass  # each generation is read at once
        return {line: line._get_first_version() for line in self}

    def _get_first_version(self):
        line = self
        while line.previous_line_id:
            line = line.previous_line_id
        return line
