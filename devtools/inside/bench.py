"""What the benchmarks do inside of Odoo: the same invoices, made in several ways.

Each function gets `env` and the environment variables of `devtools.bench_run`, and
returns what it measured.
"""

import io
import json
import os
import signal
import time
from datetime import UTC

from odoo.fields import Command, Date

from . import copying
from .measuring import measured

LINES = 3
DATE = "2026-01-15"
#: Invoices that there are before: PostgreSQL treats an empty table otherwise than any later one.
EARLIER = 200
EARLIER_DATE = "2025-12-15"
#: As many as our own engine makes in one transaction.
CHUNK = 250
#: Contracts that are made one by one; more are copied from them.
TO_COPY = 1000


def main(env, function) -> None:
    """Run one of the functions below; the last line of the output is its result."""
    print(json.dumps(function(env, int(os.environ["BENCH_COUNT"]))), flush=True)


# ----------------------------------------------------------------------
# Preparation
# ----------------------------------------------------------------------


def _make_basics(env, count: int):
    """Products with the company's sales tax, and customers whom nobody invoiced before."""
    tax = env.company.account_sale_tax_id
    products = env["product.product"].create(
        [
            {
                "name": f"Service {number}",
                "type": "service",
                "list_price": 100.0 + number,
                "invoice_policy": "order",
                "taxes_id": [Command.set(tax.ids)],
            }
            for number in range(LINES)
        ]
    )
    # first: the ids of customers are counted on when their contracts are copied
    _make_earlier(env)
    partners = env["res.partner"].with_context(tracking_disable=True)
    partners = partners.create([{"name": f"Customer {number:06}"} for number in range(count)])
    return products, partners


def _make_earlier(env):
    partners = env["res.partner"].create(
        [{"name": f"Earlier {number}"} for number in range(EARLIER)]
    )
    _create_plain(env, partners, EARLIER_DATE)._post(soft=False)


