from odoo.fields import Command
from odoo.tests import freeze_time, tagged

from .sale_common import SaleRunCommon


@freeze_time("2024-01-31 09:00:00")
@tagged("post_install", "-at_install")
class TestSaleInvoices(SaleRunCommon):
    """The invoices are those that Sales would make, field by field."""

    def _check_twin(self, order, twin=None, **vals):
        """Invoice ``order`` by a run and its twin by hand; return the run."""
        twin = twin or self._make_twin(order)
        twin_move = self._invoice_by_hand(twin)
        run = self._run_sale(**vals)
        self.assertEqual(run.document_ids.mapped("state"), ["invoiced"], run.document_ids.error)
        self.assertTwins(run.document_ids.move_id, twin_move, {order.name: twin.name})
        self.assertEqual(order.invoice_status, twin.invoice_status)
        self.assertEqual(self._get_order_lines(order), self._get_order_lines(twin))
        return run

    def _get_order_lines(self, order):
        """Return what an invoice changes on the lines of its order."""
        names = ("price_unit", "qty_invoiced", "qty_to_invoice", "invoice_status")
        names += ("untaxed_amount_invoiced", "untaxed_amount_to_invoice")
        # down payments are named after their invoices
        return [
            [line.is_downpayment or line.name, line.tax_ids, *(line[name] for name in names)]
            for line in order.order_line
        ]

    def test_ordered_quantity(self):
        order = self._make_order([{"tax_ids": self.tax.ids, "discount": 10.0}])
        run = self._check_twin(order)
        move = run.document_ids.move_id
        self.assertEqual(move.state, "posted")
        self.assertEqual(
            (order.invoice_status, order.invoice_ids, order.invoice_count), ("invoiced", move, 1)
        )
        self.assertFalse(self._run_sale().document_ids, "twice run, one invoice")

    def test_delivered_quantity(self):
        order = self._make_order([{"product_id": self.delivered.id, "product_uom_qty": 8.0}, {}])
        order.order_line[0].qty_delivered = 3.0
        run = self._check_twin(order)
        self.assertEqual(run.document_ids.amount_untaxed, 3 * 50 + 20)
        self.assertEqual(order.invoice_status, "no")

    def test_rest_after_a_partial_delivery(self):
        order = self._make_order([{"product_id": self.delivered.id, "product_uom_qty": 8.0}])
        self.assertFalse(self._run_sale().document_ids, "nothing is delivered")
        order.order_line.qty_delivered = 3.0
        self.assertEqual(self._run_sale().document_ids.amount_untaxed, 150.0)
        self.assertFalse(self._run_sale().document_ids)
        order.order_line.qty_delivered = 8.0
        self.assertEqual(self._run_sale().document_ids.amount_untaxed, 250.0)
        self.assertEqual((order.invoice_status, order.invoice_count), ("invoiced", 2))

    def test_header_of_the_order(self):
        address = self._make_partner("Accounts", parent_id=self.debtor.id, type="invoice")
        site = self._make_partner("Site", parent_id=self.debtor.id, type="delivery")
        journal = self.company_data["default_journal_sale"].copy({"code": "SAL2"})
        team = self.env["crm.team"].create({"name": "North", "company_id": self.company.id})
        campaign = self.env["utm.campaign"].create({"name": "Spring"})
        order = self._make_order(
            [{"tax_ids": self.tax.ids}],
            partner_invoice_id=address.id,
            partner_shipping_id=site.id,
            journal_id=journal.id,
            payment_term_id=self.env.ref("account.account_payment_term_30days").id,
            client_order_ref="PO 7",
            reference="PAY-7",
            note="<p>Our terms</p>",
            user_id=self.manager.id,
            team_id=team.id,
            campaign_id=campaign.id,
        )
        twin = self._make_twin(order)
        twin.write({"reference": "PAY-7", "journal_id": journal.id})
        move = self._check_twin(order, twin).document_ids.move_id
        self.assertEqual(move.partner_id, address)
        self.assertEqual(move.partner_shipping_id, site)
        self.assertEqual(move.journal_id, journal)
        self.assertEqual(move.ref, "PO 7")
        self.assertEqual(move.payment_reference, "PAY-7")
        self.assertEqual(move.invoice_user_id, self.manager)
        self.assertEqual(move.invoice_origin, order.name)
        self.assertEqual(move.invoice_date_due, self._day("2024-03-01"))

    def test_sections_notes_and_lines_that_are_not_due(self):
        later = {"product_id": self.delivered.id}
        order = self._make_order(
            [
                {"display_type": "line_note", "name": "Before all"},
                {"display_type": "line_section", "name": "A"},
                {"display_type": "line_subsection", "name": "A 1", "collapse_prices": True},
                {},
                {"display_type": "line_subsection", "name": "A 2"},
                later,
                {"display_type": "line_section", "name": "B"},
                {"display_type": "line_note", "name": "In B"},
                later,
                {"display_type": "line_section", "name": "C", "collapse_composition": True},
                {"price_unit": 5.0},
            ]
        )
        move = self._check_twin(order).document_ids.move_id
        lines = move.invoice_line_ids.sorted("sequence")
        self.assertIn("C", lines.mapped("name"))
        self.assertNotIn("B", lines.mapped("name"))
        self.assertEqual(
            len(move.invoice_line_ids.invoice_run_line_id), 2, "sections are no amounts"
        )

    def test_combo(self):
        parts = self.goods | self._make_product("Drink", 4.0, invoice_policy="order")
        choices = self.env["product.combo"].create(
            [
                {"name": part.name, "combo_item_ids": [Command.create({"product_id": part.id})]}
                for part in parts
            ]
        )
        menu = self._make_product(
            "Menu", 12.0, type="combo", combo_ids=[Command.set(choices.ids)], invoice_policy="order"
        )
        order, twin = (self._make_combo_order(menu, choices) for _number in range(2))
        move = self._check_twin(order, twin).document_ids.move_id
        self.assertEqual(
            move.invoice_line_ids.sorted("sequence").mapped("display_type"),
            ["line_section", "product", "product"],
        )
        self.assertEqual(move.amount_untaxed, 36.0)

    def _make_combo_order(self, menu, choices):
        order = self._make_order([{"product_id": menu.id, "product_uom_qty": 3.0}], confirm=False)
        order.order_line = [
            Command.create(
                {
                    "product_id": choice.combo_item_ids.product_id.id,
                    "product_uom_qty": 3.0,
                    "combo_item_id": choice.combo_item_ids.id,
                    "linked_line_id": order.order_line[0].id,
                    "tax_ids": [],
                }
            )
            for choice in choices
        ]
        order.action_confirm()
        return order

    def test_final_invoice_after_a_percentage_down_payment(self):
        order = self._make_order([{"tax_ids": self.tax.ids}, {"price_unit": 33.33}])
        twin = self._make_twin(order)
        for each in order | twin:
            self._make_down_payment(each, amount=30.0)
        move = self._check_twin(order, twin).document_ids.move_id
        deducted = move.invoice_line_ids.filtered("is_downpayment")
        self.assertTrue(deducted)
        self.assertEqual(set(deducted.mapped("quantity")), {-1.0})
        self.assertEqual(order.invoice_status, "invoiced")
        self.assertAlmostEqual(
            sum(order.invoice_ids.mapped("amount_total")), order.amount_total, places=2
        )

    def test_final_invoice_after_a_fixed_down_payment_with_taxes(self):
        other = self.tax.copy({"amount": 7.0, "name": "7 %"})
        for method in ("round_per_line", "round_globally"):
            with self.subTest(method=method):
                self.company.tax_calculation_rounding_method = method
                order = self._make_order(
                    [
                        {"tax_ids": self.tax.ids, "price_unit": 33.337},
                        {"tax_ids": other.ids, "price_unit": 19.99, "product_uom_qty": 7.0},
                        {"tax_ids": (self.tax | other).ids, "price_unit": 0.49},
                    ]
                )
                twin = self._make_twin(order)
                for each in order | twin:
                    self._make_down_payment(each, "fixed", 77.77)
                self._check_twin(order, twin)

    def test_down_payment_over_everything_settles_the_order(self):
        order = self._make_order([{"tax_ids": self.tax.ids}])
        twin = self._make_twin(order)
        for each in order | twin:
            self._make_down_payment(each, amount=100.0)
        move = self._check_twin(order, twin).document_ids.move_id
        self.assertEqual((move.amount_total, move.state), (0.0, "posted"))
        self.assertFalse(self._run_sale().document_ids)

    def test_over_invoiced_quantity_becomes_a_credit_note(self):
        order = self._make_order([{"tax_ids": self.tax.ids, "product_uom_qty": 5.0}])
        twin = self._make_twin(order)
        for each in order | twin:
            self._invoice_by_hand(each)
            each.order_line.product_uom_qty = 2.0
        run = self._check_twin(order, twin)
        document = run.document_ids
        self.assertEqual(document.move_id.move_type, "out_refund")
        self.assertEqual(document.amount_untaxed, -30.0)
        self.assertEqual(document.amount_total, -document.move_id.amount_total)
        self.assertEqual(order.order_line.qty_invoiced, 2.0)
        self.assertFalse(self._run_sale().document_ids)

    def test_credit_of_more_than_is_due_with_a_down_payment(self):
        order = self._make_order([{"tax_ids": self.tax.ids, "product_uom_qty": 5.0}])
        twin = self._make_twin(order)
        for each in order | twin:
            self._make_down_payment(each, amount=60.0)
            each.order_line.filtered("product_id").product_uom_qty = 1.0
        run = self._check_twin(order, twin)
        self.assertEqual(run.document_ids.move_id.move_type, "out_refund")

    def test_taxes_included_in_the_price(self):
        included = self.tax.copy(
            {"amount": 19.0, "name": "19 % incl.", "price_include_override": "tax_included"}
        )
        order = self._make_order(
            [{"tax_ids": included.ids, "price_unit": 9.99, "product_uom_qty": 3.0}] * 3
        )
        self._check_twin(order)

    def test_fiscal_position_and_currency(self):
        currency = self.env.ref("base.CHF")
        currency.active = True
        currency.rate_ids = [
            Command.create({"name": "2020-01-01", "rate": 0.9, "company_id": self.company.id})
        ]
        pricelist = self.env["product.pricelist"].create(
            {"name": "CHF", "currency_id": currency.id, "company_id": self.company.id}
        )
        abroad = self.env["account.fiscal.position"].create(
            {"name": "Abroad", "company_id": self.company.id}
        )
        account = self.company_data["default_account_revenue"]
        abroad.account_ids = [
            Command.create({"account_src_id": account.id, "account_dest_id": account.copy().id})
        ]
        order = self._make_order(
            [{"tax_ids": self.tax.ids, "price_unit": 12.345}],
            pricelist_id=pricelist.id,
            fiscal_position_id=abroad.id,
        )
        move = self._check_twin(order).document_ids.move_id
        self.assertEqual((move.currency_id, move.fiscal_position_id), (currency, abroad))

    def test_early_payment_discount_that_lowers_the_tax(self):
        term = self.env["account.payment.term"].create(
            {
                "name": "2 % within 8 days",
                "company_id": self.company.id,
                "early_discount": True,
                "discount_percentage": 2.0,
                "discount_days": 8,
                "early_pay_discount_computation": "mixed",
                "line_ids": [Command.create({"value": "percent", "value_amount": 100})],
            }
        )
        other = self.tax.copy({"amount": 7.0, "name": "7 %"})
        for method in ("round_per_line", "round_globally"):
            self.company.tax_calculation_rounding_method = method
            lines = [
                {"tax_ids": self.tax.ids, "price_unit": 33.337},
                {"tax_ids": (self.tax | other).ids, "price_unit": 0.49, "product_uom_qty": 7.0},
                {"price_unit": 5.0},
            ]
            with self.subTest(method=method):
                self._check_twin(self._make_order(lines, payment_term_id=term.id))
                # and of a credit note
                lines = [{**line, "product_uom_qty": -1.0} for line in lines]
                self._check_twin(self._make_order(lines, payment_term_id=term.id))

    def test_drafts(self):
        self.sale_scenario.invoice_state = "draft"
        order = self._make_order()
        move = self._run_sale().document_ids.move_id
        self.assertEqual((move.state, order.invoice_status), ("draft", "invoiced"))
        self.assertFalse(self._run_sale().document_ids)

    def test_language_of_the_customer(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.debtor.lang = "fr_FR"
        self.goods.with_context(lang="fr_FR").name = "Biens"
        move = self._check_twin(self._make_order()).document_ids.move_id
        self.assertIn("Biens", move.invoice_line_ids.name)

    def test_chatter_names_the_order(self):
        order = self._make_order()
        move = self._run_sale().document_ids.move_id
        self.assertIn(order.name, " ".join(move.message_ids.mapped("body")))
