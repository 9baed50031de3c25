"""`./dev bench create`: invoices per second, against other ways of making the same ones."""

import argparse
from contextlib import ExitStack

from . import bench_run
from .bench_run import median
from .shell import say

NAMES = {
    "ours": "invoice_run, one worker",
    "two": "invoice_run, two workers",
    "without": "invoice_run without turbo, one worker",
    "oca": "OCA contract, its cron and posting",
    "sale": "sale.order._create_invoices and posting",
    "plain": "account.move.create and posting",
    "floor": "the same rows by COPY",
}
#: {way: kind of database}; the others are made in the one with OCA's addons.
KINDS = {"ours": "ours", "two": "ours", "floor": "ours", "without": "without"}


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser("./dev bench create")
    parser.add_argument("--count", type=int, default=250, help="invoices (default 250)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=NAMES, default=list(NAMES))
    parser.add_argument(
        "--own-prices", action="store_true", help="each contract has prices of its own (ours, oca)"
    )
    parser.add_argument("--json", action="store_true", help="the result as the last line")
    options = parser.parse_args(args)
    results = _measure(options)
    rows = [
        (
            NAMES[name],
            f"{median(found, 'seconds'):.1f}",
            f"{median(found, 'per_second'):.1f}",
            f"{1000 * median(found, 'cpu_seconds') / options.count:.1f}",
            f"{median(found, 'queries_per_invoice'):.1f}",
            f"{median(found, 'memory_mb'):.0f}",
        )
        for name, found in results.items()
    ]
    print(f"{options.count} invoices of 3 lines, median of {options.rounds} rounds in turn")
    bench_run.show(rows, ("", "s", "invoices/s", "ms CPU/invoice", "queries/invoice", "MB"))
    return bench_run.end(_get_summary(options, results), options.json)


def _measure(options) -> dict[str, list[dict]]:
    """Measure every way in each round: the speed of a machine drifts over time."""
    space = bench_run.get_space()
    results = {name: [] for name in NAMES if name in options.only}
    with ExitStack() as stack:
        benches = {
            kind: stack.enter_context(bench_run.prepared(space, kind, options.count))
            for kind in sorted({KINDS.get(name, "peers") for name in results})
        }
        for bench in benches.values() if options.own_prices else ():
            bench.run("copying.vary_prices")
        for number in range(options.rounds):
            for name in results:
                if name == "floor":
                    continue
                say(f"round {number + 1}: {NAMES[name]}")
                bench = benches[KINDS.get(name, "peers")]
                with bench.copy() as database:
                    results[name].append(_run(bench, name, database))
                    if name == "ours" and "floor" in results:
                        results["floor"].append(bench.run("run_floor", database))
    return results


def _run(bench, name: str, database: str) -> dict:
    if name in ("ours", "two", "without"):
        return bench_run.run_workers(bench, database, 2 if name == "two" else 1)
    return bench.run(f"run_{name}", database)


def _get_summary(options, results) -> dict:
    speeds = {name: median(found, "per_second") for name, found in results.items()}
    totals = {found[0]["total"] for found in results.values() if "total" in found[0]}
    summary = {"bench": "create", "count": options.count, "rounds": options.rounds}
    summary["own_prices"] = options.own_prices
    summary["per_second"] = {name: round(speed, 2) for name, speed in speeds.items()}
    summary["totals"] = sorted(totals)
    for label, above, below in (
        ("ratio_to_oca_contract", "ours", "oca"),
        ("ratio_to_sale", "ours", "sale"),
        ("ratio_to_plain", "ours", "plain"),
        ("ratio_to_without_turbo", "ours", "without"),
        ("ratio_to_floor", "floor", "ours"),
        ("ratio_of_two_workers", "two", "ours"),
    ):
        if above in speeds and below in speeds:
            summary[label] = round(speeds[above] / speeds[below], 2)
    if {"ours", "oca"} <= set(results):
        cpu = {name: median(results[name], "cpu_seconds") for name in ("ours", "oca")}
        summary["cpu_ratio_to_oca_contract"] = round(cpu["oca"] / cpu["ours"], 2)
    if "ours" in results:
        summary["queries_per_invoice"] = round(median(results["ours"], "queries_per_invoice"), 2)
    return summary
