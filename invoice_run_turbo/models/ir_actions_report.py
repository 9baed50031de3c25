import logging
import os
import re
from collections import OrderedDict
from pathlib import Path

from odoo import SUPERUSER_ID, api, models
from odoo.addons.invoice_run.models.delivery.account_move_send import INVOICES_PER_PRINT
from odoo.addons.invoice_run.models.delivery.ir_actions_report import PdfProcess
from odoo.http import request
from odoo.tools import ormcache, split_every

from .. import core, stylesheet

_logger = logging.getLogger(__name__)

#: A stylesheet of Odoo's, as `web.report_layout` links to it.
STYLESHEET = re.compile(
    r"""<link type="text/css" rel="stylesheet" href="(?P<href>/web/assets/[^"]+)"\s*/?>"""
)


class PdfPool:
    """Lets a few wkhtmltopdf processes work while Odoo creates the HTML of the next ones.

    No threads: processes are started and waited for, and all of the ORM stays where it is.
    """

    def __init__(self):
        self.limit = min(len(os.sched_getaffinity(0)), 4)
        self.running = []

    def split(self, ids):
        """Cut ``ids`` into a process' work each, all of the same size."""
        rounds = -(-len(ids) // (self.limit * INVOICES_PER_PRINT))
        return split_every(-(-len(ids) // (self.limit * rounds)), ids)

    def start(self, process):
        while len(self.running) >= self.limit:
            self.running.pop(0).wait()
        process.start()
        self.running.append(process)

    def close(self):
        """End what an error left running."""
        for process in self.running:
            process.close()


class AheadProcess(PdfProcess):
    """The PDF of a few documents, begun while others are rendered: their HTML and its result."""

    def __init__(self, report, ids, html, prepared, attempts):
        """
        :param report: the report that is printed; below us others may render another one
        :param prepared: what ``_prepare_html`` returned
        :param attempts: [(bodies, header and footer, arguments)], the quickest first
        """
        super().__init__(*attempts[0], ids=ids)
        self.report = report
        self.html = html
        self.prepared = prepared
        self.attempts = attempts

    def _wait_for_end(self):
        # EXTENDS 'invoice_run'
        code = super()._wait_for_end()
        if len(self.attempts) > 1 and not self.is_hung and not self._has_letters(code):
            # as core would print it
            self.attempts.pop(0)
            self.pages, self.args = self.attempts[0]
            (Path(self.folder.name) / "report.pdf").unlink(missing_ok=True)
            self.start()
            code = super()._wait_for_end()
        return code

    def _has_letters(self, code):
        """Whether all was found: text in a font that cannot be reached is left out."""
        file = Path(self.folder.name) / "report.pdf"
        return code == 0 and file.exists() and b"/BaseFont" in file.read_bytes()


class IrActionsReport(models.Model):
    """Invoices of a run: printed by several processes at once, each for a few of them.

    Core's own steps stay: it asks for HTML and for the PDF, and splits the PDF. In a batch of a
    run it gets the HTML and the PDF that were created ahead.
    """

    _inherit = "ir.actions.report"

    def _render_qweb_pdf_prepare_streams(self, report_ref, data, res_ids=None):
        # EXTENDS 'base': begun ahead
        if not self._is_run_batch(report_ref, res_ids):
            return super()._render_qweb_pdf_prepare_streams(report_ref, data, res_ids=res_ids)
        self._read_run_sections(report_ref, res_ids)
        pool = PdfPool()
        try:
            processes = [
                self._start_run_pdf(pool, report_ref, data, list(ids))
                for ids in pool.split(res_ids)
            ]
            streams = OrderedDict()
            for process in processes:
                ahead = self.with_context(invoice_run_pdf=process)
                streams.update(
                    super(IrActionsReport, ahead)._render_qweb_pdf_prepare_streams(
                        report_ref, dict(data or {}), res_ids=process.ids
                    )
                )
            return streams
        finally:
            pool.close()

    def _read_run_sections(self, report_ref, res_ids):
        """Find the sections of all lines of these invoices before the first one is printed.

        Odoo finds them when it prints a line, for all lines of that invoice. Those that are not
        printed, of taxes and terms, it then writes as a user would, with all checks of an entry.
        """
        report = self._get_report(report_ref)
        if report.model == "account.move":
            self.env[report.model].browse(res_ids).line_ids.mapped("parent_id")

    def _is_run_batch(self, report_ref, res_ids):
        """Whether to print in several processes: for a run, where core would print all anew."""
        if not res_ids or len(res_ids) != len(set(res_ids)) or len(res_ids) < 2:
            return False
        context = self.env.context
        if "invoice_run_batch" not in context or "invoice_run_pdf" in context:
            return False
        # within a web request core hands its session over to wkhtmltopdf
        if request or self._get_report(report_ref).attachment_use:
            return False
        return core.is_as_read(self.env, core.PRINT)

    def _get_ahead(self):
        """Return the process that began to print what is asked for, or None."""
        process = self.env.context.get("invoice_run_pdf")
        return process if isinstance(process, AheadProcess) else None

    def _start_run_pdf(self, pool, report_ref, data, ids):
        """Create the HTML of ``ids`` and start to print it."""
        report = self._get_report(report_ref).with_context(debug=False)
        values = {**(data or {}), "report_type": "pdf", "debug": False}
        html = self.with_context(debug=False)._render_qweb_html(report_ref, ids, data=values)[0]
        prepared = report._prepare_html(html, report_model=report.model)
        args = self._build_wkhtmltopdf_args(
            report.get_paperformat(),
            self.env.context.get("landscape"),
            specific_paperformat_args=prepared[4],
            set_viewport_size=self.env.context.get("set_viewport_size"),
        )
        bodies, _ids, header, footer, _format = prepared
        attempts = [
            (self._get_slim_pages(bodies, header, footer), self._without_needless_delay(args)),
            ((bodies, header, footer), args),
        ]
        process = AheadProcess(report, ids, html, prepared, attempts)
        pool.start(process)
        return process

    @api.model
    def _get_slim_pages(self, bodies, header, footer):
        """Return bodies, header and footer with those rules of the stylesheets that they can use.

        They look the same, and are read many times as fast.
        """
        pages = [str(page or "") for page in (*bodies, header, footer)]
        words = stylesheet.get_words(*pages)
        styles = {}

        def replace(match):
            link = match.group()
            if link not in styles:
                rules = self._get_stylesheet(match["href"])
                used = rules and stylesheet.get_used(rules, words)
                styles[link] = link if used is None else f"<style>{used}</style>"
            return styles[link]

        *bodies, header, footer = (STYLESHEET.sub(replace, page) for page in pages)
        return bodies, header, footer

    def _get_stylesheet(self, href):
        """Return the rules of one of Odoo's bundles, None where it cannot be used.

        Also None before wkhtmltopdf, or a browser, asked for it the first time: then it is created.
        """
        domain = [("url", "=", href), ("public", "=", True), ("type", "=", "binary")]
        # Odoo's own, as core finds them: anybody may name a file of his like that
        domain += [("create_uid", "=", SUPERUSER_ID), ("res_model", "=", "ir.ui.view")]
        # sudo: every visitor gets these files
        attachments = self.env["ir.attachment"].sudo()
        attachment = attachments.search([*domain, ("res_id", "=", 0)], limit=1)
        return self._parse_stylesheet(attachment.id) if attachment else None

    @ormcache("attachment_id", cache="assets")
    def _parse_stylesheet(self, attachment_id):
        # sudo: as above
        attachment = self.env["ir.attachment"].sudo().browse(attachment_id)
        try:
            css = (attachment.raw or b"").decode()
            # a file that is gone reads as nothing; what ends the element would be content
            unusable = not css or "</style" in css.lower()
            return None if unusable else stylesheet.parse(css)
        except ValueError as error:
            _logger.info("Invoice run: %s is read as a whole: %s", attachment.url, error)
            return None

    @api.model
    def _without_needless_delay(self, args):
        """Return ``args`` without Odoo's second of waiting for scripts, twice a process.

        Odoo's layouts have none that work on after the page was read. Whoever has one sets the
        system parameter ``report.print_delay``.
        """
        # sudo: a technical setting, as core reads it
        if self.env["ir.config_parameter"].sudo().get_param("report.print_delay"):
            return args
        position = args.index("--javascript-delay") + 1
        return [*args[:position], "1", *args[position + 1 :]]

    def _render_qweb_html(self, report_ref, docids, data=None):
        # EXTENDS 'base': created ahead
        process = self._get_ahead()
        if process and self._is_made_ahead(process, report_ref, docids):
            return process.html, "html"
        return super()._render_qweb_html(report_ref, docids, data=data)

    def _is_made_ahead(self, process, report_ref, ids):
        # a payment slip of the same invoices is another report
        return list(ids or []) == process.ids and self._get_report(report_ref) == process.report

    def _prepare_html(self, html, report_model=False):
        # EXTENDS 'base': created ahead
        process = self._get_ahead()
        if process and html is process.html:
            return process.prepared
        return super()._prepare_html(html, report_model=report_model)

    @api.model
    def _run_wkhtmltopdf(self, bodies, *args, **kwargs):
        # EXTENDS 'base': started ahead
        process = self._get_ahead()
        if process and process.process and bodies is process.prepared[0]:
            return self._get_printed(process)
        return super()._run_wkhtmltopdf(bodies, *args, **kwargs)
