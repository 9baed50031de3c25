from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from ..models.accounting import invoice_run_reversal
from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestReversalInBackground(InvoiceRunCommon):
    """Runs with more invoices than a user waits for."""

    def setUp(self):
        super().setUp()
        self.patch(invoice_run_reversal, "REVERSE_AT_ONCE", 2)
        self.patch(self.env.registry["invoice.run.job.reverse"], "_chunk_size", 2)
        for name in ("One", "Two", "Three"):
            partner = self._make_partner(name)
            self._make_contract(date_start="2024-01-01", partner_id=partner.id)
        # two months of three customers
        self.run = self._run_all("2024-02-15")
        self.documents = self.run.document_ids

    def _ask(self):
        return self.run.with_user(self.user).action_reverse()

    def _credit_by_hand(self, move):
        wizard = self.env["account.move.reversal"].with_context(
            active_model="account.move", active_ids=move.ids
        )
        wizard = wizard.create({"journal_id": move.journal_id.id})
        wizard.refund_moves()
        return wizard.new_move_ids

    def _get_content(self, run):
        return [
            (document.partner_id.name, document.title, document.amount_total)
            for document in run.document_ids.sorted("sequence")
            if document.state != "credit"
        ]

    def test_all_of_a_run(self):
        self.assertEqual(len(self.documents), 6)
        action = self._ask()
        self.assertEqual(
            (action["res_model"], action["res_id"]), ("invoice.run", self.run.id), "to watch it"
        )
        self.assertEqual(self.run.job, "reverse")
        self.assertFalse(self.run.invoice_ids.reversal_move_ids)
        self.assertEqual(self.run.get_progress()["total"], 6)
        self.run._process_queue()
        self.assertEqual(self.run.job, "none")
        self.assertEqual(set(self.documents.mapped("state")), {"released"})
        credits = self.run.document_ids - self.documents
        self.assertEqual(set(credits.mapped("state")), {"credit"})
        self.assertEqual(credits.move_id.reversed_entry_id, self.documents.move_id)
        self.assertEqual(set(credits.move_id.mapped("state")), {"posted"})
        self.assertEqual(sum(self.run.document_ids.mapped("amount_total")), 0.0)
        self.assertIn("Credit notes of this run: 6.", self.run.message_ids[0].body)

    def test_same_periods_again(self):
        content = self._get_content(self.run)
        for _number in range(2):
            run = self.run
            self._ask()
            run._process_queue()
            self.assertFalse(any(run.line_ids.mapped("is_claimed")))
            self.run = self._run_all("2024-02-15")
            self.assertEqual(self._get_content(self.run), content)

    def test_latest_documents_first(self):
        self._ask()
        first = self.run._get_documents_to_reverse()
        chunk = next(self.env["invoice.run.job.reverse"]._collect_chunks(self.run))
        self.assertEqual(chunk, first.sorted("sequence", reverse=True)[:2])

    def test_one_that_cannot_be_reversed_stops_no_other(self):
        self._ask()
        bad = self.documents[3]
        credit = self._credit_by_hand(bad.move_id)
        self.run._process_queue()
        others = self.documents - bad
        self.assertEqual((set(others.mapped("state")), bad.state), ({"released"}, "invoiced"))
        self.assertIn("already have credit notes", bad.failure)
        self.assertEqual(bad.move_id.reversal_move_ids, credit)
        self.assertIn("Not reversed: 1.", self.run.message_ids[0].body)
        self.assertFalse(self.run._get_documents_to_reverse())
        # the cause is removed: the rest follows, and says nothing of the past any more
        credit.unlink()
        self._ask()
        self.assertEqual((bad.state, bad.failure), ("released", False))

    def test_one_that_is_no_longer_confirmed(self):
        self._ask()
        self.documents[0].move_id.button_draft()
        self.run._process_queue()
        self.assertIn("no longer confirmed", self.documents[0].failure)
        self.assertEqual(set(self.documents[1:].mapped("state")), {"released"})

    def test_refused_at_once(self):
        credit = self._credit_by_hand(self.documents[0].move_id)
        with self.assertRaisesRegex(UserError, "1 of the invoices already have credit notes"):
            self._ask()
        credit.unlink()
        self.run._write_engine({"job": "send"})
        with self.assertRaisesRegex(UserError, "is being processed"):
            self._ask()
        self.assertFalse(self.run._get_documents_to_reverse())

    def test_stop_forgets_what_was_asked_for(self):
        self._ask()
        self.run.with_user(self.user).action_stop_reversing()
        self.assertEqual(self.run.job, "none")
        chosen = self.documents[:1]
        chosen.with_user(self.user).action_reverse()
        self.run._process_queue()
        self.assertEqual(chosen.state, "released")
        self.assertEqual(set((self.documents - chosen).mapped("state")), {"invoiced"})

    def test_what_was_asked_for_meanwhile_is_sent(self):
        kept = self.documents[0]
        kept.partner_id.email = "kept@example.com"
        kept.with_user(self.user).send_action = "email"
        Send = self.env.registry["invoice.run.job.send"]
        # stopped first: nothing is reversed by that
        for end in ("action_stop_reversing", "_process_queue"):
            with self.subTest(end=end), patch.object(Send, "_process", return_value=False):
                self.documents[1:4].with_user(self.user).action_reverse()
                kept.with_user(self.user).action_send()
                self.assertEqual(self.run.job, "reverse")
                getattr(self.run, end)()
                self.assertEqual(self.run.job, "send")
                self.run.action_stop_sending()

    def test_selected_documents(self):
        chosen = self.documents[:3]
        chosen.with_user(self.user).action_reverse()
        self.run._process_queue()
        self.assertEqual(set(chosen.mapped("state")), {"released"})
        self.assertEqual(set((self.documents - chosen).mapped("state")), {"invoiced"})

    def test_invoicing_rights_are_needed(self):
        role = self.env.ref("invoice_run.invoice_run_group_user")
        role.implied_ids -= self.env.ref("account.group_account_invoice")
        with self.assertRaises(AccessError):
            self._ask()
        self.assertEqual(self.run.job, "none")
        self.assertFalse(self.run._get_documents_to_reverse())
