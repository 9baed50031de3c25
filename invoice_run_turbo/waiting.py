"""New records whose rows are inserted when all of their values are known.

Documents and amounts get names, totals and comparisons right after they are created. They have
their ids, are in the cache and count as changed, so whatever asks the database for them has them
inserted before. Where nothing does, their rows are inserted once and not updated.
"""

from contextlib import contextmanager

#: Key of the cursor's cache: the records that wait, while there may be any.
WAITING = "invoice_run.waiting"


@contextmanager
def inserted_together(env):
    """Inside this block, rows of records that can wait are inserted at the end, or when needed.

    What is rolled back is forgotten: the cursor's cache is emptied with it.
    """
    waiting = env.cr.cache[WAITING] = Waiting(env)
    try:
        yield
        if env.cr.cache.get(WAITING) is waiting:  # else a savepoint was rolled back
            waiting.insert()
    finally:
        env.cr.cache.pop(WAITING, None)


@contextmanager
def held_back(env):
    """Inside this block rows go on waiting: what is asked is not about these records."""
    waiting = env.cr.cache.get(WAITING)
    if waiting is None:
        yield
        return
    waiting.is_held = True
    try:
        yield
    finally:
        waiting.is_held = False


def get_waiting(env, model_name=None):
    """Return what waits in this transaction, maybe of one model; None where nothing does."""
    waiting = env.cr.cache.get(WAITING)
    if waiting is None or model_name and model_name not in waiting.ids:
        return None
    return waiting


class Waiting:
    """The records that wait, model by model in the order in which they were created."""

    def __init__(self, env):
        self._env, self._inserts = env, []
        #: {model: ids of its records that wait}
        self.ids = {}
        self.is_held = False

    def add(self, insert, records):
        """Have the records of ``insert``, which are in the cache, wait for their rows."""
        self._inserts.append(insert)
        self.ids.setdefault(records._name, []).extend(records._ids)
        self._mark(records)

    def _get_columns(self, model):
        fields = model._fields.values()
        return [field for field in fields if field.store and field.column_type]

    def _mark(self, records):
        """Have all that is asked of these records flushed before."""
        dirty = self._env._field_dirty
        for field in self._get_columns(records):
            dirty[field].update(records._ids)

    def _unmark(self, records):
        dirty = self._env._field_dirty
        for field in self._get_columns(records):
            ids = dirty[field]
            if len(ids) <= len(records):  # it holds all of these
                dirty.pop(field)
            else:
                ids.difference_update(records._ids)

    def insert(self):
        """Insert all rows, with the values that the cache has now."""
        for model_name, ids in list(self.ids.items()):
            self._env[model_name].browse(ids)._recompute_recordset()
        inserts, self._inserts = self._inserts, []
        waiting, self.ids = self.ids, {}
        for model_name, ids in waiting.items():
            self._unmark(self._env[model_name].browse(ids))
        for insert in inserts:
            insert.insert_rows()

    @contextmanager
    def left_alone(self, model):
        """Inside this block the records of ``model`` that wait do not count as changed."""
        records = model.browse(self.ids[model._name])
        self._unmark(records)
        try:
            yield
        finally:
            if model._name in self.ids:  # else they were inserted meanwhile
                self._mark(records)
