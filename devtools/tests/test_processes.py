"""Killed workers and several workers, as real processes on a database of their own.

Odoo's test cases keep one transaction, in which none of this can go wrong.
"""

import json
import signal
import subprocess
import time

import pytest

from devtools import databases, workspace

CONTRACTS = 30
MAKE = f"""
partners = env['res.partner'].create([{{'name': f'Customer {{n:02}}'}} for n in range({CONTRACTS})])
product = env['product.product'].create({{'name': 'Rent', 'type': 'service', 'list_price': 100}})
contracts = env['billing.contract'].create([
    {{'partner_id': partner.id, 'date_start': '2024-01-01',
      'line_ids': [(0, 0, {{'product_id': product.id, 'price_unit': 100}})]}}
    for partner in partners])
contracts.action_activate()
scenario = env['billing.scenario'].create({{'name': 'All'}})
for _number in range(2):
    env['invoice.run'].create({{'scenario_id': scenario.id, 'invoice_date': '2024-01-15'}})
env.cr.commit()
"""
# Small chunks, so that a worker can die in the middle of something.
WORKER = """
import os, signal, time
from odoo.addons.invoice_run.models import invoice_run_queue as queue
queue.PAYERS_PER_CHUNK = queue.INVOICES_PER_CHUNK = 5
Run, Move = type(env['invoice.run']), type(env['account.move'])
calls = 0
def die_after(model, name, number):
    original = getattr(model, name)
    def dying(self, *args, **kwargs):
        global calls
        calls += 1
        result = original(self, *args, **kwargs)
        if calls == number:
            env.flush_all()
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(model, name, dying)
if 'DIE' in os.environ:
    what, number = os.environ['DIE'].split()
    model, name = {'amounts': (Run, '_create_amounts'), 'invoices': (Move, '_post')}[what]
    die_after(model, name, int(number))
def work():
    deadline = time.monotonic() + 120
    while env['invoice.run'].search_count([('job', '!=', 'none')]):
        assert time.monotonic() < deadline, 'the work does not end'
        env['invoice.run']._cron_process_runs()
        env.cr.rollback()
        time.sleep(0.02)
"""
AMOUNTS = WORKER + "\nenv['invoice.run'].search([], order='id', limit=1).action_generate_amounts()"
BOTH_AMOUNTS = WORKER + "\nenv['invoice.run'].search([]).action_generate_amounts()"
INVOICES = (
    WORKER
    + """
run = env['invoice.run'].search([], order='id', limit=1)
run.action_approve()
run.action_generate_invoices()
"""
)
START = "\nenv.cr.commit()\nwork()\n"
COUNT = """
import json
run = env['invoice.run'].search([], order='id', limit=1)
moves = run.invoice_ids.sorted('sequence_number')
lines = env['invoice.run.line'].search([('is_claimed', '=', True)])
print(json.dumps({
    'state': run.state, 'jobs': env['invoice.run'].search([]).mapped('job'),
    'documents': len(env['invoice.run.document'].search([('state', '!=', 'released')])),
    'claims': len(lines), 'contracts': len(lines.contract_id),
    'invoices': len(moves), 'posted': len(moves.filtered(lambda move: move.state == 'posted')),
    'numbers': moves.mapped('sequence_number'),
    'partners': len(moves.partner_id), 'done': run.progress_done,
    'exceptions': env['invoice.run.exception'].search([]).mapped('code'),
}))
"""


@pytest.fixture(scope="module")
def space():
    return workspace.prepare()


@pytest.fixture
def database(space):
    with databases.temporary_clone(space, "scratch") as name:
        space.script(name, MAKE, problem="The contracts were not made")
        yield name


def start(space, database, script, **variables):
    """Start a worker; it ends by itself or by its own SIGKILL."""
    worker = subprocess.Popen(
        space.command("shell", "-d", database, "--no-http", "--log-level=error"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**space.env, **variables},
    )
    worker.stdin.write(script)
    worker.stdin.close()
    worker.stdin = None
    return worker


