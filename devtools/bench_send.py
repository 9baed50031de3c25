"""`./dev bench send`: invoices created, posted, rendered and mailed, against Odoo's own sending."""

import argparse
import json
import os
import platform
import statistics

from .bench_mail import MailBench, mailing
from .bench_run import show
from .paths import STATE
from .shell import say

FOLDER = STATE / "bench_send"
WAYS = {
    "stock_single": "Odoo, one by one",
    "stock_batch": "Odoo, one call",
    "invoice_run": "invoice run",
}


def main(args: list[str]) -> int:
    options = _parse(args)
    with mailing(FOLDER) as bench:
        return _measure_memory(bench, options) if options.memory else _measure(bench, options)


def _parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./dev bench send", description=__doc__)
    parser.add_argument("--count", type=int, default=30, help="invoices (default: 30)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument(
        "--memory",
        type=int,
        nargs="+",
        metavar="COUNT",
        help="instead: the memory of a worker that sends runs of so many invoices",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, the last line")
    return parser.parse_args(args)


def _measure(bench: MailBench, options) -> int:
    say(f"{options.rounds} rounds of {options.count} invoices, three ways")
    result = bench.run("sending.main", count=options.count, rounds=options.rounds)
    # every way but the first is warmed up by a round that does not count
    bench.check_mails(options.count * (options.rounds * len(WAYS) + len(WAYS) - 1))
    _print(result, options.json)
    return 0


def _measure_memory(bench: MailBench, options) -> int:
    results = []
    for count in options.memory:
        say(f"a run of {count} invoices")
        bench.run("sending.prepare", count=count)
        say("sending it")
        results.append(bench.run("sending.send", count=count))
    bench.check_mails(sum(options.memory))
    rows = [
        (
            result["count"],
            f"{result['seconds']:.0f}",
            f"{result['count'] / result['seconds']:.1f}",
            f"{result['memory_before']:.0f}",
            f"{result['memory']:.0f}",
        )
        for result in results
    ]
    show(rows, ("mails", "s", "mails/s", "MB before", "MB at most"))
    if options.json:
        print(json.dumps({"benchmark": "send", "memory": results}), flush=True)
    return 0


def _print(result: dict, as_json: bool) -> None:
    stages = dict.fromkeys(stage for way in result["ways"].values() for stage in way)
    ratios = {name: statistics.median(values) for name, values in result["ratios"].items()}
    lines = [f"{'ms an invoice':<18}" + "".join(f"{label:>18}" for label in WAYS.values())]
    for stage in [*(name for name in stages if name != "total"), "total"]:
        cells = [result["ways"][name].get(stage, 0.0) for name in WAYS]
        lines.append(f"{stage:<18}" + "".join(f"{cell:>18.1f}" for cell in cells))
    lines.append(f"{'times as fast':<18}" + "".join(f"{ratios[name]:>18.1f}" for name in WAYS))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines += ["", f"{result['count']} invoices, {result['rounds']} rounds, medians; {machine}"]
    lines += [versions, f"A PDF of each way: {FOLDER}"]
    print("\n".join(lines), flush=True)
    if as_json:
        summary = {
            "benchmark": "send",
            **result,
            "machine": machine,
            "ratio_to_stock": ratios["invoice_run"],
        }
        print(json.dumps(summary), flush=True)
