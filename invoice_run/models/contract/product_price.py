"""What looked-up prices depend on beside pricelists: sales price, cost, the customer's pricelist.

Whether a price has changed is seen from the result: it is looked up again.
"""

import logging
from datetime import timedelta
from functools import partial

from odoo import SUPERUSER_ID, api, models
from odoo.fields import Domain

from ...memory import remembering
from ..base.states import DOCUMENT_CHANGEABLE, DOCUMENT_OPEN

_logger = logging.getLogger(__name__)

#: Two prices are the same up to this: they are floats.
SAME_PRICE = 1e-9
#: How long before amounts were created, or after, somebody may have begun to change their prices.
AROUND = timedelta(hours=1)


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
            & Domain("document_id.state", "in", DOCUMENT_CHANGEABLE)
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
        domain &= Domain("document_id.state", "in", DOCUMENT_OPEN)
        amounts = self.search(domain & Domain("contract_line_id.is_price_looked_up", "=", True))
        with remembering(self.env):
            return amounts._get_priced_meanwhile()._get_repriced() if amounts else amounts

    def _get_priced_meanwhile(self):
        """Return those of these amounts whose prices may have changed while they were created."""
        meanwhile = self._get_meanwhile()
        # sudo: whoever approves need not see them; archived ones count, their prices are taken away
        env = self.sudo().with_context(active_test=False).env
        lists = env["product.pricelist"].search(meanwhile)
        lists |= env["product.pricelist.item"].search(meanwhile).pricelist_id
        lists |= lists._get_based_pricelists()
        products = env["product.template"].search(meanwhile)
        for model in ("product.product", "product.template.attribute.value"):
            products |= env[model].search(meanwhile).product_tmpl_id
        contracts = self.contract_id
        customers = (contracts.partner_id | contracts.partner_invoice_id).ids
        customers = env["res.partner"].search(meanwhile & Domain("id", "in", customers))
        if not (lists or products or customers):
            return self.browse()
        return self.filtered(
            lambda amount: (
                amount.product_id.product_tmpl_id in products
                or amount.contract_line_id._get_price_terms()["partner"] in customers
                or lists
                and amount.contract_line_id._get_followed_list() in lists
            )
        )

    def _get_meanwhile(self):
        """Return the domain of what was changed around the time at which these were created."""
        hours = {moment.replace(minute=0, second=0) for moment in self.mapped("create_date")}
        return Domain.OR(
            Domain("write_date", ">=", hour - AROUND)
            & Domain("write_date", "<=", hour + timedelta(hours=1) + AROUND)
            for hour in hours
        )


class InvoiceRun(models.Model):
    _inherit = "invoice.run"

    def _mark_repriced_meanwhile(self):
        """Mark the amounts of these runs whose prices were changed while they were created.

        :return: how many documents these are
        """
        # sudo: amounts belong to the engine
        Line = self.env["invoice.run.line"].sudo()
        repriced = Line._get_repriced_meanwhile(Domain("run_id", "in", self.ids))
        Line._mark_stale(Domain("id", "in", repriced.ids))
        return len(repriced.document_id)

    def _mark_repriced_for_good(self):
        """As ``_mark_repriced_meanwhile``; once more after the error that the caller raises."""
        count = self._mark_repriced_meanwhile()
        if count:
            self.env.cr.postrollback.add(partial(_mark_after_error, self.env.registry, self.ids))
        return count


def _mark_after_error(registry, ids):
    """Mark the repriced amounts of these runs, so that their users see what is to be done."""
    try:
        with registry.cursor() as cr:
            runs = api.Environment(cr, SUPERUSER_ID, {})["invoice.run"].browse(ids)
            runs._mark_repriced_meanwhile()
            runs._notify_progress()
    except Exception:  # they are looked at again at the next approval
        _logger.exception("Invoice run: amounts of %s could not be marked", ids)


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
        # the customer's pricelist, as it is stored; contracts without one of their own follow it
        changed = self._get_changed(vals, {"specific_property_product_pricelist"})
        result = super().write(vals)
        if changed:
            domain = Domain("contract_id.partner_id", "in", changed._ids)
            domain |= Domain("contract_id.partner_invoice_id", "in", changed._ids)
            self.env["invoice.run.line"]._mark_repriced(domain)
        return result
