"""`./dev lint`: every checker reports what it finds; one complaint fails the command."""

from collections.abc import Iterator
from pathlib import Path

from . import house, node, store_rules, upgrade_rules, venv
from .paths import ROOT, STATE, addon_folders
from .shell import attend, locked, say

PYLINT_OFF = "manifest-required-author,consider-merging-classes-inherited"
# READMEs are Markdown, as the page of the repository is.
OCA_OFF = "prefer-readme-rst"
# It empties a translation that equals its term: then nobody sees what is not translated yet.
PO_OFF = "po-pretty-format"
FORMATTED = (".xml", ".js", ".scss", ".css", ".json", ".yml", ".yaml")


def main(fix: bool = False) -> int:
    """Run the checkers; `fix` formats first and corrects what can be corrected."""
    with locked(STATE / "lock", "the set-up of this clone"):
        venv.prepare()
        prettier = _get_prettier()
    failed = [name for name, command in _get_checks(prettier, fix) if _fails(name, command)]
    say("house rules")
    rules = (house, upgrade_rules, store_rules)
    complaints = [text for module in rules for text in module.get_complaints()]
    print(*complaints, sep="\n", end="\n" if complaints else "")
    failed += ["house rules"] if complaints else []
    print(f"lint: {', '.join(failed) + ' failed' if failed else 'all fine'}")
    return 1 if failed else 0


def _fails(name: str, command: list) -> bool:
    say(name)
    return attend([str(part) for part in command], cwd=ROOT) != 0


def _get_checks(prettier: list, fix: bool) -> Iterator[tuple[str, list]]:
    """Name and command of each check that has something to look at."""
    program = venv.PYTHON.with_name
    yield "ruff format", [program("ruff"), "format", "--quiet", *([] if fix else ["--diff"]), "."]
    yield "ruff check", [program("ruff"), "check", "--quiet", *(["--fix"] if fix else []), "."]
    addons = [folder.name for folder in addon_folders()]
    if addons:
        yield "pylint-odoo", [program("pylint"), "--disable", PYLINT_OFF, *addons]
        yield (
            "oca-checks-odoo-module",
            [*(program("oca-checks-odoo-module"), "--disable", OCA_OFF, *addons)],
        )
    translations = [str(path) for path in _get_files((".po", ".pot"))]
    if translations:
        yield "oca-checks-po", [program("oca-checks-po"), "--disable", PO_OFF, *translations]
    files = [str(path) for path in _get_files(FORMATTED)]
    if files:
        yield "prettier", [*prettier, "--write" if fix else "--check", *files]


def _get_files(suffixes: tuple[str, ...]) -> list[Path]:
    """The addons' own files; libraries that they carry along are left as they are."""
    return [
        path.relative_to(ROOT)
        for folder in addon_folders()
        for path in sorted(folder.rglob("*"))
        if path.suffix in suffixes and "lib" not in path.parts
    ]


def _get_prettier() -> list:
    """Prettier with its XML plugin, as pinned by devtools/pins/package-lock.json."""
    modules = node.get_modules()
    plugin = modules / "@prettier/plugin-xml/src/plugin.js"
    program = [node.get_node(), modules / "prettier/bin/prettier.cjs", "--log-level", "warn"]
    return [*program, "--plugin", plugin, "--config", ROOT / ".prettierrc.json"]
