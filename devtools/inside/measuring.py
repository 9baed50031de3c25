"""What a benchmark measures inside of Odoo: time, statements, memory."""

import os
import resource
import time
from contextlib import contextmanager
from pathlib import Path

from odoo import sql_db


@contextmanager
def measured(env, result: dict, count: int):
    """Measure time, statements and memory of a block, per invoice where that says more.

    ``cpu_seconds`` are those of this process, of the processes that it started, such as those that
    print, and of its database process: they say more than the time where others work on the same
    machine.
    """
    memory, cpu = get_memory(), _get_cpu_seconds(env)
    started, statements = time.time(), sql_db.sql_counter
    yield
    seconds = time.time() - started
    result.update(
        started=started,
        ended=started + seconds,
        seconds=seconds,
        cpu_seconds=_get_cpu_seconds(env) - cpu,
        per_second=count / seconds,
        queries_per_invoice=(sql_db.sql_counter - statements) / count,
        memory_mb=get_memory(),
        memory_growth_mb=get_memory() - memory,
    )


def get_memory() -> float:
    """The most that this process has used so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _get_cpu_seconds(env) -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time() + children.ru_utime + children.ru_stime
    stat = Path(f"/proc/{env.cr._cnx.info.backend_pid}/stat")
    if not stat.exists():  # the database is on another machine
        return own
    ticks = stat.read_text().rpartition(")")[2].split()[11:13]
    return own + sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
