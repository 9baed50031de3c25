"""What an earlier version left behind gets what the present one asks for."""

import importlib.util
from pathlib import Path

from odoo.tests import tagged

from .common import InvoiceRunCommon

FOLDER = Path(__file__).parents[1] / "migrations"


@tagged("post_install", "-at_install")
class TestMigration(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contract = cls._make_contract(
            [{"price_unit": 100.0}, {"price_unit": 30.0}], date_start="2024-01-01"
        )

    def _migrate(self, version, *names):
        self.env.flush_all()
        for name in names:
            path = FOLDER / version / f"{name}.py"
            spec = importlib.util.spec_from_file_location(name.replace("-", "_"), path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module.migrate(self.env.cr, "19.0.1.0.0")
        self.env.invalidate_all(flush=False)

    def _forget(self, *assignments):
        """Have the rows as the earlier version wrote them."""
        self.env.flush_all()
        for assignment in assignments:
            self.env.cr.execute(f"UPDATE {assignment}")
        self.env.invalidate_all(flush=False)

    def _credit(self, move, **vals):
        wizard = (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=move.ids)
            .create({"journal_id": move.journal_id.id, "date": "2024-01-20", **vals})
        )
        wizard.refund_moves()
        wizard.new_move_ids.action_post()
        return wizard.new_move_ids

    def test_approved_runs_stay_approved(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        run.with_user(self.reviewer).action_approve()
        self._forget("invoice_run_document SET approved_fingerprint = NULL")
        self._migrate("19.0.1.1.0", "pre-migrate", "post-migrate")
        run.action_generate_invoices()
        run._process_queue()
        self.assertEqual(run.document_ids.mapped("state"), ["invoiced"])

    def test_unconfirmed_delivery_stays_unconfirmed(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        document = run.document_ids
        self.env.cr.execute(
            "ALTER TABLE invoice_run_document ADD COLUMN is_send_uncertain boolean;"
            "ALTER TABLE invoice_run ADD COLUMN is_reprint boolean"
        )
        self._forget(
            "invoice_run_document SET is_send_uncertain = TRUE, send_state = 'failed'",
            "invoice_run SET is_reprint = TRUE, job = 'print'",
        )
        self._migrate("19.0.1.1.0", "pre-migrate")
        self.assertEqual((document.send_state, run.job), ("uncertain", "reprint"))

    def test_waiting_runs_stay_waiting(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        self._migrate("19.0.1.1.0", "pre-migrate", "post-migrate")
        self.assertFalse(run.document_ids.approved_fingerprint)

    def test_last_time_of_waiting_documents(self):
        self._run_all("2024-01-15")
        document = self._make_amounts(self._make_run("2024-02-15")).document_ids
        self._forget("invoice_run_document SET last_amount = NULL")
        self._migrate("19.0.1.1.0", "pre-migrate", "post-migrate")
        self.assertEqual(document.last_amount, 130.0)

    def test_credited_invoices_are_noted(self):
        run = self._run_all("2024-01-15")
        move = run.document_ids.move_id
        credit = self._credit(move, invoice_bill_again=True)
        noted = move.line_ids.filtered("billing_given_back")
        links = credit.invoice_line_ids.billing_credited_line_id
        self.assertEqual(len(noted), 2)
        self.assertEqual(links, move.invoice_line_ids)
        self._forget(
            "account_move SET billing_given_back = NULL",
            "account_move_line SET billing_given_back = NULL, billing_credited_line_id = NULL",
        )
        self._migrate("19.0.1.1.0", "pre-migrate", "post-migrate")
        self.assertTrue(move.billing_given_back)
        self.assertEqual(move.line_ids.filtered("billing_given_back"), noted)
        for given, billed in zip(credit.invoice_line_ids, move.invoice_line_ids, strict=True):
            self.assertEqual(given.billing_credited_line_id, billed)

    def test_corrections_name_what_they_correct(self):
        self._run_all("2024-01-15")
        self.contract.date_end = "2024-01-10"
        run = self._run_all("2024-01-25")
        before = {line: line.credited_line_id for line in run.line_ids}
        items = run.document_ids.move_id.invoice_line_ids
        links = items.mapped("billing_credited_line_id")
        self.assertEqual(len(links), 2)
        self._forget(
            "invoice_run_line SET credited_line_id = NULL",
            "account_move_line SET billing_credited_line_id = NULL",
        )
        self._migrate("19.0.1.1.0", "pre-migrate", "post-migrate")
        self.assertEqual({line: line.credited_line_id for line in run.line_ids}, before)
        self.assertEqual(items.mapped("billing_credited_line_id"), links)

    def test_contracts_cancelled_before_are_not_credited(self):
        self._run_all("2024-01-15")
        self.contract.action_cancel()
        self.env.flush_all()
        self._forget("billing_contract SET cancel_date = NULL")
        self.env.cr.execute("UPDATE invoice_run_line SET period_to = '2090-12-31'")
        self._migrate("19.0.1.1.0", "pre-migrate")
        self.assertEqual(str(self.contract.cancel_date), "2090-12-31")

    def test_blanks_around_references_go(self):
        items = [self._make_usage(date="2024-01-05") for _number in range(4)]
        self.env.flush_all()
        for item, reference in zip(items, ("A ", "B", "\u00a0C", " "), strict=True):
            self.env.cr.execute(
                "UPDATE billing_usage SET external_ref = %s WHERE id = %s", [reference, item.id]
            )
        self._migrate("19.0.1.1.0", "pre-migrate")
        self.assertEqual([item.external_ref for item in items], ["A", "B", "C", False])

    def test_references_that_become_the_same_are_told_apart(self):
        items = [self._make_usage(date="2024-01-05") for _number in range(2)]
        self.env.flush_all()
        self.env.cr.execute("DROP INDEX billing_usage_external_ref_unique")
        for item, reference in zip(items, ("A ", "A"), strict=True):
            self.env.cr.execute(
                "UPDATE billing_usage SET external_ref = %s WHERE id = %s", [reference, item.id]
            )
        self._migrate("19.0.1.1.0", "pre-migrate")
        self.assertEqual([item.external_ref for item in items], [f"A ({items[0].id})", "A"])
