"""The house rules of the addons, which no other linter knows.

* A method has one home: no two classes of an addon define it on one model, so the order in which
  files are imported decides nothing.
* Rooms depend one way: a file in `models/<room>/` imports from its own room and from those before
  it, and extends only models of this addon that are defined there.
* `engine/` is pure Python: of Odoo it imports tools only, and no model.
* A model has one file in a room; a further one says in its docstring, or in that of its first
  class, what it keeps apart, in words of its own.
* A state is written only by `_set_state()`, the state of sending only by `_set_send_state()`.
* `tests/__init__.py` imports each module of tests: Odoo's own runner finds no others.
* `# EXTENDS` names another addon, never the one that the file belongs to.
* Comments and docstrings say "invoice": a bill is a vendor's. Names in backquotes keep their words.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .paths import ROOT, addon_folders

#: Each may import from those before it. `docs/architecture.md` says what is in them.
ROOMS = (
    "base",
    "ledger",
    "settings",
    "scenario",
    "source",
    "run",
    "amount",
    "document",
    "contract",
    "delivery",
    "job",
    "review",
    "schedule",
    "accounting",
    "sale",
    "desk",
)
#: Fewer words than these name no idea.
FEWEST_WORDS = 4
#: The mixin whose models have tables of transitions, and what writes a state past its method.
STATES = "invoice.run.states"
STATE_WRITERS = re.compile(
    r"\b(?:write|_write_engine|update)\(\s*\{[^}]*\"(?:state\":|send_state\": \")"
    r"|\.(?:send_)?state = \"|\[\"(?:send_)?state\"\] = "
)
#: The verb "bill". Names have an underscore, a dot, a quote or a colon beside it, or `:param`
#: before it; a vendor's bill and a Swiss QR bill are called that.
BILL_VERB = re.compile(
    r"(?<![\w.`\"'/-])(?<!:param )(?<!vendor )(?<!QR )(?:bill|bills|billed)(?![\w`\"'/-]|\.\w)"
)


class Model(NamedTuple):
    """One class that defines or extends a model."""

    path: Path
    name: str
    #: Whether it defines the model, and does not extend what another class defines.
    is_definition: bool
    parents: tuple[str, ...]
    methods: tuple[str, ...]
    text: str


def get_complaints(root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each breach of a rule, with the file that it stands in."""
    for addon in addon_folders():
        paths = [path for path in sorted(addon.rglob("*.py")) if _is_checked(path)]
        models = [model for path in paths for model in get_models(path)]
        found = [*_get_doubles(models), *_get_late_parents(addon, models)]
        found += _get_state_writers(models)
        found += _get_unexplained_files(addon, models)
        found += _get_forgotten_tests(addon)
        for path in paths:
            found += [(path, text) for text in _get_text_complaints(addon, path)]
        yield from (f"{path.relative_to(root)}: {text}" for path, text in found)


def _is_checked(path: Path) -> bool:
    return not {"tests", "migrations", "lib"} & set(path.parts)


def get_models(path: Path) -> Iterator[Model]:
    """Yield the classes of this file that define or extend a model of Odoo."""
    text = path.read_text()
    for node in ast.parse(text).body:
        if not isinstance(node, ast.ClassDef):
            continue
        values = {
            statement.targets[0].id: ast.literal_eval(statement.value)
            for statement in node.body
            if isinstance(statement, ast.Assign)
            and getattr(statement.targets[0], "id", "") in ("_name", "_inherit")
        }
        inherited = values.get("_inherit", ())
        parents = (inherited,) if isinstance(inherited, str) else tuple(inherited)
        name = values.get("_name") or (parents[0] if parents else None)
        methods = tuple(item.name for item in node.body if isinstance(item, ast.FunctionDef))
        if name:
            body = ast.get_source_segment(text, node)
            yield Model(path, name, name not in parents, parents, methods, body)


