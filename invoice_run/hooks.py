import re

ADDON = "invoice_run"
#: Models that refer to a model by its name, and the field that holds the name.
BY_NAME = {"ir.filters": "model_id", "ir.exports": "resource", "base_import.mapping": "res_model"}


def post_init_hook(env):
    """Give every company the scenarios that it begins with."""
    companies = env["res.company"].with_context(active_test=False).search([])
    env["billing.scenario"]._create_default_scenarios(companies)


def uninstall_hook(env):
    """Delete what Odoo leaves behind: users' records that name our models and fields.

    These are saved searches, export templates and import mappings. A saved search on a field
    that is gone would raise an error.
    """
    own = [name for name, model in env.registry.items() if model._original_module == ADDON]
    for holder, field in BY_NAME.items():
        env[holder].with_context(active_test=False).search([(field, "in", own)]).unlink()
    samples = [("module", "=like", r"\_\_invoice\_run\_sample\_%")]
    env["ir.model.data"].search(samples).unlink()
    # Odoo notes the foreign keys of an addon and deletes the notes of its own models only
    keys = [("module.name", "=", ADDON), ("type", "=", "f")]
    env["ir.model.constraint"].search(keys).unlink()
    for model, added in _get_added_fields(env).items():
        _delete_filters(env, model, added)
        _delete_export_lines(env, model, added)


def _get_added_fields(env):
    """Return {model: names of its fields} for what this addon added to others' models."""
    added = {
        name: {field.name for field in model._fields.values() if field._modules == (ADDON,)}
        for name, model in env.registry.items()
        if model._original_module != ADDON
    }
    return {model: names for model, names in added.items() if names}


def _delete_filters(env, model, names):
    named = re.compile(rf"\b({'|'.join(sorted(names))})\b")
    filters = env["ir.filters"].with_context(active_test=False).search([("model_id", "=", model)])
    for saved in filters:
        if named.search(f"{saved.domain} {saved.context} {saved.sort}"):
            saved.unlink()


def _delete_export_lines(env, model, names):
    lines = env["ir.exports.line"].search([("export_id.resource", "=", model)])
    lines.filtered(lambda line: line.name.split("/")[0] in names).unlink()
