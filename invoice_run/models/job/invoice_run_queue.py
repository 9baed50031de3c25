import logging
from datetime import timedelta

from odoo import api, fields, models, modules, tools
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL

from ...advisory_locks import GATE
from ..amount.invoice_run_amounts import CLAIM_ERRORS, PAYERS_PER_CHUNK
from ..document.invoice_run_invoicing import RETRY_ERRORS

_logger = logging.getLogger(__name__)

#: Jobs on which several workers work at once.
SHARED_JOBS = ("amounts", "invoices")
#: When the scheduled action looks whether others ended a job on which they were.
LOOK_AGAIN = timedelta(minutes=1)
#: What the engine takes over from the context of who presses a button. Anything else could
#: change what is made: defaults, and what switches off a part of Odoo.
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
#: Invoices made in one transaction.
INVOICES_PER_CHUNK = 250
#: What a worker takes at least of the rest: smaller chunks cost more than they even out.
SMALLEST_SHARE = 60


class InvoiceRun(models.Model):
    """Background work: one engine for buttons, scheduled action and scripts."""

    _inherit = "invoice.run"

    def _get_retry_errors(self):
        """Return the errors after which a transaction must be rolled back and repeated."""
        return RETRY_ERRORS

    def _is_automatic(self, step):
        """Whether ``step`` (amounts, approve, invoices, send) needs no person."""
        self.ensure_one()
        return self.schedule_id._is_automatic(step)

    def _queue_job(self, job):
        """Have ``job`` done for these runs in the background as soon as possible."""
        self._write_engine({"job": job})
        self._start_workers(self._get_job_trigger())

    def _start_workers(self, moment=None):
        """Have who works in the background look at these runs: the scheduled actions.

        Override to have another queue carry out :meth:`_process_queue`.

        :param moment: not before, in UTC; None: at once
        """
        for cron in self._get_worker_crons():
            cron._trigger(moment)

    @api.model
    def _get_worker_crons(self):
        """Return the scheduled actions that work on runs, but those that are switched off."""
        names = ["invoice_run_cron", *(f"invoice_run_cron_{number}" for number in (2, 3, 4))]
        crons = [self.env.ref(f"invoice_run.{name}", raise_if_not_found=False) for name in names]
        # sudo: scheduled actions are the administrator's; to wake them up is the button's work
        return self.env["ir.cron"].sudo().union(*filter(None, crons)).filtered("active")

    def _get_job_trigger(self):
        """Return when somebody should start on a queued job; None: at once."""
        return None

    def _get_chunk_size(self, size, job=None):
        """Return how much is done in one transaction.

        :param size: the most
        :param job: the job, where its total can be counted
        """
        return size

    @api.model
    def _count_workers(self):
        """Return how many workers may be at one run at the same time."""
        return len(self._get_worker_crons())

    def _get_share(self, size, left):
        """Return how much of what is left one worker takes, so that all end at the same time.

        "Guided self-scheduling" (Polychronopoulos and Kuck, 1987): the shares shrink with the
        rest, but for the last ones.

        :param size: the most that is done in one transaction
        :param left: what is left for all workers together; of what the others have in hand half
            is taken to be done, or nothing when all have just begun
        """
        workers = self._count_workers()
        if workers < 2:
            return size
        share = max(SMALLEST_SHARE, -(-left // workers))
        if left - share < SMALLEST_SHARE // 2:
            # the rest is not worth a transaction of its own
            share = max(share, left)
        return min(size, share)

    # ------------------------------------------------------------------
    # Scheduled action
    # ------------------------------------------------------------------

    @api.model
    def _cron_process_runs(self, is_first=True):
        """Activate the runs whose day has come, then work on all that is queued.

        :param is_first: do what needs one worker only
        """
        if is_first and not self._prepare_runs():
            return
        runs = self._get_queued_runs()
        for number, run in enumerate(runs):
            try:
                run._process_queue()
            except RETRY_ERRORS:
                self._begin_anew()
                return
            except Exception as error:  # one bad run never stops the others
                _logger.exception("Invoice run %s failed", run.id)
                self.env.cr.rollback()
                run._note_trouble(error)
            left = len(runs) - number - 1
            if not self._commit_step(processed=1, remaining=left):
                # out of time: what is left, perhaps of this run too, goes on at once
                self._commit_step(remaining=left + 1)
                return

    @api.model
    def _get_queued_runs(self):
        """Return the runs on which the scheduled action works, in their order."""
        return self.search([("job", "!=", "none")], order="activation_date, id")

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
        """Undo what another transaction got in the way of, and have it done again at once."""
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
        if self.invoice_count:
            # sudo: documents are the engine's
            self.sudo()._get_open_documents()._release_documents()
            self._write_engine({"state": "invoiced"})
        else:
            self._remove_amounts()
            self._write_engine({"state": "submitted"})
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
        if not self._can_commit():
            self.env.flush_all()
            return float("inf")
        return self.env["ir.cron"]._commit_progress(processed, remaining=remaining)

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
                job = run.job
                if not run._lock_job(job):
                    break
                finished = getattr(run, f"_process_job_{job}")()
                if not finished:
                    break

    def _with_engine(self):
        """Return these runs such that the result is the same, whoever asked for it and how."""
        context = {key: value for key, value in self.env.context.items() if key in CONTEXT_TAKEN}
        # as the scheduled action: who pressed a button follows no invoice, and gets no copy of it
        context["mail_create_nosubscribe"] = True
        # sudo: the button that queued the work checked who may ask for it; the scheduled action
        # or a script may carry it out
        return self.with_env(self.env(su=True, context=context))

    def _process_job_amounts(self):
        """Make the amounts of all customers; return whether the job is finished.

        Several workers share the customers: each locks those of its chunk.
        """
        selection_error = self.scenario_id._get_selection_error(self)
        if selection_error:
            self._stop_amounts(selection_error)
            return True
        seen = set()
        while payers := self._get_open_payers().filtered(lambda payer: payer.id not in seen):
            known, start, before = len(seen), 0, 0
            while start < len(payers):
                end = start + self._get_payer_share(len(payers), start, before)
                chunk = self._take_payers(payers[start:end])
                left = max(0, len(payers) - end)
                if chunk and not self._process_amounts(chunk, seen, left):
                    return False
                start, before = end, len(chunk) or before
            if len(seen) == known:
                return self._leave_to_others()
        if not self._lock_to_finish("amounts"):
            return self._leave_to_others()
        self._finish_amounts()
        self._notify_progress()
        self._commit_step()
        return True

    def _get_payer_share(self, count, start, before):
        """Return of how many customers this worker makes the amounts in its next transaction.

        :param count: how many there were to do when it looked
        :param start: how many of these are done or in somebody's hand
        :param before: how many it took in its last transaction; 0: all workers have just begun
        """
        if not before:
            return self._get_share(PAYERS_PER_CHUNK, count)
        in_hand = (self._count_workers() - 1) * before
        return self._get_share(PAYERS_PER_CHUNK, count - start + in_hand // 2)

    def _take_payers(self, payers):
        """Return those of ``payers`` that no other worker has or had, locked to the next commit.

        The locks say that nobody is at work on them, and a look from outside of this
        transaction, which may have begun before another worker finished, that nobody was.
        """
        if not self._can_commit():
            return payers
        self.env.cr.execute(
            SQL(
                "SELECT id FROM unnest(%s) AS id WHERE pg_try_advisory_xact_lock(%s, id)",
                payers.ids,
                self.id,
            )
        )
        free = {row[0] for row in self.env.cr.fetchall()}
        with self.env.registry.cursor() as cr:
            free -= set(self.with_env(self.env(cr=cr))._get_done_payers(payers).ids)
        return payers.filtered(lambda payer: payer.id in free)

    def _leave_to_others(self):
        """End this worker's part: others are at the rest."""
        self._look_again()
        self._commit_step()
        return False

    def _stop_amounts(self, message):
        """End the job with an exception: nothing can be selected until a person repairs it."""
        self.env["invoice.run.exception"].create(
            {"run_id": self.id, "code": "selection", "message": message}
        )
        self.write({"state": "amounts", "job": "none", "amounts_date": fields.Datetime.now()})
        self._tell_responsible(
            self.env._("%(run)s: its scenario cannot be used, see why", run=self.reference)
        )
        self._commit_step()

    def _process_amounts(self, payers, seen, left=0):
        """Make the amounts of ``payers`` and commit; return whether to go on with the job.

        :param seen: ids of the customers that this worker is done with; they are added
        :param left: how many customers are still to come, for who looks on
        """
        try:
            self._generate_amounts(payers, look_again=self._can_commit())
        except CLAIM_ERRORS:
            # another run claimed the same since our snapshot: in a new one it is not due
            self.env.cr.rollback()
            if not self._lock_job("amounts"):
                return False
            # those whom another worker has now are not ours any more
            payers = self._take_payers(payers)
            self._generate_amounts(payers)
        seen.update(payers.ids)
        self._notify_progress(left=left)
        made = self._get_done_payers(payers)
        seconds = self._commit_step(remaining=1)
        # where nothing was made, nothing keeps the next worker from these customers: pass them
        return bool(seconds or not made) and self._lock_job("amounts")

    def _wait_for_turn(self):
        """Wait for the chunks that workers have in hand; until the commit they begin no other.

        Of a lock that several share somebody always has a part: without this a button or a form
        would wait for the end of the whole job.
        """
        for run in self.sorted("id"):
            if run.job in SHARED_JOBS:
                self.env.execute_query(SQL("SELECT pg_advisory_xact_lock(%s)", GATE + run.id))

    def write(self, vals):
        # EXTENDS 'base': who saves the form; the engine has its own locks
        if not self.env.su:
            self._wait_for_turn()
        return super().write(vals)

    def _check_not_busy(self):
        """Keep others off these runs until the end of the transaction, or say that one is busy.

        Whoever changes a run as a whole takes its row first, as the workers do: nobody waits
        for somebody who waits for him.

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

    def _take(self):
        """Keep all others off this run until the next commit; False where somebody is on it."""
        if self.try_lock_for_update(allow_referencing=True):
            return True
        self._look_again()
        return False

    @api.model
    def _look_again(self):
        """Have the scheduled action look in a while: who is on a run may leave work behind."""
        # sudo: the scheduled action is the system's
        cron = self.env.ref("invoice_run.invoice_run_cron").sudo()
        now = fields.Datetime.now()
        domain = [("cron_id", "=", cron.id), ("call_at", ">", now)]
        domain += [("call_at", "<=", now + LOOK_AGAIN)]
        if not self.env["ir.cron.trigger"].sudo().search_count(domain, limit=1):
            cron._trigger(now + LOOK_AGAIN)

    def _lock_job(self, job):
        """Take the run after a commit; False when it is no longer ours to work on.

        Workers that share a job hold the run together; who changes it waits for their chunks,
        and no worker begins another one before him: see :meth:`_wait_for_turn`.
        """
        self.invalidate_recordset()
        if job not in SHARED_JOBS:
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
        # a run that another worker moved on since is nothing for an administrator to read
        self.env.cr.execute(query, log_exceptions=False)
        rows = self.env.cr.fetchall()
        if not rows and self.job == job:
            self._look_again()
        return bool(rows)

    def _lock_to_finish(self, job):
        """Take the run for this worker alone; False when others hold it or the job is over."""
        if job in SHARED_JOBS:
            # of several that still hold it together none would get it
            self._commit_step(remaining=1)
        self.invalidate_recordset()
        return self._take() and self.job == job

    def _notify_progress(self, **values):
        """Called before each commit of a job, so that whoever looks on can be told."""

    def _get_documents_to_invoice(self, limit=None):
        """Return the next documents to invoice, locked; those of other workers are not.

        Nor those that wait for a failed period, or for an earlier one that another worker has;
        nor those of a later invoice date while there are any of an earlier one.
        """
        Document = self.env["invoice.run.document"]
        domain = self._get_open_documents_domain()
        Document.flush_model()
        earliest = Document.search(domain, order="invoice_date", limit=1)
        domain &= Domain("invoice_date", "=", earliest.invoice_date)
        query = Document._search(domain, order="sequence, id", limit=limit)
        locked = SQL("%s FOR UPDATE OF %s SKIP LOCKED", query.select(), SQL.identifier(query.table))
        # where another worker ended his chunk meanwhile this one begins anew: no error to read
        self.env.cr.execute(locked, log_exceptions=False)
        documents = Document.browse([row[0] for row in self.env.cr.fetchall()])
        return documents - documents._get_waiting_for_others(domain)

    def _get_open_documents_domain(self):
        """Return what the job may invoice now, whoever is at work on it."""
        domain = self._get_to_invoice_domain()
        failed = self._get_failed_contracts()
        return domain & Domain("contract_ids", "not in", failed.ids) if failed else domain

    def _get_to_invoice_domain(self):
        """Return the documents whose invoices the current job makes."""
        return Domain("run_id", "=", self.id) & Domain("state", "=", "to_do")

    def _get_failed_contracts(self):
        failed = self.env["invoice.run.document"].search(
            [("run_id", "=", self.id), ("state", "=", "failed")]
        )
        return failed.contract_ids

    def _process_job_invoices(self):
        """Make all invoices, chunk by chunk; return whether the job is finished."""
        size = self._get_chunk_size(INVOICES_PER_CHUNK, "invoices")
        documents = self.env["invoice.run.document"]
        while documents := self._get_documents_to_invoice(
            self._get_invoice_share(size, len(documents))
        ):
            documents._process_invoices()
            self._notify_progress()
            if not self._commit_step(remaining=1) or not self._lock_job("invoices"):
                return False
        if self._has_open_documents() or not self._lock_to_finish("invoices"):
            return self._leave_to_others()
        if self._has_open_documents():
            # asked for in the last moment
            return self._process_job_invoices()
        self._finish_invoices()
        self._commit_step()
        return True

    def _has_open_documents(self):
        domain = self._get_open_documents_domain()
        return bool(self.env["invoice.run.document"].search_count(domain, limit=1))

    def _get_invoice_share(self, size, before):
        """Return how many invoices this worker makes in its next transaction.

        :param before: how many it made in its last one; 0: all workers have just begun
        """
        workers = self._count_workers()
        if workers < 2:
            return size
        left = self.env["invoice.run.document"].search_count(self._get_open_documents_domain())
        in_hand = (workers - 1) * before
        return self._get_share(size, left - in_hand // 2)

    def _finish_invoices(self):
        """Move the run on; documents that wait for a repair keep it approved."""
        waiting = self.env["invoice.run.document"].search_count(
            [("run_id", "=", self.id), ("state", "=", "to_do")], limit=1
        )
        self._update_sequence_gaps()
        self.write({"job": "none", "state": "approved" if waiting else "invoiced"})
        self._notify_progress()
        self._notify_finished()
        self._go_on_sending()

    def _go_on_sending(self):
        """Send the invoices that are confirmed now, where that is automatic or was asked for."""
        if self._is_automatic("send"):
            # credit notes of what was reversed wait for a person
            pending = self._get_pending_documents()
            self._ask_sending(pending.filtered(lambda document: document.state != "credit"))
        if self.job == "none" and self._get_documents_to_send(limit=1):
            # somebody asked for them while the others were being made
            self._queue_job("send")

    def _update_sequence_gaps(self):
        """Look again for gaps before the first numbers of chunks.

        A worker whose chunk began before another's ended does not see the numbers before its
        own, and Odoo notes a gap where there is none.
        """
        moves = self.env["account.move"].search(
            [("invoice_run_id", "=", self.id), ("made_sequence_gap", "=", True)]
        )
        self.env.add_to_compute(moves._fields["made_sequence_gap"], moves)

    def _notify_finished(self):
        """Tell the responsible that the run finished, or that something failed."""
        body = self.env._(
            "Invoices created: %(invoices)s. Failed: %(failed)s.",
            invoices=self.invoice_count,
            failed=self.failed_count,
        )
        self.message_post(body=body)
        self._tell_result()
