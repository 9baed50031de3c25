"""`./dev bench equality`: invoices created in bulk equal Odoo's own, in four countries.

Too slow for the suite, whose `test_bulk_equality.py` does the same with a generic chart.
"""

import argparse
import json

from . import bench_run, databases
from .shell import say

MODULES = ("l10n_be", "l10n_nl", "l10n_ch", "l10n_fr_account", "invoice_run_turbo")
#: Of about 78; many taxes of the French chart are due on payment, which goes the plain way.
LEAST_IN_BULK = 25
SCRIPT = "from devtools.inside import equality; equality.main(env)"


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser("./dev bench equality", description=__doc__)
    parser.add_argument("--json", action="store_true", help="the result as the last line")
    options = parser.parse_args(args)
    space = bench_run.get_space()
    with databases.plain_clone(space, "scratch") as database:
        say(f"database with {', '.join(MODULES)}")
        space.odoo_run(
            *("-d", database, "-i", ",".join(MODULES), "--without-demo"),
            *("--stop-after-init", "--no-http", "--log-level=error"),
            problem="The modules could not be installed",
        )
        say("invoices of each chart, in both ways")
        output = space.script(database, SCRIPT, problem="The comparison failed")
    found = json.loads(output.splitlines()[-1])
    bench_run.show(
        [
            (chart, *(result[name] for name in ("invoices", "in_bulk", "items", "taxes")))
            + (len(result["differences"]),)
            for chart, result in found["charts"].items()
        ],
        ("chart", "invoices", "in bulk", "items", "taxes", "differences"),
    )
    for chart, result in found["charts"].items():
        for difference in result["differences"]:
            print(f"{chart}: {difference}")
    for obstacle in found["obstacles"]:
        print(f"no invoice in bulk: {obstacle}")
    bench_run.end({"bench": "equality", **found}, options.json)
    return int(any(not _is_good(result) for result in found["charts"].values()))


def _is_good(result: dict) -> bool:
    """Whether nothing differs, and many of the invoices compared were created in bulk."""
    return not result["differences"] and result["in_bulk"] >= LEAST_IN_BULK
