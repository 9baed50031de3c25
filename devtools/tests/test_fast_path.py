"""Invoices are created in bulk next to the addons that companies usually have, with the same rows.

One database with Purchase, Inventory, Projects, Timesheets, Point of Sale, Expenses and twelve
localisations. Two of them have dates of their own, one prints a payment slip.
"""

import json

import pytest

from devtools import databases, workspace

APPS = ("purchase", "sale_stock", "sale_timesheet", "point_of_sale", "hr_expense")
LOCALISATIONS = (
    "ar",
    "be",
    "ch",
    "cz",
    "hu_edi",
    "in",
    "it_edi_doi",
    "jo_edi",
    "mx",
    "nl",
    "pl",
    "tr",
)
#: {chart: country}: of both ways with the same rows
CHARTS = {"be_comp": "be", "tr": "tr", "in": "in"}
CONTRACTS = 16
SCRIPT = f"""
from devtools.inside import equality, local_dates, overrides, swiss
overrides.main(env)
local_dates.main(env)
swiss.main(env)
equality.main(env, charts={CHARTS}, contracts={CONTRACTS})
"""


@pytest.fixture(scope="module")
def found():
    """What the source of Odoo holds, and what came of the invoices of each script."""
    space = workspace.prepare()
    modules = [*APPS, *(f"l10n_{name}" for name in LOCALISATIONS), "invoice_run_turbo"]
    with databases.plain_clone(space, "scratch") as database:
        space.odoo_run(
            *("-d", database, "-i", ",".join(modules), "--without-demo"),
            *("--stop-after-init", "--no-http", "--log-level=error"),
            problem="The addons could not be installed",
        )
        output = space.script(database, SCRIPT, problem="The script failed")
    return [json.loads(line) for line in output.splitlines()[-4:]]


def test_every_override_in_odoo_was_read(found):
    source, _dates, _slips, _invoices = found
    assert source["unknown"] == []
    assert source["outdated"] == []
    assert source["not_by_odoo"] == []
    assert source["overrides"] > 40, "the source was found"


def test_the_usual_addons_leave_the_fast_path_on(found):
    _source, _dates, _slips, invoices = found
    assert invoices["obstacles"] == []
    for chart, result in invoices["charts"].items():
        assert result["differences"] == [], chart
        assert result["invoices"] > CONTRACTS / 2, chart
        assert result["credit_notes"], chart
    belgium, turkey, india = (invoices["charts"][chart] for chart in CHARTS)
    assert belgium["fast_path"].startswith("On. Confirming takes a step of its own")
    assert belgium["in_bulk"] > CONTRACTS / 2
    # credit notes are booked to an account of their own, by the localisation alone
    assert turkey["fast_path"].startswith("On.")
    assert 0 < turkey["in_bulk"] <= turkey["invoices"] - turkey["credit_notes"]
    assert india["fast_path"].startswith("Off for this company, because of: l10n_in.")
    assert india["in_bulk"] == 0


def test_dates_and_rates_of_a_country_are_those_that_were_approved(found):
    _source, dates, _slips, _invoices = found
    assert {case: result["errors"] for case, result in dates.items()} == dict.fromkeys(dates, [])
    for case, result in dates.items():
        assert result["booked"] == result["invoice_date"] == "2024-03-15", case
        assert result["approved"] == result["invoiced"], case
    # Czechia: not today, the day on which the run is carried out
    assert dates["cz arrears"]["supply"] == "2024-03-15"
    assert dates["cz arrears"]["rate"] == 50
    # Hungary: the day of the delivery, which is never after the invoice
    assert dates["hu arrears"]["delivery"] == "2024-02-29"
    assert dates["hu arrears"]["rate"] == 20
    assert dates["hu advance"]["delivery"] == "2024-03-15"
    assert dates["hu advance"]["rate"] == 50


def test_swiss_invoices_are_printed_with_their_qr_bill(found):
    _source, _dates, slips, _invoices = found
    assert {name: slip["error"] for name, slip in slips.items()} == dict.fromkeys(slips)
    assert {slip["send_state"] for slip in slips.values()} == {"printed"}
    assert "Payment part" not in slips.pop("Abroad GmbH")["text"]
    assert len({slip["reference"] for slip in slips.values()}) == len(slips) == 2
    for name, slip in slips.items():
        text = " ".join(slip["text"].split())
        assert len(slip["reference"]) == 27, name
        assert "Payment part Currency CHF Amount 1 334.49" in text, name
        # without a web server's stylesheets, columns run over the page
        assert f"Reference {slip['spaced_reference']}" in text, name
        assert set(slip["parts"]) == {"receipt", "payment"}
        for part, words in slip["parts"].items():
            assert f"Reference {slip['spaced_reference']}" in words, (name, part)
        assert f"Payable by {name}" in text, name
        # the Swiss cross covers some modules; another invoice's code shows about half of them
        assert max(slip["sameness"]) > 0.97, name
