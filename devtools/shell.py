"""Runs programs, reports progress, and fails with messages that help."""

import fcntl
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STARTED = time.monotonic()
TAIL = 25
_stopping = threading.Event()


class DevError(Exception):
    """Something the user can act on: what is missing, and what to do about it."""

    def __init__(self, problem: str, advice: str = ""):
        super().__init__(f"{problem}\n{advice}".strip())


def say(message: str) -> None:
    """Report progress, to standard error so that results can be piped."""
    print(f"[{time.monotonic() - _STARTED:4.0f}s] {message}", file=sys.stderr, flush=True)


def run(args, *, problem: str, advice: str = "", **options) -> str:
    """The standard output of a program; its last lines in the error when it fails."""
    args = [str(arg) for arg in args]
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    _refuse_when_stopping()
    try:
        done = subprocess.run(args, text=True, check=False, **options)
    except FileNotFoundError:
        raise DevError(f"{problem}: `{args[0]}` is not installed.", advice) from None
    if done.returncode:
        raise DevError(_describe(problem, args, done), advice)
    return done.stdout


def succeeds(args, **options) -> bool:
    """Whether a program can be run and accepts its arguments."""
    args = [str(arg) for arg in args]
    try:
        done = subprocess.run(
            args,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **options,
        )
    except OSError:
        return False
    return done.returncode == 0


def stop_on_signals() -> None:
    """Let Ctrl-C and a polite kill end everything, other threads included."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, _frame) -> None:
    _stopping.set()
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _refuse_when_stopping() -> None:
    """Refuse to start anything new while stopping; the main thread may still tidy up."""
    if _stopping.is_set() and threading.current_thread() is not threading.main_thread():
        raise DevError("Stopped.")


class Terminated(KeyboardInterrupt):
    """Asked to end by a signal that, unlike Ctrl-C, reached this process alone."""


def attend(args: list[str], **options) -> int:
    """Run a program on the terminal; return its exit code.

    Ctrl-C is the program's business: pytest tidies up, a shell goes on.
    """
    process = subprocess.Popen(args, **options)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = process.wait()
    except Terminated:
        process.send_signal(signal.SIGINT)
        end(process, ask=False)
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if code == -signal.SIGINT:
        raise KeyboardInterrupt
    return code


def end(process: subprocess.Popen, ask: bool = True, patience: float = 15) -> None:
    """End a program that this process started, politely if it lets itself be asked."""
    if ask:
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _describe(problem: str, args: list[str], done: subprocess.CompletedProcess) -> str:
    tail = (done.stdout + (done.stderr or "")).strip().splitlines()[-TAIL:]
    command = shlex.join(args[:6]) + (" …" if len(args) > 6 else "")
    return "\n".join([f"{problem} (exit {done.returncode} of {command}).", *tail])


@contextmanager
def locked(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting: another ./dev works on {what}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def building(target: Path) -> Iterator[Path]:
    """Fill a scratch folder that becomes `target` only when all went well.

    The caller holds a lock, so a scratch folder found here was left by a
    process that was stopped.
    """
    scratch = target.with_name(target.name + ".new")
    remove(scratch)
    scratch.mkdir(parents=True)
    yield scratch
    (scratch / ".ok").touch()
    remove(target)
    scratch.rename(target)


def is_built(target: Path) -> bool:
    return (target / ".ok").exists()


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that readers see the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{time.monotonic_ns()}")
    scratch.write_text(text)
    scratch.replace(path)
