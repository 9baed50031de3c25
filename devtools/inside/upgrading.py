"""What a released version leaves behind, and what the present one makes of it.

`make` runs in the code of the release, `go_on` in both: it uses buttons alone, and names that
both versions know.
"""

import json
import os
from datetime import date, timedelta

from odoo import Command

ROLES = ("user", "reviewer", "manager")
USAGE = "Usage"
#: How far the runs of the release come, one run for each: the buttons that are pressed.
STEPS = {
    "On hold": (),
    "Submitted": ("generate_amounts", "delete_amounts"),
    "Amounts": ("generate_amounts",),
    "Rejected": ("generate_amounts", "reject"),
    "Approved": ("generate_amounts", "approve"),
    "Invoiced": ("generate_amounts", "approve", "generate_invoices"),
    "Sent": ("generate_amounts", "approve", "generate_invoices", "send"),
    "Reversed": ("generate_amounts", "approve", "generate_invoices"),
    "Credited": ("generate_amounts", "approve", "generate_invoices"),
    "Excluded": ("generate_amounts",),
    "Partly invoiced": ("generate_amounts",),
    USAGE: ("generate_amounts", "approve", "generate_invoices"),
    "Cancelled": ("generate_amounts", "cancel"),
}
FIRST_DAY = date(2024, 1, 1)
INVOICE_DATE = date(2024, 1, 15)


def make(env) -> None:
    """Fill a database with contracts, and with a run in every state that there is."""
    env = env(user=env.ref("base.user_admin"))
    _connect(env)
    _make_users(env)
    product = env["product.product"].create(
        {"name": "Rent", "type": "service", "list_price": 100.0}
    )
    for name, steps in STEPS.items():
        run = _make_run(env, name, product)
        for step in steps:
            _press(run, step)
        _spoil(run, name)
        env.cr.commit()
    _make_schedule(run)
    env.cr.commit()


def _connect(env) -> None:
    env.company.email = "office@example.com"
    env["ir.mail_server"].create(
        {
            "name": "Sink",
            "smtp_host": "127.0.0.1",
            "smtp_port": int(os.environ["SMTP_PORT"]),
            "smtp_encryption": "none",
        }
    )


def _make_users(env) -> None:
    for role in ROLES:
        group = env.ref(f"invoice_run.invoice_run_group_{role}")
        env["res.users"].create(
            {"name": role, "login": role, "group_ids": [Command.link(group.id)]}
        )


def _make_run(env, name: str, product):
    """A run over contracts and usage of its own, told apart by a cluster."""
    cluster = env["billing.cluster"].create({"name": name})
    lines = [
        {"product_id": product.id, "price_unit": 100.0},
        {"product_id": product.id, "price_unit": 33.33, "quantity": 1.5, "discount": 5.0},
    ]
    for number in range(3):
        partner = env["res.partner"].create(
            {"name": f"{name} {number}", "email": f"customer{number}@example.com"}
        )
        if name == USAGE:
            _make_usage(env, partner, product, cluster)
            continue
        contract = env["billing.contract"].create(
            {
                "partner_id": partner.id,
                "date_start": FIRST_DAY + timedelta(days=5 * number),
                "cluster_id": cluster.id,
                "line_ids": [Command.create(line) for line in lines],
            }
        )
        contract.action_activate()
    scenario = env["billing.scenario"].create(
        {
            "name": name,
            "source": "usage" if name == USAGE else "contract",
            "send_action": "email",
            "cluster_ids": [Command.set(cluster.ids)],
        }
    )
    return env["invoice.run"].create({"scenario_id": scenario.id, "invoice_date": INVOICE_DATE})


def _make_usage(env, partner, product, cluster) -> None:
    """Usage alone, which a scenario of its own selects."""
    for number in range(2):
        env["billing.usage"].create(
            {
                "date": FIRST_DAY + timedelta(days=number),
                "partner_id": partner.id,
                "product_id": product.id,
                "cluster_id": cluster.id,
                "quantity": 1.5 + number,
                "price_unit": 12.34,
                "external_ref": f"{partner.name}/{number}",
            }
        )


