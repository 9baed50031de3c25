"""A database of the last release is upgraded to the present code, and goes on.

What the release wrote is compared column by column; what becomes of its runs is compared with what
the release itself makes of them, on a copy of the same database.
"""

import json
import re
from collections import Counter

import pytest

from devtools import databases, releases
from devtools.inside.upgrading import STEPS
from devtools.paths import ROOT

#: The tables that belong to the addons, and those in which their work ends up.
OURS = ("billing_", "invoice_run")
OTHERS = ("account_move", "account_move_line", "ir_sequence", "mail_message")
#: What an upgrade may change in rows that it finds, and why.
MAY_CHANGE = {
    "write_date": "whatever an upgrade completes is written anew",
    "write_uid": "by Odoo itself",
    "is_reprint": "the run's job says it",
    "is_send_uncertain": "the sending state of the document says it",
}
SCRIPT = "from devtools.inside import upgrading; {}"
TABLES = """
SELECT table_name FROM information_schema.tables
 WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
"""


@pytest.fixture(scope="module")
def release():
    return releases.get_last()


@pytest.fixture(scope="module")
def left_behind(space, release):
    """The database that the release left behind; nobody changes it."""
    with releases.database(space, release) as name:
        yield name


@pytest.fixture(scope="module")
def upgraded(space, left_behind):
    """A copy of it after the upgrade."""
    with databases.temporary_copy(left_behind, "scratch_upgraded") as name:
        output = databases.install(space, name, releases.MODULES, False, "-u", "invoice_run")
        assert "WARNING" not in output, output[-4000:]
        yield name


def ask(space, database, expression):
    """Run an expression of `upgrading` on a database; its result."""
    output = space.script(database, SCRIPT.format(expression), problem="The script failed")
    return json.loads(output.rpartition("RESULT ")[2])


def read_rows(database):
    """All rows of all tables that matter, {table: {id: row}}; tables without id are counted."""
    tables = [
        name
        for name in databases.execute(database, TABLES).split()
        if name.startswith(OURS) or name in OTHERS
    ]
    return {table: _read_table(database, table) for table in sorted(tables)}


def _read_table(database, table):
    rows = databases.execute(database, f"SELECT row_to_json(t) FROM {table} t")
    rows = [json.loads(row) for row in rows.splitlines()]
    return {row.get("id") or json.dumps(row, sort_keys=True): row for row in rows}


def test_the_release_left_runs_of_every_state(left_behind):
    query = "SELECT DISTINCT state FROM {} ORDER BY 1"
    assert set(databases.execute(left_behind, query.format("invoice_run")).split()) == {
        *("on_hold", "submitted", "amounts", "approved", "invoiced", "cancelled"),
    }
    states = databases.execute(left_behind, query.format("account_move")).split()
    assert states == ["cancel", "posted"]
    sent = databases.execute(
        left_behind, "SELECT count(*) FROM invoice_run_document WHERE send_state = 'sent'"
    )
    assert int(sent) == 3


def find_changes(before, after):
    """Return what became of each value that changed or is gone: one example per column."""
    changes = {}
    for table, rows in before.items():
        for key, row in rows.items():
            new = after[table].get(key)
            if new is None:
                changes.setdefault(table, f"lost: {row}")
                continue
            for column in set(row) - set(MAY_CHANGE):
                if new.get(column, "gone") != row[column]:
                    found = f"{row[column]!r} -> {new.get(column, 'gone')!r}"
                    changes.setdefault(f"{table}.{column}", found)
    return changes


def test_rows_are_as_they_were(left_behind, upgraded):
    before, after = read_rows(left_behind), read_rows(upgraded)
    assert len(before["invoice_run"]) >= len(STEPS)
    assert set(before) <= set(after), "no table is lost"
    assert find_changes(before, after) == {}


def test_roles_may_what_they_might(space, left_behind, upgraded, release):
    old = releases.get_workspace(space, release)
    command = "upgrading.show(upgrading.get_access(env))"
    before, after = ask(old, left_behind, command), ask(space, upgraded, command)
    assert {name: (rights, after.get(name)) for name, rights in before.items()} == {
        name: (rights, rights) for name, rights in before.items()
    }


def test_runs_go_on_from_where_they_stood(space, left_behind, upgraded, release):
    old = releases.get_workspace(space, release)
    with (
        databases.temporary_copy(left_behind, "scratch_old") as by_release,
        databases.temporary_copy(upgraded, "scratch_new") as by_upgrade,
    ):
        wanted = ask(old, by_release, "upgrading.go_on(env)")
        result = ask(space, by_upgrade, "upgrading.go_on(env)")
    assert Counter(state for _name, _date, state in result["runs"])["invoiced"] > len(STEPS)
    assert result == wanted


def test_a_second_upgrade_changes_nothing(space, upgraded):
    before = read_rows(upgraded)
    databases.install(space, upgraded, releases.MODULES, False, "-u", "invoice_run")
    after = read_rows(upgraded)
    assert find_changes(before, after) == {}
    assert find_changes(after, before) == {}, "nothing is added"


def test_versions_of_all_addons_and_the_changelog_agree(release):
    log = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {release.version}\n" in log


def test_an_upgraded_database_is_like_a_new_one(space, upgraded):
    query = """
        SELECT tablename || ' ' || indexdef FROM pg_indexes
         WHERE tablename ~ '^(billing_|invoice_run|account_move$|account_move_line$|sale_order)'
         UNION ALL
        SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
          FROM pg_constraint
         WHERE conrelid::regclass::text ~ '^(billing_|invoice_run)' AND contype <> 'n'
    """
    # take-over is an addon that nobody gets by an upgrade
    rows = databases.execute(databases.get_ready(space), query).splitlines()
    new = {row for row in rows if not re.search("takeover|billing_expected_invoice", row)}
    assert len(new) > 100
    assert set(databases.execute(upgraded, query).splitlines()) ^ new == set()
