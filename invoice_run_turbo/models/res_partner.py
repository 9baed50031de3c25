from collections import defaultdict

from odoo import api, models


class ResPartner(models.Model):
    _inherit = "res.partner"

    def _increase_rank(self, field, n=1):
        # EXTENDS 'account': invoices confirmed together write the ranks together
        ranks = self.env.cr.precommit.data.get("invoice_run.ranks")
        if ranks is None:
            return super()._increase_rank(field, n)
        for partner in self:
            ranks[field, partner.id] = ranks.get((field, partner.id), 0) + n
        return None

    def signup_prepare(self, signup_type="signup"):
        # EXTENDS 'auth_signup': the customers of a batch are prepared together
        batch = self.env["account.move.send"]._get_turbo_batch()
        if batch and all(partner.signup_type == signup_type for partner in self):
            return True
        return super().signup_prepare(signup_type)

    @api.model
    def _increase_ranks(self, ranks):
        """Increase ranks, {(field, partner id): by how much}, with few calls."""
        partners = defaultdict(list)
        for (field, partner_id), increase in ranks.items():
            partners[field, increase].append(partner_id)
        for (field, increase), ids in partners.items():
            # sudo: as in _increase_rank
            records = self.sudo().browse(ids)
            new = records.filtered(lambda partner, field=field: not partner[field])
            new.write({field: increase})
            (records - new)._increase_rank(field, increase)
