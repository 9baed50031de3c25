"""Errors that are not caused by the record at which they occur."""

import errno

import psycopg2
from psycopg2 import errors as pg_errors

#: The transaction cannot go on after these: roll back and repeat the chunk.
RETRY_ERRORS = (
    pg_errors.SerializationFailure,
    pg_errors.DeadlockDetected,
    pg_errors.LockNotAvailable,
)
#: The machine or the database is out of order: no disk, no memory, no connection, read-only.
OUTAGE_ERRORS = (
    pg_errors.InsufficientResources,
    pg_errors.DiskFull,
    pg_errors.OutOfMemory,
    pg_errors.TooManyConnections,
    pg_errors.AdminShutdown,
    pg_errors.CrashShutdown,
    pg_errors.CannotConnectNow,
    pg_errors.ReadOnlySqlTransaction,
    pg_errors.IoError,
    psycopg2.InterfaceError,
    MemoryError,
)
#: The same, as the operating system says it.
OUTAGE_NUMBERS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EIO,
}


def is_outage(error):
    """Whether ``error``, or its cause, is an outage, which has nothing to do with the document.

    The work stops then, its responsible user is told, and it resumes when the cause is gone.
    """
    return any(
        isinstance(cause, OUTAGE_ERRORS)
        or _is_connection_lost(cause)
        or (isinstance(cause, OSError) and cause.errno in OUTAGE_NUMBERS)
        for cause in _get_causes(error)
    )


def get_conflict(error):
    """Return the error of ``RETRY_ERRORS`` from which ``error`` comes, or None.

    After a conflict PostgreSQL refuses all statements, so whoever handles it badly gets another.
    """
    conflicts = (cause for cause in _get_causes(error) if isinstance(cause, RETRY_ERRORS))
    return next(conflicts, None)


def _get_causes(error):
    """Yield ``error`` and what it comes from, one after the other."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_connection_lost(error):
    # the server could not send a code any more, so psycopg2 has no class for it
    return type(error) is psycopg2.OperationalError and not error.pgcode
