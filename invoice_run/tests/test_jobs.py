import errno
import time
from datetime import timedelta
from unittest.mock import patch

import psycopg2
from psycopg2 import errors as pg_errors

from odoo import fields
from odoo.tests import BaseCase, tagged
from odoo.tools import mute_logger

from ..models.base.errors import is_outage
from ..models.job import invoice_run_job
from .common import InvoiceRunCommon

QUEUE_LOG = "odoo.addons.invoice_run.models.job.invoice_run_queue"
OUTAGES = [
    OSError(errno.ENOSPC, "No space left on device"),
    pg_errors.DiskFull("could not extend file"),
    pg_errors.ReadOnlySqlTransaction("cannot execute INSERT"),
    psycopg2.OperationalError("server closed the connection unexpectedly"),
    psycopg2.InterfaceError("connection already closed"),
    MemoryError(),
]


@tagged("post_install", "-at_install")
class TestOutages(BaseCase):
    def test_what_is_one(self):
        for error in OUTAGES:
            with self.subTest(error=error):
                self.assertTrue(is_outage(error))

    def test_also_behind_another_error(self):
        try:
            try:
                raise OUTAGES[0]
            except OSError as error:
                raise ValueError("the PDF cannot be kept") from error
        except ValueError as error:
            self.assertTrue(is_outage(error))

    def test_what_is_none(self):
        for error in (ValueError(), OSError(errno.ENOENT, "no such file"), KeyError("x")):
            with self.subTest(error=error):
                self.assertFalse(is_outage(error))


@tagged("post_install", "-at_install")
class TestJobs(InvoiceRunCommon):
    """The loop that all kinds of background work share."""

    def setUp(self):
        super().setUp()
        self.job = self.env["invoice.run.job.invoices"]
        self.patch(invoice_run_job, "PACES", {})

    def test_what_stopped_or_waits_comes_last(self):
        """One of these may take all the time of a call: the others would never come."""
        stopped, waiting, ready = [self._make_run(f"2024-0{month}-15") for month in (1, 2, 3)]
        for run in (stopped, waiting, ready):
            run.action_generate_amounts()
        stopped.sudo()._write_engine({"job_error": "no luck"})
        soon = fields.Datetime.now() + timedelta(hours=1)
        waiting.sudo()._write_engine({"send_wait_until": soon})
        queued = self.env["invoice.run"]._get_queued_runs()
        self.assertEqual(queued, ready + waiting + stopped)

    def test_each_kind_of_work_has_its_model(self):
        kinds = {name for name, _label in self.env["invoice.run"]._fields["job"].selection}
        for kind in kinds - {"none"}:
            job = self.env["invoice.run"].new({"job": kind})._get_job()
            self.assertEqual(job._get_kind(), kind)
            self.assertTrue(job._get_unit())

    def test_a_chunk_is_measured_in_seconds(self):
        self.assertEqual(self.job._pace(250), 60, "nobody knows yet: a small one first")
        self.assertEqual(self.job._pace(40), 40)
        self.job._note_pace(60, 3.0)
        self.assertEqual(self.job._pace(250), 200)
        self.job._note_pace(200, 200.0)
        self.assertEqual(self.job._pace(250), 10, "a slow one counts at once")
        self.job._note_pace(10, 0.1)
        self.assertEqual(self.job._pace(250), 19, "a quick one half")
        self.job._note_pace(1, 500.0)
        self.assertEqual(self.job._pace(250), 1, "at least one")

    def test_each_kind_of_work_has_its_own_pace(self):
        self.job._note_pace(10, 100.0)
        self.assertEqual(self.env["invoice.run.job.amounts"]._pace(125), 60)

    def test_a_call_ends_when_the_time_is_over(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_run("2024-01-15")
        run.with_user(self.user).action_generate_amounts()
        told = []

        def commit(model, processed=0, remaining=None):
            told.append((processed, remaining))
            return 0

        cron = self.env.ref("invoice_run.invoice_run_cron")
        triggers = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)])
        runs = self.env["invoice.run"].with_context(
            cron_end_time=time.monotonic() - 1, cron_id=cron.id
        )
        with patch.object(self.env.registry["invoice.run"], "_commit_step", commit):
            runs._cron_process_runs()
        self.assertEqual(told, [(0, 1)], "nothing begun, and Odoo hears that something is left")
        again = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)]) - triggers
        self.assertEqual(len(again), 1, "it does not wait for Odoo to look again in a minute")
        run._write_engine({"send_wait_until": fields.Datetime.now() + timedelta(hours=1)})
        runs._cron_process_runs()
        later = self.env["ir.cron.trigger"].search([("cron_id", "=", cron.id)]) - triggers
        self.assertEqual(later, again, "there is nothing to do now")
        self.assertEqual(run.job, "amounts")

    def test_only_a_scheduled_action_speaks_of_its_call(self):
        """Its time is over for the engine too; a button's context says nothing of a call."""
        call = {"cron_end_time": time.monotonic() + 9, "ir_cron_progress_id": 0, "cron_id": 1}
        run = self._make_run("2024-01-15").with_context(**call, default_state="approved")
        forged = run.with_context(invoice_run_call=call)
        for caller, taken in ((run, {}), (forged, {}), (run._with_call(), call)):
            context = caller._with_engine().env.context
            names = [name for name in context if "cron" in name or "default" in name]
            self.assertEqual({name: context[name] for name in names}, taken)
        given = []

        def process(runs):
            given.append(runs._with_engine().env.context.get("cron_end_time"))

        self._make_contract(date_start="2024-01-01")
        run.action_generate_amounts()
        with patch.object(self.env.registry["invoice.run"], "_process_queue", process):
            self.env["invoice.run"].with_context(**call)._cron_process_runs()
        self.assertEqual(given, [call["cron_end_time"]])

    def test_odoo_hears_of_each_chunk(self):
        for _number in range(3):
            self._make_contract(
                date_start="2024-01-01", partner_id=self._make_partner("Another").id
            )
        self.patch(self.env.registry["invoice.run.job.amounts"], "_chunk_size", 1)
        run = self._make_run("2024-01-15")
        run.with_user(self.user).action_generate_amounts()
        told = []

        def commit(model, processed=0, remaining=None):
            told.append(processed)
            return float("inf")

        with patch.object(self.env.registry["invoice.run"], "_commit_step", commit):
            run._process_queue()
        self.assertEqual(sum(told), 3)

    @mute_logger(QUEUE_LOG)
    def test_an_outage_stops_the_job_and_no_document(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15", user_id=self.user.id))
        run.with_user(self.reviewer).action_approve()
        run.with_user(self.user).action_generate_invoices()
        create = patch.object(
            self.env.registry["invoice.run.document"], "_create_moves", side_effect=OUTAGES[0]
        )
        with create, self.assertRaises(OSError), self.env.cr.savepoint():
            run._process_queue()
        self.env.invalidate_all()
        self.assertEqual(set(run.document_ids.mapped("state")), {"to_do"})
        self.assertEqual(run.job, "invoices", "it goes on by itself")
        run._process_queue()
        self.assertEqual(run.state, "invoiced")

    def test_an_outage_makes_no_exception_of_a_customer(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_run("2024-01-15")
        run.with_user(self.user).action_generate_amounts()
        collect = patch.object(
            self.env.registry["invoice.run"], "_create_amounts", side_effect=OUTAGES[1]
        )
        with collect, self.assertRaises(pg_errors.DiskFull), self.env.cr.savepoint():
            run._process_queue()
        self.env.invalidate_all()
        self.assertFalse(run.exception_ids)
        run._process_queue()
        self.assertTrue(run.document_ids)
