from odoo import models


class AccountMoveLine(models.Model):
    _inherit = "account.move.line"

    def _get_billing_period(self):
        """Return the (first, last) day invoiced by this line, both included, or nothing."""
        if len(self) != 1 or not (self.billing_date_from and self.billing_date_to):
            return None
        return self.billing_date_from, self.billing_date_to
