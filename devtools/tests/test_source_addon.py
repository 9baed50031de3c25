"""A source of another addon, written as `docs/extending.md` says, and that page itself.

The addons in `addons/` are no part of the product: they are on the path of these tests alone.
"""

import re
import socket
import subprocess
from pathlib import Path

import pytest

from devtools import databases, workspace
from devtools.paths import ROOT

ADDONS = Path(__file__).parent / "addons"
ADDON = "test_invoice_run_source"
PAGE = ROOT / "docs" / "extending.md"
#: A block of code of the page, whose first line names the file that it is from.
QUOTED = re.compile(r"```\w+\n(?:#|<!--) (\S+)(?: -->)?\n(.*?)```", re.DOTALL)
UNINSTALL = f"""
env['billing.scenario'].create({{'name': 'Mine', 'source': 'repair'}})
env.cr.commit()
env['ir.module.module'].search([('name', '=', '{ADDON}')]).button_immediate_uninstall()
"""
AFTER = """
scenario = env['billing.scenario'].search([('source', '=', 'repair')])
print('RESULT', scenario.mapped('name'), scenario.due_error)
"""
#: The last line of Odoo's own test runner.
RESULT = re.compile(r"(\d+) failed, (\d+) error\(s\) of (\d+) tests")


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """The workspace, with the addons of these tests."""
    config = tmp_path_factory.mktemp("source") / "odoo.conf"
    return workspace.prepare().with_addons(config, ROOT, ADDONS)


def find_port():
    """A port that nobody uses: other clones on this machine run tests as well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def install(space, database, addon, *options):
    """Install an addon of these tests; what Odoo said, and whether it ended well."""
    done = subprocess.run(
        space.command(
            *("-d", database, "-i", addon, "--without-demo"),
            # with tests, Odoo serves pages whatever it is told
            *("--stop-after-init", "--no-http", "--http-port", find_port(), *options),
        ),
        env=space.env,
        cwd=ROOT,
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout, done.returncode == 0


def test_a_source_written_from_the_page(space):
    with databases.tests_clone(space, "scratch") as database:
        output, is_well = install(space, database, ADDON, "--test-tags", f"/{ADDON}")
        assert is_well, output[-8000:]
        space.script(database, UNINSTALL, problem="The addon could not be uninstalled")
        after = space.script(database, AFTER, problem="Without the addon Odoo does not start")
    failed, errors, count = map(int, RESULT.findall(output)[-1])
    assert (failed, errors) == (0, 0)
    assert count >= 20, "the tests of the addon were found"
    assert " WARNING " not in output
    # the addon's own scenario went with it, that of somebody else says what it lacks
    assert "RESULT ['Mine'] Choose what is invoiced." in after


def test_a_source_without_unique_index_is_refused(space):
    with databases.tests_clone(space, "scratch") as database:
        output, is_well = install(space, database, "test_invoice_run_unguarded")
    assert not is_well
    assert "Invoice run source 'rental' (workshop.rental)" in output
    assert "unique index on rental_id" in output


def test_the_page_quotes_the_addon():
    blocks = QUOTED.findall(PAGE.read_text())
    assert len(blocks) == PAGE.read_text().count("```") / 2, "each block names its file"
    for name, code in blocks:
        text = (ADDONS / ADDON / name).read_text()
        for part in re.split(r"(?m)^ *(?:# )?…\n", code):
            assert part.strip("\n") in text, f"{name} does not have:\n{part}"


def test_the_page_names_all_that_a_source_declares():
    names = re.findall(r"(?m)^    (_source_\w+) = ", _read_source("invoice_run_source.py"))
    assert len(names) > 8
    assert [name for name in names if f"`{name}`" not in PAGE.read_text()] == []


def _read_source(name):
    return (ROOT / "invoice_run" / "models" / "source" / name).read_text()
