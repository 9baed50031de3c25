from contextlib import closing, contextmanager
from unittest.mock import patch

from freezegun import freeze_time

from odoo import fields, sql_db
from odoo.addons.invoice_run import advisory_locks
from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.addons.queue_job.controllers.main import RunJobController
from odoo.addons.queue_job.exception import RetryableJobError
from odoo.addons.queue_job.job import Job
from odoo.addons.queue_job.jobrunner.runner import PG_ADVISORY_LOCK_ID
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..hooks import uninstall_hook
from ..models import invoice_run as queue

QUIET = "odoo.addons.invoice_run_queue_job.models.invoice_run"


@tagged("post_install", "-at_install")
class TestQueue(InvoiceRunCommon):
    """What is queued, once, and who does it; the runner itself: devtools/tests."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._make_contract(date_start="2024-01-01")
        cls.ivr = cls._make_run("2024-01-15")
        cls.crons = cls.ivr._get_worker_crons()

    def _turn_runner(self, is_on):
        Run = self.env.registry["invoice.run"]
        self.enterContext(patch.object(Run, "_is_runner_on", lambda _run: is_on))

    def _get_jobs(self, run=None, states=("pending", "enqueued")):
        domain = self.ivr._get_queue_jobs_domain()
        jobs = self.env["queue.job"].sudo().search([*domain, ("state", "in", states)], order="id")
        return jobs.filtered(lambda job: job.records == (run or self.ivr))

    def _count_triggers(self):
        return self.env["ir.cron.trigger"].sudo().search_count([("cron_id", "in", self.crons.ids)])

    @contextmanager
    def _runner(self):
        """Yield an environment on a cursor like that of the runner's request."""
        with self.enter_registry_test_mode(), self.registry.cursor() as cr:
            yield self.env(user=1, context={}, cr=cr)
        self.env.invalidate_all()

    def _perform(self, job):
        """Carry a job out as the runner's request does, without its commits."""
        job.state = "started"
        with self._runner() as env, patch.object(env.cr, "rollback"):
            RunJobController._runjob(env, Job.load(env, job.uuid))

    # ------------------------------------------------------------------
    # Who works
    # ------------------------------------------------------------------

    def test_runner_is_known_by_its_lock(self):
        Run = self.env["invoice.run"].sudo()
        self.assertFalse(Run._is_runner_on())
        with closing(sql_db.db_connect(self.env.cr.dbname).cursor()) as runner:
            runner.execute("SELECT pg_advisory_lock(%s)", [PG_ADVISORY_LOCK_ID])
            self.assertTrue(Run._is_runner_on())
            self.env["ir.config_parameter"].sudo().set_param(queue.WORKERS, "0")
            self.assertFalse(Run._is_runner_on(), "switched off")
            self.env["ir.config_parameter"].sudo().set_param(queue.WORKERS, "no number")
            self.assertTrue(Run._is_runner_on())
            runner.execute("SELECT pg_advisory_unlock(%s)", [PG_ADVISORY_LOCK_ID])
        self.assertFalse(Run._is_runner_on())

    def test_lock_of_the_runner_is_none_of_ours(self):
        ours = {key >> 32 for key in vars(advisory_locks).values() if isinstance(key, int)}
        self.assertNotIn(PG_ADVISORY_LOCK_ID >> 32, ours)

    def test_without_runner_the_scheduled_action_does_it(self):
        before = self._count_triggers()
        self.ivr.with_user(self.user).action_generate_amounts()
        self.assertFalse(self._get_jobs())
        self.assertGreater(self._count_triggers(), before)
        self.env["invoice.run"].sudo()._cron_process_runs()
        self.assertEqual((self.ivr.state, len(self.ivr.document_ids)), ("amounts", 1))

    def test_with_a_runner_each_job_is_queued_once(self):
        self._turn_runner(True)
        before = self._count_triggers()
        for _number in range(2):
            self.ivr.with_user(self.user)._queue_job("amounts")
        jobs = self._get_jobs()
        self.assertEqual(len(jobs), 4)
        self.assertEqual(len(set(jobs.mapped("identity_key"))), 4)
        self.assertEqual(set(jobs.mapped("channel")), {"root.invoice_run"})
        self.assertEqual(jobs.company_id, self.company)
        self.assertIn(self.ivr.reference, jobs[0].name)
        self.assertEqual(jobs[0].records.env.uid, 1, "the engine's user, as in a scheduled action")
        self.assertEqual(self._count_triggers(), before)

    def test_a_setting_says_among_how_many_jobs(self):
        self._turn_runner(True)
        self.env["ir.config_parameter"].sudo().set_param(queue.WORKERS, "2")
        self.ivr._queue_job("amounts")
        self.assertEqual(len(self._get_jobs()), 2)

    def test_sending_is_shared_and_printing_has_no_job(self):
        self._turn_runner(True)
        self.ivr._queue_job("send")
        self.assertEqual(len(self._get_jobs()), 4)
        before = self._count_triggers()
        other = self._make_run("2024-01-15")
        other._queue_job("print")
        self.assertFalse(self._get_jobs(other))
        self.assertGreater(self._count_triggers(), before)

    def test_scheduled_action_hands_over_and_does_nothing_itself(self):
        self.ivr.action_generate_amounts()
        self._turn_runner(True)
        for _number in range(2):
            self.env["invoice.run"].sudo()._cron_process_runs()
        self.assertEqual((self.ivr.state, self.ivr.job), ("submitted", "amounts"))
        self.assertEqual(len(self._get_jobs()), 4)

    def test_jobs_of_a_runner_that_is_gone_do_nothing_twice(self):
        self._turn_runner(True)
        self.ivr.action_generate_amounts()
        self._turn_runner(False)
        self.env["invoice.run"].sudo()._cron_process_runs()
        self.assertEqual((self.ivr.state, len(self.ivr.document_ids)), ("amounts", 1))
        for job in self._get_jobs():
            self._perform(job)
        self.assertEqual((self.ivr.state, len(self.ivr.document_ids)), ("amounts", 1))
        self.assertFalse(self._get_jobs())

    # ------------------------------------------------------------------
    # Jobs
    # ------------------------------------------------------------------

    def test_jobs_carry_a_run_to_its_invoices(self):
        self._turn_runner(True)
        self.ivr.with_user(self.user).action_generate_amounts()
        for job in self._get_jobs():
            self._perform(job)
        self.assertEqual((self.ivr.state, self.ivr.job), ("amounts", "none"))
        self.ivr.with_user(self.reviewer).action_approve()
        self.ivr.with_user(self.user).action_generate_invoices()
        self.assertEqual(len(self._get_jobs()), 4)
        for job in self._get_jobs():
            self._perform(job)
        self.assertEqual(self.ivr.state, "invoiced")
        self.assertEqual(self.ivr.document_ids.move_id.mapped("state"), ["posted"])
        self.assertFalse(self._get_jobs(states=("pending", "enqueued", "started", "failed")))

    def test_a_job_out_of_time_leaves_the_rest_to_the_next(self):
        self._turn_runner(True)
        self.ivr.action_generate_amounts()
        first = self._get_jobs()[0]
        with patch.object(queue, "SHARE_SECONDS", 0):
            self._perform(first)
        self.assertEqual(first.state, "done")
        self.assertEqual((self.ivr.job, len(self.ivr.document_ids)), ("amounts", 1))
        after = self._get_jobs().filtered(lambda job: job.identity_key == first.identity_key)
        self.assertEqual(len(after), 1)
        self._perform(after)
        self.assertEqual((self.ivr.state, len(self.ivr.document_ids)), ("amounts", 1))

    def test_what_waits_for_a_later_moment_is_called_at_once(self):
        self._turn_runner(True)
        with freeze_time("2024-01-02 10:00:00"):
            self.ivr.with_context(invoice_run_watched=True)._queue_job("amounts")
            jobs = self._get_jobs()
            self.assertEqual(set(jobs.mapped("eta")), {fields.Datetime.now().replace(minute=2)})
            self.ivr._look_again()
            self.assertEqual(jobs[0].eta.minute, 2, "it waits once")
            jobs[0].state = "enqueued"
            self.ivr._queue_job("amounts")
        self.assertEqual(self._get_jobs(), jobs)
        self.assertEqual(set(jobs.mapped("eta")), {False})
        self.assertEqual(set(jobs.mapped("state")), {"pending"}, "it is called once more")

    def test_a_busy_run_is_looked_at_again(self):
        self._turn_runner(True)
        self.ivr._write_engine({"job": "amounts"})
        before = self._count_triggers()
        for _number in range(2):
            self.ivr.with_context(invoice_run_share=3)._look_again()
        job = self._get_jobs()
        self.assertEqual(len(job), 1)
        self.assertTrue(job.eta)
        self.assertTrue(job.identity_key.endswith(".3"))
        self.assertEqual(self._count_triggers(), before)

    @mute_logger(QUIET)
    def test_a_failure_is_told_and_tried_again(self):
        self._turn_runner(True)
        self.ivr.action_generate_amounts()
        job = self._get_jobs()[0]
        amounts = self.env.registry["invoice.run.job.amounts"]
        with patch.object(amounts, "_process", side_effect=OSError("disk is full")):
            self._perform(job)
            self.assertEqual((job.state, job.retry), ("pending", 1))
            self.assertTrue(job.eta, "not at once")
            with self._runner() as env:
                # not assertRaises, whose savepoint goes with the rollback
                try:
                    self.ivr.with_env(env)._process_share(1)
                except RetryableJobError as error:
                    told = str(error)
        self.assertIn("disk is full", told)
        self.assertIn("disk is full", self.ivr.job_error)
        self.assertEqual(self.ivr.job, "amounts")
        self.ivr.with_user(self.user).action_try_again()
        self.assertFalse(job.eta, "a person wants it at once")
        self._perform(job)
        self.assertEqual((self.ivr.state, self.ivr.job_error), ("amounts", False))

    def test_a_run_that_is_gone_is_no_error(self):
        self._turn_runner(True)
        self.ivr._queue_job("amounts")
        jobs = self._get_jobs()
        self.ivr._write_engine({"job": "none"})
        self.ivr.unlink()
        self._perform(jobs[0])
        self.assertEqual(jobs[0].state, "done")

    def test_uninstalling_gives_the_work_back(self):
        self._turn_runner(True)
        self.ivr.action_generate_amounts()
        self.assertTrue(self._get_jobs())
        before = self._count_triggers()
        uninstall_hook(self.env(su=True))
        self.assertFalse(self._get_jobs())
        self.assertGreater(self._count_triggers(), before)
