"""People and workers on one run at once, as real processes on a database of their own.

The second one waits, finds the work done, or gets a message that says so, never a traceback.
"""

import json

from .workers import (
    AMOUNTS,
    CONTRACTS,
    PERSON,
    START,
    TO_INVOICE,
    WORK,
    WORKER,
    ask,
    assert_all_invoiced,
    count,
    finish,
    start,
)

BUSY = "is being processed at the moment"
# Two people press each button at once; one of them also does the work that it queued.
BUTTONS = (
    PERSON
    + """
told = {}
def together(name, *args):
    meet(name + str(len(told)))
    told[name + str(len(told))] = press(run, name, *args)
    meet('done' + str(len(told)))
    if os.environ['WHO'] == 'first':
        work()
    meet('worked' + str(len(told)))
together('action_generate_amounts')
together('action_delete_amounts', 'a reason')
together('action_generate_amounts')
together('action_approve')
together('action_generate_invoices')
print('TOLD ' + json.dumps(told))
"""
)
# A second contract of each customer: some are invoiced, others of the same customer changed.
SECOND = """
for contract in env['billing.contract'].search([]):
    contract.copy({'date_start': contract.date_start}).action_activate()
"""
EDITOR = (
    PERSON
    + """
told = []
contracts = env['billing.contract'].search([], order='id', limit=30)
edits = {
    0: lambda contract: (contract.line_ids, 'write', {'price_unit': 250.0}),
    1: lambda contract: (contract, 'write', {'billing_hold': True}),
    2: lambda contract: (contract, 'write', {'date_end': '2024-01-20'}),
    3: lambda contract: (contract, 'write', {'state': 'closed', 'date_end': '2030-12-31'}),
    4: lambda contract: (contract.partner_id, 'write', {'billing_hold': True}),
}
meet('start')
# last ones first: the worker comes from the other end
for number, contract in reversed(list(enumerate(contracts))):
    told.append(press(*edits[number % len(edits)](contract)))
print('TOLD ' + json.dumps(told))
"""
)
SLOW_WORKER = (
    PERSON
    + """
Document = type(env['invoice.run.document'])
original = Document._process_invoices
def slow(self):
    original(self)
    time.sleep(0.2)
Document._process_invoices = slow
meet('start')
work()
"""
)
# Press a button again and again until it can be done.
IMPATIENT = (
    PERSON
    + """
told = set()
meet('start', 3)
while message := press(run, *json.loads(os.environ['BUTTON'])):
    told.add(message)
    time.sleep(0.01)
print('TOLD ' + json.dumps(sorted(told)))
"""
)
LOCKS = """
import threading, time
from odoo import SUPERUSER_ID, api
from odoo.addons.invoice_run.advisory_locks import MAILS
from odoo.tools import SQL
run = env['invoice.run'].search([], order='id', limit=1)
run.action_generate_amounts()
env.cr.commit()
def see(cr, uid=SUPERUSER_ID):
    return api.Environment(cr, uid, {})['invoice.run'].browse(run.id)
def send(cr):
    return see(cr).env['invoice.run.job.send']._sending(see(cr))
def take(cr, *ids):
    documents = see(cr).env['invoice.run.document'].browse(ids)
    return see(cr).env['invoice.run.job.send']._lock_documents(see(cr), documents).ids
def is_last(cr):
    return see(cr).env['invoice.run.job.send']._is_last(see(cr))
def give_back_all(cr):
    see(cr).env['invoice.run.job.send']._give_back_all()
def save():
    with env.registry.cursor() as cr:
        see(cr, env.ref('base.user_admin').id).write({'name': 'mine'})
def stop():
    with env.registry.cursor() as cr:
        see(cr, env.ref('base.user_admin').id).action_stop_sending()
def is_waiting(cr):
    cr.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    return cr.fetchone()[0]
def let_wait(person, cr, reason):
    # the thread of a person who waits for workers by now
    thread = threading.Thread(target=person)
    thread.start()
    deadline = time.monotonic() + 60
    while not is_waiting(cr):
        assert time.monotonic() < deadline and thread.is_alive(), reason
    return thread
def interrupt(job, person, one, other, third):
    # two workers share a job; a person gets a turn before either begins a further chunk
    assert see(one)._lock_job(job) and see(other)._lock_job(job), 'they share it'
    other.commit()
    thread = let_wait(person, third, f'{job}: a person while a worker is at it')
    assert not see(other)._lock_job(job), 'no further chunk before whoever waits'
    other.commit()
    one.commit()
    thread.join(60)
    third.commit()
    assert not thread.is_alive()
with env.registry.cursor() as one, env.registry.cursor() as other, env.registry.cursor() as third:
    interrupt('amounts', save, one, other, third)
    assert see(third).name == 'mine'
    assert see(other)._lock_job('amounts'), 'the work goes on'
    other.commit()
    # "Stop" gets its turn among those that send
    see(third)._write_engine({'job': 'send'})
    third.commit()
    interrupt('send', stop, one, other, third)
    assert see(third).job == 'none'
    # several send, each document is one worker's, whatever is committed meanwhile
    with send(one) as first:
        assert first and take(one, 1, 2) == [1, 2]
        one.commit()
        with send(other) as second:
            assert second and take(other, 2, 3) == [3]
            give_back_all(one)
            assert not is_last(one), 'the other one has mails in hand'
            assert take(other, 2) == [2], 'given back'
        assert is_last(one)
        with send(other) as second:
            assert second, 'it goes on as one of several'
    try:
        with send(other):
            assert take(other, 1) == [1]
            other.execute('SELECT 1 / 0')
    except Exception as error:
        assert 'division' in str(error), error
    assert take(one, 1) == [1], 'given up after an error'
    give_back_all(one)
    assert is_last(one)
    # who counts the mails of the hour keeps others off until they are noted, commits or not
    see(third).company_id.invoice_run_mails_per_hour = 5
    third.commit()
    one.rollback()
    other.rollback()
    company = see(one).company_id
    company.invalidate_recordset()
    assert company._take_mails(2)[0] == 2
    one.rollback()
    count = SQL('pg_try_advisory_lock(%s)', MAILS + company.id)
    assert not see(other).env['invoice.run.job.send']._try_lock(count)
    company._end_taking_mails()
    assert see(other).env['invoice.run.job.send']._try_lock(count)
    see(other).company_id._end_taking_mails()
"""
# Two price lines share bands, then two contracts of a customer: whoever began before the other
# one's end has to look again.
SHARED = """
from odoo import SUPERUSER_ID, Command, api
from odoo.addons.invoice_run.models.base.errors import RETRY_ERRORS
from odoo.addons.invoice_run.models.contract.billing_contract_pool import ALONE
template = env['billing.contract'].search([], order='id', limit=1)
product = template.line_ids.product_id
def share(scope, *codes_of_contracts):
    tariff = env['billing.tariff'].create({
        'name': 'Shared', 'tier_scope': scope, 'company_id': template.company_id.id,
        'tier_ids': [Command.create({'price_unit': 1.0})]})
    contracts = env['billing.contract'].union(*(
        template.copy({'date_start': '2024-01-01', 'line_ids': [
            Command.create({'product_id': product.id, 'is_metered': True, 'meter_code': code,
                            'price_interval': 'period', 'tariff_id': tariff.id})
            for code in codes]})
        for codes in codes_of_contracts))
    contracts.action_activate()
    return contracts
run = env['invoice.run'].create({
    'scenario_id': env['billing.scenario'].search([('source', '=', 'contract')], limit=1).id,
    'invoice_date': '2024-01-31'})
of_contract, of_customer = share('contract', 'AB'), share('customer', 'A', 'B')
env.cr.commit()
def see(cr):
    return api.Environment(cr, SUPERUSER_ID, {})['invoice.run'].browse(run.id)
def create(cr, contracts, code):
    # as a run that invoices this line only
    lines = contracts.with_env(see(cr).env).line_ids
    line = lines.filtered(lambda line: line.meter_code == code)
    contract = line.contract_id
    document = see(cr).env['invoice.run.document'].create({
        'run_id': run.id, 'payer_id': contract.commercial_partner_id.id,
        'partner_id': contract.partner_id.id, 'company_id': contract.company_id.id,
        'currency_id': contract.currency_id.id, 'invoice_date': '2024-01-31',
        'journal_id': contract._get_run_document_records()['journal_id'].id})
    terms = contract._get_billing_terms()
    pair = line, terms.grid.period(0)
    ratings = contract.with_context(invoice_run_pools=ALONE)._rate_pools(terms, [pair], see(cr))
    vals = line._prepare_metered_line_vals(
        terms, pair[1], see(cr).env['account.fiscal.position'], ratings.get(pair))
    see(cr)._create_claimed_lines([{**vals, 'document_id': document.id}])
for contracts in (of_contract, of_customer):
    with env.registry.cursor() as one, env.registry.cursor() as other:
        one.execute('SELECT 1')
        other.execute('SELECT 1')
        create(one, contracts, 'A')
        one.commit()
        try:
            create(other, contracts, 'B')
        except RETRY_ERRORS:
            other.rollback()
        else:
            raise AssertionError('it did not see what the other one created')
        create(other, contracts, 'B')
        other.commit()
"""
# Somebody changes a price while a run creates amounts by it: whoever comes second looks again, so
# that the amounts have the new price, or are marked as changed.
EDITED = """
import json
from odoo import SUPERUSER_ID, Command, api
from odoo.addons.invoice_run.models.base.errors import RETRY_ERRORS
template = env['billing.contract'].search([], order='id', limit=1)
product = template.line_ids.product_id
scenario = env['billing.scenario'].search([('source', '=', 'contract')], limit=1)
def see(cr, record):
    return record.with_env(api.Environment(cr, SUPERUSER_ID, {}))
def make(is_late):
    # usage by a tariff, rent by a price; late: January is invoiced, and more was reported
    tariff = env['billing.tariff'].create({
        'name': 'Bands', 'company_id': template.company_id.id,
        'tier_ids': [Command.create({'price_unit': 1.0})]})
    contract = template.copy({
        'partner_id': env['res.partner'].create({'name': 'Customer'}).id,
        'date_start': '2024-01-01', 'billing_timing': 'arrears', 'line_ids': [
            Command.create({'product_id': product.id, 'price_unit': 100.0}),
            Command.create({'product_id': product.id, 'is_metered': True, 'meter_code': 'A',
                            'price_interval': 'period', 'tariff_id': tariff.id})]})
    contract.action_activate()
    def use():
        env['billing.usage'].create({
            'date': '2024-01-05', 'contract_id': contract.id, 'meter_code': 'A',
            'partner_id': contract.partner_id.id, 'product_id': product.id, 'quantity': 5})
    def new_run():
        return env['invoice.run'].create({
            'scenario_id': scenario.id, 'invoice_date': '2024-01-31',
            'partner_ids': [Command.set(contract.partner_id.ids)]})
    use()
    if is_late:
        run = new_run()
        run._generate_amounts(contract.partner_id)
        use()
    run = new_run()
    env.cr.commit()
    return contract, run
def generate(cr, contract, run):
    see(cr, run)._generate_amounts(see(cr, contract.partner_id))
    see(cr, run).env.flush_all()
def edit_tariff(lines):
    lines.tariff_id.tier_ids.price_unit = 2.0
def edit_included(lines):
    lines.tariff_id.included_quantity = 3.0
def edit_price(lines):
    lines[0].price_unit = 200.0
def edit_planned(lines):
    lines[0].price_ids = [Command.create({'date_from': '2024-01-16', 'price_unit': 200.0})]
def edit_contract(lines):
    lines.contract_id.proration = 'thirty'
def edit_minimum(lines):
    lines[1].minimum_amount = 50.0
def attempt(cr, act, *args):
    try:
        act(cr, *args)
        cr.commit()
    except RETRY_ERRORS:
        cr.rollback()
        return True
    return False
def edit(cr, change, contract):
    change(see(cr, contract).line_ids)
    see(cr, contract).env.flush_all()
missed = []
for name, is_late in (('tariff', False), ('tariff', True), ('included', False), ('price', False),
                      ('planned', False), ('contract', False), ('minimum', True)):
    change = globals()['edit_' + name]
    for is_edit_first in (True, False):
        contract, run = make(is_late)
        with env.registry.cursor() as worker, env.registry.cursor() as editor:
            (worker if is_edit_first else editor).execute('SELECT 1')
            steps = [
                lambda: attempt(editor, edit, change, contract),
                lambda: attempt(worker, generate, contract, run),
            ]
            for step in steps if is_edit_first else reversed(steps):
                refused = step()
        if not refused:
            missed.append([name, is_late, is_edit_first])
        env.invalidate_all()
print(json.dumps(missed))
"""
# Prices and taxes change while a worker creates amounts by them. Neither transaction sees the other
# one, and neither is refused: it is noticed before there is an invoice.
MEANWHILE = """
import json
from odoo import SUPERUSER_ID, Command, api
from odoo.exceptions import UserError
env.ref('base.group_user')._apply_group(env.ref('product.group_product_pricelist'))
template = env['billing.contract'].search([], order='id', limit=1)
product = template.line_ids.product_id
scenario = env['billing.scenario'].search([('source', '=', 'contract')], limit=1)
tax = env['account.tax'].create({'name': 'Tax', 'amount': 10})
def see(cr, record):
    return record.with_env(api.Environment(cr, SUPERUSER_ID, {}))
def make():
    mine = product.copy({'taxes_id': [Command.set(tax.ids)]})
    lists = env['product.pricelist'].create([
        {'name': 'Fixed', 'item_ids': [Command.create({
            'applied_on': '1_product', 'product_tmpl_id': mine.product_tmpl_id.id,
            'compute_price': 'fixed', 'fixed_price': 50})]},
        {'name': 'Off the sales price', 'item_ids': [Command.create({
            'compute_price': 'percentage', 'percent_price': 20})]}])
    partners = env['res.partner'].create([{'name': 'Customer'}, {'name': 'Other'}, {'name': 'Own'}])
    partners[2].property_product_pricelist = lists[0]
    contracts = env['billing.contract'].create([{
        'partner_id': partner.id, 'date_start': '2024-01-01', 'pricelist_id': pricelist.id,
        'line_ids': [Command.create({'product_id': mine.id, 'is_price_looked_up': True})],
        } for partner, pricelist in zip(partners, (*lists, lists.browse()))])
    contracts.action_activate()
    run = env['invoice.run'].create({
        'scenario_id': scenario.id, 'invoice_date': '2024-01-31',
        'partner_ids': [Command.set(partners.ids)]})
    run.action_generate_amounts()
    return run, contracts, mine
def edit_rule(contracts, mine):
    contracts[0].pricelist_id.item_ids.fixed_price = 60
def add_rule(contracts, mine):
    contracts[0].pricelist_id.item_ids = [Command.create({
        'applied_on': '0_product_variant', 'product_id': mine.id,
        'product_tmpl_id': mine.product_tmpl_id.id, 'compute_price': 'fixed', 'fixed_price': 70})]
def delete_rule(contracts, mine):
    contracts[0].pricelist_id.item_ids.unlink()
def edit_sales_price(contracts, mine):
    mine.product_tmpl_id.list_price = 321
def edit_customer(contracts, mine):
    contracts[2].partner_id.property_product_pricelist = contracts[1].pricelist_id
def edit_tax(contracts, mine):
    mine.taxes_id.amount += 1
def edit_nothing(contracts, mine):
    mine.product_tmpl_id.name = 'Another name'
def change_while_created(edit, is_first):
    # the worker's transaction has begun; who changes the price commits before it, or after it
    run, contracts, mine = make()
    env.cr.commit()
    with env.registry.cursor() as cr:
        cr.execute('SELECT 1')
        with env.registry.cursor() as editor:
            editor.execute('SELECT 1')
            if is_first:
                edit(*(see(editor, record) for record in (contracts, mine)))
                editor.commit()
            see(cr, run)._generate_amounts(see(cr, contracts.partner_id))
            see(cr, run).env.flush_all()
            cr.commit()
            if not is_first:
                edit(*(see(editor, record) for record in (contracts, mine)))
                editor.commit()
    env.cr.rollback()
    env.invalidate_all()
    def read(test):
        documents = [run.document_ids.filtered(lambda document: document.partner_id == partner)
                     for partner in contracts.partner_id]
        return [test(document) for document in documents]
    assert not any(read(lambda document: document.is_stale)), 'there was something to mark'
    run._finish_amounts()
    told = read(lambda document: document.is_stale)
    # as if the change were committed only now
    run.document_ids.is_stale = run.line_ids.is_stale = False
    env.cr.commit()
    try:
        run.action_approve()
    except UserError:
        env.cr.rollback()
        failed = 'approval refused'
        assert read(lambda document: document.is_stale) == told, 'nobody sees what is to be done'
    else:
        run.action_generate_invoices()
        run._process_queue()
        failed = read(lambda document: not document.move_id)
    env.cr.commit()
    return told, failed
edits = (edit_rule, add_rule, delete_rule, edit_sales_price, edit_customer, edit_tax, edit_nothing)
print(json.dumps({edit.__name__: [change_while_created(edit, is_first) for is_first in (0, 1)]
                  for edit in edits}))
"""
# Two customers are merged whose contracts share bands from then on, while a run creates amounts:
# whoever comes second has to look again, on whichever side.
MERGED = (
    SHARED.split("for contracts in (of_contract")[0]
    + """
def merge(cr, customers):
    wizard = see(cr).env['base.partner.merge.automatic.wizard']
    kept, gone = customers.with_env(wizard.env)
    wizard._merge([kept.id, gone.id], kept)
def assert_shared(contracts):
    # the amount that did not count the other one is calculated again, in the same bands
    env.cr.rollback()
    env.invalidate_all()
    amounts = contracts.run_line_ids.sorted('id')
    assert len(set(amounts.mapped('pool_key'))) == 1, amounts.mapped('pool_key')
    assert amounts[0].is_stale, 'it did not count the other one'
def refused(cr, act, *args):
    try:
        act(cr, *args)
    except RETRY_ERRORS:
        cr.rollback()
        return True
    return False
def share_of_two():
    contracts = share('customer', 'A', 'B')
    customers = env['res.partner'].create([{'name': 'Kept'}, {'name': 'Gone'}])
    for contract, customer in zip(contracts, customers):
        contract.partner_id = customer
    env['billing.contract'].browse(contracts.ids).line_ids.tariff_id.tier_ids.flat_fee = 10.0
    for contract in contracts:
        env['billing.usage'].create({
            'date': '2024-01-05', 'contract_id': contract.id, 'meter_code':
            contract.line_ids.meter_code, 'partner_id': contract.partner_id.id,
            'product_id': product.id, 'quantity': 5})
    env.cr.commit()
    return contracts, customers
# merged first: the amount of the customer who is gone finds that of the other one
contracts, customers = share_of_two()
with env.registry.cursor() as one, env.registry.cursor() as other:
    one.execute('SELECT 1')
    create(one, contracts, 'A')
    one.commit()
    other.execute('SELECT 1')
    merge(one, customers)
    one.commit()
    assert refused(other, create, contracts, 'B'), 'it rated by the customer who is gone'
    create(other, contracts, 'B')
    other.commit()
assert_shared(contracts)
# merged while the amount of the customer who stays is created, that of the other one is there
contracts, customers = share_of_two()
with env.registry.cursor() as one, env.registry.cursor() as other:
    create(one, contracts, 'B')
    one.commit()
    one.execute('SELECT 1')
    other.execute('SELECT 1')
    create(one, contracts, 'A')
    one.commit()
    assert refused(other, merge, customers), 'the merge did not see what was created meanwhile'
    merge(other, customers)
    other.commit()
assert_shared(contracts)
"""
)
RESULT = """
import json
env.cr.rollback()
documents = env['invoice.run.document'].search([('state', '!=', 'released')])
print(json.dumps({
    'invoiced': [
        [doc.move_id.amount_untaxed, doc.amount_untaxed, doc.line_ids.price_unit,
         doc.line_ids.contract_line_id.price_unit]
        for doc in documents if doc.move_id],
    'contracts': len(documents.filtered('move_id').contract_ids),
    'errors': documents.filtered(lambda doc: not doc.move_id).mapped('error'),
    'claimed_twice': len(documents.line_ids.filtered('is_claimed'))
        - len(documents.line_ids.filtered('is_claimed').contract_line_id),
    'on_hold': env['billing.contract'].search_count(
        ['|', ('billing_hold', '=', True), ('partner_id.billing_hold', '=', True)]),
}))
"""


