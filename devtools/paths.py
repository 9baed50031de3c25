"""Where things are: the clone's own folders and the cache that clones share."""

import hashlib
import os
import tempfile
from pathlib import Path

from .shell import DevError

PROJECT = "invoice_run"
ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".state"
VENV = ROOT / ".venv"
LOCK_FILE = ROOT / "requirements.lock"
# Bridges from other contract modules, which have a database of their own: nobody has those
# modules beside ours but for the days of moving house.
PEER_ADDONS = ("invoice_run_from_contract", "invoice_run_from_subscription")
# What is installed with them: OCA's addons that they carry something over from.
PEERS = (*PEER_ADDONS, "contract_payment_mode", "contract_variable_quantity")
CLONE_ID = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]


def _get_cache() -> Path:
    """The cache folder by the XDG rules: a relative XDG_CACHE_HOME is ignored."""
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = configured if configured.is_absolute() else Path.home() / ".cache"
    return home / PROJECT


CACHE = _get_cache()


def runtime_folder() -> Path:
    """A private folder with a short path: a socket's path has at most 107 bytes.

    Its parent may be open to everybody, so a folder that another user made
    under this name is refused.
    """
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > 60:
        parent = Path("/tmp")
    folder = parent / f"{PROJECT}-{os.getuid()}-{CLONE_ID}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise DevError(f"{folder} belongs to another user.", "Remove it, or set TMPDIR.")
    folder.chmod(0o700)
    return folder


def addon_folders() -> list[Path]:
    """The addons of this repository."""
    return sorted(manifest.parent for manifest in ROOT.glob("*/__manifest__.py"))


def addon_names() -> list[str]:
    """The addons of this repository that are installed together."""
    return [folder.name for folder in addon_folders() if folder.name not in PEER_ADDONS]


def fingerprint(*parts: object) -> str:
    """A short name for these parts, the same in every process."""
    text = "\n".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def lock_fingerprint() -> str:
    return fingerprint(LOCK_FILE.read_text())
