"""Swiss invoices of a run, printed: what is on each customer's last page. Nothing is committed."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import lxml.html
import pypdf
import qrcode
from freezegun import freeze_time

from odoo.fields import Command

NOW = "2024-03-20 10:00:00"
INVOICE_DATE = "2024-03-15"
QR_IBAN = "CH21 3080 8001 2345 6782 7"
#: {customer: country}
CUSTOMERS = {"Muster AG": "ch", "Beispiel GmbH": "ch", "Abroad GmbH": "de"}
ADDRESS = {"street": "Crab Street 11", "zip": "4242", "city": "Laufen"}


def main(env) -> None:
    """The last line of the output is {customer: what was printed for him}."""
    type(env["invoice.run"])._can_commit = lambda run: False
    type(env["res.company"]).install_l10n_modules = lambda company: False
    with freeze_time(NOW):
        run = _invoice(_make_company(env))
    # not while the clock stands still: a printing program that hangs would never be ended
    with _answering(env):
        run.document_ids.action_print()
    found = {document.partner_id.name: _read(document) for document in run.document_ids}
    env.cr.rollback()
    print(json.dumps(found), flush=True)


class _Nothing(BaseHTTPRequestHandler):
    """Answers every request at once: there are no stylesheets."""

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_args):
        pass


@contextmanager
def _answering(env) -> Iterator[None]:
    """Serve what the printing program asks Odoo's server for, which does not run here."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    env["ir.config_parameter"].sudo().set_param("report.url", url)
    yield
    server.shutdown()


def _make_company(env):
    """Return the environment of a company whose invoices carry QR codes."""
    country = env.ref("base.ch")
    company = env["res.company"].create({"name": "Schweiz AG", "country_id": country.id, **ADDRESS})
    env.user.company_ids |= company
    env["account.chart.template"].try_loading("ch", company, install_demo=False)
    env = env(context={**env.context, "allowed_company_ids": company.ids})
    company = company.with_env(env)
    company.qr_code = True
    bank = {"acc_number": QR_IBAN, "partner_id": company.partner_id.id, "allow_out_payment": True}
    env["res.partner.bank"].create(bank)
    journals = env["account.journal"].search([("type", "=", "sale")])
    journals.invoice_reference_model = "ch"
    return env


def _invoice(env):
    """Return a run over a contract of each customer, with its invoices."""
    product = env["product.product"].create({"name": "Rent", "type": "service"})
    for name in CUSTOMERS:
        _make_contract(env, name, product)
    scenario = env["billing.scenario"].create({"name": "Swiss", "send_action": "print"})
    run = env["invoice.run"].create({"scenario_id": scenario.id, "invoice_date": INVOICE_DATE})
    for step in ("action_generate_amounts", "action_approve", "action_generate_invoices"):
        getattr(run, step)()
        run._process_queue()
    return run


def _make_contract(env, name, product):
    country = env.ref(f"base.{CUSTOMERS[name]}")
    contract = env["billing.contract"].create(
        {
            "partner_id": env["res.partner"]
            .create({"name": name, "country_id": country.id, **ADDRESS})
            .id,
            "currency_id": env.ref("base.CHF").id,
            "date_start": "2024-03-01",
            "line_ids": [Command.create({"product_id": product.id, "price_unit": 1234.5})],
        }
    )
    contract.action_activate()


def _read(document) -> dict:
    """Return what is on the last page; of a QR bill also what should be there."""
    move = document.move_id
    found = {
        "error": document.error or document.send_error or None,
        "send_state": document.send_state,
    }
    if not move.invoice_pdf_report_id:
        return found
    page = pypdf.PdfReader(io.BytesIO(move.invoice_pdf_report_id.raw)).pages[-1]
    found["text"] = page.extract_text()
    if not move.l10n_ch_is_qr_valid:
        return found
    modules = _get_modules(move)
    return {
        **found,
        "reference": move.payment_reference,
        "spaced_reference": move.space_qrr_reference(move.payment_reference).strip(),
        "parts": _get_parts(move),
        "sameness": [_compare(image.image, modules) for image in page.images],
    }


def _get_parts(move) -> dict[str, str]:
    """Return the text of each part of the QR bill as it goes to the printing program.

    There the parts are apart; on the page their texts run into one another.
    """
    reports = move.env["ir.actions.report"]
    html, _type = reports._render_qweb_html("l10n_ch.l10n_ch_qr_report", move.ids)
    page = lxml.html.fromstring(html)
    classes = {"receipt": "swissqr_receipt", "payment": "swissqr_body"}
    return {
        part: " ".join(page.find_class(name)[0].text_content().split())
        for part, name in classes.items()
    }


def _get_modules(move) -> list[list[bool]]:
    """Return the QR code of this invoice as another program draws it, without the cross."""
    terms = (move.amount_residual, move.currency_id, move.partner_id)
    text = move.payment_reference
    values = move.partner_bank_id._get_qr_vals("ch_qr", *terms, text, text)
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0)
    code.add_data("\n".join(values), optimize=0)
    return code.get_matrix()


def _compare(picture, modules) -> float:
    """Return the share of ``modules`` that ``picture`` shows, looked at in their middles."""
    picture, size = picture.convert("L"), len(modules)
    width, height = picture.size
    same = [
        (picture.getpixel((int((x + 0.5) * width / size), int((y + 0.5) * height / size))) < 128)
        == modules[y][x]
        for x in range(size)
        for y in range(size)
    ]
    return sum(same) / len(same)
