"""Pricelists and their rules: a change of them marks the amounts whose price was looked up."""

from odoo import api, models
from odoo.fields import Domain

from ..base.states import DOCUMENT_CHANGEABLE


class ProductPricelist(models.Model):
    _name = "product.pricelist"
    _inherit = ["product.pricelist", "invoice.run.stale.mixin"]
    # the customers of a country may have a new pricelist from now on
    _is_looked_up = True

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {"active", "company_id", "country_group_ids", "currency_id", "sequence"}

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        # sudo: whoever changes a pricelist need not see the contracts that follow it
        amounts = self.env["invoice.run.line"].sudo().search(self._get_looked_up_domain())
        if not amounts:
            return Domain.FALSE
        lists = self | self._get_based_pricelists()
        lines = amounts.contract_line_id.filtered(lambda line: line._get_followed_list() in lists)
        return [("contract_line_id", "in", lines.ids)]

    @api.model
    def _get_looked_up_domain(self):
        """Return the amounts, not yet invoiced, whose price was looked up."""
        domain = Domain("contract_line_id.is_price_looked_up", "=", True)
        return domain & Domain("document_id.state", "in", DOCUMENT_CHANGEABLE)

    def _get_based_pricelists(self):
        """Return the pricelists with rules based on these, through any number of others."""
        # sudo: a pricelist of one company may be the base of others
        Item = self.env["product.pricelist.item"].sudo()
        found, last = self.sudo(), self.sudo()
        while last:
            rules = Item.search([("base", "=", "pricelist"), ("base_pricelist_id", "in", last.ids)])
            last = rules.pricelist_id - found
            found |= last
        return found


class ProductPricelistItem(models.Model):
    _name = "product.pricelist.item"
    _inherit = ["product.pricelist.item", "invoice.run.stale.mixin"]
    _is_looked_up = True

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {
            "applied_on",
            "base",
            "base_pricelist_id",
            "categ_id",
            "compute_price",
            "date_end",
            "date_start",
            "fixed_price",
            "min_quantity",
            "percent_price",
            "price_discount",
            "price_markup",
            "price_max_margin",
            "price_min_margin",
            "price_round",
            "price_surcharge",
            "pricelist_id",
            "product_id",
            "product_tmpl_id",
        }

    def unlink(self):
        # a rule that is gone has no date; amounts that are being created are compared by it
        pricelists = self.pricelist_id
        result = super().unlink()
        for pricelist in pricelists.exists():
            pricelist.sequence = pricelist.sequence
        return result

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        domain = Domain(self.pricelist_id._get_stale_domain())
        templates = self.product_tmpl_id
        if all(item.product_tmpl_id for item in self):
            domain &= Domain("product_id.product_tmpl_id", "in", templates.ids)
        return domain
