from odoo import api, models


class InvoiceRunStaleMixin(models.AbstractModel):
    """Marks amounts as outdated when a field changes that they were made from."""

    _name = "invoice.run.stale.mixin"
    _description = "Record That Amounts Are Made From"

    @api.model
    def _get_stale_fields(self):
        """Return the names of the fields that amounts and their documents are made from."""
        raise NotImplementedError

    def _get_stale_domain(self):
        """Return the amounts that are made from these records."""
        raise NotImplementedError

    def write(self, vals):
        result = super().write(vals)
        if self and self._get_stale_fields().intersection(vals):
            self.env["invoice.run.line"]._mark_stale(self._get_stale_domain())
        return result
