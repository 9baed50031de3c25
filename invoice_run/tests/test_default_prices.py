from odoo import Command
from odoo.tests import Form, tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestDefaultPrices(InvoiceRunCommon):
    """The default price is Odoo's: currency, unit, pricelist, included taxes."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dozen = cls.env.ref("uom.product_uom_dozen")
        cls.euro = cls.env.ref("base.EUR")
        cls.euro.active = True
        cls.env["res.currency.rate"].create(
            {
                "name": "2020-01-01",
                "currency_id": cls.euro.id,
                "company_id": cls.company.id,
                "rate": 0.5,
            }
        )

    def _make_line(self, contract_vals=None, **vals):
        contract = self.env["billing.contract"].with_user(self.user)
        contract = contract.create(
            {
                "partner_id": self.debtor.id,
                "company_id": self.company.id,
                "date_start": "2024-01-01",
                "line_ids": [Command.create({"product_id": self.product.id, **vals})],
                **(contract_vals or {}),
            }
        )
        return contract.line_ids

    def _make_item(self, **vals):
        usage = self.env["billing.usage"].with_user(self.user)
        return usage.create(
            {
                "partner_id": self.debtor.id,
                "company_id": self.company.id,
                "product_id": self.product.id,
                "date": "2024-01-05",
                **vals,
            }
        )

    def test_the_price_is_in_the_currency_of_the_record(self):
        euro = {"currency_id": self.euro.id}
        self.assertEqual(self._make_item(**euro).price_unit, 50.0)
        self.assertEqual(self._make_line(euro).price_unit, 50.0)
        self.assertEqual(self._make_item().price_unit, 100.0)

    def test_a_dozen_costs_twelve(self):
        self.assertEqual(self._make_item(product_uom_id=self.dozen.id).price_unit, 1200.0)
        line = self._make_line(product_uom_id=self.dozen.id)
        self.assertEqual(line.price_unit, 1200.0)
        line.product_uom_id = self.product.uom_id
        self.assertEqual(line.price_unit, 100.0)
        line.write({"product_uom_id": self.dozen.id, "price_unit": 900.0})
        self.assertEqual(line.price_unit, 900.0)

    def _make_included(self):
        """A product at 121 with 21 % in it; the fiscal position maps to 6 % included."""
        taxes = self.env["account.tax"].create(
            [
                {
                    "name": f"{amount} % included",
                    "amount": amount,
                    "price_include_override": "tax_included",
                    "company_id": self.company.id,
                }
                for amount in (21, 6)
            ]
        )
        position = self.env["account.fiscal.position"].create({"name": "Reduced"})
        taxes[1].write({"fiscal_position_ids": position.ids, "original_tax_ids": taxes[0].ids})
        product = self._make_product("Bin", 121.0, taxes_id=[Command.set(taxes[0].ids)])
        return product, taxes, position

    def test_the_included_tax_follows_the_fiscal_position(self):
        product, taxes, position = self._make_included()
        vals = {"fiscal_position_id": position.id}
        self.assertAlmostEqual(self._make_line(vals, product_id=product.id).price_unit, 106.0)
        self.assertAlmostEqual(self._make_line(product_id=product.id).price_unit, 121.0)
        item = self._make_item(product_id=product.id, tax_ids=[Command.set(taxes[1].ids)])
        self.assertAlmostEqual(item.price_unit, 106.0)
        self.debtor.with_company(self.company).property_account_position_id = position
        self.assertAlmostEqual(self._make_item(product_id=product.id).price_unit, 106.0)

    def test_the_same_price_as_on_an_order(self):
        self.env["res.config.settings"].create({"group_product_pricelist": True}).execute()
        pricelist = self.env["product.pricelist"].create(
            {
                "name": "Friends, in euro",
                "currency_id": self.euro.id,
                "company_id": self.company.id,
                "item_ids": [
                    Command.create({"compute_price": "percentage", "percent_price": 20.0})
                ],
            }
        )
        self.debtor.with_company(self.company).specific_property_product_pricelist = pricelist
        order = self.env["sale.order"].sudo()  # users who prepare runs sell nothing
        order = order.create(
            {
                "partner_id": self.debtor.id,
                "company_id": self.company.id,
                "order_line": [
                    Command.create({"product_id": self.product.id, "product_uom_id": self.dozen.id})
                ],
            }
        )
        expected = order.order_line.price_unit * (1 - order.order_line.discount / 100)
        self.assertAlmostEqual(expected, 480.0)
        vals = {"currency_id": self.euro.id}
        line = self._make_line(vals, product_uom_id=self.dozen.id)
        self.assertAlmostEqual(line.price_unit, expected)
        item = self._make_item(**vals, product_uom_id=self.dozen.id)
        self.assertAlmostEqual(item.price_unit, expected)
        self.assertAlmostEqual(self._make_item().price_unit, 80.0, msg="in its own currency")

    def test_another_company_has_its_own_currency_of_prices(self):
        other = self.setup_other_company()["company"]
        other.currency_id = self.euro
        self.product.company_id = False
        self.user.company_ids += other
        item = self._make_item(company_id=other.id)
        company = self.product.with_company(other)
        self.assertEqual(
            item.price_unit,
            company.currency_id._convert(
                company.lst_price, self.euro, other, item.date, round=False
            ),
        )

    def test_another_currency_on_the_form_means_another_number(self):
        contract = self._make_line({"currency_id": self.euro.id}).contract_id
        form = Form(self.env["billing.usage"].with_user(self.user))
        form.partner_id = self.debtor
        form.product_id = self.product
        self.assertEqual(form.price_unit, 100.0)
        form.contract_id = contract
        self.assertEqual(form.price_unit, 50.0)
        form.price_unit = 47.0
        form.quantity = 2
        self.assertEqual(form.save().price_unit, 47.0)

    def test_another_product_by_change_takes_its_price_in_the_currency(self):
        line = self._make_line({"currency_id": self.euro.id})
        line.contract_id.action_activate()
        wizard = self.env["billing.contract.change"].with_user(self.user)
        wizard.with_context(active_model=line._name, active_ids=line.ids).create(
            {
                "date": "2024-03-01",
                "change": "product",
                "product_id": self._make_product("Other", 30.0).id,
            }
        ).action_apply()
        self.assertEqual(line.contract_id.line_ids.mapped("price_unit"), [50.0, 15.0])
