"""Keeps the environments that the ORM would create anew for each amount and each link."""

from contextlib import contextmanager

#: Key of the cursor's cache: {environment: the same with ``prefetch_fields=False``}.
ENVIRONMENTS = "invoice_run.environments"


@contextmanager
def environments_kept(records):
    """Keep the environments that the ORM changes to for each amount and each link.

    An environment that nobody holds is created anew each time: that took an eighth of a run. The
    one in which the currency of an amount is read is found without creating its context first,
    see ``invoice.run.bulk.mixin``.
    """
    cache = records.env.cr.cache
    outer = cache.get(ENVIRONMENTS, {})
    held, without_prefetch = [], {}
    # the last one writes what is pending at the end of a savepoint
    writing = records.with_env(records.env.transaction.default_env or records.env)
    for origin in (records, records.with_context(bin_size=False), writing):
        superuser = origin.sudo()
        held += [origin.env, superuser.with_context(active_test=False).env]
        without_prefetch[superuser.env] = superuser.with_context(prefetch_fields=False).env
    cache[ENVIRONMENTS] = {**outer, **without_prefetch}
    try:
        yield
    finally:
        cache[ENVIRONMENTS] = outer
        held.clear()
