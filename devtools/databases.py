"""Databases: made once, cached, and cloned from then on.

    template_<key>  the base modules with their assets; cached for all clones
    plain_<key>     nothing but what the addons depend on; cached for all clones
    ready_<key>     the template with this repository's addons installed
    tests_<key>     the ready one with the records that every test class begins with
    peers_<key>     the plain one with our bridges and the contract modules that they come from
    test_<pid>      what one test run works on, dropped at its end; with a copy for
                    each of its workers

The key of each names everything that went into it, so a database that has the
right name is right, and is never changed again. A database appears under its
name only when it is complete: whatever stops a command leaves `new_<pid>`,
which is dropped later.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from . import postgres
from .paths import (
    CACHE,
    PEERS,
    ROOT,
    STATE,
    addon_folders,
    addon_names,
    fingerprint,
    lock_fingerprint,
)
from .shell import DevError, building, is_built, locked, remove, say
from .workspace import DATA, Workspace

BASE_MODULES = ("account", "sale", "sale_management", "crm", "sale_crm")
# What tours, PDFs and the web client load; Odoo's own unit tests are of no use here.
PREPARE_ASSETS = """
wanted = ('web.assets_web', 'web.assets_frontend', 'web.report_', 'web.assets_tests',
          'web.__assets_tests_call__')
unwanted = ('web.assets_web_dark',)
scripts, styles = env['ir.qweb']._get_bundles_to_pregenarate()
for bundle in sorted(scripts | styles):
    if bundle.startswith(wanted) and bundle not in unwanted:
        if bundle in scripts:
            env['ir.qweb']._get_asset_bundle(bundle, css=False, js=True).js()
        if bundle in styles:
            env['ir.qweb']._get_asset_bundle(bundle, css=True, js=False).css()
env.cr.commit()
"""
# A company with a chart of accounts, as every Odoo in use has one.
PREPARE_BASE = """
env.company.country_id = env.ref('base.us')
if not env.company.chart_template:
    env['account.chart.template'].try_loading('generic_coa', env.company, install_demo=False)
