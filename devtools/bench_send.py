"""`./dev bench send`: invoices created, posted, rendered and mailed, against Odoo's own sending."""

import argparse
import json
import os
import platform
import statistics

from . import databases, servers, workspace
from .paths import STATE
from .shell import DevError, remove, say

FOLDER = STATE / "bench_send"
WAYS = {
    "stock_single": "Odoo, one by one",
    "stock_batch": "Odoo, one call",
    "invoice_run": "invoice run",
}


def main(args: list[str]) -> int:
    options = _parse(args)
    remove(FOLDER)
    mail = FOLDER / "mail"
    mail.mkdir(parents=True)
    space = workspace.prepare()
    databases.get_ready(space)
    with databases.temporary_clone(space, "scratch") as database:
        port = servers.choose_port()
        with servers.mail_sink(space, mail) as smtp_port:
            with servers.odoo_server(space, database, port, crons=0):
                say(f"{options.rounds} rounds of {options.count} invoices, three ways")
                _measure(space, database, options, port, smtp_port)
    result = json.loads((FOLDER / "result.json").read_text())
    _check_mails(mail, options)
    _print(result, options.json)
    return 0


def _parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./dev bench send", description=__doc__)
    parser.add_argument("--count", type=int, default=30, help="invoices (default: 30)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--json", action="store_true", help="one JSON object, the last line")
    return parser.parse_args(args)


def _measure(space, database: str, options, port: int, smtp_port: int) -> None:
    space.script(
        database,
        "from devtools.inside import sending; sending.main(env)",
        problem="The benchmark failed",
        DEMO_URL=f"http://127.0.0.1:{port}",
        DEMO_SMTP_PORT=smtp_port,
        BENCH_COUNT=options.count,
        BENCH_ROUNDS=options.rounds,
        BENCH_FOLDER=FOLDER,
    )
    if not (FOLDER / "result.json").exists():
        raise DevError("The benchmark left no result.", f"See {STATE}/server.log.")


def _check_mails(mail, options) -> None:
    """Only what arrived was sent."""
    arrived = sum(1 for _ in mail.glob("*.eml"))
    # every way but the first is warmed up by a round that does not count
    wanted = options.count * (options.rounds * len(WAYS) + len(WAYS) - 1)
    if arrived != wanted:
        raise DevError(f"{arrived} mails arrived instead of {wanted}.")


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
