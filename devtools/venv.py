"""The virtual environment: exactly what requirements.lock says, hashes checked.

uv installs it, itself pinned by hash and kept in the cache. The addresses of
registries come from the machine's pip configuration.
"""

import os
import re
import sys
import venv
from pathlib import Path

from . import apt
from .paths import CACHE, LOCK_FILE, ROOT, VENV, fingerprint, lock_fingerprint
from .shell import DevError, building, is_built, locked, remove, run, say, succeeds

PINS = Path(__file__).with_name("pins")
UV_PIN = PINS / "uv.txt"
# packages that others ask for and that are no business of pip: Odoo itself
ELSEWHERE = PINS / "elsewhere.txt"
PYTHON = VENV / "bin" / "python"
NETWORK = "Check the network and pip's configuration (`pip config list`)."


def prepare() -> None:
    """Make .venv what the lock says; returns at once when it is."""
    stamp = VENV / ".ok"
    wanted = fingerprint(lock_fingerprint(), ROOT, sys.version)
    if stamp.exists() and stamp.read_text() == wanted and PYTHON.exists():
        return
    uv = get_uv()
    say("Python packages")
    _make(stamp)
    _sync(uv)
    stamp.write_text(wanted)


def get_packages() -> Path:
    """The folder in which the packages are."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return VENV / "lib" / version / "site-packages"


def add_to_path(path: Path) -> None:
    """Make Odoo importable, after everything that the lock installed."""
    link = get_packages() / "_odoo.pth"
    if not link.exists() or link.read_text() != f"{path}\n":
        link.write_text(f"{path}\n")


def compile_lock() -> None:
    """Write requirements.lock anew from requirements.txt; no address in it."""
    run(
        [get_uv(), "pip", "compile", "--quiet", "--upgrade", "--universal"]
        + ["--python-version", "3.11", "--generate-hashes", "--no-header"]
        + ["--no-annotate", "--output-file", LOCK_FILE]
        + ["--excludes", ELSEWHERE, ROOT / "requirements.txt"],
        problem="requirements.lock could not be made",
        advice=NETWORK,
        env=_uv_env(),
    )


def _make(stamp: Path) -> None:
    """An empty environment; one made by another Python or moved here is redone."""
    stamp.unlink(missing_ok=True)
    settings = VENV / "pyvenv.cfg"
    if settings.exists() and f"{sys.version_info.major}.{sys.version_info.minor}." in (
        settings.read_text()
    ):
        return
    remove(VENV)
    venv.create(VENV, with_pip=False, symlinks=True)


def _sync(uv: Path) -> None:
    """Install from the cache alone if it has everything: then no network is needed."""
    command = [uv, "pip", "sync", "--quiet", "--python", PYTHON, "--require-hashes"]
    if succeeds([*command, "--offline", LOCK_FILE], env=_uv_env()):
        return
    run(
        [*command, LOCK_FILE],
        problem="The Python packages could not be installed",
        advice=NETWORK,
        env=_uv_env(),
    )


def install_into(folder: Path, pin: Path, *options: str) -> None:
    """Install pinned packages into a folder outside of the environment."""
    run(
        [get_uv(), "pip", "install", "--quiet", "--python", PYTHON, "--require-hashes"]
        + ["--target", folder, *options, "-r", pin],
        problem=f"{pin.stem} could not be installed",
        advice=NETWORK,
        env=_uv_env(),
    )


def get_uv() -> Path:
    """uv from the cache, put there by pip the first time."""
    home = CACHE / "uv-bin" / fingerprint(UV_PIN.read_text(), os.uname().machine)
    with locked(CACHE / "uv-bin" / "lock", "uv"):
        if not is_built(home):
            say("uv")
            with building(home) as folder:
                _install_uv(folder)
    return home / "bin" / "uv"


def _install_uv(folder: Path) -> None:
    run(
        [*_get_pip(folder), "install", "--quiet", "--disable-pip-version-check"]
        + ["--require-hashes", "--no-deps", "--target", folder, "-r", UV_PIN],
        problem="uv could not be installed",
        advice=NETWORK,
    )


def _get_pip(folder: Path) -> list:
    """A pip to start with: this Python's own, its bundled one, or Debian's wheel."""
    if succeeds([sys.executable, "-m", "pip", "--version"]):
        return [sys.executable, "-m", "pip"]
    seed = folder / "seed"
    try:
        venv.create(seed, with_pip=True, symlinks=True)
        return [seed / "bin" / "python", "-m", "pip"]
    except Exception:  # ensurepip is missing in many ways: no module, no wheel, a failed call
        return [sys.executable, _get_debian_pip(folder / "debian")]


def _get_debian_pip(folder: Path) -> Path:
    """Debian splits ensurepip off; its pip is a wheel, which runs as it is."""
    archive = apt.get_archive("host")
    archive.download(["python3-pip-whl"], folder)
    apt.unpack(folder, folder)
    wheels = list(folder.glob("usr/share/python-wheels/pip-*.whl"))
    if not wheels:
        raise DevError("Python's pip is missing.", "Install python3-pip or python3-venv.")
    return wheels[0] / "pip"


def _uv_env() -> dict[str, str]:
    """What the machine's pip is told, said in uv's words; uv's own words win."""
    env = dict(os.environ)
    env.setdefault("UV_CACHE_DIR", str(CACHE / "uv"))
    env.setdefault("UV_LINK_MODE", "hardlink" if _same_disk() else "copy")
    settings = _read_pip_settings()
    for theirs, ours in (
        ("index-url", "UV_DEFAULT_INDEX"),
        ("cert", "SSL_CERT_FILE"),
    ):
        if settings.get(theirs):
            env.setdefault(ours, settings[theirs])
    return env


def _same_disk() -> bool:
    CACHE.mkdir(parents=True, exist_ok=True)
    return CACHE.stat().st_dev == ROOT.stat().st_dev


def _read_pip_settings() -> dict[str, str]:
    """pip's configuration, the environment's first; empty where pip is missing."""
    settings: dict[str, str] = {}
    try:
        listing = run([sys.executable, "-m", "pip", "config", "list"], problem="pip")
    except DevError:
        listing = ""
    pattern = re.compile(r"^(global|install|:env:)\.([\w-]+)='(.*)'$", re.MULTILINE)
    for _section, name, value in pattern.findall(listing):
        settings[name] = value
    return settings
