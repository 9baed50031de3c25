"""Northwind's orders as usage: one usage item for each order line.

Customer and date are those of the order. Freight is not part of
it, and nobody in Northwind pays a tax.
"""

from datetime import date
from pathlib import Path

from odoo.tools.date_utils import end_of, start_of

from . import northwind_data as data

SCENARIO = "Northwind's orders"


def work(env) -> dict:
    """Load what is not loaded yet, then invoice the month."""
    pipeline, day = data.begin(env, _load)
    return pipeline.carry_out(_get_run(env, day))


def _get_run(env, day: date):
    """The run of that month; a second time it is the same one."""
    scenario = _get_scenario(env)
    values = {
        "scenario_id": scenario.id,
        "invoice_date": end_of(day, "month"),
        "target_date": end_of(day, "month"),
        "skip_before": start_of(day, "month"),
    }
    domain = [(name, "=", value) for name, value in values.items()]
    run = env["invoice.run"].search([*domain, ("state", "!=", "cancelled")], limit=1)
    return run or env["invoice.run"].create({**values, "name": f"Northwind {day:%B %Y}"})


def _get_scenario(env):
    scenarios = env["billing.scenario"]
    found = scenarios.search([("name", "=", SCENARIO)], limit=1)
    return found or scenarios.create(
        {
            "name": SCENARIO,
            "source": "usage",
            "send_action": "none",
            "invoice_state": "posted",
        }
    )


def _load(env, folder: Path) -> None:
    orders = {row["order_id"]: row for row in data.read(folder, "orders")}
    partners = data.load_partners(env, data.read(folder, "customers"))
    products = data.load_products(env, data.read(folder, "products"))
    usage = env["billing.usage"]
    known = set(usage.search([]).mapped("external_ref"))
    rows = [
        _prepare_usage_vals(row, orders[row["order_id"]], partners, products)
        for row in data.read(folder, "order_details")
    ]
    usage.create([values for values in rows if values["external_ref"] not in known])


def _prepare_usage_vals(row: dict, order: dict, partners: dict, products: dict) -> dict:
    return {
        "external_ref": f"{row['order_id']}/{row['product_id']}",
        "date": order["order_date"],
        "partner_id": partners[order["customer_id"]],
        "product_id": products[row["product_id"]],
        "quantity": float(row["quantity"]),
        "price_unit": float(row["unit_price"]),
        "discount": round(float(row["discount"]) * 100, 2),
    }
