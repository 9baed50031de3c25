"""Workers as real processes: what they run, and what they leave in the database."""

import json
import subprocess

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
import json, os, signal, time
for job in ('amounts', 'invoices', 'reverse'):
    type(env[f'invoice.run.job.{job}'])._chunk_size = 5
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
    model, name = {
        'amounts': (Run, '_create_amounts'), 'reverse': (Move, '_post'),
        # inserted with their numbers, not committed
        'invoices': (Move, '_finish_confirmed'),
    }[what]
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
REVERSE = (
    WORKER
    + """
from odoo.addons.invoice_run.models.accounting import invoice_run_reversal
invoice_run_reversal.REVERSE_AT_ONCE = 1
env['invoice.run'].search([], order='id', limit=1).action_reverse()
"""
)
# A person at a browser: Odoo repeats what another transaction got in the way of.
PERSON = (
    WORKER
    + """
import pathlib, random
from functools import partial
from odoo.exceptions import UserError
from odoo.service.model import retrying
random.uniform = lambda low, high: 0.05  # Odoo waits longer than a test wants to
meeting = pathlib.Path(os.environ['MEETING'])
def meet(name, people=2):
    (meeting / f'{name}-{os.getpid()}').touch()
    deadline = time.monotonic() + 120
    while len(list(meeting.glob(f'{name}-*'))) < people:
        assert time.monotonic() < deadline, 'nobody came'
        time.sleep(0.01)
    env.cr.rollback()
def press(record, name, *args):
    # what the person is told, nothing when all went well; any other error ends the process
    try:
        retrying(partial(getattr(record, name), *args), env)
    except UserError as error:
        env.cr.rollback()
        return str(error)
    return ''
run = env['invoice.run'].search([], order='id', limit=1)
"""
)
WORK = WORKER + "\nwork()\n"
START = "\nenv.cr.commit()\nwork()\n"
# The amounts are made, the invoices queued.
TO_INVOICE = AMOUNTS + START + INVOICES + "\nenv.cr.commit()\n"
COUNT = """
import json
env.cr.rollback()
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


# Odoo frees all that it loaded, which takes half a second a process and is nobody's test.
END = """
import os, sys
sys.stdout.flush()
os._exit(0)
"""


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
    worker.stdin.write(script + END)
    worker.stdin.close()
    worker.stdin = None
    return worker


def ask(space, database, *script):
    """The lines of JSON that scripts print, one after the other in one process."""
    output = space.script(database, "\n".join((*script, END)), problem="A script failed")
    return [json.loads(line) for line in output.splitlines()]


def count(space, database, *script):
    """What there is after ``script``."""
    return ask(space, database, *script, COUNT)[-1]


def assert_all_invoiced(result):
    assert result["state"] == "invoiced"
    assert set(result["jobs"]) == {"none"}
    assert result["invoices"] == result["posted"] == result["partners"] == CONTRACTS
    assert result["numbers"] == list(range(1, CONTRACTS + 1)), "no gap, no number twice"
    assert result["claims"] == result["contracts"] == result["done"] == CONTRACTS


def finish(*workers):
    """Wait for workers that must end well; what each of them printed."""
    outputs = []
    for worker in workers:
        output, _errors = worker.communicate(timeout=240)
        assert worker.returncode == 0, output
        outputs.append(output)
    return outputs
