from unittest.mock import patch

from odoo import api
from odoo.fields import Command
from odoo.tests import tagged

from .bulk_common import BulkCommon
from .strangers import call_super, other_addon


@tagged("post_install", "-at_install")
class TestOthers(BulkCommon):
    """What rules, other addons and default values do to new invoices comes out as in Odoo."""

    def _make_three(self):
        tax = [Command.set(self.taxes[0].ids)]
        for partner in self.partners[:3]:
            self._make_contract(
                [{"tax_ids": tax}, {"price_unit": 7.0}],
                partner_id=partner.id,
                payment_term_id=self.terms[3].id,
                date_start="2024-03-01",
            )

    # ------------------------------------------------------------------
    # After the creation
    # ------------------------------------------------------------------

    def _assert_equal_after(self, change):
        """Compare both ways, where ``change(move)`` is done to each invoice of a run."""
        self.env.registry.clear_cache()
        self._make_three()

        def change_all(moves):
            for move in moves.filtered("invoice_run_id"):
                change(move)

        @api.model_create_multi
        def create(moves, vals_list):
            created = call_super("create", moves, vals_list)
            change_all(created)
            return created

        with other_addon(self.env, "account.move", create=create):
            return self._assert_equal(least_bulk=1, confirmed_at_once=False)

    def test_other_terms(self):
        """The items of the terms and the due date follow."""
        thirds = self.terms[0]

        def change(move):
            move.invoice_payment_term_id = thirds

        moves = self._assert_equal_after(change)
        self.assertEqual({str(day) for day in moves.mapped("invoice_date_due")}, {"2024-05-14"})

    def test_another_customer(self):
        """Without terms, with other terms and accounts: worked out as Odoo does."""
        plain, other = self.partners[3:5]
        plain.property_payment_term_id = False
        other.property_payment_term_id = self.terms[0]
        account = plain.property_account_receivable_id
        plain.property_account_receivable_id = account.copy({"code": "121212"})
        for changed in (plain, other):
            with self.subTest(changed=changed.name):

                def change(move, changed=changed):
                    move.partner_id = changed

                self._assert_equal_after(change)

    def test_no_terms(self):
        def change(move):
            move.invoice_payment_term_id = False

        self._assert_equal_after(change)

    def test_another_line(self):
        def change(move):
            line = {"name": "Free", "price_unit": 0.0, "product_id": self.products[0].id}
            move.invoice_line_ids = [Command.create(line)]

        self._assert_equal_after(change)

    def test_another_invoice(self):
        """It gets its own items, whatever the context says."""
        made = []

        def change(move):
            line = {"name": "x", "price_unit": 5.0, "tax_ids": self.taxes[0].ids}
            vals = {
                "move_type": "out_invoice",
                "partner_id": move.partner_id.id,
                "invoice_line_ids": [Command.create(line)],
            }
            other = move.env["account.move"].create(vals)
            made.append((other.amount_total, len(other.line_ids), other.state))

        self._assert_equal_after(change)
        self.assertEqual(set(made), {(6.05, 3, "draft")})

    def test_a_rule(self):
        """Automation rules replace the method of the registry's class."""
        Move = self.env.registry["account.move"]
        create, thirds = Move.create, self.terms[0]

        def create_and_change(moves, vals_list):
            created = create(moves, vals_list)
            for move in created:
                move.invoice_payment_term_id = thirds
            return created

        self._make_three()
        with patch.object(Move, "create", create_and_change):
            moves = self._assert_equal(least_bulk=1, confirmed_at_once=False)
        terms = moves.line_ids.filtered(lambda line: line.display_type == "payment_term")
        self.assertEqual(len(terms), 9)

    # ------------------------------------------------------------------
    # Default values
    # ------------------------------------------------------------------

    def _get_reasons(self):
        return self.env["invoice.run.bulk"]._get_company_obstacles(self.company)

    def test_cash_rounding_by_default(self):
        """It changes what was approved, so there is no invoice; Odoo would round it as well."""
        account = self.company_data["default_account_revenue"]
        rounding = self.env["account.cash.rounding"].create(
            {
                "name": "To whole ones",
                "rounding": 1.0,
                "strategy": "add_invoice_line",
                "profit_account_id": account.id,
                "loss_account_id": account.id,
            }
        )
        self._make_contract([{"price_unit": 10.3}], date_start="2024-03-01")
        run = self._make_amounts(self._make_run("2024-03-15"))
        run.with_user(self.reviewer).action_approve()
        run.action_generate_invoices()
        self.env["ir.default"].set("account.move", "invoice_cash_rounding_id", rounding.id)
        [reason] = self._get_reasons()
        self.assertIn("Cash Rounding", reason)
        run._process_queue()
        self.assertFalse(run.document_ids.move_id)
        self.assertIn("was approved", run.document_ids.error)

    def test_default_values_of_what_is_computed_here(self):
        defaults = self.env["ir.default"]
        defaults.set("account.move", "payment_reference", "ABC")
        defaults.set("account.move", "partner_shipping_id", self.partners[8].id)
        defaults.set("account.move.line", "no_followup", True)
        self.assertEqual(len(self._get_reasons()), 3)
        self._make_three()
        moves = self._assert_equal(least_bulk=0, confirmed_at_once=False)
        self.assertEqual(set(moves.mapped("payment_reference")), {"ABC"})

    def test_other_default_values(self):
        self.env["ir.default"].set("account.move", "narration", "Thank you")
        self.env["ir.default"].set("account.move", "journal_id", False)
        self.assertFalse(self._get_reasons())
        self._make_three()
        moves = self._assert_equal(least_bulk=1)
        self.assertTrue(all("Thank you" in text for text in moves.mapped("narration")))

    def test_default_values_of_the_context(self):
        bulk = self.env["invoice.run.bulk"]
        bulk = bulk.with_context(default_delivery_date="2024-01-01")
        self.assertEqual(len(bulk._get_company_obstacles(self.company)), 1)
