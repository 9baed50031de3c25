from contextlib import contextmanager
from unittest.mock import patch

from freezegun import freeze_time

from odoo.addons.invoice_run.tests.sending_common import SendingCommon
from odoo.tests import new_test_user, tagged

from .. import core
from ..bypassed import POSTING_METHODS
from ..posting import Posting
from .bulk_rows import get_differences, read_rows


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

    def _make_run_of_kinds(self):
        """A run of customers of many kinds, whose PDFs are printed."""
        partners = [
            self._make_customer("Plain", "plain@example.com"),
            self._make_customer("Français", "francais@example.com", lang="fr_FR"),
            self._make_customer("Two", "two@example.com"),
            self._make_customer("Followed", "followed@example.com"),
            self._make_customer("Discussed", "discussed@example.com"),
            self._make_customer("Silent", "silent@example.com"),
            self.portal.partner_id,
            self.reader.partner_id,
        ]
        (self.portal + self.reader).partner_id.invoice_sending_method = "email"
        run = self._make_run_to_send(*partners)
        moves = {doc.partner_id.name: doc.move_id for doc in run.document_ids}
        # who follows gets it too, but only if they follow that kind of message
        comments = self.env.ref("mail.mt_comment")
        moves["Followed"].message_subscribe(self.clerk.partner_id.ids, comments.ids)
        moves["Followed"].message_subscribe(moves["Plain"].partner_id.ids, comments.ids)
        moves["Plain"].message_subscribe(
            self.clerk.partner_id.ids, self.env.ref("mail.mt_note").ids
        )
        moves["Silent"].message_subscribe(
            moves["Silent"].partner_id.ids, self.env.ref("mail.mt_note").ids
        )
        for number in range(3):
            moves["Discussed"].message_post(
                body=f"Question {number}",
                message_type="comment" if number == 1 else "notification",
                subtype_xmlid="mail.mt_comment",
                author_id=moves["Discussed"].partner_id.id,
            )
        other = "{{ object.partner_id.name == 'Two' and 'CLERK' or '' }}"
        other = other.replace("CLERK", str(self.clerk.partner_id.id))
        self.template.partner_to = "{{ object.partner_id.id }}," + other
        note = (
            self.env["ir.attachment"]
            .with_user(self.user)
            .create({"name": "Terms.txt", "raw": b"Thirty days."})
        )
        run.with_user(self.user).send_attachment_ids = note
        with self._real_sending():
            run.document_ids._make_pdfs()
        for move in run.document_ids.move_id:
            move._portal_ensure_token()
        self.env.flush_all()
        return run.sudo()  # as the background work

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
            patch.object(self.env.registry, "_invoice_run_changed", None),
        ):
            yield

    def test_same_rows(self):
        run = self._make_run_of_kinds()
        count = len(run.document_ids)
        # from the address of a contact, and from that of nobody
        self.env["ir.config_parameter"].set_param("auth_signup.invitation_scope", "b2c")
        for sender, has_author in ((self.clerk.email, True), ("nobody@example.com", False)):
            self.template.email_from = sender
            self.env.flush_all()
            differences, rows = self._compare(run)
            self.assertFalse(differences)
            # and there was something to compare
            self.assertEqual(len(rows["mail_mail"]), count + 1)  # two with a user, one in an inbox
            self.assertEqual(len(rows["ir_attachment"]), 2 * count)
            self.assertIn("inbox", {row["notification_type"] for row in rows["mail_notification"]})
            authors = {row["author_id"] for row in rows["mail_message"][-1:]}
            self.assertEqual(authors, {self.clerk.partner_id.id if has_author else None})
            states = {row["send_state"] for row in rows["invoice_run_document"]}
            self.assertEqual(states, {"pending"})
            signups = {row["signup_type"] for row in rows["res_partner"]}
            self.assertEqual(signups, {"signup", None}, "users need not sign up")

    def test_sender_of_two_contacts(self):
        """Of two contacts with the sender's address Odoo takes one who follows the invoice."""
        self._make_partner("Sender", "sender@example.com")
        second = self._make_partner("Sender too", "sender@example.com")
        self.template.email_from = "sender@example.com"
        run = self._make_run_of_kinds()
        run.document_ids[1].move_id.message_subscribe(second.ids)
        differences, rows = self._compare(run)
        self.assertFalse(differences)
        self.assertEqual(len({row["author_id"] for row in rows["mail_message"]}), 4)

    def test_pictures_in_the_text(self):
        """Odoo changes the text where it shows what is attached."""
        self.template.body_html = '<p>Dear <img data-filename="Logo.png" src="x"/></p>'
        logo = (
            self.env["ir.attachment"]
            .with_user(self.user)
            .create({"name": "Logo.png", "raw": b"\x89PNG"})
        )
        run = self._make_run_of_kinds()
        run.with_user(self.user).send_attachment_ids = logo
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

    def test_an_unknown_override_is_called(self):
        """Odoo's own way is used where an addon changes what is done together."""
        run = self._make_run_of_kinds()
        Bulk = self.env.registry["invoice.run.bulk"]
        asked = []

        def find(_bulk, methods):
            asked.append(methods)
            yield "account.move.message_post", "another_addon"

        with (
            patch.object(self.env.registry, "_invoice_run_posting", None, create=True),
            patch.object(Bulk, "_get_overridden_methods", find),
        ):
            self.assertEqual(self._queue(run), 0)
        self.assertEqual(asked, [POSTING_METHODS])
        self.assertTrue(all(run.document_ids.mapped("send_message_id")))
