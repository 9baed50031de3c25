from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.tests import freeze_time, tagged
from odoo.tools import SQL

from .sale_common import SaleRunCommon


@freeze_time("2024-01-31 09:00:00")
@tagged("post_install", "-at_install")
class TestSaleGrouping(SaleRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.grouper = cls._make_partner("Grouper", allow_invoice_grouping=True)

    def _make_orders(self, number, **vals):
        return self.env["sale.order"].union(
            *(self._make_order([{"price_unit": 1.0 + index}], **vals) for index in range(number))
        )

    def test_one_invoice_per_order(self):
        self._make_orders(2)
        self.assertEqual(len(self._run_sale().document_ids.move_id), 2)

    def test_one_invoice_per_partner_as_sales_groups(self):
        section = {"display_type": "line_section", "name": "Work"}
        orders = self.env["sale.order"].union(
            *(
                self._make_order(
                    [section, {"price_unit": price, "tax_ids": self.tax.ids}],
                    partner_id=self.grouper.id,
                    client_order_ref="One for all",
                )
                for price in (3.33, 4.44, 5.55)
            )
        )
        twins = self.env["sale.order"].union(*(self._make_twin(order) for order in orders))
        twin_move = self._invoice_by_hand(twins)
        move = self._run_sale().document_ids.move_id
        self.assertEqual(len(move), 1)
        # Sales lists the orders in no order
        self.assertEqual(set(move.invoice_origin.split(", ")), set(orders.mapped("name")))
        self.env.cr.execute("UPDATE account_move SET invoice_origin = NULL")
        self.env.invalidate_all()
        self.assertTwins(move, twin_move)
        self.assertEqual(set(orders.mapped("invoice_status")), {"invoiced"})
        self.assertEqual(move.invoice_line_ids.sale_line_ids.order_id, orders)

    def test_addresses_of_delivery_do_not_mix(self):
        self._make_orders(2, partner_id=self.grouper.id)
        site = self._make_partner("Site", parent_id=self.grouper.id, type="delivery")
        self._make_orders(1, partner_id=self.grouper.id, partner_shipping_id=site.id)
        moves = self._run_sale().document_ids.move_id
        self.assertEqual(sorted(moves.mapped("amount_untaxed")), [2.0, 6.0])
        self.assertEqual(set(moves.partner_shipping_id), {self.grouper, site})

    def test_terms_do_not_mix_unless_collective(self):
        term = self.env.ref("account.account_payment_term_30days")
        self._make_orders(1, partner_id=self.grouper.id)
        self._make_orders(1, partner_id=self.grouper.id, payment_term_id=term.id)
        self.assertEqual(len(self._make_sale_amounts().document_ids), 2)
        self.sale_scenario.enforce_collective = True
        self.env["invoice.run"].search([]).with_user(self.user).action_cancel()
        self.assertEqual(len(self._make_sale_amounts().document_ids), 1)

    def test_limit_of_lines_keeps_orders_whole(self):
        self.company.invoice_run_max_lines = 3
        for _number in range(3):
            self._make_order([{}, {}], partner_id=self.grouper.id)
        self._make_order([{}] * 4, partner_id=self.grouper.id)
        run = self._run_sale()
        self.assertEqual([len(document.line_ids) for document in run.document_ids], [2, 2, 2, 4])
        self.assertEqual(set(run.document_ids.mapped("state")), {"invoiced"})

    def test_small_orders_come_together_at_the_minimum(self):
        self.company.invoice_run_min_amount = 25.0
        site = self._make_partner("Site", parent_id=self.debtor.id, type="delivery")
        here = {"partner_shipping_id": self.debtor.id}
        orders = self._make_orders(2, **here)
        held = self._make_sale_amounts().document_ids
        self.assertEqual(held.mapped("state"), ["held", "held"])
        elsewhere = self._make_order(partner_shipping_id=site.id)
        orders |= self._make_order(**here)
        run = self._run_sale()
        self.assertFalse(elsewhere.invoice_count)
        self.assertEqual(orders.invoice_ids, run.document_ids.move_id)
        self.assertEqual(orders.invoice_ids.partner_shipping_id, self.debtor)
        self.assertEqual(orders.invoice_ids.amount_untaxed, 2.0 + 4.0 + 20.0)

    def test_two_companies(self):
        other = self._create_company(name="Other company")
        other_user = self._make_user("other", "invoice_run.invoice_run_group_user", company=other)
        order = self._make_order()
        theirs = (
            self.env["sale.order"]
            .with_company(other)
            .create(
                {
                    "partner_id": self.debtor.id,
                    "company_id": other.id,
                    "order_line": [self._prepare_line({})],
                }
            )
        )
        theirs.action_confirm()
        run = self._run_sale()
        self.assertEqual(run.document_ids.sale_order_ids, order)
        scenario = self._make_scenario("Theirs", source="sale", company_id=other.id)
        run = self._make_amounts(self._make_run("2024-01-31", scenario), user=other_user)
        self.assertEqual(run.document_ids.sale_order_ids, theirs)
        run.sudo().action_approve()
        run.action_generate_invoices()
        run._process_queue()
        self.assertEqual(theirs.invoice_ids.company_id, other)
        self.assertEqual(theirs.invoice_ids.journal_id.company_id, other)


@freeze_time("2024-01-31 09:00:00")
@tagged("post_install", "-at_install")
class TestSaleSelection(SaleRunCommon):
    def test_target_date_and_skip_before(self):
        for day in ("2024-01-09 23:30:00", "2024-01-10 12:00:00", "2024-01-31 22:30:00"):
            self._make_order(client_order_ref=day, date_order=day)
        # 9 January 23:30 in UTC is the 10th in Brussels, and 31 January 22:30 still the 31st
        run = self._make_sale_amounts("2024-01-31", skip_before="2024-01-10")
        self.assertEqual(len(run.document_ids), 3)
        self.assertEqual(
            run.line_ids.mapped("billing_date_from"),
            [self._day("2024-01-10"), self._day("2024-01-10"), self._day("2024-01-31")],
        )
        run.with_user(self.user).action_cancel()
        self.assertEqual(len(self._make_sale_amounts("2024-01-30").document_ids), 2)

    def test_clusters(self):
        journal = self.company_data["default_journal_sale"].copy({"code": "CLU"})
        cluster = self.env["billing.cluster"].create(
            {"name": "North", "company_id": self.company.id, "journal_id": journal.id}
        )
        order = self._make_order(billing_cluster_id=cluster.id)
        self._make_order()
        run = self._run_sale(cluster_ids=[Command.set(cluster.ids)])
        self.assertEqual(run.document_ids.sale_order_ids, order)
        self.assertEqual(order.invoice_ids.journal_id, journal)

    def test_approved_orders_only(self):
        self.sale_scenario.domain = "[('approved_for_invoicing', '=', True)]"
        order = self._make_order()
        self._make_order()
        self.assertFalse(self._make_sale_amounts().document_ids)
        order.with_user(self.user).action_approve_for_invoicing()
        run = self._make_sale_amounts()
        self.assertEqual(run.document_ids.sale_order_ids, order)
        order.with_user(self.user).action_withdraw_invoicing_approval()
        self.assertTrue(run.document_ids.is_stale)

    def test_who_may_approve(self):
        seller = self._make_user("seller", "sales_team.group_sale_salesman_all_leads")
        order = self._make_order()
        with self.assertRaises(AccessError):
            order.with_user(seller).action_approve_for_invoicing()
        with self.assertRaises(AccessError):
            order.with_user(seller).copy({"approved_for_invoicing": True})
        order.with_user(seller).write({"approved_for_invoicing": False, "client_order_ref": "A"})
        quotation = self._make_order(confirm=False)
        (order | quotation).with_user(self.user).action_approve_for_invoicing()
        self.assertTrue(order.approved_for_invoicing)
        self.assertFalse(quotation.approved_for_invoicing)
        self.assertFalse(order.copy().approved_for_invoicing)

    def test_unconfirmed_and_cancelled_orders_are_not_due(self):
        self._make_order(confirm=False)
        self._make_order()._action_cancel()
        self.assertFalse(self._make_sale_amounts().document_ids)

    def test_locked_orders_are_due(self):
        self._make_order().action_lock()
        self.assertEqual(self._run_sale().document_ids.state, "invoiced")

    def test_bad_orders_stop_no_others(self):
        good = self._make_order()
        archived = self._make_partner("Archived")
        blocked = self._make_partner("Blocked", billing_hold=True, billing_hold_reason="disputed")
        orders = {
            self._make_order(partner_id=archived.id): "archived",
            self._make_order(partner_id=blocked.id): "disputed",
        }
        archived.active = False
        run = self._run_sale()
        self.assertEqual(run.document_ids.sale_order_ids, good)
        for order, text in orders.items():
            exception = run.exception_ids.filtered(lambda exc, so=order: exc.sale_order_id == so)
            self.assertEqual(len(exception), 1)
            self.assertIn(text, exception.message)

    def test_product_without_account(self):
        self.goods.property_account_income_id = False
        self.goods.categ_id.property_account_income_categ_id = False
        self.company.income_account_id = False
        self._make_order()
        run = self._make_sale_amounts()
        self.assertFalse(run.document_ids)
        self.assertIn("no income account", run.exception_ids.message)

    def test_exceptions_are_in_the_language_of_who_reads_them(self):
        self.env["res.lang"]._activate_lang("nl_NL")
        self.debtor.write({"lang": "nl_NL", "billing_hold": True})
        self._make_order()
        run = self._make_sale_amounts()
        self.assertIn("is blocked for invoicing", run.exception_ids.message)

    def test_archived_products_are_invoiced(self):
        self._make_order()
        self.goods.active = False
        self.assertEqual(self._run_sale().document_ids.state, "invoiced")


@freeze_time("2024-01-31 09:00:00")
@tagged("post_install", "-at_install")
class TestManyOrders(SaleRunCommon):
    def test_orders_are_read_and_made_in_batches(self):
        """The number of queries per order stays what it is, however many orders there are."""
        queries = {}
        for number in (20, 100):
            vals = {
                "partner_id": self.debtor.id,
                "company_id": self.company.id,
                "order_line": [self._prepare_line({}), self._prepare_line({"price_unit": 3.0})],
            }
            orders = self.env["sale.order"].create([vals] * number)
            orders.action_confirm()
            run = self._make_run("2024-01-31", self.sale_scenario)
            self.env.flush_all()
            before = self.env.cr.sql_log_count
            self._make_amounts(run)
            self.env.flush_all()
            queries[number] = (self.env.cr.sql_log_count - before) / number
            self._make_invoices(run)
            self.assertEqual(set(orders.mapped("invoice_status")), {"invoiced"})
            self.assertEqual(len(orders.invoice_ids), number)
            self.assertEqual(run.amount_untaxed, 26.0 * number)
        self.assertLess(queries[100], queries[20])

    def _copy_rows(self, records, parent, step, times):
        """Copy rows ``times`` times, each ``step`` further on, and so are their ``parent``'s."""
        moved = [name for name in ("id", parent) if name]
        columns = [
            SQL.identifier(name)
            for name, field in records._fields.items()
            if field.store and field.column_type and name not in moved
        ]
        self.env.cr.execute(
            SQL(
                "INSERT INTO %(table)s (%(moved)s, %(columns)s) SELECT %(further)s, %(columns)s"
                " FROM %(table)s, generate_series(1, %(times)s) AS number WHERE id IN %(ids)s",
                table=SQL.identifier(records._table),
                moved=SQL(", ").join(map(SQL.identifier, moved)),
                further=SQL(", ").join(
                    SQL("%s + %s * number", SQL.identifier(name), step) for name in moved
                ),
                columns=SQL(", ").join(columns),
                times=times,
                ids=tuple(records.ids),
            )
        )

    def _multiply(self, orders, factor):
        """Return ``factor`` times ``orders``: rows that Odoo wrote, and copies of them.

        Sales takes longer to make a thousand orders than a run takes to invoice them.
        """
        self.env.flush_all()
        step = max(orders.ids + orders.order_line.ids)
        self._copy_rows(orders, None, step, factor - 1)
        self._copy_rows(orders.order_line, "order_id", step, factor - 1)
        self.env.invalidate_all()
        return orders.browse(id_ + step * number for number in range(factor) for id_ in orders.ids)

    def test_a_thousand_orders(self):
        """One scenario over 1,000 orders of 25 customers: all found, each on one invoice, once."""
        orders = self.env["sale.order"].union(
            *(
                self._make_order(
                    [{"price_unit": number}],
                    partner_id=self._make_partner(f"Customer {number}").id,
                )
                for number in range(1, 26)
            )
        )
        orders = self._multiply(orders, 40)
        self.sale_scenario.enforce_collective = True
        self.assertEqual(self.sale_scenario.due_count, 1000)
        run = self._run_sale()
        self.assertEqual(run.state, "invoiced")
        self.assertEqual((len(run.document_ids), len(run.line_ids)), (25, 1000))
        self.assertEqual(
            sorted(run.document_ids.move_id.mapped("amount_untaxed")),
            [40 * 2.0 * number for number in range(1, 26)],
        )
        self.assertEqual(len(orders.exists()), 1000)
        self.assertEqual(set(orders.mapped("invoice_status")), {"invoiced"})
        self.assertEqual(set(orders.mapped("invoice_count")), {1})
        self.assertFalse(self._run_sale().document_ids)
