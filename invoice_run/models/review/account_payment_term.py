from odoo import models


class AccountPaymentTerm(models.Model):
    _inherit = "account.payment.term"

    def _get_last_due_date(self, date):
        """Return when the last part of an invoice of ``date`` is due; without a term: at once."""
        return max([date, *(line._get_due_date(date) for line in self.line_ids)])
