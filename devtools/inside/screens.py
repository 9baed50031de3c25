"""Prepares demo data in every state that a screen shows; returns the ids that screens open."""

import os

from odoo import Command, fields
from odoo.tools import date_utils

from . import demo

PORTAL = "portal"
NEWCOMER = "newcomer"


def work(env) -> dict:
    """Carry out the demo run, then leave other runs at earlier steps."""
    demo.work(env)
    schedules = env["invoice.run.schedule"].search([("state", "=", "active")], order="id")
    later = env["invoice.run"].union(*(_get_next_run(schedule) for schedule in schedules))
    waiting, others = later[:1], later[1:2]
    _hold_a_contract(env, waiting)
    _make_differences(env, waiting)
    (waiting | others).action_submit()
    (waiting | others).action_generate_amounts()
    (waiting | others)._process_queue()
    invoiced = env["invoice.run"].search([("state", "=", "invoiced")], order="id")
    contract = _get_periodic_contract(env)
    _make_portal_user(env, contract.partner_id)
    _make_newcomer(env)
    _make_something_due(env)
    asking = _make_asking_scenario(env)
    runs = _leave_at_other_steps(later[2:], invoiced[1:2])
    _speak(env, os.environ["DEMO_LANGUAGE"])
    env.cr.commit()
    env.registry.signal_changes()  # the server that runs has read the languages already
    return {
        "waiting": waiting.id,
        "invoiced": invoiced[:1].id,
        "schedule": waiting.schedule_id.id,
        "scenario": waiting.scenario_id.id,
        "asking": asking.id,
        "contracts_due": _get_default_scenario(env, "contracts_due").id,
        "orders_due": _get_default_scenario(env, "sale_to_invoice").id,
        "contract": contract.id,
        "portal_contract": contract.id,
        "customer": contract.partner_id.id,
        "move": invoiced[:1].invoice_ids[:1].id,
        "document": invoiced[:1].document_ids[:1].id,
        "order": env["sale.order"].search([("opportunity_id", "!=", False)], limit=1).id,
        **runs,
    }


def _leave_at_other_steps(later, invoiced) -> dict:
    """Runs on hold, submitted, cancelled and reversed."""
    submitted, cancelled = later[:1], later[1:2]
    submitted.schedule_id.auto_amounts = "no"
    submitted.action_submit()
    cancelled.action_cancel()
    invoiced.action_reverse()
    invoiced._process_queue()
    return {
        "run_on_hold": _get_next_run(submitted.schedule_id).id,
        "run_submitted": submitted.id,
        "run_cancelled": cancelled.id,
        "run_reversed": invoiced.id,
    }


def _make_something_due(env) -> None:
    """Contracts, usage and orders that no run has taken yet, for the Invoice Manager."""
    partners = env["res.partner"].search([("email", "like", "example.com")], order="id", limit=8)
    partners = partners.filtered("invoice_sending_method") | partners
    today = fields.Date.context_today(env["res.users"])
    product = env.ref("invoice_run.demo_product_service_costs")
    cluster = env["billing.cluster"].create({"name": "Parking", "code": "PRK"})
    contracts = env["billing.contract"].create(
        [
            {
                "cluster_id": cluster.id,
                "title": f"Parking space {number}",
                "partner_id": partner.id,
                "date_start": date_utils.start_of(today, "month"),
                "line_ids": [Command.create({"product_id": product.id, "price_unit": 85.0})],
            }
            for number, partner in enumerate(partners[:6], 11)
        ]
    )
    contracts.action_activate()
    env["billing.usage"].create(
        [
            {
                "partner_id": partner.id,
                "product_id": product.id,
                "date": date_utils.subtract(today, days=number),
                "name": "Meeting room, by the hour",
                "quantity": number,
                "price_unit": 35.0,
            }
            for number, partner in enumerate(partners[:4], 1)
        ]
    )
    _make_orders(env, partners[:5])


def _make_orders(env, partners) -> None:
    """Confirmed orders, each of an opportunity, the first with two lines."""
    products = [env.ref(f"invoice_run.demo_product_{name}") for name in ("delivery", "cleaning")]
    for number, partner in enumerate(partners, 1):
        lead = env["crm.lead"].create(
            {"name": f"Move of {partner.name}", "type": "opportunity", "partner_id": partner.id}
        )
        order = env["sale.order"].create(
            {
                "partner_id": partner.id,
                "opportunity_id": lead.id,
                "order_line": [
                    Command.create({"product_id": product.id, "product_uom_qty": number})
                    for product in products
                ],
            }
        )
        order.action_confirm()
        lead.action_set_won()


