"""What the app store asks of an addon, and what its licence asks of it.

From the store's vendor guidelines: the manifest's name has at most 25 characters, an error in it
unpublishes the whole repository; the page `static/description/index.html` has no scripts, and no
links out of the store but to mail and video.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from .paths import ROOT, addon_folders
from .venv import get_packages

SERIES = "19.0"
LONGEST_NAME = 25
REQUIRED = ("name", "summary", "version", "category", "author", "license", "depends")
LICENSES = ("LGPL-3", "AGPL-3")
CURRENCIES = ("EUR", "USD")
SMALLEST_ICON = 128
PNG = b"\x89PNG\r\n\x1a\n"
#: Its words in each addon's README: what a reader of the folder alone must know.
LICENSE_WORDS = {"LGPL-3": "LGPL-3.0", "AGPL-3": "AGPL-3.0"}


def get_complaints() -> Iterator[str]:
    """Yield a line for each thing for which the store would refuse an addon."""
    for folder in addon_folders():
        for text in check(folder):
            yield f"{folder.name}: {text}"


def check(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the addon in this folder."""
    manifest = read_manifest(folder)
    yield from _check_manifest(manifest)
    yield from _check_licenses(manifest)
    yield from _check_page(folder, manifest)
    yield from _check_texts(folder, manifest)


def read_manifest(folder: Path) -> dict:
    """The manifest of the addon in this folder."""
    return ast.literal_eval((folder / "__manifest__.py").read_text())


def _check_manifest(manifest: dict) -> Iterator[str]:
    for key in REQUIRED:
        if not manifest.get(key):
            yield f"the manifest has no {key!r}"
    if len(manifest.get("name", "")) > LONGEST_NAME:
        yield f"the name {manifest['name']!r} has more than {LONGEST_NAME} characters"
    if not re.fullmatch(rf"{re.escape(SERIES)}(\.\d+){{3}}", manifest.get("version", "")):
        yield f"the version is {SERIES}.major.minor.patch"
    if manifest.get("license") not in LICENSES:
        yield f"the licence is one of {', '.join(LICENSES)}"
    if "price" in manifest or "currency" in manifest:
        if not isinstance(manifest.get("price"), (int, float)):
            yield "the price is a number"
        if manifest.get("currency") not in CURRENCIES:
            yield f"a price is in {' or '.join(CURRENCIES)}"


def _check_licenses(manifest: dict) -> Iterator[str]:
    """What builds on AGPL is AGPL itself."""
    for name in manifest.get("depends", ()):
        for root in (ROOT, get_packages() / "odoo" / "addons"):
            if (root / name / "__manifest__.py").is_file():
                license = read_manifest(root / name).get("license")
                if license == "AGPL-3" and manifest.get("license") != license:
                    yield f"it depends on {name}, which is AGPL-3: so it must be"


def _check_page(folder: Path, manifest: dict) -> Iterator[str]:
    pictures = folder / "static" / "description"
    yield from _check_icon(pictures / "icon.png")
    if manifest.get("application") and not manifest.get("images"):
        yield "the manifest has no 'images': the first one is the store's banner"
    for name in manifest.get("images", ()):
        if not (folder / name).is_file():
            yield f"{name} does not exist"
    page = pictures / "index.html"
    if not page.is_file():
        yield "static/description/index.html is missing"
        return
    text = page.read_text()
    if re.search(r"<script|javascript:|\son\w+=", text):
        yield "index.html has a script"
    for target in re.findall(r'(?:src|href)="([^"]+)"', text):
        if re.match(r"https?:|//", target):
            yield f"index.html leads out of the store: {target}"
        elif not re.match(r"mailto:|#", target) and not (pictures / target).is_file():
            yield f"index.html shows {target}, which does not exist"


def _check_icon(icon: Path) -> Iterator[str]:
    header = icon.read_bytes()[:24] if icon.is_file() else b""
    if not header.startswith(PNG):
        yield "static/description/icon.png is missing"
        return
    width, height = (int.from_bytes(header[start : start + 4]) for start in (16, 20))
    if width != height or width < SMALLEST_ICON:
        yield f"the icon is a square of at least {SMALLEST_ICON} pixels, not {width} × {height}"


def _check_texts(folder: Path, manifest: dict) -> Iterator[str]:
    readme = folder / "README.md"
    words = LICENSE_WORDS.get(manifest.get("license"), "")
    if not readme.is_file():
        yield "README.md is missing"
    elif words not in readme.read_text():
        yield f"README.md does not name the licence ({words})"
    if not (folder / "pyproject.toml").is_file():
        yield "pyproject.toml is missing: pip does not know how to build the addon"
