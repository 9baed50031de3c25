"""`./dev run`: a whole invoice run, from contracts or usage to emails, then served."""

import argparse
import json
import re
from pathlib import Path

from . import browser, databases, servers, workspace
from .paths import STATE
from .shell import DevError, remove, say

MAIL = STATE / "mail"
ROWS = (
    ("run", "Run"),
    ("documents", "Documents"),
    ("invoices", "Invoices"),
    ("amount_untaxed", "Untaxed amount"),
    ("amount_total", "Total"),
    ("emails", "Emails delivered"),
    ("pdfs", "PDFs"),
    ("failures", "Failures"),
)
NORTHWIND_FILES = ("customers", "products", "orders", "order_details")


def main(args: list[str]) -> int:
    options = _parse(args)
    kind = _get_kind(options)
    space = workspace.prepare()
    servers.refuse_second(databases.get_name(kind))
    with browser.fetching() as program:
        database = databases.make_installed(
            space, kind, demo=not options.northwind, fresh=options.fresh
        )
        browser.prepare_browser(program.result())
    mail, port = MAIL / kind, servers.choose_port()
    if options.fresh:
        remove(mail)
    with servers.mail_sink(space, mail) as smtp_port:
        with servers.odoo_server(space, database, port, crons=0):
            result = _carry_out(space, database, options, port, smtp_port)
        _report(result, options.json, mail)
        if not options.once:
            _serve(space, database, port)
    return 0


def _parse(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("./dev run", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the table")
    parser.add_argument("--json", action="store_true", help="one JSON object, the last line")
    parser.add_argument("--fresh", action="store_true", help="start from a new database")
    parser.add_argument(
        "--northwind", metavar="DIR", type=Path, help="invoice Northwind's orders (CSV) instead"
    )
    parser.add_argument(
        "--as",
        dest="source",
        choices=("usage", "sale"),
        default="usage",
        help="what the orders become: usage items, or sales orders for the Invoice Manager",
    )
    parser.add_argument(
        "--separate", action="store_true", help="with --as sale: one invoice per order"
    )
    parser.add_argument(
        "--month", default="1998-04", help="with --northwind (default: %(default)s)"
    )
    options = parser.parse_args(args)
    _check_northwind(parser, options)
    return options


def _check_northwind(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", options.month):
        parser.error(f"--month {options.month}: a month looks like 1998-04")
    if not options.northwind:
        if options.source == "sale":
            parser.error("--as sale needs --northwind DIR")
        return
    missing = [n for n in NORTHWIND_FILES if not (options.northwind / f"{n}.csv").is_file()]
    if missing:
        parser.error(f"{options.northwind} has no {missing[0]}.csv")


def _get_kind(options: argparse.Namespace) -> str:
    """The kind of demo: it names the module in `inside/`, the database and the mails."""
    if not options.northwind:
        return "demo"
    return "northwind_sale" if options.source == "sale" else "northwind"


def _carry_out(space, database: str, options, port: int, smtp_port: int) -> dict:
    """Do the work inside of Odoo; return what it did, with the emails that arrived."""
    module = _get_kind(options)
    mail, output = MAIL / module, STATE / "result.json"
    output.unlink(missing_ok=True)
    before = _count_emails(mail)
    say("invoice run")
    space.script(
        database,
        f"from devtools.inside import {module}, pipeline; pipeline.main(env, {module}.work)",
        problem="The invoice run failed",
        DEMO_URL=f"http://127.0.0.1:{port}",
        DEMO_SMTP_PORT=smtp_port,
        DEMO_RESULT=output,
        NORTHWIND_FOLDER=options.northwind.resolve() if options.northwind else "",
        NORTHWIND_MONTH=options.month,
        NORTHWIND_SEPARATE="1" if options.separate else "",
    )
    if not output.exists():
        raise DevError("The invoice run left no result.", f"See {STATE}/server.log.")
    return json.loads(output.read_text()) | {"emails": _count_emails(mail) - before}


def _count_emails(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*.eml"))


def _report(result: dict, as_json: bool, mail: Path) -> None:
    problems = result.pop("problems")
    say(f"emails are in {mail}")
    if as_json:
        keys = [*(key for key, _label in ROWS), "seconds"]
        print(json.dumps({key: result[key] for key in keys}), flush=True)
        return
    print("\n".join(["", *_get_lines(result), *problems, ""]), flush=True)


def _get_lines(result: dict) -> list[str]:
    """The table: what was done, then the seconds of each stage."""
    lines = [f"{label:<20}{_format(result[key]):>24}" for key, label in ROWS]
    lines += [
        f"{'Seconds: ' + name:<20}{value:>24.2f}" for name, value in result["seconds"].items()
    ]
    return lines


def _format(value) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def _serve(space, database: str, port: int) -> None:
    """Serve the web client until Ctrl-C, now with Odoo's background jobs."""
    for process in servers.odoo_server_kept_alive(space, database, port, crons=1):
        print(f"Odoo     http://127.0.0.1:{port}   login admin, password admin")
        print("Ctrl-C ends it.", flush=True)
        process.wait()
    say("Odoo's server has ended")
