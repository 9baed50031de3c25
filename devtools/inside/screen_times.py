"""Seconds that the server needs for the screens of a run."""

import statistics
import time
from datetime import date
from itertools import takewhile

from lxml import etree

from odoo.fields import Command
from odoo.tools.safe_eval import safe_eval

#: A screen is opened so often.
TRIES = 3
#: What is opened on a run: (name, model, view, domain of what belongs to the run).
LISTS = (
    ("documents", "invoice.run.document", "run_id"),
    ("amounts", "invoice.run.line", "run_id"),
    ("invoices", "account.move", "invoice_run_id"),
)


def run_screens(env, count: int) -> dict:
    """Seconds that the server takes to open, page, filter and group a run, as its user does."""
    user = env["res.users"].create(
        {
            "name": "Clerk",
            "login": "clerk",
            "group_ids": [
                Command.link(env.ref("invoice_run.invoice_run_group_user").id),
                Command.link(env.ref("account.group_account_invoice").id),
            ],
        }
    )
    # PostgreSQL knows how large the tables are, as it does after a minute of its own accord
    env.cr.execute("ANALYZE")
    env.cr.commit()
    env = env(user=user)
    run = env["invoice.run"].search([], limit=1)
    calls = dict(_get_form_calls(env, run))
    calls.update(_get_review_calls(env, run))
    for name, model, field in LISTS:
        calls.update(_get_list_calls(env, name, model, [(field, "=", run.id)]))
    return {name: round(_time(env, call), 3) for name, call in calls.items()}


def run_waiting(env, count: int) -> dict:
    """Seconds that the server takes to show a run that waits for approval to its reviewer."""
    env["res.users"].search([("login", "=", "clerk")]).group_ids += env.ref(
        "invoice_run.invoice_run_group_reviewer"
    )
    env.cr.commit()
    env = env(user=env["res.users"].search([("login", "=", "clerk")]))
    run = env["invoice.run"].search([], limit=1)
    calls = dict(_get_form_calls(env, run)) | dict(_get_review_calls(env, run))
    return {f"waiting, {name}": round(_time(env, call), 3) for name, call in calls.items()}


def _time(env, call) -> float:
    """Median of a few tries, each with nothing read before."""
    found = []
    for _try in range(TRIES):
        env.invalidate_all()
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def _get_form_calls(env, run):
    spec = _get_spec(env, run._name, _get_arch(env, run._name, "form"))
    yield "form: open", lambda: run.web_read(spec)
    spec = _get_spec(env, run._name, _get_arch(env, run._name, "list"))
    yield "runs: open", lambda: env[run._name].web_search_read([], spec, limit=80)


def _get_review_calls(env, run):
    yield "review: open", run.get_review
    yield "review: page 100", lambda: run.get_review(offset=3960, only_rows=True)
    yield "review: changed", lambda: run.get_review(filters=["changed"])
    yield "dashboard: today", env[run._name].get_today
    yield "dashboard: open", env[run._name].get_dashboard


def _get_list_calls(env, name, model, domain):
    """Yield what a user does in a list: open, page, sort, count, filter, group."""
    Model = env[model]
    spec = _get_spec(env, model, _get_arch(env, model, "list"))
    limits = {"limit": 80, "count_limit": 10001}
    yield f"{name}: open", lambda: Model.web_search_read(domain, spec, **limits)
    yield f"{name}: page 100", lambda: Model.web_search_read(domain, spec, offset=7920, **limits)
    yield (
        f"{name}: by amount",
        lambda: Model.web_search_read(domain, spec, order=_get_amount(Model) + " desc", **limits),
    )
    for node in _get_arch(env, model, "search").iter("filter"):
        if node.get("domain") and "uid" not in node.get("domain"):
            try:
                condition = safe_eval(node.get("domain"), {"context_today": date.today})
            except (ValueError, NameError):
                continue
            yield (
                f"{name}: filter {node.get('name')}",
                lambda found=condition: Model.web_search_read(domain + found, spec, **limits),
            )
        group = safe_eval(node.get("context") or "{}").get("group_by")
        if group:
            by = group if ":" in group or _get_type(Model, group) != "date" else f"{group}:month"
            yield (
                f"{name}: group {node.get('name')}",
                lambda by=by: Model.web_read_group(domain, [by], ["__count"], limit=80),
            )


def _get_type(Model, name) -> str:
    return Model._fields[name].type


def _get_amount(Model) -> str:
    return next(name for name in ("amount_total", "amount") if name in Model._fields)


def _get_arch(env, model, kind):
    return etree.fromstring(env[model].get_view(view_type=kind)["arch"])


def _get_spec(env, model, arch) -> dict:
    """What the web client asks for, by the fields of a view."""
    spec = {}
    for node in arch.iter("field"):
        field = env[model]._fields.get(node.get("name"))
        # a list in a form asks for its own fields
        inside = takewhile(lambda parent: parent is not arch, node.iterancestors())
        if not field or any(parent.tag == "field" for parent in inside):
            continue
        if field.type in ("one2many", "many2many"):
            views = node.xpath("./list|./kanban")
            inner = _get_spec(env, field.comodel_name, views[0]) if views else {"display_name": {}}
            spec[field.name] = {"fields": inner, "limit": 40}
        elif field.type == "many2one":
            spec[field.name] = {"fields": {"display_name": {}}}
        else:
            spec[field.name] = {}
    return spec
