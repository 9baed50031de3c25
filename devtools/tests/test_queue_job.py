"""Invoice runs by the job runner of OCA's queue_job: its own server with two web workers.

The server has no cron thread: everything that is done was started by the runner.
"""

import json
import socket
import subprocess
from collections import Counter
from contextlib import contextmanager

import pytest

from devtools import databases, venv
from devtools.paths import ROOT
from devtools.shell import DevError, end

from . import workers

CONTRACTS = 60
MAKE = workers.MAKE.replace(f"range({workers.CONTRACTS})", f"range({CONTRACTS})")
MAKE = MAKE.replace("range(2)", "range(1)")
# Loaded by the server beside queue_job: chunks in which a worker can die, and no long waiting.
HURRY = """
import os, pathlib, signal, time
from datetime import timedelta
from odoo.addons.invoice_run.models.job import invoice_run_progress as progress
from odoo.addons.invoice_run.models.job import invoice_run_job_amounts, invoice_run_job_invoices
from odoo.addons.invoice_run.models.job import invoice_run_queue as queue
from odoo.addons.queue_job import jobrunner
invoice_run_job_amounts.InvoiceRunJobAmounts._chunk_size = 10
invoice_run_job_invoices.InvoiceRunJobInvoices._chunk_size = 10
queue.LOOK_AGAIN = timedelta(seconds=1)
jobrunner.START_DELAY = 0
jobrunner.runner.SELECT_TIMEOUT = 1
notes = pathlib.Path(os.environ['NOTES'])
original = progress.InvoiceRun._notify_progress
def note(self, **values):
    original(self, **values)
    with (notes / f'{self.id}-{self.job}').open('a') as chunks:
        chunks.write(f'{os.getpid()}\\n')
    if (notes / 'die').exists() and len((notes / chunks.name).read_text().split()) == 3:
        (notes / 'die').unlink()
        self.env.flush_all()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
progress.InvoiceRun._notify_progress = note
"""
# Odoo starts its process for the bus by this file's name; nobody listens to the bus here.
LAUNCHER = """
import signal, sys
if 'gevent' in sys.argv:
    signal.pause()
from odoo.cli import main
main()
"""
PEOPLE = """
import json, os, pathlib, time
notes = pathlib.Path(os.environ['NOTES'])
OPEN = [('state', 'in', ('pending', 'enqueued', 'started', 'failed'))]
def wait(what):
    deadline = time.monotonic() + 60
    while not what():
        found = env['queue.job'].search(OPEN).read(['name', 'state', 'eta', 'retry', 'exc_info'])
        assert time.monotonic() < deadline, found
        env.cr.rollback()
        time.sleep(0.1)
def press(run, name):
    getattr(run, name)()
    env.cr.commit()
    wait(lambda: run.job == 'none')
def carry_out(run, dies=False):
    press(run, 'action_generate_amounts')
    run.action_approve()
    if dies:
        (notes / 'die').touch()
    press(run, 'action_generate_invoices')
wait(env['invoice.run']._is_runner_on)
january = env['invoice.run'].search([])
carry_out(january)
# one job at a time, whose process dies in its third chunk of invoices
env['ir.config_parameter'].set_param('invoice_run_queue_job.workers', '1')
values = {'scenario_id': january.scenario_id.id, 'invoice_date': '2024-02-15'}
carry_out(env['invoice.run'].create(values), dies=True)
wait(lambda: not env['queue.job'].search_count(OPEN))
runs = env['invoice.run'].search([], order='id')
moves = env['account.move'].search([])
print(json.dumps({
    'states': runs.mapped('state'), 'ids': runs.ids,
    'invoices': [len(run.invoice_ids.filtered(lambda m: m.state == 'posted')) for run in runs],
    'partners': [len(run.invoice_ids.partner_id) for run in runs], 'all': len(moves),
    'numbers': sorted(moves.mapped('sequence_number')),
    'claims': env['invoice.run.line'].search_count([('is_claimed', '=', True)]),
    'retries': env['queue.job'].search([]).mapped('retry'),
}))
"""


@pytest.fixture
def database(space):
    with databases.temporary_clone(space, "scratch") as name:
        space.script(name, MAKE, problem="The contracts were not made")
        yield name


@contextmanager
def running(space, database, folder):
    """Odoo's server with the job runner and two web workers; yields the folder of its notes."""
    for name, files in {
        "hurry": {"__manifest__.py": "{'name': 'Hurry'}", "__init__.py": HURRY},
        "bin": {"odoo": LAUNCHER},
        "notes": {},
    }.items():
        (folder / name).mkdir()
        for file, text in files.items():
            (folder / name / file).write_text(text)
    options = space.command("server", "-d", database)[3:]
    addons = [*space.odoo.addons_paths, ROOT, folder]
    options += [
        f"--addons-path={','.join(map(str, addons))}",
        "--load=base,rpc,web,queue_job,hurry",
    ]
    options += ["--workers=2", "--max-cron-threads=0", "--log-level=warn", *_choose_ports()]
    channels = {"ODOO_QUEUE_JOB_CHANNELS": "root:4,root.invoice_run:2"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [venv.PYTHON, folder / "bin" / "odoo", *options],
            env={**space.env, **channels, "NOTES": str(folder / "notes")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield folder / "notes"
    finally:
        end(server)


def _choose_ports():
    with socket.socket() as http, socket.socket() as bus:
        for probe in (http, bus):
            probe.bind(("127.0.0.1", 0))
        return [
            f"--http-port={http.getsockname()[1]}",
            f"--gevent-port={bus.getsockname()[1]}",
        ]


def ask(space, database, folder):
    """Press the buttons while the server is at work; return what there is afterwards."""
    try:
        output = space.script(database, PEOPLE, problem="It was not done", NOTES=folder / "notes")
    except DevError as error:
        raise AssertionError(f"{error}\n{(folder / 'log').read_text()[-3000:]}") from error
    return json.loads(output.splitlines()[-1])


def test_two_processes_share_a_run_and_a_killed_one_is_replaced(space, database, tmp_path):
    with running(space, database, tmp_path) as notes:
        result = ask(space, database, tmp_path)
    assert result["states"] == ["invoiced"] * 2
    assert result["invoices"] == result["partners"] == [CONTRACTS] * 2
    assert result["claims"] == result["all"] == 2 * CONTRACTS
    assert result["numbers"] == list(range(1, 2 * CONTRACTS + 1)), "no gap, none twice"
    january, february = result["ids"]
    for job in ("amounts", "invoices"):
        chunks = Counter((notes / f"{january}-{job}").read_text().split())
        assert len(chunks) == 2, f"both processes made {job}: {chunks}"
    assert not (notes / "die").exists(), "one died"
    chunks = (notes / f"{february}-invoices").read_text().split()
    assert chunks[2] != chunks[3], "another process went on"
    assert sum(retry > 1 for retry in result["retries"]) == 1, "the same job, once more"
