from odoo import fields, models

from ...memory import remember


class BillingDefaultPrice(models.AbstractModel):
    """The default price: the one that Odoo would put on an order of this customer.

    In the currency of the record, for its unit, by the customer's pricelist where pricelists
    are used, and for the taxes that the invoice will have, where the price includes some.
    """

    _name = "billing.default.price"
    _description = "Record with a Price by Default"

    def _get_price_terms(self):
        """Return what the price depends on besides the product.

        :return: dict with ``partner``, ``company``, ``currency``, ``date`` and
            ``fiscal_position``; the latter a function, because finding it takes queries
        """
        raise NotImplementedError

    def _get_default_price(self, product, uom, day=None, pricelist=None):
        """Return the price of one ``uom`` of ``product``, 0 without a product.

        As ``sale.order.line._get_pricelist_price`` and ``_reset_price_unit``.

        :param day: on which it is valid; None: that of :meth:`_get_price_terms`
        :param pricelist: None: the customer's; empty: the product's own sales price
        """
        self.ensure_one()
        if not product:
            return 0.0
        terms = self._get_price_terms()
        company = terms["company"] or self.env.company
        product = product.with_company(company)
        if pricelist is None:
            pricelist = terms["partner"].with_company(company).property_product_pricelist
        # currencies are converted by the rates of this company, whoever's turn it is
        pricelist = pricelist.with_company(company)
        wanted = {
            "quantity": self.quantity or 1.0,
            "uom": uom or product.uom_id,
            "currency": terms["currency"] or company.currency_id,
            "date": day or terms["date"] or fields.Date.context_today(self),
        }
        price = remember(
            self.env,
            ("listed", company.id, pricelist.id, product.id, *wanted.values()),
            lambda: pricelist._get_product_price(product, **wanted),
        )
        return self._get_price_for_taxes(price, product, company, terms["fiscal_position"])

    def _get_price_for_taxes(self, price, product, company, get_fiscal_position):
        """Return ``price`` with the taxes that the invoice line includes, not the product's."""
        taxes = product.taxes_id._filter_taxes_by_company(company)
        if not any(taxes.flatten_taxes_hierarchy().mapped("price_include")):
            return price
        return product._get_tax_included_unit_price_from_price(
            price,
            taxes,
            fiscal_position=get_fiscal_position(),
            product_taxes_after_fp=self.tax_ids or None,
        )
