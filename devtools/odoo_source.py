"""Odoo 19 itself: a checkout, an installed one, or Debian's package.

PyPI has no Odoo. Debian's package `odoo-19` is pinned by version and checksum;
it is unpacked into the cache, beside the fonts and scripts that it links to.
"""

import hashlib
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from . import apt
from .paths import CACHE, fingerprint
from .shell import DevError, building, is_built, locked, run, say

PACKAGE = "odoo-19"
PINNED = "19.0.0+dfsg-1"
SHA256 = "9d2f598b0555db17e291d48ed24df184c70823c053c4c5ed53c467ca7f629bbf"
FROM_HOST = [
    "fonts-font-awesome",
    "fonts-roboto-unhinted",
    "fonts-inconsolata",
    "fonts-ocr-b",
    "libjs-jquery",
    "libjs-jquery-form",
    "libjs-underscore",
]
FROM_SID = ["fonts-montserrat"]
IN_PACKAGE = Path("usr/lib/python3/dist-packages")
# Left out of Debian's build; without the file every browser test ends with an error.
LEFT_OUT = Path("odoo/addons/mail/static/lib/selfie_segmentation/selfie_segmentation.js")
ADVICE = "Set ODOO_PATH to a checkout of Odoo 19."


@dataclass(frozen=True)
class OdooSource:
    """An Odoo that can be imported when `path` is on Python's path."""

    path: Path
    build: str

    @cached_property
    def addons_paths(self) -> list[Path]:
        """A checkout has two folders; a package has all in one, whatever lies beside."""
        inside = self.path / "odoo" / "addons"
        return [inside] if (inside / "account").is_dir() else [self.path / "addons", inside]


def get_odoo() -> OdooSource:
    """The Odoo to work with: the user's own if there is one, else Debian's."""
    return _get_checkout() or _get_installed() or _get_debian()


def _get_checkout() -> OdooSource | None:
    configured = os.environ.get("ODOO_PATH")
    if not configured:
        return None
    path = Path(configured).resolve()
    version = _read_version(path)
    if version != "19.0":
        found = f"Odoo {version}" if version else "no Odoo"
        raise DevError(f"ODOO_PATH={configured} holds {found}.", ADVICE)
    return OdooSource(path, fingerprint(path, _get_revision(path)))


def _get_installed() -> OdooSource | None:
    """An `odoo` that the Python running this can import.

    In a test that is .venv's Python, and what it imports may be Debian's from the cache.
    """
    for path in map(Path, sys.path[1:]):
        if not path.is_relative_to(CACHE) and _read_version(path) == "19.0":
            return OdooSource(path, fingerprint(path))
    return None


def _read_version(path: Path) -> str | None:
    """The series of the Odoo at this path, without importing it."""
    release = path / "odoo" / "release.py"
    if not release.is_file():
        return None
    found = re.search(r"^version_info = \((\d+), (\d+)", release.read_text(), re.MULTILINE)
    return ".".join(found.groups()) if found else None


def _get_revision(path: Path) -> str:
    """What tells two states of a checkout apart: its commit, where git knows it."""
    if not (path / ".git").exists():
        return ""
    try:
        return run(["git", "-C", path, "rev-parse", "HEAD"], problem="git").strip()
    except DevError:
        return ""


def _get_debian() -> OdooSource:
    """The pinned build, or the one that took its place in the archive."""
    home = CACHE / "odoo"
    with locked(home / "lock", "Odoo's source"):
        root = _get_cached(home) or _fetch(home)
    return OdooSource(root / IN_PACKAGE, root.name)


def _get_cached(home: Path) -> Path | None:
    """An unpacked build, the pinned one first, else the newest."""
    if is_built(home / PINNED):
        return home / PINNED
    others = [root for root in home.glob("19.0*") if is_built(root)]
    if not others:
        return None
    newest = max(others, key=lambda root: (root / ".ok").stat().st_mtime)
    say(f"Odoo {newest.name} from the cache, not the pinned {PINNED}")
    return newest


def _fetch(home: Path) -> Path:
    sid, host = apt.get_archive("sid"), apt.get_archive("host")
    version = _choose_version(sid.get_versions(PACKAGE))
    with building(home / version) as root:
        say(f"Odoo {version}: download")
        packages = root / "packages"
        sid.download([f"{PACKAGE}={version}", *FROM_SID], packages)
        host.download(FROM_HOST, packages)
        _verify(packages, version)
        say("Odoo: unpack")
        _unpack(packages, root)
    return home / version


def _choose_version(versions: list[str]) -> str:
    if PINNED in versions:
        return PINNED
    for version in versions:
        if version.startswith("19.0"):
            say(f"Debian's archive no longer has {PACKAGE} {PINNED}: taking {version}")
            return version
    raise DevError(f"Debian's archive has no {PACKAGE} 19.0.", ADVICE)


def _verify(packages: Path, version: str) -> None:
    """apt checked the signature; the pinned build is checked by content too."""
    if version != PINNED:
        return
    (package,) = packages.glob(f"{PACKAGE}_*.deb")
    with package.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != SHA256:
        raise DevError(f"{package.name} is not the pinned build: sha256 {found}.", ADVICE)


def _unpack(packages: Path, root: Path) -> None:
    apt.unpack(packages, root)
    for package in packages.iterdir():
        package.unlink()
    packages.rmdir()
    missing = root / IN_PACKAGE / LEFT_OUT
    if not missing.exists():
        missing.parent.mkdir(parents=True, exist_ok=True)
        missing.write_text("/* not part of Debian's build */\n")
    _refuse_dangling_links(root)


def _refuse_dangling_links(root: Path) -> None:
    """A link into a package that was not unpacked would fail much later."""
    links = (path for path in root.rglob("*") if path.is_symlink())
    dangling = [str(link.relative_to(root)) for link in links if not link.exists()]
    if dangling:
        release = platform.freedesktop_os_release().get("PRETTY_NAME", "this system")
        raise DevError(
            f"{PACKAGE} needs files that {release} lacks: {', '.join(dangling[:3])}", ADVICE
        )
