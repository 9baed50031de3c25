from odoo import api, models
from odoo.exceptions import ValidationError

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
#: As of schedules, which take it over.
MAX_ACTIVATION_DAYS = 366


class ResCompany(models.Model):
    """Settings that can only be typing errors."""

    _inherit = "res.company"

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