# An accountant confirms invoices of her own in the same journal, one by one.
ACCOUNTANT = (
    PERSON
    + """
partner = env['res.partner'].create({'name': 'Somebody'})
line = (0, 0, {'name': 'By hand', 'price_unit': 50.0, 'tax_ids': []})
moves = env['account.move'].create([
    {'move_type': 'out_invoice', 'partner_id': partner.id, 'invoice_date': '2024-01-15',
     'invoice_line_ids': [line]} for _number in range(20)])
env.cr.commit()
meet('start', 3)
for move in moves:
    press(move, 'action_post')
print('TOLD ' + json.dumps(moves.mapped('state')))
"""
)
NUMBERS = """
import json
moves = env['account.move'].search([('move_type', '=', 'out_invoice')], order='sequence_number')
print(json.dumps({
    'numbers': moves.mapped('sequence_number'), 'gaps': moves.mapped('made_sequence_gap'),
    'references': [move.payment_reference == move.name for move in moves],
    'runs': len(moves.invoice_run_document_id), 'states': sorted(set(moves.mapped('state'))),
}))
"""


def get_told(output):
    line = next(line for line in output.splitlines() if line.startswith("TOLD "))
    return json.loads(line[5:])


def test_two_people_press_every_button_at_once(space, database, tmp_path):
    people = [start(space, database, BUTTONS, MEETING=tmp_path, WHO=who) for who in ("first", "2")]
    first, second = map(get_told, finish(*people))
    for button, message in first.items():
        both = message, second[button]
        assert "" in both, f"{button}: one of the two succeeds"
        assert all(not text or BUSY in text for text in both), both
    assert_all_invoiced(count(space, database))


