"""Debian packages unpacked into a folder: no root, nothing on the system changes.

The mirror comes from the machine's own apt configuration at run time. A private
sources list and private state make it work for an ordinary user and keep the
system's lists as they are. apt checks the archive's signature.
"""

import getpass
import os
import platform
import re
import shutil
import threading
from functools import cache
from pathlib import Path

from .paths import CACHE
from .shell import DevError, run, say

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
NO_APT = "Use a Debian 12 or newer machine, or see README.md for doing without it."


@cache
def get_archive(suite: str) -> "Archive":
    """The one archive of this suite: its package lists are fetched once a command."""
    return Archive(suite)


class Archive:
    """One suite of the Debian archive: `host` (the machine's own) or `sid`."""

    def __init__(self, suite: str):
        self.suite = suite
        self.state = CACHE / "apt" / suite
        self._lock = threading.Lock()
        self._updated = False

    def get_versions(self, package: str) -> list[str]:
        """The versions of a package in this suite, newest first."""
        table = self._apt("apt-cache", "madison", package)
        return [line.split("|")[1].strip() for line in table.splitlines() if "|" in line]

    def get_closure(self, package: str) -> list[str]:
        """The package and those of its dependencies that the machine lacks."""
        plan = self._apt(
            "apt-get",
            *("-o", "Dir::State::status=/var/lib/dpkg/status"),
            *("install", "-s", "--no-install-recommends", package),
        )
        return re.findall(r"^Inst (\S+)", plan, re.MULTILINE)

    def download(self, packages: list[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._apt("apt-get", "-qq", "download", *packages, cwd=folder)

    def _apt(self, program: str, *args: str, **options) -> str:
        with self._lock:
            self._update()
        return run(
            [program, *self._get_settings(), *args],
            problem=f"Debian's archive ({self.suite}) did not give what was asked",
            advice="Check the network and /etc/apt/sources.list.",
            **options,
        )

    def _update(self) -> None:
        """Fetch the package lists, once."""
        if self._updated:
            return
        self._require_apt()
        for name in ("lists/partial", "cache/archives/partial", "parts"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        (self.state / "status").touch()
        (self.state / "sources.list").write_text("\n".join(self._get_sources()) + "\n")
        say(f"Debian package lists ({self.suite})")
        run(
            ["apt-get", "-qq", *self._get_settings(), "update"],
            problem="Debian's package lists could not be fetched",
            advice="Check the network and /etc/apt/sources.list.",
        )
        self._updated = True

    def _get_settings(self) -> list[str]:
        return [option for name in self._options() for option in ("-o", name)]

    def _options(self) -> list[str]:
        state = self.state
        return [
            f"Dir::Etc::sourcelist={state}/sources.list",
            f"Dir::Etc::sourceparts={state}/parts",
            "Dir::Etc::preferences=/dev/null",
            f"Dir::Etc::preferencesparts={state}/parts",
            f"Dir::State={state}",
            f"Dir::State::lists={state}/lists",
            f"Dir::State::status={state}/status",
            f"Dir::Cache={state}/cache",
            f"APT::Sandbox::User={getpass.getuser()}",
            "APT::Get::AllowUnauthenticated=false",
            "Acquire::AllowInsecureRepositories=false",
            "Acquire::AllowDowngradeToInsecureRepositories=false",
            "Acquire::Languages=none",
        ]

    def _require_apt(self) -> None:
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise DevError("Debian's apt is not on this machine.", NO_APT)
        if not KEYRING.exists():
            raise DevError(
                f"{KEYRING} is missing, so Debian packages cannot be verified.",
                "Install the package debian-archive-keyring.",
            )

    def _get_sources(self) -> list[str]:
        """The sources list: the machine's mirrors of its own release, or sid."""
        codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
        sources = _get_machine_sources(codename)
        if self.suite == "sid":
            sources = [(sources[0][0], "sid")]
        return [f"deb [signed-by={KEYRING}] {uri} {suite} main" for uri, suite in sources]


def _get_machine_sources(codename: str) -> list[tuple[str, str]]:
    """(mirror, suite) of the machine's own Debian release; its main suite comes first."""
    listing = run(
        ["apt-get", "indextargets", "--no-release-info", "--format"]
        + ["$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
        problem="apt could not tell its sources",
    )
    sources = _choose_sources(listing, codename)
    if not sources or sources[0][1] != codename:
        raise DevError(f"apt has no source for Debian {codename or '(unknown)'}.", NO_APT)
    return sources


def _choose_sources(listing: str, codename: str) -> list[tuple[str, str]]:
    """Debian's own sources: other archives use its suite names with keys of their own.

    A mirror of Debian is recognised by its address, which ends in debian or
    debian-security by custom. Where there is no such address, all sources count.
    """
    suites = (codename, f"{codename}-security", f"{codename}-updates")
    found = {tuple(line.split()) for line in listing.splitlines()}
    ours = [item[:2] for item in found if item[1] in suites and item[2] == "main"]
    mirrors = [item for item in ours if item[0].rstrip("/").split("/")[-1].startswith("debian")]
    return sorted(mirrors or ours, key=lambda item: (item[1], item[0]))


def unpack(packages: Path, root: Path) -> None:
    """Unpack every package of a folder into one root."""
    root.mkdir(parents=True, exist_ok=True)
    for package in sorted(packages.glob("*.deb")):
        run(["dpkg-deb", "-x", package, root], problem=f"{package.name} is damaged")


def get_library_folders(root: Path) -> list[str]:
    """Where an unpacked program finds its libraries."""
    triplet = os.uname().machine + "-linux-gnu"
    folders = [root / place / triplet for place in ("usr/lib", "lib")]
    return [str(folder) for folder in folders if folder.is_dir()]
