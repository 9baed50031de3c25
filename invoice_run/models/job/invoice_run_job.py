import time
from contextlib import nullcontext

from odoo import api, models

#: What a worker takes at least of the rest: smaller chunks cost more than they even out.
SMALLEST_SHARE = 60
#: Seconds that a chunk takes: Odoo ends a worker of scheduled actions after 120 seconds, in which
#: it has other things to do as well.
CHUNK_SECONDS = 10
#: {(database, kind of work): seconds that one unit took lately in this process}.
PACES = {}


class JobLeft(Exception):
    """The rest of a job is left for later or for another worker; what was done is committed."""


class InvoiceRunJob(models.AbstractModel):
    """One kind of background work on a run, without rows of its own.

    There is one loop, :meth:`_process`: take a chunk, work on it, commit, and go on while there
    is time and nobody else wants the run. A worker that dies loses one chunk at most, and the
    next one goes on where it stopped: what is in no committed chunk is still to be done, so each
    chunk is safe to repeat. Workers that share a job take chunks side by side, and the last one
    ends it.

    A kind of work is a model ``invoice.run.job.<value of the run's job>`` that says what a chunk
    is, what is done with it, how the job ends, and how far it is.
    """

    _name = "invoice.run.job"
    _description = "Background Work on a Run"

    #: The most units of the job in one transaction.
    _chunk_size = 250
    #: Units in the first transaction, before it is known how long one takes here.
    _first_chunk_size = 60
    #: Whether several workers work on it at once.
    _is_shared = False
    #: Whether each of its steps is short, so that a worker with little time may take it.
    _has_short_steps = True

    @api.model
    def _get_kind(self):
        """Return the value of ``invoice.run.job`` that stands for this work."""
        return self._name.rpartition(".")[2]

    # ------------------------------------------------------------------
    # What a kind of work says
    # ------------------------------------------------------------------

    @api.model
    def _collect_chunks(self, run):
        """Yield what is done in one transaction each, as long as there is something to do.

        It is asked for the next chunk after the commit of the one before.

        :raises JobLeft: the rest is for later or for others
        """
        raise NotImplementedError

    @api.model
    def _work(self, run, chunk):
        """Do one chunk; its commit follows."""
        raise NotImplementedError

    @api.model
    def _get_chunk_progress(self, chunk):
        """Return what only the worker knows about its progress, for users who watch."""
        return {}

    @api.model
    def _has_more(self, run):
        """Whether there is something to do that no chunk was: others have it, or it is new."""
        return False

    @api.model
    def _is_idle(self, run, chunk):
        """Whether ``chunk`` left no trace, so that the next worker would take it again."""
        return False

    @api.model
    def _finish(self, run):
        """End the job: move the run on, tell whoever is responsible.

        :raises JobLeft: something is to be done later
        """
        raise NotImplementedError

    @api.model
    def _withdraw(self, run):
        """Forget what was asked for and is not done: somebody stops the job."""

    @api.model
    def _count_progress(self, run):
        """Return how much is done and how much there is in all; 0: not known."""
        return 0, 0

    @api.model
    def _get_unit(self):
        """Return what is counted, in words."""
        return self.env._("documents")

    @api.model
    def _working(self, run):
        """Return the context manager in which a worker is on ``run``."""
        return nullcontext()

    # ------------------------------------------------------------------
    # The loop
    # ------------------------------------------------------------------

    @api.model
    def _process(self, run):
        """Do this work on ``run``, which is locked, chunk by chunk; return whether it is done."""
        try:
            with self._working(run):
                self._process_all(run)
                self._finish(run)
                if self._get_kind() != "send":
                    # what somebody asked for while this was done
                    run._queue_asked_sending()
                run._notify_progress()
                run._commit_step()
        except JobLeft:
            return False
        return True

    def _process_all(self, run):
        while True:
            for chunk in self._collect_chunks(run):
                begin = time.monotonic()
                self._work(run, chunk)
                self._note_pace(self._count_units(chunk), time.monotonic() - begin)
                run._notify_progress(**self._get_chunk_progress(chunk))
                self._give_way(run, chunk)
            if self._is_shared:
                self._take_alone(run)
            if not self._has_more(run):
                return

    def _give_way(self, run, chunk):
        """Commit; go on only while there is time and the run is still ours to work on.

        Odoo hears of each chunk: a worker that dies after some counts as one that got on.
        """
        seconds = run._commit_step(processed=1, remaining=1)
        go_on = seconds or self._is_idle(run, chunk)
        if not go_on or not run._lock_job(self._get_kind()):
            raise JobLeft

    def _take_alone(self, run):
        """Take the run to end a job that others share: the last one does, the others leave."""
        if self._has_more(run) or not run._lock_to_finish(self._get_kind()):
            self._leave_to_others(run)

    def _leave_to_others(self, run):
        """End this worker's part, others are at the rest.

        :raises JobLeft: always
        """
        run._look_again()
        run._commit_step()
        raise JobLeft

    # ------------------------------------------------------------------
    # How much at once
    # ------------------------------------------------------------------

    @api.model
    def _limit_chunk(self, run):
        """Return how much of the job is done in one transaction: in seconds, not in numbers."""
        size = run._get_chunk_size(self._chunk_size, self)
        return self._pace(size) if run._can_commit() else size

    def _pace(self, size):
        """Return what can be done in ``CHUNK_SECONDS`` of a chunk of ``size``, at least one."""
        seconds = PACES.get((self.env.cr.dbname, self._name))
        if seconds is None:
            return min(size, self._first_chunk_size)
        return max(1, min(size, int(CHUNK_SECONDS / max(seconds, 1e-9))))

    def _note_pace(self, units, seconds):
        """Remember how long a unit took; a slow one counts at once, a quick one half."""
        if not units:
            return
        key, now = (self.env.cr.dbname, self._name), seconds / units
        PACES[key] = max(now, (PACES.get(key, now) + now) / 2)

    @api.model
    def _count_units(self, chunk):
        """Return how much ``chunk`` holds."""
        return len(chunk)

    def _get_share(self, run, size, left):
        """Return how much of what is left one worker takes, so that all end at the same time.

        "Guided self-scheduling" (Polychronopoulos and Kuck, 1987): the shares shrink with the
        rest, but for the last ones.

        :param size: the most that is done in one transaction
        :param left: what is left for all workers together; of what the others have in hand half
            is taken to be done, or nothing when all have just begun
        """
        workers = run._count_workers()
        if workers < 2:
            return size
        share = max(SMALLEST_SHARE, -(-left // workers))
        if left - share < SMALLEST_SHARE // 2:
            # the rest is not worth a transaction of its own
            share = max(share, left)
        return min(size, share)
