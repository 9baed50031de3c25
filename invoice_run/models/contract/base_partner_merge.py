from odoo import api, models
from odoo.tools import SQL


class BasePartnerMergeAutomaticWizard(models.TransientModel):
    """Customers that are merged share the bands of a tariff from then on."""

    _inherit = "base.partner.merge.automatic.wizard"

    @api.model
    def _update_foreign_keys(self, src_partners, dst_partner):
        # EXTENDS 'base': pools name their customer in a text
        result = super()._update_foreign_keys(src_partners, dst_partner)
        self._forget_merged_customers(src_partners)
        self.env["invoice.run.line"]._follow_merged_customers(src_partners, dst_partner)
        return result

    @api.model
    def _forget_merged_customers(self, src_partners):
        """Take merged contacts out of the runs that name the one that is left, too.

        Odoo leaves such doubles to be deleted with the contact, but no customer that a run names
        can be deleted.
        """
        field = self.env["invoice.run"]._fields["partner_ids"]
        self.env.execute_query(
            SQL(
                "DELETE FROM %s WHERE %s IN %s RETURNING 1",
                SQL.identifier(field.relation),
                SQL.identifier(field.column2),
                src_partners._ids,
            )
        )
        self.env["invoice.run"].invalidate_model(["partner_ids"])
