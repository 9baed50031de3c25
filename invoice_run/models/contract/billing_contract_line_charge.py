import re
from datetime import date
from decimal import Decimal
from fractions import Fraction

from odoo import models
from odoo.tools import format_date, formatLang

from ...engine import ledger, periods, tariff
from ...memory import remember

#: Day that every claim of a one-off price line takes: it can be claimed once, ever.
ONCE_DAY = date(1900, 1, 1)


class BillingContractLine(models.Model):
    """What is due of a price line, what it costs to the coin, and what its invoice line says."""

    _inherit = "billing.contract.line"

    def _get_due_spans(self, terms, claimed, target, skip_before=None):
        """Return the open spans that are due up to ``target``, see :func:`periods.due_spans`."""
        self.ensure_one()
        if self.price_interval == "once":
            span = self._get_once_span(terms, claimed, target)
            return [span] if span else []
        if self.is_metered:
            return self._get_metered_spans(terms, claimed, target, skip_before)
        days = (self._get_first_day(), self._get_last_day())
        args = (terms, *days, tuple(claimed), target, skip_before)
        spans = remember(self.env, ("due", *args), lambda: periods.due_spans(*args))
        return self._cut_at_prices(spans)

    def _get_once_span(self, terms, claimed, target):
        """Return the period with which a one-off line is due, None when it is not."""
        day = self._get_first_open_day(claimed)
        return periods.once_period(terms, day, target) if day else None

    def _get_net_price(self, day):
        """Return the exact price of one unit of time, for the whole quantity, after discount.

        For a metered line it is the least that it charges.

        :param day: on which it is valid
        """
        return self._get_net_price_at(self._get_price_on(day))

    def _get_net_price_at(self, valid):
        """Return the exact price of one unit of time.

        :param valid: :class:`planned.Price` by which it goes
        """
        if self.is_metered:
            return self._get_committed_price()
        if self.tariff_id:
            return self._get_rated_price(tariff.Measure(periods.exact(valid.quantity)))
        return valid.net()

    def _get_charge_vals(self, terms, span, taxes=None):
        """Return quantity, price, discount and amount of ``span``, exact to the coin.

        The invoice shows quantity × price where that gives the amount; otherwise quantity 1,
        the net amount as price, and the arithmetic as ``note``.

        :param span: days on which one price is valid, see :meth:`_cut_at_prices`
        :param taxes: taxes of the invoice line; without them what it shows is not sure
        """
        self.ensure_one()
        if self._bounds_contract():
            return self._get_bound_charge_vals(terms, span)
        if self.is_metered:
            return self._get_metered_vals(self._rate(terms, span, as_new=True), taxes)
        valid = self._get_price_on(span.date_from)
        first = self._get_counted_from()
        interval = self.price_interval
        if self.tariff_id or not periods.is_one_unit(terms, interval, first, span):
            return self._calculate_charge_vals(terms, span, taxes, valid)
        # equal for all lines with the same price, unless the days are in the text
        taxed = taxes._ids if taxes else ()
        contract = self.contract_id
        key = ("unit", *valid[1:], contract.currency_id.id, contract.company_id.id, taxed)
        vals = remember(
            self.env, key, lambda: self._calculate_charge_vals(terms, span, taxes, valid)
        )
        has_note = "note" in vals
        return self._calculate_charge_vals(terms, span, taxes, valid) if has_note else dict(vals)

    def _calculate_charge_vals(self, terms, span, taxes, valid):
        """Do as :meth:`_get_charge_vals`, for a line that has a price.

        :param valid: :class:`planned.Price` by which it goes
        """
        price = self._get_net_price_at(valid)
        coin = periods.exact(self.contract_id.currency_id.rounding)
        first = self._get_counted_from()
        units, amount = periods.charge(terms, self.price_interval, first, span, price, coin)
        amount = float(amount)
        # the tax depends on the pieces of the contract, whatever days they are invoiced for
        is_per_piece = taxes and units != 1 and valid.quantity and taxes._is_per_quantity()
        shown = None
        if not is_per_piece and not self.tariff_id:
            shown = self._get_shown_quantity(valid, units, amount, taxes)
        if shown is not None:
            return {
                "quantity": shown,
                "price_unit": valid.price_unit,
                "discount": valid.discount,
                "amount": amount,
            }
        pieces = valid.quantity if is_per_piece else 1.0
        return {
            "quantity": pieces,
            "price_unit": amount / pieces,
            "discount": 0.0,
            "amount": amount,
            "note": self._get_arithmetic(units, span, float(price)),
        }

    def _get_shown_quantity(self, valid, units, amount, taxes):
        """Return the quantity that gives ``amount`` at the price as it is; None: there is none."""
        quantity = float(periods.exact(valid.quantity) * units)
        shown = round(quantity, self.env["decimal.precision"].precision_get("Product Unit"))
        is_exact = abs(quantity - shown) < 1e-9
        return shown if is_exact and self._gives_amount(valid, shown, amount, taxes) else None

    def _gives_amount(self, price, quantity, amount, taxes):
        """Whether an invoice line of ``quantity`` × ``price`` comes to ``amount``, to the coin."""
        if taxes and self.contract_id._is_price_split_unrounded(taxes, self.company_id):
            net = periods.net_price(quantity, price.price_unit, price.discount)
            return net == periods.exact(amount)
        net = quantity * (price.price_unit * (1 - (price.discount / 100.0)))
        return self.contract_id.currency_id.compare_amounts(net, amount) == 0

    def _get_share_of(self, entry):
        """Return how the amount of ``entry``, which covers days of this line, is spread over them.

        By the function that calculated it, with its price; evenly where the terms of the contract
        have changed since, so that the function no longer gives the planned amount.

        :param entry: a :class:`ledger.LedgerEntry`
        :return: see ``ledger.Share``
        """
        terms = self.contract_id._get_billing_terms()
        coin, price = periods.exact(entry.coin), periods.exact(entry.net_price)
        first = self._get_counted_from()
        whole = entry.span

        def charge(part):
            return periods.charge(terms, self.price_interval, first, part, price, coin).amount

        planned = periods.exact(entry.planned_amount)
        if not planned or first > whole.date_from or charge(whole) != planned:
            return ledger.share_by_days(whole)

        def share(day):
            part = whole.clip(None, day)
            return charge(part) / planned if part else Fraction()

        return share

    def _get_arithmetic(self, units, span, price):
        """Return the arithmetic of a prorated amount for the invoice line."""
        lang_env = self.with_context(lang=self.contract_id._get_invoice_lang()).env
        share = str(units)
        if units.denominator > 12:
            share = formatLang(lang_env, float(units), digits=4)
        return lang_env._(
            "%(days)s days: %(share)s × %(price)s",
            days=span.days,
            share=share,
            price=self._format_unit_price(lang_env, price),
        )

    def _format_price(self, env, price):
        """Return ``price`` with the sign of its currency; with its code where Latin-1 has no sign.

        Formats such as FatturaPA are in Latin-1, which has no euro.
        """
        currency = self.currency_id.with_env(env)
        text, sign = currency.format(price), currency.symbol or ""
        is_plain = sign == sign.encode("latin-1", "replace").decode("latin-1")
        return text if is_plain else text.replace(sign, currency.name)

    def _format_unit_price(self, env, price):
        """Return the price of a unit with all its decimals: 0.0125 is not one cent."""
        places = -Decimal(str(price)).normalize().as_tuple().exponent
        text = self._format_price(env, price)
        if places <= self.currency_id.decimal_places:
            return text
        exact = formatLang(env, price, digits=places)
        return re.sub(r"-?\d(.*\d)?", lambda _rounded: exact, text)

    def _prepare_run_line_vals(self, terms, span, fiscal_position):
        """Return the values of the run line that invoices ``span`` of this line."""
        self.ensure_one()
        if self.is_metered:
            return self._prepare_metered_line_vals(terms, span, fiscal_position)
        contract = self.contract_id
        taxes = contract._get_run_taxes(
            self.tax_ids, self.product_id, contract.company_id, fiscal_position
        )
        vals = self._get_charge_vals(terms, span, taxes)
        note = vals.pop("note", None)
        once = self.price_interval == "once"
        return {
            **vals,
            "contract_id": contract.id,
            "contract_line_id": self.id,
            "product_id": self.product_id.id,
            "product_uom_id": self.product_uom_id.id,
            "name": self._get_invoice_line_name(span, note),
            "period_from": ONCE_DAY if once else span.date_from,
            "period_to": ONCE_DAY if once else span.date_to,
            "billing_date_from": span.date_from,
            "billing_date_to": span.date_to,
            "tax_ids": taxes.ids,
            "analytic_distribution": self.analytic_distribution,
            "net_price": float(self._get_net_price(span.date_from)),
            "tariff_id": self.tariff_id.id,
        }

    def _get_invoice_line_name(self, span, note=None):
        """Return the text of the invoice line: description, period, arithmetic."""
        lang = self.contract_id._get_invoice_lang()
        parts = [self.name or self.product_id.display_name]
        if self.price_interval != "once":
            days = [self._format_day(day, lang) for day in span]
            # a hyphen: formats in Latin-1, such as FatturaPA, have no dash
            parts.append(" - ".join(days))
        if note:
            parts.append(note)
        return "\n".join(parts)

    def _format_day(self, day, lang):
        return remember(
            self.env, ("day", day, lang), lambda: format_date(self.env, day, lang_code=lang)
        )
