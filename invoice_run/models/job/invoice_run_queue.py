import logging
import time
from datetime import timedelta

from odoo import api, fields, models, modules, tools
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

from ...advisory_locks import GATE
from ..base.errors import RETRY_ERRORS

_logger = logging.getLogger(__name__)

#: When the scheduled action checks whether other workers ended their job.
LOOK_AGAIN = timedelta(minutes=1)
#: What the engine takes over from the context of whoever presses a button. Anything else could
#: change the records that are created: defaults, and what switches off a part of Odoo.
CONTEXT_TAKEN = {
    "allowed_company_ids",
    "force_report_rendering",
    "invoice_run_share",
    "invoice_run_share_until",
    "invoice_run_step",
    "invoice_run_watched",
    "lang",
    "tz",
    "uid",
}
#: What Odoo tells a scheduled action: which call of which action it is, and when to end it. Without
#: it a call would last as long as the work, and Odoo would end the worker.
CALL_KEYS = {"cron_end_time", "cron_id", "ir_cron_progress_id"}


class Call:
    """What Odoo said of a call, by ``CALL_KEYS``; an object, so that no RPC call can forge it."""

    def __init__(self, context):
        self.context = {name: context[name] for name in CALL_KEYS & context.keys()}


class InvoiceRun(models.Model):
    """Background work: one engine for buttons, scheduled action and scripts."""

    _inherit = "invoice.run"

    def _get_retry_errors(self):
        """Return the errors after which a transaction must be rolled back and repeated."""
        return RETRY_ERRORS

    def _is_automatic(self, step):
        """Whether ``step`` (amounts, approve, invoices, send) needs no person."""
        self.ensure_one()
        if step == "approve" and self.is_first_look:
            return False
        return self.schedule_id._is_automatic(step)

    def _queue_job(self, job, state=None, **vals):
        """Have ``job`` done for these runs in the background as soon as possible.

        :param state: the state into which they go with it; None: it stays
        :param vals: what is written with it
        """
        vals = {"job": job, "is_watched": self._has_onlooker(), **vals}
        if state:
            self._set_state(state, **vals)
        else:
            self._write_engine(vals)
        if not self._has_onlooker():
            # whoever has the run open sees that work on it begins
            self._notify_progress()
        self._start_workers(self._get_job_trigger())

    def _get_job(self, job=None):
        """Return the model that does ``job``, by default what is queued; None where nothing is."""
        job = job or self.job
        return None if job == "none" else self.env[f"invoice.run.job.{job}"]

    def _is_job_shared(self):
        """Whether several workers work on what is queued for this run at once."""
        job = self._get_job()
        return job is not None and job._is_shared

    def _start_workers(self, moment=None):
        """Start the scheduled actions that do background work on these runs.

        Override to have another queue carry out :meth:`_process_queue`.

        :param moment: not before, in UTC; None: at once
        """
        for cron in self._get_worker_crons():
            cron._trigger(moment)

    @api.model
    def _get_worker_crons(self):
        """Return the scheduled actions that work on runs, except those that are switched off."""
        names = ["invoice_run_cron", *(f"invoice_run_cron_{number}" for number in (2, 3, 4))]
        crons = [self.env.ref(f"invoice_run.{name}", raise_if_not_found=False) for name in names]
        # sudo: scheduled actions are the administrator's; to wake them up is the button's work
        return self.env["ir.cron"].sudo().union(*filter(None, crons)).filtered("active")

    @api.model
    def _count_workers(self):
        """Return how many workers may be at one run at the same time."""
        return len(self._get_worker_crons())

    # ------------------------------------------------------------------
    # Scheduled action
    # ------------------------------------------------------------------

    @api.model
    def _cron_process_runs(self, is_first=True):
        """Activate the runs whose day has come, then work on all that is queued.

        :param is_first: do what needs one worker only
        """
        if self._is_call_over():
            self._call_again()
            return
        self = self._with_call()
        if is_first and not self._prepare_runs():
            return
        runs = self._get_queued_runs()
        for number, run in enumerate(runs):
            has_failed = False
            try:
                run._process_queue()
            except RETRY_ERRORS:
                self._begin_anew()
                return
            except Exception as error:  # one bad run never stops the others
                _logger.exception("Invoice run %s failed", run.id)
                self.env.cr.rollback()
                run._note_trouble(error)
                has_failed = True
            left = len(runs) - number - 1
            if not self._commit_step(processed=1, remaining=left):
                # out of time: what is left, perhaps of this run too, goes on at once; what failed
                # comes last, and is tried again within the hour
                self._commit_step(remaining=left + (not has_failed))
                return

    @api.model
    def _with_call(self):
        """Have the engine take over what Odoo says of this call of a scheduled action."""
        return self.with_context(invoice_run_call=Call(self.env.context))

    @api.model
    def _call_again(self):
        """End this call; where work is left, the next one follows at once.

        Odoo itself looks again in a minute.
        """
        ready = Domain("send_wait_until", "=", False)
        ready |= Domain("send_wait_until", "<=", fields.Datetime.now())
        ready &= Domain("job", "!=", "none") & Domain("job_error", "=", False)
        if self.search_count(ready, limit=1):
            # sudo: the scheduled action is the system's
            for cron in self.env["ir.cron"].sudo().browse(self.env.context.get("cron_id")).exists():
                cron._trigger()
        self._commit_step(remaining=1)

    @api.model
    def _is_call_over(self):
        """Whether Odoo calls the action once more although the time for all its calls is over.

        It does so ten times, and ends a worker that takes too long for them.
        """
        end = self.env.context.get("cron_end_time")
        return bool(end) and time.monotonic() > end

    @api.model
    def _get_queued_runs(self):
        """Return the runs on which the scheduled action works, in their order.

        Last those that wait or whose work stopped: one of these may take all the time there is.
        """
        now = fields.Datetime.now()
        runs = self.search([("job", "!=", "none")], order="activation_date, id")
        return runs.sorted(
            lambda run: (
                bool(run.job_error),
                bool(run.send_wait_until and run.send_wait_until > now),
            )
        )

    @api.model
    def _prepare_runs(self):
        """Do what one worker does for all, each part for itself; False: begin anew."""
        for prepare in (
            self.env["invoice.run.schedule"]._extend_schedules,
            self._activate_due_runs,
            self._update_pending_mails,
            self._release_abandoned_runs,
        ):
            try:
                self._try_alone(prepare)
                self._commit_step()
            except RETRY_ERRORS:
                self._begin_anew()
                return False
        return True

    @api.model
    def _begin_anew(self):
        """Roll back after a conflict with another transaction, and try again at once."""
        self.env.cr.rollback()
        self._commit_step(remaining=1)

    @api.model
    def _activate_due_runs(self):
        """Submit the runs whose activation date has come, in the company's local day."""
        domain = Domain("state", "=", "on_hold") & Domain("schedule_id.state", "=", "active")
        for (company,) in self._read_group(domain, ["company_id"]):
            today = company._get_invoice_run_today()
            due = Domain("company_id", "=", company.id) & Domain("activation_date", "<=", today)
            runs = self.search(domain & due, order="activation_date, number")
            for run in runs.try_lock_for_update():
                run._try_alone(run.action_submit)

    def _try_alone(self, work):
        """Carry out ``work``; a failure is kept on this run, if any, and never stops the rest.

        :param work: function without arguments
        """
        try:
            with self.env.cr.savepoint():
                work()
        except RETRY_ERRORS:
            raise
        except Exception as error:
            _logger.exception("Invoice run %s: %s failed", self.id, work.__name__)
            self.env.invalidate_all(flush=False)
            self._note_trouble(error)

    @api.model
    def _release_abandoned_runs(self):
        """Release what ad hoc runs hold that nobody approved for a while; tell their user.

        After ``invoice_run_release_days`` of the company; 0 never does.
        """
        domain = Domain("state", "=", "amounts") & Domain("job", "=", "none")
        domain &= Domain("schedule_id.cycle", "=", "once")
        domain &= Domain("schedule_id.activation_rule", "=", "disabled")
        for (company,) in self._read_group(domain, ["company_id"]):
            days = company.invoice_run_release_days
            if days <= 0:
                continue
            before = fields.Datetime.now() - timedelta(days=days)
            abandoned = Domain("company_id", "=", company.id) & Domain("amounts_date", "<", before)
            for run in self.search(domain & abandoned).try_lock_for_update():
                run._try_alone(run._release_abandoned)

    def _release_abandoned(self):
        """Give up what this run holds without an invoice; what is invoiced stays."""
        if not self.document_count and not self.exception_count:
            self._close_empty()
            return
        if self.invoice_count:
            # sudo: documents belong to the engine
            self.sudo()._get_open_documents()._release_documents()
            self._set_state("invoiced")
        else:
            self._start_removal("delete")
        self.message_post(body=self.env._("Not approved in time: the amounts are released."))
        self._tell_responsible(
            self.env._("%(run)s was released: approve it or cancel it", run=self.reference)
        )

    @api.model
    def _can_commit(self):
        """Tests keep their one transaction, as in ``account.move.send._can_commit``."""
        return not (tools.config["test_enable"] or modules.module.current_test)

    @api.model
    def _commit_step(self, processed=0, remaining=None):
        """Commit a step that is complete; return the seconds that are left for more."""
        if self._can_commit():
            seconds = self.env["ir.cron"]._commit_progress(processed, remaining=remaining)
        else:
            self.env.flush_all()
            seconds = float("inf")
        return 0 if self._is_single_step() else seconds

    # ------------------------------------------------------------------
    # Jobs
    # ------------------------------------------------------------------

    def _process_queue(self):
        """Carry out here and now all that is queued for these runs.

        Each chunk is committed, so a worker that dies loses at most one chunk, and the next
        one goes on where it stopped. A run on which another worker is busy is left alone.
        """
        for run in self._with_engine():
            while run.job != "none":
                if not run._lock_job(run.job) or not run._get_job()._process(run):
                    break

    def _with_engine(self):
        """Return these runs in the engine's own context: the result is the same for all callers."""
        context = {key: value for key, value in self.env.context.items() if key in CONTEXT_TAKEN}
        call = self.env.context.get("invoice_run_call")
        if isinstance(call, Call):
            context |= call.context
        # as the scheduled action: whoever pressed a button neither follows it nor gets a copy
        context["mail_create_nosubscribe"] = True
        # sudo: the button that queued the work checked the rights of its user; the scheduled action
        # or a script may carry it out
        return self.with_env(self.env(su=True, context=context))

    def _wait_for_turn(self):
        """Wait for the chunks that workers have in hand; until the commit they begin no other.

        Workers overlap in a shared lock, so one of them always holds it: without this, a button or
        a form would wait for the end of the whole job.
        """
        for run in self.sorted("id"):
            if run._is_job_shared():
                self.env.execute_query(SQL("SELECT pg_advisory_xact_lock(%s)", GATE + run.id))

    def _wait_for_form(self):
        """Make a user who saves a form wait for the workers; the engine has its own locks."""
        if not self.env.su:
            self._wait_for_turn()

    def _check_not_busy(self):
        """Lock these runs until the end of the transaction, or refuse because one is busy.

        Whoever changes a run as a whole takes its row first, as the workers do: nobody waits
        for a user who waits.

        :raises UserError: a worker or another user is on one of the runs at this moment
        """
        self._wait_for_turn()
        busy = self - self.try_lock_for_update(allow_referencing=True)
        if not busy:
            return
        jobs = dict(self._fields["job"]._description_selection(self.env))
        raise UserError(
            self.env._(
                "%(run)s is being processed at the moment (%(job)s). Try again when this is done.",
                run=busy[0].reference,
                job=jobs[busy[0].job] if busy[0].job != "none" else self.env._("another user"),
            )
        )

    def _check_no_job(self):
        """Refuse to begin background work while other work is queued.

        :raises UserError: says that the run is being processed
        """
        if self.job != "none":
            raise UserError(
                self.env._("%(run)s is being processed. Try again later.", run=self.reference)
            )

    def _take(self):
        """Keep all others off this run until the next commit; False where somebody is on it."""
        if self.try_lock_for_update(allow_referencing=True):
            return True
        self._look_again()
        return False

    @api.model
    def _look_again(self):
        """Have the scheduled action look in a while: whoever is on a run may leave work behind."""
        # sudo: the scheduled action is the system's
        cron = self.env.ref("invoice_run.invoice_run_cron").sudo()
        now = fields.Datetime.now()
        domain = [("cron_id", "=", cron.id), ("call_at", ">", now)]
        domain += [("call_at", "<=", now + LOOK_AGAIN)]
        if not self.env["ir.cron.trigger"].sudo().search_count(domain, limit=1):
            cron._trigger(now + LOOK_AGAIN)

    def _lock_job(self, job):
        """Take the run after a commit; False when it is no longer ours to work on.

        Workers that share a job hold the run together; whoever changes it waits for their chunks,
        and no worker begins another one before that: see :meth:`_wait_for_turn`.
        """
        self.invalidate_recordset()
        if not self._get_job(job)._is_shared:
            return self._lock_to_finish(job)
        self.flush_recordset(["job"])
        query = SQL(
            """
            SELECT id FROM invoice_run
             WHERE id = %s AND job = %s AND pg_try_advisory_xact_lock_shared(%s + id)
               FOR SHARE SKIP LOCKED
            """,
            self.id,
            job,
            GATE,
        )
        # that another worker moved the run on is nothing to log
        self.env.cr.execute(query, log_exceptions=False)
        rows = self.env.cr.fetchall()
        if not rows and self.job == job:
            self._look_again()
        return bool(rows)

    def _lock_to_finish(self, job):
        """Take the run for this worker alone; False when others hold it or the job is over."""
        if self._get_job(job)._is_shared:
            # of several workers that share it none would get it
            self._commit_step(remaining=1)
        self.invalidate_recordset()
        return self._take() and self.job == job
