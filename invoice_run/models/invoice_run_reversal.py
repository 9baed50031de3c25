from odoo import models
from odoo.exceptions import UserError


class InvoiceRun(models.Model):
    """Take back what was invoiced: credit notes, after which the periods are billable again."""

    _inherit = "invoice.run"

    def action_reverse(self):
        """Credit all confirmed invoices of these runs; their periods become billable again.

        What was given back already is left alone.

        :return: action that opens the credit notes
        :raises UserError: nothing is confirmed, or some invoices have credit notes already
        """
        self.check_access("write")
        self._check_not_busy()
        return self.document_ids._reverse()


class InvoiceRunDocument(models.Model):
    _inherit = "invoice.run.document"

    def action_reverse(self):
        """Credit the confirmed invoices of these documents, as a run credits all of its own.

        In any order; only what a later credit builds on cannot be taken back before it.

        :return: action that opens the credit notes
        :raises UserError: nothing is confirmed, or some invoices have credit notes already
        """
        self.check_access("write")
        self.run_id._check_not_busy()
        return self._reverse()

    def _reverse(self):
        self.env["account.move"].check_access("create")
        moves = self.move_id
        credits = moves._reverse_to_bill_again() or moves._get_giving_back()
        if not credits:
            raise UserError(
                self.env._(
                    "There is no confirmed invoice to reverse. Drafts are deleted or cancelled "
                    "instead, documents without invoice are excluded."
                )
            )
        return credits._get_records_action(name=self.env._("Credit Notes"))
