"""`./dev bench imports`: contracts from a file, as "Test", for good, again, and with new prices.

New prices: the first batch only.
"""

import argparse
import json

from . import bench_run, databases
from .shell import say

ADDONS = ("invoice_run", "invoice_run_turbo")
SCRIPT = "from devtools.inside import importing; importing.main(env)"


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser("./dev bench imports", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="contracts of two lines")
    parser.add_argument("--json", action="store_true", help="the result as the last line")
    options = parser.parse_args(args)
    space = bench_run.get_space()
    with databases.plain_clone(space, "scratch") as database:
        say(f"install {', '.join(ADDONS)}")
        databases.install(space, database, ADDONS)
        say(f"{options.count} contracts from a file")
        output = space.script(
            database, SCRIPT, problem="The import failed", BENCH_COUNT=options.count
        )
    found = json.loads(output.splitlines()[-1])
    rows = [
        (name, found[name]["seconds"], found[name]["cpu_seconds"])
        + (found[name]["batches"][0], round(found[name]["memory_mb"]))
        for name in ("test", "import", "again", "raised")
    ]
    bench_run.show(rows, ("", "seconds", "CPU seconds", "first batch", "memory in MB"))
    return bench_run.end({"bench": "imports", "count": options.count, **found}, options.json)
