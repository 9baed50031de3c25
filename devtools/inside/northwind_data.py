"""Northwind's files, and its customers and products in Odoo.

Nobody in Northwind pays a tax; freight is left out.
"""

import csv
from pathlib import Path

COUNTRIES = {"USA": "US", "UK": "GB"}


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
