from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import float_compare

from .sale_order_invoicing import RUN_DOCUMENTS, RunDocuments
from .sale_order_source import get_command_ids

#: What of an order line was approved, and must be on the invoice.
APPROVED_VALUES = ("quantity", "price_unit", "discount")


class InvoiceRunLine(models.Model):
    """Amounts of sale orders.

    They are claimed until the invoice exists; then Odoo's invoiced quantities say what is left
    to invoice, so a line that is delivered in parts is billed in parts.
    """

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
    extra_tax_data = fields.Json(help="Taxes of a down payment, as Odoo keeps them.")

    _sale_line_claimed_once = models.UniqueIndex(
        "(sale_line_id) WHERE is_claimed AND sale_line_id IS NOT NULL",
        "This order line is claimed by another run.",
    )
    _product_or_order = models.Constraint(
        "CHECK (product_id IS NOT NULL OR sale_order_id IS NOT NULL)",
        "An amount needs a product.",
    )

    @api.model
    def _get_claim_fields(self):
        # EXTENDS 'invoice_run'
        return [*super()._get_claim_fields(), "sale_line_id"]

    def _get_extra_tax_data(self, sign):
        # EXTENDS 'invoice_run'
        if sign > 0:
            return self.extra_tax_data
        reverse = self.env["account.tax"]._reverse_quantity_base_line_extra_tax_data
        return reverse(self.extra_tax_data)

    def _get_source_record(self):
        # EXTENDS 'invoice_run'
        return self.sale_order_id or super()._get_source_record()

    def _is_in_force(self):
        # EXTENDS 'invoice_run': no claim is held any more once there is an invoice
        return self._is_billed() if self.sale_order_id else super()._is_in_force()

    def _sync_claims(self):
        # EXTENDS 'invoice_run': what is left of an order follows from its invoiced quantities
        sale = self.filtered("sale_order_id")
        sale.document_id._sync_state()
        return super(InvoiceRunLine, self - sale)._sync_claims()

    def _get_conflict_domain(self, until=None):
        # EXTENDS 'invoice_run'
        if self.sale_order_id:
            return [("sale_line_id", "=", self.sale_line_id.id), ("sale_line_id", "!=", False)]
        return super()._get_conflict_domain(until)

    def action_exclude(self):
        # EXTENDS 'invoice_run'
        return super(InvoiceRunLine, self._with_whole_orders()).action_exclude()

    def action_include(self):
        # EXTENDS 'invoice_run'
        return super(InvoiceRunLine, self._with_whole_orders()).action_include()

    def _with_whole_orders(self):
        """Return these amounts with all others of their orders: an order is billed as a whole.

        So its down payments are deducted from what they were paid for.
        """
        orders = self.sale_order_id
        return self | self.document_id.line_ids.filtered(lambda line: line.sale_order_id in orders)

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
    """Documents of sale orders: their invoices are made by Sales."""

    _inherit = "invoice.run.document"

    sale_order_ids = fields.Many2many(
        "sale.order", string="Sales Orders", compute="_compute_sale_order_ids"
    )

    @api.depends("line_ids.sale_order_id")
    def _compute_sale_order_ids(self):
        for document in self:
            document.sale_order_ids = document.line_ids.sale_order_id

    def _get_source_names(self):
        # EXTENDS 'invoice_run'
        return super()._get_source_names() + self.line_ids.sale_order_id.mapped("name")

    def _is_nothing(self):
        # EXTENDS 'invoice_run': only an invoice settles an order, be it one over nothing
        return super()._is_nothing() and not self.line_ids.sale_order_id

    def _update_comparison(self):
        # EXTENDS 'invoice_run': what a customer orders need not resemble what he ordered before
        recurring = self.filtered(lambda document: not document.line_ids.sale_order_id)
        return super(InvoiceRunDocument, recurring)._update_comparison()

    def _get_limit_key(self):
        # EXTENDS 'invoice_run': what Sales keeps apart is never merged
        order = self.line_ids.sale_order_id[:1]
        vals = order._with_invoice_context()._prepare_invoice() if order else {}
        keys = order._get_invoice_grouping_keys()
        return (*super()._get_limit_key(), *(vals.get(key) for key in keys))

    # ------------------------------------------------------------------
    # Before the invoice
    # ------------------------------------------------------------------

    def _get_change_errors(self):
        # EXTENDS 'invoice_run'
        errors = super()._get_change_errors()
        for order in self.line_ids.sale_order_id:
            errors += self._get_order_change_errors(order)
        return errors

    def _get_order_change_errors(self, order):
        """Return why ``order`` cannot be invoiced any more as it was approved."""
        if order.state != "sale":
            return [self.env._("%(order)s is no longer confirmed.", order=order.name)]
        lines = order._with_invoice_context()._get_run_invoice_lines()
        amounts = self.line_ids.filtered(lambda amount: amount.sale_order_id == order)
        return amounts._get_order_differences([(line.id, vals) for line, vals in lines])

    def _detect_stale_orders(self):
        """Mark those of these documents whose orders changed in a way that nobody wrote down.

        Deliveries and invoices change quantities by computation.
        """
        domain = [("document_id", "in", self.ids), ("sale_order_id", "!=", False)]
        lines = self.env["invoice.run.line"].search([*domain, ("is_stale", "=", False)])
        for document in lines.document_id:
            if document._get_change_errors():
                document.line_ids.write({"is_stale": True})
                document.is_stale = True

    # ------------------------------------------------------------------
    # Invoice
    # ------------------------------------------------------------------

    def _create_moves(self):
        # EXTENDS 'invoice_run': from now on the invoiced quantities hold what was claimed
        result = super()._create_moves()
        self.line_ids.filtered("sale_order_id")._release()
        return result

    def _create_account_moves(self):
        # EXTENDS 'invoice_run'
        with_orders = self.filtered(lambda document: document.line_ids.sale_order_id)
        if not with_orders:
            return super()._create_account_moves()
        others = self - with_orders
        moves = super(InvoiceRunDocument, others)._create_account_moves()
        by_document = dict(zip(others.ids, moves, strict=True))
        by_document |= {
            move.invoice_run_document_id.id: move for move in with_orders._create_order_moves()
        }
        return moves.union(*(by_document[document.id] for document in self))

    def _create_order_moves(self):
        """Have Sales invoice the orders of these documents; return the draft invoices."""
        documents = RunDocuments(
            (order.id, document.id)
            for document in self
            for order in document.line_ids.sale_order_id
        )
        orders = self.env["sale.order"].browse(documents)
        moves = orders.with_context(**{RUN_DOCUMENTS: documents})._create_invoices(final=True)
        return moves.with_env(self.env)

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
