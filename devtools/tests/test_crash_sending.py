"""Workers killed while they send, with a real mail server that keeps what arrives.

No invoice reaches a customer twice. Where nobody can know whether a mail left, because the
worker died between the server's answer and its own note, that one says "delivery unconfirmed" and a
person decides.
"""

import email
import email.policy
import json
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from devtools import servers

from .workers import START, WORKER, ask, finish, start

CUSTOMERS = 10
MAKE = f"""
for name in ('web.base.url', 'report.url'):
    env['ir.config_parameter'].set_param(name, os.environ['SERVER'])
env['ir.mail_server'].create({{
    'name': 'Sink', 'smtp_host': '127.0.0.1', 'smtp_port': int(os.environ['SMTP_PORT'])}})
env.company.email = 'billing@example.com'
env['billing.contract'].search([]).action_cancel()
partners = env['res.partner'].create([
    {{'name': f'Tenant {{n:02}}', 'email': f'tenant{{n:02}}@example.com',
      'invoice_sending_method': 'email'}}
    for n in range({CUSTOMERS})])
product = env['product.product'].search([('name', '=', 'Rent')])
env['billing.contract'].create([
    {{'partner_id': partner.id, 'date_start': '2024-01-01',
      'line_ids': [(0, 0, {{'product_id': product.id, 'price_unit': 100}})]}}
    for partner in partners]).action_activate()
"""
# The run of one month, with its invoices confirmed and their sending queued.
MAKE_RUN = """
import os
scenario = env['billing.scenario'].search([('name', '=', 'All')])
run = env['invoice.run'].create({
    'scenario_id': scenario.id, 'invoice_date': os.environ['DAY'], 'name': os.environ['DAY']})
run.action_generate_amounts()
run._process_queue()
run.action_approve()
run.action_generate_invoices()
run._process_queue()
run.action_send()
env.cr.commit()
"""
SENDER = (
    WORKER
    + """
type(env['invoice.run.job.send'])._chunk_size = 4
def die(model, name, number, before):
    original, calls = getattr(type(env[model]), name), []
    def dying(self, *args, **kwargs):
        calls.append(name)
        if before and len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(self, *args, **kwargs)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(type(env[model]), name, dying)
if 'WHERE' in os.environ:
    die(*json.loads(os.environ['WHERE']))
# mails leave while the next chunk is rendered, as with a mail server that is far away
def hand_over_beside(is_wanted):
    from odoo.addons.invoice_run_turbo.mailer import Mailer
    Mailer.is_worth_it = is_wanted
if 'BESIDE' in os.environ:
    hand_over_beside(True)
"""
)
# A network that commits as account_peppol does, and twice goes wrong when it has the invoice.
NETWORK = """
from psycopg2.errors import SerializationFailure
selection = env['res.partner']._fields['invoice_sending_method']
methods, handed = [*selection.selection, ('net', 'The network')], []
selection.selection, selection._selection = methods, dict(methods)
fields_model = type(env['ir.model.fields'])
original = fields_model.get_field_selection
fields_model.get_field_selection = lambda self, model, name: (
    methods if name == 'invoice_sending_method' else original(self, model, name))
send = type(env['account.move.send'])
errors = [SerializationFailure('another transaction'), RuntimeError('the network broke off')]
def call(self, invoices_data):
    moves = [move for move, data in invoices_data.items() if 'net' in data['sending_methods']]
    handed.extend(move.partner_id.email for move in moves)
    if moves:
        self.env.cr.commit()
    if moves and errors:
        raise errors.pop(0)
send._call_web_service_after_invoice_pdf_render = call
# one of each chunk of four
nets = run.document_ids.sorted('id')[1::4]
nets.send_action = 'net'
run.action_send()
env.cr.commit()
with env.registry.cursor() as other:
    other.execute('SELECT 1 FROM account_move WHERE id = %s FOR KEY SHARE', [nets[0].move_id.id])
    free = nets._take_invoices()
env.cr.rollback()
"""
HANDED = """
print(json.dumps({'handed': handed, 'nets': nets.mapped('partner_id.email'),
                  'free': free.mapped('partner_id.email')}))
"""
# What Odoo's own queue does later must not send anything a second time either.
LATER = """
env['mail.mail'].process_email_queue()
env['invoice.run']._cron_process_runs()
env.cr.commit()
"""
READ = """
import json
def read():
    env.cr.rollback()
    run = env['invoice.run'].search([], order='id desc', limit=1)
    return {
        'job': run.job, 'invoices': run.invoice_count, 'sent': run.sent_count,
        'failed': run.failed_count, 'pending': run.pending_count, 'error': run.job_error,
        'left_behind': env['mail.mail'].search_count([('state', '=', 'sent')]),
        'uncertain': run.document_ids.filtered_domain(
            [('send_state', '=', 'uncertain')]).mapped('partner_id.email'),
    }
"""
# Somebody changes the sixth mail after the fifth was tried.
CONFLICT = """
from odoo.exceptions import UserError
model, noted = type(env['mail.mail']), []
note = model._note_hand_over
def conflict(self, *args):
    noted.append(self.id)
    if len(noted) == 6:
        raise UserError('too large')
    if len(noted) == 7:
        self.env.cr.execute('SELECT 1')  # its snapshot is from now on
        touch = 'UPDATE mail_mail SET write_date = now() WHERE id = %s'
        with self.env.registry.cursor() as other:
            other.execute(touch, [self.id])
        self.env.cr.execute(touch, [self.id], log_exceptions=False)
    return note(self, *args)
model._note_hand_over = conflict
"""
# What the mail server wants later is offered again at once.
AT_ONCE = """
from odoo.addons.invoice_run.models.delivery import invoice_run_document_send
invoice_run_document_send.TRY_AGAIN_MINUTES = (0,) * 5
"""
# The mail server refuses the fifth mail.
REFUSE = """
import os
import smtplib
session, tried = smtplib.SMTP, []
sendmail = session.sendmail
def refuse(self, sender, recipients, *args, **kwargs):
    tried.append(recipients)
    if len(tried) == 5:
        refusal = int(os.environ['CODE']), b'Not taken'
        raise smtplib.SMTPRecipientsRefused({recipients[0]: refusal})
    return sendmail(self, sender, recipients, *args, **kwargs)
session.sendmail = refuse
"""
SENT = READ + "print(json.dumps(read()))\n"
# Each mail takes its time, and that of a chunk is too short for all of it.
WATCH = """
import threading
from odoo.addons.invoice_run_turbo import mailer, sessions
mailer.CHUNK_SECONDS = 0.5
threads, opened, late, leaving, is_beside = set(), [], [], [], []
def watch(model, name, note):
    original = getattr(model, name)
    def watched(self, *args, **kwargs):
        with note(self):
            return original(self, *args, **kwargs)
    setattr(model, name, watched)
from contextlib import contextmanager
@contextmanager
def note_mail(server):
    threads.add(threading.current_thread().name.rpartition('.')[0])
    leaving.append(server)
    time.sleep(0.3)
    yield
    leaving.pop()
@contextmanager
def note_rendering(report):
    is_beside.append(bool(leaving))
    yield
    is_beside.append(bool(leaving))
@contextmanager
def note_end(documents):
    yield
    late.append(len(documents._get_mails(['outgoing'])))
@contextmanager
def note_session(kept):
    before = set(map(id, kept._open.values()))
    yield
    opened.extend(set(map(id, kept._open.values())) - before)
watch(type(env['ir.mail_server']), 'send_email', note_mail)
watch(type(env['ir.actions.report']), '_render_qweb_pdf_prepare_streams', note_rendering)
watch(type(env['invoice.run.document']), '_hand_over_mails', note_end)
watch(sessions.Sessions, 'get', note_session)
# as the scheduled action, of which Odoo counts how far it is
anew, cron, calls = [], env.ref('invoice_run.invoice_run_cron'), 0
type(env['invoice.run'])._begin_anew = lambda self: anew.append(self.env.cr.rollback())
while run.job != 'none':
    env.cr.commit()
    calls += 1
    cron.method_direct_trigger()
    env.invalidate_all()
"""
SEEN = """
print(json.dumps({'threads': sorted(threads), 'is_beside': any(is_beside), 'late': sum(late),
                  'sessions': len(opened), 'anew': len(anew), 'calls': calls}))
"""
# Several at once: they begin together.
TOGETHER = """
import pathlib
handed, taken = [], type(env['ir.mail_server']).send_email
def count(self, message, *args, **kwargs):
    result = taken(self, message, *args, **kwargs)
    handed.append(message['To'])
    return result
type(env['ir.mail_server']).send_email = count
meeting = pathlib.Path(os.environ['MEETING'])
env.cr.commit()
(meeting / str(os.getpid())).touch()
deadline = time.monotonic() + 120
while len(list(meeting.iterdir())) < 2:
    assert time.monotonic() < deadline, 'nobody came'
    time.sleep(0.01)
"""
SHARE = SENDER + TOGETHER + START + "print('HANDED', len(handed))"
# With a limit of mails per hour the work does not end.
LIMITED = (
    SENDER + TOGETHER + "for _number in range(3):\n    env['invoice.run']._cron_process_runs()\n"
)
# What an earlier run sent does not count.
FORGET = "env['invoice.run.document'].search([('run_id', '!=', run.id)]).send_date = False"
WITH_LIMIT = """
env.company.invoice_run_mails_per_hour = 6
for number in (2, 3, 4):
    env.ref(f'invoice_run.invoice_run_cron_{number}').active = True
env.cr.commit()
"""
# Workers that are forked, so that many can die: each has a connection of its own.
FORKED = """
import pathlib, threading
from odoo import SUPERUSER_ID, api, sql_db
def fork(seconds):
    pid = os.fork()
    if pid:
        return pid
    global env
    sql_db._Pool = sql_db._Pool_readonly = None
    registry = env.registry
    registry._db = sql_db.db_connect(registry.db_name)
    if seconds:
        death = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
        death.daemon = True
        death.start()
    try:
        env = api.Environment(registry.cursor(), SUPERUSER_ID, {})
        work()
        if not seconds:
            env['mail.mail'].process_email_queue()
            env['invoice.run']._cron_process_runs()
            env.cr.commit()
        os._exit(0)
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
def wait(pids):
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    return [os.waitstatus_to_exitcode(status) for status in statuses]
mails = pathlib.Path(os.environ['MAILS'])
for number, (seconds, is_beside) in enumerate(json.loads(os.environ['ROUNDS'])):
    hand_over_beside(is_beside)
    os.environ['DAY'] = f'{2024 + number // 12}-{number % 12 + 1:02}-15'
    exec(MAKE_RUN)
    before = set(mails.iterdir())
    codes = wait([fork(moment) for moment in seconds])
    codes += wait([fork(None)])
    arrived = sorted(str(path) for path in set(mails.iterdir()) - before)
    print(json.dumps({'codes': codes, 'mails': arrived, 'result': read()}), flush=True)
"""
#: Pairs of workers that die at random moments; fixed, so that a failure can be repeated. In most
#: rounds mails leave while the next documents are rendered.
ROUNDS, ROUNDS_BESIDE = 20, 15
SEED = 20260
ALL = {f"tenant{number:02}@example.com" for number in range(CUSTOMERS)}


