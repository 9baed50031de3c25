"""Guided set-up: three questions."""

from freezegun import freeze_time

from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
@freeze_time("2024-03-15")
class TestSetup(InvoiceRunCommon):
    def _set_up(self, user=None, **vals):
        setup = self.env["billing.setup"].with_user(user or self.manager).create(vals)
        action = setup.action_set_up()
        schedules = self.env["invoice.run.schedule"].search(
            [("scenario_id", "in", setup.scenario_ids.ids), ("cycle", "!=", "once")]
        )
        return schedules, action

    def test_without_contracts_the_next_period_is_the_first(self):
        schedule, action = self._set_up()
        self.assertEqual(action["res_model"], "billing.contract")
        self.assertEqual(schedule.date_from, self._date("2024-04-01"))
        self.assertEqual(len(schedule.run_ids), 13)
        self.assertEqual(set(schedule.run_ids.mapped("state")), {"on_hold"})
        self.assertEqual(schedule.reviewer_id, self.manager)
        self.assertEqual(schedule.auto_approve, "no")
        self.assertEqual(self.company.billing_unset_sending, "email")
        self.assertEqual(self.company.invoice_run_reviewer_id, self.manager)

    def test_what_is_due_is_ready_to_look_at(self):
        contract = self._make_contract(date_start="2024-03-01")
        schedule, action = self._set_up()
        run = self.env[action["res_model"]].browse(action["res_id"])
        self.assertEqual(run, schedule.run_ids.sorted("number")[0])
        self.assertEqual((run.state, run.reviewer_id), ("amounts", self.manager))
        self.assertEqual(run.line_ids.contract_id, contract)
        self.assertEqual(run.date_from, self._date("2024-03-01"))

    def test_again_changes_and_adds_nothing(self):
        schedule, _action = self._set_up()
        again, _action = self._set_up(approver="other", reviewer_id=self.reviewer.id)
        self.assertEqual(again, schedule)
        self.assertEqual(len(schedule.run_ids), 13)
        self.assertEqual(set(schedule.run_ids.reviewer_id), {self.reviewer})

    def test_again_with_another_cycle(self):
        schedule, _action = self._set_up()
        self._set_up(cycle="quarterly")
        self.assertEqual(schedule.cycle, "quarterly")
        self.assertEqual(schedule.run_ids.sorted("number")[0].date_to, self._date("2024-06-30"))

    def test_begun_schedules_keep_their_rhythm(self):
        self._make_contract(date_start="2024-03-01")
        schedule, _action = self._set_up()
        self._set_up(cycle="weekly", approver="nobody")
        self.assertEqual((schedule.cycle, schedule.auto_approve), ("monthly", "yes"))

    def test_first_days(self):
        for cycle, when, first in (
            ("weekly", "after", "2024-03-11"),
            ("quarterly", "after", "2024-01-01"),
            ("half_yearly", "first", "2024-07-01"),
            ("yearly", "manual", "2024-01-01"),
        ):
            with self.subTest(cycle), self.env.cr.savepoint() as savepoint:
                schedule, _action = self._set_up(cycle=cycle, when=when)
                self.assertEqual(schedule.date_from, self._date(first))
                savepoint.rollback()

    def test_several_answers(self):
        choices = self.env["billing.setup"].with_user(self.manager).create({}).choice_ids
        self.assertGreaterEqual(len(choices), 3)
        schedules, action = self._set_up(scenario_ids=choices.ids, when="after")
        self.assertEqual(schedules.scenario_id, choices)

    def test_first_run_waits_for_a_person_whoever_approves_later(self):
        contract = self._make_contract(date_start="2024-02-01")
        # nothing unusual is left: this contract was invoiced before, for the same amount
        self._run_all("2024-02-15")
        schedule, action = self._set_up(approver="nobody")
        first, *later = schedule.run_ids.sorted("number")
        self.assertEqual(first.id, action["res_id"])
        first._process_queue()
        self.assertEqual(first.line_ids.contract_id, contract)
        self.assertEqual((first.state, first.flagged_count), ("amounts", 0))
        self.assertFalse(first.invoice_ids)
        first.with_user(self.reviewer).action_approve()
        first._process_queue()
        self.assertEqual(first.state, "invoiced")
        with freeze_time("2024-04-01"):
            later[0].with_user(self.user).action_submit()
            later[0]._process_queue()
        self.assertEqual(later[0].state, "invoiced")

    def test_first_run_waits_although_it_begins_later(self):
        schedule, _action = self._set_up(approver="nobody")
        first, *later = schedule.run_ids.sorted("number")
        self.assertFalse(first._is_automatic("approve"))
        self.assertTrue(all(run._is_automatic("approve") for run in later))
        # another first day: another run is the first
        self._set_up(approver="nobody", cycle="quarterly")
        self.assertEqual(
            schedule.run_ids.filtered("is_first_look"), schedule.run_ids.sorted("number")[:1]
        )

    def test_nothing_is_asked_twice(self):
        self.company.email = False
        self.manager.group_ids += self.env.ref("base.group_erp_manager")
        Run = self.env["invoice.run"].with_user(self.manager).with_company(self.company)

        def get_codes():
            return {finding["code"] for finding in Run.get_first_steps()["findings"]}

        asked = {"sender", "setting"}
        self.assertFalse(get_codes() & asked)
        setup = self.env["billing.setup"].with_user(self.manager).create({})
        self.assertTrue(setup.is_sending_undecided)
        self._set_up(unset_sending="ask")
        self.assertEqual(get_codes() & asked, asked)
        self._set_up(unset_sending="print")
        self.assertEqual(get_codes() & asked, {"sender"})
        setup = self.env["billing.setup"].with_user(self.manager).create({})
        self.assertFalse(setup.is_sending_undecided)
        self.assertEqual(setup.unset_sending, "print")

    def test_who_cannot_be_asked_is_told(self):
        self.company.email = False
        Run = self.env["invoice.run"].with_user(self.manager).with_company(self.company)
        self.assertFalse(self.env["billing.setup"].with_user(self.manager).new().is_email_missing)
        findings = {one["code"]: one for one in Run.get_first_steps()["findings"]}
        self.assertIn("Ask your administrator", findings["sender"]["text"])
        self.assertNotIn("setting", findings)

    def test_managers_only(self):
        for user in (self.user, self.reviewer):
            with self.assertRaises(AccessError):
                self._set_up(user)

    def test_four_eyes_needs_a_colleague(self):
        self.company.invoice_run_four_eyes = True
        with self.assertRaisesRegex(UserError, "Choose a colleague"):
            self._set_up()

    def test_only_reviewers_approve(self):
        with self.assertRaisesRegex(UserError, "is not a reviewer"):
            self._set_up(approver="other", reviewer_id=self.user.id)

    def test_company_without_accounts(self):
        company = self.env["res.company"].create({"name": "Bare"})
        manager = self._make_user(
            "bare_manager", "invoice_run.invoice_run_group_manager", company=company
        )
        self.assertFalse(company.chart_template)
        with self.assertRaisesRegex(UserError, "Bare has no chart of accounts"):
            self._set_up(manager)

    def test_one_message_for_a_company_without_accounts(self):
        company = self.env["res.company"].create({"name": "Bare"})
        scenario = self.env["billing.scenario"].search([("company_id", "=", company.id)], limit=1)
        product = self._make_product("Bare rent", 100.0)
        for number in range(3):
            partner = self._make_partner(f"Customer {number}")
            self._make_contract(
                [{"product_id": product.id}],
                partner_id=partner.id,
                company_id=company.id,
                date_start="2024-03-01",
            )
        run = self._make_run("2024-03-15", scenario)
        run.action_generate_amounts()
        run._process_queue()
        self.assertEqual(len(run.exception_ids), 1)
        self.assertIn("Fiscal Localization", run.exception_ids.message)

    def test_what_is_new_has_a_readable_name(self):
        """A breadcrumb says neither a technical name nor a number that is none."""
        with_form = self.env["ir.ui.view"].search([("type", "=", "form")]).mapped("model")
        for name, model in self.env.registry.items():
            if model._original_module != "invoice_run" or name not in with_form:
                continue
            shown = self.env[name].with_user(self.manager).new({}).display_name or ""
            with self.subTest(model=name, shown=shown):
                self.assertNotIn(f"{name},", shown)
                self.assertNotEqual(shown, "/")
