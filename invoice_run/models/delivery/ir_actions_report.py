import logging
import os
import re
import subprocess
import tempfile
import time
from collections import OrderedDict
from pathlib import Path

import lxml.html

from odoo import SUPERUSER_ID, api, models
from odoo.addons.base.models.ir_actions_report import _split_table, _wkhtml
from odoo.exceptions import UserError
from odoo.http import request
from odoo.tools import config, ormcache, split_every

from ...engine import stylesheet

_logger = logging.getLogger(__name__)

#: A stylesheet of Odoo's, as `web.report_layout` links to it.
STYLESHEET = re.compile(
    r"""<link type="text/css" rel="stylesheet" href="(?P<href>/web/assets/[^"]+)"\s*/?>"""
)
#: At most so many invoices in one process: each page reads the headers of all.
INVOICES_PER_PROCESS = 10
#: Core cuts tables of larger bodies into such pieces, see `_run_wkhtmltopdf` there.
LARGE_BODY = 4 * 1024 * 1024
ROWS_PER_TABLE = 500
#: Of the time that a worker has, a process may take this part: others are to follow.
PART_OF_TIME = 4
#: Where workers have all the time.
PRINT_SECONDS = 300


def get_print_seconds():
    """Return the seconds after which a process of wkhtmltopdf counts as one that hangs.

    It may wait for a picture of somebody's server for ever, and the scheduled action with it,
    until Odoo ends both: the next one would begin with the same invoice.
    """
    limits = (config["limit_time_real_cron"], config["limit_time_real"])
    limit = next((limit for limit in limits if limit and limit > 0), 0)
    return limit / PART_OF_TIME if limit else PRINT_SECONDS


class PrintHangs(UserError):
    """A process of wkhtmltopdf did not end in time.

    ``ids``: the invoices that it was to print
    """

    def __init__(self, message, ids=()):
        super().__init__(message)
        self.ids = ids


