from odoo import models


class ResUsers(models.Model):
    _inherit = "res.users"

    def _is_invoice_run_reviewer(self):
        """Whether this user approves invoice runs."""
        return self.has_group("invoice_run.invoice_run_group_reviewer")
