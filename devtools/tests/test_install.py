"""From its folder alone into a plain Odoo; upgraded; gone without a trace; back again.

Each step is an Odoo process of its own, on a database with Accounting and Sales alone.
"""

import json
import shutil
import subprocess

import pytest

from devtools import databases, workspace
from devtools.paths import ROOT

ADDON = "invoice_run"
SHOW = """
import json
def show(value):
    env.cr.commit()
    print("RESULT " + json.dumps(value, default=str))
"""
# Tables, columns, indexes, constraints and sequences: what the database is made of.
SCHEMA = """
QUERIES = {
    'column': "SELECT table_name || '.' || column_name || ' ' || data_type"
              " FROM information_schema.columns WHERE table_schema = 'public'",
    'constraint': "SELECT conrelid::regclass || ' ' || conname FROM pg_constraint"
                  " WHERE connamespace = 'public'::regnamespace",
    'class': "SELECT relkind::text || ' ' || relname FROM pg_class"
             " WHERE relnamespace = 'public'::regnamespace",
    'function': "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    'trigger': "SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger WHERE NOT tgisinternal",
}
def get_schema():
    result = []
    for kind, query in QUERIES.items():
        env.cr.execute(query)
        result += [f'{kind} {name}' for (name,) in env.cr.fetchall()]
    return sorted(result)
"""
# Everything somebody may add to the addon's records, in Odoo's own tables too.
MAKE = """
admin = env.ref('base.user_admin')
env = env(user=admin.id, context={'allowed_company_ids': env.company.ids})
partner = env['res.partner'].create({'name': 'Customer', 'email': 'customer@example.com'})
partner.write({'allow_invoice_grouping': True, 'billing_hold_reason': 'none'})
product = env['product.product'].create({'name': 'Rent', 'type': 'service', 'list_price': 100})
def make_contract():
    contract = env['billing.contract'].create({
        'partner_id': partner.id, 'date_start': '2024-01-01',
        'line_ids': [(0, 0, {'product_id': product.id, 'price_unit': 100})]})
    contract.action_activate()
    return contract
def make_run(day):
    scenario = env['billing.scenario'].search([], limit=1)
    scenario = scenario or env['billing.scenario'].create({'name': 'All'})
    run = env['invoice.run'].create({'scenario_id': scenario.id, 'invoice_date': day})
    run.action_generate_amounts()
    run._process_queue()
    run.action_approve()
    run.action_generate_invoices()
    run._process_queue()
    return run
"""
FILL = """
contract = make_contract()
env['billing.usage'].create({'partner_id': partner.id, 'product_id': product.id,
                             'external_ref': 'A1', 'date': '2024-01-02'})
run = make_run('2024-01-15')
contract.message_post(body='A note', attachments=[('terms.txt', b'the terms')])
contract.message_subscribe(partner.ids)
for record in (contract, run):
    record.activity_schedule('mail.mail_activity_data_todo', user_id=env.uid)
env['ir.filters'].create({'name': 'Mine', 'model_id': 'billing.contract', 'domain': '[]'})
env['ir.exports'].create({'name': 'Mine', 'resource': 'billing.contract',
                          'export_fields': [(0, 0, {'name': 'name'})]})
env['ir.filters'].create({
    'name': 'Of runs', 'model_id': 'account.move', 'domain': "[('invoice_run_id', '!=', False)]"})
env['ir.filters'].create({'name': 'Kept', 'model_id': 'account.move', 'domain': '[]'})
env['ir.exports'].create({'name': 'Kept', 'resource': 'account.move', 'export_fields': [
    (0, 0, {'name': 'name'}), (0, 0, {'name': 'invoice_run_id/reference'})]})
env['base_import.mapping'].create({'res_model': 'billing.usage', 'column_name': 'When',
                                   'field_name': 'date'})
env['ir.default'].set('billing.contract', 'billing_timing', 'arrears', user_id=env.uid)
env['ir.cron'].sudo().create({
    'name': 'Mine', 'model_id': env['ir.model']._get_id('invoice.run'), 'state': 'code',
    'code': 'model._cron_process_runs()', 'interval_type': 'days', 'interval_number': 1})
env['ir.actions.server'].sudo().create({
    'name': 'Mine', 'model_id': env['ir.model']._get_id('billing.contract'), 'state': 'code',
    'code': 'pass'})
env['mail.template'].create({'name': 'Mine', 'model_id': env['ir.model']._get_id('invoice.run')})
env.company.invoice_run_four_eyes = True
env.ref('invoice_run.invoice_run_cron').sudo().interval_number = 7
move = run.invoice_ids
move.message_post(body='Thank you')
show({'state': run.state, 'moves': [[move.name, move.state, move.amount_total] for move in move]})
"""
AFTER_UPGRADE = """
run = env['invoice.run'].search([])
show({
    'state': run.state, 'contract': env['billing.contract'].search([]).mapped('name'),
    'claims': env['invoice.run.line'].search_count([('is_claimed', '=', True)]),
    'usage': env['billing.usage'].search([]).mapped('external_ref'),
    'four_eyes': env.company.invoice_run_four_eyes,
    'interval': env.ref('invoice_run.invoice_run_cron').interval_number,
})
"""
UNINSTALL = "\nenv['invoice.run.sample'].action_load()\nenv.cr.commit()"
UNINSTALL += "\nenv['ir.module.module'].search([('name', '=', 'invoice_run')])"
UNINSTALL += ".button_immediate_uninstall()\n"
# Rows of any table that name a model, an XML id or a table of the addon.
LEFT = """
NAMES = r'(billing|invoice)[._](asset|category|cluster|contract|cutoff|due|forecast|run|scenario'
NAMES += r'|usage|manager|bridge)\\y|invoice_run_sample_\\d'
# What is listed as installable, and messages to open browsers, which Odoo drops after a day.
SELF = ('ir_module_module', 'ir_module_module_dependency', 'bus_bus')
env.cr.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
left = {}
for (table,) in env.cr.fetchall():
    if table not in SELF:
        query = f'SELECT row::text FROM "{table}" row WHERE row::text ~ %s AND row::text !~ %s'
        env.cr.execute(query, [NAMES, 'module_invoice_run'])
        if rows := [row for (row,) in env.cr.fetchall()]:
            left[table] = rows[:3]
"""
READABLE = """
env = env(user=env.ref('base.user_admin').id, context={'allowed_company_ids': env.company.ids})
moves = env['account.move'].search([('move_type', '=', 'out_invoice')])
before = [[move.name, move.state, move.amount_total] for move in moves]
moves.web_read({'name': {}, 'invoice_line_ids': {'fields': {'name': {}, 'price_total': {}}}})
moves.read()
for view in ('form', 'list'):
    env['account.move'].get_view(view_type=view)
html, _kind = env['ir.actions.report']._render_qweb_html('account.account_invoices', moves.ids)
moves[0]._reverse_moves(cancel=True)
kept = env['ir.filters'].search([('name', 'in', ('Mine', 'Of runs', 'Kept'))])
kept = kept.mapped('name') + env['ir.exports'].search([]).export_fields.mapped('name')
show({'schema': get_schema(), 'kept': kept, 'left': left, 'moves': before,
      'html': 'Rent' in html.decode(), 'paid': moves[0].payment_state})
"""
AGAIN = """
scenario = env['billing.scenario'].search([])
first = make_contract()
run = make_run('2024-02-15')
show({'contract': first.name, 'run': run.reference, 'scenarios': len(scenario),
      'moves': [[move.name, move.state, move.amount_total] for move in run.invoice_ids],
      'all': env['account.move'].search_count([('move_type', '=', 'out_invoice')])})
"""


