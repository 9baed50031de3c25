"""`./dev test`: the whole suite, browser tours included, in a database of its own."""

import os

from . import browser, countries, databases, venv, workspace
from .paths import ROOT, addon_folders
from .shell import say

OPTIONS = ("-W", "ignore", "--odoo-http", "--durations=15", "--durations-min=0.5")
# The tests' web server would be a job runner too: each in the other's way.
NO_RUNNER = {"ODOO_QUEUE_JOB_CHANNELS": "root:0"}
# Parts of the suite that have a name: `./dev test upgrade`.
NAMED = {"upgrade": "devtools/tests/test_upgrade.py"}


def main(args: list[str]) -> int:
    """Run pytest with these arguments; without a path, on every addon."""
    if args == ["countries"]:
        return countries.main()
    args = [NAMED.get(arg, arg) for arg in args]
    space = workspace.prepare()
    with browser.fetching() as program:
        databases.get_tests(space)
        browser.prepare_browser(program.result())
    with databases.tests_clone(space, "test") as database:
        say("tests")
        return space.call(
            [venv.PYTHON, "-m", "pytest", *OPTIONS, "--odoo-config", workspace.CONFIG]
            + ["--odoo-database", database, *_get_whole_suite(args), *args],
            env=NO_RUNNER,
        )


def _get_whole_suite(args: list[str]) -> list[str]:
    """All tests of this repository on all cores, unless the arguments name some."""
    named = (arg.split("::")[0] for arg in args if not arg.startswith("-"))
    if any(os.path.exists(ROOT / name) for name in named if name):
        return []
    # the longest first: they use processes of their own, and nobody waits for them at the end
    paths = ["devtools", *(folder.name for folder in addon_folders())]
    spread = ["--dist", "loadscope", "--no-loadscope-reorder"]
    return ["-n", str(_count_workers()), *spread, *paths]


def _count_workers() -> int:
    """One for each core, each with its database and browser; more than four wait for the disk."""
    return min(4, len(os.sched_getaffinity(0)))
