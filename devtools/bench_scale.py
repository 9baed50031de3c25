"""`./dev bench scale`: how time and memory grow with a run, and how its screens open."""

import argparse
import math

from . import bench_run
from .shell import say


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser("./dev bench scale", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 20000], help="contracts")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the result as the last line")
    options = parser.parse_args(args)
    space = bench_run.get_space()
    results = {count: _measure(space, count, options.workers) for count in options.counts}
    _show(results, options.workers)
    return bench_run.end(_get_summary(results, options.workers), options.json)


def _measure(space, count: int, workers: int) -> dict:
    with bench_run.prepared(space, "ours", count) as bench:
        bench.run("copying.vary_prices")
        say(f"{count} contracts, {workers} workers")
        result = bench_run.run_workers(bench, bench.database, workers)
        say(f"screens of a run with {count} documents")
        return {**result, "screens": bench.run("screen_times.run_screens")}


def _show(results: dict, workers: int) -> None:
    rows = [
        (
            count,
            f"{result['approved'] - result['started']:.0f}",
            f"{result['seconds']:.0f}",
            f"{result['per_second']:.1f}",
            f"{1000 * result['cpu_seconds'] / count:.1f}",
            f"{result['queries_per_invoice']:.2f}",
            f"{result['memory_mb']:.0f}",
        )
        for count, result in results.items()
    ]
    print(f"{workers} workers, from amounts to posted invoices")
    head = ("contracts", "s to amounts", "s in all", "invoices/s")
    bench_run.show(rows, (*head, "ms CPU/invoice", "queries/invoice", "MB"))
    names = max((result["screens"] for result in results.values()), key=len)
    rows = [
        (name, *(f"{result['screens'].get(name, 0):.3f}" for result in results.values()))
        for name in names
    ]
    bench_run.show(rows, ("seconds", *results))


def _get_summary(results: dict, workers: int) -> dict:
    summary = {"bench": "scale", "workers": workers, "counts": results}
    first, last = min(results), max(results)
    if first < last:
        growth = math.log(last / first)
        for label, name in (("exponent", "seconds"), ("cpu_exponent", "cpu_seconds")):
            ratio = results[last][name] / results[first][name]
            summary[label] = round(math.log(ratio) / growth, 3)
        more = results[last]["memory_mb"] - results[first]["memory_mb"]
        summary["memory_growth_mb"] = round(more, 1)
    return summary
