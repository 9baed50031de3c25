import logging

from odoo import api, models
from odoo.addons.invoice_run.models.delivery.account_move_send import SENT_MESSAGE, SendBatch

from .. import core
from ..bypassed import POSTING_ATTRIBUTES, POSTING_METHODS, SKIPPED_METHODS
from ..found_once import found_once
from ..posting import Post, Posting

_logger = logging.getLogger(__name__)

#: Bytes of attachments that wait to be written together; more are written earlier.
MOST_BYTES = 20_000_000
#: What Odoo says of each message that sends an invoice; with anything else it is posted alone.
MAIL_ARGUMENTS = {
    "attachments",
    "author_id",
    "body",
    "email_from",
    "model_description",
    "notify_author_mention",
    "partner_ids",
    "subject",
    "subtype_id",
}


class TurboBatch(SendBatch):
    """A batch that is rendered together: what was found for one of its invoices serves all."""

    def __init__(self, documents):
        super().__init__(documents)
        self.templates = {}
        #: {template id: {move id: language}}
        self.langs = {}
        self.rendered = {}
        self.compiled = {}
        #: (model, ids) of records that exist
        self.existing = set()
        #: {ids of units: their external ids}
        self.units = {}
        #: addresses of the customers, those of which it is known whether they are aliases of our
        #: own, and those that are
        self.addresses = set(documents.partner_id.mapped("email_normalized")) - {False}
        self.known, self.aliases = set(), set()
        #: {address of the sender: (id of the author, address)}
        self.authors = {}
        #: messages that wait to be posted together; None: each is posted at once
        self.posts = None


