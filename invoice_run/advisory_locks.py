"""The keys of all PostgreSQL advisory locks of the addons, in one place so that no two are equal.

A key is 64 bits: the upper half, one of these, says what is locked, and the lower half is the id
of the record. PostgreSQL keeps locks of two 32-bit keys apart from these: the pair of customer
and run, by which workers share a run, cannot meet one of them.
"""

from odoo.tools import SQL

#: A person gets a turn on a run that workers process.
GATE = 0x1D5C << 32
#: Numbering invoices in a journal.
NUMBERS = 0x1D5D << 32
#: Counting the mails of a company.
MAILS = 0x1D5E << 32
#: Sending documents of a run: workers share it, and the one that ends the job has it alone.
SENDING = 0x1D5F << 32
#: Sending a document, from the note before the hand-over to the answer.
DOCUMENT = 0x1D60 << 32


def give_up(cr, *kinds, ids=None):
    """Give up all locks of ``kinds`` that the connection of ``cr`` holds beyond a commit.

    It asks what is held, so that nothing is unlocked twice or in vain.

    :param ids: only those of these records
    """
    condition = SQL("TRUE") if ids is None else SQL("objid::bigint = ANY(%s::bigint[])", list(ids))
    cr.execute(
        SQL(
            """
            SELECT CASE mode
                   WHEN 'ShareLock' THEN pg_advisory_unlock_shared(id)
                   ELSE pg_advisory_unlock(id) END
              FROM (SELECT mode, (classid::bigint << 32) + objid::bigint AS id
                      FROM pg_locks
                     WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
                       AND objsubid = 1 AND classid::bigint IN %s AND %s) AS held
            """,
            tuple(kind >> 32 for kind in kinds),
            condition,
        )
    )
