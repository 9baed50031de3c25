"""Messages of many invoices, with their mails and notifications, written together.

Repeats ``mail.thread.message_post`` and what it calls, step by step, so that each step creates its
rows for all invoices at once. Hooks are called as Odoo calls them, for each invoice.
"""

from collections import defaultdict
from functools import partial

from markupsafe import escape

from odoo.tools import clean_context, split_every

#: Messages of an invoice among which Odoo looks for the one to answer.
MOST_PARENTS = 200
#: Mails are cut by recipients, where the system parameter ``mail.batch_size`` says nothing.
RECIPIENTS_PER_MAIL = 50


class Post:
    """A message that is to be posted on an invoice.

    ``arguments``: what ``message_post`` would get. ``notify``: those that are for notifying.
    """

    def __init__(self, move, arguments):
        self.move = move
        self.attachments = arguments.pop("attachments")
        known = move.env["mail.message"]._fields
        self.notify = {name: value for name, value in arguments.items() if name not in known}
        self.values = {name: value for name, value in arguments.items() if name in known}
        self.message = None
        self.recipients = []

    @property
    def by_email(self):
        return [data for data in self.recipients if data["notif"] == "email"]

    def get_attachment_vals(self):
        """Return the values of what is attached, as ``_process_attachments_for_post`` does."""
        return [
            {
                "name": name,
                "raw": content,
                "type": "binary",
                "description": name,
                "res_model": self.move._name,
                "res_id": self.move.id,
            }
            for name, content in self.attachments
        ]

    def is_attached_alone(self):
        """Whether only Odoo's own method knows how to attach this.

        It changes a text that shows what is attached, and says what is wrong with a file without
        content.
        """
        is_shown = any(mark in self.values["body"] for mark in ("cid:", "data-filename"))
        return is_shown or not all(
            isinstance(content, bytes) for _name, content in self.attachments
        )


