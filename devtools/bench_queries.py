"""`./dev bench queries`: what our addons add to the cost of ordinary work in Odoo.

The same operations in Accounting and Sales run in a database without our addons and in one with
them; what is counted is SQL statements, not time.
"""

import argparse
import json
from collections import Counter

from . import bench_run, databases
from .shell import say

ADDONS = ("invoice_run", "invoice_run_turbo")
SCRIPT = "from devtools.inside import queries; queries.main(env)"


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser("./dev bench queries", description=__doc__)
    parser.add_argument("--show", action="store_true", help="the statements that are more")
    parser.add_argument("--json", action="store_true", help="the result as the last line")
    options = parser.parse_args(args)
    space = bench_run.get_space()
    with databases.plain_clone(space, "scratch") as database:
        say("without our addons")
        without = _measure(space, database)
        say(f"install {', '.join(ADDONS)}")
        databases.install(space, database, ADDONS)
        say("with our addons")
        ours = _measure(space, database)
    rows = [(name, without[name]["count"], ours[name]["count"]) for name in without]
    rows.append(("together", *(sum(row[side] for row in rows) for side in (1, 2))))
    shown = [(*row, row[2] - row[1], f"{row[2] / row[1] - 1:.1%}") for row in rows]
    bench_run.show(shown, ("operation", "without", "with", "more", ""))
    if options.show:
        for name in without:
            _show_more(name, without[name]["statements"], ours[name]["statements"])
    total = {"without": rows[-1][1], "with": rows[-1][2]}
    operations = {row[0]: {"without": row[1], "with": row[2]} for row in rows[:-1]}
    return bench_run.end({"bench": "queries", **total, "operations": operations}, options.json)


def _measure(space, database: str) -> dict:
    output = space.script(database, SCRIPT, problem="The operations failed")
    return json.loads(output.splitlines()[-1])


def _show_more(name: str, without: dict, ours: dict) -> None:
    """Print the statements that occur only, or more often, with our addons."""
    for statement, count in (Counter(ours) - Counter(without)).items():
        print(f"{name}: {count}× {' '.join(statement.split())[:300]}")