env.cr.commit()
"""
# What is in the bases from which databases are cloned: modules, and what prepares them.
BASES = {
    "template": (BASE_MODULES, PREPARE_BASE + PREPARE_ASSETS),
    "plain": (("account", "sale"), PREPARE_BASE),
}
# What every test class begins with is made once; these files say what that is.
KEEP_RECORDS = """
from odoo.addons.invoice_run.tests import common, kept
kept.keep_records(common.InvoiceRunCommon)
"""
KEPT_BY = ("invoice_run/tests/common.py", "invoice_run/tests/kept.py")
LOCK = STATE / "databases.lock"
OF_A_PROCESS = re.compile(r"_?(?:new|test|scratch|bench)(?:_[a-z]+)?_(\d+)(?:-gw\d+)?$")
NOT_INSTALLED = {"tests", "i18n", "description", "__pycache__"}


def get_ready(workspace: Workspace) -> str:
    """The database in which the addons are installed as they are now."""
    with _locked():
        return _get_ready(workspace)


def get_tests(workspace: Workspace) -> str:
    """The ready database with the records that every test class begins with."""
    with _locked():
        return _get_tests(workspace)


def temporary_clone(workspace: Workspace, kind: str) -> AbstractContextManager[str]:
    """A clone of the ready database that is dropped at the end."""
    return _temporary(kind, lambda: _get_ready(workspace))


def temporary_copy(source: str, kind: str) -> AbstractContextManager[str]:
    """A copy of any database that is dropped at the end."""
    return _temporary(kind, lambda: source)


def tests_clone(workspace: Workspace, kind: str) -> AbstractContextManager[str]:
    """A clone of the database of the tests that is dropped at the end."""
    return _temporary(kind, lambda: _get_tests(workspace))


def peers_clone(workspace: Workspace, kind: str) -> AbstractContextManager[str]:
    """A clone of the database with other contract modules; dropped at the end."""
    return _temporary(kind, lambda: _get_peers(workspace))


def plain_clone(workspace: Workspace, kind: str) -> AbstractContextManager[str]:
    """A database with Accounting and Sales alone, without our addons; dropped at the end."""
    return _temporary(kind, lambda: _get_template(workspace, "plain"))


def cached_copy(
    workspace: Workspace, kind: str, key: str, fill: Callable[[str], None]
) -> AbstractContextManager[str]:
    """A copy of a database that `fill` made of the template, once for all clones."""
    return _temporary(kind, lambda: _get_cached(workspace, kind, key, fill))


def _get_cached(workspace: Workspace, kind: str, key: str, fill: Callable[[str], None]) -> str:
    template = _get_template(workspace)
    return _get_or_build(kind, fingerprint(template, key), lambda name: _fill(template, name, fill))


def _fill(template: str, name: str, fill: Callable[[str], None]) -> None:
    with _new(name) as new:
        clone(template, new)
        fill(new)


@contextmanager
def _temporary(kind: str, get_source: Callable[[], str]) -> Iterator[str]:
    name = get_name(f"{kind}_{os.getpid()}")
    try:
        with _locked():
            _drop_left_over()
            clone(get_source(), name)
        yield name
    finally:
        drop(name)


def make_installed(workspace: Workspace, kind: str, *, demo: bool, fresh: bool) -> str:
    """A lasting database with the addons as they are now; its data are kept."""
    name = get_name(kind)
    stamp, wanted = STATE / f"{name}.installed", fingerprint(*_hash_addons())
    with _locked():
        if fresh:
            drop(name)
        if not exists(name):
            stamp.unlink(missing_ok=True)
            _make(workspace, name, demo)
        elif not stamp.exists() or stamp.read_text() != wanted:
            say(f"database {name}: update {', '.join(addon_names())}")
            _install_addons(workspace, name, demo, update=True)
        stamp.write_text(wanted)
    return name


def _locked():
    return locked(LOCK, "the databases of this clone")


def _get_ready(workspace: Workspace) -> str:
    template = _get_template(workspace)
    ready = get_name(f"ready_{fingerprint(template, *_hash_addons())}")
    if not exists(ready):
        say(f"test database: install {', '.join(addon_names())}")
        with _new(ready) as name:
            clone(template, name)
            _install_addons(workspace, name)
            workspace.script(name, PREPARE_ASSETS, problem="The assets were not made")
        _drop_others("ready_", ready)
    return ready


def _get_tests(workspace: Workspace) -> str:
    ready = _get_ready(workspace)
    tests = get_name(f"tests_{fingerprint(ready, *(_hash_file(ROOT / path) for path in KEPT_BY))}")
    if not exists(tests):
        say("test database: companies, users and products")
        with _new(tests) as name:
            clone(ready, name)
            workspace.script(name, KEEP_RECORDS, problem="The records of the tests were not made")
        _drop_others("tests_", tests)
    return tests


def _get_peers(workspace: Workspace) -> str:
    plain = _get_template(workspace, "plain")
    kept = [_hash_file(ROOT / path) for path in KEPT_BY]
    peers = get_name(f"peers_{fingerprint(plain, *PEERS, *kept, *_hash_addons())}")
    if not exists(peers):
        say(f"database: install {', '.join(PEERS)}")
        with _new(peers) as name:
            clone(plain, name)
            # what others log is no fault of ours
            install(workspace, name, PEERS)
            workspace.script(name, PREPARE_ASSETS, problem="The assets were not made")
            workspace.script(name, KEEP_RECORDS, problem="The records of the tests were not made")
        _drop_others("peers_", peers)
    return peers


def _make(workspace: Workspace, name: str, demo: bool) -> None:
    template = _get_template(workspace)
    say(f"database {name}: install {', '.join(addon_names())}")
    with _new(name) as new:
        clone(template, new)
        _install_addons(workspace, new, demo)


def _install_addons(
    workspace: Workspace, database: str, demo: bool = False, update: bool = False
) -> None:
    """Install or update this repository's addons; with demo data, theirs alone.

    Odoo loads a module's demo data only where the modules below have theirs,
    so they are marked as if they had: the template stays small and quick.
    """
    if demo:
        execute(database, "UPDATE ir_module_module SET demo = true WHERE state = 'installed'")
    names = ",".join(addon_names())
    options = ["-u", names] if update else []
    _show_warnings(install(workspace, database, addon_names(), demo, *options))
    failed = "SELECT name FROM ir_module_module WHERE state = 'installed' AND NOT demo"
    if demo and execute(database, failed):
        raise DevError("The demo data could not be installed.", "The reason is above.")


def install(workspace: Workspace, database: str, modules, demo: bool = False, *options) -> str:
    """Have Odoo install modules; what it said."""
    return workspace.odoo_run(
        *("-d", database, "-i", ",".join(modules), *options),
        "--with-demo" if demo else "--without-demo",
        *("--stop-after-init", "--no-http", "--log-level=warn"),
        problem=f"{', '.join(modules)} could not be installed",
        stderr=subprocess.STDOUT,
    )


def _show_warnings(output: str) -> None:
    """What Odoo finds fault with in this repository's addons; nobody looks into a log."""
    lines = [line for line in output.splitlines() if not line.startswith("Running as user")]
    if lines:
        print("\n".join(lines), file=sys.stderr)


