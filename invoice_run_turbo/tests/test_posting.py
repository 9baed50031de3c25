from contextlib import contextmanager
from unittest.mock import patch

from freezegun import freeze_time

from odoo.addons.invoice_run.tests.sending_common import SendingCommon
from odoo.tests import new_test_user, tagged

from .. import core
from ..posting import Posting
from .bulk_rows import get_differences, read_rows
from .strangers import call_super, forgetting, other_addon


@tagged("post_install", "-at_install")
class TestPosting(SendingCommon):
    """Messages, mails and notifications that are written together have the rows of Odoo's own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.lang"]._activate_lang("fr_FR")
        cls.template = cls.env.ref("account.email_template_edi_invoice")
        cls.clerk = new_test_user(
            cls.env, "posting-clerk", "base.group_user", email="clerk@example.com"
        )
        cls.reader = new_test_user(
            cls.env,
            "posting-reader",
            "base.group_user",
            email="reader@example.com",
            notification_type="inbox",
        )
        cls.portal = new_test_user(
            cls.env, "posting-portal", "base.group_portal", email="portal@example.com"
        )
        cls.seller = new_test_user(
            cls.env, "posting-seller", "base.group_user", email="seller@example.com"
        )
        cls.seller.write(
            {"out_of_office_from": "2024-01-01 00:00:00", "out_of_office_message": "On leave"}
        )

    def _make_run_of_kinds(self):
        """A run of customers of many kinds, whose PDFs are there."""
        run = self._make_run_to_send(*self._make_customers_of_kinds())
        moves = {doc.partner_id.name: doc.move_id for doc in run.document_ids}
        self._follow(moves)
        self._discuss(moves["Discussed"])
        moves["Sold"].invoice_user_id = self.seller
        other = f"{{{{ object.partner_id.name == 'Two' and '{self.clerk.partner_id.id}' or '' }}}}"
        self.template.partner_to = "{{ object.partner_id.id }}," + other
        self._attach_terms(run)
        self._add_pdfs(run.document_ids.move_id)
        for move in run.document_ids.move_id:
            move._portal_ensure_token()
        self.env.flush_all()
        return run.sudo()  # as the background work

    def _make_customers_of_kinds(self):
        names = ("Two", "Followed", "Discussed", "Silent", "Sold")
        partners = [self._make_customer(name, f"{name.lower()}@example.com") for name in names]
        self.env["mail.blacklist"]._add("silent@example.com")
        (self.portal + self.reader).partner_id.invoice_sending_method = "email"
        return [
            self._make_customer("Plain", "plain@example.com"),
            self._make_customer("Twin", "Plain@Example.com"),
            self._make_customer("Français", "francais@example.com", lang="fr_FR"),
            *partners,
            self.portal.partner_id,
            self.reader.partner_id,
        ]

    def _follow(self, moves):
        """Those that follow an invoice get it too, but only if they follow that kind of message."""
        comments, notes = self.env.ref("mail.mt_comment"), self.env.ref("mail.mt_note")
        gone = self._make_partner("Gone", "gone@example.com")
        watching = gone + self._make_partner("Nowhere", False)
        watching += self.clerk.partner_id + moves["Plain"].partner_id + moves["Français"].partner_id
        moves["Followed"].message_subscribe(watching.ids, comments.ids)
        gone.active = False
        moves["Plain"].message_subscribe((self.clerk + self.reader).partner_id.ids, notes.ids)
        moves["Silent"].message_subscribe(moves["Silent"].partner_id.ids, notes.ids)
        moves["Silent"].message_subscribe(self.reader.partner_id.ids, comments.ids)

    def _discuss(self, move):
        for number in range(3):
            move.message_post(
                body=f"Question {number}",
                message_type="comment" if number == 1 else "notification",
                subtype_xmlid="mail.mt_comment",
                author_id=move.partner_id.id,
            )

    def _attach_terms(self, run, name="Terms.txt", **vals):
        attachments = self.env["ir.attachment"].with_user(self.user)
        terms = attachments.create({"name": name, "raw": b"Thirty days.", **vals})
        run.with_user(self.user).send_attachment_ids = terms

    def _add_pdfs(self, moves):
        """Give these invoices files as if they were printed, which takes long."""
        field = {"res_model": moves._name, "res_field": "invoice_pdf_report_file"}
        files = self.env["ir.attachment"].create(
            [{**field, "res_id": move.id, "name": "I.pdf", "raw": b"%PDF-1.4"} for move in moves]
        )
        for move, file in zip(moves, files, strict=True):
            move.message_main_attachment_id = file
        moves.invalidate_recordset(["invoice_pdf_report_id", "invoice_pdf_report_file"])

    def _queue(self, run):
        """Put the mails of ``run`` into the queue; return how many were posted together."""
        posted, post = [], Posting.run

        def watched(posting):
            posted.extend(posting.posts)
            post(posting)

        self.env.invalidate_all()
        with freeze_time("2024-03-20 10:00:00"), patch.object(Posting, "run", watched):
            run.document_ids._process_send()
        return len(posted)

    def _compare(self, run):
        """Queue them in both ways; return what differs and what was written."""
        moves = run.document_ids.move_id
        rows = []
        for is_plain in (True, False):
            savepoint = self.env.cr.savepoint()
            with self._changed_core(is_plain and "account.move.send._send_mail"):
                self.assertEqual(self._queue(run), 0 if is_plain else len(moves))
            rows.append(read_rows(moves))
            savepoint.close(rollback=True)
        return get_differences(*rows), rows[1]

    @contextmanager
    def _changed_core(self, name):
        """Pretend that this method of Odoo, if any, differs from what was read."""
        changed = {name: core.REPEATED[name]._replace(hashes=("other",))} if name else {}
        with (
            patch.object(core, "REPEATED", {**core.REPEATED, **changed}),
            forgetting(self.env),
        ):
            yield

    def test_same_rows(self):
        run = self._make_run_of_kinds()
        count = len(run.document_ids)
        # from the address of a contact, of another one each, and from that of nobody
        self.env["ir.config_parameter"].set_param("auth_signup.invitation_scope", "b2c")
        for sender, authors in self._get_senders().items():
            self.template.email_from = sender
            self.env.flush_all()
            differences, rows = self._compare(run)
            self.assertFalse(differences)
            # and there was something to compare
            sent = [row for row in rows["mail_message"] if row["message_type"] == "comment"][1:]
            self.assertEqual({row["author_id"] for row in sent}, authors)
            self.assertEqual(len(sent), count)
            self.assertEqual(len(rows["ir_attachment"]), 2 * count)
            self.assertIn("inbox", {row["notification_type"] for row in rows["mail_notification"]})
            states = {row["send_state"] for row in rows["invoice_run_document"]}
            self.assertEqual(states, {"pending"})
            signups = {row["signup_type"] for row in rows["res_partner"]}
            self.assertEqual(signups, {"signup", None}, "users need not sign up")
            self.assertIn("out_of_office", {row["message_type"] for row in rows["mail_message"]})

    def _get_senders(self):
        """Return {address, as in a template: ids of the authors of the messages}."""
        clerk, reader = self.clerk, self.reader
        each = "{{ object.partner_id.name == 'Two' and 'READER' or 'CLERK' }}"
        each = each.replace("READER", reader.email).replace("CLERK", clerk.email)
        return {
            clerk.email: {clerk.partner_id.id},
            each: {clerk.partner_id.id, reader.partner_id.id},
            "nobody@example.com": {None},
        }

    def test_sender_of_two_contacts(self):
        """Of two contacts with the sender's address Odoo takes one who follows the invoice."""
        first = self._make_partner("Sender", "sender@example.com")
        second = self._make_partner("Sender too", "sender@example.com")
        self.template.email_from = "sender@example.com"
        run = self._make_run_of_kinds()
        run.document_ids[1].move_id.message_subscribe(second.ids)
        differences, rows = self._compare(run)
        self.assertFalse(differences)
        self.assertLess({first.id, second.id}, {row["author_id"] for row in rows["mail_message"]})

    def test_pictures_in_the_text(self):
        """Odoo changes the text where it shows what is attached."""
        self.template.body_html = '<p>Dear <img data-filename="Logo.png" src="x"/></p>'
        run = self._make_run_of_kinds()
        self._attach_terms(run, "Logo.png", raw=b"\x89PNG")
        moves = run.document_ids.move_id
        self.assertEqual(self._queue(run), len(moves))
        for message in run.document_ids.send_message_id:
            picture = message.attachment_ids.filtered(lambda item: item.name == "Logo.png")
            self.assertIn(f"/web/image/{picture.id}?access_token=", message.body)

    def test_large_attachments_do_not_wait(self):
        run = self._make_run_of_kinds()
        calls, post = [], Posting.run
        with (
            patch.object(Posting, "run", lambda posting: (calls.append(posting), post(posting))),
            patch("odoo.addons.invoice_run_turbo.models.account_move_send.MOST_BYTES", 1),
        ):
            run.document_ids._process_send()
        self.assertEqual(len(calls), len(run.document_ids))

    def test_one_that_fails_does_not_hold_the_others(self):
        run = self._make_run_of_kinds()
        bad = run.document_ids[1]
        Move = self.env.registry["account.move"]
        render = Move._notify_by_email_render_layout

        def failing(move, *args, **kwargs):
            if move == bad.move_id:
                raise ValueError("no layout")
            return render(move, *args, **kwargs)

        with (
            patch.object(Move, "_notify_by_email_render_layout", failing),
            self.assertLogs("odoo.addons.invoice_run", "ERROR"),
        ):
            run.document_ids._process_send()
        self.assertIn("no layout", bad.send_error)
        self.assertEqual(bad.send_state, "failed")
        others = run.document_ids - bad
        self.assertEqual(set(others.mapped("send_state")), {"pending"})
        self.assertEqual(len(others.send_message_id), len(others))

    def test_a_file_without_content(self):
        """It fails, as in Odoo's own way; no invoice leaves with an empty file."""
        run = self._make_run_of_kinds()
        self._attach_terms(run, "Link", raw=False, type="url", url="https://example.com")
        run.document_ids._process_send()
        self.assertEqual(set(run.document_ids.mapped("send_state")), {"failed"})

    # ------------------------------------------------------------------
    # Other addons
    # ------------------------------------------------------------------

    def _get_noting(self, name, noted):
        """Return a method that calls the one it overrides, and notes that."""

        def method(records, *args, **kwargs):
            noted.append(records)
            return call_super(name, records, *args, **kwargs)

        return method

    def _get_settings_text(self):
        return self.env["res.config.settings"].create({}).invoice_run_fast_path

    def test_what_another_addon_changes_is_posted_by_odoo(self):
        run = self._make_run_of_kinds()
        self.assertNotIn("writing messages", self._get_settings_text())
        for name in ("message_post", "_message_create", "_is_notification_scheduled"):
            noted = []
            with other_addon(self.env, "account.move", **{name: self._get_noting(name, noted)}):
                self.assertIn("writing messages, because of: stranger.", self._get_settings_text())
                self._check_posted_by_odoo(run)
            self.assertGreaterEqual(len(noted), len(run.document_ids), name)
        for name in ("_mail_flat_thread", "_mail_thread_customer"):
            value = not getattr(self.env["account.move"], name)
            with other_addon(self.env, "account.move", **{name: value}):
                self._check_posted_by_odoo(run)

    def _check_posted_by_odoo(self, run):
        savepoint = self.env.cr.savepoint()
        self.assertEqual(self._queue(run), 0)
        self.assertTrue(all(run.document_ids.mapped("send_message_id")))
        savepoint.close(rollback=True)

    def test_rules_for_messages_are_carried_out(self):
        """``base_automation`` replaces the method while Odoo runs, and puts it back."""
        run = self._make_run_of_kinds()
        Move, noted = self.env.registry["account.move"], []
        post = Move.message_post

        def message_post(move, **kwargs):
            noted.append(move)
            return post(move, **kwargs)

        with patch.object(Move, "message_post", message_post):
            self.assertIn("because of: automation rules", self._get_settings_text())
            self._check_posted_by_odoo(run)
        self.assertGreaterEqual(len(noted), len(run.document_ids))
        self.assertFalse(self.env["account.move.send"]._get_posting_obstacles())

    def test_hooks_of_another_addon_are_called(self):
        """One that adds recipients who are no contacts, of one invoice only."""
        run = self._make_run_of_kinds()

        def find_more(move, message, msg_vals=False, **kwargs):
            found = call_super("_notify_get_recipients", move, message, msg_vals, **kwargs)
            if move.partner_id.name == "Two":
                found.append({**found[0], "id": False, "uid": False, "email_normalized": "x@x.com"})
            return found

        with other_addon(self.env, "account.move", _notify_get_recipients=find_more):
            differences, rows = self._compare(run)
        self.assertFalse(differences)
        self.assertEqual([row["email_to"] for row in rows["mail_mail"]].count("x@x.com"), 1)

    def test_what_a_message_sets_off_is_sent(self):
        """Such as a rule that sends another invoice along."""
        other = self._make_run_to_send(self._make_customer("Other", "other@example.com"))
        other = other.document_ids.move_id
        run = self._make_run_to_send(self._make_customer("One", "one@example.com"), self.debtor)
        moves = run.document_ids.move_id
        self._add_pdfs(other + moves)

        def send_along(move, message, values):
            if move == moves[0] and message.message_type == "comment":
                send = move.env["account.move.send"]
                send._generate_and_send_invoices(
                    other.with_env(move.env), sending_methods=["email"]
                )
            return call_super("_message_post_after_hook", move, message, values)

        with other_addon(self.env, "account.move", _message_post_after_hook=send_along):
            run.sudo().document_ids._process_send()
        self.assertEqual(set(run.document_ids.mapped("send_state")), {"pending"})
        sent = (other + moves).message_ids.filtered("mail_ids")
        self.assertEqual(sorted(sent.mapped("res_id")), sorted((other + moves).ids))
