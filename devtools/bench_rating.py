"""`./dev bench rating`: usage items of metered price lines, rated into one amount each."""

import argparse

from . import bench_run
from .bench_run import median
from .shell import say


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser("./dev bench rating", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="contracts with a metered line")
    parser.add_argument("--items", type=int, default=100, help="usage items of each")
    parser.add_argument("--bounds", action="store_true", help="each contract has a minimum")
    parser.add_argument("--customer", action="store_true", help="its contracts share the bands")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="the result as the last line")
    options = parser.parse_args(args)
    space = bench_run.get_space()
    results = []
    with bench_run.prepared(space, "ours", options.count) as bench:
        kind = {
            "BENCH_ITEMS": str(options.items),
            "BENCH_BOUNDS": "1" if options.bounds else "",
            "BENCH_CUSTOMER": "1" if options.customer else "",
        }
        bench.run("rating.make_usage", **kind)
        for number in range(options.rounds):
            say(f"round {number + 1}: {options.count * options.items} items")
            with bench.copy() as database:
                results.append(bench.run("rating.run_rating", database))
    items = options.count * options.items
    figures = {
        "seconds": median(results, "seconds"),
        "items_per_second": items / median(results, "seconds"),
        "cpu_seconds": median(results, "cpu_seconds"),
        "queries_per_amount": median(results, "queries_per_invoice"),
        "memory_mb": median(results, "memory_mb"),
    }
    lines = options.count * (2 if options.bounds else 1)
    print(f"{items} items into {lines} amounts, median of {options.rounds} rounds")
    head = ("seconds", "items/s", "CPU seconds", "queries/amount", "MB")
    bench_run.show([tuple(f"{value:.1f}" for value in figures.values())], head)
    summary = {name: round(value, 2) for name, value in figures.items()}
    return bench_run.end({"bench": "rating", "items": items, **summary}, options.json)
