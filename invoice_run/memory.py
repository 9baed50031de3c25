"""What a batch of records shares is looked up once, and written once."""

from contextlib import contextmanager

#: Key of the cursor's cache: what :func:`remember` keeps, while there is such a memory.
MEMORY = "invoice_run.memory"


@contextmanager
def remembering(env):
    """Within this, :func:`remember` asks once for what many records share.

    For the time in which they are only read: what changes meanwhile is not seen.
    """
    cache = env.cr.cache
    if MEMORY in cache:
        yield
        return
    cache[MEMORY] = {}
    try:
        yield
    finally:
        # gone with the transaction, where that ended meanwhile
        env.cr.cache.pop(MEMORY, None)


def remember(env, key, make):
    """Return what ``make()`` returned the first time for ``key``; outside a memory, make it.

    :param key: hashable; all on which the result depends
    """
    memory = env.cr.cache.get(MEMORY)
    if memory is None:
        return make()
    if key not in memory:
        memory[key] = make()
    return memory[key]


def assign(records, vals_list):
    """Write values that differ from record to record, as computed fields are: in one update.

    For fields without inverse method or constraint, in models whose ``write`` has nothing to say
    about them. What depends on the fields is computed again.
    """
    names = set().union(*vals_list)
    fields_ = [records._fields[name] for name in names]
    with records.env.protecting(fields_, records):
        for record, vals in zip(records, vals_list, strict=True):
            record.update(vals)
    records.modified(names)
