import logging

from odoo import fields, models
from odoo.tools import plaintext2html

from ..base.activity_types import ATTEND

_logger = logging.getLogger(__name__)


class InvoiceRun(models.Model):
    """Work that stopped for an unforeseen reason: somebody is told, and nothing is lost.

    What was committed stays. The job stays queued: each run of the scheduled action tries again,
    until it succeeds or a person stops it.
    """

    _inherit = "invoice.run"

    job_error = fields.Text("Why the Work Stopped", readonly=True, copy=False, engine=True)

    def _drop_trouble_activities(self):
        """Remove the activities about work that stopped."""
        for run in self.filtered("job_error"):
            run._drop_activity(ATTEND, run._get_trouble_summary())

    def _note_trouble(self, error):
        """Note why the work on this run stopped, and tell the responsible user once per error.

        Called after a rollback; whatever happens here never stops the work on other runs.
        """
        try:
            with self.env.cr.savepoint():
                # not where a user has the run open, and sees it
                for run in self.exists().try_lock_for_update(allow_referencing=True):
                    run._keep_trouble(self.env["invoice.run.document"]._get_reason(error))
        except Exception:
            _logger.exception("Invoice run %s: nobody could be told", self.id)
            self.env.invalidate_all(flush=False)

    def _keep_trouble(self, reason):
        if self.job_error == reason:
            return
        summary = self._get_trouble_summary()
        # an activity for an earlier reason would be wrong
        self._drop_activity(ATTEND, summary)
        self.write({"job_error": reason})
        self.message_post(body=self.env._("%(what)s: %(why)s", what=summary, why=reason))
        self._tell_responsible(summary, self._get_trouble_note())

    def _get_trouble_summary(self):
        """Return in words what stopped."""
        jobs = dict(self._fields["job"]._description_selection(self.env))
        if self.job == "none":
            return self.env._("%(run)s could not continue", run=self.reference)
        return self.env._("%(run)s stopped: %(job)s", run=self.reference, job=jobs[self.job])

    def _get_trouble_note(self):
        """Return what whoever is responsible can do."""
        advice = self.env._(
            "Nothing is lost: what was done before is kept, and the rest is tried again every "
            "hour. Fix the cause, or ask your administrator."
        )
        if self.job != "none":
            advice += " " + self.env._(
                "Then press “Try Again” on the run. “Stop” ends the work, so that the run can be "
                "changed or cancelled."
            )
        return plaintext2html(f"{self.job_error}\n\n{advice}")

    def action_try_again(self):
        """Have work that stopped tried again in the background, at once."""
        self.check_access("write")
        self._check_not_busy()
        for run in self.filtered(lambda run: run.job_error and run.job != "none"):
            run._queue_job(run.job)

    def _stop_work(self):
        """End the work, as far as it was asked for; the run goes on without the rest.

        Unsent invoices stay pending; customers whose amounts were to be recalculated are left out.
        """
        if self.job == "send":
            self._stop_sending()
            return
        payers = self._get_payers_in_renewal()
        if self.job != "none":
            self._get_job()._withdraw(self)
        self._write_engine({"job": "none"})
        if payers:
            self._go_on_without(payers)
        self._queue_asked_sending()

    def action_stop_work(self):
        """End work that stopped, so that the run can be changed; what was done stays done."""
        self.check_access("write")
        self._check_not_busy()
        for run in self.filtered("job_error"):
            run._stop_work()
            run.message_post(body=self.env._("The work was stopped by hand."))
