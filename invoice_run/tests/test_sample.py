from freezegun import freeze_time

from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from ..models.desk.invoice_run_sample import SAMPLE_MODELS
from .common import InvoiceRunCommon

COUNTED = (
    *SAMPLE_MODELS,
    "billing.contract.line",
    "product.template",
    "invoice.run",
    "invoice.run.schedule",
    "invoice.run.document",
    "invoice.run.line",
    "invoice.run.exception",
    "account.move",
    "ir.model.data",
)


@tagged("post_install", "-at_install")
@freeze_time("2025-03-20")
class TestSample(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sample = cls.env["invoice.run.sample"].with_user(cls.manager)

    def _count(self):
        models = (self.env[name].with_context(active_test=False) for name in COUNTED)
        return {model._name: model.search_count([]) for model in models}

    def _load(self):
        """Load the sample data; return the first run of the schedule."""
        action = self.sample.action_load()
        runs = self.env["invoice.run"].search(action["domain"], order="date_from")
        self.assertEqual(len(runs), 3)
        return runs[0]

    def test_first_use_from_sample_to_draft_invoices_and_back(self):
        before = self._count()
        run = self._load()
        self._make_amounts(run)
        self.assertEqual(run.state, "amounts")
        self.assertEqual(run.exception_ids.mapped("code"), ["hold"])
        self.assertGreaterEqual(len(run.line_ids), 4)
        moves = self._make_invoices(run)
        self.assertEqual(set(moves.mapped("state")), {"draft"})
        self.sample.action_remove()
        self.assertEqual(self._count(), before)

    def test_nothing_happens_by_itself(self):
        self._load()
        with freeze_time("2025-06-30"):
            self.env["invoice.run"]._cron_process_runs()
        runs = self.env["invoice.run"].search([("schedule_id.name", "like", "sample")])
        self.assertEqual(set(runs.mapped("state")), {"on_hold"})

    def test_twice_is_refused_and_again_after_removing(self):
        self._load()
        with self.assertRaises(UserError):
            self.sample.action_load()
        self.sample.action_remove()
        self._load()

    def test_removing_nothing_changes_nothing(self):
        before = self._count()
        self.sample.action_remove()
        self.assertEqual(self._count(), before)

    def test_confirmed_invoices_keep_the_sample_data(self):
        run = self._load()
        self._make_amounts(run)
        moves = self._make_invoices(run)
        moves[0].action_post()
        before = self._count()
        with self.assertRaisesRegex(UserError, "cannot be deleted"):
            self.sample.action_remove()
        self.assertEqual(self._count(), before)

    def test_own_data_are_not_touched(self):
        own = self._make_contract(date_start="2025-03-01")
        run = self._load()
        self._make_amounts(run)
        everything = self._make_amounts(self._make_run("2025-04-30"))
        self.assertIn(own, everything.line_ids.contract_id)
        self.sample.action_remove()
        self.assertTrue(own.exists())
        self.assertEqual(everything.line_ids.contract_id, own)

    def test_what_was_used_elsewhere_is_archived(self):
        self._load()
        partner = self.sample._get_records("res.partner")[0]
        own = self._make_contract(partner_id=partner.id)
        self.sample.action_remove()
        self.assertEqual(own.partner_id, partner)
        self.assertFalse(partner.active)
        self.assertFalse(self.sample._get_records("res.partner"))

    def _get_steps(self, user=None):
        """Return {title of a first step: whether it is done}; empty when nothing is shown."""
        panel = self.env["invoice.run"].with_user(user or self.user).get_first_steps()
        return {step["title"]: step["done"] for step in panel["steps"]} if panel else {}

    def test_first_steps_are_ticked_and_open_again(self):
        nothing_yet = {"A contract": False, "A schedule": False, "The first run": False}
        nothing_yet["What is invoiced"] = True
        self.assertEqual(self._get_steps(), nothing_yet)
        self._make_invoices(self._make_amounts(self._load()))
        self.assertEqual(set(self._get_steps().values()), {True})
        self.sample.action_remove()
        self.assertEqual(self._get_steps(), nothing_yet)
        self.env["invoice.run"].with_user(self.manager).close_first_steps()
        self.assertFalse(self._get_steps())
        other = self._make_other_company_user()
        self.assertTrue(self._get_steps(other), "closed for one company only")

    def _make_other_company_user(self):
        company = self._create_company(name="Another")
        return self._make_user("other_user", "invoice_run.invoice_run_group_user", company=company)

    def test_first_invoices_end_the_first_steps(self):
        self._make_contract(date_start="2025-03-01")
        self.assertTrue(self._get_steps()["A contract"])
        self._run_all("2025-03-31")
        self.assertFalse(self._get_steps())

    def test_first_steps_open_what_they_name(self):
        steps = self.env["onboarding.onboarding.step"].with_user(self.user)
        panel = self.env["invoice.run"].with_user(self.user).get_first_steps()
        opened = [getattr(steps, step["method"])() for step in panel["steps"]]
        models = ["billing.scenario", "billing.contract", "invoice.run.schedule", "invoice.run"]
        self.assertEqual([action["res_model"] for action in opened], models)

    def test_managers_see_the_menus(self):
        menus = self.env["ir.ui.menu"]
        names = ("invoice_run_sample_menu_load", "invoice_run_sample_menu_remove")
        for name in (*names, "billing_setup_menu"):
            menu = self.env.ref(f"invoice_run.{name}")
            for user, is_seen in ((self.manager, True), (self.user, False)):
                with self.subTest(menu=name, user=user.login):
                    visible = menus.with_user(user)._visible_menu_ids()
                    self.assertEqual(menu.id in visible, is_seen)
            action = menu.action.with_user(self.manager)
            if menu.action._name == "ir.actions.server":
                action.run()
        self.assertFalse(self.sample._get_records("billing.contract"), "loaded, then removed")

    def test_managers_only(self):
        with self.assertRaises(AccessError):
            self.env["invoice.run"].with_user(self.user).close_first_steps()
        for user in (self.user, self.reviewer):
            for action in ("action_load", "action_remove"):
                with self.assertRaises(AccessError):
                    getattr(self.env["invoice.run.sample"].with_user(user), action)()