def _make_schedule(run) -> None:
    """A schedule with runs that wait for their months."""
    schedule = run.env["invoice.run.schedule"].create(
        {
            "name": "Every month",
            "scenario_id": run.scenario_id.id,
            "cycle": "monthly",
            "date_from": FIRST_DAY,
            "invoice_date": FIRST_DAY,
            "run_count": 2,
        }
    )
    schedule.action_generate_runs()


def _press(run, step: str) -> None:
    arguments = ["Too much"] if step in ("reject", "delete_amounts") else []
    getattr(run, f"action_{step}")(*arguments)
    run._process_queue()


def _spoil(run, name: str) -> None:
    """Change some documents as users do, and some invoices as Accounting does."""
    invoices = run.document_ids.move_id
    if name in ("Excluded", "Partly invoiced"):
        run.document_ids[0].action_exclude()
    if name == "Partly invoiced":
        _press(run, "approve")
        _press(run, "generate_invoices")
    if name == "Reversed":
        invoices[0].button_draft()
        invoices[0].button_cancel()
    if name == "Credited":
        _credit(invoices[0])


def _credit(invoice) -> None:
    wizard = (
        invoice.env["account.move.reversal"]
        .with_context(active_model="account.move", active_ids=invoice.ids)
        .create({"journal_id": invoice.journal_id.id, "date": INVOICE_DATE})
    )
    wizard.refund_moves()
    wizard.new_move_ids.action_post()


def go_on(env) -> None:
    """Finish every run from its present state, then invoice the next month; show the result."""
    env = env(user=env.ref("base.user_admin"))
    runs = env["invoice.run"].search([("state", "!=", "cancelled")], order="id")
    for run in runs:
        _finish(run)
    for scenario in env["billing.scenario"].search([("name", "in", list(STEPS))], order="id"):
        following = env["invoice.run"].create(
            {"scenario_id": scenario.id, "invoice_date": INVOICE_DATE.replace(month=2)}
        )
        _finish(following)
    show(_tell(env))


def _finish(run) -> None:
    """Press the button that suits the run's state until nothing is left to do."""
    following = {
        "draft": "submit",
        "on_hold": "submit",
        "submitted": "generate_amounts",
        "amounts": "approve",
        "approved": "generate_invoices",
    }
    for _step in following:
        run.invalidate_recordset()
        if run.state in following and (run.state != "amounts" or run.document_ids):
            _press(run, following[run.state])
    run.env.cr.commit()


def _tell(env) -> dict:
    """States of runs, and each invoice with its lines, by names that do not depend on numbers."""
    env.invalidate_all()
    moves = env["account.move"].search([("move_type", "in", ("out_invoice", "out_refund"))])
    return {
        "runs": sorted(
            [run.scenario_id.name, str(run.invoice_date), run.state]
            for run in env["invoice.run"].search([])
        ),
        "invoices": sorted(
            [
                move.partner_id.name,
                str(move.invoice_date),
                move.move_type,
                move.state,
                move.amount_total,
                sorted(move.invoice_line_ids.mapped("price_subtotal")),
            ]
            for move in moves
        ),
    }


def get_access(env) -> dict:
    """What each role may do with each model of ours, and how many records it sees."""
    models = [name for name in env.registry if name.startswith(("billing.", "invoice.run"))]
    return {
        f"{role} {name}": _get_rights(env(user=_get_user(env, role))[name])
        for role in ROLES
        for name in sorted(models)
        if env[name]._auto and not env[name]._transient and not env[name]._abstract
    }


def _get_user(env, role: str):
    return env["res.users"].search([("login", "=", role)])


def _get_rights(model) -> list:
    operations = ("read", "write", "create", "unlink")
    allowed = [operation for operation in operations if model.has_access(operation)]
    return [*allowed, model.search_count([]) if "read" in allowed else 0]


def show(value) -> None:
    """Hand a result over to whoever started this script."""
    print("RESULT " + json.dumps(value, default=str))
