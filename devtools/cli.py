"""The commands of `./dev`."""

import argparse
import sys
from collections.abc import Callable

from .shell import DevError, say, stop_on_signals

USAGE = """\
./dev run    set up, carry out the demo run, serve it   (./dev run --help)
./dev test   run the tests; arguments go to pytest
             upgrade: a database of the last release, brought to the present code
             countries: runs with the charts of accounts of many countries (docs/countries.md)
./dev lint   check style; --fix formats
./dev shell  an Odoo shell on the demo database; reads a script from standard input
             --scratch: on a throw-away copy of the test database
./dev bench  performance benchmarks
./dev screenshots  the pictures of docs/ and of the app store's page, every screen checked with
             axe-core; names of screens limit it; --check: no pictures
./dev translate  export the terms of the addons, update their translations, list what is missing
./dev package  a zip for the app store and a wheel for pip of each addon, in dist/
./dev stop   stop what this clone started
./dev lock   write requirements.lock anew from requirements.txt
"""


def main(args: list[str]) -> int:
    """Carry out a command; errors that the user can act on have no traceback."""
    stop_on_signals()
    command = _COMMANDS.get(args[0] if args else "help")
    if command is None:
        print(f"./dev has no command {args[0]!r}.\n\n{USAGE}", file=sys.stderr)
        return 2
    try:
        return command(args[1:])
    except DevError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130


def _help(_args: list[str]) -> int:
    print(USAGE, end="")
    return 0


def _run(args: list[str]) -> int:
    from . import demo

    return demo.main(args)


def _test(args: list[str]) -> int:
    from . import testing

    return testing.main(args)


def _lint(args: list[str]) -> int:
    from . import lint

    return lint.main(_parse("lint", args, fix="format instead of checking the format").fix)


def _shell(args: list[str]) -> int:
    from . import console

    options = _parse("shell", args, scratch="work on a throw-away copy of the test database")
    return console.main(options.scratch)


def _bench(args: list[str]) -> int:
    from . import bench

    return bench.main(args)


def _screenshots(args: list[str]) -> int:
    from . import screenshots

    return screenshots.main(args)


def _translate(args: list[str]) -> int:
    from . import translations

    _parse("translate", args)
    return translations.main()


def _package(args: list[str]) -> int:
    from . import packages

    _parse("package", args)
    return packages.main()


def _stop(args: list[str]) -> int:
    from . import postgres, servers

    _parse("stop", args)
    ends = {"Odoo's server": servers.stop, "PostgreSQL": postgres.stop}
    stopped = [name for name, stop in ends.items() if stop()]
    say(f"stopped: {', '.join(stopped)}" if stopped else "nothing runs")
    return 0


def _lock(args: list[str]) -> int:
    from . import venv

    _parse("lock", args)
    venv.compile_lock()
    return 0


def _parse(command: str, args: list[str], **flags: str) -> argparse.Namespace:
    """Parse the arguments of a command that has only flags."""
    parser = argparse.ArgumentParser(f"./dev {command}")
    for flag, meaning in flags.items():
        parser.add_argument(f"--{flag}", action="store_true", help=meaning)
    return parser.parse_args(args)


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": _run,
    "test": _test,
    "lint": _lint,
    "shell": _shell,
    "bench": _bench,
    "screenshots": _screenshots,
    "translate": _translate,
    "package": _package,
    "stop": _stop,
    "lock": _lock,
    "help": _help,
    "--help": _help,
    "-h": _help,
}