def test_contracts_change_while_they_are_invoiced(space, database, tmp_path):
    space.script(database, SECOND + TO_INVOICE, problem="Nothing was queued")
    editor = start(space, database, EDITOR, MEETING=tmp_path)
    worker = start(space, database, SLOW_WORKER, MEETING=tmp_path)
    told = get_told(finish(editor, worker)[0])
    assert not any(told), "the person who edits is not disturbed by the worker"
    [result] = ask(space, database, RESULT)
    assert result["invoiced"] and result["errors"], "some before the change, some after it"
    for invoiced, approved, price, _now in result["invoiced"]:
        assert (invoiced, price) == (approved, 100.0), "what was approved, nothing else"
    for error in result["errors"]:
        assert any(
            text in error
            for text in (
                "Recalculate Changed",
                "is on hold",
                "ends before",
                "blocked for invoicing",
            )
        ), error
    renew = (
        WORKER
        + """
run = env['invoice.run'].search([], order='id', limit=1)
run.action_renew_stale()
work()
run.action_approve()
run.action_generate_invoices()
"""
    )
    [result] = ask(space, database, renew, START, RESULT)
    assert result["claimed_twice"] == 0
    assert result["contracts"] + result["on_hold"] >= 2 * CONTRACTS, "nothing is lost"
    for invoiced, approved, _price, _now in result["invoiced"]:
        assert invoiced == approved


