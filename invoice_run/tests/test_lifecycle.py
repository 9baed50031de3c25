from itertools import product
from unittest.mock import patch

import pytz
from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

STEPS = ("amounts", "approve", "invoices", "send")
APPROVE = "invoice_run.mail_activity_approve"
ATTEND = "invoice_run.mail_activity_attend"


def _pretend_to_send(job, run):
    """Stand in for ``invoice.run.job.send._process``."""
    run.document_ids.write({"send_state": "sent"})
    run.write({"job": "none"})
    return True


class LifecycleCommon(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contract = cls._make_contract(date_start="2024-01-01")
        cls.debtor.invoice_sending_method = "email"

    def _make_scheduled_run(self, **vals):
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "Rent",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": "2024-01-01",
                "activation_days": 0,
                "run_count": 1,
                "user_id": self.user.id,
                "reviewer_id": self.reviewer.id,
                **vals,
            }
        )
        schedule.action_generate_runs()
        return schedule.run_ids

    def _run_cron(self, moment="2024-01-02 10:00:00"):
        with freeze_time(moment):
            self.env["invoice.run"].sudo()._cron_process_runs()
        self.env.invalidate_all()

    def _set_company(self, **steps):
        self.company.write({f"invoice_run_auto_{step}": value for step, value in steps.items()})

    def _get_activities(self, run, xml_id):
        return run.activity_search([xml_id])


@tagged("post_install", "-at_install")
class TestWhoIsAsked(LifecycleCommon):
    """Nobody is waited for who cannot answer."""

    def test_reviewer_without_the_role(self):
        run = self._make_scheduled_run()
        run.reviewer_id = self.user
        self._run_cron()
        self.assertFalse(run.has_reviewer)
        self.assertFalse(self._get_activities(run, APPROVE))
        self.assertEqual(self._get_activities(run, ATTEND).user_id, self.user)
        run.reviewer_id = self.reviewer
        self.assertTrue(run.has_reviewer)

    def test_responsible_who_left(self):
        run = self._make_scheduled_run(reviewer_id=False)
        self.company.invoice_run_reviewer_id = self.reviewer
        self.user.active = False
        self._run_cron()
        self.assertEqual(self._get_activities(run, ATTEND).user_id, self.reviewer)


