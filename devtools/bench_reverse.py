"""`./dev bench reverse`: a run is reversed, a confirmed credit note for each of its invoices."""

import argparse

from . import bench_run
from .shell import say


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser("./dev bench reverse", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[250, 1000], help="invoices")
    parser.add_argument("--json", action="store_true", help="the result as the last line")
    options = parser.parse_args(args)
    space = bench_run.get_space()
    found = {}
    for count in options.counts:
        with bench_run.prepared(space, "ours", count) as bench:
            bench.run("run_ours")
            say(f"{count} invoices are reversed")
            found[count] = bench.run("run_reversal")
    names = ("seconds", "per_second", "queries_per_invoice", "memory_mb", "memory_growth_mb")
    rows = [
        (
            str(count),
            f"{1000 * result['cpu_seconds'] / count:.1f}",
            *(f"{result[name]:.1f}" for name in names),
        )
        for count, result in found.items()
    ]
    head = ("invoices", "ms CPU/invoice", "s", "invoices/s", "queries/invoice", "MB", "MB more")
    bench_run.show(rows, head)
    return bench_run.end({"bench": "reverse", "counts": found}, options.json)
