from odoo.tests import tagged

from .sending_common import SendingCommon


@tagged("post_install", "-at_install")
class TestSendingCredits(SendingCommon):
    """Credit notes of a reversed run go once to the recipients of the invoices, in the same way."""

    def _reverse(self, run):
        """Reverse as a user; return the documents of the credit notes."""
        run.with_user(self.user).action_reverse()
        return run.document_ids.filtered(lambda document: document.state == "credit")

    def test_sent_like_the_invoices_and_once(self):
        silent = self._make_partner("Silent", "silent@example.com")
        run = self._make_run_to_send(self.debtor, silent)
        self._send(run)
        totals = (run.document_count, run.amount_total, run.due_amount, run.due_count)
        credits = self._reverse(run)
        self.assertEqual(self._reverse(run), credits, "again makes no more of them")
        self.assertEqual(credits.move_id, run.invoice_ids.reversal_move_ids)
        told = [text for text in run.message_ids.mapped("body") if "Credit notes created" in text]
        self.assertEqual(len(told), 1)
        self.assertIn("Credit notes created: 2.", told[0])
        self.assertEqual(credits.mapped("amount_total"), [-100.0, -100.0])
        states = {doc.partner_id.name: (doc.send_action, doc.send_state) for doc in credits}
        self.assertEqual(states, {"Debtor": ("email", "pending"), "Silent": ("none", "none")})
        self.assertEqual(run.pending_count, 1)
        self.assertEqual(len(self.inbox.mails), 1, "somebody has to press Send")

        self._send(run)
        credit = credits.filtered(lambda doc: doc.partner_id == self.debtor)
        self.assertEqual((credit.send_state, credit.send_error), ("sent", False))
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"] * 2)
        self.assertIn(credit.move_id.name, self.inbox.mails[-1]["Subject"])
        self._send(run)
        self._retry(run)
        self.assertEqual(len(self.inbox.mails), 2)
        self.assertEqual(totals[2:], (run.due_amount, run.due_count), "nothing more is due")
        self.assertFalse(run.document_count, "what was given back is not counted")
        self.assertFalse(run.amount_total)

    def test_automatic_sending_leaves_them_to_a_person(self):
        run = self._make_run_to_send()
        self._send(run)
        credit = self._reverse(run)
        run.schedule_id.auto_send = "yes"
        run.sudo()._go_on_sending()
        self.assertEqual((run.job, credit.send_asked), ("none", False))
        # asked for while others were being made: queued when they are
        credit._write_engine({"send_asked": True})
        run.sudo()._queue_asked_sending()
        self.assertEqual(run.job, "send")

    def test_not_to_who_never_got_the_invoice(self):
        run = self._make_run_to_send()
        credit = self._reverse(run)
        self.assertEqual((credit.send_action, credit.send_state), ("none", "none"))
        # but whoever wants to, may
        credit.with_user(self.user).send_action = "email"
        self.assertEqual(credit.send_state, "pending")

    def test_refused_then_retried(self):
        customer = self._make_customer("Moved", "moved@example.com")
        run = self._make_run_to_send(customer)
        self._send(run)
        customer.email = "refused@example.com"
        credit = self._reverse(run)
        self._send(run)
        self.assertEqual(credit.send_state, "failed")
        self.assertIn("550", credit.send_error)
        self.assertEqual(run.failed_count, 1)
        customer.email = "moved@example.com"
        self._retry(run)
        self.assertEqual(credit.send_state, "sent")

    def test_printed(self):
        self.scenario.send_action = "print"
        run = self._make_run_to_send()
        run.document_ids._write_engine({"send_state": "printed"})
        credit = self._reverse(run)
        self.assertEqual((credit.send_action, credit.send_state), ("print", "pending"))
        self.assertEqual(run.to_print_count, 1)
        self.assertEqual(run._get_documents_to_print(), credit)

    def test_cancelled_before_it_left(self):
        run = self._make_run_to_send()
        self._send(run)
        credit = self._reverse(run)
        move = credit.move_id
        move.button_draft()
        self.assertFalse(run._get_documents_to_send(), "a draft does not leave")
        move.button_cancel()
        self.assertFalse(credit.exists())
        self.assertEqual(run.document_ids.state, "invoiced")
        self.assertEqual(run.document_ids.send_state, "sent")
        again = self._reverse(run)
        self.assertEqual(again.send_state, "pending")

    def test_credits_are_not_reversed(self):
        run = self._make_run_to_send()
        credit = self._reverse(run)
        moves = self.env["account.move"].search_count([])
        run.with_user(self.user).action_reverse()
        self.assertEqual(self.env["account.move"].search_count([]), moves)
        self.assertEqual(credit.move_id.move_type, "out_refund")
