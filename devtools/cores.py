"""A single core for all that a benchmark starts, to see what a second one gives."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import postgres


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, those that it started, and PostgreSQL on one core.

    What they start meanwhile stays on it, too.
    """
    cores = os.sched_getaffinity(0)
    _keep_on({min(cores)})
    try:
        yield
    finally:
        _keep_on(cores)


def _keep_on(cores: set[int]) -> None:
    for process in _get_descendants([os.getpid(), postgres.get_process()]):
        for thread in _list_numbers(Path(f"/proc/{process}/task")):
            try:
                os.sched_setaffinity(thread, cores)
            except ProcessLookupError:
                continue  # it ended in between


def _get_descendants(processes: list[int]) -> list[int]:
    """The processes, and all that they started, one generation after the other."""
    parents = {process: _get_parent(process) for process in _list_numbers(Path("/proc"))}
    found = list(processes)
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def _get_parent(process: int) -> int | None:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the name, in brackets, may have spaces
    _name, _bracket, rest = status.rpartition(")")
    return int(rest.split()[1])


def _list_numbers(folder: Path) -> list[int]:
    """The numbers in a folder of `/proc`; none where the process ended."""
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except (FileNotFoundError, ProcessLookupError):
        return []
