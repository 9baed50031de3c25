from typing import NamedTuple

from odoo import fields, models

from ...memory import remember

#: Where the authorities are told when something was delivered, and refuse a day to come: what is
#: invoiced in advance counts as supplied on the day of its invoice. See docs/billing.md.
NO_FUTURE_DELIVERY = ("ES", "HU")


class MoveDates(NamedTuple):
    """Dates that Odoo and its localisations give to an invoice."""

    #: accounting date, on which it is booked
    booked: fields.Date
    #: day whose exchange rate counts
    rate: fields.Date
    #: taxable supply date, False where Odoo leaves it empty
    supply: fields.Date


class InvoiceRunDocument(models.Model):
    """Dates of an invoice that depend on the country: of delivery, supply, rate and booking."""

    _inherit = "invoice.run.document"

    def _prepare_date_vals(self):
        """Return the dates that the invoice needs to be booked on the day that was approved."""
        supply = self._get_move_dates().supply
        return {"taxable_supply_date": supply} if supply else {}

    def _get_delivery_date(self):
        """Return the last day invoiced, by which it is delivered, as far as the country allows it.

        Sales says itself when orders were delivered.
        """
        self.ensure_one()
        if not self.date_to or self.run_id.scenario_id.source_model == "sale.order":
            return False
        if self.company_id.account_fiscal_country_id.code in NO_FUTURE_DELIVERY:
            return min(self.date_to, self._get_invoice_day())
        return self.date_to

    def _get_invoice_day(self):
        return self.invoice_date or self.company_id._get_invoice_run_today()

    def _get_move_dates(self):
        """Return the dates of the invoice before there is one, as :class:`MoveDates`.

        Odoo is asked for them, so localisations have their say. Czechia would take today as the
        taxable supply date, and book and convert on it: there it is the invoice date.
        """
        self.ensure_one()
        values = {
            "move_type": "out_invoice",
            "company_id": self.company_id.id,
            "journal_id": self.journal_id.id,
            "currency_id": self.currency_id.id,
            "invoice_date": self._get_invoice_day(),
            "delivery_date": self._get_delivery_date(),
        }
        key = ("dates", *values.values())
        return remember(self.env, key, lambda: self._ask_for_dates(values))

    def _ask_for_dates(self, values):
        move = self.env["account.move"].with_company(self.company_id).new(values)
        if move.taxable_supply_date:
            move.taxable_supply_date = move.invoice_date
        dates = MoveDates(
            move.date, move._get_invoice_currency_rate_date(), move.taxable_supply_date
        )
        # setting a date has Odoo compute a number, which this draft must not get
        self.env.remove_to_compute(move._fields["name"], move)
        return dates
