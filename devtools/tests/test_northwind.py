"""Northwind's orders through the Invoice Manager; the figures are known from the files."""

import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from devtools import databases, workspace
from devtools.paths import ROOT

FOLDER = Path(os.environ.get("NORTHWIND_FOLDER") or ROOT.parent / "shared" / "data" / "northwind")
MONTH = "1998-04"
SCRIPT = "from devtools.inside import {0}, pipeline; pipeline.main(env, {0}.work)"


@pytest.fixture(scope="module")
def database():
    if not (FOLDER / "order_details.csv").is_file():
        # a reason to skip: the files are not ours to copy into the repository, and nothing else
        # has these known totals; test_sale_*.py test the same flow with data of their own
        pytest.skip(f"real input not present: {FOLDER}")
    space = workspace.prepare()
    with databases.temporary_clone(space, "scratch") as name:
        yield space, name


@pytest.fixture
def carry_out(database, tmp_path):
    space, name = database

    def call(separate=""):
        result = tmp_path / "result.json"
        space.script(
            name,
            SCRIPT.format("northwind_sale"),
            problem="The run failed",
            DEMO_URL="http://127.0.0.1:1",
            DEMO_SMTP_PORT=1,
            DEMO_RESULT=result,
            NORTHWIND_FOLDER=FOLDER,
            NORTHWIND_MONTH=MONTH,
            NORTHWIND_SEPARATE=separate,
        )
        return json.loads(result.read_text())

    return call


def test_a_month_grouped_once(carry_out):
    first = carry_out()
    assert (first["documents"], first["invoices"], first["failures"]) == (51, 51, 0)
    assert first["amount_untaxed"] == first["amount_total"] == 123798.70
    again = carry_out()
    assert (again["documents"], again["invoices"]) == (0, 0)
    # the other way round finds nothing either: the orders are invoiced
    assert carry_out(separate="1")["invoices"] == 0


def test_the_invoices_are_those_of_the_files(database):
    space, name = database
    with open(FOLDER / "orders.csv", newline="", encoding="utf-8") as file:
        month = [row for row in csv.DictReader(file) if row["order_date"].startswith(MONTH)]
    assert len(month) == 74
    output = space.script(
        name,
        "import json\n"
        "moves = env['account.move'].search([('invoice_run_id', '!=', False)])\n"
        "print('RESULT', json.dumps([[move.partner_id.ref,"
        " move.line_ids.sale_line_ids.order_id.mapped('client_order_ref')] for move in moves]))",
        problem="The invoices could not be read",
    )
    (line,) = [line for line in output.splitlines() if line.startswith("RESULT")]
    invoices = json.loads(line.removeprefix("RESULT"))
    found = Counter((customer, order) for customer, orders in invoices for order in orders)
    assert found == Counter((row["customer_id"], row["order_id"]) for row in month)
