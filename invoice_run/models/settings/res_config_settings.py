from odoo import api, fields, models

from .res_company import STEPS


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    invoice_run_activation_days = fields.Integer(
        related="company_id.invoice_run_activation_days", readonly=False
    )
    invoice_run_auto_amounts = fields.Boolean(
        related="company_id.invoice_run_auto_amounts", readonly=False
    )
    invoice_run_auto_approve = fields.Boolean(
        related="company_id.invoice_run_auto_approve", readonly=False
    )
    invoice_run_auto_invoices = fields.Boolean(
        related="company_id.invoice_run_auto_invoices", readonly=False
    )
    invoice_run_auto_send = fields.Boolean(
        related="company_id.invoice_run_auto_send", readonly=False
    )
    invoice_run_four_eyes = fields.Boolean(
        related="company_id.invoice_run_four_eyes", readonly=False
    )
    invoice_run_tz = fields.Selection(
        string="Time Zone",
        related="company_id.partner_id.tz",
        readonly=False,
        help="When a day begins: runs are activated, dated and sent by it. Empty: the time zone of "
        "the company's first user.",
    )
    invoice_run_reviewer_id = fields.Many2one(
        related="company_id.invoice_run_reviewer_id", readonly=False
    )
    invoice_run_correction = fields.Selection(
        related="company_id.invoice_run_correction", readonly=False
    )
    invoice_run_max_lines = fields.Integer(
        related="company_id.invoice_run_max_lines", readonly=False
    )
    invoice_run_mails_per_hour = fields.Integer(
        related="company_id.invoice_run_mails_per_hour", readonly=False
    )
    invoice_run_mail_template_id = fields.Many2one(
        related="company_id.invoice_run_mail_template_id", readonly=False
    )
    billing_unset_sending = fields.Selection(
        related="company_id.billing_unset_sending", readonly=False, required=True
    )
    invoice_run_outlier_factor = fields.Float(
        related="company_id.invoice_run_outlier_factor", readonly=False
    )
    invoice_run_min_amount = fields.Monetary(
        related="company_id.invoice_run_min_amount",
        readonly=False,
        currency_field="currency_id",
    )
    invoice_run_max_amount = fields.Monetary(
        related="company_id.invoice_run_max_amount",
        readonly=False,
        currency_field="currency_id",
    )
    invoice_run_credit_limit = fields.Monetary(
        related="company_id.invoice_run_credit_limit",
        readonly=False,
        currency_field="currency_id",
    )
    invoice_run_release_days = fields.Integer(
        related="company_id.invoice_run_release_days", readonly=False
    )
    invoice_run_deferred_account_id = fields.Many2one(
        related="company_id.invoice_run_deferred_account_id", readonly=False
    )
    invoice_run_accrued_account_id = fields.Many2one(
        related="company_id.invoice_run_accrued_account_id", readonly=False
    )
    invoice_run_cutoff_journal_id = fields.Many2one(
        related="company_id.invoice_run_cutoff_journal_id", readonly=False
    )
    invoice_run_cutoff_draft = fields.Boolean(
        related="company_id.invoice_run_cutoff_draft", readonly=False
    )
    invoice_run_stop = fields.Char("Where a Run Stops", compute="_compute_invoice_run_stop")

    @api.depends(*(f"invoice_run_auto_{step}" for step in STEPS))
    def _compute_invoice_run_stop(self):
        for settings in self:
            automatic = {step: settings[f"invoice_run_auto_{step}"] for step in STEPS}
            settings.invoice_run_stop = self.env.company._get_invoice_run_stop_text(automatic)
