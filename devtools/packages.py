"""`./dev package`: what partners install, a zip for the app store and a wheel for pip, per addon.

Both hold the files that git knows, as they are in the folder. The wheels are built by OCA's
builder (whool) and are called `odoo-addon-…`, as OCA's own are.
"""

import os
import zipfile
from pathlib import Path

from . import store_rules, venv
from .paths import ROOT, addon_folders
from .shell import DevError, remove, run, say

DIST = ROOT / "dist"
#: The same files give the same archive.
DAY = (2026, 1, 1, 0, 0, 0)
BUILD = "import sys; from whool.buildapi import build_wheel; build_wheel(sys.argv[1])"
#: The version is the manifest's: whool would add the number of commits since it was changed.
NO_COUNT = {"WHOOL_POST_VERSION_STRATEGY_OVERRIDE": "none"}


def main() -> int:
    """Build all packages into `dist/`; refuse what the store would refuse."""
    venv.prepare()
    complaints = list(store_rules.get_complaints())
    if complaints:
        raise DevError("The app store would refuse this:", "\n".join(complaints))
    remove(DIST)
    for path in build_all(DIST):
        print(path.relative_to(ROOT))
    return 0


def build_all(target: Path) -> list[Path]:
    """Build the zip and the wheel of every addon into a folder; return their paths."""
    target.mkdir(parents=True, exist_ok=True)
    for folder in addon_folders():
        say(f"package {folder.name}")
        build_zip(folder, target)
        build_wheel(folder, target)
    return sorted(target.iterdir())


def build_zip(folder: Path, target: Path) -> Path:
    """The archive that the app store sells and that is unpacked into a folder of addons."""
    version = store_rules.read_manifest(folder)["version"]
    path = target / f"{folder.name}-{version}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in get_files(folder):
            entry = zipfile.ZipInfo(f"{folder.name}/{file.relative_to(folder)}", DAY)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return path


def build_wheel(folder: Path, target: Path) -> None:
    """The wheel, by the builder that the addon's own pyproject.toml names."""
    run(
        [venv.PYTHON, "-c", BUILD, target],
        problem=f"The wheel of {folder.name} could not be built",
        cwd=folder,
        env={**os.environ, **NO_COUNT},
    )


def get_files(folder: Path) -> list[Path]:
    """The files of an addon that git knows."""
    names = run(["git", "ls-files", "-z"], problem="git does not know the addon", cwd=folder)
    return [folder / name for name in sorted(names.split("\0")) if name]
