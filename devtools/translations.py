"""`./dev translate`: the terms of every addon, by Odoo's own export, and its translations.

The export is of the code as it is now, on a throw-away copy of the test database.
"""

import json

from . import databases, workspace
from .paths import ROOT, addon_names

SCRIPT = "from devtools.inside import translations; translations.main(env)"


def main() -> int:
    """Write `i18n/<addon>.pot`, bring the .po files into line, list what is not translated."""
    space = workspace.prepare()
    with databases.temporary_clone(space, "scratch") as database:
        output = space.script(
            database,
            SCRIPT,
            problem="The terms could not be exported",
            TRANSLATED_ADDONS=json.dumps([str(ROOT / name) for name in addon_names()]),
        )
    print(output, end="")
    return 0
