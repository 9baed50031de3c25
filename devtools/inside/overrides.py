"""Finds, in the source of Odoo's addons, their overrides of methods that bulk creation replaces.

All of them, installed or not: a database has a few, customers have others.
"""

import ast
import json
from pathlib import Path

import odoo.addons.account
from odoo.addons.invoice_run_turbo.bypassed import (
    BYPASSED_METHODS,
    CHATTER_METHODS,
    CONFIRMED_METHODS,
    LINE_COMPUTES,
    MOVE_COMPUTES,
    NUMBERING_METHODS,
    POSTING_METHODS,
    SKIPPED_METHODS,
)
from odoo.addons.invoice_run_turbo.known_overrides import (
    CONFIRMED_BY_ODOO,
    CORE,
    KNOWN_OVERRIDES,
)

ADDONS = Path(odoo.addons.account.__file__).parent.parent
COMPUTES = {"account.move": MOVE_COMPUTES, "account.move.line": LINE_COMPUTES}


def main(env) -> None:
    """Print, as the last line, overrides that nobody has read and listed ones that are gone."""
    found = set(_find(env))
    known = {
        (name, module)
        for module, items in KNOWN_OVERRIDES.items()
        for item in items
        for name in item.names
    }
    unknown = found - known
    confirming = {
        f"{model}.{name}" for model in CONFIRMED_METHODS for name in CONFIRMED_METHODS[model]
    }
    by_odoo = {
        (name, module)
        for name, module in unknown
        if module in CONFIRMED_BY_ODOO and name in confirming
    }
    result = {
        "overrides": len(found),
        "unknown": sorted(map(list, unknown - by_odoo)),
        "outdated": sorted(map(list, known - found)),
        "not_by_odoo": sorted(CONFIRMED_BY_ODOO - {module for _name, module in by_odoo}),
    }
    print(json.dumps(result), flush=True)


def _find(env):
    """Yield (model.name, addon)."""
    methods = {model: set(names) for model, names in BYPASSED_METHODS.items()}
    methods["account.move"].update(NUMBERING_METHODS, CHATTER_METHODS)
    for others in (POSTING_METHODS, SKIPPED_METHODS, CONFIRMED_METHODS):
        for model, names in others.items():
            methods[model] = methods.get(model, set()) | names
    parents = {model: _get_parents(env, model) for model in methods}
    for path in sorted(ADDONS.glob("*/**/*.py")):
        module = path.relative_to(ADDONS).parts[0]
        if module in CORE or module.startswith("test_") or "tests" in path.parts:
            continue
        for extended, statements in _get_classes(path):
            for model, names in parents.items():
                if extended in names:
                    for name in _get_overrides(statements, model, methods[model]):
                        yield f"{model}.{name}", module


def _get_parents(env, model):
    """The model and the mixins that it is made of."""
    classes = type(env[model]).__mro__
    return {getattr(cls, "_name", None) for cls in classes} - {None, "base"}


def _get_classes(path):
    """Yield (model that a class defines or extends, its statements)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            values = {
                _get_target(statement): statement.value
                for statement in node.body
                if isinstance(statement, ast.Assign)
            }
            value = values.get("_name") or values.get("_inherit")
            model = ast.literal_eval(value) if value else None
            yield model[0] if isinstance(model, list | tuple) else model, node.body


def _get_target(statement):
    return getattr(statement.targets[0], "id", None)


def _get_overrides(statements, model, methods):
    for statement in statements:
        if isinstance(statement, ast.FunctionDef) and statement.name in methods:
            yield statement.name
        elif isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            options = {keyword.arg for keyword in statement.value.keywords}
            name = _get_target(statement)
            is_ours = name in COMPUTES.get(model, ())
            if model in COMPUTES and (
                "precompute" in options or (is_ours and "compute" in options)
            ):
                yield name