def exists(name: str) -> bool:
    return bool(postgres.query(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"))


def clone(source: str, target: str) -> None:
    """Copy a database; the files of its store never change, so they are linked."""
    postgres.call(
        *("createdb", "--strategy=file_copy", "-T", source, target),
        problem=f"The database {source} could not be copied",
    )
    if _filestore(source).is_dir():
        shutil.copytree(_filestore(source), _filestore(target), copy_function=os.link)


def drop(name: str) -> None:
    postgres.call(
        *("dropdb", "--if-exists", "--force", name), problem=f"{name} could not be dropped"
    )
    remove(_filestore(name))


def get_name(kind: str) -> str:
    """The database of this kind, in this clone."""
    return postgres.get_prefix() + kind


def _filestore(name: str) -> Path:
    return DATA / "filestore" / name


def execute(database: str, sql: str) -> str:
    """What a statement returns, a line for each row."""
    return postgres.call(
        *("psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql),
        problem=f"{database} refused a statement",
    )


@contextmanager
def _new(name: str) -> Iterator[str]:
    """Make a database under another name; the last statement gives it its own."""
    new = get_name(f"new_{os.getpid()}")
    drop(new)
    yield new
    remove(_filestore(name))
    if _filestore(new).is_dir():
        _filestore(new).rename(_filestore(name))
    postgres.query(f'ALTER DATABASE "{new}" RENAME TO "{name}"')


def _get_template(workspace: Workspace, kind: str = "template") -> str:
    """A base of this clone (see BASES), from the cache if another clone made it."""
    key = _get_template_key(workspace, kind)
    return _get_or_build(kind, key, lambda name: _build(workspace, name, kind))


def _get_or_build(kind: str, key: str, build: Callable[[str], None]) -> str:
    """The database of this kind and key: this clone's, from the cache, or built and cached."""
    name = get_name(f"{kind}_{key}")
    if exists(name):
        return name
    cached = CACHE / kind / key
    with locked(cached.with_suffix(".lock"), f"the {kind} database"):
        if is_built(cached):
            _restore(cached, name)
        else:
            build(name)
            _save(name, cached)
    _drop_others(f"{kind}_", name)
    return name


def _get_template_key(workspace: Workspace, kind: str) -> str:
    (version,) = postgres.query("SHOW server_version_num")
    modules, script = BASES[kind]
    return fingerprint(
        "without addons",
        workspace.odoo.build,
        *modules,
        script,
        lock_fingerprint(),
        int(version) // 10000,
    )


def _build(workspace: Workspace, template: str, kind: str) -> None:
    modules, script = BASES[kind]
    # without this repository's addons, which Odoo would list: some of them install themselves
    workspace = workspace.with_addons(STATE / "bare.conf")
    say(f"{kind} database: install {', '.join(modules)}")
    with _new(template) as name:
        postgres.call("createdb", "-T", "template0", "-E", "UTF8", name, problem="No database")
        install(workspace, name, modules)
        say(f"{kind} database: chart of accounts and assets")
        workspace.script(name, script, problem=f"The {kind} database was not made")


def _save(template: str, cached: Path) -> None:
    say("database: into the cache")
    with building(cached) as folder:
        postgres.call(
            *("pg_dump", "-Fc", "-Z", "1", "-f", folder / "database.dump", template),
            problem="The template could not be saved",
        )
        with tarfile.open(folder / "filestore.tar", "w") as archive:
            archive.add(_filestore(template), ".")


def _restore(cached: Path, template: str) -> None:
    say("database: from the cache")
    with _new(template) as name:
        postgres.call("createdb", "-T", "template0", "-E", "UTF8", name, problem="No database")
        postgres.call(
            *("pg_restore", "--no-owner", "-j", "2", "-d", name, cached / "database.dump"),
            problem="The cached template could not be restored",
        )
        with tarfile.open(cached / "filestore.tar") as archive:
            archive.extractall(_filestore(name))


def _hash_addons() -> list[str]:
    """What an installation depends on: every file but tests and translations."""
    paths = [path for folder in addon_folders() for path in sorted(folder.rglob("*"))]
    return [_hash_file(path) for path in paths if path.is_file() and _is_installed(path)]


def _hash_file(path: Path) -> str:
    return f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _is_installed(path: Path) -> bool:
    return not set(path.relative_to(ROOT).parts) & NOT_INSTALLED


def _drop_others(kind: str, kept: str) -> None:
    """Drop what an earlier state of the code or the lock needed."""
    for name in _list():
        if name.startswith(get_name(kind)) and name != kept:
            drop(name)


def _drop_left_over() -> None:
    """Drop what commands left that were stopped before they could tidy up."""
    prefix = postgres.get_prefix()
    for name in _list():
        found = OF_A_PROCESS.match(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if found and not _is_alive(int(found.group(1))):
            drop(name)


def _list() -> list[str]:
    return postgres.query("SELECT datname FROM pg_database WHERE NOT datistemplate")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
