"""`./dev bench manager`: sale orders fetched, invoiced and mailed in the Invoice Manager.

By the wizard's own methods, in the small steps that a browser asks for.
"""

import argparse
import json
import os
import platform

from . import databases, servers, workspace
from .paths import STATE
from .shell import DevError, remove, say

FOLDER = STATE / "bench_manager"


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
                say(f"{options.rounds} rounds of {options.count} orders")
                _measure(space, database, options, port, smtp_port)
    result = json.loads((FOLDER / "result.json").read_text())
    _check_mails(mail, result["mails"])
    _print(result, options.json)
    return 0


def _parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./dev bench manager", description=__doc__)
    parser.add_argument("--count", type=int, default=30, help="sale orders (default: 30)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--no-mail", action="store_true", help="invoices only, nothing is sent")
    parser.add_argument("--json", action="store_true", help="one JSON object, the last line")
    return parser.parse_args(args)


def _measure(space, database: str, options, port: int, smtp_port: int) -> None:
    space.script(
        database,
        "from devtools.inside import managing; managing.main(env)",
        problem="The benchmark failed",
        DEMO_URL=f"http://127.0.0.1:{port}",
        DEMO_SMTP_PORT=smtp_port,
        BENCH_COUNT=options.count,
        BENCH_ROUNDS=options.rounds,
        BENCH_SEND="none" if options.no_mail else "email",
        BENCH_FOLDER=FOLDER,
    )


def _check_mails(mail, wanted: int) -> None:
    """Only what arrived was sent."""
    arrived = sum(1 for _ in mail.glob("*.eml"))
    if arrived != wanted:
        raise DevError(f"{arrived} mails arrived instead of {wanted}.")


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
