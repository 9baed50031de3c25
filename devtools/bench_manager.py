"""`./dev bench manager`: sales orders fetched, invoiced and mailed in the Invoice Manager.

The wizard's own methods are called in the small steps that a browser asks for.
"""

import argparse
import json
import os
import platform

from .bench_mail import mailing
from .paths import STATE
from .shell import say

FOLDER = STATE / "bench_manager"


def main(args: list[str]) -> int:
    options = _parse(args)
    with mailing(FOLDER) as bench:
        say(f"{options.rounds} rounds of {options.count} orders")
        result = bench.run(
            "managing.main",
            count=options.count,
            rounds=options.rounds,
            send="none" if options.no_mail else "email",
        )
        bench.check_mails(result["mails"])
    _print(result, options.json)
    return 0


def _parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./dev bench manager", description=__doc__)
    parser.add_argument("--count", type=int, default=30, help="sales orders (default: 30)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--no-mail", action="store_true", help="invoices only, nothing is sent")
    parser.add_argument("--json", action="store_true", help="one JSON object, the last line")
    return parser.parse_args(args)


def _print(result: dict, as_json: bool) -> None:
    lines = [f"{'':<10}{'seconds':>10}{'queries':>10}{'calls':>8}"]
    for name, row in result["stages"].items():
        lines.append(f"{name:<10}{row['seconds']:>10.1f}{row['queries']:>10}{row['calls']:>8}")
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    machine = f"{os.cpu_count()} cores, {platform.machine()}, load {load}"
    lines += ["", f"{result['count']} orders, {result['rounds']} rounds, medians; {machine}"]
    print("\n".join(lines), flush=True)
    if as_json:
        print(json.dumps({"benchmark": "manager", **result, "machine": machine}), flush=True)
