"""`./dev bench screens`: what the server needs to open, page, filter and group a large run.

A run of 1,000 invoices is carried out and its rows are copied: to the screens they look alike.
"""

import argparse

from . import bench_run
from .shell import say

#: Documents that are made by the engine.
MADE = 1000


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser("./dev bench screens", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="documents of the run")
    parser.add_argument("--json", action="store_true", help="the result as the last line")
    options = parser.parse_args(args)
    space = bench_run.get_space()
    with bench_run.prepared(space, "ours", MADE) as bench:
        say(f"{MADE} documents")
        bench.run("copying.vary_prices")
        bench.run("run_ours")
        bench.count = options.count
        say(f"{options.count} documents")
        result = {
            **bench.run("copying.make_large"),
            "seconds": bench.run("screen_times.run_screens"),
        }
        bench.run("copying.make_waiting")
        result["seconds"] |= bench.run("screen_times.run_waiting")
    slowest = sorted(result["seconds"].items(), key=lambda item: -item[1])
    bench_run.show([(name, f"{seconds:.3f}") for name, seconds in slowest], ("", "seconds"))
    return bench_run.end({"bench": "screens", **result}, options.json)
