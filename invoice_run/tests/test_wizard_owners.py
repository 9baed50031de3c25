"""Dialogs and reports belong to the user who opened them."""

from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.models import LOG_ACCESS_COLUMNS
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon
from .manager_common import ALL, ManagerCommon


@tagged("post_install", "-at_install")
class TestWizardOwners(ManagerCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contract = cls._make_contract(date_start="2024-01-01")
        cls.colleague = cls._make_user("run_colleague", "invoice_run.invoice_run_group_user")

    def _get_wizards(self):
        """Return a record of the user for each model of a dialog or report, found in the registry.

        Children come with their parents.
        """
        contract = {"contract_ids": [Command.set(self.contract.ids)]}
        line = {"contract_line_id": self.contract.line_ids.id}
        run = self._make_amounts(self._make_run("2024-01-15"))
        vals = {
            "billing.due": contract,
            "billing.credit.question": {"exception_id": self._make_exception(run).id},
            "billing.contract.change": {"line_ids": [Command.create(line)]},
            "billing.invoice.now": {"scenario_id": self.scenario.id},
            "invoice.run.reason": {"run_id": run.id, "reason": "because"},
            "invoice.run.reviewer.question": {"run_id": run.id, "reviewer_id": self.reviewer.id},
        }
        names = {
            name
            for name, model in self.env.registry.items()
            if model._transient and model._original_module == "invoice_run"
        }
        lines = {name for name in names if name.endswith(".line")}
        wizards = {
            name: self.env[name].with_user(self.user).create(vals.get(name, {}))
            for name in names - lines
        }
        wizards["billing.due"].action_refresh()
        wizards["billing.forecast"].action_compute()
        wizards["billing.uninvoiced"].action_compute()
        wizards["billing.bridge"].action_compute()
        wizards["billing.cutoff"].action_compute()
        children = {name: self.env[name].sudo().search([], limit=1) for name in lines}
        return {**wizards, **children}

    def _make_exception(self, run):
        vals = {"run_id": run.id, "code": "credit", "message": "For which days?"}
        return self.env["invoice.run.exception"].sudo().create(vals)

    def test_nobody_else_reads_changes_or_deletes(self):
        self._make_usage(date="2024-01-03")
        wizards = self._get_wizards()
        self.assertGreaterEqual(len(wizards), 10)
        for name, wizard in wizards.items():
            self.assertTrue(wizard, f"{name}: the test needs a record")
            for user in (self.colleague, self.reviewer, self.manager):
                other = wizard.with_user(user)
                for attempt in (other.read, other.unlink, lambda other=other: other.write({})):
                    with self.subTest(model=name, user=user.login), self.assertRaises(AccessError):
                        self.env.invalidate_all()
                        attempt()
                self.assertFalse(other.search([("id", "=", wizard.id)]), name)
            self.env.invalidate_all()
            self.assertTrue(wizard.with_user(self.user).read(), name)

    def test_run_of_a_reviewer_cannot_be_swapped(self):
        """The attack: the reviewer looks at one run and approves another."""
        looked_at = self._make_amounts(self._make_run("2024-01-15"))
        self._make_contract([{"price_unit": 999.0}], date_start="2024-02-01")
        other = self._make_amounts(self._make_run("2024-02-15"))
        manager = self._open(self.reviewer, run_id=looked_at.id)
        reason = (
            self.env["invoice.run.reason"]
            .with_user(self.reviewer)
            .create({"run_id": looked_at.id, "purpose": "reject", "reason": "because"})
        )
        for wizard in (manager, reason):
            for user in (self.user, self.manager, self.reviewer):
                with self.subTest(model=wizard._name, user=user.login):
                    with self.assertRaises(AccessError):
                        wizard.with_user(user).write({"run_id": other.id})
        with self.assertRaises(AccessError):
            reason.write({"purpose": "delete"})
        manager.action_process(ALL)
        self.assertEqual(looked_at.state, "approved")
        self.assertEqual(other.state, "amounts")

    def test_nothing_of_the_invoice_manager_is_written_past_its_buttons(self):
        manager = self._open(self.user)
        names = set(manager._fields) - {"id", *LOG_ACCESS_COLUMNS}
        for name in names:
            if manager._fields[name].store:
                with self.subTest(name=name), self.assertRaisesRegex(AccessError, "no longer"):
                    manager.write({name: False})

    def test_owner_cannot_be_forged(self):
        Reason = self.env["invoice.run.reason"].with_user(self.user)
        run = self._make_amounts(self._make_run("2024-01-15"))
        for context, vals in (
            ({}, {"create_uid": self.reviewer.id}),
            ({"default_create_uid": self.reviewer.id}, {}),
        ):
            wizard = Reason.with_context(**context).create(
                {"run_id": run.id, "reason": "because", **vals}
            )
            wizard.write({"create_uid": self.reviewer.id})
            self.env.invalidate_all()
            self.assertEqual(wizard.sudo().create_uid, self.user)

    @mute_logger("odoo.addons.base.models.ir_rule")
    def test_nothing_is_added_to_the_dialog_of_somebody_else(self):
        Change = self.env["billing.contract.change"]
        theirs = Change.with_user(self.reviewer).create({})
        mine = Change.with_user(self.user).create(
            {"line_ids": [Command.create({"contract_line_id": self.contract.line_ids.id})]}
        )
        line = {"change_id": theirs.id, "contract_line_id": self.contract.line_ids.id}
        with self.assertRaises(AccessError):
            mine.line_ids.create(line)
        with self.assertRaises(AccessError):
            mine.line_ids.write({"change_id": theirs.id})
        with self.assertRaises(AccessError):
            mine.write({"line_ids": [Command.update(mine.line_ids.id, {"change_id": theirs.id})]})
        self.env.invalidate_all()
        self.assertFalse(theirs.line_ids)

    def test_owner_uses_it_as_always(self):
        change = (
            self.env["billing.contract.change"]
            .with_user(self.user)
            .create(
                {
                    "date": "2024-02-01",
                    "line_ids": [Command.create({"contract_line_id": self.contract.line_ids.id})],
                }
            )
        )
        change.write({"change": "price", "price_unit": 120.0})
        change.action_apply()
        self.assertEqual(self.contract.line_ids.sorted("id")[-1].price_unit, 120.0)


@tagged("post_install", "-at_install")
class TestWizardNames(InvoiceRunCommon):
    """A dialog tells no name of what its user may not read."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contract = cls._make_contract(date_start="2024-01-01")
        cls.stranger = cls._make_user(
            "names_stranger",
            "invoice_run.invoice_run_group_manager",
            company=cls.setup_other_company()["company"],
        )

    @mute_logger("odoo.addons.base.models.ir_rule")
    def test_names_of_another_company(self):
        run = self._make_run("2024-01-15", name="Secret run")
        cluster = self.env["billing.cluster"].create(
            {"name": "Secret unit", "company_id": self.company.id}
        )
        secrets = {
            "billing.cluster": cluster,
            "billing.contract": self.contract,
            "billing.scenario": self.scenario,
            "invoice.run": run,
            "res.company": self.company,
        }
        count = 0
        for name, model in self.env.registry.items():
            if not model._transient or model._original_module != "invoice_run":
                continue
            Model = self.env[name].with_user(self.stranger)
            for field in model._fields.values():
                if field.type != "many2one" or field.compute or field.comodel_name not in secrets:
                    continue
                count += 1
                self._check_tells_nothing(Model, field.name, secrets[field.comodel_name])
        self.assertGreaterEqual(count, 8)

    def _check_tells_nothing(self, Model, name, record):
        spec = {name: {"fields": {"display_name": {}}}}
        needed = {"reason": "because", "reviewer_id": self.reviewer.id}
        others = {key: value for key, value in needed.items() if key in Model._fields}
        forged = Model.with_context(**{f"default_{name}": record.id})
        attempts = {
            "create": lambda: Model.create({**others, name: record.id}),
            "default": lambda: forged.create(others),
            "default_get": lambda: forged.default_get([name]),
            "onchange": lambda: Model.onchange({name: record.id}, [], spec),
            "first onchange": lambda: forged.onchange({}, [], spec),
        }
        for way, attempt in attempts.items():
            with self.subTest(model=Model._name, field=name, way=way):
                self.env.invalidate_all()
                with self.assertRaises(AccessError) as refused, self.env.cr.savepoint():
                    attempt()
                self.assertNotIn("Secret", str(refused.exception))


@tagged("post_install", "-at_install")
class TestNamesElsewhere(InvoiceRunCommon):
    """Nor does a form that is being filled in, or the refusal of what it holds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stranger = cls._make_user(
            "elsewhere_stranger",
            "invoice_run.invoice_run_group_manager",
            company=cls.setup_other_company()["company"],
        )
        run = cls._make_run("2024-01-15", name="Secret run")
        run.schedule_id.name = "Secret schedule"
        cls.scenario.name = "Secret scenario"
        cluster = cls.env["billing.cluster"].create(
            {"name": "Secret unit", "company_id": cls.company.id}
        )
        cls.secrets = {
            record._name: record for record in (run, run.schedule_id, cls.scenario, cluster)
        }

    def _get_fields(self):
        for name, model in self.env.registry.items():
            for field in model._fields.values():
                known = field.type == "many2one" and field.comodel_name in self.secrets
                if known and field.store and not field.compute and not model._abstract:
                    yield name, field

    def _get_answers(self, name, field):
        """Return what a user of another company is told on naming a record, as text."""
        Model = self.env[name].with_user(self.stranger)
        record = self.secrets[field.comodel_name]
        spec = {field.name: {"fields": {"display_name": {}}}}
        forged = Model.with_context(**{f"default_{field.name}": record.id})
        for ask in (
            lambda: Model.onchange({field.name: record.id}, [], spec),
            lambda: Model.onchange({field.name: record.id}, [field.name], spec),
            lambda: forged.onchange({}, [], spec),
        ):
            self.env.invalidate_all()
            try:
                with self.env.cr.savepoint():
                    yield str(ask())
            except AccessError as error:
                yield str(error)

    @mute_logger("odoo.addons.base.models.ir_rule")
    def test_no_form_tells_a_name(self):
        count = 0
        for name, field in self._get_fields():
            for answer in self._get_answers(name, field):
                count += 1
                self.assertNotIn("Secret", answer, field)
        self.assertGreater(count, 30)

    def test_no_refusal_tells_a_name(self):
        for model, vals in (
            ("billing.asset", {"name": "Car", "cluster_id": "billing.cluster"}),
            ("invoice.run.schedule", {"name": "S", "scenario_id": "billing.scenario"}),
        ):
            vals = {
                key: self.secrets[value].id if value in self.secrets else value
                for key, value in vals.items()
            }
            if model == "invoice.run.schedule":
                vals["date_from"] = "2024-01-01"
            vals["company_id"] = self.stranger.company_id.id
            with self.subTest(model=model), self.assertRaises(AccessError) as refused:
                self.env[model].with_user(self.stranger).create(vals)
            self.assertNotIn("Secret", str(refused.exception))

    def test_own_names_are_told(self):
        spec = {"scenario_id": {"fields": {"display_name": {}}}}
        Run = self.env["invoice.run"].with_user(self.user)
        answer = Run.onchange({"scenario_id": self.scenario.id}, [], spec)
        self.assertEqual(answer["value"]["scenario_id"]["display_name"], "Secret scenario")
