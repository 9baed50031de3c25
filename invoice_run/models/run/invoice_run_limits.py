from dateutil.relativedelta import relativedelta

from odoo import api, models
from odoo.exceptions import ValidationError
from odoo.tools import format_date

from ..base.possible_dates import MAX_YEARS_AHEAD, check_years


class InvoiceRun(models.Model):
    """Dates of a run that can only be typing errors."""

    _inherit = "invoice.run"

    @api.model
    def _get_date_names(self):
        return [
            "date_from",
            "date_to",
            "target_date",
            "skip_before",
            "activation_date",
            "invoice_date",
            "due_date",
        ]

    @api.model
    def _check_ad_hoc_dates(self, vals):
        """Refuse dates of a run made by hand that can only be typing errors.

        :raises ValidationError: names the field
        """
        run = self.new({name: vals[name] for name in self._get_date_names() if vals.get(name)})
        run._check_years()
        if run.date_from and run.date_to and run.date_to < run.date_from:
            raise ValidationError(self.env._("The period ends before it starts. Correct one."))

    @api.constrains(lambda self: self._get_date_names())
    def _check_years(self):
        check_years(self, self._get_date_names())

    @api.constrains("target_date", "schedule_id")
    def _check_target_date(self):
        for run in self.filtered(lambda run: run.schedule_id.cycle == "once"):
            today = run.company_id._get_invoice_run_today()
            last = today + relativedelta(years=MAX_YEARS_AHEAD)
            if run.target_date > last:
                raise ValidationError(
                    self.env._(
                        "“%(field)s”: a run bills at most to %(last)s. Correct the date.",
                        field=self._fields["target_date"]._description_string(self.env),
                        last=format_date(self.env, last),
                    )
                )
