"""Prices on the product on which looked-up prices are based: sales price, cost, variant's extra.

Whether a pricelist uses one of them is seen from the result: the price is looked up again.
"""

from odoo import api, models
from odoo.fields import Domain

from ..base.states import DOCUMENT_LEFT_OUT, DOCUMENT_OPEN

#: Two prices are the same up to this: they are floats.
SAME_PRICE = 1e-9


class BillingContractLine(models.Model):
    _inherit = "billing.contract.line"

    _looked_up_idx = models.Index("(product_id) WHERE is_price_looked_up")


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    @api.model
    def _mark_repriced(self, products):
        """Mark the amounts of ``products`` whose price was looked up and has changed since."""
        # sudo: whoever changes a price need not see the contracts that follow it
        lines = self.env["billing.contract.line"].sudo()
        lines = lines.search(
            [("is_price_looked_up", "=", True), ("product_id", "in", products._ids)]
        )
        if not lines:
            return
        amounts = self.sudo().search(
            Domain("contract_line_id", "in", lines.ids)
            & Domain("is_stale", "=", False)
            & Domain("corrects_id", "=", False)
            & Domain("document_id.state", "in", (*DOCUMENT_OPEN, *DOCUMENT_LEFT_OUT))
        )
        changed = amounts.filtered(lambda amount: amount._is_repriced())
        self._mark_stale(Domain("id", "in", changed.ids))

    @api.model
    def _mark_repriced_now(self, products):
        """As ``_mark_repriced``, also what is being created at this moment."""
        self._mark_repriced(products)
        self._mark_created_meanwhile(products)

    def _is_repriced(self):
        """Whether the price of this amount differs when it is looked up again."""
        price = self.contract_line_id._get_net_price(self.billing_date_from)
        return abs(float(price) - self.net_price) > SAME_PRICE


class ProductTemplate(models.Model):
    _inherit = "product.template"

    def write(self, vals):
        changed = self._get_changed(vals, {"list_price"})
        result = super().write(vals)
        if changed:
            variants = changed.with_context(active_test=False).product_variant_ids
            self.env["invoice.run.line"]._mark_repriced_now(variants)
        return result


class ProductProduct(models.Model):
    _inherit = "product.product"

    def write(self, vals):
        result = super().write(vals)
        if "standard_price" in vals:
            self.env["invoice.run.line"]._mark_repriced_now(self)
        return result

    def _mark_created(self, _domain):
        """Mark the amounts of these products whose price differs when it is looked up again."""
        self.env["invoice.run.line"]._mark_repriced(self)


class ProductTemplateAttributeValue(models.Model):
    _inherit = "product.template.attribute.value"

    def write(self, vals):
        result = super().write(vals)
        if "price_extra" in vals:
            variants = self.with_context(active_test=False).ptav_product_variant_ids
            self.env["invoice.run.line"]._mark_repriced_now(variants)
        return result
