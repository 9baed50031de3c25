from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestSchedules(InvoiceRunCommon):
    """Runs are made once each, ahead, in order, and follow their schedule until they begin."""

    def _make_schedule(self, generate=True, **vals):
        schedule = (
            self.env["invoice.run.schedule"]
            .with_user(self.user)
            .create(
                {
                    "name": "Rent",
                    "company_id": self.company.id,
                    "scenario_id": self.scenario.id,
                    "date_from": "2024-01-01",
                    "activation_days": 0,
                    "run_count": 3,
                    **vals,
                }
            )
        )
        if generate:
            schedule.action_generate_runs()
        return schedule

    def _get_runs(self, schedule):
        return schedule.run_ids.sorted("number")

    def assertDates(self, schedule, name, days):
        found = [fields.Date.to_string(run[name]) for run in self._get_runs(schedule)]
        self.assertEqual(found, days)

    def _run_cron(self, moment):
        cron = self.env.ref("invoice_run.invoice_run_cron")
        with freeze_time(moment), self.enter_registry_test_mode():
            self.assertIs(cron.method_direct_trigger(), True)
        self.env.invalidate_all()

    # ------------------------------------------------------------------
    # Making runs
    # ------------------------------------------------------------------

    def test_deleted_run_is_made_again_in_its_place(self):
        schedule = self._make_schedule()
        first, second, third = self._get_runs(schedule)
        second.with_user(self.manager).unlink()
        schedule.action_generate_runs()
        again = self._get_runs(schedule)
        self.assertEqual(again[0], first)
        self.assertEqual(again[2], third)
        self.assertNotEqual(again[1], second)
        self.assertDates(schedule, "date_from", ["2024-01-01", "2024-02-01", "2024-03-01"])

    def test_cancelled_run_is_not_made_again(self):
        schedule = self._make_schedule()
        self._get_runs(schedule)[1].action_cancel()
        schedule.action_generate_runs()
        self.assertEqual(len(schedule.run_ids), 3)

    def test_until_a_date(self):
        schedule = self._make_schedule(run_count=0, until_date="2024-04-01")
        self.assertEqual(len(schedule.run_ids), 4)
        schedule = self._make_schedule(run_count=0, until_date="2024-03-31")
        self.assertEqual(len(schedule.run_ids), 3)
        schedule = self._make_schedule(run_count=2, until_date="2024-12-31")
        self.assertEqual(len(schedule.run_ids), 2)

    def test_once_makes_one(self):
        schedule = self._make_schedule(cycle="once", date_to="2024-02-10", run_count=0)
        schedule.action_generate_runs()
        self.assertDates(schedule, "date_to", ["2024-02-10"])

    def test_ad_hoc_run_has_a_schedule_of_its_own(self):
        schedules = self.env["invoice.run.schedule"]
        before = schedules.search_count([])
        first, second = self._make_run("2024-01-15"), self._make_run("2024-01-15")
        self.assertEqual(schedules.search_count([]), before + 2)
        self.assertNotEqual(first.schedule_id, second.schedule_id)
        first.schedule_id.action_generate_runs()
        self.assertEqual(first.schedule_id.run_ids, first)

    def test_copied_ad_hoc_run_is_another_ad_hoc_run(self):
        run = self._make_run("2024-01-15", target_date="2024-02-29")
        copy = run.with_user(self.user).copy()
        self.assertNotEqual(copy.schedule_id, run.schedule_id)
        self.assertEqual(copy.target_date, run.target_date)
        self.assertEqual(copy.state, "on_hold")

    def test_form_lists_the_next_runs_only(self):
        schedule = self._make_schedule(run_count=40)
        self.assertEqual(schedule.next_run_ids.mapped("number"), list(range(12)))
        done = self._get_runs(schedule)[:38]
        done.sudo().write({"state": "cancelled"})
        self.env.invalidate_all()
        self.assertEqual(schedule.next_run_ids.mapped("number"), list(range(28, 40)))
        action = schedule.action_view_runs()
        self.assertEqual(self.env["invoice.run"].search_count(action["domain"]), 40)

    def test_save_and_return(self):
        action = self._make_schedule().action_save_and_return()
        self.assertEqual(action["res_model"], "invoice.run.schedule")
        self.assertEqual(action["target"], "main")

    # ------------------------------------------------------------------
    # Horizon
    # ------------------------------------------------------------------

    def test_runs_are_made_ahead(self):
        with freeze_time("2024-01-15"):
            schedule = self._make_schedule(run_count=0, activation_rule="disabled")
            self.assertEqual(len(schedule.run_ids), 13)
        self._run_cron("2024-01-31 12:00:00")
        self.assertEqual(len(schedule.run_ids), 13)
        # 1 February in Brussels
        self._run_cron("2024-01-31 23:30:00")
        self.assertEqual(len(schedule.run_ids), 14)
        self._run_cron("2024-02-01 10:00:00")
        self.assertEqual(len(schedule.run_ids), 14)

    def test_runs_are_made_ahead_after_months_of_standstill(self):
        with freeze_time("2024-01-15"):
            schedule = self._make_schedule(run_count=0, activation_rule="disabled")
        self._run_cron("2025-06-20")
        self.assertEqual(self._get_runs(schedule).mapped("number"), list(range(30)))

    def test_what_a_person_deleted_is_not_made_ahead(self):
        with freeze_time("2024-01-15"):
            schedule = self._make_schedule(run_count=0, activation_rule="disabled")
        self._get_runs(schedule)[3].with_user(self.manager).unlink()
        self._run_cron("2024-02-10")
        numbers = self._get_runs(schedule).mapped("number")
        self.assertEqual(numbers, [0, 1, 2, *range(4, 14)])

    def test_nothing_is_made_ahead_where_nobody_wants_it(self):
        with freeze_time("2024-01-15"):
            by_number = self._make_schedule(activation_rule="disabled")
            by_date = self._make_schedule(
                run_count=0, until_date="2024-06-30", activation_rule="disabled"
            )
            paused = self._make_schedule(run_count=0, activation_rule="disabled")
            closed = self._make_schedule(run_count=0, activation_rule="disabled")
            planned = self._make_schedule(generate=False, run_count=0)
            paused.action_pause()
            closed.action_close()
        self._run_cron("2024-07-10")
        found = [len(item.run_ids) for item in (by_number, by_date, paused, closed, planned)]
        self.assertEqual(found, [3, 6, 13, 13, 0])
        paused.action_resume()
        self._run_cron("2024-07-10")
        self.assertEqual(len(paused.run_ids), 19)

    def test_one_bad_schedule_does_not_stop_the_others(self):
        with freeze_time("2024-01-15"):
            bad = self._make_schedule(run_count=0, activation_rule="disabled")
            good = self._make_schedule(run_count=0, activation_rule="disabled")
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE invoice_run_schedule SET due_date = '2023-01-01', "
            "invoice_date = '2024-01-01' WHERE id = %s",
            [bad.id],
        )
        self.env.invalidate_all()
        with self.assertLogs("odoo.addons.invoice_run", "WARNING"):
            self._run_cron("2024-02-10")
        self.assertEqual(len(bad.run_ids), 13)
        self.assertEqual(len(good.run_ids), 14)

    # ------------------------------------------------------------------
    # Pause, resume, close
    # ------------------------------------------------------------------

    def test_missed_periods_come_once_each_and_in_order(self):
        self._make_contract(date_start="2024-01-01")
        self.company.invoice_run_auto_amounts = True
        schedule = self._make_schedule()
        schedule.action_pause()
        with self.assertRaisesRegex(UserError, "paused"):
            self._get_runs(schedule)[0].action_submit()
        with self.assertRaisesRegex(UserError, "resume it first"):
            schedule.action_generate_runs()
        self._run_cron("2024-03-10")
        self.assertEqual(set(schedule.run_ids.mapped("state")), {"on_hold"})
        schedule.action_resume()
        self._run_cron("2024-03-10")
        found = [self._get_periods(run) for run in self._get_runs(schedule)]
        expected = ["2024-01-01/2024-01-31", "2024-02-01/2024-02-29", "2024-03-01/2024-03-31"]
        self.assertEqual(found, [[period] for period in expected])
        self._run_cron("2024-03-11")
        self.assertEqual([self._get_periods(run) for run in self._get_runs(schedule)], found)

    def test_closed_schedule_begins_nothing(self):
        schedule = self._make_schedule()
        schedule.action_close()
        self._run_cron("2024-03-10")
        self.assertEqual(set(schedule.run_ids.mapped("state")), {"on_hold"})
        self._get_runs(schedule)[0].action_submit()
        self.assertEqual(self._get_runs(schedule)[0].state, "submitted")

    def test_schedule_with_runs_cannot_be_deleted(self):
        schedule = self._make_schedule()
        with self.assertRaisesRegex(UserError, "Close it"):
            schedule.with_user(self.manager).unlink()

    # ------------------------------------------------------------------
    # Copy and change
    # ------------------------------------------------------------------

    def test_copy(self):
        schedule = self._make_schedule(
            invoice_date="2024-01-03", due_date="2024-01-31", date_to="2024-01-20"
        )
        schedule.action_close()
        copy = schedule.copy()
        self.assertEqual(copy.name, "Rent (copy)")
        self.assertNotEqual(copy.reference, schedule.reference)
        self.assertEqual(copy.state, "active")
        self.assertFalse(copy.run_ids)
        for name in ("date_from", "date_to", "invoice_date", "due_date", "run_count", "cycle"):
            self.assertEqual(copy[name], schedule[name], name)
        copy.action_generate_runs()
        self.assertEqual(len(copy.run_ids), 3)

    def test_waiting_runs_follow_the_schedule(self):
        schedule = self._make_schedule(invoice_date="2024-01-03")
        runs = self._get_runs(schedule)
        runs[0].action_submit()
        scenario = self._make_scenario("Other")
        schedule.write(
            {
                "name": "New name",
                "invoice_date": "2024-01-05",
                "due_date": "2024-01-31",
                "activation_days": 3,
                "scenario_id": scenario.id,
                "reviewer_id": self.reviewer.id,
                "user_id": self.user.id,
            }
        )
        self.assertEqual(runs.mapped("name"), ["Rent", "New name", "New name"])
        self.assertDates(schedule, "invoice_date", ["2024-01-03", "2024-02-05", "2024-03-05"])
        self.assertDates(schedule, "due_date", [False, "2024-02-29", "2024-03-31"])
        self.assertDates(schedule, "activation_date", ["2024-01-01", "2024-01-29", "2024-02-27"])
        self.assertEqual(runs[0].scenario_id, self.scenario)
        self.assertEqual(runs[1:].scenario_id, scenario)
        self.assertEqual(runs[1:].reviewer_id, self.reviewer)

    def test_what_a_person_changed_on_a_run_stays(self):
        schedule = self._make_schedule(invoice_date="2024-01-03")
        run = self._get_runs(schedule)[1]
        run.invoice_date = "2024-02-20"
        schedule.run_name = "Invoices"
        self.assertEqual(run.name, "Invoices")
        self.assertEqual(run.invoice_date, self._date("2024-02-20"))
        schedule.invoice_date = "2024-01-10"
        self.assertEqual(run.invoice_date, self._date("2024-02-10"))

    def test_another_cycle(self):
        schedule = self._make_schedule()
        self._get_runs(schedule)[0].action_submit()
        schedule.cycle = "quarterly"
        self.assertDates(schedule, "date_from", ["2024-01-01", "2024-04-01", "2024-07-01"])
        self.assertDates(schedule, "target_date", ["2024-01-31", "2024-06-30", "2024-09-30"])

    def test_fewer_runs(self):
        schedule = self._make_schedule()
        first, second, third = self._get_runs(schedule)
        second.action_submit()
        reference = third.reference
        # deleting runs is for managers
        schedule.with_user(self.manager).run_count = 1
        self.assertEqual(schedule.run_ids, first | second)
        self.assertIn(reference, schedule.message_ids[0].body)
        schedule.run_count = 3
        schedule.action_generate_runs()
        self.assertEqual(len(schedule.run_ids), 3)

    def test_open_end_keeps_what_was_planned(self):
        schedule = self._make_schedule(run_count=40)
        schedule.run_count = 0
        self.assertEqual(len(schedule.run_ids), 40)

    def test_company_stays(self):
        other = self.setup_other_company()["company"]
        schedule = self._make_schedule()
        with self.assertRaisesRegex((UserError, ValidationError), "company"):
            schedule.sudo().write(
                {
                    "company_id": other.id,
                    "scenario_id": self._make_scenario("Other", company_id=other.id).id,
                }
            )
