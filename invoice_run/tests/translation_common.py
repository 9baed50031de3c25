import io
import re
from collections import Counter

import polib

from odoo.tests import TransactionCase
from odoo.tools import file_path
from odoo.tools.translate import trans_export

LANGUAGES = ("de", "es", "fr", "nl")
# Named and plain placeholders, placeholders of names of invoices, tags with their attributes.
KEPT = re.compile(r"%\(\w+\)[sd]|%%|%[sd]|\{\w+(?::[^}]*)?\}|</?\w+")
TRANSLATED_ATTRIBUTES = re.compile(r'(title|aria-label|placeholder|alt)="[^"]*"')
TAG = re.compile(r"<[^>]+>")


class TranslationCommon(TransactionCase):
    """The files in `i18n` of an addon; `./dev translate` brings them into line."""

    def _export(self, addon):
        buffer = io.BytesIO()
        trans_export(False, [addon], buffer, "po", self.env)
        return {entry.msgid for entry in polib.pofile(buffer.getvalue().decode())}

    def _read(self, addon, name):
        return polib.pofile(file_path(f"{addon}/i18n/{name}"))

    def _check_addon(self, addon):
        """The template has the terms of the code, and every language has each of them."""
        terms = {entry.msgid for entry in self._read(addon, f"{addon}.pot")}
        self.assertEqual(terms ^ self._export(addon), set(), "run ./dev translate")
        for language in LANGUAGES:
            with self.subTest(addon=addon, language=language):
                entries = self._read(addon, f"{language}.po")
                self.assertEqual({entry.msgid for entry in entries}, terms)
                self.assertEqual([entry.msgid for entry in entries if self._is_open(entry)], [])
                self.assertEqual([entry.msgid for entry in entries if self._is_wrong(entry)], [])

    def _is_open(self, entry):
        return entry.fuzzy or entry.obsolete or not entry.msgstr.strip()

    def _is_wrong(self, entry):
        """Whether a placeholder or a tag differs; texts in attributes are translated."""
        return self._get_kept(entry.msgid) != self._get_kept(entry.msgstr)

    def _get_kept(self, text):
        tags = (TRANSLATED_ATTRIBUTES.sub(r"\1", tag) for tag in TAG.findall(text))
        return Counter([*KEPT.findall(text), *tags])
