import logging
from collections import Counter

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tools import format_date

from ...engine import cutoff, periods
from ..base.errors import RETRY_ERRORS
from ..base.groups import ACCOUNTANTS
from ..base.invoice_run_guarded import EngineValue

_logger = logging.getLogger(__name__)

#: Who may post month-end entries: in Community the bookkeepers are "Billing Administrators".
POSTERS = "account.group_account_user,account.group_account_manager"
#: Values of a detail that say which amount it is.
DETAIL_FIELDS = (
    "kind",
    "account_id",
    "invoice_line_id",
    "contract_line_id",
    "usage_id",
    "date_from",
    "date_to",
)


class BillingCutoffDetail(models.Model):
    """One amount that a month-end entry sums up: of an invoice line, or of days not invoiced."""

    _name = "billing.cutoff.detail"
    _description = "Detail of a Month-end Entry"
    _inherit = ["analytic.mixin"]
    _order = "move_id, account_id, contract_id, date_from, id"

    move_id = fields.Many2one(
        "account.move", "Month-end Entry", required=True, index=True, ondelete="cascade"
    )
    move_line_id = fields.Many2one(
        "account.move.line",
        "Journal Item",
        index="btree_not_null",
        ondelete="cascade",
        help="The line of the entry that contains this amount.",
    )
    company_id = fields.Many2one(
        "res.company", compute="_compute_company_id", store=True, precompute=True, index=True
    )
    currency_id = fields.Many2one(related="company_id.currency_id")
    kind = fields.Selection(
        [(cutoff.DEFERRED, "Deferred"), (cutoff.ACCRUED, "Accrued")], "Type", required=True
    )
    account_id = fields.Many2one("account.account", required=True)
    amount = fields.Monetary(help="In company currency.")
    date_from = fields.Date("From", help="First day that the amount is for, included.")
    date_to = fields.Date("To", help="Last day that the amount is for, included.")
    invoice_line_id = fields.Many2one(
        "account.move.line",
        index="btree_not_null",
        ondelete="set null",
        help="The line that invoiced the days; empty if they are not invoiced.",
    )
    invoice_id = fields.Many2one(related="invoice_line_id.move_id")
    contract_id = fields.Many2one("billing.contract", index="btree_not_null", ondelete="set null")
    contract_line_id = fields.Many2one(
        "billing.contract.line", "Price Line", index="btree_not_null", ondelete="set null"
    )
    usage_id = fields.Many2one("billing.usage", index="btree_not_null", ondelete="set null")
    partner_id = fields.Many2one("res.partner", "Customer", index="btree_not_null")
    product_id = fields.Many2one("product.product")

    @api.depends("move_id")
    def _compute_company_id(self):
        # not as a related field: a month-end entry stays in its company, and Odoo would look for
        # details of each journal entry that is created
        for detail in self:
            detail.company_id = detail.move_id.company_id

    def _get_key(self):
        """Return what this detail says, to compare it with an amount of the ledger."""
        ids = [self[name].id if name.endswith("_id") else self[name] for name in DETAIL_FIELDS]
        return (*ids, _freeze(self.analytic_distribution), periods.exact(self.amount))


def _get_row_key(row):
    """Return the key of an amount of the ledger, as ``billing.cutoff.detail._get_key``."""
    values = [row[name] or False for name in DETAIL_FIELDS]
    return (*values, _freeze(row["analytic_distribution"]), row["amount"])


def _freeze(distribution):
    return tuple(sorted((distribution or {}).items()))


