from odoo import models


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
