"""What usage was invoiced by stays: usage reported later is rated and bounded by it."""

from collections import defaultdict

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date

from ...engine import periods
from ..base.states import DOCUMENT_SETTLED
from .billing_contract_commitment import FIRST_TRUE_UP

#: Fields of a price line by which its usage is rated.
RATE_FIELDS = {"tariff_id", "price_unit", "discount", "aggregation"}
#: Fields of what is charged at least and at most for a period, of a line or its contract.
BOUND_FIELDS = {"minimum_amount", "maximum_amount"}
#: Fields of what is charged at least for a term.
COMMITMENT_FIELDS = {"commitment_amount", "commitment_interval"}
#: All of them, and those that give them another value.
KEPT_FIELDS = {"product_id", "product_uom_id"} | RATE_FIELDS | BOUND_FIELDS | COMMITMENT_FIELDS

#: Amounts by usage, or by bounds of a contract, that were invoiced; not the true-ups of terms.
SETTLED = (
    Domain("is_metered", "=", True)
    & Domain("is_claimed", "=", True)
    & Domain("late_number", "<", FIRST_TRUE_UP)
    & Domain("document_id.state", "in", DOCUMENT_SETTLED)
)
#: Amounts that hold usage: where nothing was used, nothing was invoiced by the prices.
USED = Domain("is_true_up", "=", False) & (
    Domain("rated_quantity", "!=", 0) | Domain("amount", "!=", 0)
)


