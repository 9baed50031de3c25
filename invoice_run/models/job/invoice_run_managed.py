from datetime import timedelta

from odoo import api, fields, models

#: Documents that are worked on while the user looks on; more go to the background.
WATCHED_LIMIT = 100
#: Documents of one step while the user looks on: their status shows as it comes.
STEP_SIZE = 10
#: A set that is too large for this is done in at least so many chunks: who looks on sees it move.
FEWEST_CHUNKS = 4
#: But never in smaller ones.
SMALLEST_CHUNK = 25
#: After this time the scheduled action takes over what the user left unfinished.
TAKE_OVER_MINUTES = 2


class InvoiceRun(models.Model):
    """Runs that somebody watches: the Invoice Manager, or whoever is responsible.

    What is queued while the user looks on is carried out in small steps by the user's own
    requests, so it does not wait behind the large runs of the scheduled action. Both use the
    same jobs under the same lock; whoever comes second waits.
    """

    _inherit = "invoice.run"

    is_managed = fields.Boolean("Created in the Invoice Manager", readonly=True, copy=False)
    is_watched = fields.Boolean(
        readonly=True,
        copy=False,
        help="Requests from the users who watch carry out the queued work.",
    )

    @api.model
    def _get_engine_fields(self):
        # EXTENDS 'invoice_run'
        return super()._get_engine_fields() | {"is_managed", "is_watched"}

    def _tell_responsible(self, summary, note=False):
        # EXTENDS 'invoice_run': not who looks on
        watched = self.env.context.get("invoice_run_watched")
        return None if watched else super()._tell_responsible(summary, note)

    # ------------------------------------------------------------------
    # Work
    # ------------------------------------------------------------------

    def _queue_job(self, job):
        # EXTENDS 'invoice_run'
        watched = bool(self.env.context.get("invoice_run_watched"))
        self._write_engine({"is_watched": watched})
        if not watched:
            # who has the run open sees that work on it begins
            self._notify_progress()
        return super()._queue_job(job)

    def _get_job_trigger(self):
        # EXTENDS 'invoice_run': the user's own requests do it, unless they stop coming
        if self.env.context.get("invoice_run_watched"):
            return fields.Datetime.now() + timedelta(minutes=TAKE_OVER_MINUTES)
        return super()._get_job_trigger()

    def _get_chunk_size(self, size, job=None):
        # EXTENDS 'invoice_run'
        size = super()._get_chunk_size(size, job)
        if self.env.context.get("invoice_run_step"):
            return min(size, STEP_SIZE)
        if self.is_managed and job:
            _done, total = getattr(self, f"_count_progress_{job}")()
            return min(size, max(SMALLEST_CHUNK, -(-total // FEWEST_CHUNKS)))
        return size

    def _process_step(self):
        """Carry out one small chunk of what is queued, unless a worker is on it."""
        self.with_context(invoice_run_step=True, invoice_run_watched=True)._process_queue()

    @api.model
    def _commit_step(self, processed=0, remaining=None):
        # EXTENDS 'invoice_run': a step is one chunk, the user's next request goes on
        seconds = super()._commit_step(processed, remaining)
        return 0 if self.env.context.get("invoice_run_step") else seconds
