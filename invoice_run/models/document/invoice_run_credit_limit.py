from odoo import fields, models

from ..base.groups import INTERNAL


class ResCompany(models.Model):
    _inherit = "res.company"

    invoice_run_credit_limit = fields.Monetary(
        "Largest Credit Without Check",
        help="Runs with a larger credit, untaxed, are not approved automatically. 0: a credit of "
        "more than one billing period, or one above the largest invoice without check.",
        groups=INTERNAL,
    )


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    invoice_run_credit_limit = fields.Monetary(
        related="company_id.invoice_run_credit_limit",
        readonly=False,
        currency_field="currency_id",
    )


class InvoiceRunDocument(models.Model):
    """Credits at which a person must look: a mistyped end date credits years."""

    _inherit = "invoice.run.document"

    is_large_credit = fields.Boolean(
        "Large Credit",
        readonly=True,
        help="It credits more than the company lets runs credit without a check.",
    )

    def _update_large_credit(self):
        for document in self:
            is_large = document._gives_much_back()
            if document.is_large_credit != is_large:
                document.is_large_credit = is_large

    def _gives_much_back(self):
        """Whether the credits of this document are above the company's limit.

        Whatever else is on it: what is billed in their place must not hide them.
        """
        self.ensure_one()
        credits = self.line_ids.filtered(lambda line: line._is_money_back())
        if not credits:
            return False
        total = self.company_currency_id.round(
            abs(sum(credits.mapped("amount_untaxed"))) / (self.currency_rate or 1.0)
        )
        company = self.company_id
        if company.invoice_run_credit_limit > 0:
            return total > company.invoice_run_credit_limit
        is_long = any(
            lines._get_billed_time() > 1
            for lines in credits.filtered("contract_line_id").grouped("contract_line_id").values()
        )
        return is_long or 0 < company.invoice_run_max_amount < total


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    def _is_money_back(self):
        """Whether this amount credits what was billed, or is a usage item below zero."""
        self.ensure_one()
        is_item = bool(self.usage_id) and self.amount < 0
        return is_item or bool(self.corrects_id)
