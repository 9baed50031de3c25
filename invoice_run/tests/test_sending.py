import io
from datetime import timedelta
from unittest.mock import patch

from freezegun import freeze_time
from pypdf import PdfReader

from odoo import fields
from odoo.addons.base.models.ir_mail_server import IrMail_Server
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import new_test_user, tagged

from ..models.delivery.mail_mail import Answers
from .sending_common import SendingCommon


@tagged("post_install", "-at_install")
class TestSending(SendingCommon):
    """Mails really leave through SMTP, once, to the right recipients."""

    def _get_pdf_text(self):
        [attachment] = self.inbox.mails[0].iter_attachments()
        self.assertEqual(attachment.get_content_type(), "application/pdf")
        reader = PdfReader(io.BytesIO(attachment.get_content()))
        return "\n".join(page.extract_text() for page in reader.pages)

    def test_subtotal_per_contract_on_the_pdf(self):
        self.debtor.allow_invoice_grouping = True
        first = self._make_contract([{}, {"price_unit": 23.0}], date_start="2024-01-01")
        second = self._make_contract([{}, {"price_unit": 45.0}], date_start="2024-01-01")
        run = self._run_all("2024-01-15").with_context(force_report_rendering=True)
        self._send(run)
        document = run.document_ids
        self.assertEqual(document.send_state, "sent")
        text = self._get_pdf_text()
        expected = (first.name, "123.00", second.name, "145.00", "268.00")
        for part in (*expected, document.move_id.name, document.title):
            self.assertIn(part, text)

    def test_mail_arrives_once(self):
        run = self._make_run_to_send()
        document = run.document_ids
        self._send(run)
        self.assertEqual(document.send_error, False)
        self.assertEqual(document.send_state, "sent")
        self.assertEqual(document.send_channel, "Email")
        self.assertTrue(document.send_date)
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"])
        self._send(run)
        self._retry(run)
        self.assertEqual(len(self.inbox.mails), 1)

    def test_unset_sending_method_gets_no_mail(self):
        silent = self._make_partner("Silent", "silent@example.com")
        run = self._make_run_to_send(silent)
        self._send(run)
        self.assertEqual(run.document_ids.send_action, "none")
        self.assertEqual(run.document_ids.send_state, "none")
        self.assertFalse(self.inbox.mails)

    def test_two_invoices_to_one_address_are_two_mails(self):
        run = self._make_run_to_send(self.debtor, self.debtor)
        self._send(run)
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"] * 2)
        names = run.document_ids.move_id.mapped("name")
        for name in names:
            self.assertTrue(any(name in mail["Subject"] for mail in self.inbox.mails))

    def test_changed_way_of_sending(self):
        silent = self._make_partner("Silent", "silent@example.com")
        run = self._make_run_to_send(silent)
        run.document_ids.with_user(self.user).send_action = "email"
        self.assertEqual(run.document_ids.send_state, "pending")
        run.document_ids.with_user(self.user).send_action = "none"
        self.assertEqual(run.document_ids.send_state, "none")
        run.document_ids.with_user(self.user).send_action = "email"
        self._send(run)
        self.assertEqual(self.inbox.get_recipients(), ["silent@example.com"])

    def test_some_documents_only(self):
        other = self._make_customer("Other", "other@example.com")
        run = self._make_run_to_send(self.debtor, other)
        document = run.document_ids.filtered(lambda doc: doc.partner_id == other)
        with self._real_sending():
            document.with_user(self.user).action_send()
            run._process_queue()
        self.assertEqual(self._get_states(run), {"Debtor": "pending", "Other": "sent"})
        with self.assertRaises(UserError):
            document.with_user(self.user).action_send()

    def test_worker_killed_after_queueing_sends_once(self):
        run = self._make_run_to_send()
        with self._real_sending():
            run.with_user(self.user).action_send()
            # the worker dies after its first commit: the mail is queued, nobody sent it
            run.sudo().document_ids._process_send()
            run._process_queue()
        self.assertEqual(run.document_ids.send_state, "sent")
        self.assertEqual(len(self.inbox.mails), 1)

    def test_worker_killed_while_handing_over_sends_not_again(self):
        """Between the mail server and our commit: unconfirmed, and never sent twice by itself."""
        run = self._make_run_to_send()
        run.with_user(self.user).action_send()
        document = run.sudo().document_ids
        document._process_send()
        mail = document._get_mails(["outgoing"])
        # what a killed worker leaves: Odoo's protective state, and our mark
        mail.state = "exception"
        notification = mail.mail_message_id.notification_ids
        notification.with_context(invoice_run_hand_over=True).write(
            {"notification_status": "exception", "failure_type": "invoice_run_unknown"}
        )
        with self._real_sending():
            run._process_queue()
            self.env["mail.mail"].process_email_queue()
            run.action_retry_failed()
            run._process_queue()
        self.assertEqual(document.send_state, "uncertain")
        self.assertFalse(self.inbox.mails)

    def test_odoo_mail_queue_beside_ours(self):
        run = self._make_run_to_send()
        with self._real_sending():
            run.with_user(self.user).action_send()
            run.sudo().document_ids._process_send()
            self.env["mail.mail"].process_email_queue()
            self.assertEqual(run.document_ids.send_state, "sent")
            run._process_queue()
        self.assertEqual(len(self.inbox.mails), 1)

    def test_odoo_send_cron_beside_ours(self):
        """Somebody put it into Accounting's queue: that mail is the run's."""
        run = self._make_run_to_send()
        move = run.document_ids.move_id
        move.sending_data = {
            "author_user_id": self.user.id,
            "author_partner_id": self.user.partner_id.id,
        }
        self._send(run)
        self.assertFalse(self.inbox.mails)
        with (
            self._real_sending(),
            patch.object(type(self.env["ir.cron"]), "_commit_progress", lambda *args, **kw: 1),
        ):
            self.env["account.move"]._cron_account_move_send()
            self.env["mail.mail"].process_email_queue()
        self.assertEqual(run.document_ids.send_state, "sent")
        self._send(run)
        self.assertEqual(len(self.inbox.mails), 1)

    def test_sent_in_accounting_is_not_sent_again(self):
        run = self._make_run_to_send()
        with self._real_sending():
            self.env["account.move.send"].with_context(
                mail_notify_force_send=False
            )._generate_and_send_invoices(run.document_ids.move_id, sending_methods=["email"])
            self.env["mail.mail"].process_email_queue()
        self.assertEqual(run.document_ids.send_state, "sent")
        self._send(run)
        self.assertEqual(len(self.inbox.mails), 1)

    def test_bounce(self):
        run = self._make_run_to_send()
        self._send(run)
        document = run.document_ids
        message = document.send_message_id
        self.env["mail.thread"]._routing_handle_bounce(
            None,
            {
                "bounced_email": "debtor@example.com",
                "bounced_partner": self.debtor,
                "bounced_msg_ids": [message.message_id],
                "bounced_message": message,
                "body": "<p>550 Mailbox full</p>",
                "email_from": "MAILER-DAEMON@example.com",
                "to": "bounce@example.com",
                "message_id": "<bounce@example.com>",
            },
        )
        self.assertEqual(document.send_state, "failed")
        self.assertEqual(document.send_error, "Bounced from debtor@example.com: 550 Mailbox full")
        self.assertEqual(run.failed_count, 1)
        self.debtor.email = "new@example.com"
        self._retry(run)
        self.assertEqual(document.send_state, "sent")
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com", "new@example.com"])

    def test_language_of_the_customer(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        template = self.env.ref("account.email_template_edi_invoice")
        template.with_context(lang="fr_FR").subject = "Votre facture {{ object.name }}"
        french = self._make_customer("Jean", "jean@example.com", lang="fr_FR")
        run = self._make_run_to_send(french, self.debtor)
        self._send(run)
        subjects = {mail["To"].addresses[0].addr_spec: mail["Subject"] for mail in self.inbox.mails}
        name = run.document_ids.filtered(lambda doc: doc.partner_id == french).move_id.name
        self.assertEqual(subjects["jean@example.com"], f"Votre facture {name}")
        self.assertNotIn("Votre", subjects["debtor@example.com"])

    def test_salesperson_out_of_office(self):
        """Odoo answers the sender; the document follows the invoice, not that answer."""
        now = fields.Datetime.now()
        away = {"out_of_office_from": now - timedelta(days=1), "out_of_office_message": "On leave"}
        seller = new_test_user(self.env, "away", "base.group_user", email="away@example.com")
        seller.write(away)
        run = self._make_run_to_send()
        document = run.document_ids
        document.move_id.invoice_user_id = seller
        self._send(run)
        answer = document.move_id.message_ids.filtered(
            lambda message: message.message_type == "out_of_office"
        )
        self.assertTrue(answer)
        self.assertNotEqual(document.send_message_id, answer)
        self.assertEqual(document.send_state, "sent")
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"])

    def test_portal_link_in_the_mail(self):
        run = self._make_run_to_send()
        self._send(run)
        move = run.document_ids.move_id
        body = self.inbox.mails[0].get_body(("html",)).get_content()
        self.assertTrue(move.access_token)
        self.assertIn(f"access_token={move.access_token}", body.replace("&amp;", "&"))

    def test_extra_attachments_of_the_run(self):
        run = self._make_run_to_send()
        attachment = (
            self.env["ir.attachment"]
            .with_user(self.user)
            .create({"name": "terms.txt", "raw": b"Pay in time."})
        )
        run.with_user(self.user).send_attachment_ids = attachment
        self._send(run)
        files = {
            part.get_filename(): part.get_content()
            for part in self.inbox.mails[0].iter_attachments()
        }
        self.assertEqual(files["terms.txt"], "Pay in time.")
        self.assertEqual(len(files), 2)
        self.assertEqual(attachment.res_id, run.id)

    def test_attachments_of_others_stay_theirs(self):
        run = self._make_run_to_send().with_user(self.user)
        attachments = self.env["ir.attachment"]
        served = attachments.create({"name": "script.js", "raw": b"safe", "public": True})
        own = attachments.with_user(self.user)
        own = own.create({"name": "own.txt", "raw": b"mine", "public": True})
        run.send_attachment_ids = served | own
        self.assertEqual((served | own).mapped("res_model"), [False, False])
        with self.assertRaises(AccessError):
            served.with_user(self.user).write({"raw": b"mine"})

    def test_sending_waits_for_its_moment(self):
        run = self._make_run_to_send()
        start = fields.Datetime.now()
        run.with_user(self.user).send_after = start + timedelta(days=1)
        self._send(run)
        self.assertFalse(self.inbox.mails)
        self.assertEqual(run.job, "send")
        with freeze_time(start + timedelta(days=1, minutes=1)), self._real_sending():
            run._process_queue()
        self.assertEqual(len(self.inbox.mails), 1)
        self.assertEqual(run.job, "none")

    def test_moment_by_the_schedule(self):
        run = self._make_run_to_send()
        run.schedule_id.write({"send_when": "later", "send_delay_days": 2, "send_time": 8.5})
        run.with_user(self.user).action_send()
        # 8:30 in Brussels, in winter
        self.assertEqual(str(run.send_after), "2024-01-17 07:30:00")

    def test_stop_sending(self):
        run = self._make_run_to_send()
        run.with_user(self.user).action_send()
        run.with_user(self.user).action_stop_sending()
        with self._real_sending():
            run._process_queue()
        self.assertEqual(run.document_ids.send_state, "pending")
        self._send(run)
        self.assertEqual(len(self.inbox.mails), 1)

    def test_marked_as_sent_while_it_leaves(self):
        """A worker has it in hand: it stays sent, and nobody tries it again."""
        other = self._make_customer("Other", "other@example.com")
        run = self._make_run_to_send(self.debtor, other)
        documents = run.sudo().document_ids
        run.with_user(self.user).action_send()
        documents._process_send()
        Mail = self.env.registry["mail.mail"]
        hand_over = Mail._hand_over

        def meanwhile(mails, answers):
            documents[1].with_user(self.user).action_mark_sent()
            return hand_over(mails, answers)

        with patch.object(Mail, "_hand_over", meanwhile), self._real_sending():
            documents._hand_over_mails()
        self.assertEqual(documents.mapped("send_state"), ["sent", "sent"])
        self._retry(run)
        self.assertEqual(len(self.inbox.mails), 1)

    def test_asked_for_while_amounts_are_recalculated(self):
        other = self._make_customer("Other", "other@example.com")
        for partner in (self.debtor, other):
            self._make_contract(date_start="2024-01-01", partner_id=partner.id)
        run = self._make_amounts(self._make_run("2024-01-15"))
        run.with_user(self.reviewer).action_approve()
        first, second = run.document_ids
        first.with_user(self.user).action_generate_invoices()
        run._process_queue()
        second.contract_ids.line_ids.price_unit = 150.0
        run.with_user(self.user).action_renew_stale()
        run.with_user(self.user).action_send()
        self.assertEqual(run.job, "amounts")
        with self._real_sending():
            run._process_queue()
        self.assertEqual(first.send_state, "sent")
        self.assertEqual((run.state, run.job), ("amounts", "none"))

    def test_stop_sending_holds_mails_in_the_queue(self):
        other = self._make_customer("Other", "other@example.com")
        run = self._make_run_to_send(self.debtor, other)
        documents = run.sudo().document_ids
        run.with_user(self.user).action_send()
        documents._process_send()
        with self._real_sending():
            # one has left when somebody presses "Stop"; nobody noted it yet
            documents[0]._get_mails(["outgoing"])._hand_over(Answers())
            run.with_user(self.user).action_stop_sending()
            run._process_queue()
            self.env["mail.mail"].process_email_queue()
        self.assertEqual(len(self.inbox.mails), 1)
        run.sudo()._update_pending_mails()
        self.assertEqual(documents.mapped("send_state"), ["sent", "pending"])
        self._send(run)
        self._send(run)
        self.assertEqual(documents.mapped("send_state"), ["sent", "sent"])
        recipients = [document.partner_id.email for document in documents]
        self.assertEqual(self.inbox.get_recipients(), recipients)

    def test_nobody_waits_for_what_was_stopped(self):
        other = self._make_customer("Other", "other@example.com")
        run = self._make_run_to_send(self.debtor, other)
        run.with_user(self.user).action_send()
        # somebody was on this invoice
        busy, document = run.sudo().document_ids
        busy.send_next_try = fields.Datetime.now() + timedelta(minutes=5)
        run.with_user(self.user).action_stop_sending()
        with self._real_sending():
            document.with_user(self.user).action_send()
            run._process_queue()
        self.assertEqual((busy.send_state, document.send_state), ("pending", "sent"))
        self.assertEqual((run.job, run.send_wait_until), ("none", False))

    def test_limit_per_hour_over_all_runs(self):
        self.company.invoice_run_mails_per_hour = 3
        start = fields.Datetime.now()
        first = self._make_run_to_send(self.debtor, self.debtor)
        second = self._make_run_to_send(self.debtor, self.debtor, invoice_date="2024-02-15")
        with freeze_time(start):
            self._send(first)
        with freeze_time(start + timedelta(minutes=10)):
            self._send(second)
        self.assertEqual(len(self.inbox.mails), 3)
        self.assertEqual(second.job, "send")
        self.assertEqual(
            second.send_wait_until, first.document_ids[0].send_date + timedelta(hours=1)
        )
        with freeze_time(start + timedelta(minutes=61)), self._real_sending():
            second._process_queue()
        # the one of ten minutes past still counts
        self.assertEqual(len(self.inbox.mails), 5)
        with freeze_time(start + timedelta(minutes=130)), self._real_sending():
            second._process_queue()
        self.assertEqual(len(self.inbox.mails), 8)
        self.assertEqual(len(first.document_ids | second.document_ids), 8)
        self.assertEqual(second.job, "none")

    def _make_other_company(self):
        """Make a company with an email template of its own."""
        template = self.env.ref("account.email_template_edi_invoice").copy(
            {"subject": "From the other {{ object.name }}", "name": "Other"}
        )
        other = self.setup_other_company()["company"]
        other.write(
            {
                "email": "billing@other.example",
                "name": "Other Ltd",
                "invoice_run_mail_template_id": template.id,
            }
        )
        return other

    def _make_contract_of_other(self, env, other):
        product = self._make_product("Rent", 70.0)
        partner = self._make_partner("Other Debtor", "other@example.com")
        partner.with_company(other).invoice_sending_method = "email"
        contract = env["billing.contract"].create(
            {
                "partner_id": partner.id,
                "company_id": other.id,
                "date_start": "2024-01-01",
                "line_ids": [Command.create({"product_id": product.id, "price_unit": 70.0})],
            }
        )
        contract.action_activate()

    def _make_run_of_other(self, user, other):
        """Make the invoices of another company's run, as ``user`` of that company."""
        env = self.env(user=user, context={"allowed_company_ids": other.ids})
        self._make_contract_of_other(env, other)
        scenario = env["billing.scenario"].create({"name": "Other", "company_id": other.id})
        run = env["invoice.run"].create({"scenario_id": scenario.id, "invoice_date": "2024-01-15"})
        run.action_generate_amounts()
        run._process_queue()
        run.action_approve()
        run.action_generate_invoices()
        run._process_queue()
        return run

    def test_two_companies_with_templates_and_servers(self):
        other = self._make_other_company()
        inbox, _server = self._make_mail_server("Other", from_filter="other.example")
        self.server.from_filter = "own.example"
        self.company.email = "billing@own.example"
        user = self._make_user("other_user", "invoice_run.invoice_run_group_manager", company=other)
        run, second = self._make_run_to_send(), self._make_run_of_other(user, other)
        for move in (run | second).sudo().document_ids.move_id:
            move.invoice_user_id = False
        self._send(run)
        self._send(second, user=user)
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"])
        [mail] = inbox.mails
        self.assertEqual(mail["To"].addresses[0].addr_spec, "other@example.com")
        self.assertIn("From the other", mail["Subject"])
        self.assertIn("billing@other.example", mail["From"])

    def test_another_way_of_sending(self):
        """A network's module extends the partner's methods; the run offers and uses them."""
        selection = self.env["res.partner"]._fields["invoice_sending_method"]
        send = type(self.env["account.move.send"])
        handed = []
        original = send._hook_if_success

        def hook(this, moves_data, from_cron=False):
            handed.extend(
                move.name for move, data in moves_data.items() if "net" in data["sending_methods"]
            )
            return original(this, moves_data, from_cron=from_cron)

        def is_applicable(this, method, move, **data):
            return method != "net" or bool(move.partner_id.vat)

        methods = [*selection.selection, ("net", "The network")]
        with (
            patch.object(selection, "_selection", dict(methods)),
            patch.object(selection, "selection", methods),
            patch.object(
                type(self.env["ir.model.fields"]), "get_field_selection", lambda *args: methods
            ),
            patch.object(send, "_hook_if_success", hook),
            patch.object(send, "_is_applicable_to_move", is_applicable),
            patch.object(IrMail_Server, "_disable_send", lambda self: False),
        ):
            known = self._make_partner("Known", "known@example.com", vat="BE0477472701")
            unknown = self._make_partner("Unknown", "unknown@example.com")
            (known | unknown).invoice_sending_method = "net"
            run = self._make_run_to_send(known, unknown)
            self._send(run)
            self.assertEqual(self._get_states(run), {"Known": "sent", "Unknown": "failed"})
            document = run.document_ids.filtered(lambda doc: doc.partner_id == known)
            self.assertEqual(document.send_channel, "The network")
            self.assertEqual(handed, [document.move_id.name])
            failed = run.document_ids - document
            self.assertIn("cannot be reached by The network", failed.send_error)
            self._send(run)
        self.assertEqual(handed, [document.move_id.name])
        self.assertFalse(self.inbox.mails)
