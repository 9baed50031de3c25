"""`./dev bench amounts`: what is due, as documents and claims, without the invoices."""

import argparse

from . import bench_run
from .bench_run import median
from .shell import say


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser("./dev bench amounts", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[250, 1000], help="contracts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="the result as the last line")
    options = parser.parse_args(args)
    space = bench_run.get_space()
    rows, summary = [], {"bench": "amounts", "rounds": options.rounds, "counts": {}}
    for count in options.counts:
        found = _measure(space, count, options.rounds)
        per_contract = {
            "contracts_per_second": median(found, "per_second"),
            "cpu_ms_per_contract": 1000 * median(found, "cpu_seconds") / count,
            "queries_per_contract": median(found, "queries_per_invoice"),
            "memory_mb": median(found, "memory_mb"),
        }
        rows.append((count, *(f"{value:.1f}" for value in per_contract.values())))
        summary["counts"][count] = {name: round(value, 2) for name, value in per_contract.items()}
    head = ("contracts", "contracts/s", "ms CPU/contract", "queries/contract", "MB")
    print(f"3 lines a contract, median of {options.rounds} rounds")
    bench_run.show(rows, head)
    return bench_run.end(summary, options.json)


def _measure(space, count: int, rounds: int) -> list[dict]:
    results = []
    with bench_run.prepared(space, "ours", count) as bench:
        for number in range(rounds):
            say(f"round {number + 1}: {count} contracts")
            with bench.copy() as database:
                results.append(bench.run("run_amounts", database))
    return results
