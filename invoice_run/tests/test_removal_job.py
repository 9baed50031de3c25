from contextlib import suppress
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from ..models.run import invoice_run
from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestRemovalInBackground(InvoiceRunCommon):
    """Amounts of a run that is too large for the click of a button."""

    def setUp(self):
        super().setUp()
        self.patch(invoice_run, "DELETED_AT_ONCE", 2)
        self.patch(self.env.registry["invoice.run.job.delete"], "_chunk_size", 2)
        for name in ("One", "Two", "Three"):
            partner = self._make_partner(name)
            self._make_contract(date_start="2024-01-01", partner_id=partner.id)
        self.run = self._make_run("2024-02-15")
        self.run.action_generate_amounts()
        self.run._process_queue()
        self.before = self._get_content()

    def _get_content(self):
        return [
            (document.partner_id.name, document.title, document.amount_total)
            for document in self.run.document_ids.sorted("sequence")
        ]

    def test_delete(self):
        self.run.action_approve()
        self.run.with_user(self.user).action_delete_amounts("wrong month")
        self.assertEqual((self.run.state, self.run.job), ("submitted", "delete"))
        self.assertFalse(self.run.approved_date, "nobody can invoice what is being deleted")
        self.assertTrue(self.run.document_ids, "the user does not wait for it")
        self.run._process_queue()
        self.assertEqual((self.run.state, self.run.job), ("submitted", "none"))
        self.assertFalse(self.run.document_ids | self.run.line_ids.document_id)
        self.run.action_generate_amounts()
        self.run._process_queue()
        self.assertEqual(self._get_content(), self.before, "all of it is due again")

    def test_recalculate(self):
        for contract in self.env["billing.contract"].search([]):
            contract.line_ids.price_unit *= 2
        self.run.with_user(self.user).action_generate_amounts()
        self.assertEqual((self.run.state, self.run.job), ("submitted", "renew"))
        contract = self.run.document_ids[:1].contract_ids
        reasons = self.run.explain(contract._name, contract.id)["reasons"]
        self.assertIn("Deleting amounts to recalculate them", str(reasons))
        self.run._process_queue()
        self.assertEqual((self.run.state, self.run.job), ("amounts", "none"))
        doubled = [(name, title, 2 * total) for name, title, total in self.before]
        self.assertEqual(self._get_content(), doubled)

    def _change_two(self):
        """Change the contracts of two customers; somebody excluded a document of one of them."""
        excluded = self.run.document_ids.filtered(lambda doc: doc.partner_id.name == "One")[:1]
        excluded.with_user(self.user).action_exclude()
        for document in self.run.document_ids:
            if document.partner_id.name != "Three":
                document.contract_ids.line_ids.price_unit = 150.0
        return excluded

    def test_recalculate_changed(self):
        excluded = self._change_two()
        kept = self.run.document_ids.filtered(lambda doc: doc.partner_id.name == "Three")
        self.run.with_user(self.user).action_renew_stale()
        self.assertEqual((self.run.state, self.run.job), ("submitted", "renew"))
        self.assertEqual(len(self.run.document_ids), len(self.before), "nobody waits for it")
        self.run._process_queue()
        self.assertEqual((self.run.state, self.run.job), ("amounts", "none"))
        self.assertFalse(self.run.renew_payer_ids)
        self.assertEqual(kept.exists(), kept)
        self.assertEqual(excluded.exists().state, "excluded")
        others = self.run.document_ids - kept - excluded
        self.assertEqual(others.mapped("amount_total"), [150.0] * 3)

    def test_recalculating_changed_ones_stopped(self):
        """What is deleted is named as missing, what is not waits to be recalculated."""
        self._change_two()
        self.run.with_user(self.user).action_renew_stale()
        documents = self.run.sudo().document_ids
        documents.filtered(lambda doc: doc.partner_id.name == "Two")._remove()
        self.run._stop_work()
        self.assertEqual((self.run.state, self.run.job), ("amounts", "none"))
        self.assertEqual(self.run.exception_ids.partner_id.name, "Two")
        self.assertEqual(self.run.stale_count, 1)
        self.run.with_user(self.user).action_renew_stale()
        self.run._process_queue()
        self.assertFalse(self.run.stale_count)

    def test_interrupted(self):
        """What a worker that died had deleted is deleted; the next one goes on."""
        self.run.action_generate_amounts()
        remove, calls = self.env.registry["invoice.run.document"]._remove, []

        def die(documents):
            calls.append(documents)
            if len(calls) > 1:
                raise KeyboardInterrupt
            remove(documents)

        # `assertRaises` would roll back what the worker had committed
        with (
            patch.object(self.env.registry["invoice.run.document"], "_remove", die),
            suppress(KeyboardInterrupt),
        ):
            self.run._process_queue()
        self.assertEqual(len(self.run.document_ids), len(self.before) - 2)
        self.assertEqual(self.run.job, "renew")
        self.run._process_queue()
        self.assertEqual(self._get_content(), self.before)

    def test_stopped_and_begun_again(self):
        """A run that was stopped halfway takes nothing old for new."""
        self.run.action_generate_amounts()
        self.run.sudo().document_ids[:2]._remove()
        self.run._stop_work()
        self.assertEqual((self.run.state, self.run.job), ("submitted", "none"))
        self.run.action_generate_amounts()
        self.run._process_queue()
        self.assertEqual(self._get_content(), self.before)

    def test_cancel(self):
        self.run.action_approve()
        self.run.with_user(self.user).action_cancel()
        self.assertEqual((self.run.state, self.run.job), ("submitted", "cancel"))
        self.assertFalse(self.run.approved_date, "nobody can invoice what is being cancelled")
        self.run._process_queue()
        self.assertEqual((self.run.state, self.run.job), ("cancelled", "none"))
        self.assertEqual(self._get_content(), self.before, "it can be read as it was")
        self.assertEqual(set(self.run.document_ids.mapped("state")), {"released"})
        self.run = self._make_run("2024-02-15")
        self.run.action_generate_amounts()
        self.run._process_queue()
        self.assertEqual(self._get_content(), self.before, "all of it is due again")

    def test_cancelling_stopped_and_cancelled_again(self):
        self.run.action_cancel()
        self.run.sudo().document_ids[:2]._give_up()
        total = len(self.before)
        job = self.env["invoice.run.job.cancel"]
        self.assertEqual(job._count_progress(self.run), (2, total))
        self.run._stop_work()
        self.assertEqual((self.run.state, self.run.job), ("submitted", "none"))
        self.run.action_cancel()
        self.run._process_queue()
        self.assertEqual((self.run.state, self.run.job), ("cancelled", "none"))
        self.assertFalse(self.run.line_ids.filtered("is_claimed"))


