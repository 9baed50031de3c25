"""Invoices are created in bulk next to the addons that companies usually have, with the same rows.

One database with Purchase, Inventory, Projects, Timesheets, Point of Sale, Expenses and ten
localisations.
"""

import json

import pytest

from devtools import databases, workspace

APPS = ("purchase", "sale_stock", "sale_timesheet", "point_of_sale", "hr_expense")
LOCALISATIONS = ("ar", "be", "cz", "in", "it_edi_doi", "jo_edi", "mx", "nl", "pl", "tr")
#: {chart: country}: of both ways with the same rows
CHARTS = {"be_comp": "be", "tr": "tr", "in": "in"}
CONTRACTS = 16
SCRIPT = f"""
from devtools.inside import equality, overrides
overrides.main(env)
equality.main(env, charts={CHARTS}, contracts={CONTRACTS})
"""


@pytest.fixture(scope="module")
def found():
    """What the source of Odoo holds, and what came of invoices in both ways."""
    space = workspace.prepare()
    modules = [*APPS, *(f"l10n_{name}" for name in LOCALISATIONS), "invoice_run_turbo"]
    with databases.plain_clone(space, "scratch") as database:
        space.odoo_run(
            *("-d", database, "-i", ",".join(modules), "--without-demo"),
            *("--stop-after-init", "--no-http", "--log-level=error"),
            problem="The addons could not be installed",
        )
        output = space.script(database, SCRIPT, problem="The script failed")
    return [json.loads(line) for line in output.splitlines()[-2:]]


def test_every_override_in_odoo_was_read(found):
    source, _invoices = found
    assert source["unknown"] == []
    assert source["outdated"] == []
    assert source["overrides"] > 40, "the source was found"


def test_the_usual_addons_leave_the_fast_path_on(found):
    _source, invoices = found
    assert invoices["obstacles"] == []
    for chart, result in invoices["charts"].items():
        assert result["differences"] == [], chart
        assert result["invoices"] > CONTRACTS / 2, chart
        assert result["credit_notes"], chart
    belgium, turkey, india = (invoices["charts"][chart] for chart in CHARTS)
    assert belgium["fast_path"] == "On."
    assert belgium["in_bulk"] > CONTRACTS / 2
    # credit notes are booked to an account of their own, by the localisation alone
    assert turkey["fast_path"] == "On."
    assert 0 < turkey["in_bulk"] <= turkey["invoices"] - turkey["credit_notes"]
    assert india["fast_path"] == "Off for this company, because of: l10n_in."
    assert india["in_bulk"] == 0
