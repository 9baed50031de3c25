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
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OUTAGE_ERRORS) or _is_connection_lost(error):
            return True
        if isinstance(error, OSError) and error.errno in OUTAGE_NUMBERS:
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_connection_lost(error):
    # the server could not send a code any more, so psycopg2 has no class for it
    return type(error) is psycopg2.OperationalError and not error.pgcode
