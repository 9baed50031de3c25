import io
from unittest.mock import patch

import pypdfium2
from pypdf import PdfReader

from odoo import SUPERUSER_ID
from odoo.addons.invoice_run.tests.sending_common import SendingCommon
from odoo.service import server
from odoo.tests import HOST, tagged

from .. import stylesheet
from ..models.ir_actions_report import AheadProcess


@tagged("post_install", "-at_install")
class TestRendering(SendingCommon):
    """PDFs made in a batch look, pixel by pixel, as Odoo's own."""

    def _get_pictures(self, content):
        pdf = pypdfium2.PdfDocument(content)
        return [page.render(scale=1.5).to_pil().convert("RGB") for page in pdf]

    def test_batch_looks_like_odoo_alone(self):
        """With stylesheets that are read in part, fonts from the server."""
        port = server.server.httpd.server_port
        self.env["ir.config_parameter"].set_param("report.url", f"http://{HOST}:{port}")
        sizes = self._make_stylesheets()
        attempts = self._check_batch()
        self.assertTrue(sizes)
        self.assertLess(max(sizes), 60_000, "of 400,000")
        self.assertEqual(attempts, {2})

    def test_batch_looks_like_odoo_alone_without_server(self):
        """Nothing to be had from the server: printed as Odoo does, not without letters."""
        self._make_stylesheets()
        # nobody listens there; the first one is never asked
        for url in ("http://127.0.0.1:1", "http://127.0.0.1:9999"):
            self.env["ir.config_parameter"].set_param("report.url", url)
            self.assertEqual(self._check_batch(), {1})

    def test_another_report_of_the_same_invoices_is_not_this_one(self):
        """A payment slip, say, that a localisation renders while we print."""
        Report = self.env["ir.actions.report"]
        moves = self._make_run_to_send(self.debtor).document_ids.move_id
        report = Report._get_report("account.account_invoices")
        pages = ["body"], "", ""
        process = AheadProcess(report, moves.ids, "made ahead", pages, [(pages, [])])
        self.addCleanup(process.close)
        ahead = Report.with_context(invoice_run_pdf=process)
        for ref in ("account.account_invoices", report.report_name, report.id):
            self.assertEqual(ahead._render_qweb_html(ref, moves.ids)[0], "made ahead")
        slip = "account.account_invoices_without_payment"
        self.assertIn(moves.name, str(ahead._render_qweb_html(slip, moves.ids)[0]))

    def test_stylesheets_are_odoos_own(self):
        Report = self.env["ir.actions.report"]
        href = "/web/assets/1234567/web.report_assets_common.min.css"
        own = self.env["ir.attachment"].with_user(SUPERUSER_ID)
        foreign = self.env["ir.attachment"].with_user(self.user)
        vals = {"name": "style.css", "url": href, "public": True, "res_model": "ir.ui.view"}
        forged = {**vals, "type": "url", "raw": b"p { color: red }"}
        foreign.create(forged)
        self.assertIsNone(Report._get_stylesheet(href))
        own.create({**vals, "type": "binary", "raw": b"td { color: blue }"})
        foreign.create(forged)
        rules = Report._get_stylesheet(href)
        self.assertIn("blue", stylesheet.get_used(rules, stylesheet.get_words("<td>")))
        empty = f"{href}.empty"
        own.create({**vals, "type": "binary", "url": empty, "raw": b""})
        self.assertIsNone(Report._get_stylesheet(empty))

    def _check_batch(self):
        """Compare with stock; return how many attempts the processes had left."""
        left, wait_allowed = set(), self._wait_allowed

        def watched(process):
            wait_allowed(process)
            left.add(len(process.attempts))

        with patch.object(self, "_wait_allowed", watched):
            self._compare_batch()
        return left

    def _compare_batch(self):
        other = self._make_customer("Other", "other@example.com", street="1 Long Road")
        long = self._make_customer("Long", "long@example.com")
        lines = [{"price_unit": 10.0 + number} for number in range(45)]
        self._make_contract(lines, date_start="2024-01-01", partner_id=long.id)
        run = self._make_run_to_send(other, self.debtor)
        run = run.with_context(force_report_rendering=True)
        self._send(run)
        self.assertEqual(set(run.document_ids.mapped("send_state")), {"sent"})
        pages = {}
        for document in run.document_ids:
            content = document.move_id.invoice_pdf_report_id.raw
            pages[document.partner_id.name] = content
            texts = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
            self.assertIn(document.move_id.name, texts[0])
            self.assertIn(document.partner_id.name, texts[0])
            for name in set(run.document_ids.move_id.mapped("name")) - {document.move_id.name}:
                self.assertNotIn(name, "".join(texts))
        self.assertGreater(len(self._get_pictures(pages["Long"])), 1)
        for name in ("Long", "Other"):
            move = run.document_ids.filtered(lambda doc, n=name: doc.partner_id.name == n).move_id
            with self.allow_pdf_render():
                stock = self._render_stock(move)
            ours, theirs = self._get_pictures(pages[name]), self._get_pictures(stock)
            self.assertEqual(len(ours), len(theirs))
            for one, two in zip(ours, theirs, strict=True):
                self.assertEqual(one.size, two.size)
                self.assertEqual(one.tobytes(), two.tobytes())
            texts = [
                [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
                for content in (pages[name], stock)
            ]
            self.assertEqual(*texts)

    def _make_stylesheets(self):
        """Have Odoo's stylesheets made; return the sizes of those that are read in part."""
        for name in ("web.report_assets_common", "web.report_assets_pdf"):
            self.env["ir.qweb"]._get_asset_bundle(name, css=True, js=False, autoprefix=True).css()
        get_used, sizes = stylesheet.get_used, []

        def measured(rules, words):
            sizes.append(len(get_used(rules, words)))
            return get_used(rules, words)

        self.patch(stylesheet, "get_used", measured)
        return sizes

    def _render_stock(self, move):
        report = self.env["ir.actions.report"].with_context(force_report_rendering=True)
        return report._render_qweb_pdf("account.account_invoices", move.ids)[0]
