from odoo import fields, models


class BillingContract(models.Model):
    _inherit = "billing.contract"

    takeover_id = fields.Many2one(
        "billing.takeover",
        "Taken over By",
        readonly=True,
        copy=False,
        index="btree_not_null",
        engine=True,
        help="The contract of another module that this one continues.",
    )

    def action_view_takeover(self):
        """Open what this contract was taken over from."""
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run_takeover.billing_takeover_action"
        )
        return {**action, "res_id": self.takeover_id.id, "views": [(False, "form")]}