class Posting:
    """Posts messages on many invoices at once; all of them have one environment."""

    def __init__(self, posts):
        self.posts = posts
        self.moves = posts[0].move.concat(*(post.move for post in posts[1:]))
        self.env = self.moves.env

    def run(self):
        """Post and notify; the mails wait in Odoo's queue."""
        self._prepare_values()
        self._attach()
        self._create_messages()
        self._subscribe_authors()
        for post in self.posts:
            post.move._message_post_after_hook(post.message, post.values)
        self._notify()
        self._queue_mails()
        self._hand_attachments_on()

    def _prepare_values(self):
        """Complete the values of the messages, see ``message_post``."""
        parents = self._get_parents()
        domains = self.moves.sudo()._mail_get_alias_domains(default_company=self.env.company)
        companies = self.moves._mail_get_companies(default=self.env.company)
        reply_to = self.moves._notify_get_reply_to_batch(
            defaults={post.move.id: post.values["email_from"] for post in self.posts},
            author_ids={post.move.id: post.values["author_id"] for post in self.posts},
        )
        for post in self.posts:
            move_id = post.move.id
            post.values.update(
                author_guest_id=False,
                model=post.move._name,
                res_id=move_id,
                body=escape(post.values["body"]),
                parent_id=parents.get(move_id, False),
                subject=post.values["subject"] or False,
                partner_ids=list(post.values["partner_ids"] or []),
                incoming_email_to=False,
                incoming_email_cc=False,
                outgoing_email_to=False,
                record_alias_domain_id=domains[move_id].id,
                record_company_id=companies[move_id].id,
                reply_to=reply_to[move_id],
            )

    def _get_parents(self):
        """Return {move id: id of the message that is answered}.

        See ``_message_compute_parent_id``.
        """
        # sudo: as there
        messages = self.env["mail.message"].sudo()
        found = messages.search(
            [
                ("res_id", "in", self.moves.ids),
                ("model", "=", self.moves._name),
                ("message_type", "!=", "user_notification"),
            ],
            order="date desc, id desc",
        )

        def get_rank(message):
            is_spoken = message.message_type in ("comment", "email")
            return is_spoken, message.date or message.create_date, message.id

        return {
            move_id: max(of_move[:MOST_PARENTS], key=get_rank).id
            for move_id, of_move in found.grouped("res_id").items()
        }

    def _attach(self):
        """Create the attachments; see ``_process_attachments_for_post``."""
        plain = [post for post in self.posts if not post.is_attached_alone()]
        values_list = [values for post in plain for values in post.get_attachment_vals()]
        extra_list = [(False, values["name"], False, {}) for values in values_list]
        created = iter(self.moves._create_attachments_for_post(values_list, extra_list))
        for post in self.posts:
            if post in plain:
                commands = [(4, next(created).id) for _attachment in post.attachments]
                post.values["attachment_ids"] = commands
            else:
                post.values.update(
                    post.move._process_attachments_for_post(post.attachments, [], post.values)
                )
            post.attachments = None

    def _create_messages(self):
        messages = self.moves._message_create([post.values for post in self.posts])
        for post, message in zip(self.posts, messages, strict=True):
            post.message = message

    def _subscribe_authors(self):
        """Have authors follow what they sent, see ``message_post``."""
        if self.env.context.get("mail_post_autofollow_author_skip"):
            return
        move_ids = defaultdict(list)
        for post in self.posts:
            author = post.move._message_compute_real_author(post.values["author_id"])
            if author and not author.partner_share:
                move_ids[author].append(post.move.id)
        for author, ids in move_ids.items():
            self.moves.browse(ids)._message_subscribe(partner_ids=[author.id])

    # ------------------------------------------------------------------
    # Notifications
    # ------------------------------------------------------------------

    def _notify(self):
        """Find the recipients and notify those who want it in Odoo, see ``_notify_thread``."""
        known = self._get_recipient_data()
        for post in self.posts:
            move = post.move.with_context(invoice_run_recipients=known)
            recipients = move._notify_get_recipients(
                post.message, msg_vals=post.values, **post.notify
            )
            post.recipients = recipients
            post.move._notify_thread_with_out_of_office(
                post.message, recipients, msg_vals=post.values, **post.notify
            )
            if recipients:
                for notify in (
                    post.move._notify_thread_by_inbox,
                    post.move._notify_thread_by_web_push,
                ):
                    notify(post.message, recipients, msg_vals=post.values, **post.notify)

    def _get_recipient_data(self):
        """Return what ``mail.followers`` says of the recipients of each message."""
        [(message_type, subtype_id)] = {
            (post.values["message_type"], post.values["subtype_id"]) for post in self.posts
        }
        find = self.env["mail.followers"]._get_recipient_data
        partner_ids = {id_ for post in self.posts for id_ in post.values["partner_ids"]}
        # who follows the invoice with this kind of message; then also who is written to
        following = find(self.moves, message_type, subtype_id, [])
        everybody = find(self.moves, message_type, subtype_id, list(partner_ids))
        known = KnownRecipients(message_type, subtype_id)
        for post in self.posts:
            move_id, own = post.move.id, post.values["partner_ids"]
            known.data[move_id, tuple(own)] = {
                id_: data
                for id_, data in everybody[move_id].items()
                if id_ in own or id_ in following[move_id]
            }
        return known

    def _queue_mails(self):
        """Create the mails and their notifications, see ``_notify_thread_by_email``."""
        mailed = [post for post in self.posts if post.by_email]
        if not mailed:
            return
        self._prepare_signup(mailed)
        prepared = [row for post in mailed for row in self._render(post)]
        env = self.env(context=clean_context(self.env.context))
        # sudo: as there
        mails = env["mail.mail"].sudo().create([mail_vals for mail_vals, _rows in prepared])
        notifications = [
            {**vals, "mail_mail_id": mail.id}
            for mail, (_mail_vals, vals_list) in zip(mails, prepared, strict=True)
            for vals in vals_list
        ]
        # sudo: as there
        env["mail.notification"].sudo().create(notifications)

    def _prepare_signup(self, posts):
        """Have the customers ready to sign up by the links in their mails.

        See ``res.partner.signup_get_auth_param``, which is called for each mail.
        """
        env = self.env
        may_sign_up = env["res.users"]._get_signup_invitation_scope() == "b2c"
        if not may_sign_up or not (env.user._is_internal() or env.is_admin()):
            return
        # sudo: as there
        customers = env["res.partner"].sudo()
        for post in posts:
            partners = post.move._mail_get_partners(introspect_fields=False)
            customers |= partners[post.move.id].sudo()
        customers.filtered(lambda partner: not partner.user_ids).signup_prepare()

    def _render(self, post):
        """Yield the values of each mail of this message, and those of its notifications."""
        move, message = post.move, post.message
        base = move._notify_by_email_get_base_mail_values(
            message,
            post.by_email,
            additional_values={"auto_delete": post.notify["mail_auto_delete"]},
        )
        notification = move._notify_by_email_get_base_notification_values(message)
        groups = move._notify_get_classified_recipients_iterator(
            message,
            post.by_email,
            msg_vals=post.values,
            model_description=post.notify["model_description"],
        )
        for _lang, render_values, group in groups:
            body = move._notify_by_email_render_layout(
                message, group, msg_vals=post.values, render_values=render_values
            )
            final = partial(
                move._notify_by_email_get_final_mail_values,
                mail_values=base,
                additional_values={"body_html": body},
            )
            for ids in split_every(self._get_batch_size(), group["recipients_ids"]):
                yield final(ids), [{"res_partner_id": id_, **notification} for id_ in ids]
            # recipients that are no contacts: Odoo has none here, but an addon may add some
            if addresses := group["recipients_emails"]:
                mail_vals = {**final([]), "email_to": ",".join(addresses)}
                yield mail_vals, [{"mail_email_address": to, **notification} for to in addresses]

    def _get_batch_size(self):
        # sudo: as in `_notify_thread_by_email`
        parameters = self.env["ir.config_parameter"].sudo()
        return int(parameters.get_param("mail.batch_size") or 0) or RECIPIENTS_PER_MAIL

    def _hand_attachments_on(self):
        """Have the attachments belong to the messages, see ``account.move.send._send_mail``."""
        attachments = self.env["mail.message"].concat(*(post.message for post in self.posts))
        attachments = attachments.attachment_ids
        if not attachments:
            return
        attachments.invalidate_recordset(["res_id", "res_model"], flush=False)
        # those of invoices are protected by the audit trail
        self.env.cr.execute(
            "UPDATE ir_attachment SET res_id = NULL WHERE id = ANY(%s)", [attachments.ids]
        )
        for post in self.posts:
            post.message.attachment_ids.write(
                {"res_model": post.message._name, "res_id": post.message.id}
            )


class KnownRecipients:
    """In the context while recipients are notified; an object, so that no RPC call can forge it.

    ``data``: {(move id, ids of the partners that are written to): recipients by partner}.
    """

    def __init__(self, message_type, subtype_id):
        self.key = (message_type, subtype_id)
        self.data = {}

    def get(self, records, message_type, subtype_id, partner_ids):
        """Return what is known of a message to these partners, None: nothing."""
        if (message_type, subtype_id) != self.key or records._name != "account.move":
            return None
        return self.data.get((records.id, tuple(partner_ids or ())))
