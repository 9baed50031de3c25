from odoo import api, models

REVIEWER_GROUP = "invoice_run.invoice_run_group_reviewer"


class ResUsers(models.Model):
    _inherit = "res.users"

    def _is_invoice_run_reviewer(self):
        """Whether this user approves invoice runs."""
        return self.has_group(REVIEWER_GROUP)

    @api.model
    def _get_invoice_run_reviewer_domain(self):
        """Return the users who may be asked to approve invoice runs."""
        group = self.env.ref(REVIEWER_GROUP, raise_if_not_found=False)
        return [("all_group_ids", "in", group.ids)] if group else []