@pytest.fixture
def sink(space, database, tmp_path):
    """The folder of the mails, of a database whose invoices can be sent."""
    port = servers.choose_port()
    with (
        servers.mail_sink(space, tmp_path / "mail") as smtp_port,
        servers.odoo_server(space, database, port, crons=0),
    ):
        space.script(
            database,
            "import os\n" + MAKE + "env.cr.commit()",
            problem="The tenants were not made",
            SERVER=f"http://127.0.0.1:{port}",
            SMTP_PORT=smtp_port,
        )
        yield tmp_path / "mail"


def get_recipients(folder):
    """How often each address got a mail; the folder is emptied."""
    paths = list(folder.glob("*.eml"))
    counter = Counter(map(get_recipient, paths))
    for path in paths:
        path.unlink()
    return counter


def get_recipient(path):
    """The address of a mail, which has an invoice."""
    content = Path(path).read_bytes()
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert any(part.get_content_type() == "application/pdf" for part in message.walk())
    return message["To"].addresses[0].addr_spec


def send_and_die(space, database, day, where):
    """Create the run of ``day``, kill the worker that sends it, and let the next one finish."""
    script = MAKE_RUN + SENDER + START
    victim = start(space, database, script, DAY=day, WHERE=json.dumps(where))
    output, _errors = victim.communicate(timeout=240)
    assert victim.returncode == -signal.SIGKILL, output
    [result] = ask(space, database, SENDER, START, LATER, SENT)
    return result


