from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import float_compare

from .sale_order_source import get_command_ids

#: What of an order line was approved, and must be on the invoice.
APPROVED_VALUES = ("quantity", "price_unit", "discount")


class InvoiceRunLine(models.Model):
    """Amounts of sale orders: claimed until the invoice exists, and approved to the coin."""

    _inherit = "invoice.run.line"

    sale_order_id = fields.Many2one(
        "sale.order", "Sales Order", index="btree_not_null", ondelete="restrict"
    )
    sale_line_id = fields.Many2one(
        "sale.order.line",
        "Order Line",
        index="btree_not_null",
        # Sales deletes the line of a down payment together with its draft invoice
        ondelete="set null",
    )

    _sale_line_claimed_once = models.UniqueIndex(
        "(sale_line_id) WHERE is_claimed AND sale_line_id IS NOT NULL",
        "This order line is claimed by another run.",
    )
    _product_or_order = models.Constraint(
        "CHECK (product_id IS NOT NULL OR sale_order_id IS NOT NULL)",
        "An amount needs a product.",
    )

    def _get_order_differences(self, invoice_lines):
        """Return in what ``invoice_lines`` are not these approved amounts, in words.

        :param invoice_lines: (order line id, values of the invoice line), in order
        """
        seen = set()
        line_ids = []
        for line_id, _vals in invoice_lines:
            line_ids.append(line_id not in seen and line_id)
            seen.add(line_id)
        if line_ids != [amount.sale_line_id.id for amount in self]:
            return [
                self.env._(
                    "%(orders)s: the lines to invoice are not those that were approved: the "
                    "order was changed or invoiced in Sales since. Press “Recalculate Changed”.",
                    orders=", ".join(self.sale_order_id.mapped("name")),
                )
            ]
        pairs = zip(self, invoice_lines, strict=True)
        return list(filter(None, (amount._get_change_error(vals) for amount, (_id, vals) in pairs)))

    def _get_change_error(self, vals):
        """Return in what the invoice line ``vals`` is not this approved amount, or nothing."""
        self.ensure_one()
        same = all(
            float_compare(self[name], vals.get(name) or 0.0, precision_digits=6) == 0
            for name in APPROVED_VALUES
        )
        same &= self.product_id.id == (vals.get("product_id") or False)
        same &= sorted(self.tax_ids.ids) == sorted(get_command_ids(vals.get("tax_ids")))
        if same:
            return None
        return self.env._(
            "%(order)s, “%(line)s”: %(approved)s × %(price)s was approved, %(now)s × %(new)s "
            "would be invoiced now. Press “Recalculate Changed”.",
            order=self.sale_order_id.name,
            line=self.product_id.display_name or self.name,
            approved=self.quantity,
            price=self.price_unit,
            now=vals.get("quantity"),
            new=vals.get("price_unit"),
        )


class InvoiceRunDocument(models.Model):
    """Documents of sale orders: their invoices are created by Sales."""

    _inherit = "invoice.run.document"

    sale_order_ids = fields.Many2many(
        "sale.order", string="Sales Orders", compute="_compute_sale_order_ids"
    )

    @api.depends("line_ids.sale_order_id")
    def _compute_sale_order_ids(self):
        for document in self:
            document.sale_order_ids = document.line_ids.sale_order_id

    def _complete_order_vals(self, vals):
        """Complete what Sales prepared for the invoice of this document.

        :raises UserError: it is not what was approved
        """
        lines = [
            (next(iter(get_command_ids(line.get("sale_line_ids"))), False), line)
            for _command, _id, line in vals["invoice_line_ids"]
            if line.get("display_type", "product") == "product"
        ]
        errors = self.line_ids._get_order_differences(lines)
        if errors:
            raise UserError("\n".join(errors))
        for amount, (_line_id, line) in zip(self.line_ids, lines, strict=True):
            line["invoice_run_line_id"] = amount.id
        vals.update(self._prepare_header_vals())
