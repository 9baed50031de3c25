import itertools
import logging

import psycopg2
from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Domain
from odoo.tools import SQL, plaintext2html

from ..base.invoice_run_guarded import EngineValue
from ..base.states import RUN_FINISHED, RUN_WAITING
from .invoice_run_schedule import HORIZON_MONTHS, MAX_RUNS

_logger = logging.getLogger(__name__)

#: Runs that the form of a schedule lists; a button opens all.
RUNS_SHOWN = 12


class InvoiceRunSchedule(models.Model):
    """The runs of a schedule: each created once, and following it until it is submitted."""

    _inherit = "invoice.run.schedule"

    next_run_ids = fields.Many2many(
        "invoice.run",
        string="Next Runs",
        compute="_compute_next_run_ids",
        help="The first unfinished runs; if all are finished, the last ones.",
    )

    @api.depends("run_ids.state")
    def _compute_next_run_ids(self):
        Run = self.env["invoice.run"]
        for schedule in self:
            domain = Domain("schedule_id", "=", schedule._origin.id)
            is_open = Domain("state", "not in", RUN_FINISHED)
            runs = Run.search(domain & is_open, order="number", limit=RUNS_SHOWN)
            left = RUNS_SHOWN - len(runs)
            if left:
                done = Run.search(domain & ~is_open, order="number desc", limit=left)
                runs = done.sorted("number") | runs
            schedule.next_run_ids = runs

    # ------------------------------------------------------------------
    # Creating runs
    # ------------------------------------------------------------------

    def action_generate_runs(self):
        """Create the runs that are missing; pressing again adds nothing twice.

        :raises UserError: the schedule is not active, or would create too many runs
        """
        self.check_access("write")
        for schedule in self:
            if schedule.state != "active":
                raise UserError(
                    self.env._(
                        "Schedule %(schedule)s is not active: resume it first.",
                        schedule=schedule.reference,
                    )
                )
            schedule._serialize()
            schedule._create_runs(schedule._get_missing_numbers())

    def _serialize(self):
        """Make a second user who creates the same runs wait, and then look again.

        The row is written, not only locked: to a transaction that waits for it, PostgreSQL reports
        a serialization failure, on which Odoo repeats the whole request.
        """
        self.env.cr.execute(
            SQL("UPDATE invoice_run_schedule SET write_uid = write_uid WHERE id = %s", self.id)
        )

    def _create_runs(self, numbers):
        self.env["invoice.run"].create(
            [
                {
                    **self._prepare_run_vals(number),
                    "schedule_id": EngineValue(self.id),
                    "number": EngineValue(number),
                }
                for number in numbers
            ]
        )

    def _get_missing_numbers(self):
        """Return the numbers of the runs that are still to be created, in order.

        :raises UserError: more than ``MAX_RUNS``
        """
        self.ensure_one()
        runs = self.env["invoice.run"].search_fetch([("schedule_id", "=", self.id)], ["number"])
        made = set(runs.mapped("number"))
        missing = []
        for number in itertools.takewhile(self._is_planned, itertools.count()):
            if number not in made:
                missing.append(number)
            if len(missing) > MAX_RUNS:
                raise UserError(
                    self.env._(
                        "Schedule %(schedule)s would create more than %(max)s runs. Choose an "
                        "earlier end date.",
                        schedule=self.reference,
                        max=MAX_RUNS,
                    )
                )
        return missing

    def _is_planned(self, number):
        """Whether the schedule has a run ``number``: by number, end date or horizon."""
        if self.cycle == "once":
            return number == 0
        if self.run_count and number >= self.run_count:
            return False
        until = self.until_date
        if not until and not self.run_count:
            until = self._get_horizon()
        return not until or self._get_period(number).date_from <= until

    def _get_horizon(self):
        """Return the last day on which a run starts that is created ahead."""
        today = self.company_id._get_invoice_run_today()
        return max(today, self.date_from) + relativedelta(months=HORIZON_MONTHS)

    @api.model
    def _extend_schedules(self):
        """Create the next runs of active schedules without number and end date.

        Only of schedules whose first runs somebody created, and only after their last run: one
        that a person deleted is not created again.
        """
        domain = Domain("schedule_id.state", "=", "active") & Domain(
            "schedule_id.cycle", "!=", "once"
        )
        domain &= Domain("schedule_id.run_count", "=", 0)
        domain &= Domain("schedule_id.until_date", "=", False)
        rows = self.env["invoice.run"]._read_group(domain, ["schedule_id"], ["number:max"])
        for schedule, last in rows:
            if schedule._is_planned(last + 1):
                schedule._extend_runs(last + 1)

    def _extend_runs(self, first):
        """Create the runs from number ``first`` to the horizon, unless somebody else does."""
        numbers = itertools.takewhile(self._is_planned, itertools.count(first))
        try:
            with self.env.cr.savepoint():
                self._serialize()
                self._create_runs(itertools.islice(numbers, MAX_RUNS))
        except psycopg2.Error:  # a user has just created them; else in an hour
            self.env.invalidate_all(flush=False)
            _logger.info("Schedule %s is being changed by somebody else", self.id)
        except Exception as error:  # one bad schedule never stops the others
            self.env.invalidate_all(flush=False)
            _logger.warning("Schedule %s: its next runs cannot be made", self.id, exc_info=True)
            self._tell_stopped(self.env["invoice.run.document"]._get_reason(error))

    def _tell_stopped(self, reason):
        """Tell whoever is responsible, once, that the next runs cannot be created."""
        summary = self.env._(
            "%(schedule)s: its next runs cannot be created", schedule=self.reference
        )
        advice = self.env._("Correct the schedule, or close it. It is tried again every hour.")
        reader = (self.user_id | self.reviewer_id).filtered("active")[:1]
        if reader and summary not in self.activity_ids.mapped("summary"):
            self.activity_schedule(
                "mail.mail_activity_data_todo",
                summary=summary,
                note=plaintext2html(f"{reason}\n\n{advice}"),
                user_id=reader.id,
            )

    # ------------------------------------------------------------------
    # Runs that have not begun follow their schedule
    # ------------------------------------------------------------------

    def _get_waiting_plans(self):
        """Return {run that has not begun: values that these schedules plan for it now}."""
        runs = self.env["invoice.run"].search(
            [("schedule_id", "in", self.ids), ("state", "in", RUN_WAITING)]
        )
        return {run: run._get_scheduled_vals() for run in runs}

    def _update_waiting_runs(self, planned):
        """Update the runs that have not begun to what these schedules plan now.

        :param planned: {run: values that were planned before}
        """
        waiting = self.env["invoice.run"].concat(*planned)
        for schedule, runs in waiting.grouped("schedule_id").items():
            dropped = schedule._get_dropped_runs(runs)
            schedule._drop_runs(dropped)
            for run in runs - dropped:
                run._follow_schedule(planned[run])

    def _get_dropped_runs(self, runs):
        """Return those of ``runs`` that the schedule no longer has."""
        if self.cycle != "once" and not self.run_count and not self.until_date:
            return runs.browse()
        return runs.filtered(lambda run: not self._is_planned(run.number))

    def _drop_runs(self, runs):
        """Remove runs, and say so.

        :raises AccessError: only managers delete runs
        """
        if not runs:
            return
        self._check_may_drop(runs)
        references = ", ".join(runs.sorted("number").mapped("reference"))
        # sudo: nothing was created with them, and a manager decides on it
        runs.sudo().unlink()
        self.message_post(
            body=self.env._("Removed, as they had not started: %(runs)s.", runs=references)
        )

    def _check_may_drop(self, runs):
        """Refuse to remove ``runs`` on behalf of somebody who may not delete them.

        :raises AccessError: says what to do instead
        """
        if not self.env.su and not runs.browse().has_access("unlink"):
            raise AccessError(
                self.env._(
                    "Schedule %(schedule)s would lose %(runs)s, and only managers of invoice runs "
                    "delete runs. Cancel these runs first, or ask a manager.",
                    schedule=self.reference,
                    runs=", ".join(runs.sorted("number").mapped("reference")),
                )
            )


class InvoiceRun(models.Model):
    _inherit = "invoice.run"

    def _get_scheduled_vals(self):
        return self.schedule_id._prepare_run_vals(self.number)

    def _follow_schedule(self, before):
        """Adopt what the schedule plans differently now; what a person changed here stays.

        :param before: what it planned before
        """
        planned = self._get_scheduled_vals()
        vals = {name: value for name, value in planned.items() if value != before[name]}
        if vals:
            self.write(vals)
