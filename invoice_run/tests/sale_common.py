from odoo.fields import Command, Date

from .common import InvoiceRunCommon

#: Of two invoices that are twins: what names them or tells when they were written.
OWN_OF_EACH = {
    "access_token",
    "billing_category_id",
    "billing_title",
    "create_date",
    "create_uid",
    "display_name",
    "id",
    "inalterable_hash",
    "invoice_run_document_id",
    "invoice_run_id",
    "invoice_run_line_id",
    "made_sequence_gap",
    "matching_number",
    "move_id",
    "move_name",
    "name",
    "payment_reference",
    "parent_id",
    "posted_before",
    "secure_sequence_number",
    "sequence",
    "sequence_number",
    "sequence_prefix",
    "write_date",
    "write_uid",
}


class SaleRunCommon(InvoiceRunCommon):
    """Helpers that create confirmed orders, and compare with what Sales itself would invoice."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sale_scenario = cls._make_scenario("All orders", source="sale")
        cls.goods = cls._make_product("Goods", 10.0, invoice_policy="order")
        cls.delivered = cls._make_product("Hours", 50.0, invoice_policy="delivery")
        cls.tax = cls.company_data["default_tax_sale"]

    @classmethod
    def get_default_groups(cls):
        # fixtures only: salespeople create the orders
        groups = super().get_default_groups()
        return groups | cls.env.ref("sales_team.group_sale_manager")

    @classmethod
    def _make_order(cls, lines=None, confirm=True, **vals):
        """Create a confirmed order; ``lines`` are values, default two pieces at 10."""
        vals.setdefault("partner_id", cls.debtor.id)
        vals.setdefault("company_id", cls.company.id)
        order = cls.env["sale.order"].create(
            {**vals, "order_line": [cls._prepare_line(line) for line in lines or [{}]]}
        )
        if confirm:
            order.action_confirm()
            order.date_order = vals.get("date_order", "2024-01-10 12:00:00")
        return order

    @classmethod
    def _prepare_line(cls, line):
        if line.get("display_type"):
            return Command.create({"product_id": False, "product_uom_qty": 0, **line})
        defaults = {"product_id": cls.goods.id, "product_uom_qty": 2.0, "tax_ids": []}
        return Command.create({**defaults, **line})

    @classmethod
    def _make_twin(cls, order):
        """Create an order like ``order``, in the same state."""
        twin = order.copy({"client_order_ref": order.client_order_ref})
        twin.action_confirm()
        twin.date_order = order.date_order
        for mine, its in zip(order.order_line, twin.order_line, strict=True):
            if mine.product_id.invoice_policy == "delivery":
                its.qty_delivered = mine.qty_delivered
        return twin

    @classmethod
    def _make_down_payment(cls, order, method="percentage", amount=30.0, post=True):
        """Invoice a down payment as Sales does; return its invoice."""
        field = "amount" if method == "percentage" else "fixed_amount"
        wizard = cls.env["sale.advance.payment.inv"].create(
            {
                "sale_order_ids": [Command.set(order.ids)],
                "advance_payment_method": method,
                field: amount,
            }
        )
        move = wizard._create_invoices(order)
        if post:
            move.invoice_date = "2024-01-11"
            move.action_post()
        return move

    def _invoice_by_hand(self, orders, **kwargs):
        """Invoice ``orders`` today as Sales does; return the confirmed invoices."""
        moves = orders._create_invoices(final=True, **kwargs)
        moves.action_post()
        return moves

    def _run_sale(self, invoice_date="2024-01-31", **vals):
        return self._run_all(invoice_date, self.sale_scenario, **vals)

    def _make_sale_amounts(self, invoice_date="2024-01-31", **vals):
        return self._make_amounts(self._make_run(invoice_date, self.sale_scenario, **vals))

    def assertTwins(self, move, twin, names=None):
        """Compare all stored fields of two invoices and of their items.

        :param names: {name of the first's order: name of the second's}, which both show
        """
        names = names or {}
        self.assertEqual(self._get_stored(move, names), self._get_stored(twin, {}))
        mine, its = self._get_items(move), self._get_items(twin)
        self.assertEqual(
            [self._get_stored(line, names) for line in mine],
            [self._get_stored(line, {}) for line in its],
        )
        for line, other in zip(mine, its, strict=True):
            self.assertEqual(
                line.sale_line_ids.mapped("sequence"), other.sale_line_ids.mapped("sequence")
            )

    def _get_items(self, move):
        order = {"product": 0, "line_section": 0, "line_subsection": 0, "line_note": 0}
        return move.line_ids.sorted(
            lambda line: (order.get(line.display_type, 1), line.sequence, line.id)
        )

    def _get_stored(self, record, names):
        """Return {field: value} of all stored fields that two equal records share."""
        result = {}
        for name, field in record._fields.items():
            if not field.store or not field.column_type or name in OWN_OF_EACH:
                continue
            result[name] = self._get_comparable(record[name], names)
        return {**result, **self._get_links(record)}

    def _get_comparable(self, value, names):
        if isinstance(value, dict):  # the key names the down payment that it is from
            return {key: item for key, item in value.items() if key != "computation_key"}
        if isinstance(value, str):
            for mine, its in names.items():
                value = value.replace(mine, its)
        return value

    def _get_links(self, record):
        if record._name != "account.move.line":
            return {"transaction_ids": record.transaction_ids.ids}
        return {"tax_ids": record.tax_ids.ids, "tag_ids": record.tax_tag_ids.ids}

    def _day(self, text):
        return Date.to_date(text)