@tagged("post_install", "-at_install")
class TestCompanyDay(LifecycleCommon):
    """A day is the company's, the same for whoever asks and for scheduled actions."""

    def _get_days(self):
        users = self.env.ref("base.user_root") + self.user + self.manager
        return {str(self.company.with_user(user)._get_invoice_run_today()) for user in users}

    def test_without_a_time_zone(self):
        """That of the company's first user who has one."""
        self.env["res.users"].with_context(active_test=False).search([]).partner_id.tz = False
        self.company.partner_id.tz = False
        with freeze_time("2024-01-31 23:30:00"):
            self.assertEqual(self._get_days(), {"2024-01-31"})
            self.user.tz, self.manager.tz = "Pacific/Auckland", "America/New_York"
            self.assertEqual(self._get_days(), {"2024-02-01"})
            self.company.partner_id.tz = "America/Los_Angeles"
            self.assertEqual(self._get_days(), {"2024-01-31"})

    def test_a_name_that_was_dropped(self):
        self.company.partner_id.tz = "US/Eastern"
        self.assertEqual(str(self.company._get_invoice_run_zone()), "US/Eastern")
        known = pytz.all_timezones_set - {"US/Eastern"}
        with patch.object(pytz, "all_timezones_set", known):
            self.assertEqual(str(self.company._get_invoice_run_zone()), "America/New_York")

    def test_credit_notes(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        self._make_invoices(run)
        self.user.tz = "America/New_York"
        with freeze_time("2024-01-31 23:30:00"):
            run.with_user(self.user).action_reverse()
        credit = run.invoice_ids.reversal_move_ids
        self.assertEqual(str(credit.date), "2024-02-01")


@tagged("post_install", "-at_install")
class TestAutomation(LifecycleCommon):
    """Every combination of the four steps: a "no" stops, a step by hand lets the rest go on."""

    def setUp(self):
        super().setUp()
        # what is sent is looked at in test_sending
        self.patch(self.env.registry["invoice.run.job.send"], "_process", _pretend_to_send)

    def _get_reached(self, run):
        """Return the steps that are done, in order."""
        done = {
            "amounts": bool(run.document_ids),
            "approve": run.state in ("approved", "invoiced"),
            "invoices": run.state == "invoiced",
            "send": set(run.document_ids.mapped("send_state")) == {"sent"},
        }
        return [step for step in STEPS if done[step]]

    def _do_by_hand(self, run, step):
        method = {
            "amounts": "action_generate_amounts",
            "approve": "action_approve",
            "invoices": "action_generate_invoices",
            "send": "action_send",
        }[step]
        getattr(run.with_user(self.reviewer), method)()

    def _get_expected(self, automatic, begun):
        """Return the steps that are done once those before ``begun`` were done by hand."""
        expected = list(STEPS[:begun])
        for step in STEPS[begun:]:
            if not automatic[step]:
                break
            expected.append(step)
        return expected

    def test_every_combination(self):
        for choices in product((True, False), repeat=len(STEPS)):
            automatic = dict(zip(STEPS, choices, strict=True))
            with self.subTest(**automatic), self.env.cr.savepoint() as savepoint:
                self._set_company(**automatic)
                run = self._make_scheduled_run()
                self._run_cron("2023-12-31 10:00:00")
                self.assertEqual(run.state, "on_hold")
                self._run_cron()
                self.assertEqual(self._get_reached(run), self._get_expected(automatic, 0))
                for number, step in enumerate(STEPS):
                    if step in self._get_reached(run):
                        continue
                    self._do_by_hand(run, step)
                    self._run_cron()
                    expected = self._get_expected(automatic, number + 1)
                    self.assertEqual(self._get_reached(run), expected)
                self.assertEqual(len(run.invoice_ids), 1)
                self._run_cron("2024-01-03 10:00:00")
                self.assertEqual(len(run.invoice_ids), 1)
                savepoint.rollback()
            self.env.invalidate_all()

    def test_schedule_overrides_the_company(self):
        for step in STEPS:
            for company, choice, expected in (
                (True, "company", True),
                (True, "yes", True),
                (True, "no", False),
                (False, "company", False),
                (False, "yes", True),
                (False, "no", False),
            ):
                with self.subTest(step=step, company=company, choice=choice):
                    self._set_company(**{step: company})
                    run = self._make_run("2024-01-15")
                    run.schedule_id.sudo()[f"auto_{step}"] = choice
                    self.assertIs(run._is_automatic(step), expected)

    def test_activation_by_hand_before_the_date(self):
        self._set_company(amounts=True)
        run = self._make_scheduled_run()
        with freeze_time("2023-06-01"):
            run.with_user(self.user).action_submit()
            run.with_user(self.user).action_submit()
        self.assertEqual(run.submitted_by_id, self.user)
        self._run_cron("2023-06-01 11:00:00")
        self.assertEqual(self._get_periods(run), ["2024-01-01/2024-01-31"])

    def test_activation_on_the_companys_day(self):
        run = self._make_scheduled_run()
        self._run_cron("2023-12-31 22:59:00")
        self.assertEqual(run.state, "on_hold")
        self._run_cron("2023-12-31 23:01:00")
        self.assertNotEqual(run.state, "on_hold")

    def test_automatic_approval_stops_at_what_a_person_must_see(self):
        self._set_company(approve=True, invoices=True)
        self._make_contract(date_start="2024-01-01", billing_hold=True)
        run = self._make_scheduled_run()
        self._run_cron()
        self.assertEqual(run.state, "amounts")
        self.assertEqual(run.exception_count, 1)
        run.with_user(self.reviewer).action_approve()
        self._run_cron()
        self.assertEqual(run.state, "invoiced")

    def test_automatic_approval_is_exempt_from_four_eyes(self):
        self._set_company(approve=True)
        self.company.invoice_run_four_eyes = True
        run = self._make_scheduled_run()
        run.with_user(self.reviewer).action_submit()
        self._run_cron()
        self.assertEqual(run.state, "approved")
        self.assertNotIn(run.approved_by_id, (self.user, self.reviewer))


@tagged("post_install", "-at_install")
class TestActivities(LifecycleCommon):
    """One activity for the user concerned, while there is something to do; all in the chatter."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.write({"invoice_run_auto_amounts": True, "invoice_run_auto_approve": False})

    def _make_waiting_run(self):
        run = self._make_scheduled_run()
        self._run_cron()
        self.assertEqual(run.state, "amounts")
        return run

    def test_reviewer_is_asked_once(self):
        run = self._make_waiting_run()
        self.assertEqual(self._get_activities(run, APPROVE).user_id, self.reviewer)
        self._make_amounts(run)
        self._make_amounts(run)
        self.assertEqual(len(self._get_activities(run, APPROVE)), 1)

    def test_approving_is_doing_it(self):
        run = self._make_waiting_run()
        mine = run.activity_schedule("mail.mail_activity_data_todo", user_id=self.user.id)
        run.with_user(self.reviewer).action_approve()
        self.assertFalse(self._get_activities(run, APPROVE))
        self.assertIn("Approve invoice run", str(run.message_ids.mapped("body")))
        self.assertTrue(mine.active, "activities of others stay")

    def test_withdrawn_approval_asks_again(self):
        run = self._make_waiting_run()
        run.with_user(self.reviewer).action_approve()
        run.with_user(self.user).invoice_date = "2024-01-05"
        self.assertEqual(run.state, "amounts")
        self.assertEqual(self._get_activities(run, APPROVE).user_id, self.reviewer)

    def test_nothing_left_to_approve(self):
        for method, args in (("action_delete_amounts", ["wrong"]), ("action_cancel", [])):
            with self.subTest(method=method):
                run = self._make_waiting_run()
                getattr(run.with_user(self.user), method)(*args)
                self.assertFalse(self._get_activities(run, APPROVE))
                run.action_cancel()

    def test_rejected(self):
        run = self._make_waiting_run()
        run.with_user(self.reviewer).action_reject("too much")
        self.assertFalse(self._get_activities(run, APPROVE))
        self.assertEqual(self._get_activities(run, ATTEND).user_id, self.user)
        self._make_amounts(run)
        self.assertFalse(self._get_activities(run, ATTEND), "it is being done")
        self.assertTrue(self._get_activities(run, APPROVE))

    def test_without_reviewer(self):
        run = self._make_scheduled_run(reviewer_id=False)
        self._run_cron()
        self.assertIn("waits for approval", self._get_activities(run, ATTEND).summary)
        run.with_user(self.user).action_delete_amounts("wrong")
        self.assertFalse(self._get_activities(run, ATTEND), "nothing waits any more")

    def test_all_who_are_asked_left(self):
        run = self._make_scheduled_run()
        (self.reviewer + self.user).group_ids = self.env.ref("base.group_user")
        self._run_cron()
        self.assertEqual(run.state, "amounts")
        self.assertFalse(run.activity_ids)
        self.assertIn("nobody was notified", str(run.message_ids.mapped("body")))

    @mute_logger("odoo.addons.invoice_run.models.document.invoice_run_invoicing")
    def test_responsible_is_told_what_failed_and_that_it_is_done(self):
        run = self._make_waiting_run()
        self.company.fiscalyear_lock_date = "2024-01-31"
        for _number in range(2):
            if run.state == "amounts":
                self._make_invoices(run)
            else:
                run.action_retry_failed()
                self.assertFalse(self._get_activities(run, ATTEND))
                run._process_queue()
            activity = self._get_activities(run, ATTEND)
            self.assertEqual(activity.user_id, self.user)
            self.assertIn("1 failed", activity.summary)
        self.company.fiscalyear_lock_date = False
        run.action_retry_failed()
        run._process_queue()
        self.assertEqual(run.state, "invoiced")
        self.assertIn("wait to be sent: 1", self._get_activities(run, ATTEND).summary)

    def test_who_and_when_are_in_the_chatter(self):
        run = self._make_scheduled_run()
        self.env.cr.flush()
        # the tests of Accounting switch it off
        run = run.with_context(tracking_disable=False, mail_notrack=False)
        for user, method in (
            (self.user, "action_submit"),
            (self.user, "_process_queue"),
            (self.reviewer, "action_approve"),
            (self.user, "action_generate_invoices"),
        ):
            getattr(run.with_user(user), method)()
            self.env.cr.flush()
        values = run.message_ids.sudo().tracking_value_ids
        found = {
            (value.field_id.name, value.new_value_char, value.mail_message_id.author_id)
            for value in values
        }
        for field, label, user in (
            ("state", "Submitted", self.user),
            ("state", "Approved", self.reviewer),
        ):
            self.assertIn((field, label, user.partner_id), found)

    def test_paused_schedule_says_so(self):
        run = self._make_scheduled_run()
        run.schedule_id.action_pause()
        with self.assertRaisesRegex(UserError, "is paused"):
            run.with_user(self.user).action_submit()

    # ------------------------------------------------------------------
    # A run of which nothing is due does not wait for an approval for ever
    # ------------------------------------------------------------------

    def test_scheduled_run_closes(self):
        for automatic in (True, False):
            with self.subTest(automatic=automatic):
                self._set_company(approve=automatic, invoices=automatic)
                self.contract.state = "draft"
                run = self._make_scheduled_run()
                self._run_cron()
                self.assertEqual(run.state, "invoiced")
                self.assertFalse(run.document_ids)
                self.assertIn("Nothing was due", str(run.message_ids.mapped("body")))
                self.assertFalse(self._get_activities(run, APPROVE))

    def test_something_became_due_after_all(self):
        self.contract.state = "draft"
        run = self._make_scheduled_run()
        self._run_cron()
        self.assertEqual(run.state, "invoiced")
        self.contract.action_activate()
        self._make_amounts(run)
        self.assertEqual(run.state, "amounts")
        self._make_invoices(run)
        self.assertEqual(len(run.invoice_ids), 1)

    def test_only_exceptions(self):
        self.contract.billing_hold = True
        run = self._make_scheduled_run()
        self._run_cron()
        self.assertEqual(run.state, "amounts")
        self.assertFalse(self._get_activities(run, APPROVE))
        self.assertIn("nothing can be invoiced", self._get_activities(run, ATTEND).summary)

    def test_ad_hoc_run_closes_after_a_while(self):
        self.contract.state = "draft"
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(run.state, "amounts")
        self._run_cron(fields.Datetime.add(fields.Datetime.now(), days=8))
        self.assertEqual(run.state, "invoiced")
