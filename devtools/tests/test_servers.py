"""Odoo's server comes back: after it reloads itself, and after it died."""

import os
import signal
import time
from types import SimpleNamespace

import pytest

from devtools import databases, servers, workspace


def wait_until(condition, seconds=servers.PATIENCE):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come back"
        time.sleep(0.2)


def test_server_comes_back_after_its_workers_used_up_their_time():
    """Odoo sends itself this signal at a limit of time or memory."""
    space = workspace.prepare()
    port = servers.choose_port()
    with (
        databases.temporary_clone(space, "scratch") as database,
        servers.odoo_server(space, database, port, crons=0) as process,
    ):
        os.kill(process.pid, signal.SIGHUP)
        wait_until(lambda: not servers._answers(port))
        wait_until(lambda: servers._answers(port) or process.poll() is not None)
        assert process.poll() is None
        assert servers._answers(port)
        assert servers._read_pid(servers.PIDS / database) == process.pid, "./dev stop finds it"


@pytest.fixture
def lives(monkeypatch):
    """Servers that end by themselves: how, and after how many seconds."""
    clock, ends = SimpleNamespace(now=0.0), []

    class Server:
        def __init__(self, *_args, **_options):
            self.returncode, self.seconds = ends.pop(0)

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            clock.now += self.seconds

    monkeypatch.setattr(servers, "odoo_server", Server)
    monkeypatch.setattr(servers.time, "monotonic", lambda: clock.now)
    return ends


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([(0, 100)], 1),  # ./dev stop
        ([(-9, 100), (1, 100), (0, 5)], 3),
        ([(1, 2)], 1),  # it cannot start
    ],
)
def test_server_that_died_is_started_again(lives, ends, expected):
    lives.extend(ends)
    assert len(list(servers.odoo_server_kept_alive(None, "x", 0, 0))) == expected
    assert not lives
