"""A file of contracts, read as the import page reads it: in batches, first as "Test".

Each batch is a call of its own, as from the browser: with a transaction and caches of its own.
"""

import csv
import io
import json
import os
import time

from odoo.fields import Command
from odoo.tools import SQL

from .measuring import get_memory

#: Rows; Odoo's own setting beside the preview.
BATCH = 2000
CUSTOMERS = 1000
HEADERS = ("External ID", "Customer", "Start", "Billing Timing", "Billing Period")
LINE_HEADERS = ("External ID", "Product", "Price", "Per")
OPTIONS = {
    "has_headers": True,
    "quoting": '"',
    "separator": ",",
    "encoding": "utf-8",
    "float_thousand_separator": ",",
    "float_decimal_separator": ".",
    "date_format": "%Y-%m-%d",
}


def main(env) -> None:
    """The last line of the output is what each reading took; raised, the first batch only."""
    count = int(os.environ["BENCH_COUNT"])
    _make_names(env)
    env = _get_clerk(env)
    content = _make_file(count)
    result = {"mb": len(content) / 1e6, "test": _read(env, content, True)}
    assert not env["billing.contract"].search_count([]), "a test stores nothing"
    result["import"] = _read(env, content, False)
    found = env["billing.contract"].search_count([])
    assert found == count, f"{found} contracts, {count} expected"
    assert env["billing.contract.line"].search_count([]) == 2 * count
    before = _get_stamps(env)
    result["again"] = _read(env, content, False)
    assert _get_stamps(env) == before, "the same file changes nothing"
    result["raised"] = _read(env, _make_file(count, price=200), False, batches=1)
    raised = env["billing.contract.line"].search_count([("price_unit", ">=", 200)])
    assert raised == min(count, BATCH // 2), f"{raised} prices were raised"
    assert env["billing.contract"].search_count([]) == count, "the same file adds nothing"
    print(json.dumps(result), flush=True)


def _make_names(env):
    env["res.partner"].create([{"name": f"Customer {number:06}"} for number in range(CUSTOMERS)])
    env["product.product"].create([{"name": name, "type": "service"} for name in ("Rent", "Care")])
    env.cr.commit()


def _get_clerk(env):
    """The environment of a plain user, as the import page gives it."""
    group = env.ref("invoice_run.invoice_run_group_user")
    vals = {"name": "Clerk", "login": "importing", "group_ids": [Command.link(group.id)]}
    user = env["res.users"].create(vals)
    env.cr.commit()
    return env(user=user, su=False, context={**env.context, "tracking_disable": True})


def _get_stamps(env) -> list:
    """What tells that a contract or a line was written, or that its chatter says anything new."""
    queries = (
        "SELECT count(*), max(write_date) FROM billing_contract",
        "SELECT count(*), max(write_date) FROM billing_contract_line",
        "SELECT count(*), max(date) FROM billing_change",
        "SELECT count(*), max(id) FROM mail_message",
    )
    return [env.execute_query(SQL(query)) for query in queries]


def _make_file(count: int, price: int = 100) -> bytes:
    """Contracts of two lines: what belongs to the contract stands in the first row alone."""
    output = io.StringIO()
    rows = csv.writer(output)
    rows.writerow([*HEADERS, *(f"Price Lines/{name}" for name in LINE_HEADERS)])
    for number in range(count):
        customer = f"Customer {number % CUSTOMERS:06}"
        head = (f"contract_{number}", customer, "2025-01-01", "In advance", "1")
        rows.writerow([*head, f"line_{number}_1", "Rent", price + number % 7, "Month"])
        rows.writerow([""] * len(head) + [f"line_{number}_2", "Care", 20, "Month"])
    return output.getvalue().encode()


def _read(env, content: bytes, is_test: bool, batches: int = 0) -> dict:
    """Read the file batch by batch, or the first ones; seconds of each, memory of the process."""
    vals = {"res_model": "billing.contract", "file": content, "file_name": "contracts.csv"}
    wizard = env["base_import.import"].create({**vals, "file_type": "text/csv"})
    env.cr.commit()
    preview = wizard.parse_preview(dict(OPTIONS))
    columns = preview["headers"]
    names = ["/".join(preview["matches"][number]) for number in range(len(columns))]
    options = {**OPTIONS, **preview["options"]}
    env.cr.commit()
    seconds, skip, cpu = [], 0, time.process_time()
    while True:
        started = time.time()
        batch = {**options, "limit": BATCH, "skip": skip}
        with env.registry.cursor() as cursor:
            reader = wizard.with_env(env(cr=cursor))
            found = reader.execute_import(names, columns, batch, dryrun=is_test)
            assert not found["messages"], found["messages"][:3]
        seconds.append(round(time.time() - started, 1))
        skip = found["nextrow"]
        if not skip or len(seconds) == batches:
            break
    env.cr.rollback()
    env.invalidate_all()
    return {
        "seconds": round(sum(seconds), 1),
        # of this process alone, without the database's: on a busy machine the steadier figure
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "batches": seconds,
        "memory_mb": get_memory(),
    }