class AccountMoveSend(models.AbstractModel):
    """Mails of a run: settings, languages and texts of all of them at once."""

    _inherit = "account.move.send"

    @api.model
    def _make_run_batch(self, documents):
        # EXTENDS 'invoice_run'
        if not core.is_as_read(self.env, core.SEND):
            return super()._make_run_batch(documents)
        self._read_together(documents.move_id)
        return TurboBatch(documents)

    @api.model
    def _read_together(self, moves):
        """Read what reports and e-invoices read of the tax lines of each invoice on its own."""
        lines = moves.line_ids
        for name in ("tax_ids", "tax_tag_ids"):
            lines.mapped(name)

    @api.model
    def _get_turbo_batch(self):
        batch = self._get_run_batch()
        return batch if isinstance(batch, TurboBatch) else None

    def _get_printed_together(self, items):
        # EXTENDS 'invoice_run': they are cut for several processes later
        if not core.is_as_read(self.env, core.PRINT):
            return super()._get_printed_together(items)
        return [items] if items else []

    # ------------------------------------------------------------------
    # Messages
    # ------------------------------------------------------------------

    @api.model
    def _post_mails(self, send, moves_data):
        # EXTENDS 'invoice_run': their rows are written together
        batch = self._get_turbo_batch()
        if batch is None or len(moves_data) < 2 or not self._is_posted_together():
            return super()._post_mails(send, moves_data)
        batch.posts = []
        try:
            result = super()._post_mails(send, moves_data)
            self._post_waiting()
        finally:
            batch.posts = None
        return result

    @api.model
    def _is_posted_together(self):
        """Whether nothing changes how a message is posted but what was read."""
        # what the message of a new invoice has in common with these counts as creating
        if not all(core.is_as_read(self.env, step) for step in (core.CREATE, core.SEND)):
            return False
        context = self.env.context
        return (
            not self._get_posting_obstacles()
            and not context.get("mail_post_autofollow")
            and not context.get("mail_notify_force_send", True)
            and not self.env.user._is_public()
        )

    @api.model
    def _get_posting_obstacles(self):
        """Return what changes how a message is posted, as labels and addons."""
        obstacles = sorted(self._get_posting_addons())
        if self._is_posting_replaced():
            obstacles.append(self.env._("automation rules for messages"))
        return obstacles

    @api.model
    @found_once
    def _get_posting_addons(self):
        """Return the addons that change how a message is posted."""
        bulk = self.env["invoice.run.bulk"]
        methods = [*bulk._get_overridden_methods(POSTING_METHODS)]
        methods += bulk._get_overridden_methods(SKIPPED_METHODS)
        addons = {module for _name, module in methods}
        for name, known in POSTING_ATTRIBUTES.items():
            if getattr(self.env["account.move"], name) is not known:
                addons.update(bulk._get_modules("account.move", name))
        return addons

    @api.model
    def _is_posting_replaced(self):
        """Whether methods were replaced while Odoo runs; rules of ``base_automation`` do that."""
        bulk = self.env["invoice.run.bulk"]
        return any(bulk._is_patched(model, names) for model, names in POSTING_METHODS.items())

    @api.model
    def _send_mail(self, move, mail_template, **kwargs):
        # EXTENDS 'account': posted with the others
        batch = self._get_turbo_batch()
        # without an author, where the sender is nobody's address; None would be looked for
        is_plain = set(kwargs) == MAIL_ARGUMENTS and None not in (
            kwargs["author_id"],
            kwargs["email_from"],
        )
        if batch is None or batch.posts is None or not is_plain:
            return super()._send_mail(move, mail_template, **kwargs)
        arguments = self._prepare_post_arguments(mail_template, kwargs)
        move = move.with_context(
            email_notification_allow_footer=True,
            disable_attachment_import=True,
            no_document=True,
            invoice_run_message=SENT_MESSAGE,
        )
        batch.posts.append(Post(move._fallback_lang(), arguments))
        waiting = [content for post in batch.posts for _name, content in post.attachments]
        if sum(len(content or b"") for content in waiting) > MOST_BYTES:
            self._post_waiting()
        return None

    @api.model
    def _prepare_post_arguments(self, mail_template, kwargs):
        """Return what ``account.move.send._send_mail`` hands to ``message_post``."""
        return {
            **kwargs,
            "message_type": "comment",
            "email_layout_xmlid": self._get_mail_layout(),
            "email_add_signature": not mail_template,
            "mail_auto_delete": mail_template.auto_delete,
            "mail_server_id": mail_template.mail_server_id.id,
            "reply_to_force_new": False,
        }

    @api.model
    def _post_waiting(self):
        batch = self._get_turbo_batch()
        # what is posted may set off further ones
        while posts := batch.posts:
            batch.posts = []
            Posting(posts).run()

    # ------------------------------------------------------------------
    # Settings
    # ------------------------------------------------------------------

    @api.model
    def _get_default_mail_template_id(self, move):
        # EXTENDS 'account': looked up once
        batch = self._get_turbo_batch()
        if batch is None:
            return super()._get_default_mail_template_id(move)
        if move.id not in batch.templates:
            batch.templates[move.id] = super()._get_default_mail_template_id(move)
        return batch.templates[move.id]

    @api.model
    def _get_default_mail_lang(self, move, mail_template):
        # EXTENDS 'account': one rendering for all
        batch = self._get_turbo_batch()
        langs = batch.langs.setdefault(mail_template.id, {}) if batch else {}
        if batch and move.id not in langs:
            langs.update(self._render_in_batch(mail_template._render_lang, mail_template))
        return langs.get(move.id) or super()._get_default_mail_lang(move, mail_template)

    @api.model
    def _get_mail_default_field_value_from_template(
        self, mail_template, lang, move, field, **kwargs
    ):
        # EXTENDS 'account': one rendering for all invoices of one language
        batch = self._get_turbo_batch()
        if batch and mail_template:
            key = (mail_template.id, lang, field, repr(sorted(kwargs.items())))
            if move._origin.id not in batch.rendered.setdefault(key, {}):
                # sudo: as in Odoo's own
                template = mail_template.sudo().with_context(lang=lang)
                batch.rendered[key].update(
                    self._render_in_batch(
                        lambda ids: template._render_field(field, ids, **kwargs),
                        mail_template,
                        lang,
                    )
                )
            if move._origin.id in batch.rendered[key]:
                return batch.rendered[key][move._origin.id]
        return super()._get_mail_default_field_value_from_template(
            mail_template, lang, move, field, **kwargs
        )

    def _render_in_batch(self, render, mail_template, lang=None):
        """Return {move id: text} of all documents that share template and language.

        Empty where it fails for one of them: then each is rendered alone, and that one fails.
        """
        batch = self._get_turbo_batch()
        langs = batch.langs.get(mail_template.id, {})
        ids = [
            move_id
            for move_id, document in batch.documents.items()
            if self._get_default_mail_template_id(document.move_id) == mail_template
            and (lang is None or langs.get(move_id) == lang)
        ]
        return self._try_step(lambda: render(ids), self._render_one_by_one)

    def _render_one_by_one(self, error):
        _logger.info("Invoice run: mails rendered one by one after: %s", error)
        return {}