class PdfPool:
    """Lets a few wkhtmltopdf processes work while Odoo makes the HTML of the next ones.

    No threads: processes are started and waited for, and all of the ORM stays where it is.
    """

    def __init__(self):
        self.limit = min(len(os.sched_getaffinity(0)), 4)
        self.running = []

    def split(self, ids):
        """Cut ``ids`` into a process' work each, all of the same size."""
        rounds = -(-len(ids) // (self.limit * INVOICES_PER_PROCESS))
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


class PdfProcess:
    """The PDF of a few documents: their HTML, the process that prints it, its result."""

    def __init__(self, report, ids, html, prepared, attempts):
        """
        :param report: the report that is printed; below us others may render another one
        :param prepared: what ``_prepare_html`` returned
        :param attempts: [(bodies, header and footer, arguments)], the quickest first
        """
        self.report = report
        self.ids = ids
        self.html = html
        self.prepared = prepared
        self.attempts = attempts
        # no dot in its name: see `start`
        self.folder = tempfile.TemporaryDirectory(prefix="invoice_run_")
        self.process = None
        self.content = None
        self.error = None
        self.is_hung = False
        self.deadline = None

    def start(self):
        self.deadline = time.monotonic() + get_print_seconds()
        (bodies, header, footer), args = self.attempts[0]
        path = Path(self.folder.name)
        files = []
        for option, text in (("--header-html", header), ("--footer-html", footer)):
            if text:
                name = path / f"report{option}.html"
                name.write_text(str(text), encoding="utf-8")
                files += [option, str(name)]
        for number, body in enumerate(bodies):
            # the layout's script takes the number of the document after the path's third dot
            name = path / f"report.body.tmp.{number}.html"
            name.write_text(self._get_printable(str(body)), encoding="utf-8")
            files.append(str(name))
        with (path / "errors").open("w") as errors:
            self.process = subprocess.Popen(
                [_wkhtml().bin, *args, *files, str(path / "report.pdf")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def _get_printable(self, body):
        """Return ``body`` with large tables cut, as core does."""
        if len(body) < LARGE_BODY:
            return body
        tree = lxml.html.fromstring(body)
        _split_table(tree, ROWS_PER_TABLE)
        return lxml.html.tostring(tree, encoding="unicode")

    def _wait_in_time(self):
        """Return how the process ended; None: it hung and was killed."""
        try:
            return self.process.wait(timeout=max(0.1, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.is_hung = True
            return None

    def wait(self):
        """Wait for the end, or till it is too late, and keep the result."""
        if self.process is None or self.content is not None or self.error is not None:
            return
        code = self._wait_in_time()
        if len(self.attempts) > 1 and not self.is_hung and not self._has_letters(code):
            # as core would print it
            self.attempts.pop(0)
            (Path(self.folder.name) / "report.pdf").unlink(missing_ok=True)
            self.start()
            code = self._wait_in_time()
        path = Path(self.folder.name)
        # 1: a resource was missing; core prints then too
        if code in (0, 1) and (path / "report.pdf").exists():
            self.content = (path / "report.pdf").read_bytes()
        else:
            self.error = (code, (path / "errors").read_text(errors="replace")[-1000:])
        self.folder.cleanup()

    def _has_letters(self, code):
        """Whether all was found: text in a font that cannot be reached is left out."""
        file = Path(self.folder.name) / "report.pdf"
        return code == 0 and file.exists() and b"/BaseFont" in file.read_bytes()

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


class IrActionsReport(models.Model):
    """Invoices of a run: printed by several processes at once, each for a few of them.

    Core's own steps stay: it asks for HTML and for the PDF, and splits the PDF. In a batch of a
    run it gets the HTML and the PDF that were made ahead.
    """

    _inherit = "ir.actions.report"

    def _render_qweb_pdf_prepare_streams(self, report_ref, data, res_ids=None):
        # EXTENDS 'base'
        if not self._is_run_batch(report_ref, res_ids):
            return super()._render_qweb_pdf_prepare_streams(report_ref, data, res_ids=res_ids)
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

    def _is_run_batch(self, report_ref, res_ids):
        """Whether to print in several processes: for a run, where core would print all anew."""
        if not res_ids or len(res_ids) != len(set(res_ids)) or len(res_ids) < 2:
            return False
        context = self.env.context
        if "invoice_run_batch" not in context or "invoice_run_pdf" in context:
            return False
        # within a web request core hands its session over to wkhtmltopdf
        return not request and not self._get_report(report_ref).attachment_use

    def _start_run_pdf(self, pool, report_ref, data, ids):
        """Make the HTML of ``ids`` and start to print it."""
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
        process = PdfProcess(report, ids, html, prepared, attempts)
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

        Also None before wkhtmltopdf, or a browser, asked for it the first time: then it is made.
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

        Odoo's layouts have none that work on after the page was read. With such a layout, set the
        system parameter ``report.print_delay``.
        """
        # sudo: a technical setting, as core reads it
        if self.env["ir.config_parameter"].sudo().get_param("report.print_delay"):
            return args
        position = args.index("--javascript-delay") + 1
        return [*args[:position], "1", *args[position + 1 :]]

    def _render_qweb_html(self, report_ref, docids, data=None):
        # EXTENDS 'base': made ahead
        process = self.env.context.get("invoice_run_pdf")
        if process and self._is_made_ahead(process, report_ref, docids):
            return process.html, "html"
        return super()._render_qweb_html(report_ref, docids, data=data)

    def _is_made_ahead(self, process, report_ref, ids):
        # a payment slip of the same invoices is another report
        return list(ids or []) == process.ids and self._get_report(report_ref) == process.report

    def _prepare_html(self, html, report_model=False):
        # EXTENDS 'base': made ahead
        process = self.env.context.get("invoice_run_pdf")
        if process and html is process.html:
            return process.prepared
        return super()._prepare_html(html, report_model=report_model)

    @api.model
    def _run_wkhtmltopdf(
        self,
        bodies,
        report_ref=False,
        header=None,
        footer=None,
        landscape=False,
        specific_paperformat_args=None,
        set_viewport_size=False,
    ):
        # EXTENDS 'base': started ahead, or at least ended in time
        process = self.env.context.get("invoice_run_pdf")
        if process and process.process and bodies is process.prepared[0]:
            return self._get_printed(process)
        options = {
            "landscape": landscape,
            "specific_paperformat_args": specific_paperformat_args,
            "set_viewport_size": set_viewport_size,
        }
        if "invoice_run_batch" not in self.env.context or request:
            return super()._run_wkhtmltopdf(
                bodies, report_ref=report_ref, header=header, footer=footer, **options
            )
        report = self._get_report(report_ref) if report_ref else self
        args = self._build_wkhtmltopdf_args(report.get_paperformat(), **options)
        process = PdfProcess(report, [], None, None, [((bodies, header, footer), args)])
        try:
            process.start()
            return self._get_printed(process)
        finally:
            process.close()

    @api.model
    def _get_printed(self, process):
        """Return the PDF that ``process`` made.

        :raises PrintHangs: it did not end
        :raises UserError: it failed
        """
        process.wait()
        if process.is_hung:
            raise PrintHangs(
                self.env._(
                    "The PDF was not ready within %(seconds)s seconds. Perhaps a picture of the "
                    "layout cannot be reached: correct that, then retry.",
                    seconds=round(get_print_seconds()),
                ),
                process.ids,
            )
        if process.error:
            raise UserError(
                self.env._(
                    "Wkhtmltopdf failed (error code: %(code)s). Message: %(message)s",
                    code=process.error[0],
                    message=process.error[1],
                )
            )
        return process.content