def assert_sent(result, uncertain=0):
    assert result["job"] == "none"
    assert result["invoices"] == CUSTOMERS
    assert result["sent"] == CUSTOMERS - uncertain
    assert (result["failed"], len(result["uncertain"])) == (0, uncertain)
    assert result["pending"] == 0
    assert result["left_behind"] == 0, "mails that left are deleted, as Odoo does"


def test_killed_while_sending(space, database, sink):
    # while the second chunk is rendered and queued
    where = ["account.move.send", "_generate_and_send_invoices", 2, False]
    assert_sent(send_and_die(space, database, "2024-01-15", where))
    assert get_recipients(sink) == dict.fromkeys(ALL, 1)
    # after the commit of the queue, before the first mail of the second chunk leaves
    where = ["mail.mail", "send", 2, True]
    assert_sent(send_and_die(space, database, "2024-02-15", where))
    assert get_recipients(sink) == dict.fromkeys(ALL, 1)
    # the mail server took the sixth mail, nobody could note it
    where = ["ir.mail_server", "send_email", 6, False]
    result = send_and_die(space, database, "2024-03-15", where)
    assert_sent(result, uncertain=1)
    assert get_recipients(sink) == dict.fromkeys(ALL, 1)
    # the sixth mail was about to leave: the same to us, but it did not
    where = ["ir.mail_server", "send_email", 6, True]
    result = send_and_die(space, database, "2024-04-15", where)
    assert_sent(result, uncertain=1)
    assert get_recipients(sink) == dict.fromkeys(ALL - set(result["uncertain"]), 1)
    again = "run.document_ids.filtered_domain([('send_state', '=', 'uncertain')]).action_send()"
    run = "run = env['invoice.run'].search([], order='id desc', limit=1)\n"
    [after] = ask(space, database, SENDER, run, again, START, SENT)
    assert get_recipients(sink) == dict.fromkeys(result["uncertain"], 1), "a person decided"
    assert_sent(after)