@tagged("post_install", "-at_install")
class TestCancelInBackground(InvoiceRunCommon):
    """A run whose invoices are drafts, too many of them for the click of a button."""

    def setUp(self):
        super().setUp()
        self.patch(invoice_run, "DELETED_AT_ONCE", 2)
        self.patch(self.env.registry["invoice.run.job.delete"], "_chunk_size", 2)
        for number in range(5):
            partner = self._make_partner(f"Customer {number}")
            self._make_contract(date_start="2024-01-01", partner_id=partner.id)
        self.scenario.invoice_state = "draft"
        self.run = self._run_all("2024-02-15")
        self.moves = self.run.invoice_ids.sorted("id")
        self.before = self.run.document_ids.mapped("title")

    def _assert_all_due_again(self):
        again = self._make_amounts(self._make_run("2024-02-15"))
        self.assertCountEqual(again.document_ids.mapped("title"), self.before)

    def test_drafts(self):
        numbered = self.moves[:2]
        numbered.action_post()
        numbered.button_draft()
        self.run.with_user(self.user).action_cancel()
        self.assertEqual((self.run.state, self.run.job), ("submitted", "cancel"))
        self.assertEqual(self.moves.exists(), self.moves, "the user does not wait for it")
        self.run._process_queue()
        self.assertEqual((self.run.state, self.run.job), ("cancelled", "none"))
        self.assertEqual(self.moves.exists(), numbered)
        self.assertEqual(set(numbered.mapped("state")), {"cancel"})
        self.assertFalse(self.run.line_ids.filtered("is_claimed"))
        self._assert_all_due_again()

    def test_confirmed_meanwhile(self):
        """Accounting confirms one while the run is being cancelled: it stays, and is billed."""
        self.run.action_cancel()
        self.moves[0].action_post()
        self.run._process_queue()
        self.assertEqual((self.run.state, self.run.job), ("invoiced", "none"))
        self.assertEqual(self.moves.exists(), self.moves[0])
        self.assertEqual(
            self.run.line_ids.filtered("is_claimed").document_id.move_id, self.moves[0]
        )
        self.assertIn("Not cancelled", self.run.message_ids[0].body)
        self.run.with_user(self.user).action_reverse()
        self._assert_all_due_again()

    def test_confirmed_before(self):
        self.moves[0].action_post()
        with self.assertRaisesRegex(UserError, "confirmed invoices: 1"):
            self.run.with_user(self.user).action_cancel()
        self.assertEqual(self.moves.exists(), self.moves)

    def test_without_the_right_to_delete(self):
        """The button checks it: the engine that does the work may do everything."""
        rights = self.env["ir.model.access"].search([("model_id.model", "=", "account.move")])
        rights.perm_unlink = False
        with self.assertRaises(AccessError):
            self.run.with_user(self.user).action_cancel()
        self.assertEqual(self.run.job, "none")
