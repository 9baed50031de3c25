from collections import defaultdict
from typing import NamedTuple

from dateutil.relativedelta import relativedelta

from odoo import fields, models
from odoo.exceptions import UserError

from ...engine import ledger, periods, timeline
from ...memory import remembering
from ..base.states import CONTRACT_BILLED, DOCUMENT_OPEN

#: The most months of a strip: more could not be taken in at a glance.
MAX_MONTHS = 60
#: Months that are shown by default: before the present one, and after it.
MONTHS_BEFORE, MONTHS_AFTER = 5, 6


class Part(NamedTuple):
    """Days of one price line in one calendar month, and what became of them.

    :param state: one of ``timeline.STATES``
    :param span: the days; a one-off charge has one
    :param amount: untaxed, in the currency of the contract
    :param move_id: invoice or credit note; None without
    :param run_id: the run that has the days; None without
    """

    state: str
    span: periods.Span
    amount: float
    move_id: int | None = None
    run_id: int | None = None


class Planned(NamedTuple):
    """What is known of an amount before its invoice, see ``_get_share_of`` of price lines."""

    span: periods.Span
    coin: float
    net_price: float
    planned_amount: float


class BillingContract(models.Model):
    """What became of each month of a contract."""

    _inherit = "billing.contract"

    def get_timeline(self, date_from=None, date_to=None):
        """Return what became of each month of the price lines, for forms and other programs.

        :param date_from: a day of the first month, default five months before this one
        :param date_to: a day of the last month, default six months after this one
        :return: a list of dicts, one for each price line: ``id``, ``contract_id``, ``name``,
            ``currency_id`` and ``months``, a list of dicts: ``month`` (its first day), ``state``
            (``invoiced``, ``credited``, ``run``, ``open``, ``paused``, ``future``, ``elsewhere``,
            ``none``), ``amount`` (untaxed) and ``parts``, each with ``state``, ``amount``,
            ``date_from``, ``date_to`` (inclusive), and id and name of the invoice (``move_id``,
            ``move_name``) and run (``run_id``, ``run_name``) where the user may read them
        :raises UserError: the months are not in order, or too many
        """
        self.check_access("read")
        months = self._get_timeline_months(date_from, date_to)
        rows = self._get_timeline_parts(months[0].date_from, months[-1].date_to)
        parts = [part for line_parts in rows.values() for part in line_parts]
        names = {
            "move": self._get_readable_names("account.move", parts, "move_id", "name"),
            "run": self._get_readable_names("invoice.run", parts, "run_id", "reference"),
        }
        return [
            {
                "id": line.id,
                "contract_id": line.contract_id.id,
                "name": line.name or line.product_id.display_name,
                "currency_id": line.contract_id.currency_id.id,
                "months": line._prepare_timeline_months(months, rows[line.id], names),
            }
            for line in self.line_ids
        ]

    def _get_timeline_months(self, date_from, date_to):
        """Return the calendar months from one day to another, as spans."""
        today = (self.company_id[:1] or self.env.company)._get_invoice_run_today()
        first = fields.Date.to_date(date_from) or today - relativedelta(months=MONTHS_BEFORE)
        last = fields.Date.to_date(date_to) or today + relativedelta(months=MONTHS_AFTER)
        months = timeline.months(first, last) if first <= last else []
        if not 0 < len(months) <= MAX_MONTHS:
            raise UserError(
                self.env._("Choose up to %(count)s months, the first one first.", count=MAX_MONTHS)
            )
        return months

    def _get_readable_names(self, model, parts, link, name):
        """Return {id: name} of what ``parts`` point at and the user may read.

        :param link: the field of a part that points at a record of ``model``
        :param name: the field with its number; a draft has none
        """
        ids = {getattr(part, link) for part in parts} - {None}
        records = self.env[model].browse(sorted(ids))._filtered_access("read")
        return {record.id: record[name] or record.display_name for record in records}

    def _get_timeline_parts(self, first, last):
        """Return what became of the days of the price lines from ``first`` to ``last``.

        Rights on invoices are not checked: the caller shows what the user may see.

        :param first: first day of a month
        :param last: last day of a month, inclusive
        :return: {price line id: [Part]} in order of days
        """
        lines = self.line_ids
        billed = self.env["billing.ledger"]._get_billed_lines(lines)
        held = lines._get_held_amounts()
        taken = lines._get_taken_spans()
        parts = {}
        with remembering(self.env):
            for line in lines:
                found = [
                    *line._get_billed_parts(billed[line.id], first, last),
                    *line._get_held_parts(held[line.id], first, last),
                    *line._get_open_parts(taken[line.id], first, last),
                ]
                parts[line.id] = sorted(found, key=lambda part: (part.span, part.state))
        return parts

    def _get_portal_timeline(self):
        """Return the months that the portal shows of this contract.

        They contain no internal ids, and only confirmed invoices that the customer owes.

        :return: a list of dicts, one for each price line: ``name`` and ``months``, each with
            ``month``, ``state``, ``amount`` and ``moves`` (confirmed invoices, as superuser)
        """
        self.ensure_one()
        months = self._get_timeline_months(None, None)
        rows = self._get_timeline_parts(months[0].date_from, months[-1].date_to)
        ids = {part.move_id for parts in rows.values() for part in parts} - {None}
        moves = self.env["account.move"].browse(sorted(ids))
        owned = moves.filtered(lambda move: move.state == "posted" and self._is_billed_by(move))
        return [
            {
                "name": line.name or line.product_id.display_name,
                "months": [
                    self._prepare_portal_month(month, rows[line.id], moves, owned)
                    for month in months
                ],
            }
            for line in self.line_ids
            if rows[line.id]
        ]

    def _prepare_portal_month(self, month, parts, moves, owned):
        """Return what the portal shows of one month.

        :param moves: all invoices of ``parts``
        :param owned: those that the customer may know of
        """
        own = [part for part in parts if month.clip(*part.span)]
        known = [shown for part in own for shown in self._get_portal_parts(part, moves, owned)]
        return {
            "month": month.date_from,
            "state": timeline.name_month(part.state for part in known),
            "amount": self.currency_id.round(sum(part.amount for part in known)),
            "moves": owned.browse(dict.fromkeys(part.move_id for part in known if part.move_id)),
        }

    def _get_portal_parts(self, part, moves, owned):
        """Return ``part`` as the customer sees it: without drafts and what others owe."""
        if not part.move_id or part.move_id in owned.ids:
            # the customer is not told why a contract waits
            state = "future" if part.state in ("paused", "open") else part.state
            return [part._replace(state=state)]
        move = moves.browse(part.move_id)
        is_draft = move.state == "draft" and self._is_billed_by(move)
        return [part._replace(state="run", move_id=None)] if is_draft else []


