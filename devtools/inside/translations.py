"""Runs in an Odoo shell: Odoo's own export, made the same on every machine and every day."""

import io
import json
import os
from pathlib import Path

import polib

from odoo.tools.translate import trans_export

LANGUAGES = ("de", "es", "fr", "nl")
PLURALS = {"fr": "nplurals=2; plural=(n > 1);"}
MOMENTS = ("POT-Creation-Date", "PO-Revision-Date")


def main(env) -> None:
    """Write the template of each addon and bring its translations into line."""
    for folder in map(Path, json.loads(os.environ["TRANSLATED_ADDONS"])):
        template = export(env, folder.name)
        _write(template, folder / "i18n" / f"{folder.name}.pot")
        for language in LANGUAGES:
            _merge(template, folder / "i18n" / f"{language}.po", language)


def export(env, addon: str) -> polib.POFile:
    """The terms of an addon, without the moment of the export."""
    buffer = io.BytesIO()
    trans_export(False, [addon], buffer, "po", env)
    template = polib.pofile(buffer.getvalue().decode())
    for moment in MOMENTS:
        template.metadata.pop(moment)
    return template


def _merge(template: polib.POFile, path: Path, language: str) -> None:
    """Keep what is translated, add the new terms empty, and leave out what is gone.

    A term whose text has changed is a new one: nothing is guessed.
    """
    known = {entry.msgid: entry.msgstr for entry in _read(path) if not entry.fuzzy}
    translated = polib.POFile()
    translated.header = template.header
    translated.metadata = template.metadata | {
        "Language": language,
        "Plural-Forms": PLURALS.get(language, "nplurals=2; plural=(n != 1);"),
    }
    for entry in template:
        values = {"comment": entry.comment, "occurrences": entry.occurrences}
        msgstr = known.get(entry.msgid, "")
        translated.append(polib.POEntry(msgid=entry.msgid, msgstr=msgstr, **values))
    _write(translated, path)
    missing = [entry.msgid for entry in translated if not entry.msgstr]
    print(f"{path.parent.parent.name} {language}: {len(translated)} terms, {len(missing)} missing")
    print("".join(f"    {msgid!r}\n" for msgid in missing), end="")


def _read(path: Path) -> polib.POFile:
    return polib.pofile(str(path)) if path.exists() else polib.POFile()


def _write(file: polib.POFile, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(str(file))
