"""Creates usage items by the million and generates their amounts."""

import os

from odoo.fields import Command
from odoo.tools import SQL

from . import bench

#: Price of each kilometre by bands; the items of a line come to some of each.
BANDS = ((100, 1.0), (1000, 0.8), (0, 0.5))


def make_usage(env, count: int) -> dict:
    """Give each contract one metered line instead of three fixed ones, and usage in January."""
    lines = env["billing.contract.line"].search([], order="contract_id, id")
    metered = lines.browse().union(*(own[:1] for own in lines.grouped("contract_id").values()))
    (lines - metered).unlink()
    tariff = env["billing.tariff"].create(
        {
            "name": "Kilometres",
            "tier_ids": [
                Command.create({"sequence": number, "up_to": up_to, "price_unit": price})
                for number, (up_to, price) in enumerate(BANDS)
            ],
            "tier_scope": "customer" if os.environ.get("BENCH_CUSTOMER") else "line",
        }
    )
    metered.write({"is_metered": True, "price_interval": "period", "tariff_id": tariff.id})
    if os.environ.get("BENCH_BOUNDS"):
        _add_minimums(metered)
    if os.environ.get("BENCH_CUSTOMER"):
        metered.contract_id.partner_id = metered[0].contract_id.partner_id
    env.flush_all()
    env.cr.execute(
        SQL(
            """
            INSERT INTO billing_usage (contract_id, contract_line_id, partner_id,
                   commercial_partner_id, company_id, currency_id, product_id, name, date,
                   quantity, price_unit, discount, amount, state, create_date, write_date)
            SELECT contract.id, line.id, contract.partner_id, contract.commercial_partner_id,
                   contract.company_id, contract.currency_id, line.product_id, line.name,
                   DATE '2026-01-01' + item %% 31, 1 + item %% 20, 1, 0, 1 + item %% 20, 'open',
                   now(), now()
              FROM billing_contract_line line
              JOIN billing_contract contract ON contract.id = line.contract_id,
                   generate_series(1, %s) AS item
             WHERE line.is_metered AND line.bound_scope = 'line'
            """,
            int(os.environ["BENCH_ITEMS"]),
        )
    )
    env["invoice.run"].search([], limit=1).target_date = "2026-01-31"
    env.cr.execute("ANALYZE")
    env.cr.commit()
    return {}


def _add_minimums(metered) -> None:
    """Give each contract a minimum above what its usage costs."""
    metered.create(
        [
            {
                "contract_id": line.contract_id.id,
                "product_id": line.product_id.id,
                "name": "Minimum",
                "is_metered": True,
                "price_interval": "period",
                "bound_scope": "contract",
                "minimum_amount": 10000.0,
            }
            for line in metered
        ]
    )


def run_rating(env, count: int) -> dict:
    """Measure the amounts only, see :func:`bench.run_amounts`; every item must be claimed."""
    result = bench.run_amounts(env, count)
    [(claims,)] = env.execute_query(SQL("SELECT count(*) FROM invoice_run_usage WHERE is_claimed"))
    [(items,)] = env.execute_query(SQL("SELECT count(*) FROM billing_usage WHERE state='planned'"))
    wanted = env["billing.contract.line"].search_count([("is_metered", "=", True)])
    assert claims == items and env["invoice.run.line"].search_count([]) == wanted, (claims, items)
    return {**result, "claims": claims}
