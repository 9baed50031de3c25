from odoo import models
from odoo.addons.invoice_run.memory import remember

from ..plain_taxes import Numbers, get_percents


class InvoiceRunLine(models.Model):
    _name = "invoice.run.line"
    _inherit = ["invoice.run.line", "invoice.run.bulk.mixin"]

    def _get_dummy_key(self, name, value):
        """Documents of one currency are alike."""
        if name == "document_id":
            return "currency_id", self.env["invoice.run.document"].browse(value).currency_id.id
        return super()._get_dummy_key(name, value)

    def _get_tax_key(self):
        """Return what the tax engine knows of this amount, see ``_prepare_base_line``."""
        numbers = self.price_unit, self.quantity, self.discount
        extra = repr(self.extra_tax_data or {})
        return (*numbers, self.product_id.id, self.product_uom_id.id, self.tax_ids._ids, extra)

    def _get_plain_numbers(self, sign):
        """Return what :mod:`plain_taxes` computes with, or None: the tax engine is needed.

        :param sign: see ``_prepare_base_line``
        """
        taxes = self.tax_ids
        percents = remember(self.env, ("percents", taxes._ids), lambda: get_percents(taxes))
        if percents is None or self.extra_tax_data:
            return None
        return Numbers(self.price_unit, sign * self.quantity, self.discount, percents)
