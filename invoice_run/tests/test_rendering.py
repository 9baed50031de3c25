import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from odoo.tests import tagged
from odoo.tools import config, mute_logger

from ..models.delivery import ir_actions_report
from ..models.delivery.ir_actions_report import PdfProcess, PrintHangs, get_print_seconds
from .sending_common import SendingCommon
from .test_printing import make_pdf


@tagged("post_install", "-at_install")
class TestHangingPrint(SendingCommon):
    """A printing program that never ends holds neither the others nor the scheduled action."""

    SECONDS = 1
    #: In place of wkhtmltopdf: waits for ever for what has this word on its pages.
    PROGRAM = """#!/bin/sh
for last; do :; done
if grep -q -e Hanging -- "$@" 2>/dev/null; then exec sleep 600; fi
cp "$(dirname "$0")/page.pdf" "$last"
"""

    def setUp(self):
        super().setUp()
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        program = folder / "printer"
        program.write_text(self.PROGRAM)
        program.chmod(0o755)
        (folder / "page.pdf").write_bytes(make_pdf("A page"))
        self.patch(ir_actions_report, "_wkhtml", lambda: SimpleNamespace(bin=str(program)))
        self.patch(ir_actions_report, "get_print_seconds", lambda: self.SECONDS)

    def _send_in_time(self, run, seconds):
        start = time.monotonic()
        with mute_logger("odoo.addons.account.models.account_move_send"):
            self._send(run.with_context(force_report_rendering=True))
        self.assertLess(time.monotonic() - start, seconds)
        return self._get_states(run)

    def test_others_are_printed_and_the_one_says_why(self):
        hanging = self._make_customer("Hanging", "hanging@example.com")
        run = self._make_run_to_send(self.debtor, hanging)
        states = self._send_in_time(run, 30)
        self.assertEqual(states, {"Debtor": "sent", "Hanging": "failed"})
        failed = run.document_ids.filtered(lambda document: document.send_state == "failed")
        self.assertIn("not ready within", failed.send_error)
        self.assertEqual(run.job, "none")

    def test_a_single_one_ends_as_well(self):
        hanging = self._make_customer("Hanging", "hanging@example.com")
        states = self._send_in_time(self._make_run_to_send(hanging), 20)
        self.assertEqual(states, {"Hanging": "failed"})

    def test_where_all_hang_the_work_ends_soon(self):
        customers = [
            self._make_customer(f"Hanging {number}", f"hanging{number}@example.com")
            for number in range(8)
        ]
        run = self._make_run_to_send(*customers)
        states = self._send_in_time(run, 40)
        self.assertEqual(set(states.values()), {"failed"})
        # and others get their turn
        run.document_ids.partner_id.name = "Good"
        self._retry(run)

    def test_no_process_is_left(self):
        report = self.env["ir.actions.report"]._get_report("account.account_invoices")
        process = PdfProcess((["Hanging"], "", ""), [], ids=[7])
        process.start()
        with self.assertRaises(PrintHangs) as hung:
            report._get_printed(process)
        self.assertEqual(hung.exception.ids, [7])
        self.assertIsNotNone(process.process.poll())

    def test_time_is_a_part_of_the_workers(self):
        for cron, real, expected in ((-1, 120, 30), (0, 120, 30), (600, 120, 150), (-1, 0, 300)):
            with patch.dict(config.options, limit_time_real_cron=cron, limit_time_real=real):
                self.assertEqual(get_print_seconds(), expected)
