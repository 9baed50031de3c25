import subprocess
import tempfile
import time
from pathlib import Path

import lxml.html

from odoo import api, models
from odoo.addons.base.models.ir_actions_report import _split_table, _wkhtml
from odoo.exceptions import UserError
from odoo.http import request
from odoo.tools import config

#: Core cuts tables of larger bodies into such pieces, see `_run_wkhtmltopdf` there.
LARGE_BODY = 4 * 1024 * 1024
ROWS_PER_TABLE = 500
#: The part of a worker's time that one process may take: others follow.
PART_OF_TIME = 4
#: Seconds where workers have no limit of time.
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


class PdfProcess:
    """A process that prints one PDF, as core starts it, but with an end in sight."""

    def __init__(self, pages, args, ids=()):
        """
        :param pages: (bodies, header, footer)
        :param args: arguments of wkhtmltopdf
        :param ids: the documents that it prints, where they are known
        """
        self.pages = pages
        self.args = args
        self.ids = ids
        # no dot in its name: see `start`
        self.folder = tempfile.TemporaryDirectory(prefix="invoice_run_")
        self.process = None
        self.content = None
        self.error = None
        self.is_hung = False
        self.deadline = None

    def start(self):
        self.deadline = time.monotonic() + get_print_seconds()
        bodies, header, footer = self.pages
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
                [_wkhtml().bin, *self.args, *files, str(path / "report.pdf")],
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

    def _wait_for_end(self):
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
        code = self._wait_for_end()
        path = Path(self.folder.name)
        # 1: a resource was missing; core prints then too
        if code in (0, 1) and (path / "report.pdf").exists():
            self.content = (path / "report.pdf").read_bytes()
        else:
            self.error = (code, (path / "errors").read_text(errors="replace")[-1000:])
        self.folder.cleanup()

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


class IrActionsReport(models.Model):
    """Invoices of a run: what prints them may not hang for ever."""

    _inherit = "ir.actions.report"

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
        # EXTENDS 'base': ended in time
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
        process = PdfProcess((bodies, header, footer), args)
        try:
            process.start()
            return self._get_printed(process)
        finally:
            process.close()

    @api.model
    def _get_printed(self, process):
        """Return the PDF that ``process`` printed.

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
