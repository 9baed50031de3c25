"""`./dev bench whole`: contracts from due to mailed, and stock Odoo on a sample.

One worker and two take turns, each on a run of new contracts that goes from its amounts to its
mails by itself; the mails that arrive are counted. One worker prints in processes of its own, on
other cores where there are any: `--one-core` adds one worker with a single core for everything.
"""

import argparse
from contextlib import nullcontext

from . import bench_run, cores
from .bench_mail import MailBench, mailing
from .bench_run import Bench, median
from .paths import STATE
from .shell import say

FOLDER = STATE / "bench_whole"
WHOLE = 100_000
ONE_CORE = "one, on one core"


def main(args: list[str]) -> int:
    options = _parse(args)
    bench_run.get_space()
    with mailing(FOLDER, options.round_trip) as mail:
        result = _measure(mail, options)
        mail.check_mails(result["mails"])
    _show(result)
    return bench_run.end(result, options.json)


def _parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./dev bench whole", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="contracts of a run (default: 200)")
    parser.add_argument("--sample", type=int, default=20, help="invoices of Odoo's own way")
    parser.add_argument("--rounds", type=int, default=2, help="rounds (default: 2)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="in turn")
    parser.add_argument("--one-core", action="store_true", help="one worker on one core as well")
    parser.add_argument(
        "--round-trip", type=float, default=0, help="ms to the mail server and back (default: 0)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, the last line")
    return parser.parse_args(args)


def _measure(mail: MailBench, options) -> dict:
    names = [ONE_CORE] * options.one_core + [str(workers) for workers in options.workers]
    ways = {name: [] for name in names}
    stock = []
    _take_way(mail, names[0], min(options.count, 20))  # caches of the database
    for number in range(options.rounds):
        for name in names:
            say(f"round {number + 1}: {options.count} contracts, workers: {name}")
            ways[name].append(_take_way(mail, name, options.count))
        if options.sample:
            say(f"round {number + 1}: {options.sample} invoices, Odoo one by one")
            stock.append(_get_bench(mail, options.sample).run("whole.stock", **mail.as_text()))
    runs = len(names) * options.rounds * options.count
    return {
        "bench": "whole",
        "count": options.count,
        "sample": options.sample,
        "round_trip_ms": options.round_trip,
        "mails": runs + min(options.count, 20) + options.rounds * options.sample,
        "ways": {name: _summarize(rows, options.count) for name, rows in ways.items()},
        "stock": _summarize(stock, options.sample) if stock else None,
    }


def _take_way(mail: MailBench, name: str, count: int) -> dict:
    bench = _get_bench(mail, count)
    bench.run("whole.prepare", **mail.as_text())
    workers = 1 if name == ONE_CORE else int(name)
    with cores.one_core() if name == ONE_CORE else nullcontext():
        result = bench_run.work_together(
            bench, workers, "whole.work", "whole.queue", **mail.as_text()
        )
    return {**result, **bench.run("whole.check")}


def _get_bench(mail: MailBench, count: int) -> Bench:
    return Bench(mail.space, mail.database, count, ())


def _summarize(rows: list[dict], count: int) -> dict:
    """Medians; the hours for 100,000 are computed from them."""
    seconds = median(rows, "seconds")
    return {
        "seconds": round(seconds, 1),
        "per_hour": round(3600 * count / seconds),
        "hours": round(WHOLE / count * seconds / 3600, 1),
        "cpu_ms": round(1000 * median(rows, "cpu_seconds") / count, 1),
        "queries": round(median(rows, "queries_per_invoice"), 1),
        "memory_mb": round(median(rows, "memory_mb")),
        "memory_growth_mb": round(median(rows, "memory_growth_mb")),
    }


def _show(result: dict) -> None:
    names = ("per_hour", "hours", "cpu_ms", "queries", "memory_mb")
    ways = {
        name if name == ONE_CORE else f"{name} workers": way for name, way in result["ways"].items()
    }
    if result["stock"]:
        ways["Odoo, one by one"] = result["stock"]
    rows = [(label, *(way[name] for name in names)) for label, way in ways.items()]
    head = ("", "invoices/hour", f"hours for {WHOLE:,}", "ms CPU/invoice", "queries", "MB")
    bench_run.show(rows, head)
    for name, key in (("1", "two_to_one"), (ONE_CORE, "two_to_one_core")):
        if {name, "2"} <= result["ways"].keys():
            one, two = (result["ways"][way]["seconds"] for way in (name, "2"))
            result[key] = round(one / two, 2)
            print(f"two workers ÷ {'one' if name == '1' else name}: {result[key]}")
