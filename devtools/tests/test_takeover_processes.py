"""OCA's cron and somebody who takes a contract over come to it at the same time.

Two real processes, in both orders. A cron that began before the take-over was committed still sees
the contract as one to be invoiced: the database refuses what it writes; repeated, it finds nothing
to invoice. Where the cron has created its invoice and not committed yet, the take-over is refused.
"""

import json

from devtools import databases

from .workers import ask, finish, start

SOURCE = "billing.takeover.contract"
MAKE = """
from odoo.fields import Command
product = env['product.product'].create({'name': 'Rent', 'type': 'service'})
vals = {'recurring_rule_type': 'monthly', 'recurring_interval': 1,
        'recurring_invoicing_type': 'pre-paid', 'date_start': '2024-01-01'}
line = {**vals, 'product_id': product.id, 'name': 'Rent', 'specific_price': 100, 'quantity': 1}
contract = env['contract.contract'].create({
    **vals, 'name': 'Old', 'partner_id': env['res.partner'].create({'name': 'Customer'}).id,
    'contract_line_ids': [Command.create(line), Command.create({**line, 'name': 'Care'})]})
contract.contract_line_ids._compute_recurring_next_date()
env.cr.commit()
"""
# Both look at the contract first; then `FIRST` does all but the commit, and the other one comes.
BOTH = """
import os, pathlib, random, time
from odoo.fields import Date
from odoo.service.model import retrying
random.uniform = lambda low, high: 0.05  # Odoo waits longer than a test wants to
meeting = pathlib.Path(os.environ["MEETING"])
who, first = os.environ["WHO"], os.environ["FIRST"]
contract = env['contract.contract'].with_context(active_test=False).search([])
tries = []
def wait(name):
    deadline = time.monotonic() + 120
    while not (meeting / name).exists():
        assert time.monotonic() < deadline, 'nobody came'
        time.sleep(0.01)
def is_somebody_waiting():
    env.cr.execute('SELECT 1 FROM pg_stat_activity '
                   'WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))')
    return bool(env.cr.fetchone())
def act(work):
    tries.append(contract.active)
    if len(tries) == 1:
        contract.contract_line_ids.mapped('name')
        (meeting / f'{who}-looked').touch()
        wait('mover-looked')
        wait('cron-looked')
        if who != first:
            wait('done')
    work()
    env.flush_all()
    if len(tries) == 1 and who == first:
        (meeting / 'done').touch()
        deadline = time.monotonic() + 60
        while not is_somebody_waiting():
            assert time.monotonic() < deadline, 'the other one did not have to wait'
            time.sleep(0.01)
"""
CRON = (
    BOTH
    + """
day = Date.to_date('2024-01-15')
retrying(lambda: act(lambda: env['contract.contract'].cron_recurring_create_invoice(day)), env)
print('TRIES', len(tries))
"""
)
MOVER = (
    BOTH
    + f"""
def take_over():
    (result,) = env['billing.takeover'].take_over('{SOURCE}', contract.ids)
    assert not result['error'], result['error']
retrying(lambda: act(take_over), env)
print('TRIES', len(tries))
"""
)
# The cron has invoiced, and commits only after the take-over was tried.
CRON_FIRST = (
    BOTH
    + """
env['contract.contract'].cron_recurring_create_invoice(Date.to_date('2024-01-15'))
env.flush_all()
(meeting / 'done').touch()
wait('tried')
env.cr.commit()
(meeting / 'committed').touch()
"""
)
MOVER_SECOND = (
    BOTH
    + f"""
import json
Takeover = env['billing.takeover']
contract.contract_line_ids.mapped('name')
(meeting / 'mover-looked').touch()
wait('done')
results = Takeover.take_over('{SOURCE}', contract.ids)
env.cr.commit()
found = {{'taken': Takeover.search_count([]), 'active': contract.active}}
(meeting / 'tried').touch()
wait('committed')
env.cr.rollback()
env.invalidate_all()
results += Takeover.take_over('{SOURCE}', contract.ids)
env.cr.commit()
print(json.dumps({{**found, 'errors': [result['error'] for result in results]}}))
"""
)
# The old module once more, then a run of ours: whoever is late finds nothing.
RUN = """
import json
from odoo.fields import Date
env['contract.contract'].cron_recurring_create_invoice(Date.to_date('2024-02-15'))
scenario = env['billing.scenario'].create({'name': 'All', 'send_action': 'none'})
run = env['invoice.run'].create({'scenario_id': scenario.id, 'invoice_date': '2024-02-15'})
run.action_generate_amounts()
run._process_queue()
old = env['account.move.line'].search([('contract_line_id', '!=', False)])
print(json.dumps({
    'old': sorted(f'{line.move_id.invoice_date:%m} {line.contract_line_id.name}' for line in old),
    'ours': sorted(f'{line.period_from:%m} {line.name.splitlines()[0]}' for line in run.line_ids),
    'active': env['contract.contract'].with_context(active_test=False).search([]).active,
}))
"""


def test_a_contract_that_is_taken_over_is_not_invoiced_by_a_late_cron(space, tmp_path):
    with databases.peers_clone(space, "scratch") as database:
        space.script(database, MAKE, problem="The contract was not made")
        common = {"MEETING": str(tmp_path), "FIRST": "mover"}
        workers = [
            start(space, database, script, WHO=who, **common)
            for who, script in (("cron", CRON), ("mover", MOVER))
        ]
        tries = [int(output.split("TRIES")[1]) for output in finish(*workers)]
        (found,) = ask(space, database, RUN)
    assert sorted(tries) == [1, 2], "the one who came second was repeated"
    assert not found["active"]
    assert found["old"] == []
    expected = [f"{month} {name}" for month in ("01", "02") for name in ("Care", "Rent")]
    assert found["ours"] == expected, json.dumps(found)


def test_a_contract_that_is_invoiced_just_now_is_not_taken_over(space, tmp_path):
    with databases.peers_clone(space, "scratch") as database:
        space.script(database, MAKE, problem="The contract was not made")
        workers = [
            start(space, database, script, WHO=who, FIRST="cron", MEETING=str(tmp_path))
            for who, script in (("cron", CRON_FIRST), ("mover", MOVER_SECOND))
        ]
        _cron, output = finish(*workers)
        (found,) = ask(space, database, RUN)
    tried = json.loads(output.splitlines()[-1])
    refused, again = tried["errors"]
    assert "is being changed or invoiced just now" in refused
    assert (tried["taken"], tried["active"]) == (0, True), "nothing was written"
    assert again == ""
    assert not found["active"]
    # each month once: January by the cron, whose invoice the take-over has read
    assert found["old"] == ["01 Care", "01 Rent"], json.dumps(found)
    assert found["ours"] == ["02 Care", "02 Rent"], json.dumps(found)
