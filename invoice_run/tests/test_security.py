from odoo.exceptions import AccessError
from odoo.tests import HttpCase, JsonRpcException, tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

MODELS = (
    "billing.asset",
    "billing.category",
    "billing.cluster",
    "billing.contract",
    "billing.contract.line",
    "billing.scenario",
    "billing.usage",
    "invoice.run",
    "invoice.run.document",
    "invoice.run.exception",
    "invoice.run.line",
    "invoice.run.schedule",
)


@tagged("post_install", "-at_install")
class TestSecurity(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        other = cls.setup_other_company()
        cls.other_company = other["company"]
        cls.stranger = cls._make_user(
            "run_stranger", "invoice_run.invoice_run_group_manager", company=cls.other_company
        )
        cls.cluster = cls.env["billing.cluster"].create(
            {"name": "North", "company_id": cls.company.id}
        )
        for model in ("billing.asset", "billing.category"):
            cls.env[model].create({"name": "One", "company_id": cls.company.id})
        cls.contract = cls._make_contract(date_start="2024-01-01", cluster_id=cls.cluster.id)
        cls._make_contract(date_start="2024-01-01", billing_hold=True)
        cls._make_usage(date="2024-01-03")

    def setUp(self):
        super().setUp()
        self.run = self._make_amounts(self._make_run("2024-01-15"))

    def test_other_company_sees_nothing(self):
        for model in MODELS:
            own = self.env[model].sudo().search([("company_id", "=", self.company.id)])
            self.assertTrue(own, f"{model}: the test needs a record")
            records = self.env[model].with_user(self.stranger)
            self.assertFalse(records.search([("id", "in", own.ids)]), model)
            with self.assertRaises(AccessError, msg=model):
                own.with_user(self.stranger).read(["company_id"])

    def test_other_company_cannot_press_buttons(self):
        run = self.run.with_user(self.stranger)
        for method in (
            "action_submit",
            "action_generate_amounts",
            "action_approve",
            "action_generate_invoices",
            "action_send",
            "action_retry_failed",
            "action_cancel",
            "action_reverse",
        ):
            with self.assertRaises(AccessError, msg=method):
                getattr(run, method)()
        with self.assertRaises(AccessError):
            run.action_delete_amounts("because")

    def test_other_company_finds_no_totals(self):
        groups = (
            self.env["invoice.run.document"]
            .with_user(self.stranger)
            .formatted_read_group([], [], ["company_amount_total:sum", "__count"])
        )
        self.assertEqual(groups[0]["__count"], 0)

    def test_employee_without_role_sees_nothing(self):
        employee = self._make_user("run_employee", "base.group_user")
        for model in MODELS:
            with self.assertRaises(AccessError, msg=model):
                self.env[model].with_user(employee).search([])

    def test_portal_sees_nothing(self):
        portal = self._make_user("run_portal", "base.group_portal")
        for model in MODELS:
            with self.assertRaises(AccessError, msg=model):
                self.env[model].with_user(portal).search([])

    def test_user_cannot_configure(self):
        for record in (self.scenario, self.cluster):
            with self.assertRaises(AccessError):
                record.with_user(self.user).name = "Mine"

    def test_engine_fields_cannot_be_written(self):
        document, line = self.run.document_ids, self.run.line_ids
        attempts = (
            (self.run, {"state": "approved"}),
            (self.run, {"approved_by_id": self.manager.id}),
            (self.run, {"job": "invoices"}),
            (document, {"amount_total": 1.0}),
            (document, {"state": "excluded"}),
            (line, {"is_claimed": False}),
            (self.contract, {"next_invoicing_date": "2030-01-01"}),
            (self.contract.line_ids, {"next_period_from": "2030-01-01"}),
            (self.env["billing.usage"].search([], limit=1), {"state": "invoiced"}),
        )
        for record, vals in attempts:
            with self.assertRaises(AccessError, msg=str(vals)):
                record.with_user(self.manager).write(vals)

    def test_sending_method_of_a_document_can_be_chosen(self):
        self.run.document_ids.with_user(self.user).send_action = "print"

    def test_run_cannot_be_created_approved(self):
        with self.assertRaises(AccessError):
            self.env["invoice.run"].with_user(self.manager).create(
                {"scenario_id": self.scenario.id, "state": "approved"}
            )

    def test_two_companies_bill_apart(self):
        partner = self._make_partner("Both")
        product = self._make_product("Other rent", 70.0)
        contract = self._make_contract(
            [{"product_id": product.id, "price_unit": 70.0}],
            company_id=self.other_company.id,
            partner_id=partner.id,
            date_start="2024-01-01",
        )
        scenario = self._make_scenario("Other", company_id=self.other_company.id)
        self.assertNotIn(contract, self.run.line_ids.contract_id)
        run = self._make_run("2024-01-15", scenario).with_user(self.stranger)
        run.action_generate_amounts()
        run._process_queue()
        run.action_approve()
        run.action_generate_invoices()
        run._process_queue()
        move = run.document_ids.move_id
        self.assertEqual(move.company_id, self.other_company)
        self.assertEqual(run.line_ids.contract_id, contract)
        self.assertEqual(move.line_ids.company_id, self.other_company)

    def test_relations_stay_within_the_company(self):
        scenario = self._make_scenario("Other", company_id=self.other_company.id)
        schedule = {
            "name": "Mixed",
            "company_id": self.company.id,
            "scenario_id": scenario.id,
            "date_from": "2024-01-01",
        }
        with self.assertRaisesRegex(Exception, "company"):
            self.env["invoice.run.schedule"].create(schedule)


@tagged("post_install", "-at_install")
class TestRpc(HttpCase, InvoiceRunCommon):
    """What the buttons hide is refused over RPC as well."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._make_contract(date_start="2024-01-01")

    def _call(self, record, method, *args):
        params = {"model": record._name, "method": method, "args": [record.ids, *args]}
        return self.make_jsonrpc_request("/web/dataset/call_kw", {**params, "kwargs": {}})

    @mute_logger("odoo.http")
    def test_user_cannot_approve_over_rpc(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.authenticate("run_user", "run_user")
        for method, args in (
            ("action_approve", []),
            ("write", [{"state": "approved"}]),
            ("_approve", []),
            ("_process_queue", []),
        ):
            with self.assertRaises(JsonRpcException, msg=method):
                self._call(run, method, *args)
        self.assertEqual(run.state, "amounts")

    def test_reviewer_approves_over_rpc(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.authenticate("run_reviewer", "run_reviewer")
        self._call(run, "action_approve")
        self.assertEqual(run.state, "approved")
        self.assertEqual(run.approved_by_id, self.reviewer)

    def test_ad_hoc_run_over_rpc(self):
        self.authenticate("run_user", "run_user")
        vals = {"scenario_id": self.scenario.id, "invoice_date": "2024-01-15"}
        params = {"model": "invoice.run", "method": "create", "args": [[vals]], "kwargs": {}}
        [run_id] = self.make_jsonrpc_request("/web/dataset/call_kw", params)
        run = self.env["invoice.run"].browse(run_id)
        self.assertEqual(run.schedule_id.cycle, "once")
        self.assertEqual(run.target_date, self._date("2024-01-15"))
        self.assertEqual(run.user_id, self.user)
        self.assertEqual(run.schedule_id.company_id, self.company)
