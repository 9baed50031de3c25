from odoo import models

from ..bulk import is_bulk


class MailMessage(models.Model):
    _name = "mail.message"
    _inherit = ["mail.message", "invoice.run.bulk.mixin"]

    def _is_created_in_bulk(self):
        return is_bulk(self.env)
