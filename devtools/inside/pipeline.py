"""A run from its amounts to its emails, stage by stage, each with its time.

The steps are the buttons of the form; what they queue is carried out at once.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import contextmanager


def get_env(env):
    """The administrator's environment: the buttons check the rights of a user."""
    return env(user=env.ref("base.user_admin"))


def connect(env) -> None:
    """Point Odoo at the server that runs and at the local mail sink."""
    parameters = env["ir.config_parameter"].sudo()
    for name in ("web.base.url", "report.url"):
        parameters.set_param(name, os.environ["DEMO_URL"])
    servers = env["ir.mail_server"].sudo().with_context(active_test=False)
    sink = servers.search([("name", "=", "Local mail sink")], limit=1)
    values = {
        "name": "Local mail sink",
        "smtp_host": "127.0.0.1",
        "smtp_port": int(os.environ["DEMO_SMTP_PORT"]),
        "smtp_encryption": "none",
        "smtp_authentication": "login",
        "sequence": 1,
    }
    if sink:
        sink.write(values)
    else:
        servers.create(values)
    env.cr.commit()


class Pipeline:
    """Carries some runs through their stages and counts what that added."""

    def __init__(self, env):
        self.env = env
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str):
        """Measure a stage, with the commit that a request would end with."""
        started = time.monotonic()
        yield
        self.env.cr.commit()
        self.seconds[name] = round(time.monotonic() - started, 2)

    def carry_out(self, runs) -> dict:
        """Carry out all stages of these runs; return what was added."""
        before = runs.document_ids.filtered("move_id")
        self._step("submit", runs.filtered(lambda run: run.state in ("draft", "on_hold")), "submit")
        self._step("amounts", self._in_state(runs, "submitted"), "generate_amounts", queued=True)
        self._step("approve", self._in_state(runs, "amounts").filtered("document_ids"), "approve")
        self._step("invoices", self._in_state(runs, "approved"), "generate_invoices", queued=True)
        self._step(
            "send", self._in_state(runs, "invoiced").filtered("invoice_ids"), "send", queued=True
        )
        return self.count(runs, before)

    def _in_state(self, runs, state: str):
        runs.invalidate_recordset()
        return runs.filtered(lambda run: run.state == state)

    def _step(self, name: str, runs, action: str, queued: bool = False) -> None:
        """Press a button for each run, and do what it queued."""
        with self.stage(name):
            for run in runs:
                getattr(run, f"action_{action}")()
            if queued and runs:
                runs._process_queue()

    def count(self, runs, before) -> dict:
        """Count what these runs hold that was not there before, for the table."""
        runs.invalidate_recordset()
        documents = runs.document_ids - before
        invoices = documents.move_id
        failures = runs.document_ids.filtered(_has_failed)
        return {
            "run": ", ".join(runs.mapped("reference")),
            "documents": len(documents),
            "invoices": len(invoices),
            "amount_untaxed": _round(sum(invoices.mapped("amount_untaxed_signed"))),
            "amount_total": _round(sum(invoices.mapped("amount_total_signed"))),
            "pdfs": len(invoices.filtered("invoice_pdf_report_id")),
            "failures": len(failures),
            "problems": [_describe(document) for document in failures],
            "seconds": self.seconds,
        }


def _has_failed(document) -> bool:
    return document.state == "failed" or document.send_state in ("failed", "uncertain")


def _describe(document) -> str:
    reason = document.error or document.send_error or ""
    return f"{document.partner_id.display_name}: {reason}"


def _round(amount: float) -> float:
    return round(float(amount), 2)


def main(env, work: Callable) -> None:
    """Do the work as the administrator and leave its result for ./dev."""
    connect(env)
    result = work(get_env(env))
    env.cr.commit()
    with open(os.environ["DEMO_RESULT"], "w") as file:
        json.dump(result, file)
