"""Northwind's orders as confirmed sales orders, invoiced by the Invoice Manager's own methods.

The date is that of the order, the discounts are kept.
"""

import os
from datetime import date
from pathlib import Path

from odoo.fields import Command
from odoo.tools.date_utils import end_of, start_of

from . import northwind_data as data
from .pipeline import Pipeline

SCENARIO = "Northwind's sales orders"
#: No chatter for what nobody did by hand.
QUIET = {"tracking_disable": True, "mail_create_nolog": True, "mail_notrack": True}
ALL = {"all": True, "ids": []}


def work(env) -> dict:
    """Load what is not loaded yet, then invoice the month."""
    pipeline, day = data.begin(env, load)
    grouped = not os.environ.get("NORTHWIND_SEPARATE")
    run = process(env, pipeline, day, grouped)
    return pipeline.count(run, run.document_ids.browse())


def process(env, pipeline: Pipeline, day: date, grouped: bool):
    """Choose, fetch and process in the Invoice Manager; return its run."""
    scenario = _get_scenario(env, grouped)
    rule = scenario.rule_ids
    manager = env["invoice.manager"].create({})
    manager.action_choose(scenario.id)
    last = end_of(day, "month")
    with pipeline.stage("fetch"):
        manager.action_fetch(
            {
                "invoice_date": last,
                "target_date": last,
                "rule_values": {str(rule.id): [str(start_of(day, "month")), str(last)]},
            }
        )
        _finish_work(manager)
    run = manager.run_id
    with pipeline.stage("process"):
        if run.document_ids:
            manager.action_process(ALL)
            _finish_work(manager)
        else:
            manager.action_finish()
    return run


def _finish_work(manager) -> None:
    """Work as the browser does while the user watches; then finish as the scheduled action."""
    state = None
    while (now := manager.action_work()) != state:
        state = now
    manager.run_id._process_queue()


def _get_scenario(env, grouped: bool):
    scenarios = env["billing.scenario"]
    name = SCENARIO if grouped else f"{SCENARIO}, one invoice each"
    found = scenarios.search([("name", "=", name)], limit=1)
    return found or scenarios.create(
        {
            "name": name,
            "source": "sale",
            "enforce_collective": grouped,
            "send_action": "none",
            "rule_ids": [
                Command.create(
                    {
                        "name": "Ordered",
                        "field_path": "date_order",
                        "operator": "between",
                        "is_asked": True,
                    }
                )
            ],
        }
    )


def load(env, folder: Path) -> None:
    """Create the missing orders, confirmed on their day."""
    partners = data.load_partners(env, data.read(folder, "customers"))
    products = data.load_products(env, data.read(folder, "products"))
    lines: dict[str, list] = {}
    for row in data.read(folder, "order_details"):
        values = Command.create(_prepare_line_vals(row, products))
        lines.setdefault(row["order_id"], []).append(values)
    values = [
        {
            "client_order_ref": row["order_id"],
            "partner_id": partners[row["customer_id"]],
            "date_order": f"{row['order_date']} 12:00:00",
            "order_line": lines[row["order_id"]],
        }
        for row in data.read(folder, "orders")
    ]
    orders = env["sale.order"].with_context(**QUIET)
    known = set(orders.search([]).mapped("client_order_ref"))
    _confirm(orders.create([vals for vals in values if vals["client_order_ref"] not in known]))


def _confirm(orders) -> None:
    """Confirm orders on the day on which they were placed: Odoo would date them today."""
    days = {order: order.date_order for order in orders}
    orders.action_confirm()
    for order, day in days.items():
        order.date_order = day


def _prepare_line_vals(row: dict, products: dict) -> dict:
    return {
        "product_id": products[row["product_id"]],
        "product_uom_qty": float(row["quantity"]),
        "price_unit": float(row["unit_price"]),
        "discount": round(float(row["discount"]) * 100, 2),
    }
