from markupsafe import Markup

from odoo import models
from odoo.tools import email_normalize

from ..bulk import BULK
from ..bypassed import CHATTER_METHODS


class AccountMove(models.Model):
    """Messages of many invoices at once: "Invoice Created" on new ones, the author of mails."""

    _inherit = "account.move"

    def _message_compute_author(self, author_id=None, email_from=None):
        # EXTENDS 'mail': the sender of the mails of a batch is looked up once
        batch = self.env["account.move.send"]._get_turbo_batch()
        if batch is None or author_id is not None or not email_from:
            return super()._message_compute_author(author_id, email_from)
        author = batch.authors.get(email_from)
        if author is None:
            author = super()._message_compute_author(author_id, email_from)
            # of several, Odoo prefers one who follows the invoice
            if self._is_address_unique(email_from):
                batch.authors[email_from] = author
        return author

    def _is_address_unique(self, email):
        """Whether at most one contact has this address."""
        address = email_normalize(email, strict=False)
        # sudo: contacts of other companies count, too
        partners = self.env["res.partner"].sudo().with_context(active_test=False)
        domain = [("email_normalized", "=", address)]
        return bool(address) and partners.search_count(domain, limit=2) < 2

    def _log_created(self):
        """Write the creation messages of these new invoices together.

        The same messages as of ``mail.thread.create``, which posts them one by one; so does
        this where somebody must be notified.
        """
        if {"mail_create_nolog", "tracking_disable"} & {
            key for key, value in self.env.context.items() if value
        }:
            return
        watched = self._get_watched()
        for move in watched:
            move._log_created_alone()
        # the others differ in nothing but what they are
        for moves in (self - watched).grouped("move_type").values():
            subtype = moves[0]._creation_subtype()
            if subtype:
                moves._create_messages(moves[0]._prepare_creation_message(subtype))
            else:
                body = moves[0]._creation_message()
                moves._message_log_batch(dict.fromkeys(moves.ids, body))

    def _log_created_alone(self):
        """Write the creation message of one invoice, as ``mail.thread.create`` does."""
        subtype = self._creation_subtype()
        if subtype:
            self.sudo().message_post(**self._prepare_creation_message(subtype))
        else:
            self._message_log_batch({self.id: self._creation_message()})

    def _get_watched(self):
        """Return the invoices whose creation message cannot be written with the others'."""
        methods = {self._name: CHATTER_METHODS}
        if any(self.env["invoice.run.bulk"]._get_overridden_methods(methods)):
            return self
        author = self.env.user.partner_id
        # sudo: followers and messages of invoices that the caller has just created
        followers = self.env["mail.followers"].sudo()
        domain = [("res_model", "=", self._name), ("res_id", "in", self.ids)]
        watched = followers.search([*domain, ("partner_id", "!=", author.id)]).mapped("res_id")
        messages = self.env["mail.message"].sudo()
        domain[0] = ("model", "=", self._name)
        return self.browse({*watched, *messages.search(domain).mapped("res_id")})

    def _prepare_creation_message(self, subtype):
        """Return what ``mail.thread.create`` hands to ``message_post``."""
        body = Markup('<div summary="o_mail_notification"><p>%s</p></div>')
        return {
            "subtype_id": subtype.id,
            "author_id": self.env.user.partner_id.id,
            "body": body % self._creation_message(),
        }

    def _create_messages(self, values):
        """Create a message on each of these records, as ``message_post`` would: nobody to notify.

        :param values: arguments of ``message_post``
        """
        records = self.sudo()._fallback_lang()
        author_id, email_from = records._message_compute_author(values["author_id"])
        domains = records._mail_get_alias_domains(default_company=self.env.company)
        companies = records._mail_get_companies(default=self.env.company)
        reply_to = records._notify_get_reply_to(default=email_from, author_id=author_id)
        common = {
            "email_add_signature": True,
            "author_guest_id": False,
            "email_from": email_from,
            "model": self._name,
            "message_type": "notification",
            "parent_id": False,
            "subject": False,
            "partner_ids": [],
            "incoming_email_to": False,
            "incoming_email_cc": False,
            "outgoing_email_to": False,
            "attachment_ids": [],
        }
        records.with_context(invoice_run_bulk=BULK)._message_create(
            [
                {
                    **common,
                    **values,
                    "res_id": move.id,
                    "record_alias_domain_id": domains[move.id].id,
                    "record_company_id": companies[move.id].id,
                    "reply_to": reply_to[move.id],
                }
                for move in self
            ]
        )
