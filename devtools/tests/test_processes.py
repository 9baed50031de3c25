"""Killed workers and several workers, as real processes on a database of their own.

Odoo's test cases keep one transaction, in which none of this can go wrong.
"""

import itertools
import signal

from .workers import (
    AMOUNTS,
    BOTH_AMOUNTS,
    CONTRACTS,
    COUNT,
    INVOICES,
    REVERSE,
    START,
    TO_INVOICE,
    WORK,
    WORKER,
    ask,
    assert_all_invoiced,
    count,
    start,
)


def test_killed_while_making_amounts_and_invoices(space, database):
    for die, script in (("amounts 3", AMOUNTS), ("invoices 3", INVOICES)):
        victim = start(space, database, script + START, DIE=die)
        output, _errors = victim.communicate(timeout=120)
        assert victim.returncode == -signal.SIGKILL, output
        # counted, then finished by the next worker
        halfway, result = ask(space, database, COUNT, WORK, COUNT)
        what = die.split()[0]
        done = halfway["documents"] if what == "amounts" else halfway["invoices"]
        assert 0 < done < CONTRACTS, "some chunks are kept, the one that died is gone"
    assert_all_invoiced(result)


# The scheduled action as Odoo calls it, with less time than the work needs. Chunks are of five.
CALLS = (
    AMOUNTS
    + """
from odoo.addons.base.models import ir_cron
ir_cron.MIN_TIME_PER_JOB = 0.5
job = type(env['invoice.run.job.amounts'])
work = job._work
def slow(self, run, chunk):
    time.sleep(0.4)
    return work(self, run, chunk)
job._work = slow
env.cr.commit()
cron = env.ref('invoice_run.invoice_run_cron')
done = []
run = env['invoice.run'].search([], order='id', limit=1)
while run.job != 'none' and len(done) < 20:
    cron.method_direct_trigger()
    env.cr.commit()
    env.invalidate_all()
    done.append(len(run.document_ids))
print(json.dumps(done))
"""
)


def test_a_call_of_the_scheduled_action_ends_in_time(space, database):
    """Odoo ends a worker whose call takes too long, and in the end switches the action off."""
    [done] = ask(space, database, CALLS)
    assert done[-1] == CONTRACTS
    assert len(done) > 2, "each call made a part of it"
    steps = [after - before for before, after in itertools.pairwise([0, *done])]
    assert max(steps) <= 15, steps


COUNT_CREDITS = """
import json
env.cr.rollback()
run = env['invoice.run'].search([], order='id', limit=1)
credits = run.document_ids.filtered(lambda document: document.state == 'credit').move_id
print(json.dumps({
    'job': run.job, 'credits': credits.mapped('state'), 'of': len(credits.reversed_entry_id),
    'notes': env['account.move'].search_count([('move_type', '=', 'out_refund')]),
    'claims': env['invoice.run.line'].search_count([('is_claimed', '=', True)]),
}))
"""


def test_killed_while_reversing(space, database):
    space.script(database, TO_INVOICE + START, problem="There are no invoices")
    victim = start(space, database, REVERSE + START, DIE="reverse 3")
    output, _errors = victim.communicate(timeout=120)
    assert victim.returncode == -signal.SIGKILL, output
    halfway, result = ask(space, database, COUNT_CREDITS, WORK, COUNT_CREDITS)
    assert halfway["job"] == "reverse"
    assert 0 < halfway["notes"] == halfway["of"] == CONTRACTS - halfway["claims"] < CONTRACTS
    assert result == {
        "job": "none",
        "credits": ["posted"] * CONTRACTS,
        "of": CONTRACTS,
        "notes": CONTRACTS,
        "claims": 0,
    }


def test_two_workers_on_one_run(space, database):
    space.script(database, TO_INVOICE, problem="Nothing was queued")
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
    result = count(space, database, WORK)
    assert result["claims"] == result["documents"] == CONTRACTS


BOTH_GENERATE = """
import os, pathlib, time
from odoo.service.model import retrying
meeting = pathlib.Path(os.environ['MEETING'])
schedule = env['invoice.run.schedule'].search([('cycle', '=', 'monthly')])
def press():
    schedule.run_ids.mapped('number')  # both have looked before one of them writes
    (meeting / str(os.getpid())).touch()
    deadline = time.monotonic() + 120
    while len(list(meeting.iterdir())) < 2:
        assert time.monotonic() < deadline, 'nobody came'
        time.sleep(0.01)
    schedule.action_generate_runs()
    time.sleep(1)
retrying(press, env)
env.cr.commit()
"""


def test_two_users_generate_the_runs_of_a_schedule(space, database, tmp_path):
    make = """
env['invoice.run.schedule'].create({'name': 'Rent', 'date_from': '2024-01-01', 'run_count': 12,
    'scenario_id': env['billing.scenario'].search([], limit=1).id})
env.cr.commit()
"""
    space.script(database, make, problem="The schedule was not made")
    workers = [start(space, database, BOTH_GENERATE, MEETING=tmp_path) for _number in range(2)]
    for worker in workers:
        output, _errors = worker.communicate(timeout=180)
        assert worker.returncode == 0, output
        assert "Traceback" not in output, output
    numbers = """
import json
schedule = env['invoice.run.schedule'].search([('cycle', '=', 'monthly')])
print(json.dumps(sorted(schedule.run_ids.mapped('number'))))
"""
    [found] = ask(space, database, numbers)
    assert found == list(range(12)), "each run once"
