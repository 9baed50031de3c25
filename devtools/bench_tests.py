"""`./dev bench tests`: what our addons add to the queries of Odoo's own tests.

They run in a database without our addons, and then in the same one with them; both commit nothing.
"""

import argparse
import re
import subprocess

from . import bench_run, databases, servers
from .bench_queries import ADDONS
from .paths import ROOT
from .shell import DevError, say

#: Those that run once all addons are installed; the others know nothing of ours.
TAGS = "post_install/sale"
OPTIONS = ("--stop-after-init", "--log-level=warn", "--log-handler=odoo.tests.stats:DEBUG")
RESULT = re.compile(r"^\t(\S+): [\d.]+s (\d+) queries$", re.MULTILINE)
#: Module, file, class, method: the longest names; the others are sums of those.
PARTS = 4
SHOWN = 20


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser("./dev bench tests", description=__doc__)
    parser.add_argument("tags", nargs="?", default=TAGS, help=f"as of --test-tags ({TAGS})")
    parser.add_argument("--json", action="store_true", help="the result as the last line")
    options = parser.parse_args(args)
    space = bench_run.get_space()
    with databases.plain_clone(space, "scratch") as database:
        say("without our addons")
        without = _measure(space, database, options.tags)
        say(f"install {', '.join(ADDONS)}")
        databases.install(space, database, ADDONS)
        say("with our addons")
        ours = _measure(space, database, options.tags)
    names = sorted(without.keys() & ours.keys(), key=lambda name: without[name] - ours[name])
    rows = [(name, without[name], ours[name], ours[name] - without[name]) for name in names]
    head = ("test", "without", "with", "more")
    bench_run.show(rows[:SHOWN], head)
    total = {"without": sum(row[1] for row in rows), "with": sum(row[2] for row in rows)}
    more = f"{total['with'] / total['without'] - 1:.2%}"
    tests = len([name for name in names if not name.endswith("Class")])
    print(f"{tests} tests: {total['without']} queries without, {total['with']} with: {more} more")
    return bench_run.end({"bench": "tests", "tests": tests, **total}, options.json)


def _measure(space, database: str, tags: str) -> dict[str, int]:
    """Return the queries of each test, and of what its class sets up.

    :raises DevError: a test fails
    """
    port = servers.choose_port()
    command = space.command("-d", database, "--test-tags", tags, "--http-port", port, *OPTIONS)
    done = subprocess.run(
        command,
        env=space.env,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    found = {name: int(count) for name, count in RESULT.findall(done.stdout)}
    found = {name: count for name, count in found.items() if name.count(".") >= PARTS - 1}
    if done.returncode or not found:
        raise DevError("Odoo's own tests failed.", done.stdout[-3000:])
    return found