def _get_doubles(models: list[Model]) -> Iterator[tuple[Path, str]]:
    homes = defaultdict(list)
    for model in models:
        for method in model.methods:
            homes[model.name, method].append(model.path)
    for (name, method), paths in homes.items():
        for path in paths[1:]:
            yield path, f"{name}.{method}() is defined in {paths[0].name} too: one home for it"


def _get_late_parents(addon: Path, models: list[Model]) -> Iterator[tuple[Path, str]]:
    own = {model.name: _get_room(addon, model.path) for model in models if model.is_definition}
    for model in models:
        room = _get_room(addon, model.path)
        for parent in model.parents:
            if room and own.get(parent) and ROOMS.index(own[parent]) > ROOMS.index(room):
                yield model.path, f"{room}/ comes before {own[parent]}/, where {parent} is defined"


def _get_state_writers(models: list[Model]) -> Iterator[tuple[Path, str]]:
    names = {model.name for model in models if STATES in model.parents}
    for model in models:
        if model.name in names and STATE_WRITERS.search(model.text):
            yield model.path, f"a state of {model.name} is written by its own method alone"


def _get_unexplained_files(addon: Path, models: list[Model]) -> Iterator[tuple[Path, str]]:
    files = defaultdict(dict)
    for model in models:
        if room := _get_room(addon, model.path):
            files[model.name, room][model.path] = (
                files[model.name, room].get(model.path, False) or model.is_definition
            )
    for (name, room), homes in files.items():
        ideas = set()
        # the home of the model first: it needs no reason
        for number, path in enumerate(sorted(homes, key=lambda path: not homes[path])):
            idea = _get_idea(path)
            is_said = len(idea.split()) >= FEWEST_WORDS and idea not in ideas
            ideas.add(idea)
            if number and not is_said:
                yield path, f"say in its docstring what of {name} it keeps apart within {room}/"


def _get_forgotten_tests(addon: Path) -> Iterator[tuple[Path, str]]:
    """Yield tests that Odoo's own runner would not find."""
    home = addon / "tests" / "__init__.py"
    named = home.read_text().split() if home.exists() else ()
    for path in sorted(addon.glob("tests/test_*.py")):
        if path.stem not in named:
            yield path, "import it in tests/__init__.py, or Odoo does not run it"


def _get_idea(path: Path) -> str:
    """Return the first line of the docstring of this file, else of its first class."""
    tree = ast.parse(path.read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    models = [node for node in classes if _is_model(node)]
    texts = [ast.get_docstring(node) for node in (tree, *models[:1])]
    return next((text.splitlines()[0] for text in texts if text), "")


def _is_model(node: ast.ClassDef) -> bool:
    names = {
        statement.targets[0].id
        for statement in node.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    return bool(names & {"_name", "_inherit"})


def _get_room(addon: Path, path: Path) -> str | None:
    parts = path.relative_to(addon).parts
    return parts[1] if parts[0] == "models" and len(parts) == 3 else None


def _get_text_complaints(addon: Path, path: Path) -> Iterator[str]:
    text = path.read_text()
    room = _get_room(addon, path)
    if room and room not in ROOMS:
        yield f"{room}/ is no room that devtools/house.py knows"
    if room:
        for other in re.findall(r"^from \.\.(\w+)", text, re.MULTILINE):
            if other in ROOMS and ROOMS.index(other) > ROOMS.index(room):
                yield f"{room}/ imports from {other}/, which comes after it"
    if "engine" in path.relative_to(addon).parts[:1] and re.search(
        r"^(from|import) (odoo(?!\.tools)|\.\.)", text, re.MULTILINE
    ):
        yield "engine/ is pure Python: of Odoo only its tools, and no models"
    if re.search(rf"# EXTENDS '{addon.name}[.']", text):
        yield "# EXTENDS names its own addon: give the method one home"
    for line, prose in _get_prose(text):
        for word in BILL_VERB.findall(prose):
            yield f'line {line}: say "invoice" for "{word}"'


def _get_prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield (first line, text) of each comment and docstring."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            if docstring := ast.get_docstring(node):
                yield node.body[0].lineno, docstring
