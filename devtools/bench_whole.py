"""`./dev bench whole`: contracts, from due to in the mail server, with two workers and with one.

Beside it a sample of the same invoices by Odoo's own way, one by one. CPU time is that of the
workers with what they start (wkhtmltopdf), of their database processes, and of the web server that
gives wkhtmltopdf its stylesheets; the mail server is the customer's.
"""

import argparse
import statistics

from . import bench_run
from .bench_mail import mailing
from .paths import STATE
from .shell import say

FOLDER = STATE / "bench_whole"
WAYS = {"two": "two workers", "one": "one worker", "stock": "Odoo, one by one"}
FIGURES = {
    "ms": "ms an invoice",
    "cpu_ms": "ms CPU an invoice",
    "create_ms": "ms to be invoiced",
    "send_ms": "ms to be sent",
    "create_cpu_ms": "ms CPU to be invoiced",
    "send_cpu_ms": "ms CPU to be sent",
    "per_hour": "invoices an hour",
    "hours": "hours for 100,000",
}


def main(args: list[str]) -> int:
    options = _parse(args)
    with mailing(FOLDER) as bench:
        say(f"{options.rounds} rounds of {options.count} contracts; {options.sample} by Odoo")
        variables = {"count": options.count, "sample": options.sample, "rounds": options.rounds}
        result = bench.run("whole.main", **variables)
        bench.check_mails(result["mails"])
    return _end(result, options.json)


def _parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./dev bench whole", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="contracts (default: 200)")
    parser.add_argument("--sample", type=int, default=20, help="by Odoo itself (default: 20)")
    parser.add_argument("--rounds", type=int, default=1, help="rounds (default: 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object, the last line")
    options = parser.parse_args(args)
    if not 1 <= options.sample <= options.count:
        parser.error("the sample is one of the customers that have contracts")
    return options


def _end(result: dict, as_json: bool) -> int:
    ways = {
        way: {name: _median(rows, name) for name in FIGURES if name in rows[0]}
        for way, rows in result["ways"].items()
    }
    rows = [
        (label, *(f"{ways[way][name]:,.1f}" if name in ways[way] else "–" for way in WAYS))
        for name, label in FIGURES.items()
    ]
    bench_run.show(rows, ("", *WAYS.values()))
    ratios = {
        "two_to_one": _compare(result, "one", "two", "ms"),
        "two_to_one_sending": _compare(result, "one", "two", "send_ms"),
        "to_stock": _compare(result, "stock", "two", "ms"),
        "to_stock_cpu": _compare(result, "stock", "two", "cpu_ms"),
        "one_to_stock_cpu": _compare(result, "stock", "one", "cpu_ms"),
    }
    print(" · ".join(f"{name} {ratio}" for name, ratio in ratios.items()))
    versions = result["versions"]
    print(" · ".join(f"{name} {number}" for name, number in versions.items()))
    summary = {"bench": "whole", **result, "medians": ways, "ratios": ratios}
    return bench_run.end(summary, as_json)


def _median(rows: list[dict], name: str) -> float:
    return round(statistics.median(row[name] for row in rows), 2)


def _compare(result: dict, slow: str, fast: str, name: str) -> float:
    """How many times as fast, in the same round; the median of the rounds."""
    pairs = zip(result["ways"][slow], result["ways"][fast], strict=True)
    return round(statistics.median(one[name] / other[name] for one, other in pairs), 2)
