from odoo import models


class AccountTax(models.Model):
    _inherit = "account.tax"

    def _is_per_quantity(self):
        """Whether one of these taxes depends on the quantity, not on the amount alone.

        A fixed amount per piece does; a formula may, which cannot be seen from outside.
        """
        types = set(self.flatten_taxes_hierarchy().mapped("amount_type"))
        return bool(types - {"percent", "division", "group"})
