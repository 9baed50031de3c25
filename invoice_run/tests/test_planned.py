"""Prices agreed for later: the engine, and price lines that have them."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import periods, planned
from odoo.addons.invoice_run.engine.planned import Price
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import BaseCase, freeze_time, new_test_user, tagged

from .common import InvoiceRunCommon
from .properties import FIXED
from .test_charges import CENT, bills
from .test_periods import day, days_of, span


def ramp(text):
    """``100 2025-01-01:110``: the first price, then those from a day on."""
    first, *later = text.split()
    steps = [step.split(":") for step in later]
    return [Price(None, float(first)), *(Price(day(on), float(price)) for on, price in steps)]


@tagged("post_install", "-at_install")
class TestPlanned(BaseCase):
    def test_price_of_a_day(self):
        prices = ramp("100 2025-01-01:110 2026-01-01:120")
        for on, price in (
            ("2024-12-31", 100),
            ("2025-01-01", 110),
            ("2025-12-31", 110),
            ("2030-01-01", 120),
        ):
            self.assertEqual(planned.price_on(prices, day(on)).price_unit, price, on)

    def test_cut(self):
        prices = ramp("100 2025-01-15:110 2025-02-01:120")
        parts = planned.cut(span("2025-01-01..2025-02-28"), prices)
        self.assertEqual(
            parts,
            [
                span("2025-01-01..2025-01-14"),
                span("2025-01-15..2025-01-31"),
                span("2025-02-01..2025-02-28"),
            ],
        )
        self.assertEqual(planned.cut(span("2024-01-01..2025-01-14"), prices)[1:], [])

    def test_discount_for_periods(self):
        grid = periods.Terms(day("2025-01-10"), anchor="calendar").grid
        self.assertEqual(planned.periods_end(grid, day("2025-01-10"), 1), day("2025-01-31"))
        self.assertEqual(planned.periods_end(grid, day("2025-01-10"), 3), day("2025-03-31"))
        with self.assertRaises(ValueError):
            planned.periods_end(grid, day("2025-01-10"), 0)

    @settings(max_examples=300, **FIXED)
    @given(bills(), st.lists(st.integers(-50, 500), max_size=4))
    def test_parts_are_the_whole(self, bill, shifts):
        """Every day has one price; at the same price the parts cost what the whole costs."""
        terms, first, whole = bill
        days = {whole.date_from + periods.timedelta(days=shift) for shift in shifts}
        prices = planned.in_order(
            [Price(None, 100.0), *(Price(on, 100.0 + number) for number, on in enumerate(days))]
        )
        parts = planned.cut(whole, prices)
        self.assertEqual(days_of(parts), days_of([whole]))
        for part in parts:
            valid = {planned.price_on(prices, one) for one in part}
            self.assertEqual(len(valid), 1)

        def cost(one):
            return periods.charge(terms, "month", first, one, Fraction(100), CENT).amount

        self.assertEqual(sum(map(cost, parts)), cost(whole))


@tagged("post_install", "-at_install")
class TestPlannedPrices(InvoiceRunCommon):
    def _make_ramp(self, *steps, price=100.0, **vals):
        """Make a contract from 2024-01-01 with a line at ``price`` and these (day, price) steps."""
        vals.setdefault("date_start", "2024-01-01")
        rows = [Command.create({"date_from": on, "price_unit": step}) for on, step in steps]
        return self._make_contract([{"price_unit": price, "price_ids": rows}], **vals)

    def test_applied_by_itself(self):
        """Each period has its price; a period with two is one document with two amounts."""
        contract = self._make_ramp(("2024-02-01", 110.0), ("2024-03-16", 120.0))
        run = self._run_all("2024-03-31")
        self.assertEqual(
            self._get_periods(run),
            [
                "2024-01-01/2024-01-31",
                "2024-02-01/2024-02-29",
                "2024-03-01/2024-03-15",
                "2024-03-16/2024-03-31",
            ],
        )
        # 110 × 15/31 = 53.23; 120 − 120 × 15/31 (58.06) = 61.94
        self.assertAmounts(run, [100.0, 110.0, 53.23, 61.94])
        self.assertEqual(len(run.document_ids), 3)
        self.assertEqual(contract.line_ids.invoiced_until, day("2024-03-31"))
        self.assertFalse(self._run_all("2024-03-31").line_ids, "nothing is invoiced twice")

    def test_what_was_invoiced_stays(self):
        contract = self._make_ramp()
        self._run_all("2024-02-15")
        with freeze_time("2024-02-15"):
            contract.line_ids.price_ids = [
                Command.create({"date_from": "2024-02-01", "price_unit": 150.0})
            ]
        run = self._run_all("2024-03-15")
        self.assertEqual(self._get_periods(run), ["2024-03-01/2024-03-31"])
        self.assertAmounts(run, [150.0])

    def test_correction_of_two_prices(self):
        """The end of the contract credits each part at its own price."""
        contract = self._make_ramp(("2024-01-16", 200.0))
        self._run_all("2024-01-15")
        contract.date_end = "2024-01-10"
        run = self._run_all("2024-02-15")
        # 100 × 15/31 = 48.39, kept 32.26; 200 − 96.77 = 103.23
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [-103.23, -16.13])

    def test_quantity_and_discount_follow(self):
        """What a row does not say is as before; a discount ends by itself."""
        contract = self._make_contract(
            [{"price_unit": 100.0, "quantity": 2.0, "discount": 50.0}], date_start="2024-01-01"
        )
        line = contract.line_ids
        line.discount_periods = 2
        self.assertEqual(line.discount_until, day("2024-02-29"))
        line.price_ids = [Command.create({"date_from": "2024-04-01", "price_unit": 130.0})]
        self.assertEqual(line.price_ids.sorted("date_from").mapped("discount"), [0.0, 0.0])
        line.price_unit = 110.0
        run = self._run_all("2024-04-15")
        self.assertAmounts(run, [110.0, 110.0, 220.0, 260.0])
        line.discount_until = False
        self.assertEqual(line.price_ids.mapped("kind"), ["planned"])

    def test_what_a_price_does_not_change_follows(self):
        """Another quantity of the line counts for prices to come without one of their own."""
        contract = self._make_ramp(("2024-02-01", 110.0), ("2024-03-01", 120.0))
        line = contract.line_ids
        line.price_ids[1].quantity = 5.0
        line.quantity = 2.0
        self.assertEqual(line.price_ids.mapped("quantity"), [2.0, 5.0])
        self.assertEqual(line.price_ids.mapped("price_month"), [220.0, 600.0])
        run = self._run_all("2024-03-15")
        self.assertAmounts(run, [200.0, 220.0, 600.0])
        line.price_unit = 105.0
        self.assertEqual(line.price_ids.mapped("price_unit"), [110.0, 120.0])

    def test_money_of_today(self):
        contract = self._make_ramp(("2024-07-01", 110.0), ("2025-01-01", 120.0))
        line = contract.line_ids
        for today, month in (("2024-06-30", 100.0), ("2024-07-01", 110.0), ("2025-06-01", 120.0)):
            with freeze_time(today):
                self.env.invalidate_all()
                self.assertEqual(contract.amount_month, month)
                self.assertEqual(line.present_price_month, month)
                groups = line._read_group(
                    [("id", "=", line.id)], [], ["amount_month:sum", "amount_year:sum"]
                )
                self.assertEqual(groups, [(month, 12 * month)])
                found = self.env["billing.contract"].search([("amount_month", "=", month)])
                self.assertIn(contract, found)

    @freeze_time("2024-06-15")
    def test_bridge_and_forecast(self):
        contract = self._make_ramp(("2024-07-16", 110.0))
        contract.line_ids.initial_invoiced_until = "2024-06-30"
        company = {"company_id": self.company.id}
        bridge = self.env["billing.bridge"].create(
            {"month_from": "2024-06-01", "month_to": "2024-07-31", **company}
        )
        bridge.action_compute()
        self.assertEqual(bridge.amount_price, 10.0)
        self.assertEqual(bridge.amount_end, bridge.amount_start + 10.0)
        forecast = self.env["billing.forecast"].create({"date_to": "2024-08-31", **company})
        forecast.action_compute()
        amounts = {str(row.month): row.amount for row in forecast.line_ids}
        # 100 × 15/31 = 48.39; 110 − 53.23 = 56.77
        self.assertEqual(amounts, {"2024-07-01": 105.16, "2024-08-01": 110.0})
        months = contract.get_timeline("2024-07-01", "2024-08-01")[0]["months"]
        self.assertEqual([month["amount"] for month in months], [105.16, 110.0])

    def test_reason(self):
        """The comparison names what was planned."""
        self._make_ramp(("2024-02-01", 103.0))
        self._run_all("2024-01-15")
        run = self._make_amounts(self._make_run("2024-02-15"))
        changes = run.document_ids._get_changes()[run.document_ids]
        self.assertEqual(
            [reason["text"] for reason in changes[0].reasons], ["planned price +3.0 %"]
        )
        self.assertEqual([reason["amount"] for reason in changes[0].reasons], [3.0])

    def test_reason_of_quantity(self):
        contract = self._make_ramp()
        contract.line_ids.price_ids = [Command.create({"date_from": "2024-02-01", "quantity": 3.0})]
        self._run_all("2024-01-15")
        run = self._make_amounts(self._make_run("2024-02-15"))
        self.assertAmounts(run, [300.0])
        changes = run.document_ids._get_changes()[run.document_ids]
        self.assertEqual([reason["text"] for reason in changes[0].reasons], ["quantity 1 → 3"])

    def test_outdated_and_four_eyes(self):
        """A planned price marks the amounts, and the user who planned it prepared the run."""
        contract = self._make_ramp()
        run = self._make_amounts(self._make_run("2024-01-15"))
        line = contract.line_ids.with_user(self.user)
        rows = line.price_ids.create(
            {"contract_line_id": line.id, "date_from": "2024-01-16", "price_unit": 1.0}
        )
        self.assertTrue(run.document_ids.is_stale)
        self.assertTrue(run._get_prepared_by(self.user))
        run = self._make_amounts(run)
        self.assertFalse(run.document_ids.is_stale)
        rows.write({"price_unit": 1.0, "date_from": "2024-01-16"})
        self.assertFalse(run.document_ids.is_stale, "nothing was changed")
        rows.unlink()
        self.assertTrue(run.document_ids.is_stale)

    def test_change_takes_prices_along(self):
        """Change from a date: prices to come stay planned, also when it is undone."""
        contract = self._make_ramp(("2024-07-01", 110.0))
        line = contract.line_ids
        new = line._change_from(day("2024-04-01"), {"quantity": 2.0})
        self.assertFalse(line.price_ids)
        self.assertEqual(new.price_ids.mapped("price_unit"), [110.0])
        new.action_undo_change()
        self.assertEqual(line.price_ids.mapped("price_unit"), [110.0])

    def test_change_after_a_planned_price(self):
        """The new line goes on with the price of that day."""
        contract = self._make_ramp(("2024-02-01", 110.0))
        new = contract.line_ids._change_from(day("2024-03-01"), {"quantity": 2.0})
        self.assertEqual(new.price_unit, 110.0)
        run = self._run_all("2024-03-15")
        self.assertAmounts(run, [100.0, 110.0, 220.0])

    def test_portal(self):
        """The customer sees each price with its days."""
        contract = self._make_ramp(("2024-02-01", 110.0), date_end="2024-12-31")
        shown = [
            (price["rated"].price_unit, price["date_from"], price["date_to"])
            for price in contract._get_portal_prices()
        ]
        self.assertEqual(
            shown,
            [
                (100.0, day("2024-01-01"), day("2024-01-31")),
                (110.0, day("2024-02-01"), day("2024-12-31")),
            ],
        )

    def test_refused(self):
        contract = self._make_ramp()
        line = contract.line_ids
        with self.assertRaises(UserError):
            line.write({"price_ids": [Command.create({"date_from": "0202-01-01"})]})
        once = self._make_contract([{"price_interval": "once"}])
        with self.assertRaises(UserError):
            once.line_ids.price_ids = [Command.create({"date_from": "2024-01-01"})]

    def test_example(self):
        """The form shows the first periods as they will be invoiced."""
        contract = self._make_contract(
            date_start="2024-01-15", period_anchor="calendar", activate=False
        )
        text = contract.line_ids.example_html
        self.assertIn("54.84", text)
        self.assertIn("01/15/2024 – 01/31/2024", text)
        self.assertIn("invoiced from 01/15/2024", text)
        contract.first_period_due = "grid"
        self.assertIn("invoiced from 01/01/2024", contract.line_ids.example_html)

    def test_cut_first_period(self):
        """Due from the start of the contract, or from the first day of the period."""
        contract = self._make_contract(date_start="2024-01-15", period_anchor="calendar")
        self.assertEqual(contract.next_invoicing_date, day("2024-01-15"))
        self.assertFalse(self._make_amounts(self._make_run("2024-01-14")).line_ids)
        contract.first_period_due = "grid"
        self.assertEqual(contract.next_invoicing_date, day("2024-01-01"))
        run = self._make_amounts(self._make_run("2024-01-14"))
        self.assertEqual(self._get_periods(run), ["2024-01-15/2024-01-31"])


@tagged("post_install", "-at_install")
class TestLookedUpPrices(InvoiceRunCommon):
    def _make_pricelist(self, *prices):
        """Make a pricelist with (first day, least quantity, price) of the product."""
        items = [
            Command.create(
                {
                    "applied_on": "1_product",
                    "product_tmpl_id": self.product.product_tmpl_id.id,
                    "compute_price": "fixed",
                    "date_start": on,
                    "min_quantity": quantity,
                    "fixed_price": price,
                }
            )
            for on, quantity, price in prices
        ]
        return self.env["product.pricelist"].create(
            {"name": "Of then", "company_id": self.company.id, "item_ids": items}
        )

    def test_first_day_of_each_period(self):
        """By quantity, as the pricelist says on the first day of each period."""
        pricelist = self._make_pricelist(
            (False, 0, 100.0), ("2024-02-10", 0, 120.0), (False, 5, 90.0)
        )
        contract = self._make_contract(
            [
                {"price_unit": 1.0, "is_price_looked_up": True},
                {"price_unit": 1.0, "quantity": 5.0, "is_price_looked_up": True},
            ],
            date_start="2024-01-01",
            pricelist_id=pricelist.id,
        )
        run = self._run_all("2024-03-15")
        first, many = contract.line_ids
        amounts = {line: [] for line in contract.line_ids}
        for amount in run.line_ids.sorted("billing_date_from"):
            amounts[amount.contract_line_id].append(amount.amount)
        self.assertEqual(amounts[first], [100.0, 100.0, 120.0])
        self.assertEqual(amounts[many], [450.0, 450.0, 450.0])

    def _make_looked_up(self, pricelist):
        """Return a run with one amount whose price was looked up in ``pricelist``."""
        self._make_contract(
            [{"price_unit": 1.0, "is_price_looked_up": True}],
            date_start="2024-01-01",
            pricelist_id=pricelist.id,
        )
        return self._make_amounts(self._make_run("2024-01-15"))

    def test_another_pricelist_of_the_customer_outdates_the_amount(self):
        """Where the contract has none of its own, and the price is another one."""
        group = self.env.ref("product.group_product_pricelist")
        self.env.ref("base.group_user")._apply_group(group)
        first, same, other = (self._make_pricelist((False, 0, n)) for n in (100.0, 100.0, 120.0))
        self.debtor.property_product_pricelist = first
        for pricelist in (self.env["product.pricelist"], first):
            self._make_contract(
                [{"price_unit": 1.0, "is_price_looked_up": True}],
                date_start="2024-01-01",
                pricelist_id=pricelist.id,
            )
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.debtor.property_product_pricelist = same
        self.assertFalse(any(run.line_ids.mapped("is_stale")))
        self.debtor.property_product_pricelist = other
        stale = run.line_ids.filtered("is_stale")
        self.assertEqual(stale.contract_id.pricelist_id, self.env["product.pricelist"])
        self.assertEqual((len(stale), len(run.line_ids)), (1, 2))

    def test_another_category_outdates_the_amount(self):
        """Where the pricelist has a rule for it."""
        dear, _same = categories = self.env["product.category"].create(
            [{"name": "Dear"}, {"name": "As before"}]
        )
        pricelist = self._make_pricelist()
        self.env["product.pricelist.item"].create(
            {
                "pricelist_id": pricelist.id,
                "applied_on": "2_product_category",
                "categ_id": dear.id,
                "compute_price": "fixed",
                "fixed_price": 500.0,
            }
        )
        run = self._make_looked_up(pricelist)
        self.product.categ_id = categories[1]
        self.assertFalse(run.document_ids.is_stale)
        self.product.categ_id = dear
        self.assertTrue(run.document_ids.is_stale)

    def test_changed_rule_outdates_the_amount(self):
        pricelist = self._make_pricelist((False, 0, 100.0))
        run = self._make_looked_up(pricelist)
        self.assertAmounts(run, [100.0])
        pricelist.item_ids.fixed_price = 100.0
        self._make_pricelist((False, 0, 70.0)).item_ids.fixed_price = 80.0
        self.assertFalse(run.stale_count)
        pricelist.item_ids.fixed_price = 110.0
        self.assertTrue(run.document_ids.is_stale)
        run.action_renew_stale()
        run._process_queue()
        self.assertAmounts(run, [110.0])

    def test_added_and_deleted_rules_outdate_the_amount(self):
        pricelist = self._make_pricelist((False, 0, 100.0), (False, 5, 90.0))
        run = self._make_looked_up(pricelist)
        pricelist.item_ids[-1].copy({"min_quantity": 1, "fixed_price": 95.0})
        self.assertTrue(run.document_ids.is_stale)
        run.action_renew_stale()
        run._process_queue()
        self.assertAmounts(run, [95.0])
        pricelist.item_ids.filtered(lambda item: item.min_quantity == 1).unlink()
        self.assertTrue(run.document_ids.is_stale)

    def test_changed_base_outdates_what_goes_by_it(self):
        base = self._make_pricelist((False, 0, 100.0))
        rule = {"compute_price": "formula", "base": "pricelist", "base_pricelist_id": base.id}
        pricelist = self.env["product.pricelist"].create(
            {
                "name": "Dealers",
                "company_id": self.company.id,
                "item_ids": [Command.create({**rule, "price_discount": 10.0})],
            }
        )
        run = self._make_looked_up(pricelist)
        self.assertAmounts(run, [90.0])
        base.item_ids.fixed_price = 200.0
        self.assertTrue(run.document_ids.is_stale)

    def test_changed_sales_price_outdates_what_goes_by_it(self):
        """A pricelist without a rule for the product falls back to its sales price."""
        self.product.list_price = 100.0
        run = self._make_looked_up(self._make_pricelist((False, 5, 90.0)))
        self.assertAmounts(run, [100.0])
        self.product.list_price = 100.0
        self.product.standard_price = 7.0
        self.assertFalse(run.stale_count)
        # by somebody without rights over contracts and runs
        keeper = new_test_user(
            self.env,
            "keeper",
            groups="base.group_user,product.group_product_manager",
            company_id=self.company.id,
        )
        self.product.with_user(keeper).lst_price = 120.0
        self.assertTrue(run.document_ids.is_stale)
        run.action_renew_stale()
        run._process_queue()
        self.assertAmounts(run, [120.0])

    def test_changed_sales_price_leaves_fixed_prices_alone(self):
        run = self._make_looked_up(self._make_pricelist((False, 0, 90.0)))
        self.product.list_price = 333.0
        self.assertFalse(run.stale_count)

    def test_changed_cost_outdates_what_goes_by_it(self):
        self.product.standard_price = 50.0
        rule = {"compute_price": "formula", "base": "standard_price", "price_markup": 20.0}
        pricelist = self.env["product.pricelist"].create(
            {"name": "Cost", "company_id": self.company.id, "item_ids": [Command.create(rule)]}
        )
        run = self._make_looked_up(pricelist)
        self.assertAmounts(run, [60.0])
        other = self.env["res.company"].create({"name": "Other"})
        self.product.with_company(other).standard_price = 70.0
        self.product.list_price = 333.0
        self.assertFalse(run.stale_count)
        self.product.standard_price = 60.0
        self.assertTrue(run.document_ids.is_stale)

    def test_no_price(self):
        """Nothing is invoiced at 0.00 because a price is missing; the other lines go on."""
        pricelist = self._make_pricelist((False, 0, 0.0))
        self._make_contract(
            [{"price_unit": 50.0}, {"price_unit": 1.0, "is_price_looked_up": True}],
            date_start="2024-01-01",
            pricelist_id=pricelist.id,
        )
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertAmounts(run, [50.0])
        self.assertIn("has no price on", run.exception_ids.message)

    def test_not_with_planned_prices(self):
        contract = self._make_contract([{"is_price_looked_up": True}])
        with self.assertRaises(UserError):
            contract.line_ids.price_ids = [
                Command.create({"date_from": "2024-01-01", "price_unit": 1.0})
            ]
