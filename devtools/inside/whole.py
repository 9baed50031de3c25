"""What `./dev bench whole` does inside of Odoo: contracts, from due to mailed.

Each function gets `env` and how many contracts there are, and returns what it measured.
"""

import os

from odoo.fields import Command

from . import bench
from .measuring import measured
from .pipeline import connect
from .sending import DAY, MONTH, Bench

#: The steps that a run takes by itself.
STEPS = ("approve", "invoices", "send")


def prepare(env, count: int) -> dict:
    """Contracts of customers who want email, and a run of them that nobody has to touch."""
    connect(env)
    sending = Bench(env, count)
    env["billing.contract"].search([]).write({"billing_hold": True})
    _make_contracts(env, sending)
    env.company.write({f"invoice_run_auto_{step}": True for step in STEPS})
    scenario = env["billing.scenario"].search([("source", "=", "contract")], limit=1)
    run = env["invoice.run"].create({"scenario_id": scenario.id, "invoice_date": DAY})
    env.cr.execute("ANALYZE")
    env.cr.commit()
    return {"run": run.id}


def _make_contracts(env, sending) -> None:
    lines = [{"product_id": product.id, "price_unit": 100.0} for product in sending.products]
    contracts = env["billing.contract"].create(
        [
            {
                "partner_id": partner.id,
                "date_start": MONTH,
                "line_ids": [Command.create(line) for line in lines],
            }
            for partner in sending.partners
        ]
    )
    contracts.action_activate()


def queue(env, count: int) -> dict:
    """Switch on as many scheduled actions as there are workers, and queue the latest run."""
    for number in range(2, int(os.environ["BENCH_WORKERS"]) + 1):
        env.ref(f"invoice_run.invoice_run_cron_{number}").active = True
    _get_run(env).action_generate_amounts()
    env.cr.commit()
    return {}


def work(env, count: int) -> dict:
    """One worker: waits for the signal, works until nothing is left."""
    return bench.wait_and_work(env, count)


def check(env, count: int) -> dict:
    """Check that everything was sent: doing less is not being faster."""
    run = _get_run(env)
    assert run.sent_count == count, f"{run.sent_count} of {count} were sent"
    return {"sent": run.sent_count, "total": run.amount_total}


def stock(env, count: int) -> dict:
    """Odoo's own way for as many invoices, one by one: create, confirm, send, commit."""
    connect(env)
    sending = Bench(env, count)
    env.cr.commit()
    result = {}
    with measured(env, result, count):
        moves = sending.stock_single()
    assert all(moves.mapped("invoice_pdf_report_id")), "PDFs are missing"
    return result


def _get_run(env):
    return env["invoice.run"].search([], order="id desc", limit=1)