class AccountMove(models.Model):
    """The month-end entry of a cut-off: one per company and day, reversed on the next day.

    A draft is recalculated when it is confirmed, if the ledger has changed by then. What it
    moves is in its details, line by line.
    """

    _inherit = "account.move"

    billing_cutoff_date = fields.Date(
        "Cut-off Date",
        copy=False,
        readonly=True,
        groups=ACCOUNTANTS,
        help="Last day, included, whose deferred and accrued revenue this entry books.",
        engine=True,
    )
    _billing_cutoff_once = models.UniqueIndex(
        "(company_id, billing_cutoff_date) "
        "WHERE billing_cutoff_date IS NOT NULL AND state != 'cancel'",
        "The cut-off of this day has already been posted. Open its entry, or cancel it first.",
    )

    @api.model
    def _get_cutoff_entry(self, company, date):
        """Return the entry of the cut-off of ``company`` at ``date`` that is not cancelled."""
        domain = [("company_id", "=", company.id), ("billing_cutoff_date", "=", date)]
        return self.search([*domain, ("state", "!=", "cancel")], limit=1)

    @api.model
    def _create_cutoff_entry(self, company, date):
        """Return the entry of this cut-off as a draft, with the amounts of the ledger as it is now.

        :raises UserError: an account is missing, the books are closed, nothing is to be booked,
            or the entry is posted already
        """
        entry = self._open_cutoff_entry(company, date)
        entry._renew_cutoff()
        return entry

    @api.model
    def _open_cutoff_entry(self, company, date):
        """Return the draft of this cut-off that waits, or a new one, still without lines.

        Its amounts are calculated when it is confirmed, and so only once.

        :raises UserError: the books are closed, or the entry is posted already
        """
        entry = self._get_cutoff_entry(company, date)
        if entry.state == "posted":
            raise UserError(
                self.env._(
                    "The cut-off of %(date)s has already been posted with %(entry)s.",
                    date=format_date(self.env, date),
                    entry=entry.display_name,
                )
            )
        if entry:
            return entry
        journal = company._get_invoice_run_cutoff_journal()
        self._check_cutoff_locks(company, date, journal)
        vals = self._prepare_cutoff_vals(company, date, journal)
        return self.with_company(company).create(vals).with_env(self.env)

    @api.model
    def _prepare_cutoff_vals(self, company, date, journal):
        return {
            "move_type": "entry",
            "company_id": company.id,
            "journal_id": journal.id,
            "date": date,
            "auto_post": "no",
            "ref": self.env._(
                "Deferred and accrued revenue at %(date)s", date=format_date(self.env, date)
            ),
            "billing_cutoff_date": EngineValue(date),
        }

    @api.model
    def _get_cutoff_rows(self, company, date):
        # sudo: whoever confirms the entry need not see the contracts behind it
        return self.env["billing.cutoff.rows"].sudo()._get_rows(company, date)

    def _write_cutoff(self, rows):
        """Write the lines and details that follow from ``rows`` of the ledger."""
        self.ensure_one()
        self._check_cutoff_accounts(rows)
        lines = cutoff.entry_lines(self._get_cutoff_row(row) for row in rows)
        # sudo: the engine alone writes details, with the values of the ledger
        details = self.env["billing.cutoff.detail"].sudo()
        details.search([("move_id", "=", self.id)]).unlink()
        commands = [Command.create(self._prepare_cutoff_line_vals(line)) for line in lines]
        self.write({"line_ids": [Command.clear(), *commands]})
        items = {}
        for line, item in zip(lines, self.line_ids.sorted("id"), strict=True):
            items |= dict.fromkeys(line.rows, item.id)
        details.create(
            [
                {
                    **{name: value for name, value in row.items() if name != "cluster_id"},
                    "amount": float(row["amount"]),
                    "move_id": self.id,
                    "move_line_id": items.get(number),
                }
                for number, row in enumerate(rows)
            ]
        )

    @api.model
    def _get_cutoff_row(self, row):
        analytic = _freeze(row["analytic_distribution"])
        return cutoff.Row(row["kind"], row["account_id"], analytic, row["amount"])

    def _prepare_cutoff_line_vals(self, line):
        company = self.company_id
        accounts = {
            cutoff.DEFERRED: (company.invoice_run_deferred_account_id, self.env._("Deferred")),
            cutoff.ACCRUED: (company.invoice_run_accrued_account_id, self.env._("Accrued")),
        }
        account, name = accounts[line.kind]
        return {
            "account_id": line.account_id or account.id,
            "name": f"{name}: {self.ref}",
            "balance": float(line.balance),
            "currency_id": company.currency_id.id,
            "amount_currency": float(line.balance),
            # explicitly, because the entry moves what was booked and has no defaults of its own
            "tax_ids": [Command.clear()],
            "analytic_distribution": dict(line.analytic) or False,
        }

    def _renew_cutoff(self):
        """Recalculate these drafts where the ledger has changed.

        :raises UserError: nothing is left to be booked
        """
        for entry in self:
            rows = self._get_cutoff_rows(entry.company_id, entry.billing_cutoff_date)
            # sudo: see _get_cutoff_rows
            details = self.env["billing.cutoff.detail"].sudo()
            known = [one._get_key() for one in details.search([("move_id", "=", entry.id)])]
            if rows and Counter(known) == Counter(map(_get_row_key, rows)):
                continue
            if not rows:
                raise UserError(entry._get_no_cutoff_error())
            is_renewed = bool(entry.line_ids)
            entry._write_cutoff(rows)
            if is_renewed:
                entry.message_post(
                    body=self.env._("Recalculated: the invoices have changed in the meantime.")
                )

    def _get_no_cutoff_error(self):
        if not self.line_ids:
            return self.env._("There is nothing to defer or to accrue on this day.")
        return self.env._(
            "%(entry)s: nothing is left to defer or to accrue. Delete the entry.",
            entry=self.display_name,
        )

    # ------------------------------------------------------------------
    # Checks
    # ------------------------------------------------------------------

    def _check_cutoff_accounts(self, rows):
        """Refuse entries without the accounts that they need.

        :raises UserError: says where to set them
        """
        company = self.company_id
        missing = {
            cutoff.DEFERRED: not company.invoice_run_deferred_account_id,
            cutoff.ACCRUED: not company.invoice_run_accrued_account_id,
        }
        if any(missing[row["kind"]] for row in rows):
            raise UserError(
                self.env._(
                    "Choose the accounts of deferred and of accrued revenue in the settings of "
                    "Invoicing, under Invoice Runs."
                )
            )
        product = next((row["product_id"] for row in rows if not row["account_id"]), None)
        if product:
            raise UserError(
                self.env._(
                    "“%(product)s” has no income account. Set one on the product, its category "
                    "or the company.",
                    product=self.env["product.product"].browse(product).display_name,
                )
            )

    @api.model
    def _check_cutoff_locks(self, company, cutoff_date, journal):
        """Refuse an entry, or its reversal, in a closed period; Odoo would move their date.

        :raises UserError: names the lock dates
        """
        for date in (cutoff_date, cutoff_date + periods.DAY):
            locks = company._get_violated_lock_dates(date, False, journal)
            if locks:
                raise UserError(
                    self.env._(
                        "The books are closed on %(date)s (%(locks)s): the cut-off cannot be "
                        "booked.",
                        date=format_date(self.env, date),
                        locks=self.env["res.company"]._format_lock_dates(locks),
                    )
                )

    def _check_cutoff_rights(self):
        """Refuse to book a cut-off for users who are not bookkeepers.

        :raises AccessError: says which right is missing
        """
        if not self.env.su and not self.env.user.has_groups(POSTERS):
            raise AccessError(
                self.env._(
                    "Only accountants can post month-end entries. Ask for the role "
                    "“Administrator” of Accounting."
                )
            )

    # ------------------------------------------------------------------
    # Posting
    # ------------------------------------------------------------------

    def _post(self, soft=True):
        # EXTENDS 'account': a month-end entry is up to date, and reversed on the next day
        entries = self._get_cutoff_entries("draft")
        if entries:
            entries._check_cutoff_rights()
            for entry in entries:
                day = entry.billing_cutoff_date
                entry._check_cutoff_locks(entry.company_id, day, entry.journal_id)
            entries._renew_cutoff()
        posted = super()._post(soft)
        (entries & posted)._reverse_cutoff()
        return posted

    def button_draft(self):
        # EXTENDS 'account': without its entry the reversal would stand alone
        entries = self._get_cutoff_entries("posted")
        if entries:
            entries._check_cutoff_rights()
            reversals = entries.reversal_move_ids.filtered(lambda move: move.state == "posted")
            reversals.button_draft()
            reversals.button_cancel()
        return super().button_draft()

    def _get_cutoff_entries(self, state):
        # sudo: users who confirm invoices may not see this field
        moves = self.sudo().filtered(lambda move: move.billing_cutoff_date and move.state == state)
        return moves.with_env(self.env)

    def _reverse_cutoff(self):
        """Reverse these entries on the next day, by Odoo's own reversal."""
        for entry in self:
            values = {
                "date": entry.billing_cutoff_date + periods.DAY,
                "ref": self.env._("Reversal of: %(entry)s", entry=entry.ref),
                "auto_post": "no",
            }
            entry._reverse_moves([values], cancel=True)

    def action_view_cutoff_details(self):
        """Show what this entry sums up: invoice lines and days."""
        self.env["billing.cutoff.detail"].check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_cutoff_detail_action"
        )
        action["domain"] = [("move_id", "in", self.ids)]
        return self._with_path("billing-cutoff-details", action)

    # ------------------------------------------------------------------
    # Scheduled action
    # ------------------------------------------------------------------

    @api.model
    def _cron_draft_cutoffs(self):
        """Create or recalculate the draft of last month's cut-off in each company that wants it."""
        companies = self.env["res.company"].search([("invoice_run_cutoff_draft", "=", True)])
        for number, company in enumerate(companies, 1):
            self._process_cutoff_draft(company)
            self.env["ir.cron"]._commit_progress(1, remaining=len(companies) - number)

    @api.model
    def _process_cutoff_draft(self, company):
        """Create or recalculate the draft of the month before the company's today; safe to repeat.

        What cannot be created is logged, and stops no other company.
        """
        date = company._get_invoice_run_today().replace(day=1) - periods.DAY
        if self._get_cutoff_entry(company, date).state == "posted":
            return
        try:
            with self.env.cr.savepoint():
                self._create_cutoff_entry(company, date)
        except RETRY_ERRORS:
            raise
        except UserError as error:
            _logger.warning("No cut-off of %s at %s: %s", company.name, date, error)
        except Exception:  # whatever is wrong with one company never stops the others
            self.env.invalidate_all(flush=False)
            _logger.warning("No cut-off of %s at %s", company.name, date, exc_info=True)