def make_ours(env, count: int) -> dict:
    """Contracts and a run that goes from amounts to posted invoices by itself."""
    first = TO_COPY if count % TO_COPY == 0 else count
    products, partners = _make_basics(env, first)
    lines = [
        {"product_id": product.id, "name": product.name, "price_unit": product.list_price}
        for product in products
    ]
    contracts = env["billing.contract"].with_context(tracking_disable=True)
    contracts = contracts.create(
        [
            {
                "partner_id": partner.id,
                "date_start": "2026-01-01",
                "period_anchor": "calendar",
                "line_ids": [Command.create(line) for line in lines],
            }
            for partner in partners
        ]
    )
    contracts.action_activate()
    env.cr.commit()
    copying.copy_contracts(env, contracts, count // first - 1)
    env.company.write({"invoice_run_auto_approve": True, "invoice_run_auto_invoices": True})
    scenario = env["billing.scenario"].create({"name": "All", "send_action": "none"})
    env["invoice.run"].create({"scenario_id": scenario.id, "invoice_date": DATE})
    env.cr.execute("ANALYZE")
    env.cr.commit()
    return {}


def make_peers(env, count: int) -> dict:
    """OCA contracts, and confirmed sales orders, of the same products and customers."""
    products, partners = _make_basics(env, count)
    for start in range(0, count, 1000):
        some = partners[start : start + 1000]
        _make_oca_contracts(env, some, products)
        orders = env["sale.order"].create(
            [
                {
                    "partner_id": partner.id,
                    "order_line": [Command.create({"product_id": item.id}) for item in products],
                }
                for partner in some
            ]
        )
        orders.action_confirm()
        env.cr.commit()
        env.invalidate_all()
    env.cr.execute("ANALYZE")
    env.cr.commit()
    return {}


def _make_oca_contracts(env, partners, products):
    shared = {"quantity": 1, "recurring_next_date": "2026-01-01", "date_start": "2026-01-01"}
    shared |= {"recurring_rule_type": "monthly", "recurring_interval": 1}
    env["contract.contract"].create(
        [
            {
                "name": f"Contract of {partner.name}",
                "partner_id": partner.id,
                "contract_type": "sale",
                "line_recurrence": True,
                "contract_line_ids": [
                    Command.create(
                        {
                            **shared,
                            "product_id": product.id,
                            "name": product.name,
                            "price_unit": product.list_price,
                            "uom_id": product.uom_id.id,
                        }
                    )
                    for product in products
                ],
            }
            for partner in partners
        ]
    )


# ----------------------------------------------------------------------
# Ways of making invoices
# ----------------------------------------------------------------------


def _warm_up(env):
    """Read what every way needs once: two invoices, forgotten afterwards."""
    moves = _create_plain(env, env["res.partner"].search([("name", "like", "Customer")], limit=2))
    moves._post(soft=False)
    env.cr.rollback()


def _check(env, result: dict, count: int):
    """Add what was made: a way that makes less is no faster."""
    domain = [("move_type", "=", "out_invoice"), ("state", "=", "posted")]
    domain += [("invoice_date", "=", DATE)]
    [(invoices, total)] = env["account.move"]._read_group(
        domain, aggregates=["__count", "amount_total:sum"]
    )
    assert invoices == count, f"{invoices} invoices, {count} expected"
    if "invoice.run" in env:
        approved = env["invoice.run"].search([], limit=1).approved_date
        result["approved"] = approved.replace(tzinfo=UTC).timestamp()
    return {**result, "invoices": invoices, "total": round(total, 2)}


def run_ours(env, count: int) -> dict:
    """Our engine: amounts, claims, approval, invoices, posting, commits; one worker."""
    _warm_up(env)
    run = env["invoice.run"].search([], limit=1)
    result = {}
    with measured(env, result, count):
        run.action_generate_amounts()
        env.cr.commit()
        _work(env)
    return _check(env, result, count)


def run_reversal(env, count: int) -> dict:
    """The run is reversed in the background: as many credit notes as it has invoices."""
    run = env["invoice.run"].search([], limit=1)
    result = {}
    with measured(env, result, count):
        run.action_reverse()
        env.cr.commit()
        _work(env)
    credits = env["account.move"].search_count(
        [("move_type", "=", "out_refund"), ("state", "=", "posted")]
    )
    assert credits == count, f"{credits} credit notes, {count} expected"
    return result


def run_amounts(env, count: int) -> dict:
    """Amounts alone: what is due, claims, documents, taxes, comparison, checks, commits."""
    _warm_up(env)
    env.company.invoice_run_auto_approve = False
    run = env["invoice.run"].search([], limit=1)
    env.cr.commit()
    result = {}
    with measured(env, result, count):
        run.action_generate_amounts()
        env.cr.commit()
        _work(env)
    assert run.state == "amounts" and run.document_count == count, run.document_count
    return {**result, "total": run.amount_total}


def run_worker(env, count: int) -> dict:
    """One of several workers: waits for the signal, works until nothing is left."""
    _warm_up(env)
    return wait_and_work(env, count)


def wait_and_work(env, count: int) -> dict:
    """Say that this worker is ready, wait for the signal, work until nothing is left."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    print("ready", flush=True)
    signal.sigwait({signal.SIGUSR1})
    result = {}
    with measured(env, result, count):
        _work(env, is_first=False)
    return result


def _work(env, is_first=True):
    """What a scheduled action does, one run after the other, until nothing is queued."""
    Run = env["invoice.run"]
    while Run.search_count([("job", "!=", "none")]):
        Run._cron_process_runs(is_first=is_first)
        env.cr.rollback()
        if Run.search_count([("job", "!=", "none")]):
            # others are at the rest: as long as a scheduled action takes to begin
            env.cr.rollback()
            time.sleep(0.05)


def queue(env, count: int) -> dict:
    """Switch on as many scheduled actions as there are workers, and queue the run."""
    for number in range(2, int(os.environ["BENCH_WORKERS"]) + 1):
        env.ref(f"invoice_run.invoice_run_cron_{number}").active = True
    env["invoice.run"].search([], limit=1).action_generate_amounts()
    env.cr.commit()
    return {}


def check(env, count: int) -> dict:
    return _check(env, {}, count)


def run_oca(env, count: int) -> dict:
    """OCA `contract`: its own scheduled action, then posting in our chunks."""
    _warm_up(env)
    result = {}
    with measured(env, result, count):
        env["contract.contract"].cron_recurring_create_invoice(Date.to_date(DATE))
        env.cr.commit()
        moves = env["account.move"].search([("state", "=", "draft")], order="id")
        _post_chunks(env, moves)
    return _check(env, result, count)


def run_sale(env, count: int) -> dict:
    """Odoo's invoices of sales orders, in our chunks."""
    _warm_up(env)
    orders = env["sale.order"].search([], order="id")
    result = {}
    with measured(env, result, count):
        for first in range(0, count, CHUNK):
            moves = orders[first : first + CHUNK]._create_invoices()
            moves.invoice_date = DATE
            env.cr.commit()
            _post_chunks(env, moves)
    return _check(env, result, count)


def run_plain(env, count: int) -> dict:
    """Plain `account.move.create`, in our chunks."""
    _warm_up(env)
    partners = env["res.partner"].search([("name", "like", "Customer")], order="id")
    result = {}
    with measured(env, result, count):
        for first in range(0, count, CHUNK):
            moves = _create_plain(env, partners[first : first + CHUNK])
            env.cr.commit()
            _post_chunks(env, moves)
    return _check(env, result, count)


def _create_plain(env, partners, date=DATE):
    products = env["product.product"].search([("name", "like", "Service")], order="id")
    lines = [
        Command.create({"product_id": product.id, "price_unit": product.list_price})
        for product in products
    ]
    return env["account.move"].create(
        [
            {
                "move_type": "out_invoice",
                "partner_id": partner.id,
                "invoice_date": date,
                "invoice_line_ids": lines,
            }
            for partner in partners
        ]
    )


def _post_chunks(env, moves):
    for first in range(0, len(moves), CHUNK):
        moves[first : first + CHUNK]._post(soft=False)
        env.cr.commit()
        env.invalidate_all()


# ----------------------------------------------------------------------
# The floor
# ----------------------------------------------------------------------

MADE = f"date > '{EARLIER_DATE}'"
MADE_ITEMS = f"account_move_line_id IN (SELECT id FROM account_move_line WHERE {MADE})"
#: {table: (rows, columns that number rows)}: all that a run inserts
FLOOR = {
    "account_move": (MADE, ("id",)),
    "account_move_line": (MADE, ("id", "move_id")),
    "account_move_line_account_tax_rel": (MADE_ITEMS, ("account_move_line_id",)),
    "account_account_tag_account_move_line_rel": (MADE_ITEMS, ("account_move_line_id",)),
    "mail_message": (
        f"model = 'account.move' AND res_id IN (SELECT id FROM account_move WHERE {MADE})",
        ("id", "res_id", "parent_id"),
    ),
    "invoice_run_document": ("TRUE", ("id", "move_id")),
    "billing_contract_invoice_run_document_rel": ("TRUE", ("invoice_run_document_id",)),
    "invoice_run_line": ("TRUE", ("id", "document_id")),
    "account_tax_invoice_run_line_rel": ("TRUE", ("invoice_run_line_id",)),
}
#: Days are claimed once: the copies claim days of a hundred years later. An amount has one invoice
#: in force: the copies are none.
CHANGED = {name: f"{name} + 36525" for name in ("period_from", "period_to")}
CHANGED["billing_given_back"] = "TRUE"
OFFSET = 10_000_000


def run_floor(env, count: int) -> dict:
    """The rows of the invoices once more, by `COPY`: no other way can be as fast."""
    cursor = env.cr._obj
    tables = {table: _read_table(cursor, table) for table in FLOOR}
    result = {}
    with measured(env, result, count):
        for table, (columns, text) in tables.items():
            cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", io.StringIO(text))
        env.cr.commit()
    return result


def _read_table(cursor, table):
    """Columns and rows of a table as COPY reads them, under other ids and numbers."""
    condition, numbers = FLOOR[table]
    cursor.execute(f"SELECT * FROM {table} LIMIT 0")
    names = [column.name for column in cursor.description]
    buffer = io.StringIO()
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(CHANGED.get(name, f'"{name}"') for name in names)
    cursor.copy_expert(f"COPY (SELECT {values} FROM {table} WHERE {condition}) TO STDOUT", buffer)
    rows = [line.split("\t") for line in buffer.getvalue().splitlines()]
    for row in rows:
        for name in set(numbers) & set(names):
            position = names.index(name)
            if row[position] != "\\N":
                row[position] = str(int(row[position]) + OFFSET)
        if table == "account_move":
            position = names.index("name")
            row[position] = row[position].replace("INV/", "FLOOR/")
    return columns, "".join("\t".join(row) + "\n" for row in rows)
