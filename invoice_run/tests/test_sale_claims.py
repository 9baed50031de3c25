from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import freeze_time, tagged

from .sale_common import SaleRunCommon


@freeze_time("2024-01-31 09:00:00")
@tagged("post_install", "-at_install")
class TestSaleClaims(SaleRunCommon):
    """Nothing of an order is invoiced twice, whoever invoices it."""

    def test_held_by_another_run(self):
        order = self._make_order()
        first = self._make_sale_amounts()
        second = self._make_sale_amounts()
        self.assertFalse(second.document_ids)
        self.assertEqual(second.exception_ids.code, "held")
        self.assertEqual(second.exception_ids.sale_order_id, order)
        self.assertIn(first.reference, second.exception_ids.message)
        second.exception_ids.with_user(self.user).action_release()
        self.assertEqual(first.document_ids.state, "released")
        self._make_amounts(second)
        self._make_invoices(second)
        self.assertEqual(order.invoice_count, 1)

    def test_order_with_further_lines_is_held_as_a_whole(self):
        order = self._make_order([{}, {"product_id": self.delivered.id}])
        self._make_sale_amounts()
        order.order_line[1].qty_delivered = 1.0
        second = self._make_sale_amounts()
        self.assertFalse(second.document_ids)
        self.assertEqual(second.exception_ids.mapped("code"), ["held"])

    def test_database_refuses_a_second_claim(self):
        self._make_order()
        line = self._make_sale_amounts().line_ids
        again = line.sudo().copy({"is_claimed": False})
        with self.assertRaisesRegex(UserError, line.run_id.reference):
            again._claim()

    def test_claim_ends_with_the_invoice(self):
        self._make_order()
        run = self._make_sale_amounts()
        self.assertEqual(run.line_ids.mapped("is_claimed"), [True])
        self._make_invoices(run)
        self.assertEqual(run.line_ids.mapped("is_claimed"), [False])
        self.assertEqual(run.document_ids.state, "invoiced")

    def test_invoiced_in_sales_meanwhile(self):
        order = self._make_order()
        other = self._make_order()
        run = self._make_sale_amounts()
        self._invoice_by_hand(order)
        document = run.document_ids.filtered(lambda doc: doc.sale_order_ids == order)
        self.assertTrue(document.is_stale)
        self._make_invoices(run)
        self.assertEqual(document.state, "failed")
        self.assertEqual((order.invoice_count, other.invoice_count), (1, 1))
        run.with_user(self.user).action_renew_stale()
        run._process_queue()
        self.assertEqual(run.document_ids.sale_order_ids, other)

    def test_delivered_more_meanwhile(self):
        order = self._make_order([{"product_id": self.delivered.id, "product_uom_qty": 8.0}])
        order.order_line.qty_delivered = 3.0
        run = self._make_sale_amounts()
        # as stock does: by computation, without writing the field
        order.order_line._write({"qty_delivered": 5.0})
        order.order_line.invalidate_recordset()
        self.env.add_to_compute(order.order_line._fields["qty_to_invoice"], order.order_line)
        self.assertFalse(run.document_ids.is_stale)
        self._make_invoices(run)
        document = run.document_ids
        self.assertEqual(document.state, "failed")
        self.assertIn(f"{order.name}, “Hours”: 3.0 × 50.0 was approved, 5.0", document.error)
        self.assertTrue(document.is_stale, "it can be recalculated with a button")
        self.assertFalse(order.invoice_count)
        run.with_user(self.user).action_renew_stale()
        run._process_queue()
        self.assertEqual(run.document_ids.amount_untaxed, 250.0)
        self._make_invoices(run)
        self.assertEqual(order.invoice_ids.amount_untaxed, 250.0)

    def test_changes_outdate_the_amounts(self):
        changes = [
            lambda order: order.order_line.write({"price_unit": 11.0}),
            lambda order: order.order_line.write({"product_uom_qty": 3.0}),
            lambda order: order.order_line.write({"tax_ids": [Command.set(self.tax.ids)]}),
            lambda order: order.write({"order_line": [self._prepare_line({})]}),
            lambda order: order.write({"partner_invoice_id": self._make_partner("Other").id}),
            lambda order: self._make_down_payment(order, post=False),
            lambda order: order.write({"state": "draft"}),
            # as a form or an import writes it: when the lines are written the state is another one
            lambda order: order.write(
                {
                    "order_line": [Command.update(order.order_line[0].id, {"price_unit": 12.0})],
                    "state": "sent",
                }
            ),
        ]
        for change in changes:
            order = self._make_order([{}, {}])
            run = self._make_sale_amounts()
            self.assertFalse(run.document_ids.is_stale)
            order.write({"client_order_ref": "unimportant"})
            self.assertFalse(run.document_ids.is_stale)
            change(order)
            self.assertTrue(run.document_ids.is_stale)
            run.with_user(self.user).action_cancel()
            order._action_cancel()

    def test_order_that_was_taken_back_stays_outdated(self):
        """Changes of a quotation ask for no amounts: those of its time as an order are outdated."""
        order = self._make_order([{}, {}])
        run = self._make_sale_amounts()
        order._action_cancel()
        order.action_draft()
        self.assertTrue(run.document_ids.is_stale)
        order.order_line[0].price_unit = 12.0
        order.action_confirm()
        self.assertTrue(run.document_ids.is_stale)
        self.assertTrue(all(run.line_ids.mapped("is_stale")))
        run.with_user(self.user).action_renew_stale()
        run._process_queue()
        self.assertEqual(run.document_ids.amount_untaxed, 12.0 * 2 + 10.0 * 2)

    def test_cancelled_order_is_not_invoiced(self):
        order = self._make_order()
        run = self._make_sale_amounts()
        order._action_cancel()
        self._make_invoices(run)
        self.assertEqual(run.document_ids.state, "failed")
        self.assertIn("is no longer confirmed", run.document_ids.error)

    def test_failed_order_stops_no_others(self):
        orders = self.env["sale.order"].union(*(self._make_order() for _number in range(3)))
        run = self._make_sale_amounts()
        # not seen as changed, so found only when the invoice is made
        self.env.cr.execute(
            "UPDATE sale_order_line SET price_unit = 99 WHERE order_id = %s", [orders[1].id]
        )
        self.env.invalidate_all()
        self._make_invoices(run)
        self.assertEqual(run.document_ids.mapped("state"), ["invoiced", "failed", "invoiced"])
        self.assertFalse(orders[1].invoice_count)

    def test_deleted_draft_is_due_again(self):
        self.sale_scenario.invoice_state = "draft"
        order = self._make_order()
        run = self._run_sale()
        run.document_ids.move_id.unlink()
        self.assertEqual(run.document_ids.state, "released")
        self.assertEqual(order.invoice_status, "to invoice")
        self.assertEqual(len(self._run_sale().document_ids.move_id), 1)
        self.assertEqual(order.invoice_count, 1)

    def test_cancelled_run_gives_the_orders_back(self):
        self.sale_scenario.invoice_state = "draft"
        order = self._make_order()
        run = self._run_sale()
        run.with_user(self.user).action_cancel()
        self.assertFalse(order.invoice_count)
        self.assertEqual(len(self._run_sale().document_ids.move_id), 1)

    def test_credited_follows_the_invoiced_quantities(self):
        order = self._make_order()
        run = self._run_sale()
        move = run.document_ids.move_id
        wizard = (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=move.ids)
            .create({"journal_id": move.journal_id.id})
        )
        self.assertFalse(wizard.has_billed_periods, "Odoo's own rule decides")
        wizard.refund_moves()
        self.assertEqual(order.invoice_status, "to invoice")
        wizard.new_move_ids.action_post()
        self.assertEqual(run.document_ids.state, "invoiced")
        again = self._run_sale()
        self.assertEqual(again.document_ids.amount_untaxed, 20.0)
        self.assertEqual(order.order_line.qty_invoiced, 2.0)
        self.assertFalse(self._run_sale().document_ids)

    def test_reversed_run(self):
        order = self._make_order()
        run = self._run_sale()
        run.with_user(self.user).action_reverse()
        self.assertEqual(order.invoice_status, "to invoice")
        self.assertEqual(run.line_ids.document_id.state, "released")
        self._run_sale()
        self.assertEqual((order.invoice_status, order.invoice_count), ("invoiced", 3))

    def test_order_that_was_billed_cannot_be_deleted(self):
        order = self._make_order()
        self._make_sale_amounts()
        order._action_cancel()
        with self.assertRaisesRegex(UserError, "invoiced by an invoice run"):
            order.unlink()

    def test_amounts_are_excluded_by_the_order(self):
        self.debtor.allow_invoice_grouping = True
        first, second = self._make_order([{}, {}]), self._make_order([{}, {}])
        run = self._make_sale_amounts()
        run.line_ids[0].with_user(self.user).action_exclude()
        kept = run.document_ids.filtered(lambda document: document.state == "to_do")
        self.assertEqual(kept.sale_order_ids, second)
        self._make_invoices(run)
        self.assertEqual((first.invoice_count, second.invoice_count), (0, 1))
        self.assertEqual(self._run_sale().document_ids.sale_order_ids, first)

    def test_amounts_that_were_invoiced_meanwhile_are_included_in_vain(self):
        self.debtor.allow_invoice_grouping = True
        first, _second = self._make_order(), self._make_order()
        run = self._make_sale_amounts()
        amount = run.line_ids.filtered(lambda line: line.sale_order_id == first)
        amount.with_user(self.user).action_exclude()
        self._invoice_by_hand(first)
        amount.with_user(self.user).action_include()
        self._make_invoices(run)
        self.assertEqual(run.document_ids.state, "failed")
        self.assertEqual(first.invoice_count, 1)

    def test_extension_that_makes_two_invoice_lines_of_one(self):
        cls = self.env.registry["sale.order.line"]
        original = cls._prepare_invoice_lines_vals_list

        def split(line, **optional_values):
            (vals,) = original(line, **optional_values)
            half = {**vals, "quantity": vals["quantity"] / 2}
            return [half, {**half, "sale_line_ids": vals["sale_line_ids"]}]

        self.patch(cls, "_prepare_invoice_lines_vals_list", split)
        order = self._make_order()
        run = self._run_sale()
        self.assertEqual(run.document_ids.state, "invoiced", run.document_ids.error)
        self.assertEqual(len(order.invoice_ids.invoice_line_ids), 2)
        self.assertEqual(order.order_line.qty_invoiced, 2.0)
