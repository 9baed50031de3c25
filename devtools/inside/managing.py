"""`./dev bench manager`: time and queries of the Invoice Manager, from the card to the mails."""

import json
import os
import statistics
import time
from contextlib import contextmanager

from odoo.fields import Command

from .pipeline import connect, get_env

ALL = {"all": True, "ids": []}
DAY = "2024-01-31"
#: Above this many rows the scheduled action does the work, and calls only look on.
LOOKS = 10_000


class Bench:
    def __init__(self, env, count: int, send_action: str):
        self.env = env
        self.count = count
        self.rows: dict[str, dict] = {}
        env.company.write({"email": "billing@example.com", "street": "1 Main Street"})
        env["billing.scenario"].search([]).active = False
        self.scenario = env["billing.scenario"].create(
            {"name": "Orders", "source": "sale", "send_action": send_action}
        )
        self.products = self._make_products()

    def _make_products(self):
        domain = [("type_tax_use", "=", "sale"), ("company_id", "=", self.env.company.id)]
        tax = self.env["account.tax"].search(domain, limit=1)
        values = {"type": "consu", "invoice_policy": "order", "taxes_id": [Command.set(tax.ids)]}
        return self.env["product.product"].create(
            [{"name": name, **values} for name in ("Goods", "Packing", "Transport")]
        )

    def make_orders(self):
        """Confirm an order of three lines for each of as many customers."""
        partners = self.env["res.partner"].create(
            [
                {"name": f"Customer {number}", "email": f"customer{number}@example.com"}
                for number in range(self.count)
            ]
        )
        lines = [
            Command.create({"product_id": product.id, "price_unit": 100.0})
            for product in self.products
        ]
        orders = self.env["sale.order"].create(
            [
                {"partner_id": partner.id, "date_order": f"{DAY} 08:00:00", "order_line": lines}
                for partner in partners
            ]
        )
        orders.action_confirm()
        orders.date_order = f"{DAY} 08:00:00"
        self.env.cr.commit()
        self.env.invalidate_all()
        return orders

    @contextmanager
    def stage(self, name: str):
        """Measure a stage; inside, the browser's calls are counted by :meth:`call`."""
        started, before = time.perf_counter(), self.env.cr.sql_log_count
        row = self.rows[name] = {"calls": 0}
        self.stage_row = row
        yield
        row["seconds"] = time.perf_counter() - started
        row["queries"] = self.env.cr.sql_log_count - before

    def call(self, method, *args):
        """Call as the web server does: a transaction and an empty cache for each."""
        self.stage_row["calls"] += 1
        result = method(*args)
        self.env.cr.commit()
        self.env.invalidate_all()
        return result

    def measure(self) -> dict:
        """Fetch and process one set of orders; return the rows of the stages."""
        orders = self.make_orders()
        manager = self.env["invoice.manager"].create({})
        self.rows = {}
        with self.stage("cards"):
            self.call(manager.get_cards)
            self.call(manager.action_choose, self.scenario.id)
        with self.stage("fetch"):
            self._follow(manager, self.call(manager.action_fetch, {"invoice_date": DAY}))
        with self.stage("process"):
            self._follow(manager, self.call(manager.action_process, ALL))
        self._check(orders, manager.run_id)
        return self.rows

    def _follow(self, manager, state) -> None:
        """Ask for progress until the work is done, as the browser does."""
        for _number in range(LOOKS):
            if state["run"]["job"] == "none":
                return
            if not manager.run_id.is_watched:
                manager.run_id._process_queue()
            state = self.call(manager.action_work)
            self.call(manager.get_rows)
        raise AssertionError("the work does not end")

    def _check(self, orders, run) -> None:
        assert set(orders.mapped("invoice_status")) == {"invoiced"}, "orders are left"
        assert len(run.document_ids.move_id) == self.count, "invoices are missing"
        sent = "sent" if self.scenario.send_action == "email" else "none"
        assert set(run.document_ids.mapped("send_state")) == {sent}, "not all were sent"


def main(env):
    """Measure and leave the result for ./dev."""
    connect(env)
    count, rounds = int(os.environ["BENCH_COUNT"]), int(os.environ["BENCH_ROUNDS"])
    send_action = os.environ["BENCH_SEND"]
    bench = Bench(get_env(env), count, send_action)
    # once before it counts: caches, assets, compiled templates
    bench.measure()
    taken = [bench.measure() for _round in range(rounds)]
    result = {
        "count": count,
        "rounds": rounds,
        "mails": count * (rounds + 1) if send_action == "email" else 0,
        "stages": {name: _get_medians([row[name] for row in taken]) for name in taken[0]},
    }
    with open(f"{os.environ['BENCH_FOLDER']}/result.json", "w") as file:
        json.dump(result, file)


def _get_medians(rows: list[dict]) -> dict:
    return {
        "seconds": round(statistics.median(row["seconds"] for row in rows), 2),
        "queries": round(statistics.median(row["queries"] for row in rows)),
        "calls": round(statistics.median(row["calls"] for row in rows)),
    }
