"""A file of contracts, read as the import page reads it: in batches, first as "Test".

Each batch is a call of its own, as from the browser: with an empty cache, and committed unless it
is a test.
"""

import csv
import io
import json
import os
import time

from odoo.fields import Command

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
    """Print, as the last line, what each reading took: test, import, the first batch again."""
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
    result["again"] = _read(env, content, False, batches=1)
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


def _make_file(count: int) -> bytes:
    """Write contracts of two lines; what belongs to the contract is in its first row only."""
    output = io.StringIO()
    rows = csv.writer(output)
    rows.writerow([*HEADERS, *(f"Price Lines/{name}" for name in LINE_HEADERS)])
    for number in range(count):
        customer = f"Customer {number % CUSTOMERS:06}"
        head = (f"contract_{number}", customer, "2025-01-01", "In advance", "1")
        rows.writerow([*head, f"line_{number}_1", "Rent", 100 + number % 7, "Month"])
        rows.writerow([""] * len(head) + [f"line_{number}_2", "Care", 20, "Month"])
    return output.getvalue().encode()


def _read(env, content: bytes, is_test: bool, batches: int = 0) -> dict:
    """Read the file, or its first batches; return the seconds of each and the memory used."""
    vals = {"res_model": "billing.contract", "file": content, "file_name": "contracts.csv"}
    wizard = env["base_import.import"].create({**vals, "file_type": "text/csv"})
    preview = wizard.parse_preview(dict(OPTIONS))
    columns = preview["headers"]
    names = ["/".join(preview["matches"][number]) for number in range(len(columns))]
    options = {**OPTIONS, **preview["options"]}
    seconds, skip = [], 0
    while True:
        env.invalidate_all()
        started = time.time()
        batch = {**options, "limit": BATCH, "skip": skip}
        found = wizard.execute_import(names, columns, batch, dryrun=is_test)
        assert not found["messages"], found["messages"][:3]
        env.cr.commit()
        seconds.append(round(time.time() - started, 1))
        skip = found["nextrow"]
        if not skip or len(seconds) == batches:
            break
    return {"seconds": round(sum(seconds), 1), "batches": seconds, "memory_mb": get_memory()}
