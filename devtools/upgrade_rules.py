"""What an upgrade must not lose: fields and models of the last release, compared with the present.

A stored field, or a model, that the release had and that is gone or of another type now needs a
script in `migrations/` of a later version that names it: Odoo keeps the column of a field that has
gone, but nobody reads it any more.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import releases
from .house import Model, get_models
from .paths import ROOT, addon_folders

#: Fields of which the database keeps nothing.
NOT_STORED = {"compute", "related"}
TYPES = {"Reference": "Char", "Html": "Text", "Text": "Text"}


class Schema(NamedTuple):
    """What a version keeps in the database."""

    models: set[str]
    #: {(model, field): type}
    fields: dict[tuple[str, str], str]


def get_complaints() -> Iterator[str]:
    """Yield a line for each thing that an upgrade from the last release would lose."""
    release = releases.get_last()
    yield from compare(
        read_schema(releases.get_addons(release)),
        read_schema(ROOT),
        release.version,
        _read_scripts(release.version),
    )
    yield from _get_version_complaints(release)


def compare(before: Schema, after: Schema, version: str, scripts: str) -> Iterator[str]:
    """Yield what `before`, of this version, has and `after` lacks, unless a script names it."""
    for model in sorted(before.models - after.models):
        if not _is_named(scripts, model.replace(".", "_")):
            yield f"{model} was in {version}: its table needs a script in migrations/"
    for (model, field), kind in sorted(before.fields.items()):
        now = after.fields.get((model, field))
        is_kept = model in after.models or model not in before.models
        if is_kept and now != kind and not _is_named(scripts, field):
            became = f"is {now} now" if now else "is gone"
            yield f"{model}.{field} ({kind} in {version}) {became}: migrations/ must say how"


def read_schema(root: Path) -> Schema:
    """Read the models of all addons in a folder, without loading Odoo."""
    classes = [
        model
        for manifest in sorted(root.glob("*/__manifest__.py"))
        for path in sorted(manifest.parent.rglob("*.py"))
        if not {"tests", "migrations"} & set(path.parts)
        for model in get_models(path)
    ]
    own = {model.name for model in classes if model.is_definition and _is_kept(model)}
    extended = {model.name for model in classes} - {m.name for m in classes if m.is_definition}
    fields = {
        (name, field): kind
        for name in own | extended
        for source in _get_ancestors(name, classes)
        for field, kind in _get_stored_fields(source)
    }
    return Schema(own, fields)


def _is_kept(model: Model) -> bool:
    return "models.Model)" in model.text.partition("\n")[0]


def _get_ancestors(name: str, classes: list[Model]) -> Iterator[Model]:
    """The classes that a model is made of, those of the mixins that it inherits included."""
    waiting, seen = {name}, set()
    while waiting:
        current = waiting.pop()
        seen.add(current)
        for model in classes:
            if model.name == current:
                yield model
                waiting |= set(model.parents) - seen


def _get_stored_fields(model: Model) -> Iterator[tuple[str, str]]:
    (node,) = ast.parse(model.text).body
    for statement in node.body:
        call = statement.value if isinstance(statement, ast.Assign) else None
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("fields."):
            options = {option.arg: ast.unparse(option.value) for option in call.keywords}
            if not NOT_STORED & set(options) or options.get("store") == "True":
                kind = ast.unparse(call.func).removeprefix("fields.")
                yield statement.targets[0].id, TYPES.get(kind, kind)


def _read_scripts(version: str) -> str:
    """All scripts of versions after this one."""
    return "\n".join(
        path.read_text()
        for folder in addon_folders()
        for path in sorted(folder.glob("migrations/*/*.py"))
        if parse_version(path.parent.name) > parse_version(version)
    )


def _is_named(scripts: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", scripts) is not None


def parse_version(version: str) -> list[int]:
    """The numbers of a version, in the order in which versions follow one another."""
    return [int(part) for part in version.split(".")]


def _get_version_complaints(release: releases.Release) -> Iterator[str]:
    """Yield where versions contradict the changelog, the scripts or the release."""
    version = _get_version(ROOT / "invoice_run")
    newest = re.findall(r"(?m)^## (\S+)", (ROOT / "CHANGELOG.md").read_text())[0]
    if newest != version:
        yield f"CHANGELOG.md begins with {newest}, the manifest of invoice_run says {version}"
    if parse_version(version) < parse_version(release.version):
        yield f"the manifest of invoice_run says {version}, but {release.version} is released"
    for folder in addon_folders():
        own = _get_version(folder)
        for path in folder.glob("migrations/*"):
            if parse_version(path.name) > parse_version(own):
                yield f"{folder.name} is {own}: Odoo would not run migrations/{path.name} yet"
        old = releases.get_addons(release) / folder.name
        if old.is_dir() and _get_version(old) == own and _read_files(old) != _read_files(folder):
            yield f"{folder.name} was released as {own} and has changed: give it the next version"


def _get_version(folder: Path) -> str:
    return ast.literal_eval((folder / "__manifest__.py").read_text())["version"]


def _read_files(folder: Path) -> dict[Path, bytes]:
    """Read what is installed of an addon: Odoo upgrades it only when its version rises."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"tests", "__pycache__"} & set(path.parts)
    }
