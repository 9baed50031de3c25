from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytz

from odoo import SUPERUSER_ID, api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL

from ...advisory_locks import MAILS, give_up
from ..base.groups import INTERNAL

#: The steps of a run that need no person where they are automatic, in order.
STEPS = ("amounts", "approve", "invoices", "send")
#: Settings that count or limit something: 0 has its own meaning, less has none.
NOT_NEGATIVE = (
    "invoice_run_activation_days",
    "invoice_run_release_days",
    "invoice_run_max_lines",
    "invoice_run_mails_per_hour",
    "invoice_run_min_amount",
    "invoice_run_max_amount",
    "invoice_run_credit_limit",
    "invoice_run_outlier_factor",
)
#: A run cannot be activated longer than this before its period.
MAX_ACTIVATION_DAYS = 366


class ResCompany(models.Model):
    _inherit = "res.company"

    invoice_run_activation_days = fields.Integer(
        "Activation Days",
        default=10,
        help="Days before its period on which a run is activated.",
        groups=INTERNAL,
    )
    invoice_run_auto_amounts = fields.Boolean("Generate Amounts", default=True, groups=INTERNAL)
    invoice_run_auto_approve = fields.Boolean("Approve", groups=INTERNAL)
    invoice_run_auto_invoices = fields.Boolean("Generate Invoices", groups=INTERNAL)
    invoice_run_auto_send = fields.Boolean("Send Invoices", groups=INTERNAL)
    invoice_run_four_eyes = fields.Boolean(
        "Four-eyes Principle",
        help="Users who created or changed something that is to be approved cannot approve it.",
        groups=INTERNAL,
    )
    invoice_run_reviewer_id = fields.Many2one(
        "res.users",
        "Reviewer of Runs",
        domain=lambda self: self.env["res.users"]._get_invoice_run_reviewer_domain(),
        groups=INTERNAL,
    )
    invoice_run_outlier_factor = fields.Float("Outlier Factor", default=2.5, groups=INTERNAL)
    invoice_run_correction = fields.Selection(
        [("lines", "Lines on the next invoice"), ("credit_note", "Credit notes")],
        "Corrections",
        required=True,
        default="lines",
        help="How days are credited that were invoiced in advance and are not owed any more.",
        groups=INTERNAL,
    )
    invoice_run_max_lines = fields.Integer(
        "Lines per Invoice",
        help="A document with more lines is split into several. 0: no limit.",
        groups=INTERNAL,
    )
    invoice_run_min_amount = fields.Monetary(
        "Smallest Invoice",
        help="Documents with a smaller total, including taxes, are postponed: this run does not "
        "invoice them. Their periods stay billable; once they reach the minimum together, "
        "they are put on one invoice. The last invoice of a contract is never postponed. 0: "
        "no minimum.",
        groups=INTERNAL,
    )
    invoice_run_max_amount = fields.Monetary(
        "Largest Invoice Without Check",
        help="Documents with a larger total, taxes included, wait until a reviewer has checked "
        "them. 0: no maximum.",
        groups=INTERNAL,
    )
    invoice_run_credit_limit = fields.Monetary(
        "Largest Credit Without Check",
        help="Runs with a larger credit, untaxed, are not approved automatically. 0: a credit of "
        "more than one billing period, or one above the largest invoice without check.",
        groups=INTERNAL,
    )
    invoice_run_release_days = fields.Integer("Release After (Days)", default=7, groups=INTERNAL)
    invoice_run_mails_per_hour = fields.Integer(
        "Emails per Hour",
        help="Invoice runs hand at most this many emails to the mail server within 60 minutes; "
        "the others wait. 0: no limit.",
        groups=INTERNAL,
    )
    invoice_run_mail_template_id = fields.Many2one(
        "mail.template",
        "Email Template of Runs",
        domain=[("model", "=", "account.move")],
        help="Empty: Odoo's own template for invoices.",
        groups=INTERNAL,
    )

    billing_unset_sending = fields.Selection(
        [
            ("ask", "Ask in each run"),
            ("email", "Email"),
            ("print", "Print"),
            ("none", "Do not send"),
        ],
        "Customers Without a Sending Method",
        required=True,
        default="ask",
        help="What runs do with the invoices of customers for whom nobody chose an “Invoice "
        "sending” method.",
        groups=INTERNAL,
    )

    invoice_run_deferred_account_id = fields.Many2one(
        "account.account",
        "Deferred Revenue Account",
        check_company=True,
        domain="[('account_type', 'in', ('liability_current', 'liability_non_current'))]",
        help="What has been invoiced but not yet earned at the end of a month.",
        groups=INTERNAL,
    )
    invoice_run_accrued_account_id = fields.Many2one(
        "account.account",
        "Accrued Revenue Account",
        check_company=True,
        domain="[('account_type', 'in', ('asset_current', 'asset_non_current'))]",
        help="What has been earned but not yet invoiced at the end of a month.",
        groups=INTERNAL,
    )
    invoice_run_cutoff_journal_id = fields.Many2one(
        "account.journal",
        "Journal of Month-end Entries",
        check_company=True,
        domain="[('type', '=', 'general')]",
        help="Empty: the first miscellaneous journal.",
        groups=INTERNAL,
    )
    invoice_run_cutoff_draft = fields.Boolean(
        "Draft Month-end Entry",
        help="On the first day of each month, the cut-off entry is created as a draft and kept "
        "up to date until it is posted.",
        groups=INTERNAL,
    )

    @api.constrains(*NOT_NEGATIVE)
    def _check_invoice_run_settings(self):
        for company in self:
            errors = company._get_invoice_run_setting_errors()
            if errors:
                raise ValidationError("\n".join(errors))

    @api.constrains("invoice_run_mail_template_id")
    def _check_invoice_run_mail_template(self):
        for company in self:
            if error := company.invoice_run_mail_template_id._get_invoice_error():
                raise ValidationError(error)

    @api.model_create_multi
    def create(self, vals_list):
        companies = super().create(vals_list)
        # as superuser: users who create a company may have no right to configure its invoicing
        scenarios = self.env["billing.scenario"].with_user(SUPERUSER_ID)
        scenarios._create_default_scenarios(companies, prefix="", is_new=True)
        return companies

    def _get_invoice_run_cutoff_journal(self):
        """Return the journal of month-end entries.

        :raises UserError: the company has no miscellaneous journal
        """
        self.ensure_one()
        Journal = self.env["account.journal"]
        domain = [("type", "=", "general"), *Journal._check_company_domain(self)]
        journal = self.invoice_run_cutoff_journal_id or Journal.search(domain, limit=1)
        if not journal:
            raise UserError(self.env._("There is no miscellaneous journal. Create one."))
        return journal

    def _get_invoice_run_accounts_error(self):
        """Return that this company cannot invoice anything at all, and what to do; else nothing."""
        self.ensure_one()
        # sudo: whether there are accounts, whoever asks
        Account = self.env["account.account"].sudo()
        if Account.search_count(Account._check_company_domain(self), limit=1):
            return None
        return self.env._(
            "%(company)s has no chart of accounts yet, so nothing can be invoiced. Choose one "
            "under Invoicing ‣ Configuration ‣ Settings ‣ Fiscal Localization, then try again.",
            company=self.display_name,
        )

    def _get_invoice_run_today(self):
        """Return the company's local day, the same for whoever asks."""
        now = fields.Datetime.now().replace(tzinfo=ZoneInfo("UTC"))
        return now.astimezone(self._get_invoice_run_zone()).date()

    def _get_invoice_run_day_start(self, day, days=0):
        """Return the moment, in UTC without zone, at which ``day`` plus ``days`` begins here."""
        midnight = datetime.combine(day + timedelta(days=days), time.min)
        local = midnight.replace(tzinfo=self._get_invoice_run_zone())
        return local.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)

    def _get_invoice_run_zone(self) -> ZoneInfo:
        """Return the time zone of the company's contact, else of its first user, else UTC.

        Not of the user who asks: a scheduled action has none, and a day is the same for all.
        """
        self.ensure_one()
        # sudo: the time zone of the company's own contact, whoever asks
        company = self.sudo()
        name = company.partner_id.tz or company._get_first_user_zone() or "UTC"
        # Odoo has `pytz` know names that were dropped since they were chosen
        return ZoneInfo(pytz.timezone(name).zone)

    def _get_first_user_zone(self):
        domain = [("company_ids", "in", self.ids), ("share", "=", False)]
        domain += [("partner_id.tz", "!=", False)]
        return self.env["res.users"].search(domain, order="id", limit=1).tz

    def _take_mails(self, wanted):
        """As :meth:`_get_mails_allowed`; others of this company wait until they are counted.

        Until :meth:`_end_taking_mails`, by a lock of the connection: an error while the mails are
        queued, and mails that are queued one by one after it, end transactions. Counted from
        outside of this transaction, which may have begun before another worker noted its mails.
        """
        if self.invoice_run_mails_per_hour <= 0 or not self.env["invoice.run"]._can_commit():
            return self._get_mails_allowed(wanted)
        self.env.cr.execute(SQL("SELECT pg_advisory_lock(%s)", MAILS + self.id))
        with self.env.registry.cursor() as cr:
            return self.with_env(self.env(cr=cr))._get_mails_allowed(wanted)

    @api.model
    def _end_taking_mails(self):
        """Let other workers count: what :meth:`_take_mails` allowed is committed or not needed."""
        if self.env["invoice.run"]._can_commit():
            give_up(self.env.cr, MAILS)

    def _get_mails_allowed(self, wanted):
        """Return how many of ``wanted`` mails may leave now, and when the next one may.

        At most ``invoice_run_mails_per_hour`` within any 60 minutes, over all runs.

        :return: (number, moment or None)
        """
        self.ensure_one()
        limit = self.invoice_run_mails_per_hour
        if limit <= 0:
            return wanted, None
        hour = timedelta(hours=1)
        # sudo: counts the company's mails, whatever documents the caller may see
        recent = (
            self.env["invoice.run.document"]
            .sudo()
            .search(
                [("company_id", "=", self.id), ("send_date", ">", fields.Datetime.now() - hour)],
                order="send_date desc",
                limit=limit,
            )
        )
        free_at = recent[-1].send_date + hour if recent else None
        return min(wanted, limit - len(recent)), free_at

    # ------------------------------------------------------------------
    # Settings in words
    # ------------------------------------------------------------------

    def _get_invoice_run_setting_errors(self):
        """Return all that is wrong with the settings of invoice runs, each with its field."""
        errors = [
            self.env._("“%(field)s” cannot be negative.", field=self._get_label(name))
            for name in NOT_NEGATIVE
            if self[name] < 0
        ]
        if self.invoice_run_activation_days > MAX_ACTIVATION_DAYS:
            errors.append(
                self.env._(
                    "“%(field)s” can be at most %(days)s.",
                    field=self._get_label("invoice_run_activation_days"),
                    days=MAX_ACTIVATION_DAYS,
                )
            )
        if 0 < self.invoice_run_outlier_factor < 1:
            errors.append(
                self.env._(
                    "“%(field)s” must be 1 or more. 0: amounts are not compared.",
                    field=self._get_label("invoice_run_outlier_factor"),
                )
            )
        if 0 < self.invoice_run_max_amount < self.invoice_run_min_amount:
            errors.append(
                self.env._(
                    "“%(largest)s” is less than “%(smallest)s”: nothing could be invoiced.",
                    largest=self._get_label("invoice_run_max_amount"),
                    smallest=self._get_label("invoice_run_min_amount"),
                )
            )
        return errors

    def _get_label(self, name):
        return self._fields[name]._description_string(self.env)

    @api.model
    def _get_invoice_run_stop_text(self, automatic):
        """Return where a run waits for a person, in words.

        :param automatic: {step: bool}, see ``STEPS``
        """
        careful = self.env._(
            "It stops for a reviewer earlier if there are exceptions or unusual amounts."
        )
        texts = {
            "amounts": self.env._(
                "A run stops on its activation date, until somebody presses “Generate Amounts”."
            ),
            "approve": self.env._(
                "A run stops once its amounts are generated, until a reviewer approves them."
            ),
            "invoices": self.env._(
                "A run stops once it is approved, until somebody presses “Generate Invoices”."
            ),
            "send": self.env._(
                "A run stops once its invoices are created, until somebody presses “Send”."
            ),
        }
        stop = next((step for step in STEPS if not automatic[step]), False)
        text = texts.get(stop) or self.env._("A run continues until its invoices are sent.")
        return f"{text} {careful}" if stop in ("invoices", "send", False) else text
