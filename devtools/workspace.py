"""All that is needed before Odoo can do something, and how to call Odoo."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from . import browser, odoo_source, postgres, venv
from .paths import ROOT, STATE
from .shell import DevError, attend, locked, run, write_atomically

CONFIG = STATE / "odoo.conf"
DATA = STATE / "data"
LAUNCHER = ROOT / "devtools" / "launcher" / "odoo_command.py"
SETTINGS = """[options]
addons_path = {addons}
data_dir = {data}
db_host = {host}
db_template = template0
http_interface = 127.0.0.1
list_db = False
screenshots = {state}/screenshots
server_wide_modules = base,rpc,web
"""
# Set on a machine for its own reasons, these would change what Odoo does.
UNWANTED = {
    "ODOO_RC",
    "OPENERP_SERVER",
    "PYTEST_DB_USE_ENV_VARS",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
}


@dataclass(frozen=True)
class Workspace:
    """A clone that is ready to work: Odoo's source, packages, database server."""

    odoo: odoo_source.OdooSource
    config: Path = CONFIG
    python: Path = venv.PYTHON

    def with_addons(self, config: Path, *folders: Path) -> "Workspace":
        """The same workspace, but with these folders of addons instead of this repository."""
        _write_config(self.odoo, config, folders)
        return replace(self, config=config)

    @cached_property
    def env(self) -> dict[str, str]:
        """The environment of every program that works with Odoo."""
        env = {name: value for name, value in os.environ.items() if name not in UNWANTED}
        env.update(postgres.get_env())
        first = [browser.BIN, self.python.parent, postgres.programs()]
        env["PATH"] = os.pathsep.join([*map(str, first), env.get("PATH", os.defpath)])
        env["VIRTUAL_ENV"] = str(self.python.parent.parent)
        return env

    def command(self, *args: object) -> list[str]:
        """Odoo's command line; `args` begin with a subcommand or an option."""
        first, *rest = map(str, args)
        subcommand = [] if first.startswith("-") else [first]
        options = rest if subcommand else [first, *rest]
        odoo = [str(self.python), str(LAUNCHER), *subcommand]
        return [*odoo, "-c", str(self.config), *options]

    def odoo_run(self, *args: object, problem: str, **options) -> str:
        """Run Odoo to its end; what it wrote is in the error when it fails."""
        return run(self.command(*args), problem=problem, env=self.env, cwd=ROOT, **options)

    def script(self, database: str, script: str, *, problem: str, **variables: object) -> str:
        """Run a script in an Odoo shell; what it raises is an error here too.

        `variables` reach the script as environment variables.
        """
        env = {**self.env, **{name: str(value) for name, value in variables.items()}}
        return run(
            self.command("shell", "-d", database, "--no-http", "--log-level=error"),
            problem=problem,
            input=script,
            env=env,
            cwd=ROOT,
        )

    def call(self, args: list, **options) -> int:
        """Run a program on the user's terminal; return its exit code."""
        env = {**self.env, **options.pop("env", {})}
        return attend([str(arg) for arg in args], env=env, cwd=ROOT, **options)


def prepare() -> Workspace:
    """Get and start what is missing; a second call costs next to nothing."""
    STATE.mkdir(exist_ok=True)
    with locked(STATE / "lock", "the set-up of this clone"):
        odoo = _fetch()
        venv.add_to_path(odoo.path)
        browser.prepare_pdf()
        postgres.start()
        _write_config(odoo, CONFIG, (ROOT,))
    return Workspace(odoo)


def _fetch() -> odoo_source.OdooSource:
    """Download from Debian and PyPI in parallel: both mostly wait for the network."""
    with ThreadPoolExecutor() as pool:
        packages = pool.submit(venv.prepare)
        odoo = odoo_source.get_odoo()
        packages.result()
    return odoo


def _write_config(odoo: odoo_source.OdooSource, config: Path, addons: tuple[Path, ...]) -> None:
    folders = [*odoo.addons_paths, *addons]
    if any("," in str(folder) for folder in folders):
        raise DevError("Odoo cannot work with a comma in a folder's name.", "Rename the folder.")
    text = SETTINGS.format(
        addons=",".join(map(str, folders)),
        data=DATA,
        state=STATE,
        host=os.environ.get("PGHOST") or postgres.get_env()["PGHOST"],
    )
    if not config.exists() or config.read_text() != text:
        write_atomically(config, text)
