"""Demo data in every state that a screen shows; the ids of what the screens open."""

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
    (waiting | others).action_submit()
    (waiting | others).action_generate_amounts()
    (waiting | others)._process_queue()
    invoiced = env["invoice.run"].search([("state", "=", "invoiced")], order="id", limit=1)
    contract = _get_periodic_contract(env)
    _make_portal_user(env, contract.partner_id)
    _make_newcomer(env)
    env.cr.commit()
    return {
        "waiting": waiting.id,
        "invoiced": invoiced.id,
        "schedule": waiting.schedule_id.id,
        "scenario": waiting.scenario_id.id,
        "contract": contract.id,
        "portal_contract": contract.id,
        "customer": contract.partner_id.id,
        "move": invoiced.invoice_ids[:1].id,
    }


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


def _get_periodic_contract(env):
    """A contract that was invoiced and will be again, with as many prices as there are."""
    domain = [("next_invoicing_date", "!=", False), ("run_line_ids.move_line_ids", "!=", False)]
    contracts = env["billing.contract"].search([*domain, ("title", "!=", False)], order="id")
    return contracts.sorted(lambda contract: len(contract.line_ids), reverse=True)[:1]


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