def _make_asking_scenario(env):
    """A scenario that asks for a value of each kind."""
    asked = (
        ("Ordered", "date_order", "between", "previous_month_start", "month_end"),
        ("Approved", "approved_for_invoicing", "=", "", ""),
        ("Delivery", "order_line.product_id.type", "in", "service", ""),
        ("Sales team", "team_id", "=", "", ""),
        ("Salespersons", "user_id", "in", "", ""),
        ("Customer reference", "client_order_ref", "ilike", "", ""),
        ("Total", "amount_total", ">=", "100", ""),
    )
    names = ("name", "field_path", "operator", "value", "value_to")
    rules = [dict(zip(names, values, strict=True)) for values in asked]
    return env["billing.scenario"].create(
        {
            "name": "Orders of a team",
            "description": "What a sales team sold and delivered, as you choose it.",
            "source": "sale",
            "rule_ids": [Command.create({**rule, "is_asked": True}) for rule in rules],
        }
    )


def _get_next_run(schedule):
    """The first run of a schedule that nobody has worked on."""
    runs = schedule.run_ids.filtered(lambda run: run.state == "on_hold")
    return runs.sorted("date_from")[:1]


def _hold_a_contract(env, run) -> None:
    """Put a contract on hold that this run selects, so that there is an exception to be seen."""
    contracts = env["billing.contract"].search(env["billing.contract"]._get_run_domain(run))
    contracts.sorted("id")[-1:].write(
        {"billing_hold": True, "billing_hold_reason": "Deposit not paid"}
    )


def _make_differences(env, run) -> None:
    """Create variances: a price that rose, one with a zero too many, a start in mid-month."""
    env.ref("invoice_run.demo_contract_unit_1a_line_2").price_unit *= 1.03
    env.ref("invoice_run.demo_contract_unit_2a_line_1").price_unit *= 10
    newcomer = env.ref("invoice_run.demo_contract_unit_2b_new").copy(
        {
            "title": "Elm Street 48, 3A",
            "partner_id": env.ref("invoice_run.demo_partner_rossi").id,
            "date_start": date_utils.add(run.date_from, days=14),
            "billing_hold": False,
            "billing_hold_reason": False,
        }
    )
    newcomer.action_activate()


def _get_periodic_contract(env):
    """A contract that was invoiced and will be again, with as many prices as there are."""
    domain = [("next_invoicing_date", "!=", False), ("run_line_ids.move_line_ids", "!=", False)]
    contracts = env["billing.contract"].search([*domain, ("title", "!=", False)], order="id")
    return contracts.sorted(lambda contract: len(contract.line_ids), reverse=True)[:1]


def _get_default_scenario(env, name: str):
    """One of the scenarios that each company gets."""
    return env.ref(f"invoice_run.scenario_{name}_{env.company.id}")


def _speak(env, language: str) -> None:
    """Install a language, and let everybody on the stage use it."""
    env["base.language.install"].create(
        {"lang_ids": _get_language(env, language).ids}
    ).lang_install()
    env["res.users"].search([]).partner_id.lang = language


def _get_language(env, code: str):
    return env["res.lang"].with_context(active_test=False).search([("code", "=", code)])


def _make_portal_user(env, partner) -> None:
    _make_user(env, PORTAL, "base.group_portal", partner_id=partner.id)


def _make_newcomer(env) -> None:
    """A manager of invoice runs in a company in which there is nothing yet."""
    company = env["res.company"].create({"name": "New Company"})
    group = "invoice_run.invoice_run_group_manager"
    vals = {"company_id": company.id, "company_ids": [(6, 0, company.ids)]}
    _make_user(env, NEWCOMER, group, name="Newcomer", **vals)


def _make_user(env, login: str, group: str, **vals) -> None:
    users = env["res.users"].with_context(no_reset_password=True)
    groups = [(6, 0, [env.ref(group).id])]
    users.create({"login": login, "password": login, "group_ids": groups, **vals})