def test_an_accountant_confirms_while_two_workers_do(space, database, tmp_path):
    space.script(database, TO_INVOICE, problem="Nothing was queued")
    worker = PERSON + "\nmeet('start', 3)\nwork()\n"
    people = [start(space, database, worker, MEETING=tmp_path) for _number in range(2)]
    people.append(start(space, database, ACCOUNTANT, MEETING=tmp_path))
    assert get_told(finish(*people)[-1]) == ["posted"] * 20
    [result] = ask(space, database, NUMBERS)
    assert result["numbers"] == list(range(1, CONTRACTS + 21)), "no gap, no number twice"
    assert not any(result["gaps"])
    assert all(result["references"])
    assert (result["runs"], result["states"]) == (CONTRACTS, ["posted"])


def test_who_waits_for_workers_gets_a_turn(space, database):
    space.script(database, LOCKS, problem="A lock is not what it should be")


def test_who_shares_bands_sees_what_others_created(space, database):
    space.script(database, SHARED, problem="It was not told to look again")


def test_who_changes_a_price_sees_what_was_created_by_it(space, database):
    [missed] = ask(space, database, EDITED)
    assert not missed, "neither was told to look again"


def test_what_was_created_meanwhile_is_not_invoiced_by_the_old_price(space, database):
    """A fixed price, a part of the sales price, and the fixed one as the customer's own list."""
    [found] = ask(space, database, MEANWHILE)
    fixed, relative, own = [True, False, True], [False, True, False], [False, False, True]
    every, none = [True] * 3, [False] * 3
    marked = {
        "edit_rule": fixed,
        "add_rule": fixed,
        "delete_rule": fixed,
        "edit_sales_price": relative,
        "edit_customer": own,
    }
    assert found.pop("edit_tax") == [[none, every]] * 2, "the invoice would have another total"
    assert found.pop("edit_nothing") == [[none, none]] * 2
    assert found == {name: [[which, "approval refused"]] * 2 for name, which in marked.items()}