def count(space, database):
    return json.loads(space.script(database, COUNT, problem="Nothing was counted"))


def assert_all_invoiced(result):
    assert result["state"] == "invoiced"
    assert set(result["jobs"]) == {"none"}
    assert result["invoices"] == result["posted"] == result["partners"] == CONTRACTS
    assert result["numbers"] == list(range(1, CONTRACTS + 1)), "no gap, no number twice"
    assert result["claims"] == result["contracts"] == result["done"] == CONTRACTS


def test_killed_while_making_amounts_and_invoices(space, database):
    for die, script in (("amounts 3", AMOUNTS), ("invoices 3", INVOICES)):
        victim = start(space, database, script + START, DIE=die)
        output, _errors = victim.communicate(timeout=120)
        assert victim.returncode == -signal.SIGKILL, output
        halfway = count(space, database)
        what = die.split()[0]
        done = halfway["documents"] if what == "amounts" else halfway["invoices"]
        assert 0 < done < CONTRACTS, "some chunks are kept, the one that died is gone"
        space.script(database, WORKER + START, problem="The next worker did not finish")
    assert_all_invoiced(count(space, database))


def test_two_workers_on_one_run(space, database):
    space.script(database, AMOUNTS + START, problem="The amounts were not made")
    space.script(database, INVOICES + "\nenv.cr.commit()", problem="Nothing was queued")
    workers = [start(space, database, WORKER + START) for _number in range(2)]
    for worker in workers:
        output, _errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, output
    assert_all_invoiced(count(space, database))


def test_two_runs_over_the_same_contracts_at_once(space, database):
    space.script(database, BOTH_AMOUNTS + "\nenv.cr.commit()", problem="Nothing was queued")
    workers = [start(space, database, WORKER + START) for _number in range(2)]
    for worker in workers:
        output, _errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, output
    result = count(space, database)
    assert result["claims"] == result["contracts"] == result["documents"] == CONTRACTS
    assert set(result["jobs"]) == {"none"}
    assert set(result["exceptions"]) <= {"held"}, "the loser explains, it does not fail"


def test_two_users_press_the_same_button(space, database):
    """The second one waits for the first, then changes nothing or is told to try again."""
    workers = [start(space, database, AMOUNTS + START) for _number in range(2)]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert any(worker.returncode == 0 for worker in workers), outputs
    space.script(database, WORKER + START, problem="The work was not finished")
    result = count(space, database)
    assert result["claims"] == result["documents"] == CONTRACTS


BOTH_GENERATE = """
import os, time
from odoo.service.model import retrying
schedule = env['invoice.run.schedule'].search([('cycle', '=', 'monthly')])
def press():
    schedule.run_ids.mapped('number')  # both have looked before one of them writes
    time.sleep(max(0, float(os.environ['AT']) - time.time()))
    schedule.action_generate_runs()
    time.sleep(1)
retrying(press, env)
env.cr.commit()
"""


def test_two_users_generate_the_runs_of_a_schedule(space, database):
    make = """
env['invoice.run.schedule'].create({'name': 'Rent', 'date_from': '2024-01-01', 'run_count': 12,
    'scenario_id': env['billing.scenario'].search([], limit=1).id})
env.cr.commit()
"""
    space.script(database, make, problem="The schedule was not made")
    moment = str(time.time() + 30)
    workers = [start(space, database, BOTH_GENERATE, AT=moment) for _number in range(2)]
    for worker in workers:
        output, _errors = worker.communicate(timeout=180)
        assert worker.returncode == 0, output
        assert "Traceback" not in output, output
    numbers = """
import json
schedule = env['invoice.run.schedule'].search([('cycle', '=', 'monthly')])
print(json.dumps(sorted(schedule.run_ids.mapped('number'))))
"""
    found = json.loads(space.script(database, numbers, problem="Nothing was counted"))
    assert found == list(range(12)), "each run once"