@pytest.fixture
def space(tmp_path):
    """The workspace, but with a copy of the addon's folder instead of this repository."""
    space = workspace.prepare()
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / ADDON, tmp_path / "addons" / ADDON, ignore=ignored)
    return space.with_addons(tmp_path / "odoo.conf", tmp_path / "addons")


def ask(space, database, script):
    """Run a script in an Odoo shell; return what it shows."""
    output = space.script(database, SHOW + SCHEMA + script, problem="The script failed")
    (line,) = [line for line in output.splitlines() if line.startswith("RESULT ")]
    return json.loads(line.removeprefix("RESULT "))


def load(space, database, option):
    """Install or upgrade the addon; return what Odoo complains about."""
    output = space.odoo_run(
        *("-d", database, option, ADDON, "--without-demo"),
        *("--stop-after-init", "--no-http", "--log-level=warn"),
        problem="The addon could not be loaded",
        stderr=subprocess.STDOUT,
    )
    return [line for line in output.splitlines() if "WARNING" in line or "ERROR" in line]


def test_install_upgrade_uninstall_and_back(space):
    with databases.plain_clone(space, "scratch") as database:
        before = ask(space, database, "show(get_schema())")
        assert load(space, database, "-i") == []

        filled = ask(space, database, MAKE + FILL)
        assert filled["state"] == "invoiced"
        assert [move[1:] for move in filled["moves"]] == [["posted", 115.0]]

        assert load(space, database, "-u") == []
        assert ask(space, database, AFTER_UPGRADE + UNINSTALL) == {
            "state": "invoiced",
            "contract": ["CTR-00001"],
            "claims": 1,
            "usage": ["A1"],
            "four_eyes": True,
            "interval": 7,
        }

        after = ask(space, database, LEFT + READABLE)
        assert sorted(set(after["schema"]) ^ set(before)) == []
        assert [*after["left"].items()] == []
        assert after["kept"] == ["Kept", "name"], "what is not ours stays"
        assert after["moves"] == filled["moves"]
        assert after["html"]
        assert after["paid"] == "reversed", "Accounting goes on with the invoices"

        assert load(space, database, "-i") == []
        again = ask(space, database, MAKE + AGAIN)
        assert (again["contract"], again["run"]) == ("CTR-00001", "IVR-00001")
        assert again["all"] == len(after["moves"]) + len(again["moves"]) == 2
