"""A browser for the tours and the patched-Qt wkhtmltopdf for the PDFs.

Both are put first on the PATH of what ./dev starts, under the names that Odoo
looks for. Debian's wkhtmltopdf is of no use: built on a Qt without patches, it
knows no headers and footers and writes text as pictures.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from . import apt
from .paths import CACHE, STATE, VENV
from .shell import DevError, building, is_built, locked, run, say, succeeds

BIN = STATE / "bin"
NAMES = ("google-chrome", "chromium", "chromium-browser", "google-chrome-stable")
ADVICE = "Install Chromium (`apt-get install chromium`)."
LAUNCHER = """#!/bin/sh
# Chromium as Debian built it, with the libraries unpacked beside it.
export LD_LIBRARY_PATH="{libraries}"
exec "{program}" "$@"
"""


def prepare_pdf() -> None:
    """Offer the wheel's wkhtmltopdf under its usual name."""
    program = VENV / "bin" / "wkhtmltopdf-pack"
    _link("wkhtmltopdf", program)
    version = run([program, "--version"], problem="wkhtmltopdf does not run")
    if "with patched qt" not in version:
        raise DevError(f"wkhtmltopdf is not built on patched Qt: {version.strip()}")


@contextmanager
def fetching() -> Iterator[Future]:
    """Get the browser while other things are done; the future is its program."""
    with ThreadPoolExecutor() as pool:
        yield pool.submit(fetch_browser)


def fetch_browser() -> Path:
    """A browser that runs: the machine's own, else Debian's in the cache."""
    installed = next(filter(None, map(shutil.which, NAMES)), None)
    if installed and _runs(Path(installed)):
        return Path(installed)
    home = CACHE / "chromium"
    with locked(CACHE / "chromium.lock", "the browser"):
        if not (is_built(home) and _runs(home / "chromium")):
            _unpack(home)
    return home / "chromium"


def prepare_browser(program: Path) -> None:
    """Offer the browser under the first name that Odoo looks for."""
    _link(NAMES[0], program)


def _link(name: str, program: Path) -> None:
    """Point BIN/name at a program; at every moment there is one."""
    BIN.mkdir(parents=True, exist_ok=True)
    link = BIN / name
    if link.is_symlink() and link.readlink() == program:
        return
    scratch = BIN / f"{name}.new"
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(program)
    scratch.replace(link)


def _runs(program: Path) -> bool:
    return succeeds([program, "--version"])


def _unpack(home: Path) -> None:
    archive = apt.get_archive("host")
    with building(home) as folder:
        packages = folder / "packages"
        names = archive.get_closure("chromium")
        say(f"browser: {len(names)} Debian packages")
        archive.download(names, packages)
        apt.unpack(packages, folder / "root")
        shutil.rmtree(packages)
        _write_launcher(folder, home)
    if not _runs(home / "chromium"):
        shutil.rmtree(home)
        raise DevError("The unpacked Chromium does not run.", ADVICE)


def _write_launcher(folder: Path, home: Path) -> None:
    """Write the launcher; it names the place where the folder will be in the end."""
    libraries = apt.get_library_folders(folder / "root")
    libraries += [f"{path}/pulseaudio" for path in libraries]
    launcher = folder / "chromium"
    launcher.write_text(
        LAUNCHER.format(
            libraries=":".join(libraries).replace(str(folder), str(home)),
            program=home / "root/usr/lib/chromium/chromium",
        )
    )
    launcher.chmod(0o755)
