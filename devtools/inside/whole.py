"""`./dev bench whole`: runs by one and by two workers, and Odoo's own way, in turn.

Workers are forks of one process that is warmed up, as Odoo's own workers are.
"""

import os
import resource
import time
import traceback
from pathlib import Path

from odoo import api, sql_db
from odoo.fields import Command, Date
from odoo.tools.date_utils import add

from . import sending

#: Contracts that are invoiced and sent before anything counts: caches, templates, stylesheets.
WARM_UP = 5
FIRST_MONTH = "2024-01-01"
TICKS = os.sysconf("SC_CLK_TCK")


class Workers:
    """Forks that do something at the same time, with what they took."""

    def __init__(self, env):
        self.registry = env.registry
        self.context = dict(env.context)
        self.uid = env.uid
        self.env = env

    def connect(self):
        """Take a connection of this process' own."""
        self.env = api.Environment(self.registry.cursor(), self.uid, self.context)
        return self.env

    def do(self, functions):
        """Call each of ``functions`` with an environment, each in a fork; wait for all.

        :return: {"seconds": …, "cpu": seconds of all processes}
        """
        # no connection is shared with a fork
        self.env.cr.commit()
        self.env.cr.close()
        sql_db.close_all()
        server = get_cpu(os.environ["BENCH_SERVER_PID"])
        started = time.monotonic()
        pids = [self._fork(function) for function in functions]
        ends = [os.wait4(pid, 0) for pid in pids]
        seconds = time.monotonic() - started
        assert not any(status for _pid, status, _usage in ends), "a worker failed, see above"
        # with what they started and waited for
        cpu = sum(usage.ru_utime + usage.ru_stime for _pid, _status, usage in ends)
        cpu += sum(float(get_note(pid).read_text()) for pid in pids)
        cpu += get_cpu(os.environ["BENCH_SERVER_PID"]) - server
        self.connect()
        return {"seconds": seconds, "cpu": cpu}

    def _fork(self, function):
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            env = self.connect()
            function(env)
            env.cr.commit()
            note = get_note(os.getpid())
            note.write_text(str(get_cpu(env.cr._cnx.info.backend_pid)))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)


