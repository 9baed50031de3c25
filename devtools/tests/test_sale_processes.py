"""Somebody invoices orders in Sales while a run invoices them: real processes, one invoice each."""

import pytest

from devtools import databases

from .workers import START, WORKER, ask, start

ORDERS = 3
MAKE = f"""
partner = env['res.partner'].create({{'name': 'Customer'}})
product = env['product.product'].create(
    {{'name': 'Goods', 'type': 'consu', 'list_price': 100, 'invoice_policy': 'order'}})
orders = env['sale.order'].create([
    {{'partner_id': partner.id, 'order_line': [(0, 0, {{'product_id': product.id}})]}}
] * {ORDERS})
orders.action_confirm()
scenario = env['billing.scenario'].create({{'name': 'Orders', 'source': 'sale'}})
run = env['invoice.run'].create({{'scenario_id': scenario.id}})
run.action_generate_amounts()
run._process_queue()
run.action_approve()
run.action_generate_invoices()
env.cr.commit()
"""
# Both have looked at the orders before one of them begins.
MEET = """
import os, pathlib, time
env['sale.order'].search([]).order_line.mapped('qty_to_invoice')
folder = pathlib.Path(os.environ['MEETING'])
(folder / os.environ['NAME']).touch()
deadline = time.monotonic() + 60
while len(list(folder.iterdir())) < 2:
    assert time.monotonic() < deadline, 'the other one did not come'
    time.sleep(0.01)
"""
# As the web server does: once more, in a new transaction.
SELL = """
import psycopg2
from odoo.exceptions import UserError
while True:
    try:
        env['sale.order'].search([])._create_invoices(final=True)
        env.cr.commit()
        break
    except psycopg2.OperationalError:
        env.cr.rollback()
    except UserError:  # nothing left to invoice
        env.cr.rollback()
        break
"""
COUNT = """
import json
orders = env['sale.order'].search([])
print(json.dumps({
    'invoices': orders.mapped('invoice_count'),
    'quantities': orders.order_line.mapped('qty_invoiced'),
    'states': env['invoice.run.document'].search([]).mapped('state'),
    'claims': env['invoice.run.line'].search_count([('is_claimed', '=', True)]),
}))
"""


@pytest.fixture
def database(space):
    with databases.temporary_clone(space, "scratch") as name:
        space.script(name, MAKE, problem="The orders were not made")
        yield name


def test_sales_and_a_run_at_once(space, database, tmp_path):
    scripts = {"run": WORKER + MEET + START, "sales": MEET + SELL}
    workers = [
        start(space, database, script, NAME=name, MEETING=str(tmp_path))
        for name, script in scripts.items()
    ]
    for worker in workers:
        output, _errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, output
    [result] = ask(space, database, COUNT)
    assert result["invoices"] == [1] * ORDERS
    assert result["quantities"] == [1.0] * ORDERS
    assert set(result["states"]) <= {"invoiced", "failed"}
    assert result["claims"] == result["states"].count("failed"), "the loser keeps its claims"
