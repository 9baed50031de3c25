"""Released versions: their addons as they were, and a database that each of them left behind.

`pins/releases.txt` names the commit of each, so a clone without tags will do. The database is
made by the release's own code and kept in the cache as a dump.
"""

import subprocess
import tarfile
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from . import databases, servers
from .paths import ROOT, STATE, fingerprint
from .shell import DevError, building, is_built, remove
from .workspace import Workspace

PINS = Path(__file__).with_name("pins") / "releases.txt"
MAKER = Path(__file__).with_name("inside") / "upgrading.py"
#: Without queue_job's bridge: it hands work over to a server of its own, which does not run here.
MODULES = ("invoice_run", "invoice_run_crm", "invoice_run_ubl")


class Release(NamedTuple):
    """A version that was released."""

    version: str
    commit: str

    @property
    def folder(self) -> Path:
        """Where its addons are, once `get_addons` was called."""
        return STATE / "releases" / self.commit


def get_last() -> Release:
    """The version that partners upgrade from."""
    lines = (line.split("#")[0].split() for line in PINS.read_text().splitlines())
    return [Release(*line) for line in lines if line][-1]


def get_addons(release: Release) -> Path:
    """The folder with the release's addons, taken from the history of this clone."""
    if not is_built(release.folder):
        archive = subprocess.run(
            ["git", "archive", release.commit], cwd=ROOT, capture_output=True, check=False
        )
        if archive.returncode:
            raise DevError(
                f"The history of this clone does not reach back to {release.version}.",
                "`git fetch --unshallow` completes it.",
            )
        with (
            building(release.folder) as folder,
            tarfile.open(fileobj=BytesIO(archive.stdout)) as files,
        ):
            files.extractall(folder, filter="data")
    return release.folder


def get_workspace(space: Workspace, release: Release) -> Workspace:
    """A workspace in which Odoo finds the release's addons in place of the present ones."""
    return space.with_addons(STATE / f"odoo-{release.version}.conf", get_addons(release))


def database(space: Workspace, release: Release) -> AbstractContextManager[str]:
    """A database that the release left behind, dropped at the end."""
    return databases.cached_copy(
        space,
        "release",
        fingerprint(release.commit, MAKER.read_text()),
        lambda name: _fill(space, release, name),
    )


def _fill(space: Workspace, release: Release, name: str) -> None:
    """Install the release's addons and have them carry out runs of every state."""
    old = get_workspace(space, release)
    databases.install(old, name, MODULES)
    mails = STATE / "mail" / "release"
    remove(mails)
    with servers.mail_sink(space, mails) as port:
        old.script(
            name,
            "from devtools.inside import upgrading; upgrading.make(env)",
            problem=f"{release.version} could not carry out its runs",
            SMTP_PORT=port,
        )
