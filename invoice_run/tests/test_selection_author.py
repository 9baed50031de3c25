"""Selection and rules of a scenario are read with the rights of the user who wrote them."""

from freezegun import freeze_time

from odoo.exceptions import AccessError, ValidationError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

MANAGER = "invoice_run.invoice_run_group_manager"


@tagged("post_install", "-at_install")
class TestSelectionAuthor(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.north = cls._make_contract(date_start="2024-01-01", title="North")
        cls.south = cls._make_contract(date_start="2024-01-01", title="South")
        cls.group = cls.env["res.groups"].sudo().create({"name": "North only"})
        cls._restrict("billing.contract", [("title", "=", "North")])
        cls.northerner = cls._make_user("run_northerner", MANAGER)
        cls.northerner.sudo().group_ids += cls.group
        cls.everything = cls._make_user("run_everything", MANAGER)

    @classmethod
    def _restrict(cls, model, domain):
        """Let members of the group see only ``domain`` of ``model``."""
        model_id = cls.env["ir.model"].sudo()._get_id(model)
        cls.env["ir.rule"].sudo().create(
            {
                "name": f"{model}: of the north",
                "model_id": model_id,
                "domain_force": str(domain),
                "groups": [Command.set(cls.group.ids)],
            }
        )

    def _make_as(self, user, **vals):
        vals = {"name": "Probe", "company_id": self.company.id, **vals}
        return self.env["billing.scenario"].with_user(user).create(vals)

    def _get_billed(self, scenario, invoice_date="2024-01-15"):
        """Return the titles of what a run finds, and its exceptions; undone at once."""
        run = self._make_amounts(self._make_run(invoice_date, scenario))
        titles = sorted(run.line_ids.contract_id.mapped("title"))
        messages = run.exception_ids.mapped("message")
        run.action_cancel()
        return titles, messages

    def _count(self, scenario, user):
        scenario.invalidate_recordset()
        return scenario.with_user(user).due_count

    @freeze_time("2024-01-15")
    def test_record_rules_of_the_author_count(self):
        theirs, ours = self._make_as(self.northerner), self._make_as(self.everything)
        self.assertEqual(self._get_billed(theirs), (["North"], []))
        self.assertEqual(self._get_billed(ours), (["North", "South"], []))

    @freeze_time("2024-01-15")
    def test_count_is_what_the_reader_sees_of_it(self):
        theirs, ours = self._make_as(self.northerner), self._make_as(self.everything)
        self.assertEqual(self._count(theirs, self.northerner), 1)
        self.assertEqual(self._count(theirs, self.user), 1)
        self.assertEqual(self._count(ours, self.user), 2)
        self.assertEqual(self._count(ours, self.northerner), 1)
        started = self.env["invoice.manager"].with_user(self.northerner).action_start()
        counts = {card["id"]: card["count"] for card in started["scenarios"]}
        self.assertEqual((counts[theirs.id], counts[ours.id]), (1, 1))

    def test_path_leads_to_what_the_author_sees(self):
        """An amount that only others may know neither selects nor counts."""
        order = self.env["sale.order"].sudo().create({"partner_id": self.debtor.id, "note": "X"})
        self._restrict("sale.order", [("client_order_ref", "=", "north")])
        path = "partner_id.sale_order_ids.id"
        for domain in (
            [(path, "=", order.id)],
            [("partner_id.sale_order_ids", "in", order.ids)],
            [("partner_id.sale_order_ids", "!=", False)],
        ):
            with self.subTest(domain=domain):
                theirs = self._make_as(self.northerner, domain=str(domain))
                ours = self._make_as(self.everything, domain=str(domain))
                self.assertEqual(self._get_billed(theirs), ([], []))
                self.assertEqual(self._get_billed(ours), (["North", "South"], []))

    def test_each_rule_has_its_author(self):
        scenario = self._make_as(self.everything)
        rule = {"name": "Started", "field_path": "date_start", "operator": "<=", "value": "today"}
        scenario.with_user(self.northerner).write({"rule_ids": [Command.create(rule)]})
        self.assertEqual(scenario.author_id, self.everything)
        self.assertEqual(scenario.rule_ids.author_id, self.northerner)
        self.assertEqual(self._get_billed(scenario), (["North"], []))
        scenario.rule_ids.with_user(self.everything).value = "2024-12-31"
        self.assertEqual(self._get_billed(scenario), (["North", "South"], []))

    def test_who_writes_the_selection_is_its_author(self):
        scenario = self._make_as(self.everything)
        scenario.with_user(self.northerner).write({"name": "Other", "enforce_collective": True})
        self.assertEqual(scenario.author_id, self.everything)
        scenario.with_user(self.northerner).domain = "[('title', '!=', 'East')]"
        self.assertEqual(scenario.author_id, self.northerner)
        self.assertEqual(self._get_billed(scenario), (["North"], []))
        copy = scenario.with_user(self.everything).copy()
        self.assertEqual(copy.author_id, self.everything)

    def test_author_cannot_be_forged(self):
        scenario = self._make_as(self.northerner)
        with self.assertRaises(AccessError):
            scenario.author_id = self.everything
        with self.assertRaises(AccessError):
            self._make_as(self.northerner, author_id=self.everything.id)
        Scenario = self.env["billing.scenario"].with_user(self.northerner)
        for Forged in (
            Scenario.with_context(default_author_id=self.everything.id),
            Scenario.with_context(invoice_run_engine=True, default_author_id=self.everything.id),
        ):
            forged = Forged.create({"name": "Probe", "company_id": self.company.id})
            self.assertEqual(forged.author_id, self.northerner)
        self.env["ir.default"].sudo().set(
            "billing.scenario", "author_id", self.everything.id, user_id=self.northerner.id
        )
        self.assertEqual(self._make_as(self.northerner).author_id, self.northerner)

    def test_lost_rights_are_an_exception(self):
        def demote(user):
            user.group_ids = self.env.ref("base.group_user")

        def archive(user):
            user.active = False

        def move(user):
            other = self.setup_other_company(name="Elsewhere")["company"]
            user.write({"company_ids": [Command.set(other.ids)], "company_id": other.id})

        def delete(user):
            user.unlink()

        for number, lose in enumerate((demote, archive, move, delete)):
            with self.subTest(lose=lose.__name__):
                author = self._make_user(f"author_{number}", MANAGER)
                scenario = self._make_as(author)
                self.assertEqual(len(self._get_billed(scenario)[0]), 2)
                with mute_logger("odoo.addons.base.models.ir_model"):
                    lose(author.sudo())
                self.env.invalidate_all()
                titles, (message,) = self._get_billed(scenario)
                self.assertFalse(titles)
                self.assertIn("another user can take it over", message)
                self.assertEqual(self._count(scenario, self.user), 0)
                self.assertIn("take it over", scenario.due_error)
                scenario.with_user(self.everything).action_take_over()
                self.assertEqual(len(self._get_billed(scenario)[0]), 2)

    def test_only_who_may_read_it_takes_it_over(self):
        domain = "[('partner_id.sale_order_ids.name', '!=', 'x')]"
        scenario = self._make_as(self.everything, domain=domain)
        for user in (self.user, self.reviewer):
            with self.assertRaises(AccessError):
                scenario.with_user(user).action_take_over()
        self.env["ir.model.access"].sudo().search(
            [("model_id.model", "=", "sale.order"), ("perm_read", "=", True)]
        ).write({"active": False})
        self.env.registry.clear_cache()
        with mute_logger("odoo.addons.base.models.ir_model"):
            with self.assertRaisesRegex(ValidationError, "may not see everything"):
                scenario.with_user(self.northerner).action_take_over()
        self.assertEqual(scenario.author_id, self.everything)

    def test_default_scenarios_are_the_installations(self):
        scenario = self.env.ref(f"invoice_run.scenario_contracts_due_{self.company.id}")
        self.assertEqual(scenario.author_id, self.env.ref("base.user_root"))
        self.assertEqual(self._get_billed(scenario), (["North", "South"], []))

    def test_upgrade_takes_who_wrote_it_last(self):
        scenario = self._make_as(self.northerner)
        rule = {"name": "Started", "field_path": "date_start", "operator": "<=", "value": "today"}
        scenario.with_user(self.everything).rule_ids = [Command.create(rule)]
        records = (scenario, scenario.rule_ids)
        self.env.flush_all()
        for record in records:
            self.env.cr.execute(f"UPDATE {record._table} SET author_id = NULL")
            record.sudo()._init_column("author_id")
        self.env.invalidate_all()
        self.assertEqual(scenario.author_id, scenario.write_uid)
        self.assertEqual(scenario.rule_ids.author_id, self.everything)


@tagged("post_install", "-at_install")
class TestNamesInAnswers(InvoiceRunCommon):
    """An answer does not tell whether a name exists where one may not look."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other_company = cls.setup_other_company()["company"]
        clusters = cls.env["billing.cluster"].sudo()
        clusters.create({"name": "Secret", "company_id": cls.other_company.id})
        cls.mine = clusters.create({"name": "Mine", "company_id": cls.company.id})
        rule = {
            "name": "Unit",
            "field_path": "cluster_id",
            "operator": "=",
            "value": "Mine",
            "is_asked": True,
        }
        cls.asking = cls._make_scenario("Asking", rule_ids=[Command.create(rule)])
        cls._make_contract(date_start="2024-01-01", cluster_id=cls.mine.id)

    def _get_refusal(self, attempt):
        with self.assertRaises(ValidationError) as refused:
            attempt()
        return str(refused.exception).replace("Secret", "NAME").replace("Nowhere", "NAME")

    def test_answer_of_a_run(self):
        Run = self.env["invoice.run"].with_user(self.user)
        vals = {"scenario_id": self.asking.id, "invoice_date": "2024-01-15"}
        rule = str(self.asking.rule_ids.id)
        refusals = {
            self._get_refusal(lambda name=name: Run.create({**vals, "rule_values": {rule: [name]}}))
            for name in ("Secret", "Nowhere")
        }
        self.assertEqual(len(refusals), 1)
        run = Run.create({**vals, "rule_values": {rule: ["Mine"]}})
        self.assertEqual(len(self._make_amounts(run).document_ids), 1)

    def test_value_of_a_rule(self):
        rule = self.asking.rule_ids.with_user(self.manager)
        refusals = {
            self._get_refusal(lambda name=name: rule.write({"value": name}))
            for name in ("Secret", "Nowhere")
        }
        self.assertEqual(len(refusals), 1)

    def test_id_of_another_company_is_no_value(self):
        secret = self.env["billing.cluster"].sudo().search([("name", "=", "Secret")])
        rule = self.asking.rule_ids.with_user(self.manager)
        with self.assertRaises(ValidationError):
            rule.value = str(secret.id)