@pytest.mark.parametrize("is_beside", [False, True])
@pytest.mark.parametrize("code", [550, 450])
def test_database_fails_between_mails(space, database, sink, is_beside, code):
    """What became of the mails before is not lost with the transaction.

    The mail server refused one, for good or for now, Odoo the next one.
    """
    day = f"import os; os.environ.update(DAY='2024-01-15', CODE='{code}')"
    if is_beside:
        day += "; os.environ['BESIDE'] = 'yes'"
    script = (day, MAKE_RUN, REFUSE, SENDER, CONFLICT, AT_ONCE, START, LATER, SENT)
    [result] = ask(space, database, *script)
    failed = 2 if code == 550 else 1
    assert (result["sent"], result["failed"]) == (CUSTOMERS - failed, failed)
    assert (result["pending"], result["uncertain"]) == (0, [])
    assert not result["error"], "a conflict is no reason to stop"
    assert set(get_recipients(sink).values()) == {1}


def test_mails_leave_while_the_next_are_rendered(space, database, sink):
    """By the same sessions; what the time was too short for stays in the queue and follows."""
    day = "import os; os.environ.update(DAY='2024-01-15', BESIDE='yes')"
    result, seen = ask(space, database, day, MAKE_RUN, SENDER, WATCH, LATER, SENT, SEEN)
    assert_sent(result)
    assert get_recipients(sink) == dict.fromkeys(ALL, 1)
    assert seen["is_beside"], "a chunk was rendered while mails left"
    assert seen["threads"] == ["invoice_run.mailer"], "no mail was handed over by the worker itself"
    assert seen["late"] > 0, "some were left for the next pass"
    # a slow machine needs more than one call of the scheduled action
    assert 1 <= seen["sessions"] <= seen["calls"]
    assert not seen["anew"], "the two got in each other's way"


