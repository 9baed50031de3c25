"""Northwind's orders as usage: one usage item for each order line.

The payer is the customer, the date that of the order. Freight is not part of
it, and nobody in Northwind pays a tax.
"""

import csv
import os
from datetime import date
from pathlib import Path

from odoo.tools.date_utils import end_of, start_of

from .pipeline import Pipeline

COUNTRIES = {"USA": "US", "UK": "GB"}
SCENARIO = "Northwind's orders"


def work(env) -> dict:
    """Load what is not loaded yet, then invoice the month."""
    pipeline = Pipeline(env)
    folder = Path(os.environ["NORTHWIND_FOLDER"])
    with pipeline.stage("load"):
        _load(env, folder)
    year, month = map(int, os.environ["NORTHWIND_MONTH"].split("-"))
    return pipeline.carry_out(_get_run(env, date(year, month, 1)))


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
    orders = {row["order_id"]: row for row in _read(folder, "orders")}
    partners = _load_partners(env, _read(folder, "customers"))
    products = _load_products(env, _read(folder, "products"))
    usage = env["billing.usage"]
    known = set(usage.search([]).mapped("external_ref"))
    rows = [
        _prepare_usage_vals(row, orders[row["order_id"]], partners, products)
        for row in _read(folder, "order_details")
    ]
    usage.create([values for values in rows if values["external_ref"] not in known])


def _read(folder: Path, name: str) -> list[dict[str, str]]:
    with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _load_partners(env, rows: list[dict]) -> dict[str, int]:
    """Customer id → id of the partner."""
    countries = env["res.country"].search([])
    ids = {country.name: country.id for country in countries}
    ids |= {country.code: country.id for country in countries}
    values = [
        {
            "ref": row["customer_id"],
            "name": row["company_name"],
            "is_company": True,
            "street": row["address"],
            "city": row["city"],
            "zip": row["postal_code"],
            "country_id": ids[COUNTRIES.get(row["country"], row["country"])],
            "phone": row["phone"],
        }
        for row in rows
    ]
    return _create_missing(env["res.partner"], "ref", values)


def _load_products(env, rows: list[dict]) -> dict[str, int]:
    """Product id → id of the product, which carries no tax."""
    values = [
        {
            "default_code": row["product_id"],
            "name": row["product_name"],
            "type": "consu",
            "list_price": float(row["unit_price"]),
            "taxes_id": [],
            "supplier_taxes_id": [],
            "invoice_policy": "order",
        }
        for row in rows
    ]
    return _create_missing(env["product.product"], "default_code", values)


def _create_missing(model, key: str, rows: list[dict]) -> dict[str, int]:
    """Create what is not there; the key of each row → the record's id."""
    domain = [(key, "in", [row[key] for row in rows])]
    found = {record[key]: record.id for record in model.search(domain)}
    records = model.create([row for row in rows if row[key] not in found])
    return found | {record[key]: record.id for record in records}


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