def test_who_merges_customers_sees_what_was_created(space, database):
    space.script(database, MERGED, problem="It was not told to look again")


def press_while_two_work(space, database, folder, *button):
    """Two workers, and somebody who presses ``button`` until it can be done; what is left then."""
    worker = PERSON + "\nmeet('start', 3)\nwork()\n"
    people = [start(space, database, worker, MEETING=folder) for _number in range(2)]
    button = json.dumps(button)
    people.append(start(space, database, IMPATIENT, MEETING=folder, BUTTON=button))
    told = get_told(finish(*people)[-1])
    assert all(BUSY in text for text in told), told
    return count(space, database, WORK)


def test_amounts_deleted_while_two_workers_make_them(space, database, tmp_path):
    space.script(database, AMOUNTS + "\nenv.cr.commit()", problem="Nothing was queued")
    result = press_while_two_work(space, database, tmp_path, "action_delete_amounts", "a reason")
    assert (result["state"], result["documents"], result["claims"]) == ("submitted", 0, 0)


def test_run_cancelled_while_two_workers_make_its_drafts(space, database, tmp_path):
    drafts = "\nenv['billing.scenario'].search([]).invoice_state = 'draft'\n"
    space.script(database, drafts + TO_INVOICE, problem="Nothing was queued")
    result = press_while_two_work(space, database, tmp_path, "action_cancel")
    assert (result["state"], result["claims"], result["invoices"]) == ("cancelled", 0, 0)
    assert result["documents"] == 0, "all are released"
