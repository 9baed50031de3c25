"""Marks open amounts as changed whenever a record changes that an invoice is calculated from."""

from odoo import api, models
from odoo.fields import Domain


class BillingContractLine(models.Model):
    _inherit = "billing.contract.line"

    @api.model_create_multi
    def create(self, vals_list):
        # a price line that is added belongs on the invoices that are not created yet
        lines = super().create(vals_list)
        for line in lines.filtered("previous_line_id"):
            line.previous_line_id._give_planned_prices(line)
        lines._apply_index()
        lines.filtered(lambda line: line.contract_id.state != "draft")._mark_contracts_stale()
        lines.filtered("is_metered").contract_id._link_usage()
        return lines

    def _mark_contracts_stale(self):
        """Mark the open amounts of the contracts of these lines, from their first day on."""
        if self:
            first = min(line._get_first_day() for line in self)
            domain = Domain("contract_id", "in", self.contract_id.ids)
            domain &= Domain("billing_date_to", ">=", first)
            self.env["invoice.run.line"]._mark_stale(domain)


class ProductTemplate(models.Model):
    _name = "product.template"
    _inherit = ["product.template", "invoice.run.stale.mixin"]

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin': the account is read when the invoice is created
        return {"taxes_id"}

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return [("product_id.product_tmpl_id", "in", self.ids)]

    def _follow_change(self, vals):
        # EXTENDS 'invoice.run.stale.mixin'
        domain = [("product_id.product_tmpl_id", "in", self.ids)]
        self.env["billing.contract.line"]._renew_recurring_prices(domain)


class AccountTax(models.Model):
    _name = "account.tax"
    _inherit = ["account.tax", "invoice.run.stale.mixin"]

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {
            "active",
            "amount",
            "amount_type",
            "children_tax_ids",
            "fiscal_position_ids",
            "include_base_amount",
            "is_base_affected",
            "original_tax_ids",
            "price_include_override",
        }

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin': also what the mapping to these taxes concerns
        return Domain("tax_ids", "in", self.ids) | Domain(
            "tax_ids", "in", self._get_related_query()
        )

    def _follow_change(self, vals):
        # EXTENDS 'invoice.run.stale.mixin': the price of a line is without the taxes in it
        is_moved = "price_include_override" in vals
        taxes = self if is_moved else self.filtered("price_include")
        if taxes:
            domain = Domain("tax_ids", "in", taxes.ids)
            domain |= Domain("product_id.taxes_id", "in", taxes.ids)
            self.env["billing.contract.line"]._renew_recurring_prices(domain)

    def _get_related_query(self):
        """Return the taxes that these are a part of or that they replace, for one statement."""
        # sudo: whoever changes a tax need not see those of other companies; archived ones are
        # still in amounts
        taxes = self.sudo().with_context(active_test=False)
        related = Domain("children_tax_ids", "in", self.ids)
        return taxes._search(related | Domain("replacing_tax_ids", "in", self.ids))


class ResPartner(models.Model):
    _inherit = "res.partner"

    @api.model_create_multi
    def create(self, vals_list):
        # usage goes to the invoice address, taxes follow the delivery address
        partners = super().create(vals_list)
        added = partners.filtered(
            lambda partner: partner.parent_id and partner.type in ("invoice", "delivery")
        )
        if added:
            self.env["invoice.run.line"]._mark_stale(added._get_stale_domain())
        return partners
