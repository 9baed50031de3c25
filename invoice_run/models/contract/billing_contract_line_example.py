from markupsafe import Markup

from odoo import api, fields, models
from odoo.tools import format_date

from ...engine import periods

#: Billing periods that the example shows.
SHOWN = 2


class BillingContractLine(models.Model):
    """An example beside each price as it is entered: the first periods of this very contract."""

    _inherit = "billing.contract.line"

    example_html = fields.Html("Example", compute="_compute_example_html", sanitize=False)

    @api.depends(
        "price_unit",
        "quantity",
        "discount",
        "price_interval",
        "is_metered",
        "minimum_amount",
        "tariff_id",
        "date_start",
        "date_end",
        "price_ids.date_from",
        "price_ids.price_unit",
        "price_ids.quantity",
        "price_ids.discount",
        *(
            f"contract_id.{name}"
            for name in (
                "date_start",
                "date_end",
                "period_count",
                "period_unit",
                "period_anchor",
                "anchor_day",
                "anchor_month",
                "first_period_due",
                "billing_timing",
                "prebilling_periods",
                "proration",
                "currency_id",
            )
        ),
    )
    def _compute_example_html(self):
        for line in self:
            line.example_html = line._get_example() if line._has_example() else False

    def _has_example(self):
        contract = self.contract_id
        is_complete = contract.date_start and contract.currency_id and contract.period_count > 0
        has_price = self.price_interval and self.price_interval != "once"
        return bool(is_complete and has_price and not self._bounds_contract())

    def _get_example(self):
        """Return the first periods with their amounts, by the functions that invoice them."""
        contract = self.contract_id
        try:
            terms = contract._get_billing_terms()
            spans = self._get_first_spans(terms)
        except ValueError:  # impossible while somebody types: the constraints say what is wrong
            return False
        rows = Markup().join(
            Markup("<li>%s</li>") % self._get_example_row(terms, span) for span in spans
        )
        if self.is_metered:
            head = self.env._("The first periods of this contract, without any usage:")
        else:
            head = self.env._("The first periods of this contract at this price:")
        return Markup("<div>%s<ul class='mb-0'>%s</ul></div>") % (head, rows)

    def _get_first_spans(self, terms):
        first, last = self._get_own_days()
        index = terms.grid.index(first)
        end = terms.grid.period(index + SHOWN - 1).date_to
        whole = periods.Span(first, end).clip(None, last)
        return self._cut_at_prices(terms.grid.cut(whole)) if whole else []

    def _get_example_row(self, terms, span):
        """Return days, arithmetic, amount and the day from which ``span`` is invoiced."""
        coin = periods.exact(self.contract_id.currency_id.rounding)
        price = self._get_net_price(span.date_from)
        first = self._get_counted_from()
        units, amount = periods.charge(terms, self.price_interval, first, span, price, coin)
        days = [format_date(self.env, day) for day in span]
        due = periods.next_invoicing_date(terms, span.date_from)
        text = self.env._(
            "%(first)s – %(last)s: %(arithmetic)s = %(amount)s",
            first=days[0],
            last=days[1],
            arithmetic=self._get_arithmetic(units, span, float(price)),
            amount=self._format_price(self.env, float(amount)),
        )
        if terms.mode != "periodic" or not due:
            return text
        return self.env._(
            "%(row)s, invoiced from %(date)s", row=text, date=format_date(self.env, due)
        )
