"""Dates and rates of invoices where a country has rules of its own: preview against result.

Contracts in a foreign currency whose rate changes from month to month. Nothing is committed.
"""

import json

from freezegun import freeze_time

from odoo.fields import Command

#: {case: (chart of accounts, country, invoiced in advance or in arrears)}
CASES = {
    "cz arrears": ("cz", "cz", "arrears"),
    "hu arrears": ("hu", "hu", "arrears"),
    "hu advance": ("hu", "hu", "advance"),
}
INVOICE_DATE = "2024-03-15"
NOW = "2024-03-20 10:00:00"
#: Crowns or forints a foreign coin, from these days on.
RATES = {"2024-01-01": 10, "2024-02-15": 20, "2024-03-10": 50, "2024-03-18": 80}


def main(env) -> None:
    """The last line of the output is {case: dates, amounts and errors of its invoice}."""
    type(env["invoice.run"])._can_commit = lambda run: False
    type(env["res.company"]).install_l10n_modules = lambda company: False
    found = {}
    with freeze_time(NOW):
        for case, (chart, country, timing) in CASES.items():
            found[case] = _invoice(env, case, chart, country, timing)
    env.cr.rollback()
    print(json.dumps(found), flush=True)


def _invoice(env, case, chart, country, timing) -> dict:
    company = env["res.company"].create(
        {"name": f"Company {case}", "country_id": env.ref(f"base.{country}").id}
    )
    env.user.company_ids |= company
    env["account.chart.template"].try_loading(chart, company, install_demo=False)
    env = env(context={**env.context, "allowed_company_ids": company.ids})
    _make_contract(env, company, timing)
    scenario = env["billing.scenario"].create(
        {"name": case, "company_id": company.id, "send_action": "none"}
    )
    run = env["invoice.run"].create({"scenario_id": scenario.id, "invoice_date": INVOICE_DATE})
    run.action_generate_amounts()
    run._process_queue()
    run.action_approve()
    document = run.document_ids
    approved = document.company_amount_total
    run.action_generate_invoices()
    run._process_queue()
    move = document.move_id
    errors = [*run.exception_ids.mapped("message"), *filter(None, document.mapped("error"))]
    return {
        "errors": errors,
        "approved": approved,
        "invoiced": move.amount_total_signed,
        "rate": round(1 / move.invoice_currency_rate) if move else None,
        "booked": str(move.date),
        "invoice_date": str(move.invoice_date),
        "delivery": str(move.delivery_date),
        "supply": str(move.taxable_supply_date),
    }


def _make_contract(env, company, timing):
    currency = env.ref("base.USD")
    currency.active = True
    env["res.currency.rate"].create(
        [
            {
                "currency_id": currency.id,
                "company_id": company.id,
                "name": day,
                "inverse_company_rate": rate,
            }
            for day, rate in RATES.items()
        ]
    )
    partner = env["res.partner"].create({"name": "Customer", "company_id": company.id})
    product = env["product.product"].create({"name": "Rent", "type": "service"})
    contract = env["billing.contract"].create(
        {
            "partner_id": partner.id,
            "company_id": company.id,
            "currency_id": currency.id,
            "date_start": "2024-02-01" if timing == "arrears" else "2024-03-01",
            "billing_timing": timing,
            "line_ids": [Command.create({"product_id": product.id, "price_unit": 100.0})],
        }
    )
    contract.action_activate()