class BillingContractLine(models.Model):
    """What became of each month of a price line."""

    _inherit = "billing.contract.line"

    def _get_held_amounts(self):
        """Return the amounts that open runs hold of these lines: {line id: amounts}."""
        amounts = self.env["invoice.run.line"].search(
            [
                ("contract_line_id", "in", self.ids),
                ("document_id.state", "in", DOCUMENT_OPEN),
            ]
        )
        held = defaultdict(amounts.browse)
        for amount in amounts.filtered(lambda amount: amount._is_held()):
            held[amount.contract_line_id.id] |= amount
        return held

    def _get_billed_parts(self, billed_lines, first, last):
        """Yield what invoices charged for this line, and what credits took back.

        :param billed_lines: see ``billing.ledger._get_billed_lines``
        """
        coin = periods.exact(self.currency_id.rounding)
        for billed in billed_lines:
            entry = billed.entry
            spans = self._get_shown_spans(billed)
            parts = [part for span in spans for part in timeline.cut(span, first, last)]
            share = self.env["billing.ledger"]._get_share(entry) if parts else None
            for part in parts:
                amount = self._get_part_amount(entry, share, part, coin)
                yield Part("invoiced", part, amount, entry.move_id)
            for credit in billed.credits:
                yield from self._get_credited_parts(billed, credit, first, last)

    def _get_shown_spans(self, billed):
        """Return the days that an invoice line still charges; of a one-off charge its first day."""
        if self.price_interval == "once":
            day = billed.entry.date_from or billed.entry.accounting_date
            return [] if billed.is_released() else [periods.Span(day, day)]
        return billed.open_days()

    def _get_part_amount(self, entry, share, part, coin):
        """Return the share of ``entry`` for the days ``part``, in the currency of the contract."""
        amount = self._get_own_amount(entry)
        if self.price_interval == "once":
            return amount
        return float(timeline.part_of(periods.exact(amount), share, part, coin))

    def _get_own_amount(self, entry):
        """Return the amount of ``entry`` in the currency of the contract."""
        contract = self.contract_id
        if entry.currency_id == contract.currency_id.id:
            return entry.amount
        return contract._convert_today(contract.company_id.currency_id, entry.company_amount)

    def _get_credited_parts(self, billed, credit, first, last):
        """Yield one credit, in the last month that it is about.

        Released days are no longer invoiced, so their amount is not subtracted again; where the
        line still has these days, they have a state of their own.
        """
        span = credit.span or billed.entry.span
        day = span.date_to if span and self.price_interval != "once" else credit.accounting_date
        amount = self._get_own_amount(credit)
        if credit.kind in (ledger.RELEASED, ledger.RESTORED):
            end = self._get_last_day()
            if credit.kind == ledger.RESTORED or not end or day <= end:
                return
            amount = 0.0
        if first <= day <= last:
            yield Part("credited", periods.Span(day, day), amount, credit.move_id)

    def _get_held_parts(self, amounts, first, last):
        """Yield what open runs are about to invoice, or to credit."""
        contract = self.contract_id
        coin = periods.exact(contract.currency_id.rounding)
        for amount in amounts:
            begin, end = amount.billing_date_from, amount.billing_date_to
            span = periods.Span(begin, begin if self.price_interval == "once" else end)
            share = self._get_planned_share(amount, span)
            total = contract._convert_today(amount.currency_id, amount.amount_untaxed)
            for part in timeline.cut(span, first, last):
                value = timeline.part_of(periods.exact(total), share, part, coin)
                yield Part("run", part, float(value), None, amount.run_id.id)

    def _get_planned_share(self, amount, span):
        """Return how an amount of a run is spread over its days."""
        if self.price_interval == "once" or amount.corrects_id:
            return ledger.share_by_days(span)
        planned = Planned(span, self.currency_id.rounding, amount.net_price, amount.amount)
        return self._get_share_of(planned)

    def _get_open_parts(self, taken, first, last):
        """Yield the days that nobody has invoiced: due, to come, paused, or invoiced elsewhere.

        :param taken: see :meth:`_get_taken_spans`
        """
        contract = self.contract_id
        if contract.state == "cancelled":
            return
        terms = contract._get_billing_terms()
        yield from self._get_elsewhere_parts(first, last)
        today = contract.company_id._get_invoice_run_today()
        is_billed = contract.state in CONTRACT_BILLED
        due = self._get_days_due(terms, taken, today) if is_billed else []
        spans = self._get_open_spans(taken, last)
        parts = [part for span in spans for part in timeline.cut(span, first, last)]
        amounts = self._get_forecast_amounts(terms, parts)
        for part, amount in zip(parts, amounts, strict=True):
            yield Part(self._get_open_state(part, due, today), part, amount)

    def _get_days_due(self, terms, taken, today):
        try:
            return self._get_due_spans(terms, taken, today)
        except periods.OpenEnded:  # "until the end" has no end: an exception of the runs
            return []

    def _get_open_state(self, part, due, today):
        """Return the state of open days: a month is due if a run would invoice part of it today."""
        if self.contract_id.billing_hold and part.date_to >= today.replace(day=1):
            return "paused"
        is_due = any(part.clip(*span) for span in due)
        if is_due and self.contract_id.billing_hold:
            return "paused"
        return "open" if is_due else "future"

    def _get_open_spans(self, taken, last):
        """Return the days up to ``last`` still to be invoiced; a one-off charge has one day."""
        if self.price_interval == "once":
            day = self._get_first_open_day(taken)
            return [periods.Span(day, day)] if day and day <= last else []
        end = min(filter(None, (self._get_last_day(), last)))
        day = self._get_first_day()
        return periods.open_spans(day, end, taken) if day <= end else []

    def _get_elsewhere_parts(self, first, last):
        """Yield the days that were invoiced before the contract came into Odoo."""
        begin, end = self._get_own_days()
        until = min(filter(None, (self.initial_invoiced_until, end)), default=None)
        if self.initial_invoiced_until and until >= begin and self.price_interval != "once":
            for part in timeline.cut(periods.Span(begin, until), first, last):
                yield Part("elsewhere", part, 0.0)

    def _prepare_timeline_months(self, months, parts, names):
        """Return the months of this line, see ``billing.contract.get_timeline``."""
        result = []
        for month in months:
            own = [part for part in parts if part.span.clip(*month)]
            result.append(
                {
                    "month": month.date_from,
                    "state": timeline.name_month(part.state for part in own),
                    "amount": self.currency_id.round(sum(part.amount for part in own)),
                    "parts": [self._prepare_timeline_part(part, names) for part in own],
                }
            )
        return result

    def _prepare_timeline_part(self, part, names):
        move, run = names["move"].get(part.move_id), names["run"].get(part.run_id)
        return {
            "state": part.state,
            "amount": part.amount,
            "date_from": part.span.date_from,
            "date_to": part.span.date_to,
            "move_id": part.move_id if move else False,
            "move_name": move or False,
            "run_id": part.run_id if run else False,
            "run_name": run or False,
        }
