"""Compares invoices created in bulk with Odoo's own, with the charts of several countries.

Random contracts over all sales taxes, fiscal positions and payment terms of a chart; every
column of the invoices' rows is compared. Nothing is committed.
"""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from freezegun import freeze_time

from odoo.addons.invoice_run_turbo.tests.bulk_rows import get_differences, read_rows
from odoo.fields import Command

#: {chart: country}; their modules are named in ``devtools.bench_equality``.
CHARTS = {"be_comp": "be", "nl": "nl", "ch": "ch", "fr": "fr"}
COUNTRIES = ("be", "nl", "ch", "fr", "de", "us")
DATE = "2024-03-15"
NOW = "2024-03-20 10:00:00"
CONTRACTS = 80


def main(env, charts=CHARTS, contracts=CONTRACTS) -> None:
    """The last line of the output is {chart: what was found}.

    :param charts: {chart: country}
    :param contracts: how many, for each chart; a multiple of four
    """
    with without_commits(env):
        obstacles = env["invoice.run.bulk"]._get_registry_obstacles()
        found = {
            chart: compare(env, chart, country, contracts) for chart, country in charts.items()
        }
    print(json.dumps({"obstacles": obstacles, "charts": found}), flush=True)


@contextmanager
def without_commits(env) -> Iterator[None]:
    """Carry out runs in one transaction, which is rolled back at the end."""
    type(env["invoice.run"])._can_commit = lambda run: False
    commit, type(env.cr).commit = type(env.cr).commit, _refuse_commit
    # what a country suggests beyond the modules that are here already
    type(env["res.company"]).install_l10n_modules = lambda company: False
    yield
    env.cr.rollback()
    type(env.cr).commit = commit


def _refuse_commit(cursor):
    raise AssertionError("Nothing is committed here.")


def compare(env, chart: str, country: str, contracts: int, look: Callable | None = None) -> dict:
    """Invoice random contracts of a new company in both ways; return what differs.

    :param contracts: how many; a multiple of four
    :param look: called with the run; returns what else there is to report about this chart
    """
    company = env["res.company"].create(
        {"name": f"Company {chart}", "country_id": env.ref(f"base.{country}").id}
    )
    env.user.company_ids |= company
    env["account.chart.template"].try_loading(chart, company, install_demo=False)
    env = env(context={**env.context, "allowed_company_ids": company.ids})
    _make_contracts(env, company, contracts)
    scenario = env["billing.scenario"].create(
        {"name": chart, "company_id": company.id, "send_action": "none"}
    )
    run = env["invoice.run"].create({"scenario_id": scenario.id, "invoice_date": DATE})
    run.action_generate_amounts()
    run._process_queue()
    run.action_approve()
    run.action_generate_invoices()
    # payment references may be made of the invoice's id
    env.cr.execute("SELECT nextval('account_move_id_seq')")
    [(first,)] = env.cr.fetchall()
    plain, _bulk = _invoice(run, in_bulk=False)
    env.cr.execute("SELECT setval('account_move_id_seq', %s)", (first,))
    rows, bulk = _invoice(run, in_bulk=True)
    return {
        "fast_path": _get_settings(env).invoice_run_fast_path,
        "invoices": len(rows["account_move"]),
        "credit_notes": sum(row["move_type"] == "out_refund" for row in rows["account_move"]),
        "in_bulk": bulk,
        "items": len(rows["account_move_line"]),
        "taxes": len({row["tax_line_id"] for row in rows["account_move_line"]} - {None}),
        "failed": run.failed_count,
        "exceptions": run.exception_ids.mapped("message")[:3],
        "differences": get_differences(plain, rows)[:20],
        **(look(run) if look else {}),
    }


def _get_settings(env):
    return env["res.config.settings"].create({})


def _make_contracts(env, company, count):
    draw = random.Random(17)
    basics = _make_basics(env, company)
    signs = [1, 1, 1, -1] * (count // 4)
    contracts = env["billing.contract"].create(
        [_draw_contract(draw, company, basics, sign) for sign in signs]
    )
    contracts.action_activate()


def _make_basics(env, company) -> dict:
    """Return what random contracts choose from; an empty record leaves the choice to Odoo."""
    of_company = [("company_id", "=", company.id)]
    taxes = env["account.tax"].search([*of_company, ("type_tax_use", "=", "sale")])
    positions = env["account.fiscal.position"].search(of_company)
    terms = env["account.payment.term"].search([("company_id", "in", (False, company.id))])
    products = [{"name": f"Service {number}", "type": "service"} for number in range(4)]
    return {
        "partners": _make_partners(env, company),
        "products": env["product.product"].create(products),
        "currencies": [company.currency_id, *_get_currencies(env, company)],
        "taxes": [*taxes, taxes.browse()],
        "positions": [*positions, positions.browse()],
        "terms": [*terms, terms.browse()],
    }


def _make_partners(env, company):
    return env["res.partner"].create(
        [
            {
                "name": f"{company.name}: customer {number}",
                "country_id": env.ref(f"base.{code}").id,
                "is_company": number % 2 == 0,
                "company_id": company.id,
            }
            for number in range(3)
            for code in COUNTRIES
        ]
    )


def _draw_contract(draw, company, basics, sign) -> dict:
    return {
        "partner_id": draw.choice(basics["partners"]).id,
        "company_id": company.id,
        "currency_id": draw.choice(basics["currencies"]).id,
        "payment_term_id": draw.choice(basics["terms"]).id,
        "fiscal_position_id": draw.choice(basics["positions"]).id,
        "date_start": "2024-03-01",
        "line_ids": [
            Command.create(_draw_line(draw, basics, sign))
            for _line in range(draw.choice([1, 2, 3]))
        ],
    }


def _draw_line(draw, basics, sign) -> dict:
    return {
        "product_id": draw.choice(basics["products"]).id,
        "name": f"Service {draw.random():.3f}",
        "quantity": sign * draw.choice([1, 2, 3.5, 1.234]),
        "price_unit": draw.choice([100.0, 21.53, 0.07, 1234.567, 33.333]),
        "discount": draw.choice([0, 0, 10, 33.33]),
        # none: the product's, by the fiscal position
        "tax_ids": [Command.set(draw.choice(basics["taxes"]).ids)],
    }


def _get_currencies(env, company):
    currencies = env.ref("base.USD") | env.ref("base.JPY")
    currencies.active = True
    env["res.currency.rate"].create(
        [
            {
                "currency_id": currency.id,
                "company_id": company.id,
                "name": "2020-01-01",
                "rate": rate,
            }
            for currency, rate in zip(currencies, (1.09, 161.2), strict=True)
        ]
    )
    return currencies


def _invoice(run, in_bulk: bool):
    """Invoice the run and return the rows, and how many were made in bulk; undo it."""
    env = run.env
    env["ir.config_parameter"].set_param("invoice_run.bulk_create", str(int(in_bulk)))
    Bulk = type(env["invoice.run.bulk"])
    original, made = Bulk._create_bulk, []

    def counting(bulk, vals_list, cache):
        made.extend(vals_list)
        return original(bulk, vals_list, cache)

    Bulk._create_bulk = counting
    env.flush_all()
    savepoint = env.cr.savepoint()
    env.invalidate_all()
    with freeze_time(NOW):
        run._process_queue()
    errors = run.document_ids.filtered("error").mapped("error")
    assert not errors, errors[:3]
    rows = read_rows(run.document_ids.move_id.sorted("id"))
    savepoint.close(rollback=True)
    Bulk._create_bulk = original
    env.invalidate_all(flush=False)
    env.cr.cache.clear()
    env.cr.precommit.clear()
    return rows, len(made)
