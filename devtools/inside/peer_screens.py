"""Checks and takes over contracts and subscriptions of OCA's modules; returns the screens' ids.

It runs in the database with those modules.
"""

import os

from dateutil.relativedelta import relativedelta
from freezegun import freeze_time

from odoo import Command, fields

from . import screens

CONTRACTS = "billing.takeover.contract"
SUBSCRIPTIONS = "billing.takeover.subscription"
CUSTOMERS = ("Harbour Consulting", "Maria Rossi", "Blue Door Bakery", "North Star Logistics")


def work(env) -> dict:
    """Prepare a dialog of each bridge after its check, and one contract that was taken over."""
    start = fields.Date.today().replace(day=1) - relativedelta(months=2)
    partners = env["res.partner"].create([{"name": name} for name in CUSTOMERS])
    products = env["product.product"].create(
        [{"name": name, "type": "service", "list_price": 120.0} for name in ("Rent", "Cleaning")]
    )
    account = env["account.account"].search(
        [("account_type", "=", "income"), ("company_ids", "in", env.company.ids)], limit=1
    )
    # subscription_oca looks for an account on product and category alone
    products.property_account_income_id = account
    taken, *_others = _make_contracts(env, partners, products, start)
    _make_subscriptions(env, partners, products, start)
    takeover = env["billing.takeover"]
    (result,) = takeover.take_over(CONTRACTS, taken.ids)
    assert not result["error"], result["error"]
    _compare_expected(env, partners, products)
    screens._speak(env, os.environ["DEMO_LANGUAGE"])
    env.cr.commit()
    env.registry.signal_changes()  # the server that runs has read the languages already
    return {
        "contracts": _look(env, CONTRACTS),
        "subscriptions": _look(env, SUBSCRIPTIONS),
        "takeover": takeover.search([], limit=1).id,
    }


def _compare_expected(env, partners, products) -> None:
    """What another program would invoice next, beside drafts that came from a file."""
    rent, cleaning = products
    month = fields.Date.today().replace(day=1)
    next_day = month + relativedelta(months=1)
    known = next_day - relativedelta(days=1)
    cases = [
        (rent, 950.0, known, 950.0),
        (rent, 1180.0, known, 1180.0),
        (cleaning, 125.5, known, 120.0),
        (rent, 720.0, month - relativedelta(days=1), 720.0),
    ]
    for partner, (product, price, until, expected) in zip(partners, cases, strict=True):
        line = {"product_id": product.id, "price_unit": price, "initial_invoiced_until": until}
        contract = env["billing.contract"].create(
            {
                "partner_id": partner.id,
                "date_start": next_day - relativedelta(years=1),
                "line_ids": [Command.create(line)],
            }
        )
        row = {"contract_id": contract.id, "date": next_day, "amount_untaxed": expected}
        env["billing.expected.invoice"].create(row)
    env["billing.expected.invoice"].action_compare()


def _look(env, source: str) -> int:
    dialog = env["billing.takeover.wizard"].create({"source": source})
    dialog.action_find()
    dialog.action_check()
    assert len(dialog.row_ids) > 1, f"{source}: {len(dialog.row_ids)} found"
    return dialog.id


def _make_contracts(env, partners, products, start):
    """Create three contracts that are ready, one that becomes two, and one that is refused."""
    rent, cleaning = products
    lines = [_line(rent, start), _line(cleaning, start, specific_price=80.0)]
    quarterly = _line(cleaning, start, recurring_rule_type="quarterly", specific_price=240.0)
    raised = _line(rent, start, discount=-5)
    cases = [
        ("Workshop", lines),
        ("Office, Harbour Street 4", lines),
        ("Flat 12", lines[:1]),
        ("Bakery with quarterly cleaning", [lines[0], quarterly]),
        ("Warehouse, raised by a discount", [raised]),
    ]
    contracts = env["contract.contract"]
    for number, (name, rows) in enumerate(cases):
        contract = contracts.create(
            {
                **_terms(start),
                "name": name,
                "line_recurrence": len({row["recurring_rule_type"] for row in rows}) > 1,
                "partner_id": partners[number % len(partners)].id,
                "contract_line_ids": [Command.create(row) for row in rows],
            }
        )
        contract.contract_line_ids._compute_recurring_next_date()
        for _month in range(2):
            contract._recurring_create_invoice()
        contracts |= contract
    return contracts


def _terms(start) -> dict:
    return {
        "date_start": start,
        "recurring_rule_type": "monthly",
        "recurring_interval": 1,
        "recurring_invoicing_type": "pre-paid",
    }


def _line(product, start, **vals) -> dict:
    return {
        **_terms(start),
        "product_id": product.id,
        "name": product.name,
        "specific_price": 950.0,
        "quantity": 1.0,
        **vals,
    }


def _make_subscriptions(env, partners, products, start) -> None:
    template = env["sale.subscription.template"].create(
        {"name": "Monthly", "recurring_rule_type": "months", "recurring_interval": 1}
    )
    pricelist = env["product.pricelist"].create(
        {"name": "Prices", "currency_id": env.company.currency_id.id}
    )
    for partner in partners[:3]:
        subscription = env["sale.subscription"].create(
            {
                "partner_id": partner.id,
                "template_id": template.id,
                "pricelist_id": pricelist.id,
                "company_id": env.company.id,
            }
        )
        env["sale.subscription.line"].create(
            {
                "sale_subscription_id": subscription.id,
                "product_id": products[0].id,
                "name": "Support",
                "price_unit": 49.0,
                "product_uom_qty": 3,
            }
        )
        with freeze_time(start):
            subscription.action_start_subscription()
        for _month in range(2):
            subscription.manual_invoice()
