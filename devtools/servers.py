"""What ./dev run keeps running while it works: Odoo's server and the mail sink."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import venv
from .paths import STATE
from .shell import DevError, end, say, write_atomically
from .workspace import Workspace

PREFERRED_PORT = 8069
PATIENCE = 120
# A server that dies sooner would only die again.
SHORTEST_LIFE = 30
PIDS = STATE / "servers"


@contextmanager
def mail_sink(workspace: Workspace, folder: Path, round_trip: float = 0) -> Iterator[int]:
    """A mail server that stores what it gets in a folder; yields its port.

    :param round_trip: milliseconds to it and back
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = Path(__file__).with_name("mailsink.py")
    process = subprocess.Popen(
        [venv.PYTHON, script, folder, "--round-trip", str(round_trip)],
        env=workspace.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        port = process.stdout.readline().strip()
        if not port:
            raise DevError("The mail sink did not start.", "Its message is above.")
        yield int(port)
    finally:
        process.stdin.close()
        end(process, ask=False, patience=5)


@contextmanager
def odoo_server(
    workspace: Workspace, database: str, port: int, crons: int
) -> Iterator[subprocess.Popen]:
    """Odoo's web server on this database, until the block ends."""
    if not _is_free(port):
        # whatever answers there would be taken for our server
        raise DevError(f"Port {port} has been taken meanwhile.", "Start the command again.")
    log = STATE / "server.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            workspace.command("-d", database, f"--db-filter=^{database}$")
            + [f"--http-port={port}", f"--max-cron-threads={crons}", "--log-level=warn"],
            env=workspace.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    pid_file = PIDS / database
    write_atomically(pid_file, f"{process.pid} {_get_start_time(process.pid)}")
    try:
        _wait_until_it_answers(process, port, log)
        yield process
    finally:
        end(process)
        pid_file.unlink(missing_ok=True)


def odoo_server_kept_alive(
    workspace: Workspace, database: str, port: int, crons: int
) -> Iterator[subprocess.Popen]:
    """Yield Odoo's server, and a new one whenever it dies; the caller waits for its end.

    Odoo itself starts anew when a worker has used up its time. This is for what it cannot survive,
    such as the end of the machine's memory. `./dev stop` ends it like Ctrl-C.
    """
    while True:
        started = time.monotonic()
        with odoo_server(workspace, database, port, crons) as process:
            yield process
        if process.returncode == 0 or time.monotonic() - started < SHORTEST_LIFE:
            return
        say(f"Odoo's server died (exit {process.returncode}): it is started again")


def choose_port() -> int:
    """Odoo's usual port, or a free one where that is taken."""
    if _is_free(PREFERRED_PORT):
        return PREFERRED_PORT
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    say(f"port {PREFERRED_PORT} is taken: using {port}")
    return port


def refuse_second(database: str) -> None:
    """Refuse a second server, or an update beside a server: they would collide."""
    pid = _read_pid(PIDS / database)
    if pid:
        raise DevError(
            f"Another ./dev run works on the database {database} (server {pid}).",
            "`./dev stop` ends it.",
        )


def stop() -> bool:
    """End the servers that this clone started; return whether there was one."""
    pids = [pid for path in PIDS.glob("*") if (pid := _read_pid(path))]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    return bool(pids)


def _read_pid(path: Path) -> int | None:
    """The process named in a file, if it still is that one."""
    try:
        pid, started = path.read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if _get_start_time(int(pid)) == started else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _get_start_time(pid: int) -> str:
    """Tells a process from a later one that got the same number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def _wait_until_it_answers(process: subprocess.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(port):
            return
        time.sleep(0.2)
    tail = "\n".join(log.read_text().splitlines()[-15:])
    raise DevError(f"Odoo's server did not start:\n{tail}", f"The whole log is {log}.")


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/web/health", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False
