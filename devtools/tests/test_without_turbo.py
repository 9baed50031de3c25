"""Without `invoice_run_turbo` Odoo's own methods do the work: same money, same mails.

Tests of the main addon run in a database without it. An upgrade from a version in which it was part
of the main addon installs it, once.
"""

import os
import subprocess

import pytest

from devtools import databases, testing, venv, workspace
from devtools.paths import ROOT
from devtools.shell import run

#: Money and sending.
FILES = (
    "test_run_flow",
    "test_sale_invoices",
    "test_sending",
    "test_rendering",
)
STATE = """
print(env["ir.module.module"].search([("name", "=", "invoice_run_turbo")]).state)
"""
EARLIER = """
module = env["ir.module.module"].search([("name", "=", "invoice_run")])
module.latest_version = "19.0.1.0.0"
env.cr.commit()
"""


@pytest.fixture(scope="module")
def space():
    return workspace.prepare()


@pytest.fixture(scope="module")
def database(space):
    """The main addon alone, next to Accounting and Sales."""
    with databases.plain_clone(space, "scratch") as name:
        load(space, name, "-i", "--skip-auto-install")
        space.script(name, databases.KEEP_RECORDS, problem="The records were not made")
        yield name


def load(space, database, option, *options):
    """Install or upgrade the main addon; what Odoo finds fault with."""
    output = space.odoo_run(
        *("-d", database, option, "invoice_run", "--without-demo", *options),
        *("--stop-after-init", "--no-http", "--log-level=warn"),
        problem="The addon could not be loaded",
        stderr=subprocess.STDOUT,
    )
    return [line for line in output.splitlines() if "WARNING" in line or "ERROR" in line]


def get_state(space, database):
    return space.script(database, STATE, problem="The script failed").split()[-1]


def test_invoices_and_mails(space, database):
    """Run before the upgrade below: what it leaves behind is rolled back by each test."""
    assert get_state(space, database) == "uninstalled"
    env = {name: value for name, value in space.env.items() if "XDIST" not in name}
    paths = [os.path.join("invoice_run", "tests", f"{name}.py") for name in FILES]
    output = run(
        [venv.PYTHON, "-m", "pytest", "-q", *testing.OPTIONS, *paths]
        + ["--odoo-config", space.config, "--odoo-database", database],
        problem="Without turbo something is different",
        env={**env, **testing.NO_RUNNER},
        cwd=ROOT,
    )
    summary = output.splitlines()[-1]
    assert " passed" in summary and "failed" not in summary, output[-3000:]


def test_upgrade_installs_it_once(space, database):
    assert load(space, database, "-u") == []
    assert get_state(space, database) == "uninstalled", "somebody does without it"
    space.script(database, EARLIER, problem="The script failed")
    assert load(space, database, "-u") == []
    assert get_state(space, database) == "installed"
