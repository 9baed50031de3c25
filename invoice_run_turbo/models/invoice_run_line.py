from odoo import models


class InvoiceRunLine(models.Model):
    _name = "invoice.run.line"
    _inherit = ["invoice.run.line", "invoice.run.bulk.mixin"]

    def _get_dummy_key(self, name, value):
        """Documents of one currency are alike."""
        if name == "document_id":
            return "currency_id", self.env["invoice.run.document"].browse(value).currency_id.id
        return super()._get_dummy_key(name, value)
