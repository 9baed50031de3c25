from odoo import models

from .. import core
from ..environments import environments_kept
from ..waiting import inserted_together


class InvoiceRun(models.Model):
    _inherit = "invoice.run"

    def _generate_amounts(self, payers, look_again=False):
        # EXTENDS 'invoice_run': documents and amounts are inserted and totalled by the hundred
        with environments_kept(self):
            return super()._generate_amounts(payers, look_again=look_again)

    def _create_amounts(self, payers):
        # EXTENDS 'invoice_run': inserted with what is known of them at the end
        is_alone = self.env.context.get("invoice_run_isolate")
        if is_alone or not core.is_as_read(self.env, core.CREATE):
            return super()._create_amounts(payers)
        with inserted_together(self.env):
            return super()._create_amounts(payers)
