from odoo import models


class ResCompany(models.Model):
    _inherit = "res.company"

    def _get_lock_date_violations(self, *args, **kwargs):
        # EXTENDS 'account': asked for each item and invoice that is confirmed, the same each time
        violations = self.env.cr.precommit.data.get("invoice_run.locks")
        if violations is None:
            return super()._get_lock_date_violations(*args, **kwargs)
        key = (self, self.env, args, *sorted(kwargs.items()))
        if key not in violations:
            violations[key] = super()._get_lock_date_violations(*args, **kwargs)
        return list(violations[key])
