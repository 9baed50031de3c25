from odoo import models

from ..review.invoice_run_explain_results import is_readable


class SaleOrder(models.Model):
    """What is told about an order that a run does not invoice."""

    _inherit = "sale.order"

    def _get_claim_codes(self):
        # EXTENDS 'invoice.run.source'
        return {"claimed", "to_invoice"}

    def _get_explained_cluster(self):
        # EXTENDS 'invoice.run.source'
        return self.billing_cluster_id

    def _get_condition_messages(self, run):
        # EXTENDS 'invoice.run.source'
        return {
            **super()._get_condition_messages(run),
            "state": self.env._("The order is not confirmed. Confirm it in Sales."),
            "to_invoice": self._get_to_invoice_message(),
            "dates": self._get_later_message(run, self._get_run_date()),
            "claimed": self.env._(
                "The order is in another run, without an invoice yet. Release it there, or let "
                "that run create the invoice."
            ),
        }

    def _get_to_invoice_message(self):
        """Return why Sales sees nothing to invoice, and what to do."""
        if self.invoice_status != "invoiced":
            return self.env._(
                "Sales has nothing to invoice yet: quantities that are invoiced on delivery are "
                "not delivered. Enter the delivery, or invoice the order in Sales."
            )
        names = [move.display_name for move in self.invoice_ids if is_readable(move)]
        return self.env._(
            "Sales has invoiced the order completely: %(invoices)s. Nothing is to be done; to "
            "invoice it again, credit that invoice.",
            invoices=", ".join(names) or self.env._("invoices that you may not see"),
        )
