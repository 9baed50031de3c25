from datetime import timedelta

from odoo import api, fields, models

#: Bus notification by which a browser learns that something changed on a run.
PROGRESS = "invoice_run.progress"
#: Documents that are worked on while the user looks on; more go to the background.
WATCHED_LIMIT = 100
#: Documents of one step while the user looks on: their status shows as it comes.
STEP_SIZE = 10
#: The least number of chunks of a larger set, so that users who watch see it move.
FEWEST_CHUNKS = 4
#: The smallest such chunk.
SMALLEST_CHUNK = 25
#: After this time the scheduled action takes over what the user left unfinished.
TAKE_OVER_MINUTES = 2


class InvoiceRun(models.Model):
    """Work that a user watches, in the Invoice Manager or on the run's form.

    Its progress, and which process does it. What is queued while the user watches is carried out
    in small steps by the user's own requests, so it does not wait behind the large runs of the
    scheduled action. Both use the same jobs under the same lock; whoever comes second waits.
    """

    _inherit = "invoice.run"

    is_managed = fields.Boolean(
        "Created in the Invoice Manager", readonly=True, copy=False, engine=True
    )
    is_watched = fields.Boolean(
        readonly=True,
        copy=False,
        help="Requests from the users who watch carry out the queued work.",
        engine=True,
    )

    def get_progress(self):
        """Return the progress of the work on this run; cheap enough to be asked every second.

        :return: dict: ``job`` and its ``label``, ``state``, ``done`` of ``total`` (0: not known
            yet) ``unit``, and ``wait_until``, a moment in UTC or False
        :raises AccessError: the user may not see the run
        """
        self.ensure_one()
        self.check_access("read")
        job = self._get_job()
        done, total = (0, 0) if job is None else job._count_progress(self)
        return {
            "job": self.job,
            "label": dict(self._fields["job"]._description_selection(self.env))[self.job],
            "state": self.state,
            "done": done,
            "total": total,
            "unit": "" if job is None else job._get_unit(),
            "wait_until": self.send_wait_until if self.job == "send" else False,
        }

    def _count_documents(self, *domains):
        Document = self.env["invoice.run.document"]
        return [Document.search_count(domain) for domain in domains]

    def _notify_progress(self, **values):
        """Inform the browsers of onlookers and of the responsible user at the next commit.

        :param values: what the worker knows: customers ``left`` while amounts are created
        """
        for run in self:
            message = {"run_id": run.id, **values}
            # sudo: the notification says no more than that run's number and progress
            self.env["bus.bus"].sudo()._sendone(run, PROGRESS, message)
            if run.user_id:
                run.user_id.sudo()._bus_send(PROGRESS, message)

    # ------------------------------------------------------------------
    # Work
    # ------------------------------------------------------------------

    @api.model
    def _has_onlooker(self):
        """Whether the requests of a user who watches carry out what is queued."""
        return bool(self.env.context.get("invoice_run_watched"))

    @api.model
    def _is_single_step(self):
        """Whether only one chunk is worked on: the next request goes on."""
        return bool(self.env.context.get("invoice_run_step"))

    def _get_job_trigger(self):
        """Return when somebody should start on a queued job; None: at once.

        The requests of the user who watches do it, unless they stop coming.
        """
        if self._has_onlooker():
            return fields.Datetime.now() + timedelta(minutes=TAKE_OVER_MINUTES)
        return None

    def _get_chunk_size(self, size, job=None):
        """Return how much is done in one transaction: less where a user watches.

        :param size: the most
        :param job: the model that does it, where its total can be counted
        """
        if self._is_single_step():
            return min(size, STEP_SIZE)
        if self.is_managed and job is not None:
            _done, total = job._count_progress(self)
            return min(size, max(SMALLEST_CHUNK, -(-total // FEWEST_CHUNKS)))
        return size

    def _process_step(self):
        """Carry out one small chunk of what is queued, unless a worker is on it."""
        self.with_context(invoice_run_step=True, invoice_run_watched=True)._process_queue()
