from datetime import date

from freezegun import freeze_time

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged

from .common import InvoiceRunCommon


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
