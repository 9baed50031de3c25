import time
from datetime import timedelta
from unittest.mock import patch

from freezegun import freeze_time

from odoo import fields
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..models.delivery.mail_mail import MAX_CONNECTIONS
from ..models.delivery.mail_notification import UNKNOWN
from .sending_common import SendingCommon

MAIL = "odoo.addons.mail.models.mail_mail"
SERVER = "odoo.addons.base.models.ir_mail_server"


@tagged("post_install", "-at_install")
class TestSendingFaults(SendingCommon):
    """A mail server that misbehaves: each fault on its document, the others are sent, once."""

    def _check_fault(self, partner, text, state="failed"):
        """Send to ``partner`` and to somebody else; return the document of ``partner``."""
        run = self._make_run_to_send(partner, self.debtor)
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.assertEqual(self._get_states(run), {partner.name: state, "Debtor": "sent"})
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"])
        document = run.document_ids.filtered(lambda doc: doc.partner_id == partner)
        self.assertIn(text, document.send_error)
        return document

    def _check_repaired(self, document, address):
        """Correct the address and retry: exactly that one is sent, now and never again."""
        document.partner_id.email = address
        self._retry(document.run_id)
        self.assertEqual(document.send_state, "sent")
        self.assertFalse(document.send_error)
        recipients = ["debtor@example.com", address]
        self.assertEqual(self.inbox.get_recipients(), recipients)
        self._retry(document.run_id)
        self._send(document.run_id)
        self.env["mail.mail"].process_email_queue()
        self.assertEqual(self.inbox.get_recipients(), recipients)

    def test_no_address(self):
        document = self._check_fault(self._make_customer("Silent", False), "no email address")
        self._check_repaired(document, "found@example.com")

    def test_bad_address(self):
        document = self._check_fault(
            self._make_customer("Bad", "not an address"), "not a valid email"
        )
        self._check_repaired(document, "good@example.com")

    def test_recipient_refused(self):
        partner = self._make_customer("Gone", "refused@example.com")
        document = self._check_fault(partner, "550 5.1.1 No such mailbox (to refused@example.com)")
        self._check_repaired(document, "accepted@example.com")

    def test_sender_refused(self):
        self.server.from_filter = False
        self.company.email = "refused@example.com"
        self.company.alias_domain_id = False
        self.user.email = "refused@example.com"
        run = self._make_run_to_send()
        run.document_ids.move_id.invoice_user_id = self.user
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.assertEqual(run.document_ids.send_state, "failed")
        self.assertIn("553 5.1.8 Sender not allowed here", run.document_ids.send_error)
        self.user.email = "allowed@example.com"
        self._retry(run)
        self.assertEqual(run.document_ids.send_state, "sent")

    def test_server_down(self):
        port = self.server.smtp_port
        self.server.smtp_port = 1
        run = self._make_run_to_send()
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.assertEqual(run.document_ids.send_state, "failed")
        self.assertIn("The mail server cannot be reached", run.document_ids.send_error)
        self.server.smtp_port = port
        self._retry(run)
        self.assertEqual(run.document_ids.send_state, "sent")
        self.assertEqual(len(self.inbox.mails), 1)

    def _attach(self, run, size):
        run.with_user(self.user).send_attachment_ids = (
            self.env["ir.attachment"]
            .with_user(self.user)
            .create({"name": "terms.txt", "raw": b"x" * size})
        )

    def test_too_large_for_the_server(self):
        run = self._make_run_to_send()
        self._attach(run, 400_000)
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.assertEqual(run.document_ids.send_state, "failed")
        self.assertIn("552", run.document_ids.send_error)
        run.send_attachment_ids = False
        self._retry(run)
        self.assertEqual(run.document_ids.send_state, "sent")
        [mail] = self.inbox.mails
        self.assertNotIn("terms.txt", [part.get_filename() for part in mail.iter_attachments()])

    def test_too_large_for_the_setting(self):
        self.server.max_email_size = 0.05
        run = self._make_run_to_send()
        self._attach(run, 100_000)
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.assertEqual(run.document_ids.send_state, "failed")
        self.assertIn("accepts 0.05 MB at most", run.document_ids.send_error)
        self.assertFalse(self.inbox.mails)

    def test_greylisting_is_tried_again_by_itself(self):
        partner = self._make_customer("Grey", "later@example.com")
        start = fields.Datetime.now()
        document = self._check_fault(partner, "450 4.2.0 Greylisted", state="pending")
        run = document.run_id
        self.assertEqual(run.job, "send")
        run._process_queue()
        self.assertEqual(document.send_attempts, 1)
        self.inbox.forgiven = ("later",)
        with freeze_time(start + timedelta(minutes=20)), self._real_sending():
            run._process_queue()
        self.assertEqual(document.send_state, "sent")
        self.assertEqual(run.job, "none")
        self.assertEqual(len(document.send_message_ids), 1)

    def test_changed_way_forgets_what_failed(self):
        partner = self._make_customer("Moved", "refused@example.com")
        document = self._check_fault(partner, "550 5.1.1")
        partner.email = "moved@example.com"
        document.with_user(self.user).send_action = "email"
        self.assertEqual((document.send_state, document.send_error), ("pending", False))
        self._send(document.run_id)
        self.assertEqual(document.send_state, "sent")
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com", "moved@example.com"])

    def test_changed_way_leaves_no_mail_behind(self):
        partner = self._make_customer("Grey", "later@example.com")
        start = fields.Datetime.now()
        document = self._check_fault(partner, "450 4.2.0 Greylisted", state="pending")
        document.with_user(self.user).send_action = "print"
        self.inbox.forgiven = ("later",)
        with freeze_time(start + timedelta(hours=1)), self._real_sending():
            document.run_id._process_queue()
            self.env["mail.mail"].process_email_queue()
        self.assertEqual((document.send_state, document.send_asked), ("pending", False))
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"])

    def test_perhaps_sent_is_not_tried_again_by_itself(self):
        """A worker died while a mail was leaving, the next one found the invoice locked."""
        run = self._make_run_to_send(self.debtor)
        document = run.document_ids.sudo()
        with self._real_sending():
            run.action_send()
            document._process_send()
        document._get_mails(["outgoing"]).state = "exception"
        document.send_message_id.notification_ids.with_context(invoice_run_hand_over=True).write(
            {"notification_status": "exception", "failure_type": UNKNOWN}
        )
        document.send_next_try = fields.Datetime.now()
        document.with_user(self.user).send_action = "email"
        with self._real_sending():
            run._process_queue()
        self.assertEqual(document.send_state, "uncertain")
        self.assertFalse(self.inbox.mails)

    def test_retried_while_the_last_mail_leaves(self):
        """The worker is past that document, but has not ended the job."""
        self.debtor.email = "refused@example.com"
        run = self._make_run_to_send(self.debtor, self._make_customer("Last", "last@example.com"))
        first = run.document_ids[0]
        self.patch(self.env.registry["invoice.run.job.send"], "_chunk_size", 1)
        hand_over = type(first)._hand_over_mails

        def retry_meanwhile(documents, until=None):
            left = hand_over(documents, until)
            if first not in documents:
                self.debtor.email = "found@example.com"
                first.with_user(self.user).action_send()
            return left

        self.patch(type(first), "_hand_over_mails", retry_meanwhile)
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.assertEqual(self._get_states(run), {"Debtor": "sent", "Last": "sent"})
        self.assertEqual(self.inbox.get_recipients(), ["last@example.com", "found@example.com"])
        self.assertEqual(run.job, "none")

    def _check_new_mail(self, document, amount):
        """Let the mail server take mails: one has the invoice as it is now, none as it was."""
        self.inbox.forgiven = ("later",)
        with freeze_time(fields.Datetime.now() + timedelta(hours=1)), self._real_sending():
            self.env["mail.mail"].process_email_queue()
            document.run_id._process_queue()
            self.env["mail.mail"].process_email_queue()
        self.assertEqual(document.send_state, "sent")
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com", "later@example.com"])
        mail = self.inbox.mails[-1]
        self.assertIn(document.move_id.name, mail["Subject"])
        self.assertIn(amount, mail.get_body(("html",)).get_content())
        # what stands for the PDF in tests
        [attachment] = mail.iter_attachments()
        self.assertIn(amount, str(attachment.get_content()))

    def test_corrected_invoice_is_sent_as_it_is_now(self):
        partner = self._make_customer("Grey", "later@example.com")
        document = self._check_fault(partner, "450 4.2.0 Greylisted", state="pending")
        move = document.move_id
        move.button_draft()
        self.assertEqual((document.send_state, document.send_error), ("pending", False))
        move.invoice_line_ids.price_unit = 77.0
        move.action_post()
        self._check_new_mail(document, "77.00")

    def test_replaced_invoice_is_sent_as_it_is_now(self):
        partner = self._make_customer("Grey", "later@example.com")
        document = self._check_fault(partner, "450 4.2.0 Greylisted", state="pending")
        old = document.move_id
        wizard = self.env["account.move.reversal"].with_context(
            active_model="account.move", active_ids=old.ids
        )
        wizard.create({"journal_id": old.journal_id.id}).modify_moves()
        document.move_id.invoice_line_ids.price_unit = 88.0
        document.move_id.action_post()
        self.assertNotEqual(document.move_id, old)
        self._check_new_mail(document, "88.00")

    def test_mail_in_the_queue_does_not_leave_without_its_invoice(self):
        """Odoo's own queue would send what a worker that died left behind."""
        run = self._make_run_to_send()
        run.with_user(self.user).action_send()
        document = run.sudo().document_ids
        document._process_send()
        document.move_id.button_draft()
        with self._real_sending():
            self.env["mail.mail"].process_email_queue()
        self.assertFalse(self.inbox.mails)
        self.assertEqual((document.send_state, document.send_asked), ("pending", True))

    def test_greylisting_fails_in_the_end(self):
        partner = self._make_customer("Grey", "later@example.com")
        run = self._make_run_to_send(partner)
        start = fields.Datetime.now()
        with mute_logger(MAIL, SERVER):
            self._send(run)
            for hours in range(1, 30, 5):
                with freeze_time(start + timedelta(hours=hours)), self._real_sending():
                    run._process_queue()
        self.assertEqual(run.document_ids.send_state, "failed")
        self.assertIn("450", run.document_ids.send_error)
        self.assertEqual(run.job, "none")

    def test_connection_lost_while_handing_over(self):
        """It may have left: no retry sends it again, only a person can."""
        lost = self._make_customer("Lost", "lost@example.com")
        run = self._make_run_to_send(lost, self.debtor)
        self.inbox.hang_up_on = "lost@example.com"
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.inbox.hang_up_on = None
        self.assertEqual(self._get_states(run), {"Lost": "uncertain", "Debtor": "sent"})
        document = run.document_ids.filtered(lambda doc: doc.send_state == "uncertain")
        self.assertEqual(document.partner_id, lost)
        self.assertIn("Delivery unconfirmed", document.send_error)
        self._retry(run)
        self._send(run)
        self.env["mail.mail"].process_email_queue()
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"])
        with self._real_sending():
            document.with_user(self.user).action_send()
            run._process_queue()
        self.assertEqual(document.send_state, "sent")
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com", "lost@example.com"])

    def test_connection_lost_before_the_mail_was_complete(self):
        """Certainly it did not leave: it goes by a new connection, and nobody is asked."""
        for command in ("MAIL", "RCPT", "DATA"):
            with self.subTest(command=command):
                self.inbox.reset()
                run = self._make_run_to_send(
                    self._make_customer(f"At {command}", f"{command.lower()}@example.com")
                )
                self.inbox.hang_up_at, self.inbox.hang_ups = command, 1
                with mute_logger(MAIL, SERVER):
                    self._send(run)
                self.assertEqual(set(run.document_ids.mapped("send_state")), {"sent"})
                self.assertFalse(
                    run.document_ids.filtered(lambda doc: doc.send_state == "uncertain")
                )
                self.assertEqual(len(self.inbox.mails), len(run.document_ids))

    def test_connection_lost_again_and_again(self):
        run = self._make_run_to_send(self.debtor)
        self.inbox.hang_up_at, self.inbox.hang_ups = "DATA", 99
        with mute_logger(MAIL, SERVER):
            self._send(run)
        document = run.document_ids
        self.assertEqual(document.send_state, "pending")
        self.assertNotEqual(document.send_state, "uncertain")
        self.assertTrue(document.send_next_try, "tried again by itself")
        self.assertFalse(self.inbox.mails)

    def test_a_slow_mail_server_gets_no_further_mail_in_a_chunk(self):
        partners = [self._make_customer(f"C{n}", f"c{n}@example.com") for n in range(3)]
        run = self._make_run_to_send(*partners)
        documents = run.document_ids.sudo()
        with self._real_sending(), mute_logger(MAIL, SERVER):
            run.action_send()
            documents._process_send()
            left = documents._hand_over_mails(until=time.monotonic() - 1)
        self.assertEqual(len(left), 2, "one at least is handed over")
        self.assertEqual(set(left.mapped("send_state")), {"pending"})
        self.assertFalse(any(left.mapped("send_next_try")), "they come first in the next chunk")
        self.assertFalse(documents.filtered(lambda doc: doc.send_state == "uncertain"))
        with self._real_sending():
            run._process_queue()
        self.assertEqual(set(documents.mapped("send_state")), {"sent"})
        self.assertEqual(
            sorted(self.inbox.get_recipients()), [f"c{n}@example.com" for n in range(3)]
        )

    def test_a_mail_that_breaks_when_the_time_is_over_does_not_hold_the_others(self):
        """It is not offered again and again, ahead of all others."""
        partners = [self._make_customer(f"C{n}", f"c{n}@example.com") for n in range(3)]
        run = self._make_run_to_send(*partners)
        documents = run.document_ids.sudo()
        self.inbox.hang_up_at, self.inbox.hang_ups = "DATA", 1
        with self._real_sending(), mute_logger(MAIL, SERVER):
            run.action_send()
            documents._process_send()
            left = documents._hand_over_mails(until=time.monotonic() - 1)
        self.assertEqual(len(left), 2)
        self.assertFalse(any(left.mapped("send_next_try")))
        [broken] = documents - left
        self.assertEqual((broken.send_state, broken.send_attempts), ("pending", 1))
        self.assertTrue(broken.send_next_try)
        with self._real_sending():
            run._process_queue()
        self.assertEqual(set(left.mapped("send_state")), {"sent"})

    def test_connection_closed_by_an_answer(self):
        """After a 421 the next mail never left: it goes by a new connection, at once."""
        partner = self._make_customer("Throttled", "slower@example.com")
        run = self._make_run_to_send(partner, self._make_customer("Next", "next@example.com"))
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.assertEqual(self._get_states(run), {"Throttled": "pending", "Next": "sent"})
        start = fields.Datetime.now()
        self.inbox.forgiven = ("slower",)
        with freeze_time(start + timedelta(minutes=20)), self._real_sending():
            run._process_queue()
        self.assertEqual(self._get_states(run), {"Throttled": "sent", "Next": "sent"})
        self.assertEqual(self.inbox.get_recipients(), ["next@example.com", "slower@example.com"])

    def test_connection_that_carries_a_few_mails_only(self):
        """Servers limit the mails of a connection: the next ones go by new ones, all at once."""
        count = 2 * MAX_CONNECTIONS + 3
        partners = [self._make_customer(f"C{n}", f"c{n}@example.com") for n in range(count)]
        run = self._make_run_to_send(*partners)
        self.inbox.mails_per_connection = 2
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.assertEqual(set(run.document_ids.mapped("send_state")), {"sent"})
        self.assertEqual(self.inbox.connections, MAX_CONNECTIONS + 2)
        self.assertEqual(
            sorted(self.inbox.get_recipients()), [f"c{n}@example.com" for n in range(count)]
        )

    def test_connection_that_carries_no_mail(self):
        """A server that refuses the first mail of each connection is asked again later."""
        run = self._make_run_to_send(self.debtor)
        self.inbox.mails_per_connection = 0
        with mute_logger(MAIL, SERVER):
            self._send(run)
        document = run.document_ids
        self.assertEqual((document.send_state, document.send_attempts), ("pending", 1))
        self.assertIn("Too many mails", document.send_error)
        self.assertEqual(self.inbox.connections, 1)

    def test_connections_closed_by_all_answers(self):
        """What finds no open connection waits, and is not "delivery unconfirmed"."""
        partners = [self._make_customer(f"C{n}", f"slower{n}@example.com") for n in range(4)]
        run = self._make_run_to_send(*partners)
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.assertEqual(set(run.document_ids.mapped("send_state")), {"pending"})
        self.assertFalse(run.document_ids.filtered(lambda doc: doc.send_state == "uncertain"))
        self.assertTrue(all(run.document_ids.mapped("send_next_try")))

    def test_marked_as_sent_by_hand(self):
        run = self._make_run_to_send(self._make_customer("Gone", "refused@example.com"))
        with mute_logger(MAIL, SERVER):
            self._send(run)
        run.document_ids.with_user(self.user).action_mark_sent()
        self.assertEqual(run.document_ids.send_state, "sent")
        self.assertIn(self.user.name, run.document_ids.send_channel)
        self._retry(run)
        self.env["mail.mail"].process_email_queue()
        self.assertFalse(self.inbox.mails)

    def test_one_of_two_recipients_refused(self):
        """The one who has it is not written to again."""
        template = self.env.ref("account.email_template_edi_invoice")
        second = self._make_partner("Second", "refused@example.com")
        template.write({"use_default_to": False, "partner_to": f"{self.debtor.id},{second.id}"})
        run = self._make_run_to_send()
        with mute_logger(MAIL, SERVER):
            self._send(run)
        self.assertEqual(run.document_ids.send_state, "failed")
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"])
        second.email = "second@example.com"
        self._retry(run)
        self.assertEqual(run.document_ids.send_state, "sent")
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com", "second@example.com"])

    def test_a_template_that_fails_for_one(self):
        template = self.env.ref("account.email_template_edi_invoice")
        template.subject = "{{ object.partner_id.name }} {{ 1 // object.partner_id.color }}"
        self.debtor.color = 1
        partner = self._make_customer("Zero", "zero@example.com")
        self.assertEqual(partner.color, 0)
        with mute_logger("odoo.addons.mail.models.mail_render_mixin"):
            self._check_fault(partner, "Failed to render")

    def test_a_pdf_that_fails_for_one(self):
        partner = self._make_customer("Broken", "broken@example.com")
        report = type(self.env["ir.actions.report"])
        original = report._render_qweb_html

        def render(this, report_ref, docids, data=None):
            moves = this.env["account.move"].browse(docids)
            if partner in moves.partner_id:
                raise ValueError("a broken template")
            return original(this, report_ref, docids, data=data)

        with patch.object(report, "_render_qweb_html", render):
            with mute_logger("odoo.addons.invoice_run.models.document.invoice_run_invoicing"):
                document = self._check_fault(partner, "The PDF could not be created")
        self._check_repaired(document, "broken@example.com")
