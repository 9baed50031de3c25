import sys
from pathlib import Path

from odoo import fields
from odoo.fields import Command
from odoo.sql_db import Cursor
from odoo.tests import tagged

from .common import InvoiceRunCommon

ADDON = str(Path(__file__).parent.parent)
TESTS = str(Path(__file__).parent)


def find_own_frame(frame):
    """Return which method of this addon asks the query that is being carried out, or None.

    One that hands a call on by ``super()``, as an override of ``write`` does, asks nothing itself.
    """
    inner = []
    while frame:
        code = frame.f_code
        is_handed_on = code.co_name in inner
        if code.co_filename.startswith(ADDON) and not is_handed_on:
            is_test = code.co_filename.startswith(TESTS)
            return None if is_test else f"{Path(code.co_filename).stem}.{code.co_name}"
        inner.append(code.co_name)
        frame = frame.f_back
    return None


@tagged("post_install", "-at_install")
class TestPlainFlows(InvoiceRunCommon):
    """What Odoo does without any run costs no queries of this addon.

    A changed order costs two, a quotation one.
    """

    def setUp(self):
        super().setUp()
        groups = "account.group_account_invoice,sales_team.group_sale_manager"
        self.clerk = self._make_user("clerk", groups)
        self.tax = self.tax_sale_a
        self.own = []
        execute = Cursor.execute

        def counted(cursor, *args, **kwargs):
            if found := find_own_frame(sys._getframe(1)):
                self.own.append(found)
            return execute(cursor, *args, **kwargs)

        self.patch(Cursor, "execute", counted)

    def assertCosts(self, work, move=None, expected=()):
        """Carry out ``work`` as at the begin of a request; return what it returned.

        :param move: what it is about. Fields of moves and items that Odoo reads in any case are
            read before: the first one that asks for them is not the one that costs a query.
        :param expected: the methods of this addon that ask queries, in order
        """
        self.env.cr.flush()
        self.env.invalidate_all()
        if move:
            move.mapped("state")
            move.line_ids.mapped("parent_state")
        self.own.clear()
        result = work()
        # as at the end of a request
        self.env.cr.flush()
        with self.subTest(getattr(work, "__name__", None)):
            self.assertEqual(self.own, list(expected))
        return result

    def _create_invoice(self):
        lines = [{"product_id": self.product.id, "price_unit": price} for price in (10.0, 20.0)]
        vals = {
            "move_type": "out_invoice",
            "partner_id": self.debtor.id,
            "invoice_date": "2024-01-15",
            "invoice_line_ids": [
                Command.create({**line, "tax_ids": [Command.set(self.tax.ids)]}) for line in lines
            ],
        }
        return self.env["account.move"].with_user(self.clerk).create(vals)

    def _pay(self, move):
        wizard = self.env["account.payment.register"].with_user(self.clerk)
        wizard = wizard.with_context(active_model="account.move", active_ids=move.ids)
        return wizard.create({"payment_date": "2024-01-20"})._create_payments()

    def _reverse(self, move):
        wizard = self.env["account.move.reversal"].with_user(self.clerk)
        wizard = wizard.with_context(active_model="account.move", active_ids=move.ids)
        wizard = wizard.create({"journal_id": move.journal_id.id, "date": "2024-01-20"})
        wizard.reverse_moves()
        return wizard.new_move_ids

    def test_the_count_sees_own_queries(self):
        run = self._make_run("2024-01-15")
        self.own.clear()
        run._get_open_payers()
        self.assertTrue(self.own)

    def test_an_invoice_from_the_first_line_to_the_payment(self):
        move = self.assertCosts(self._create_invoice)
        self.assertCosts(lambda: move.invoice_line_ids[0].write({"quantity": 3.0}), move)
        self.assertCosts(lambda: move.invoice_line_ids[1].unlink(), move)
        self.assertCosts(move.action_post, move)
        self.assertCosts(move.button_draft, move)
        self.assertCosts(move.action_post, move)
        payment = self.assertCosts(lambda: self._pay(move), move)
        self.assertTrue(payment)
        self.assertIn(move.payment_state, ("paid", "in_payment"))

    def test_an_invoice_that_is_given_up(self):
        move = self._create_invoice()
        self.assertCosts(move.button_cancel, move)
        other = self._create_invoice()
        self.assertCosts(other.unlink, other)

    def test_a_reversal(self):
        move = self._create_invoice()
        move.action_post()
        credit = self.assertCosts(lambda: self._reverse(move), move)
        # whether what it reverses is of a run
        self.assertCosts(credit.action_post, credit, ["account_move._get_lines_of_runs"])
        self.assertEqual(credit.state, "posted")

    def test_a_journal_entry(self):
        accounts = self.company_data["default_account_revenue"].ids * 2
        lines = zip(accounts, (5.0, -5.0), strict=True)
        vals = {
            "move_type": "entry",
            "date": "2024-01-15",
            "line_ids": [
                Command.create({"account_id": account, "balance": balance})
                for account, balance in lines
            ],
        }
        entry = self.assertCosts(lambda: self.env["account.move"].create(vals))
        self.assertCosts(entry.action_post, entry)

    def test_a_sale_order(self):
        vals = {
            "partner_id": self.debtor.id,
            "date_order": fields.Datetime.now(),
            "order_line": [Command.create({"product_id": self.product.id})],
        }
        orders = self.env["sale.order"].with_user(self.clerk)
        # four eyes note whoever prepares what runs bill; amounts of the order may be open
        note, stale = "billing_change._write_noted", "sale_order._get_stale_domain"
        order = self.assertCosts(lambda: orders.create(vals), expected=[note])
        line = Command.update(order.order_line.id, {"product_uom_qty": 3.0})
        lines = {"order_line": [line, Command.create({"product_id": self.product.id})]}
        # a quotation is in no run
        self.assertCosts(lambda: order.write(lines), expected=[note])
        self.assertCosts(order.action_confirm, expected=[note])
        self.assertCosts(lambda: order.write(lines), expected=[stale, note])
        move = self.assertCosts(order._create_invoices, expected=[stale])
        self.assertCosts(move.action_post, move)

    def test_new_companies(self):
        # scenarios, rules, external ids; users' own defaults of the first two; the system user
        expected = ["billing_scenario_default._load_default_scenarios"] * 6
        create = self.env["res.company"].create
        self.assertCosts(lambda: create([{"name": "One"}]), expected=expected)
        self.assertCosts(lambda: create([{"name": "Two"}, {"name": "Three"}]), expected=expected)

    def test_a_pricelist(self):
        vals = {"name": "Friends", "item_ids": [Command.create({"fixed_price": 5.0})]}
        looked_up = "product_pricelist._get_stale_domain"
        pricelist = self.assertCosts(
            lambda: self.env["product.pricelist"].create(vals), expected=[looked_up] * 2
        )

        def put_last():
            pricelist.write({"sequence": pricelist.sequence + 1})

        self.assertCosts(put_last, expected=[looked_up] * 2)

    def test_a_customer(self):
        stale = "invoice_run_stale._mark_stale"
        partners = self.env["res.partner"]
        customer = self.assertCosts(lambda: partners.create({"name": "New", "vat": "1"}))

        def rename():
            customer.write({"name": f"{customer.name} Ltd."})

        # the first of them writes what Odoo has pending anyway
        self.assertCosts(rename, expected=[stale] * 2)
        vals = {"name": "Dep.", "parent_id": customer.id}
        # whether the customer's pricelist, which Odoo writes, is another one
        written = [*[stale] * 2, *["values.is_other_value"] * 2]
        self.assertCosts(lambda: partners.create(vals), expected=written)
        vals["type"] = "invoice"
        self.assertCosts(lambda: partners.create(vals), expected=[*written, stale])

    def test_what_taxes_and_products_ask_behind_our_back(self):
        """Odoo looks for price lines to compute, where a computed field names taxes or products."""
        hidden = []
        execute = Cursor.execute

        def listened(cursor, query, *args, **kwargs):
            text = str(getattr(query, "code", query))
            if 'FROM "billing_' in text and not find_own_frame(sys._getframe(1)):
                hidden.append(text)
            return execute(cursor, query, *args, **kwargs)

        self.patch(Cursor, "execute", listened)
        tax = self.env["account.tax"].create({"name": "Plain", "amount": 19.0})
        tax.amount = 20.0
        self.product.taxes_id = tax
        move = self._create_invoice()
        move.action_post()
        self.env.flush_all()
        self.assertEqual(hidden, [])
