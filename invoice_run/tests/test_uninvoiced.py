from datetime import date

from freezegun import freeze_time

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged

from .common import InvoiceRunCommon
from .sale_common import SaleRunCommon


@tagged("post_install", "-at_install")
@freeze_time("2024-03-15 12:00:00")
class TestUninvoiced(InvoiceRunCommon):
    """What is never invoiced: days of assets, contracts that no schedule selects, lost usage."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.north, cls.south = cls.env["billing.cluster"].create(
            [{"name": name, "company_id": cls.company.id} for name in ("North", "South")]
        )

    def _make_asset(self, name, cluster):
        return self.env["billing.asset"].create(
            {"name": name, "cluster_id": cluster.id, "company_id": self.company.id}
        )

    def _make_schedule(self, **vals):
        return self.env["invoice.run.schedule"].create(
            {
                "name": "Monthly",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": date(2024, 3, 1),
                **vals,
            }
        )

    def _get_lines(self, kind=None, user=None, **vals):
        days = {"date_from": "2024-01-01", "date_to": "2024-03-31"}
        report = self.env["billing.uninvoiced"].with_user(user or self.user)
        report = report.create({**days, "company_id": self.company.id, **vals})
        self.action = report.action_compute()
        self.report = report
        return report.line_ids.filtered(lambda line: not kind or line.kind == kind)

    def _get_days(self, lines):
        return [
            (line.asset_id.name, str(line.date_from), str(line.date_to), line.days)
            for line in lines.sorted(lambda line: (line.asset_id.name, line.date_from))
        ]

    def test_days_without_contract(self):
        empty = self._make_asset("Empty", self.south)
        flat = self._make_asset("Flat", self.north)
        self._make_contract([{"asset_id": flat.id}], date_start="2024-01-11", date_end="2024-02-15")
        self._make_contract([{"asset_id": flat.id}], date_start="2024-03-01")
        self._make_contract([{"asset_id": empty.id}], date_start="2024-01-01", activate=False)
        lines = self._get_lines("vacancy")
        self.assertEqual(
            self._get_days(lines),
            [
                ("Empty", "2024-01-01", "2024-03-31", 91),
                ("Flat", "2024-01-01", "2024-01-10", 10),
                ("Flat", "2024-02-16", "2024-02-29", 14),
            ],
        )
        totals = dict(lines._read_group([("id", "in", lines.ids)], ["cluster_id"], ["days:sum"]))
        self.assertEqual(totals, {self.north: 24, self.south: 91})
        only = self._get_lines("vacancy", cluster_ids=[Command.set(self.north.ids)])
        self.assertEqual(only.asset_id, flat)
        self.assertEqual(only[0].action_open_record()["res_id"], flat.id)

    def test_contracts_that_no_schedule_selects(self):
        inside = self._make_contract(date_start="2024-01-01", cluster_id=self.north.id)
        outside = self._make_contract(date_start="2024-01-01", cluster_id=self.south.id)
        later = self._make_contract(date_start="2024-05-01", cluster_id=self.south.id)
        lines = self._get_lines("contract")
        self.assertEqual(lines.contract_id, inside | outside)
        schedule = self._make_schedule(cluster_ids=[Command.set(self.north.ids)])
        [line] = self._get_lines("contract")
        self.assertEqual(line.contract_id, outside)
        self.assertEqual(line.cluster_id, self.south)
        self.assertEqual(str(line.date_from), "2024-01-01")
        # January to March
        self.assertEqual(line.amount, 300.0)
        self.assertEqual(line.action_open_record()["res_id"], outside.id)
        self.assertNotIn(later, lines.contract_id)
        schedule.action_pause()
        self.assertEqual(self._get_lines("contract").contract_id, inside | outside)

    def test_a_scenario_that_leaves_contracts_out(self):
        contract = self._make_contract(date_start="2024-01-01", title="Left out")
        self._make_schedule(
            scenario_id=self._make_scenario("Blue", domain="[('title', '=', 'Blue')]").id
        )
        self.assertEqual(self._get_lines("contract").contract_id, contract)
        contract.title = "Blue"
        self.assertFalse(self._get_lines("contract"))

    def test_invoiced_days_are_no_longer_missing(self):
        self._make_contract(date_start="2024-01-01", date_end="2024-03-31")
        self.assertTrue(self._get_lines("contract"))
        self._run_all("2024-03-15")
        self.assertFalse(self._get_lines("contract"))

    def test_usage_that_nobody_pays(self):
        draft = self._make_contract(date_start="2024-01-01", activate=False)
        lost = self._make_usage(date="2024-02-01", contract_id=draft.id, price_unit=7.0)
        self._make_usage(date="2024-04-01", contract_id=draft.id)
        self._make_usage(date="2024-02-01")
        [line] = self._get_lines("usage")
        self.assertEqual(line.usage_id, lost)
        self.assertEqual(line.amount, 7.0)
        self.assertEqual(line.action_open_record()["res_model"], "billing.usage")

    def test_computed_again_and_exported(self):
        self._make_asset("Empty", self.south)
        lines = self._get_lines()
        self.report.action_compute()
        self.assertEqual(len(self.report.line_ids), len(lines))
        self.user.group_ids += self.env.ref("base.group_allow_export")
        rows = self.report.line_ids.export_data(["kind", "asset_id", "days"])["datas"]
        self.assertEqual([row[1] for row in rows], ["Empty"])

    def test_days_in_the_wrong_order(self):
        with self.assertRaises(UserError):
            self._get_lines(date_from="2024-04-01")
        with self.assertRaises(UserError):
            self._get_lines(date_to="9999-12-31")

    def test_a_schedule_that_cannot_be_read_is_named(self):
        contract = self._make_contract(date_start="2024-01-01")
        schedule = self._make_schedule()
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE billing_scenario SET domain = %s WHERE id = %s",
            ["[('gone', '=', 1)]", self.scenario.id],
        )
        self.env.invalidate_all()
        self.assertEqual(self._get_lines("contract").contract_id, contract)
        self.assertEqual(self.action["tag"], "display_notification")
        self.assertIn(schedule.reference, self.report.note)

    def test_other_company(self):
        self._make_asset("Empty", self.south)
        other = self.setup_other_company()["company"]
        stranger = self._make_user("run_other", "invoice_run.invoice_run_group_user", company=other)
        with self.assertRaises(AccessError):
            self._get_lines(user=stranger)
        self.assertFalse(self._get_lines(user=stranger, company_id=other.id))


@tagged("post_install", "-at_install")
@freeze_time("2024-03-15 12:00:00")
class TestUninvoicedOrders(SaleRunCommon):
    """Confirmed orders to invoice that no schedule selects and no run holds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.north, cls.south = cls.env["billing.cluster"].create(
            [{"name": name, "company_id": cls.company.id} for name in ("North", "South")]
        )

    def _make_schedule(self, **vals):
        return self.env["invoice.run.schedule"].create(
            {
                "name": "Orders",
                "company_id": self.company.id,
                "scenario_id": self.sale_scenario.id,
                "date_from": date(2024, 3, 1),
                **vals,
            }
        )

    def _get_report(self, **vals):
        days = {"date_from": "2024-01-01", "date_to": "2024-03-31"}
        report = self.env["billing.uninvoiced"].with_user(self.user)
        report = report.create({**days, "company_id": self.company.id, **vals})
        report.action_compute()
        return report

    def _get_orders(self, **vals):
        return self._get_report(**vals).line_ids.order_id.sudo()

    def test_orders_that_no_schedule_selects(self):
        inside = self._make_order(billing_cluster_id=self.north.id)
        outside = self._make_order(billing_cluster_id=self.south.id)
        self._make_order([{"product_id": self.delivered.id}])  # nothing is delivered
        self._make_order(confirm=False)
        self._make_order(date_order="2024-04-01 12:00:00")
        self.assertEqual(self._get_orders(), inside | outside)
        schedule = self._make_schedule(cluster_ids=[Command.set(self.north.ids)])
        [line] = self._get_report().line_ids
        self.assertEqual((line.kind, line.order_id.id), ("order", outside.id))
        self.assertEqual(line.cluster_id, self.south)
        self.assertEqual(line.amount, 20.0)
        self.assertEqual((line.date_from, line.date_to), (date(2024, 1, 10), date(2024, 1, 10)))
        action = line.action_open_record()
        self.assertEqual((action["res_model"], action["res_id"]), ("sale.order", outside.id))
        self.assertFalse(self._get_orders(cluster_ids=[Command.set(self.north.ids)]))
        schedule.action_pause()
        self.assertEqual(self._get_orders(), inside | outside)

    def test_a_schedule_of_contracts_takes_no_orders(self):
        order = self._make_order()
        self._make_schedule(scenario_id=self.scenario.id)
        self.assertEqual(self._get_orders(), order)
        self._make_schedule()
        self.assertFalse(self._get_orders())

    def test_orders_that_a_run_holds_or_has_invoiced(self):
        order = self._make_order()
        run = self._make_sale_amounts()
        self.assertFalse(self._get_orders())
        run.action_cancel()
        self.assertEqual(self._get_orders(), order)
        self._run_sale()
        self.assertFalse(self._get_orders())

    def test_amount_is_what_a_run_would_invoice(self):
        self._make_down_payment(
            self._make_order([{"price_unit": 100.0, "tax_ids": self.tax.ids}]), amount=30.0
        )
        included = self.tax.copy({"price_include_override": "tax_included", "name": "Included"})
        self._make_order([{"price_unit": 11.5, "tax_ids": included.ids, "discount": 10.0}])
        self._make_order([{"product_id": self.delivered.id, "qty_delivered": 1.5}])
        amounts = self._get_report().line_ids.sorted("id").mapped("amount")
        documents = self._run_sale().document_ids.sorted("id")
        self.assertEqual(amounts, documents.mapped("amount_untaxed"))
        self.assertEqual(amounts[0], 140.0)

    def test_amount_of_another_currency(self):
        currency = self.setup_other_currency("EUR", rates=[("2024-01-01", 2.0)])
        pricelist = self.env["product.pricelist"].create(
            {"name": "Euro", "currency_id": currency.id, "company_id": self.company.id}
        )
        self._make_order([{"price_unit": 10.0}], pricelist_id=pricelist.id)
        [line] = self._get_report().line_ids
        self.assertEqual(line.amount, 10.0)

    def test_a_schedule_that_cannot_be_read_is_named(self):
        order = self._make_order()
        schedule = self._make_schedule()
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE billing_scenario SET domain = %s WHERE id = %s",
            ["[('gone', '=', 1)]", self.sale_scenario.id],
        )
        self.env.invalidate_all()
        report = self._get_report()
        self.assertEqual(report.line_ids.order_id.sudo(), order)
        self.assertEqual(report.note.count(schedule.reference), 1)

    def test_other_company(self):
        other = self.setup_other_company()
        self._make_order()
        stranger = self._make_user(
            "run_other", "invoice_run.invoice_run_group_user", company=other["company"]
        )
        report = self.env["billing.uninvoiced"].with_user(stranger)
        report = report.create({"company_id": other["company"].id, "date_to": "2024-03-31"})
        report.action_compute()
        self.assertFalse(report.line_ids)

    def test_no_query_per_order(self):
        self._make_orders(2)
        few = self._count_queries()
        self._make_orders(20)
        self.assertLessEqual(self._count_queries() - few, 2)

    def _make_orders(self, number):
        for _number in range(number):
            order = self._make_order([{"tax_ids": self.tax.ids}, {}])
            self._make_down_payment(order, amount=10.0)

    def _count_queries(self):
        report = self._get_report()
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        report.action_compute()
        return self.env.cr.sql_log_count - before
