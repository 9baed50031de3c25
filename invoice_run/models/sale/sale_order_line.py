from odoo import api, models


class SaleOrderLine(models.Model):
    """A change of an order outdates the amounts that a run created from it."""

    _name = "sale.order.line"
    _inherit = ["sale.order.line", "invoice.run.stale.mixin"]
    _prepares_runs = True

    @api.model_create_multi
    def create(self, vals_list):
        lines = super().create(vals_list)
        lines._mark_order_stale()
        return lines

    def unlink(self):
        # before, because no amount knows a deleted line
        self._mark_order_stale()
        return super().unlink()

    def _mark_order_stale(self):
        lines = self._filtered_in_amounts()
        self.env["invoice.run.line"]._mark_stale(lines._get_stale_domain())

    def _filtered_in_amounts(self):
        # EXTENDS 'invoice.run.stale.mixin'
        orders = self.order_id._filtered_in_amounts()
        return self.filtered(lambda line: line.order_id in orders)

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {
            "discount",
            "extra_tax_data",
            "name",
            "price_unit",
            "product_id",
            "product_uom_id",
            "product_uom_qty",
            "qty_delivered",
            "tax_ids",
        }

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin': the lines of an order are invoiced together
        return self.order_id._get_stale_domain()