def get_cpu(pid):
    """Return the seconds of CPU that a process has used so far."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / TICKS


def get_note(pid):
    return Path(os.environ["BENCH_FOLDER"]) / f"worker_{pid}"


def work(is_first):
    """Return what a scheduled action does until nothing is queued any more."""

    def process(env):
        runs = env["invoice.run"].sudo()
        while runs.search_count([("job", "!=", "none")]):
            runs._cron_process_runs(is_first=is_first)
            env.cr.rollback()
            time.sleep(0.05)

    return process


class Whole:
    def __init__(self, env, count, sample):
        bench = sending.Bench(env, count)
        self.bench, self.workers = bench, Workers(env)
        self.count, self.sample = count, sample
        self.month = 0
        env.company.write({"invoice_run_auto_approve": True, "invoice_run_auto_invoices": True})
        self.scenario_id = env["billing.scenario"].create({"name": "Whole"}).id
        env["billing.contract"].search([]).write({"billing_hold": True})
        self._make_contracts(bench)
        self.mails = 0

    @property
    def env(self):
        return self.workers.env

    def _make_contracts(self, bench):
        """Contracts of three lines; some are due a month earlier, for warming up."""
        first = Date.to_date(FIRST_MONTH)
        lines = [
            Command.create({"product_id": product.id, "price_unit": 100.0})
            for product in bench.products
        ]
        contracts = bench.env["billing.contract"].create(
            [
                {
                    "partner_id": partner.id,
                    "date_start": add(first, months=-1) if number < WARM_UP else first,
                    "line_ids": lines,
                }
                for number, partner in enumerate(bench.partners)
            ]
        )
        contracts.action_activate()

    def warm_up(self):
        """Send a few in this process, so that forks begin as workers that are at work do."""
        run = self._make_run(-1)
        for step in (run.action_generate_amounts, run.action_send):
            step()
            self.env.cr.commit()
            work(True)(self.env)
        self._check(run, WARM_UP)
        self._send_by_odoo(self.env, 2)
        self.mails += 2

    def _make_run(self, month):
        """A run of all that is due in that month."""
        day = add(Date.to_date(sending.DAY), months=month)
        return self.env["invoice.run"].create(
            {"scenario_id": self.scenario_id, "invoice_date": day}
        )

    def _check(self, run, count):
        run.invalidate_recordset()
        states = run.document_ids.mapped("send_state")
        assert (len(states), set(states)) == (count, {"sent"}), f"{len(states)} {set(states)}"
        assert all(run.invoice_ids.mapped("invoice_pdf_report_id")), "PDFs are missing"
        self.mails += count

    def run(self, workers):
        """Carry out the next month's run with so many workers."""
        self._set_workers(workers)
        run_id = self._make_run(self.month).id
        self.month += 1
        took = {}
        for name, action in (("create", "generate_amounts"), ("send", "send")):
            getattr(self.env["invoice.run"].browse(run_id), f"action_{action}")()
            took[name] = self.workers.do([work(number == 0) for number in range(workers)])
        self._check(self.env["invoice.run"].browse(run_id), self.count)
        return summarize(took, self.count)

    def _set_workers(self, workers):
        """Switch on one scheduled action a worker: they share the work by their number."""
        for number in (2, 3, 4):
            cron = self.env.ref(f"invoice_run.invoice_run_cron_{number}").sudo()
            cron.active = number <= workers

    def stock(self):
        """Odoo's own way on the sample, one by one."""
        took = self.workers.do([lambda env: self._send_by_odoo(env, self.sample)])
        self.mails += self.sample
        return summarize({"all": took}, self.sample)

    def _send_by_odoo(self, env, count):
        for partner in self.bench.partners[:count].with_env(env):
            move = env["account.move"].create(self._prepare_invoice_vals(partner))
            move.action_post()
            env["account.move.send"]._generate_and_send_invoices(move, sending_methods=["email"])
            env.cr.commit()
            assert move.invoice_pdf_report_id, "the PDF is missing"

    def _prepare_invoice_vals(self, partner):
        vals = self.bench._prepare_invoice_vals(partner)
        # of the month of the run before: what Odoo compares is as many
        return {**vals, "invoice_date": add(Date.to_date(sending.DAY), months=self.month - 1)}


def summarize(took, count):
    """Return milliseconds an invoice, of each part and in all, and what an hour gives."""
    result = {}
    for name, row in took.items():
        result[f"{name}_ms"] = 1000 * row["seconds"] / count
        result[f"{name}_cpu_ms"] = 1000 * row["cpu"] / count
    seconds = sum(row["seconds"] for row in took.values()) / count
    cpu = sum(row["cpu"] for row in took.values()) / count
    result.update(ms=1000 * seconds, cpu_ms=1000 * cpu)
    result.update(per_hour=3600 / seconds, hours=100_000 * seconds / 3600)
    return {name: round(value, 2) for name, value in result.items()}


def main(env):
    count, sample = int(os.environ["BENCH_COUNT"]), int(os.environ["BENCH_SAMPLE"])
    whole = Whole(sending._connect(env), count, sample)
    whole.env.cr.commit()
    whole.warm_up()
    ways = {"two": [], "one": [], "stock": []}
    rounds = int(os.environ["BENCH_ROUNDS"])
    for _round in range(rounds):
        ways["one"].append(whole.run(1))
        ways["two"].append(whole.run(2))
        ways["stock"].append(whole.stock())
    sending._leave(
        {
            "count": count,
            "sample": sample,
            "rounds": rounds,
            "ways": ways,
            "mails": whole.mails,
            "memory_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
            "versions": sending._get_versions(whole.env),
        }
    )
    # the shell's own connection is closed
    os._exit(0)
