from odoo import models

from ..plain_taxes import Numbers, Rounding, compute
from ..tax_form import TaxForm
from ..taxes import get_key, is_engine_known


class InvoiceRunBulk(models.AbstractModel):
    """Taxes of invoices that are created in bulk: by Odoo's tax engine, or as it computes them."""

    _inherit = "invoice.run.bulk"

    def _get_tax_lines_vals(self, lines, head):
        """Complete the product lines' values by those of taxes; return the tax lines' values.

        Taxes are computed once for invoices whose lines are equal in all that the engine knows of
        them.
        """
        found = None
        if is_engine_known(self.env):
            key = ("taxes", *head.get_tax_key(), *(self._get_tax_key(line) for line in lines))
            found = head.cache.get(key, lambda: self._compute_taxes(lines, head))
        base_vals, tax_vals = found or self._compute_taxes(lines, head)
        for line, vals in zip(lines, base_vals, strict=True):
            line.update(vals)
        partner = {"partner_id": head.commercial_partner.id}
        return [{**head.line_vals, **vals, **partner} for vals in tax_vals]

    def _get_tax_key(self, line):
        """Return what the tax engine knows of a product line."""
        names = ("product_uom_id", "price_unit", "quantity", "discount")
        return (*self._get_form_key(line), *(line[name] for name in names))

    def _get_form_key(self, line):
        """Return what the form of a product line's taxes depends on, see :class:`TaxForm`."""
        taxes = tuple(line["tax_ids"][0][2])
        distribution = get_key(line["analytic_distribution"])
        return line["product_id"], line["account_id"], taxes, distribution

    def _compute_taxes(self, lines, head):
        """Return what taxes add to the product lines, and the values of the tax lines."""
        bases, taxes = self._compute_plain_taxes(lines, head) or self._ask_tax_engine(lines, head)
        for line, vals in zip(lines, bases, strict=True):
            vals.update(self._get_amounts(line["account_id"], vals, head))
            vals["price_subtotal"] = head.currency.round(vals["price_subtotal"])
            vals["price_total"] = head.currency.round(vals["price_total"])
        for vals in taxes:
            vals.update(self._get_amounts(vals["account_id"], vals, head))
            vals.update(display_type="tax", sequence=10000)
        return bases, taxes

    def _ask_tax_engine(self, lines, head):
        """Return the amounts of the product lines and of the tax lines.

        The calls of ``account.move._get_rounded_base_and_tax_lines``, ``_sync_tax_lines`` and,
        for the subtotals, ``account.move.line._compute_totals``.
        """
        base_lines = self._prepare_base_lines(lines, head)
        found = self.env["account.tax"]._prepare_tax_lines(base_lines, head.company)
        bases = []
        for base_line, amounts in found["base_lines_to_update"]:
            details = base_line["tax_details"]
            subtotal, total = details["total_excluded_currency"], details["total_included_currency"]
            bases.append({**amounts, "price_subtotal": subtotal, "price_total": total})
        return bases, found["tax_lines_to_add"]

    def _prepare_base_lines(self, lines, head):
        """Return the base lines of the tax engine with all details of their taxes."""
        AccountTax = self.env["account.tax"]
        base_lines = [self._prepare_base_line(line, head) for line in lines]
        AccountTax._add_tax_details_in_base_lines(base_lines, head.company)
        AccountTax._round_base_lines_tax_details(base_lines, head.company)
        AccountTax._add_accounting_data_in_base_lines_tax_details(base_lines, head.company)
        return base_lines

    def _prepare_base_line(self, line, head):
        cache = head.cache
        return self.env["account.tax"]._prepare_base_line_for_taxes_computation(
            line,
            product_id=cache.browse("product.product", line["product_id"]),
            product_uom_id=cache.browse("uom.uom", line["product_uom_id"]),
            tax_ids=cache.get_taxes(line),
            currency_id=head.currency,
            partner_id=head.commercial_partner,
            account_id=head.get_income_account(line["product_id"]),
            analytic_distribution=line["analytic_distribution"],
            is_refund=head.is_refund,
            sign=head.sign,
            rate=head.rate,
            special_mode=False,
            name=line["name"],
        )

    def _compute_plain_taxes(self, lines, head):
        """Return the same as :meth:`_ask_tax_engine`, or None: not all taxes are plain percentages.

        The engine is asked once for invoices that differ in nothing but amounts.
        """
        cache = head.cache
        percents = [cache.get_percents(line) for line in lines]
        if None in percents or not is_engine_known(self.env):
            return None
        head_key = head.get_tax_key()
        form = cache.get(
            ("form", *head_key, *map(self._get_form_key, lines)),
            lambda: TaxForm(self._prepare_base_lines(lines, head)),
        )
        rounding = cache.get(
            ("rounding", *head_key), lambda: Rounding(head.company, head.currency, head.rate)
        )
        numbers = [
            Numbers(line["price_unit"], line["quantity"], line["discount"], line_percents)
            for line, line_percents in zip(lines, percents, strict=True)
        ]
        return form.fill(compute(numbers, rounding), rounding, head.sign)
