from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import format_date

from ...engine import planned
from ...memory import remember


class BillingContractLine(models.Model):
    """Prices that are looked up when they are invoiced."""

    _inherit = "billing.contract.line"

    is_price_looked_up = fields.Boolean(
        "Look Up the Price",
        help="The price of the contract's pricelist, or else the customer's, that is valid on the "
        "first day of each billing period for this quantity. The price shown here is used for what "
        "is charged per month only.",
    )

    @api.constrains("is_price_looked_up", "price_ids", "price_interval")
    def _check_looked_up(self):
        for line in self.filtered("is_price_looked_up"):
            if line.price_ids or line.price_interval == "once":
                raise ValidationError(
                    self.env._(
                        "“%(line)s”: a price that is looked up has no planned prices, and is "
                        "charged repeatedly.",
                        line=line.name,
                    )
                )

    def _look_up_price(self, day):
        """Return the :class:`planned.Price` of the billing period that contains ``day``."""
        grid = self.contract_id._get_billing_terms().grid
        first = max(grid.start(grid.index(day)), self._get_own_days()[0])
        price = remember(
            self.env,
            ("price", self, first),
            lambda: self._get_price_of(first, self._get_pricelist()),
        )
        return planned.Price(None, price, self.quantity, self.discount)

    def _get_pricelist(self):
        """Return the pricelist of the contract; None: the customer's own."""
        return self.contract_id.pricelist_id or None

    def _get_followed_list(self):
        """Return the pricelist in which the price of this line is looked up; may be empty."""
        terms = self._get_price_terms()
        partner = terms["partner"].with_company(terms["company"] or self.env.company)
        return self.contract_id.pricelist_id or partner.property_product_pricelist

    def _get_price_of(self, day, pricelist):
        """Return the price that this line would have by ``pricelist`` on ``day``.

        :param pricelist: None: the customer's; empty: the product's own sales price
        """
        return self._get_default_price(
            self.product_id, self.product_uom_id, day=day, pricelist=pricelist
        )


class BillingContract(models.Model):
    _inherit = "billing.contract"

    def _split_unpriced(self, due):
        """Return what can be invoiced, and exceptions for looked-up prices that are not found.

        :param due: (price line, span) in order
        :return: ([(price line, span)], [values of exceptions])
        """
        if not any(line.is_price_looked_up for line, _span in due):
            return due, []
        billable, waiting = [], {}
        for line, span in due:
            if line.is_price_looked_up and not line._look_up_price(span.date_from).price_unit:
                waiting.setdefault(line, span.date_from)
            else:
                billable.append((line, span))
        return billable, [self._prepare_unpriced_vals(line, day) for line, day in waiting.items()]

    def _prepare_unpriced_vals(self, line, day):
        message = self.env._(
            "“%(line)s” has no price on %(date)s. Enter it in the pricelist or on the product.",
            line=line.name,
            date=format_date(self.env, day),
        )
        return self._prepare_exception_vals("price", message)
