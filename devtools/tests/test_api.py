"""The page `docs/api.md`: its commands, in order, against a real server with its own workers.

The page is the test: what stands below a command is what the server must answer. Ids are not
compared, and "…" stands for any text.
"""

import json
import re
import shutil
import subprocess

import pytest

from devtools import databases, servers, workspace
from devtools.paths import ROOT

PAGE = ROOT / "docs" / "api.md"
BLOCK = re.compile(r"^```(bash|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "--- end of block ---"
MAKE = """
import json
from odoo import fields
def make_key(login, group):
    user = env['res.users'].create({
        'login': login, 'name': login, 'group_ids': [(6, 0, [env.ref('invoice_run.' + group).id])]})
    keys = env['res.users.apikeys'].with_user(user).sudo()
    return keys._generate(None, 'test', fields.Datetime.add(fields.Datetime.now(), days=1))
keys = {'ODOO_KEY': make_key('integration', 'invoice_run_group_user'),
        'ODOO_REVIEWER_KEY': make_key('reviewer', 'invoice_run_group_reviewer')}
env['ir.cron'].search([('id', '!=', env.ref('invoice_run.invoice_run_cron').id)]).active = False
env['res.partner'].create({'name': 'Harbour Consulting', 'ref': 'C-1001'})
product = env['product.product'].create({
    'name': 'Rent', 'default_code': 'RENT', 'type': 'service', 'taxes_id': [(5,)]})
env['billing.scenario'].create({'name': 'All contracts'})
held = env['billing.contract'].create({
    'partner_id': env['res.partner'].create({'name': 'North Pier'}).id,
    'date_start': '2025-01-01', 'billing_hold': True, 'billing_hold_reason': 'Court case',
    'line_ids': [(0, 0, {'product_id': product.id, 'price_unit': 10})]})
held.action_activate()
env.cr.commit()
print('KEYS ' + json.dumps(keys))
"""


def get_blocks():
    """The commands of the page with the answers that it promises, in order."""
    found = BLOCK.findall(PAGE.read_text())
    blocks = []
    for number, (kind, text) in enumerate(found):
        if kind == "bash":
            following = found[number + 1] if number + 1 < len(found) else ("bash", "")
            blocks.append((text, following[1] if following[0] == "json" else ""))
    return blocks


def run_blocks(blocks, env):
    """What each block prints, all in one shell, as a reader would run them."""
    script = "set -u\n" + "".join(f"{text}\necho; echo '{MARK}'\n" for text, _answer in blocks)
    done = subprocess.run(
        ["bash", "-c", script], env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    return done.stdout.split(MARK)[:-1]


def parse(text):
    """The JSON values that follow one another in a text."""
    decoder, values, position = json.JSONDecoder(), [], 0
    while match := re.compile(r"\S").search(text, position):
        value, position = decoder.raw_decode(text, match.start())
        values.append(value)
    return values


def assert_like(actual, promised, where):
    """Compare an answer with the page's: the same but for ids and what stands as "…"."""
    if isinstance(promised, dict):
        assert isinstance(actual, dict) and set(actual) == set(promised), (where, actual)
        for key in set(promised) - {"id"}:
            assert_like(actual[key], promised[key], f"{where}.{key}")
    elif isinstance(promised, list):
        assert isinstance(actual, list) and len(actual) == len(promised), (where, actual)
        for number, (one, other) in enumerate(zip(actual, promised, strict=True)):
            if not (where.endswith((".ids", "_id")) and isinstance(other, int)):
                assert_like(one, other, f"{where}[{number}]")
    elif isinstance(promised, str) and "…" in promised:
        pattern = ".*".join(map(re.escape, promised.split("…")))
        text = actual if isinstance(actual, str) else json.dumps(actual)
        assert re.fullmatch(pattern, text, re.DOTALL), (where, actual)
    else:
        assert actual == promised and type(actual) is type(promised), (where, actual)


@pytest.fixture
def answers():
    """What the server answers to the commands of the page."""
    assert shutil.which("curl") and shutil.which("bash"), "curl and bash must be installed"
    space = workspace.prepare()
    port = servers.choose_port()
    with databases.temporary_clone(space, "scratch") as database:
        output = space.script(database, MAKE, problem="The users were not made")
        (line,) = [line for line in output.splitlines() if line.startswith("KEYS ")]
        env = {**space.env, **json.loads(line.removeprefix("KEYS "))}
        env |= {"ODOO_URL": f"http://127.0.0.1:{port}", "ODOO_DB": database}
        with servers.odoo_server(space, database, port, crons=1):
            yield run_blocks(get_blocks(), env)


def test_the_page_says_what_the_server_answers(answers):
    blocks = get_blocks()
    assert len(blocks) > 15
    assert sum(bool(answer) for _text, answer in blocks) > 12
    for (command, promised), actual in zip(blocks, answers, strict=True):
        actual, promised = parse(actual), parse(promised)
        assert len(actual) == len(promised), (command, actual)
        for one, other in zip(actual, promised, strict=True):
            assert_like(one, other, command)


def test_the_comparison_notices_a_difference():
    promised = parse('{"id": 1, "name": "CTR-…", "amount": 1.0}')[0]
    assert_like({"id": 7, "name": "CTR-00009", "amount": 1.0}, promised, "")
    for wrong in ({"name": "X", "amount": 1.0}, {"name": "CTR-1", "amount": 2.0}, {"amount": 1.0}):
        with pytest.raises(AssertionError):
            assert_like({"id": 7, **wrong}, promised, "")
