"""Other addons, as they look in the registry of Odoo."""

from contextlib import contextmanager
from unittest.mock import patch

from ..found_once import FOUND

MODULE = "odoo.addons.stranger.models.stranger"


def forgetting(env):
    """Have what is found once a registry looked up again; within this, and not kept after it."""
    return patch.object(env.registry, FOUND, {}, create=True)


@contextmanager
def other_addon(env, model, **attributes):
    """Have an addon named "stranger" define these attributes of ``model``."""
    cls = env.registry[model]
    bases = cls.__bases__
    stranger = type("Stranger", (), {"__module__": MODULE, "__slots__": (), **attributes})
    cls.__bases__ = (stranger, *bases)
    try:
        with forgetting(env):
            yield
    finally:
        cls.__bases__ = bases


def call_super(name, records, *args, **kwargs):
    """Call the method that one of :func:`other_addon` overrides."""
    classes = iter(type(records).__mro__)
    for cls in classes:
        if cls.__module__ == MODULE:
            break
    override = next(vars(cls)[name] for cls in classes if name in vars(cls))
    return override(records, *args, **kwargs)
