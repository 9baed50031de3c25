"""Databases, processes and figures of the benchmarks."""

import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import databases, postgres, venv, workspace
from .paths import CACHE, ROOT, addon_names, fingerprint
from .shell import DevError, building, is_built, locked, say

PINS = Path(__file__).with_name("pins")
SCRIPT = "from devtools.inside import bench, {module}; bench.main(env, {module}.{name})"


class Bench:
    """A database that is prepared once and copied for each measurement."""

    def __init__(self, space: workspace.Workspace, database: str, count: int, options: tuple):
        self.space, self.database, self.count, self.options = space, database, count, options

    def run(self, function: str, database: str = "", **variables: str) -> dict:
        """Call a function of `devtools.inside`, as `module.name`, in a process of its own."""
        process = self.start(function, database, **variables)
        return finish(process)

    def start(self, function: str, database: str = "", **variables: str) -> subprocess.Popen:
        process = subprocess.Popen(
            self.space.command(
                *("shell", "-d", database or self.database, *self.options),
                *("--no-http", "--log-level=error"),
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**self.space.env, "BENCH_COUNT": str(self.count), **variables},
        )
        module, _dot, name = function.rpartition(".")
        process.stdin.write(SCRIPT.format(module=module or "bench", name=name))
        process.stdin.close()
        process.stdin = None
        return process

    @contextmanager
    def copy(self) -> Iterator[str]:
        """A copy of the prepared database."""
        name = databases.get_name(f"bench_copy_{os.getpid()}")
        databases.drop(name)
        databases.clone(self.database, name)
        try:
            yield name
        finally:
            databases.drop(name)


def finish(process: subprocess.Popen) -> dict:
    output, _errors = process.communicate()
    if process.returncode:
        raise DevError("A benchmark failed.", output[-2000:])
    return json.loads(output.splitlines()[-1])


@contextmanager
def prepared(space, kind: str, count: int) -> Iterator[Bench]:
    """A plain database with our addon or OCA's (`peers`), and what is to be invoiced.

    `ours` has the turbo addon, `without` has not.
    """
    name = databases.get_name(f"bench_{kind}_{os.getpid()}")
    addons = ["contract", "sale"] if kind == "peers" else ["invoice_run"]
    options = ()
    alone = ["--skip-auto-install"] if kind == "without" else []
    if kind == "peers":
        folders = f"{_get_peers() / 'odoo' / 'addons'},{ROOT}"
        paths = [*map(str, space.odoo.addons_paths), folders]
        options = (f"--addons-path={','.join(paths)}",)
    say(f"{kind}: database with {count} contracts")
    with databases.plain_clone(space, "scratch") as plain:
        databases.drop(name)
        databases.clone(plain, name)
    try:
        space.odoo_run(
            *("-d", name, "-i", ",".join(addons), *alone, *options, "--without-demo"),
            *("--stop-after-init", "--no-http", "--log-level=error"),
            problem="The addons could not be installed",
        )
        bench = Bench(space, name, count, options)
        bench.run("make_peers" if kind == "peers" else "make_ours")
        yield bench
    finally:
        databases.drop(name)


def _get_peers() -> Path:
    """OCA's `contract`, to compare with; nothing of ours needs it."""
    pin = PINS / "bench.txt"
    home = CACHE / "bench" / fingerprint(pin.read_text())
    with locked(CACHE / "bench" / "lock", "what is compared with"):
        if not is_built(home):
            say("OCA contract")
            with building(home) as folder:
                venv.install_into(folder, pin, "--no-deps")
    return home


def run_workers(bench: Bench, database: str, workers: int) -> dict:
    """Have several workers share one run; their time is from the first start to the last end."""
    if workers == 1:
        return bench.run("run_ours", database)
    result = work_together(bench, workers, "run_worker", "queue", database)
    return {**result, **bench.run("check", database)}


def work_together(
    bench: Bench, workers: int, work: str, queue: str, database: str = "", **variables: str
) -> dict:
    """Call ``queue``, then ``work`` in several processes at once; return what they took together.

    Each process says that it is ready and waits for a signal.
    """
    processes = [bench.start(work, database, **variables) for _number in range(workers)]
    for process in processes:
        while process.stdout.readline().strip() != "ready":
            if process.poll() is not None:
                raise DevError("A worker ended before it began.")
    bench.run(queue, database, BENCH_WORKERS=str(workers), **variables)
    # nobody else is at work any more
    started = time.time()
    for process in processes:
        process.send_signal(signal.SIGUSR1)
    results = [finish(process) for process in processes]
    seconds = max(result["ended"] for result in results) - started
    return {
        "seconds": seconds,
        "per_second": bench.count / seconds,
        # with those of a worker that waits for the others
        "queries_per_invoice": sum(result["queries_per_invoice"] for result in results),
        "cpu_seconds": sum(result["cpu_seconds"] for result in results),
        "memory_mb": max(result["memory_mb"] for result in results),
        "memory_growth_mb": max(result["memory_growth_mb"] for result in results),
        "started": started,
    }


def median(results: list[dict], name: str) -> float:
    return statistics.median(result[name] for result in results)


def get_machine() -> dict:
    """What the figures depend on."""
    (version,) = postgres.query("SHOW server_version")
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
        "postgresql": version,
        "addons": addon_names(),
    }


def show(rows: list[tuple], head: tuple) -> None:
    """Print a table."""
    table = [head, *rows]
    widths = [max(len(str(row[column])) for row in table) for column in range(len(head))]
    for row in table:
        cells = [str(cell).rjust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([cells[0].ljust(widths[0]), *cells[1:]]), flush=True)


def end(result: dict, as_json: bool) -> int:
    """Name the machine; with `--json`, print the result as the last line."""
    result["machine"] = get_machine()
    print(" · ".join(f"{name} {value}" for name, value in result["machine"].items()))
    if as_json:
        print(json.dumps(result))
    sys.stdout.flush()
    return 0


def get_space() -> workspace.Workspace:
    if not shutil.which("unshare") and os.geteuid() == 0:
        say("PostgreSQL may not start as root here")
    return workspace.prepare()