class BillingTariff(models.Model):
    """Another price would be charged, with usage reported later, for what was invoiced as well.

    An invoice would hold a difference that nobody sees. So prices change from a day on: with a copy
    of the tariff, by "Change from Date…".
    """

    _inherit = "billing.tariff"

    def action_view_prices(self):
        """Open the price lines with these tariffs, to give them another one from a day on."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_contract_line_action"
        )
        # also those that begin later, which "In Force Today" would hide
        today = fields.Date.context_today(self)
        ends = Domain("running_until", "=", False) | Domain("running_until", ">=", today)
        action["domain"] = list(Domain("tariff_id", "in", self.ids) & ends)
        action["context"] = {}
        action["display_name"] = action["name"] = self.env._("Price Lines")
        action["views"] = sorted(action["views"], key=lambda view: view[1] != "list")
        return self._with_path("billing-tariff-prices", action)

    def _serialize_rating(self):
        """Have this transaction, or a run's, repeated where both change what these tariffs cost.

        A run that reads the old bands at the same moment creates amounts that this transaction
        does not see: it would mark none of them as changed, and refuse nothing. The price lines
        are what both write.

        :raises psycopg2.errors.SerializationFailure: amounts were created since it began
        """
        # sudo: whoever changes a tariff need not see the contracts
        lines = self.env["billing.contract.line"].sudo().search([("tariff_id", "in", self.ids)])
        self.env["invoice.run.line"]._take_turns(lines)

    def _check_rates_free(self):
        """Refuse a change of what usage costs by these tariffs once some was invoiced.

        :raises UserError: says what to do instead
        """
        lines = Domain("contract_line_id.tariff_id", "in", self.ids)
        amount = self.env["invoice.run.line"]._find_invoiced_usage(lines, limit=1)
        if amount:
            raise UserError(
                self.env._(
                    "Tariff %(tariff)s: usage up to %(date)s has been invoiced by it (%(what)s), "
                    "and usage of these days that is reported later is charged at the same "
                    "prices. Duplicate the tariff, change the copy, and give it to the price lines "
                    "with “Change from Date…”. To correct what was invoiced, reverse it with "
                    "“Release for Invoicing” first.",
                    tariff=amount.contract_line_id.tariff_id.name,
                    date=format_date(self.env, amount.period_to),
                    what=amount._get_reference(),
                )
            )


class BillingContractLine(models.Model):
    """What a price line by usage was invoiced by is not overwritten.

    Prices count from the first usage that was invoiced, minimum and maximum from the first period,
    used or not, and a commitment from the first whole term: before that nothing was charged by it.
    """

    _inherit = "billing.contract.line"

    def _get_kept_rates(self, vals):
        """Return {price line: what it is charged by} of those by usage that ``vals`` may change."""
        metered = self.filtered("is_metered") if KEPT_FIELDS.intersection(vals) else ()
        return {line: line._get_rates() for line in metered}

    def _get_rates(self):
        """Return what this line is charged by, without the bands of its tariff, by field."""
        names = ("discount", "aggregation", "minimum_amount", "maximum_amount")
        committed = self.commitment_amount
        return {
            "tariff_id": self.tariff_id.id,
            "price_unit": self.price_unit if not self.tariff_id else None,
            **{name: self[name] for name in names},
            "commitment_amount": committed,
            "commitment_interval": self.commitment_interval if committed else None,
        }

    def _check_rates_kept(self, before):
        """Refuse other rates than ``before``, see :meth:`_get_kept_rates`.

        :raises UserError: says what to do instead
        """
        changed = {line: line._get_changed_rates(rates) for line, rates in before.items()}
        message = self._get_rates_message({line: some for line, some in changed.items() if some})
        if message:
            raise UserError(message)

    def _get_changed_rates(self, rates):
        """Return the fields in which this line differs from ``rates``, and those by then."""
        now = self._get_rates()
        return {name: (rates[name], now[name]) for name in rates if rates[name] != now[name]}

    @api.model
    def _get_rates_message(self, changed):
        """Return why a line was invoiced by what is changed, and what to do; None: none was.

        :param changed: {price line: what :meth:`_get_changed_rates` returns}
        """
        for names, find, describe in (
            (RATE_FIELDS, "_find_used_until", "_describe_price_kept"),
            (BOUND_FIELDS, "_find_bounded_until", "_describe_bounds_kept"),
            (COMMITMENT_FIELDS, "_find_committed_until", "_describe_bounds_kept"),
        ):
            lines = self.browse().union(
                *(line for line, some in changed.items() if names.intersection(some))
            )
            days = getattr(lines, find)(changed) if lines else {}
            for line in lines:
                if line._origin.id in days:
                    return getattr(line._origin, describe)(days[line._origin.id])
        return None

    def _find_used_until(self, _changed):
        """Return {id: last day of usage that was invoiced} of these lines."""
        lines = Domain("contract_line_id", "in", self._origin.ids)
        return self.env["invoice.run.line"]._read_settled_until(lines & USED)

    def _find_bounded_until(self, _changed):
        """Return {id: last day of the periods that were invoiced} of these lines."""
        lines = Domain("contract_line_id", "in", self._origin.ids)
        return self.env["invoice.run.line"]._read_settled_until(lines)

    def _find_committed_until(self, changed):
        """Return {id: last day of a term that was invoiced as a whole} of these lines.

        Also of terms without a commitment: usage reported later would be trued up to it.

        :param changed: see :meth:`_get_rates_message`; both intervals count
        """
        lines = self._origin
        claims = lines._get_claimed_spans()
        open_spans = self.env["invoice.run.line"]._read_open_spans(lines)
        days = {}
        for line in self:
            found = [
                term.date_to
                for interval in line._get_intervals(changed[line])
                for term in line._origin._get_whole_terms(interval, claims[line._origin.id])
                if not any(term.clip(*span) for span in open_spans[line._origin.id])
            ]
            if found:
                days[line._origin.id] = max(found)
        return days

    def _get_intervals(self, changed):
        """Return for how long this line was, and is, committed."""
        intervals = changed.get("commitment_interval", ())
        return {self.commitment_interval, *filter(None, intervals)}

    def _get_whole_terms(self, interval, claimed):
        """Yield the terms of a commitment, cut to the days of this line, that are ``claimed``."""
        terms = self.contract_id._get_billing_terms()
        for span in claimed:
            for term in self._get_terms_in(terms, span, interval):
                if term.clip(*span) == term:
                    yield term

    def _describe_price_kept(self, day):
        return self.env._(
            "Contract %(contract)s, line “%(line)s”: its usage up to %(date)s has been invoiced, "
            "and usage of these days that is reported later is charged at the same price. Use "
            "“Change from Date…” to have another price, discount or tariff from a day on. To "
            "correct what was invoiced, reverse it with “Release for Invoicing”.",
            contract=self.contract_id.name,
            line=self.name,
            date=format_date(self.env, day),
        )

    def _describe_bounds_kept(self, day):
        return self.env._(
            "Contract %(contract)s, line “%(line)s”: days up to %(date)s have been invoiced, and "
            "what is reported later for them is charged with the same minimum, maximum and "
            "commitment. Use “Change from Date…” to have another one from a day on. To correct "
            "what was invoiced, reverse it with “Release for Invoicing”.",
            contract=self.contract_id.name,
            line=self.name,
            date=format_date(self.env, day),
        )


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    def _find_invoiced_usage(self, domain, limit=None):
        """Return the amounts of ``domain`` that hold usage that was invoiced, the latest first."""
        # sudo: whoever changes a price need not see the runs
        found = self.sudo().search(
            domain & SETTLED & USED, order="period_to DESC, id DESC", limit=limit
        )
        return found.with_env(self.env)

    @api.model
    def _read_settled_until(self, domain):
        """Return {price line id: last day of its settled periods} of the amounts of ``domain``."""
        # sudo: see _find_invoiced_usage
        groups = self.sudo()._read_group(domain & SETTLED, ["contract_line_id"], ["period_to:max"])
        return {line.id: day for line, day in groups}

    @api.model
    def _read_open_spans(self, lines):
        """Return {price line id: days that a run holds and has not invoiced}.

        Not those of which it holds usage that came later: the period was invoiced.
        """
        domain = Domain("contract_line_id", "in", lines.ids) & Domain("is_claimed", "=", True)
        domain &= Domain("late_number", "in", (0, False))
        domain &= Domain("document_id.state", "not in", DOCUMENT_SETTLED)
        spans = defaultdict(list)
        # sudo: see _find_invoiced_usage
        for amount in self.sudo().search(domain):
            spans[amount.contract_line_id.id].append(
                periods.Span(amount.period_from, amount.period_to)
            )
        return spans
