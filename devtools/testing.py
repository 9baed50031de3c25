"""`./dev test`: the whole suite, browser tours included, in a database of its own."""

import os
from pathlib import Path

from . import browser, countries, databases, venv, workspace
from .paths import PEER_ADDONS, ROOT, addon_names
from .shell import say

OPTIONS = ("-W", "ignore", "--odoo-http", "--durations=15", "--durations-min=0.5")
# pytest's exit code where no test was selected
NO_TESTS = 5
# The tests' web server would be a job runner too: each in the other's way.
NO_RUNNER = {"ODOO_QUEUE_JOB_CHANNELS": "root:0"}
# Parts of the suite that have a name: `./dev test upgrade`.
NAMED = {"upgrade": "devtools/tests/test_upgrade.py"}


def main(args: list[str]) -> int:
    """Run pytest with these arguments; without a path, on every addon.

    Bridges from other contract modules are tested in a database with those modules, the rest in one
    without.
    """
    if args == ["countries"]:
        return countries.main()
    if args and args[0] in NAMED:
        args = [NAMED[args[0]], *args[1:]]
    space = workspace.prepare()
    paths = [arg for arg in args if _is_path(arg)]
    options = [arg for arg in args if arg not in paths]
    with_peers = [path for path in paths if Path(path).parts[0] in PEER_ADDONS]
    alone = [path for path in paths if path not in with_peers]
    code = 0
    if alone or not paths:
        code = _test_alone(space, [*alone, *options])
    if with_peers or not paths:
        found = _test_with_peers(space, [*(with_peers or PEER_ADDONS), *options])
        # of a whole suite narrowed by -k, one half may have nothing
        code = code or (found if with_peers or found != NO_TESTS else 0)
    return code


def _is_path(arg: str) -> bool:
    name = arg.split("::")[0]
    return bool(name) and not arg.startswith("-") and (ROOT / name).exists()


def _test_with_peers(space: workspace.Workspace, args: list[str]) -> int:
    browser.prepare_browser(browser.fetch_browser())
    with databases.peers_clone(space, "test_peers") as database:
        say("tests with other contract modules")
        return _call_pytest(space, database, args)


def _test_alone(space: workspace.Workspace, args: list[str]) -> int:
    with browser.fetching() as program:
        databases.get_tests(space)
        browser.prepare_browser(program.result())
    with databases.tests_clone(space, "test") as database:
        say("tests")
        return _call_pytest(space, database, [*_get_whole_suite(args), *args])


def _call_pytest(space: workspace.Workspace, database: str, args: list[str]) -> int:
    return space.call(
        [venv.PYTHON, "-m", "pytest", *OPTIONS, "--odoo-config", workspace.CONFIG]
        + ["--odoo-database", database, *args],
        env=NO_RUNNER,
    )


def _get_whole_suite(args: list[str]) -> list[str]:
    """All tests of this repository on all cores, unless the arguments name some."""
    if any(map(_is_path, args)):
        return []
    # the longest first: they use processes of their own, and nobody waits for them at the end
    paths = ["devtools", *addon_names()]
    spread = ["--dist", "loadscope", "--no-loadscope-reorder"]
    return ["-n", str(_count_workers()), *spread, *paths]


def _count_workers() -> int:
    """One for each core, each with its database and browser; more than four wait for the disk."""
    return min(4, len(os.sched_getaffinity(0)))
