from dataclasses import dataclass

from odoo import api, fields, models
from odoo.tools import SQL

from ..amount.invoice_run_amounts import CLAIM_ERRORS
from .invoice_run_job import JobLeft


@dataclass
class Chunk:
    """Customers whose amounts are calculated in one transaction."""

    payers: models.BaseModel
    #: Customers that are still to come.
    left: int


class InvoiceRunJobAmounts(models.AbstractModel):
    """Calculate the amounts of all customers.

    All that a customer has due is handled in one transaction. Workers share the customers: each
    locks those of its chunk.
    """

    _name = "invoice.run.job.amounts"
    _description = "Calculate Amounts"
    _inherit = "invoice.run.job"

    _is_shared = True

    @api.model
    def _collect_chunks(self, run):
        self._check_selection(run)
        seen = set()
        while payers := run._get_open_payers().filtered(lambda payer: payer.id not in seen):
            known, start, before = len(seen), 0, 0
            while start < len(payers):
                end = start + self._get_payer_share(run, len(payers), start, before)
                chunk = Chunk(self._take_payers(run, payers[start:end]), max(0, len(payers) - end))
                if chunk.payers:
                    yield chunk
                    seen.update(chunk.payers.ids)
                start, before = end, len(chunk.payers) or before
            if len(seen) == known:
                self._leave_to_others(run)

    def _check_selection(self, run):
        """End the job with an exception where nothing can be selected until it is corrected.

        :raises JobLeft: it was ended
        """
        message = run._get_stop_message()
        if not message:
            return
        self.env["invoice.run.exception"].create(
            {"run_id": run.id, "code": "selection", "message": message}
        )
        run._set_state("amounts", job="none", amounts_date=fields.Datetime.now())
        run._tell_responsible(
            self.env._("%(run)s: its scenario cannot be used, see why", run=run.reference)
        )
        run._queue_asked_sending()
        run._commit_step()
        raise JobLeft

    def _get_payer_share(self, run, count, start, before):
        """Return for how many customers this worker creates the amounts in its next transaction.

        :param count: how many there were to do when it looked
        :param start: how many of these are done, or taken by other workers
        :param before: how many it took in its last transaction; 0: all workers have just begun
        """
        left = count - start + (run._count_workers() - 1) * before // 2 if before else count
        return self._get_share(run, self._limit_chunk(run), left)

    def _take_payers(self, run, payers):
        """Return those of ``payers`` that no other worker has or had, locked to the next commit.

        The locks prove that nobody is at work on them. That nobody was is read outside of this
        transaction, which may have begun before another worker finished.
        """
        if not run._can_commit():
            return payers
        self.env.cr.execute(
            SQL(
                "SELECT id FROM unnest(%s::int[]) AS id WHERE pg_try_advisory_xact_lock(%s, id)",
                payers.ids,
                run.id,
            )
        )
        free = {row[0] for row in self.env.cr.fetchall()}
        with self.env.registry.cursor() as cr:
            free -= set(run.with_env(self.env(cr=cr))._get_done_payers(payers).ids)
        return payers.filtered(lambda payer: payer.id in free)

    @api.model
    def _work(self, run, chunk):
        try:
            run._generate_amounts(chunk.payers, look_again=run._can_commit())
        except CLAIM_ERRORS:
            # another run claimed the same since our snapshot: in a new one it is not due
            self.env.cr.rollback()
            if not run._lock_job(self._get_kind()):
                raise JobLeft from None
            # those whom another worker has now are not ours any more
            chunk.payers = self._take_payers(run, chunk.payers)
            run._generate_amounts(chunk.payers)

    @api.model
    def _count_units(self, chunk):
        return len(chunk.payers)

    @api.model
    def _get_chunk_progress(self, chunk):
        return {"left": chunk.left}

    @api.model
    def _is_idle(self, run, chunk):
        # where nothing was due, nothing marks these customers as done: pass them
        return not run._get_done_payers(chunk.payers)

    @api.model
    def _finish(self, run):
        run._finish_amounts()

    @api.model
    def _count_progress(self, run):
        """The total is not known here: the worker says with each chunk how many are left."""
        [(done,)] = self.env["invoice.run.document"]._read_group(
            [("run_id", "=", run.id)], [], ["payer_id:count_distinct"]
        )
        return done, 0

    @api.model
    def _get_unit(self):
        return self.env._("customers")
