from unittest.mock import patch

from freezegun import freeze_time

from odoo.tests import tagged
from odoo.tools import mute_logger

from .test_lifecycle import ATTEND, LifecycleCommon

QUIET = (
    "odoo.addons.invoice_run.models.job.invoice_run_queue",
    "odoo.addons.invoice_run.models.schedule.invoice_run_schedule_runs",
)


@tagged("post_install", "-at_install")
class TestTrouble(LifecycleCommon):
    """Work that stops for an unforeseen reason: somebody is told, and nothing is lost."""

    @mute_logger(*QUIET)
    def _run_cron_broken(self, job="amounts", text="disk is full"):
        cron = self.env.ref("invoice_run.invoice_run_cron")
        model = self.env.registry[f"invoice.run.job.{job}"]
        broken = patch.object(model, "_process", side_effect=OSError(text))
        with broken, freeze_time("2024-01-02 10:00:00"), self.enter_registry_test_mode():
            self.assertIs(cron.method_direct_trigger(), True)
        self.env.invalidate_all()

    def _queue_amounts(self):
        run = self._make_run("2024-01-15", user_id=self.user.id)
        run.with_user(self.user).action_generate_amounts()
        return run

    def test_responsible_is_told_once_and_others_go_on(self):
        run = self._queue_amounts()
        for _number in range(2):
            self._run_cron_broken()
        self.assertEqual(run.job, "amounts", "it is tried again")
        self.assertIn("disk is full", run.job_error)
        activity = self._get_activities(run, ATTEND)
        self.assertEqual((len(activity), activity.user_id), (1, self.user))
        self.assertIn("Generating amounts", activity.summary)
        for text in ("disk is full", "Try Again", "every hour"):
            self.assertIn(text, activity.note)
        told = run.message_ids.filtered(lambda message: "disk is full" in message.body)
        self.assertEqual(len(told), 1)

    def test_another_reason_is_told_again(self):
        run = self._queue_amounts()
        self._run_cron_broken()
        self._run_cron_broken(text="no memory")
        self.assertIn("no memory", run.job_error)
        self.assertIn("no memory", self._get_activities(run, ATTEND).note)

    def test_next_time_succeeds(self):
        run = self._queue_amounts()
        self._run_cron_broken()
        self._run_cron()
        self.assertEqual((run.state, run.job, run.job_error), ("amounts", "none", False))
        self.assertFalse(self._get_activities(run, ATTEND))
        self._make_invoices(run)
        self._run_cron()
        self.assertEqual(len(run.invoice_ids), 1)

    def test_try_again(self):
        run = self._queue_amounts()
        self._run_cron_broken()
        run.with_user(self.user).action_try_again()
        self.assertEqual((run.job, run.job_error), ("amounts", False))
        self.assertFalse(self._get_activities(run, ATTEND))

    def test_stop(self):
        run = self._make_amounts(self._make_run("2024-01-15", user_id=self.user.id))
        run.with_user(self.reviewer).action_approve()
        run.action_generate_invoices()
        self._run_cron_broken("invoices")
        self.assertIn("Generating invoices", self._get_activities(run, ATTEND).summary)
        run.with_user(self.user).action_stop_work()
        self.assertEqual((run.state, run.job, run.job_error), ("approved", "none", False))
        run.with_user(self.user).action_generate_invoices()
        self._run_cron()
        self.assertEqual(len(run.invoice_ids), 1)

    def test_stop_holds_back_what_was_to_be_sent(self):
        run = self._make_amounts(self._make_run("2024-01-15", user_id=self.user.id))
        self._make_invoices(run)
        run.document_ids.sudo().send_action = "email"
        run.with_user(self.user).action_send()
        self.assertEqual(run.job, "send")
        self._run_cron_broken("send")
        run.with_user(self.user).action_stop_work()
        self.assertEqual((run.job, run.job_error), ("none", False))
        self.assertFalse(any(run.document_ids.mapped("send_asked")), "nothing goes by itself")
        self.assertEqual(set(run.document_ids.mapped("send_state")), {"pending"})

    def test_buttons_touch_no_healthy_run(self):
        run = self._queue_amounts()
        for method in ("action_try_again", "action_stop_work"):
            getattr(run.with_user(self.user), method)()
            self.assertEqual(run.job, "amounts")

    def test_activation_of_one_run_never_stops_the_others(self):
        bad, good = self._make_scheduled_run(), self._make_scheduled_run()
        submit = type(bad).action_submit

        def break_one(runs):
            if bad in runs:
                raise OSError("no luck")
            return submit(runs)

        with patch.object(type(bad), "action_submit", break_one), mute_logger(*QUIET):
            self._run_cron()
        self.assertEqual((bad.state, good.state), ("on_hold", "amounts"))
        self.assertIn("no luck", self._get_activities(bad, ATTEND).note)
        self._run_cron()
        self.assertEqual((bad.state, bad.job_error), ("amounts", False))

    def test_schedule_without_next_runs(self):
        schedule = self._make_scheduled_run(run_count=0).schedule_id
        schedule.run_ids[1:].unlink()
        broken = patch.object(type(schedule), "_create_runs", side_effect=OSError("disk is full"))
        for _number in range(2):
            with broken, mute_logger(*QUIET):
                self._run_cron("2024-03-02 10:00:00")
        self.assertEqual(schedule.activity_ids.user_id, self.user)
        self.assertIn("disk is full", schedule.activity_ids.note)
