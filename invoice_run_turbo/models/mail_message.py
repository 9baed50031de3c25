from odoo import models


class MailMessage(models.Model):
    _name = "mail.message"
    _inherit = ["mail.message", "invoice.run.bulk.mixin"]

    def _is_created_in_bulk(self):
        return bool(self.env.context.get("invoice_run_bulk"))
