import json
from collections import defaultdict

from odoo import models


class InvoiceRunDocument(models.Model):
    """Payment terms whose early payment discount lowers the tax at once ("mixed").

    Odoo adds journal items that take the discounted share out of the tax base and put it back
    without tax. The preview has to know them: ``account.move.line._compute_epd_needed``.
    """

    _inherit = "invoice.run.document"

    def _prepare_other_base_lines(self, rate, sign):
        """Return base lines that are no amounts, but that Odoo will add to the invoice."""
        if not self._is_tax_discounted():
            return []
        amounts = self._get_discount_amounts(rate, sign)
        return [
            self.env["account.tax"]._prepare_base_line_for_taxes_computation(
                {},
                price_unit=amount,
                quantity=1.0,
                tax_ids=taxes,
                account_id=account,
                currency_id=self.currency_id,
                special_mode="total_excluded",
                special_type="early_payment",
                is_refund=sign < 0,
                rate=rate,
            )
            for (account, _analytic, taxes), amount in amounts.items()
        ]

    def _is_tax_discounted(self):
        term = self.payment_term_id
        mixed = term.early_pay_discount_computation == "mixed"
        # a due date of the run takes the place of the term
        return bool(term.early_discount and mixed and not self.invoice_date_due)

    def _get_discount_amounts(self, rate, sign):
        """Return {(account, analytic distribution, taxes): amount}, as Odoo groups them."""
        source = self.env["invoice.run.source"]
        share = self.payment_term_id.discount_percentage / 100
        amounts = defaultdict(float)
        for line in self.line_ids.filtered("tax_ids"):
            account = source._get_run_account(
                line.product_id, self.company_id, self.fiscal_position_id
            )
            amount = self.currency_id.round(line._get_subtotal(rate, sign) * share)
            analytic = json.dumps(line.analytic_distribution or {}, sort_keys=True)
            taxes = line.tax_ids.filtered(lambda tax: tax.amount_type != "fixed")
            amounts[account, analytic, taxes] -= amount
            amounts[account, None, taxes.browse()] += amount
        return amounts


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    def _get_subtotal(self, rate, sign):
        """Return the untaxed amount of the invoice line, rounded on its own."""
        base_line = self._prepare_base_line(rate, sign)
        AccountTax = self.env["account.tax"]
        AccountTax._add_tax_details_in_base_line(base_line, self.company_id)
        AccountTax._round_base_lines_tax_details([base_line], self.company_id)
        return base_line["tax_details"]["total_excluded_currency"]
