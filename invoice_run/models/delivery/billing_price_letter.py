from markupsafe import Markup

from odoo import models
from odoo.exceptions import UserError
from odoo.tools import format_date

#: Letters in one file, while somebody waits for it; by email there may be more.
MAX_PRINTED = 500
#: In the context: what the letters say, see ``billing.price.change._get_letters``.
LETTERS = "billing_price_letters"
REPORT = "invoice_run.billing_price_letter_report"


class BillingContract(models.Model):
    """Letters that tell customers of new prices, by email or on paper."""

    _inherit = "billing.contract"

    def _get_price_letter(self):
        """Return what the letter of this contract says, for its email template and its report.

        In the language of the records. Without letters under way, in a template's preview,
        nothing is said.

        :return: dict with ``date``, first day of the new prices, and ``rows``: ``name``, ``date``,
            ``old`` and ``new`` (empty where the line ends) as text, ``change``, and
            ``calculation``: texts that say how an index gave the new price, mostly none
        """
        self.ensure_one()
        letter = self.env.context.get(LETTERS, {}).get(self.id) or {"date": None, "changes": []}
        return {
            "date": letter["date"],
            "rows": [
                self._prepare_letter_row(change, letter.get("updates", {}))
                for change in letter["changes"]
            ],
        }

    def _prepare_letter_row(self, change, updates):
        # with the records' language: the line was read in another one
        line = self.env["billing.contract.line"].browse(change.line_id)
        found = self.env["billing.price.update.line"].browse(updates.get(change.line_id))
        old, new = line._get_side_texts(change)
        return {
            "name": (change.vals or {}).get("name") or line.name,
            "date": format_date(self.env, change.date_from),
            "old": old,
            "new": new,
            "change": change,
            "calculation": found._get_calculation() if found else [],
        }

    def _send_price_letters(self, letters, template):
        """Put the letter of each contract into the outgoing mail.

        :param letters: see ``billing.price.change._get_letters``
        :param template: an email template for contracts
        :return: the contracts whose customer has no email address: they get none
        """
        silent = self.filtered(lambda contract: not contract.partner_id.email)
        template.with_context(**{LETTERS: letters}).send_mail_batch((self - silent).ids)
        return silent

    def _check_letters_printable(self):
        """Refuse more letters than can be printed while a user waits for a file.

        :raises UserError: says what to do
        """
        if len(self) > MAX_PRINTED:
            raise UserError(
                self.env._(
                    "%(count)s letters are too many for one file: select at most %(limit)s "
                    "contracts, or send the letters by email.",
                    count=len(self),
                    limit=MAX_PRINTED,
                )
            )

    def _print_price_letters(self, letters, owner):
        """Return the letters of these contracts in one PDF, attached to ``owner``.

        :param letters: see ``billing.price.change._get_letters``
        :param owner: a record whose readers may read the file
        """
        report = self.env["ir.actions.report"].with_context(**{LETTERS: letters})
        content, _kind = report._render_qweb_pdf(REPORT, self.ids)
        note = Markup("<p>%s</p>") % self.env._("Letter about the new prices: printed.")
        self._message_log_batch(bodies=dict.fromkeys(self.ids, note))
        return self.env["ir.attachment"].create(
            {
                "name": self.env._("Letters about new prices.pdf"),
                "raw": content,
                "mimetype": "application/pdf",
                "res_model": owner._name,
                "res_id": owner.id,
            }
        )
