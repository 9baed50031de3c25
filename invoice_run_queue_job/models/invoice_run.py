import logging
import time

from odoo import SUPERUSER_ID, api, fields, models
from odoo.addons.invoice_run.models.job.invoice_run_queue import LOOK_AGAIN
from odoo.addons.queue_job.exception import RetryableJobError
from odoo.addons.queue_job.jobrunner.runner import PG_ADVISORY_LOCK_ID
from odoo.fields import Domain
from odoo.tools import SQL

_logger = logging.getLogger(__name__)

#: A job begins no further chunk after this time: a web worker's is limited.
SHARE_SECONDS = 30
#: Mails of one chunk, whose PDFs are printed in it, for the same reason.
MAILS_PER_CHUNK = 20
#: When work that another transaction got in the way of is begun again.
COLLISION_SECONDS = 5
#: System parameter: jobs among which a run is shared; 0 leaves all to the scheduled actions.
WORKERS = "invoice_run_queue_job.workers"
DEFAULT_WORKERS = 4


class InvoiceRun(models.Model):
    """Background work by the job runner of ``queue_job``: what starts it, not how it is done.

    A run is shared among a few jobs. Each carries out :meth:`_process_queue` as a worker of the
    scheduled action does, for a while, and leaves the rest to a job like itself. Where no runner
    is on the database the scheduled actions do the work.
    """

    _inherit = "invoice.run"

    # ------------------------------------------------------------------
    # Workers
    # ------------------------------------------------------------------

    @api.model
    def _is_runner_on(self):
        """Whether a job runner is on this database; it holds its lock as long as it lives."""
        if not self._get_worker_count():
            return False
        query = SQL(
            """
            SELECT 1 FROM pg_locks
             WHERE locktype = 'advisory' AND granted AND objsubid = 1
               AND classid::int8 = %s AND objid::int8 = %s
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """,
            PG_ADVISORY_LOCK_ID >> 32,
            PG_ADVISORY_LOCK_ID & 0xFFFFFFFF,
        )
        return bool(self.env.execute_query(query))

    def _is_for_runner(self):
        """Whether the job runner does what is queued for this run.

        Binding one PDF of thousands of documents is a single step that lasts longer than a web
        worker may: that stays with the scheduled action.
        """
        job = self._get_job()
        return job is not None and job._has_short_steps

    @api.model
    def _get_worker_count(self):
        """Return among how many jobs a run is shared at most."""
        # sudo: the system's own parameter, no matter who presses a button
        value = self.env["ir.config_parameter"].sudo().get_param(WORKERS) or ""
        return int(value) if value.isdecimal() else DEFAULT_WORKERS

    @api.model
    def _get_queue_jobs_domain(self):
        return Domain("model_name", "=", self._name) & Domain("method_name", "=", "_process_share")

    def _start_workers(self, moment=None):
        # EXTENDS 'invoice_run'
        runs = self.filtered(lambda run: run._is_for_runner())
        if not runs or not self._is_runner_on():
            return super()._start_workers(moment)
        for run in runs:
            run._delay_shares(moment)
        rest = self - runs
        return super(InvoiceRun, rest)._start_workers(moment) if rest else None

    @api.model
    def _get_queued_runs(self):
        # EXTENDS 'invoice_run': sees to it that the runner has them, works itself where none is
        runs = super()._get_queued_runs()
        if not self._is_runner_on():
            return runs
        theirs = runs.filtered(lambda run: run._is_for_runner())
        try:
            theirs._hand_over()
            self._commit_step()
        except self._get_retry_errors():
            # somebody just did something with one of them: see a minute later
            self.env.cr.rollback()
            self.browse()._look_again()
        return runs - theirs

    def _hand_over(self):
        """Queue what these runs need and is not queued."""
        # a run that is taken is being processed, by a job or by users who watch
        for run in self.try_lock_for_update(allow_referencing=True):
            run._delay_shares(fields.Datetime.now())

    def _look_again(self):
        # EXTENDS 'invoice_run'
        if not self or not self._is_for_runner() or not self._is_runner_on():
            return super()._look_again()
        share = self.env.context.get("invoice_run_share", 1)
        return self._delay_share(share, fields.Datetime.now() + LOOK_AGAIN)

    # ------------------------------------------------------------------
    # Jobs of the queue
    # ------------------------------------------------------------------

    def _delay_shares(self, moment=None):
        """Queue the jobs among which this run is shared; what is confirmed is not."""
        count = self._get_worker_count() if self._is_job_shared() else 1
        for share in range(1, count + 1):
            self._delay_share(share, moment)

    def _delay_share(self, share, moment=None):
        """Queue one job, at most one of a kind; one that waits for a later moment is called.

        :param share: number of the job among those that share the run, from 1
        :param moment: not before, in UTC; None: at once
        """
        self.ensure_one()
        key = self._get_share_key(share)
        waiting = self._get_waiting_jobs(key)
        if not waiting:
            self._prepare_share().with_delay(
                eta=moment, identity_key=key, description=self._get_share_name(share)
            )._process_share(share)
        elif not moment:
            # written even where nothing changes: a job that begins at this moment, too early to
            # see what is being queued, makes this transaction fail and be repeated
            waiting.write({"state": "pending", "eta": False})

    def _get_share_key(self, share):
        return f"invoice_run_queue_job.{self.id}.{self.job}.{share}"

    def _get_waiting_jobs(self, key):
        # sudo: the queue is its manager's; the button checked who may queue work
        return (
            self.env["queue.job"]
            .sudo()
            .search([("identity_key", "=", key), ("state", "in", ("pending", "enqueued"))])
        )

    def _get_share_name(self, share):
        jobs = dict(self._fields["job"]._description_selection(self.env))
        return f"{self.reference}: {jobs[self.job]} ({share})"

    def _prepare_share(self):
        """Return this run as the scheduled action sees it, whoever queued it.

        The company is for the queue's list alone; the job does not get it.
        """
        context = {"company_id": self.company_id.id}
        return self.with_env(self.env(user=SUPERUSER_ID, context=context))

    def _process_share(self, share):
        """Work on what is queued for this run for a while, beside its other jobs.

        What was done is committed chunk by chunk; safe to repeat, also after a crash.

        :param share: number of this job among those that share the run
        :raises RetryableJobError: the work stopped; the queue tries again
        """
        if not self.exists():
            return
        until = time.monotonic() + SHARE_SECONDS
        run = self.with_context(invoice_run_share=share, invoice_run_share_until=until)
        try:
            run._process_queue()
        except self._get_retry_errors() as error:
            self.env.cr.rollback()
            raise RetryableJobError(
                str(error), seconds=COLLISION_SECONDS, ignore_retry=True
            ) from error
        except Exception as error:
            self._stop_share(error)
        if time.monotonic() >= until and run._is_for_runner():
            run._delay_share(share)

    def _stop_share(self, error):
        """Tell the responsible user why the work stopped, and have the queue try again."""
        _logger.exception("Invoice run %s failed", self.id)
        self.env.cr.rollback()
        self._note_trouble(error)
        self._commit_step()
        raise RetryableJobError(str(error)) from error

    def _get_chunk_size(self, size, job=None):
        # EXTENDS 'invoice_run'
        size = super()._get_chunk_size(size, job)
        in_job = self.env.context.get("invoice_run_share")
        return min(size, MAILS_PER_CHUNK) if in_job and self.job == "send" else size

    @api.model
    def _count_workers(self):
        # EXTENDS 'invoice_run'
        in_job = self.env.context.get("invoice_run_share")
        return self._get_worker_count() if in_job else super()._count_workers()

    @api.model
    def _is_call_over(self):
        # EXTENDS 'invoice_run'
        until = self.env.context.get("invoice_run_share_until")
        return super()._is_call_over() or bool(until) and time.monotonic() > until

    @api.model
    def _commit_step(self, processed=0, remaining=None):
        # EXTENDS 'invoice_run': a job's time is over before a web worker's is
        seconds = super()._commit_step(processed, remaining)
        until = self.env.context.get("invoice_run_share_until")
        return min(seconds, max(0, until - time.monotonic())) if until else seconds
