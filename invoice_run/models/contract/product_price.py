"""What looked-up prices depend on beside pricelists: sales price, cost, the customer's pricelist.

Whether a price has changed is seen from the result: it is looked up again.
"""

from datetime import timedelta

from odoo import api, models
from odoo.fields import Domain

from ..base.states import DOCUMENT_LEFT_OUT, DOCUMENT_OPEN

#: Two prices are the same up to this: they are floats.
SAME_PRICE = 1e-9
#: How long before amounts were created, or after, somebody may have begun to change their prices.
AROUND = timedelta(hours=1)
#: A change of a list may concern any price, one of a product or a variant those of that product.
LISTS = ("product.pricelist", "product.pricelist.item", "product.category")
VARIANTS = ("product.product", "product.template.attribute.value")


class BillingContractLine(models.Model):
    _inherit = "billing.contract.line"

    _looked_up_idx = models.Index("(product_id) WHERE is_price_looked_up")


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    @api.model
    def _mark_repriced(self, domain):
        """Mark the amounts whose price was looked up and has changed since.

        :param domain: of the price lines that it may have changed for
        """
        # sudo: whoever changes a price need not see the contracts that follow it
        lines = self.env["billing.contract.line"].sudo()
        lines = lines.search(Domain("is_price_looked_up", "=", True) & domain)
        if not lines:
            return
        amounts = self.sudo().search(
            Domain("contract_line_id", "in", lines.ids)
            & Domain("is_stale", "=", False)
            & Domain("corrects_id", "=", False)
            & Domain("document_id.state", "in", (*DOCUMENT_OPEN, *DOCUMENT_LEFT_OUT))
        )
        self._mark_stale(Domain("id", "in", amounts._get_repriced().ids))

    def _get_repriced(self):
        """Return those of these amounts whose price differs when it is looked up again."""
        return self.filtered(
            lambda amount: (
                abs(
                    float(amount.contract_line_id._get_net_price(amount.billing_date_from))
                    - amount.net_price
                )
                > SAME_PRICE
            )
        )

    @api.model
    def _get_repriced_meanwhile(self, domain):
        """Return the amounts of ``domain`` whose prices were changed while they were created.

        Neither transaction saw the other one then: the amounts have the price of before, and
        whoever changed it found none to mark.
        """
        domain &= Domain("is_stale", "=", False) & Domain("corrects_id", "=", False)
        amounts = self.search(domain & Domain("contract_line_id.is_price_looked_up", "=", True))
        return amounts._get_priced_meanwhile()._get_repriced() if amounts else amounts

    def _get_priced_meanwhile(self):
        """Return those of these amounts whose prices may have changed while they were created."""
        moments = self.mapped("create_date")
        meanwhile = Domain("write_date", ">=", min(moments) - AROUND)
        meanwhile &= Domain("write_date", "<=", max(moments) + AROUND)
        # sudo: whoever approves need not see them; archived ones count, their prices are taken away
        env = self.sudo().with_context(active_test=False).env
        if any(env[model].search_count(meanwhile, limit=1) for model in LISTS):
            return self
        products = env["product.template"].search(meanwhile)
        for model in VARIANTS:
            products |= env[model].search(meanwhile).product_tmpl_id
        customers = self.contract_id.partner_id
        customers = env["res.partner"].search(meanwhile & Domain("id", "in", customers.ids))
        return self.filtered(
            lambda amount: (
                amount.product_id.product_tmpl_id in products
                or amount.contract_id.partner_id in customers
            )
        )


class InvoiceRun(models.Model):
    _inherit = "invoice.run"

    def _mark_repriced_meanwhile(self):
        """Mark the amounts of these runs whose prices were changed while they were created."""
        # sudo: amounts belong to the engine
        Line = self.env["invoice.run.line"].sudo()
        repriced = Line._get_repriced_meanwhile(Domain("run_id", "in", self.ids))
        Line._mark_stale(Domain("id", "in", repriced.ids))


class ProductTemplate(models.Model):
    _inherit = "product.template"

    def write(self, vals):
        # a rule of a pricelist may be for a category
        changed = self._get_changed(vals, {"list_price", "categ_id"})
        result = super().write(vals)
        if changed:
            changed.with_context(active_test=False).product_variant_ids._mark_repriced()
        return result


class ProductProduct(models.Model):
    _inherit = "product.product"

    def write(self, vals):
        result = super().write(vals)
        if "standard_price" in vals:
            self._mark_repriced()
        return result

    def _mark_repriced(self):
        """Mark the amounts of these products whose looked-up price has changed."""
        self.env["invoice.run.line"]._mark_repriced(Domain("product_id", "in", self._ids))


class ProductTemplateAttributeValue(models.Model):
    _inherit = "product.template.attribute.value"

    def write(self, vals):
        result = super().write(vals)
        if "price_extra" in vals:
            self.with_context(active_test=False).ptav_product_variant_ids._mark_repriced()
        return result


class ResPartner(models.Model):
    _inherit = "res.partner"

    def write(self, vals):
        result = super().write(vals)
        # the customer's pricelist, as it is stored; contracts without one of their own follow it
        if "specific_property_product_pricelist" in vals:
            domain = Domain("contract_id.partner_id", "in", self._ids)
            self.env["invoice.run.line"]._mark_repriced(domain)
        return result