def test_network_breaks_off(space, database, sink):
    """What a network has taken is not sent twice, and its failure affects no mail of its chunk."""
    day = "import os; os.environ['DAY'] = '2024-01-15'"
    script = (day, MAKE_RUN, SENDER, NETWORK, START, LATER, HANDED, SENT)
    network, result = ask(space, database, *script)
    first, second, _third = nets = network["nets"]
    assert network["handed"] == nets, "each once"
    assert_sent(result, uncertain=2)
    assert set(result["uncertain"]) == {first, second}
    assert get_recipients(sink) == dict.fromkeys(ALL - set(nets), 1)
    assert network["free"] == nets[1:], "what is referenced elsewhere waits, as with Peppol"


def start_two(space, database, folder, script):
    """Two workers that begin together."""
    folder.mkdir()
    return [start(space, database, script, MEETING=str(folder)) for _number in range(2)]


def make_run(space, database, day, *more):
    ask(space, database, f"import os; os.environ['DAY'] = '{day}'", MAKE_RUN, *more)


def test_two_workers_share(space, database, sink, tmp_path):
    make_run(space, database, "2024-01-15")
    outputs = finish(*start_two(space, database, tmp_path / "first", SHARE))
    handed = [int(output.split("HANDED")[1]) for output in outputs]
    [result] = ask(space, database, SENT)
    assert_sent(result)
    assert get_recipients(sink) == dict.fromkeys(ALL, 1)
    assert sum(handed) == CUSTOMERS
    assert min(handed) > 0, "both had a part"
    # the limit of an hour counts for both together
    make_run(space, database, "2024-02-15", FORGET, WITH_LIMIT)
    finish(*start_two(space, database, tmp_path / "second", LIMITED))
    assert sum(get_recipients(sink).values()) == 6
    [result] = ask(space, database, SENT)
    assert (result["job"], result["sent"], result["pending"]) == ("send", 6, CUSTOMERS - 6)


def test_two_workers_killed(space, database, sink):
    """At any instant: nothing is sent twice or lost; each kill leaves one unconfirmed at most."""
    chance = random.Random(SEED)
    moments = [
        ([chance.uniform(0.02, 1.0) for _worker in range(2)], number < ROUNDS_BESIDE)
        for number in range(ROUNDS)
    ]
    script = f"MAKE_RUN = {MAKE_RUN!r}\n" + SENDER + READ + FORKED
    worker = start(space, database, script, ROUNDS=json.dumps(moments), MAILS=str(sink))
    [output] = finish(worker)
    rounds = [json.loads(line) for line in output.splitlines() if line.startswith('{"codes"')]
    assert len(rounds) == ROUNDS, output
    kills = [row["codes"].count(-signal.SIGKILL) for row in rounds]
    for number, row in enumerate(rounds):
        context = (number, moments[number], row)
        assert set(row["codes"]) <= {0, -signal.SIGKILL}, context
        assert row["codes"][-1] == 0, context
        uncertain = set(row["result"]["uncertain"])
        assert len(uncertain) <= kills[number], context
        assert_sent(row["result"], uncertain=len(uncertain))
        recipients = Counter(map(get_recipient, row["mails"]))
        assert set(recipients.values()) == {1}, context
        assert ALL - uncertain <= set(recipients) <= ALL, context
    assert sum(kills) >= ROUNDS, f"too few died while they worked: {kills}"
