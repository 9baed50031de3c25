from odoo import models

from ..environments import environments_kept
from ..garbage import collected_later


class InvoiceRun(models.Model):
    _inherit = "invoice.run"

    def _generate_amounts(self, payers, look_again=False):
        # EXTENDS 'invoice_run': documents and amounts are inserted and totalled by the hundred
        with environments_kept(self), collected_later():
            return super()._generate_amounts(payers, look_again=look_again)
