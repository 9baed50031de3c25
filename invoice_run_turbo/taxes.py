"""What Odoo's tax engine is known to depend on, so that equal lines are computed once.

By itself it asks for nothing of a line but its taxes, price, quantity, product and currency; the
customer and the analytic distribution are only handed on.
"""

from . import core
from .found_once import found_once
from .known_overrides import is_known

#: Beginnings of the names of its methods.
ENGINE = (
    *("_add_", "_aggregate_", "_batch_", "_distribute_", "_eval_", "_fix_", "_flatten_"),
    *("_get_base_line", "_get_delta", "_get_tax_", "_import_", "_merge_", "_normalize_"),
    *("_prepare_base_line", "_prepare_tax_line", "_propagate_", "_round_", "flatten_"),
)
#: What a document asks the engine for: an addon that changes it may ask for more than the taxes,
#: numbers, product and currency that make a document equal to another, or for more than totals.
QUESTIONS = {
    "invoice.run.document": {
        *("_get_tax_summary", "_get_totals", "_prepare_other_base_lines"),
        *("_get_amount_vals", "_prepare_amount_vals", "_update_amounts"),
    },
    "invoice.run.line": {"_get_extra_tax_data", "_prepare_base_line"},
}
#: {addon: its overrides} that ask for nothing else either: taxes computed by code, of the product.
READ = {
    "account_tax_python": {
        "_eval_tax_amount_fixed_amount",
        "_eval_taxes_computation_prepare_product_fields",
        "_eval_taxes_computation_prepare_product_uom_fields",
    },
    # links to an expense, which amounts of a run do not have
    "hr_expense": {
        "_prepare_tax_line_for_taxes_computation",
        "_prepare_tax_line_repartition_grouping_key",
    },
}


@found_once
def is_engine_known(env):
    """Whether the engine is as it was read, and no addon that nobody read has a part in it."""
    return core.is_as_read(env, core.CREATE) and not any(_get_unknown(env))


@found_once
def are_questions_known(env):
    """Whether no other addon changes what a document asks the engine for."""
    return not any(env["invoice.run.bulk"]._get_overridden_methods(QUESTIONS))


def _get_unknown(env):
    classes = type(env["account.tax"]).__mro__
    own = {name for cls in classes if _get_module(cls) == "account" for name in vars(cls)}
    engine = {name for name in own if name.startswith(ENGINE)}
    for cls in classes:
        module = _get_module(cls)
        for name in engine.intersection(vars(cls)) if module else ():
            if name not in READ.get(module, ()) and not is_known(f"account.tax.{name}", module):
                yield name, module


def _get_module(cls):
    """Return the addon that defines this class of a model, or None."""
    parts = cls.__module__.split(".")
    return parts[2] if parts[:2] == ["odoo", "addons"] else None


def get_key(distribution):
    """Return an analytic distribution as a key: in which order it is decides a last coin."""
    return tuple(distribution.items()) if distribution else ()
