from odoo import api, models


class ContractContract(models.Model):
    _inherit = "contract.contract"

    @api.model
    def _prepare_recurring_invoices_values(self, date_ref=False):
        # EXTENDS 'contract': archived contracts have no cron, but buttons and other addons
        taken = self._get_taken_over()
        return super(ContractContract, self - taken)._prepare_recurring_invoices_values(date_ref)

    def _get_taken_over(self):
        """Return those of these contracts that invoice runs invoice now."""
        # sudo: users of OCA's contracts need not be users of invoice runs
        takeovers = self.env["billing.takeover"].sudo()
        taken = takeovers.search(
            [
                ("res_model", "=", self._name),
                ("res_id", "in", self.ids),
                ("is_undone", "=", False),
            ]
        )
        return self & self.browse(taken.mapped("res_id"))

    def action_take_over(self):
        """Open the wizard for these contracts."""
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run_takeover.billing_takeover_wizard_action"
        )
        return self.env["billing.takeover.wizard"]._open_for(self, action)
