"""Northwind's files, and its customers and products in Odoo.

Nobody in Northwind pays a tax; freight is left out.
"""

import csv
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

from .pipeline import Pipeline

COUNTRIES = {"USA": "US", "UK": "GB"}


def begin(env, load: Callable) -> tuple[Pipeline, date]:
    """Load what is not loaded yet; return the pipeline and the first day of the month asked for."""
    pipeline = Pipeline(env)
    with pipeline.stage("load"):
        load(env, Path(os.environ["NORTHWIND_FOLDER"]))
    year, month = map(int, os.environ["NORTHWIND_MONTH"].split("-"))
    return pipeline, date(year, month, 1)


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def load_partners(env, rows: list[dict]) -> dict[str, int]:
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
    return create_missing(env["res.partner"], "ref", values)


def load_products(env, rows: list[dict]) -> dict[str, int]:
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
    return create_missing(env["product.product"], "default_code", values)


def create_missing(model, key: str, rows: list[dict]) -> dict[str, int]:
    """Create what is not there; the key of each row → the record's id."""
    domain = [(key, "in", [row[key] for row in rows])]
    found = {record[key]: record.id for record in model.search(domain)}
    records = model.create([row for row in rows if row[key] not in found])
    return found | {record[key]: record.id for record in records}
