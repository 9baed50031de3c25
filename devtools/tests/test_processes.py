"""Killed workers and several workers, as real processes on a database of their own.

Odoo's test cases keep one transaction, in which none of this can go wrong.
"""

import json
import signal
import time

from .workers import (
    AMOUNTS,
    BOTH_AMOUNTS,
    CONTRACTS,
    INVOICES,
    START,
    WORKER,
    assert_all_invoiced,
    count,
    start,
)


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
