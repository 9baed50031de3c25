"""What a batch of records shares is looked up once, and written once."""

from contextlib import contextmanager

#: Key of the cursor's cache: what :func:`remember` keeps, while there is such a memory.
MEMORY = "invoice_run.memory"


@contextmanager
def remembering(env):
    """Inside this block, :func:`remember` looks up once what many records share.

    For code that only reads: changes in between are not seen.
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
    """Return what ``make()`` returned first for ``key``; outside of the block, call it each time.

    :param key: hashable; everything on which the result depends
    """
    memory = env.cr.cache.get(MEMORY)
    if memory is None:
        return make()
    if key not in memory:
        memory[key] = make()
    return memory[key]


def assign(records, vals_list):
    """Write values that differ from record to record in one update, as computed fields are.

    For fields without inverse method or constraint, in models whose ``write`` does nothing
    with them. What depends on the fields is computed again.
    """
    names = dict.fromkeys(name for vals in vals_list for name in vals)
    fields_ = [records._fields[name] for name in names]
    currencies = {}
    with records.env.protecting(fields_, records):
        for field in fields_:
            for value, some in _group_by_value(field, records, vals_list, currencies):
                some[field.name] = value
    records.modified(names)


def _group_by_value(field, records, vals_list, currencies):
    """Yield (value, records that get it); amounts by their currency as well, which rounds them.

    :param currencies: {name of the field: currency ids}, kept for the other amounts
    """
    name = field.type == "monetary" and field.get_currency_field(records)
    if name not in currencies:
        currencies[name] = [record[name].id if name else None for record in records]
    groups = {}
    for id_, vals, currency in zip(records._ids, vals_list, currencies[name], strict=True):
        if field.name in vals:
            value = vals[field.name]
            # 0, 0.0 and False are equal, but not the same
            key = (type(value), repr(value), currency)
            groups.setdefault(key, (value, []))[1].append(id_)
    for value, ids in groups.values():
        yield value, records.browse(ids)
