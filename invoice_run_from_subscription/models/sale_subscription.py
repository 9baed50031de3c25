from odoo import models
from odoo.exceptions import UserError


class SaleSubscription(models.Model):
    _inherit = "sale.subscription"

    def create_invoice(self):
        # EXTENDS 'subscription_oca': archived ones have no cron, but buttons
        self._check_not_taken_over()
        return super().create_invoice()

    def create_sale_order(self):
        # EXTENDS 'subscription_oca'
        self._check_not_taken_over()
        return super().create_sale_order()

    def _check_not_taken_over(self):
        """Refuse an invoice of what invoice runs invoice now.

        :raises UserError: names the contract that continues it
        """
        # sudo: users of subscriptions need not be users of invoice runs
        takeovers = self.env["billing.takeover"].sudo()
        for subscription in self:
            taken = takeovers._find(subscription)
            if taken:
                raise UserError(
                    self.env._(
                        "%(name)s is invoiced as %(contracts)s now. Undo its take-over first.",
                        name=subscription.display_name,
                        contracts=", ".join(taken.contract_ids.mapped("name")),
                    )
                )

    def action_take_over(self):
        """Open the wizard for these subscriptions."""
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run_takeover.billing_takeover_wizard_action"
        )
        return self.env["billing.takeover.wizard"]._open_for(self, action)
