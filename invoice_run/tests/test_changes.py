from datetime import date
from fractions import Fraction

from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2 import IntegrityError

from odoo.addons.invoice_run.engine import periods
from odoo.exceptions import UserError, ValidationError
from odoo.tests import BaseCase, Form, tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon
from .ledger_common import LedgerCommon
from .properties import FIXED

PRICES = st.decimals(0, 10_000, places=6)
PERCENTAGES = st.decimals(-99, 100, places=3)


@tagged("post_install", "-at_install")
class TestRaisedPrice(BaseCase):
    def _raise(self, *args):
        return float(periods.raise_price(*args))

    def test_examples(self):
        self.assertEqual(self._raise(0.0345, 3, None, 0.01), 0.035535)
        self.assertEqual(self._raise(0.0345, 3, 0.0001, 0.01), 0.0355)
        self.assertEqual(self._raise(33.33, 2.5, None, 0.01), 34.16)
        self.assertEqual(self._raise(99.9, 3, 0.05, 0.01), 102.9)
        self.assertEqual(self._raise(99.9, 3, 1, 0.01), 103)
        self.assertEqual(self._raise(1000, 2.55, None, 1), 1026)

    @given(price=PRICES, percentage=PERCENTAGES)
    @settings(**FIXED)
    def test_never_rounded_but_by_a_step_or_in_whole_coins(self, price, percentage):
        exact = Fraction(price) * (1 + Fraction(percentage) / 100)
        coin = Fraction(1, 100)
        raised = periods.raise_price(price, percentage, None, 0.01)
        if Fraction(price) % coin:
            self.assertEqual(raised, exact)
        else:
            self.assertFalse(raised % coin)
            self.assertLessEqual(abs(raised - exact), coin / 2)

    @given(price=PRICES, percentage=PERCENTAGES, step=st.sampled_from(["0.0001", "0.05", "1", "5"]))
    @settings(**FIXED)
    def test_a_step_is_met(self, price, percentage, step):
        raised = periods.raise_price(price, percentage, step, 0.01)
        exact = Fraction(price) * (1 + Fraction(percentage) / 100)
        self.assertFalse(raised % Fraction(step))
        self.assertLessEqual(abs(raised - exact), Fraction(step) / 2)


@tagged("post_install", "-at_install")
class TestChanges(InvoiceRunCommon):
    """ "Change from date…": prices, and what a month costs in which it happens."""

    def _new_change(self, records, date, **vals):
        return (
            self.env["billing.contract.change"]
            .with_user(self.user)
            .with_context(active_model=records._name, active_ids=records.ids)
            .create({"date": date, **vals})
        )

    def _change(self, records, date, **vals):
        wizard = self._new_change(records, date, **vals)
        wizard.action_apply()
        return wizard

    def _raise(self, records, date, percentage=10.0, **vals):
        return self._change(records, date, change="percentage", percentage=percentage, **vals)

    def test_fine_prices_stay_fine(self):
        lines = [{"price_unit": 0.0345}, {"price_unit": 33.33}]
        contract = self._make_contract(lines, date_start="2024-01-01")
        self._raise(contract, "2024-02-01", 3.0)
        new = contract.line_ids.filtered("previous_line_id")
        self.assertEqual(new.mapped("price_unit"), [0.035535, 34.33])

    def test_a_step_is_offered(self):
        contract = self._make_contract([{"price_unit": 99.9}], date_start="2024-01-01")
        action = self.env["billing.contract.change"].with_context(
            active_model="billing.contract", active_ids=contract.ids
        )
        form = Form(action.with_user(self.user))
        form.percentage = 3.0
        form.price_step = 0.05
        with form.line_ids.edit(0) as line:
            self.assertEqual(line.new_price_unit, 102.9)
        with self.assertRaisesRegex(UserError, "negative step"):
            self._raise(contract, "2024-02-01", price_step=-1.0)

    def test_a_line_that_has_not_begun_is_raised_once(self):
        contract = self._make_contract(date_start="2024-06-01")
        self._raise(contract, "2024-01-01")
        self.assertEqual(contract.line_ids.mapped("price_unit"), [110.0])
        for day in ("2024-01-01", "2024-03-01", "2024-06-01"):
            wizard = self._new_change(contract, day, change="percentage", percentage=10.0)
            self.assertFalse(wizard.line_ids.is_changed)
            self.assertIn("raised from 06/01/2024", wizard.line_ids.note)
            with self.assertRaisesRegex(UserError, "raised from 06/01/2024.*Set a new price"):
                wizard.action_apply()
        self.assertEqual(contract.line_ids.mapped("price_unit"), [110.0])
        self._raise(contract, "2024-07-01")
        self.assertEqual(contract.line_ids.mapped("price_unit"), [110.0, 121.0])

    def test_the_new_line_of_a_raise_is_not_raised_again(self):
        contract = self._make_contract(date_start="2023-01-01")
        self._raise(contract, "2024-02-01")
        for day in ("2024-02-01", "2024-01-01"):
            wizard = self._new_change(contract, day, change="percentage", percentage=10.0)
            new = wizard.line_ids.filtered(lambda one: one.contract_line_id.previous_line_id)
            self.assertFalse(new.is_changed)
        self._raise(contract, "2024-01-01")
        lines = contract.line_ids.sorted(lambda line: line._get_own_days()[0])
        self.assertEqual(lines.mapped("price_unit"), [100.0, 110.0, 110.0])

    def test_a_later_change_does_not_hide_the_raise(self):
        contract = self._make_contract(date_start="2023-01-01")
        self._raise(contract, "2024-02-01")
        self._change(contract.line_ids[1], "2024-02-15", change="quantity", quantity=2.0)
        third = contract.line_ids[2]
        wizard = self._new_change(third, "2024-02-01", change="percentage", percentage=10.0)
        self.assertFalse(wizard.line_ids.is_changed)
        self._raise(third, "2024-02-15")
        self.assertAlmostEqual(third.price_unit, 121.0)

    def test_a_new_price_can_be_raised_from_its_first_day(self):
        contract = self._make_contract(date_start="2024-06-01")
        self._raise(contract, "2024-01-01")
        self._change(contract, "2024-01-01", change="price", price_unit=200.0)
        self._raise(contract, "2024-01-01")
        self.assertEqual(contract.line_ids.mapped("price_unit"), [220.0])

    def _get_month(self, contract, until="2024-01-31"):
        """Return what is invoiced, less credits, for the days up to ``until``."""
        amounts = contract.run_line_ids.filtered(lambda one: str(one.billing_date_to) <= until)
        return round(sum(amounts.mapped("amount")), 2)

    def _make_changed(self, proration, day, billed_before, **vals):
        contract = self._make_contract(
            date_start="2024-01-01", period_anchor="calendar", proration=proration
        )
        if billed_before:
            self._run_all("2024-01-01")
        self._change(contract, f"2024-01-{day:02}", **vals)
        self._run_all("2024-01-31")
        return contract

    def test_a_change_does_not_make_the_month_longer(self):
        """Whatever the proration: the same price, changed on any day, is one month."""
        for proration in ("actual", "thirty", "thirty_360", "none"):
            for number, day in enumerate((2, 11, 16, 31)):
                with self.subTest(proration=proration, day=day):
                    vals = {"change": "price", "price_unit": 100.0}
                    contract = self._make_changed(proration, day, number % 2, **vals)
                    self.assertEqual(self._get_month(contract), 100.0)
                    contract.action_cancel()

    def test_what_a_new_price_costs(self):
        """100 a month becomes 110 from 16 January."""
        for proration, month in (
            ("actual", 48.39 + 56.77),
            ("thirty", 50.0 + 55.0),
            ("thirty_360", 50.0 + 55.0),
            ("none", 100.0),
        ):
            for billed_before in (False, True):
                with self.subTest(proration=proration, billed_before=billed_before):
                    vals = {"change": "price", "price_unit": 110.0}
                    contract = self._make_changed(proration, 16, billed_before, **vals)
                    self.assertAlmostEqual(self._get_month(contract), month)
                    self._run_all("2024-02-01")
                    self.assertAlmostEqual(self._get_month(contract, "2024-02-29"), month + 110)
                    contract.action_cancel()

    def test_three_prices_in_a_month(self):
        contract = self._make_contract(date_start="2024-01-01", proration="thirty")
        for day, price in ((11, 130.0), (21, 160.0)):
            self._change(contract, f"2024-01-{day}", change="price", price_unit=price)
        self._run_all("2024-01-31")
        # 10/30 of each: 33.33 + 43.34 (86.67 - 43.33) + 53.33 (160.00 - 106.67)
        self.assertEqual(self._get_month(contract), 130.0)

    def test_a_line_after_a_gap_is_counted_on_its_own(self):
        contract = self._make_contract(date_start="2024-01-01", proration="none")
        self._change(contract, "2024-01-16", change="price", price_unit=110.0)
        old, new = contract.line_ids
        old.date_end = date(2024, 1, 10)
        self.assertEqual(new._get_counted_from(), date(2024, 1, 16))


@tagged("post_install", "-at_install")
class TestCopy(InvoiceRunCommon):
    """A copied contract asks from when: it must not invoice the days of another one."""

    @freeze_time("2024-05-20")
    def _copy(self, contract, default=None):
        return contract.with_user(self.user).copy(default)

    def test_a_copy_asks_from_when(self):
        contract = self._make_contract(
            [{"initial_invoiced_until": "2023-12-31"}], date_start="2020-01-10"
        )
        copy = self._copy(contract)
        self.assertTrue(copy.is_start_open)
        self.assertEqual(str(copy.date_start), "2024-05-20")
        self.assertFalse(copy.line_ids.initial_invoiced_until)
        self.assertEqual(copy.line_ids.price_unit, 100.0)
        for activate in (copy.action_activate, lambda: copy.write({"state": "active"})):
            with (
                mute_logger("odoo.sql_db"),
                self.assertRaisesRegex(IntegrityError, "start_is_said"),
                self.env.cr.savepoint(),
            ):
                activate()
                self.env.flush_all()
        copy.date_start = "2024-06-01"
        copy.action_activate()
        self.assertEqual(str(copy.next_invoicing_date), "2024-06-01")

    def test_the_proposed_day_can_be_confirmed(self):
        copy = self._copy(self._make_contract())
        copy.action_confirm_start()
        copy.action_activate()
        self.assertEqual(copy.state, "active")
        self.assertFalse(self._copy(self._make_contract(activate=False)).billing_hold)

    def test_whoever_copies_with_a_start_has_said_it(self):
        copy = self._copy(self._make_contract(), {"date_start": "2024-07-01"})
        self.assertFalse(copy.is_start_open)
        copy.action_activate()

    def test_a_copy_can_be_cancelled(self):
        copy = self._copy(self._make_contract())
        copy.action_cancel()
        self.env.flush_all()

    def test_replaced_and_ended_lines_stay_behind(self):
        contract = self._make_contract(
            [{}, {"price_unit": 7.0, "date_end": "2022-12-31"}],
            date_start="2020-01-10",
            date_end="2024-12-31",
        )
        contract.line_ids[0]._change_from(date(2024, 1, 1), {"price_unit": 110.0})
        copy = self._copy(contract)
        self.assertEqual(copy.line_ids.mapped("price_unit"), [110.0])
        self.assertFalse(copy.line_ids.date_start)
        self.assertFalse(copy.date_end)

    def test_a_contract_that_is_over_is_copied_with_its_lines(self):
        contract = self._make_contract(
            [{"date_end": "2021-12-31"}], date_start="2020-01-10", date_end="2021-12-31"
        )
        copy = self._copy(contract)
        self.assertEqual(len(copy.line_ids), 1)
        self.assertFalse(copy.line_ids.date_end)


@tagged("post_install", "-at_install")
class TestCancelled(LedgerCommon):
    """A contract that is cancelled after it was invoiced in advance."""

    def setUp(self):
        super().setUp()
        # the year 2024, invoiced on 5 January
        line = {"price_unit": 1200.0, "price_interval": "year"}
        self._bill([line], "2024-01-05", period_count=12)

    def _cancel(self, day="2024-03-31"):
        with freeze_time(f"{day} 12:00:00"):
            self.contract.with_user(self.user).action_cancel()
            self.env.flush_all()

    def test_the_next_run_proposes_the_credit(self):
        self._cancel()
        self.assertEqual(str(self.contract.cancel_date), "2024-03-31")
        for scenario in (self.scenario, self._make_scenario("To a date", billing_mode="date")):
            run = self._make_amounts(self._make_run("2024-04-01", scenario))
            self.assertAmounts(run, [-900.0])
            run.action_delete_amounts("next")
        run = self._run_all("2024-04-01")
        self.assertEqual(run.document_ids.move_id.move_type, "out_refund")
        self.assertEqual(self._get_balance(), 300.0)
        self.assertFalse(self._run_all("2024-05-01").document_ids)

    def test_whoever_keeps_the_money_says_until_when(self):
        self._cancel()
        self.contract.with_user(self.user).cancel_date = "2024-12-31"
        self.assertFalse(self._run_all("2024-04-01").document_ids)
        self.assertFalse(self.contract.next_invoicing_date)

    def test_before_the_first_day_all_is_credited(self):
        self._cancel("2023-12-15")
        self.contract.date_end = "2025-06-30"
        self._run_all("2024-01-06")
        self.assertEqual(self._get_balance(), 0.0)

    def test_nothing_else_of_it_is_billed(self):
        self.contract.line_ids.copy({"contract_id": self.contract.id})
        self._cancel("2024-02-29")
        run = self._run_all("2024-03-01")
        self.assertAmounts(run, [-1000.0])

    def test_taken_up_again(self):
        self._cancel()
        self._run_all("2024-04-01")
        self.contract.action_draft()
        self.assertFalse(self.contract.cancel_date)
        self.contract.action_activate()
        run = self._run_all("2024-04-02")
        self.assertAmounts(run, [900.0])
        self.assertEqual(self._get_balance(), 1200.0)

    def test_any_way_of_cancelling_counts(self):
        with freeze_time("2024-03-31 12:00:00"):
            self.contract.with_user(self.user).write({"state": "cancelled"})
            self.env.flush_all()
        self.assertEqual(str(self.contract.line_ids.overbilled_from), "2024-04-01")
        self.contract.cancel_date = "2024-06-30"
        self.assertEqual(str(self.contract.line_ids.overbilled_from), "2024-07-01")

    def test_a_later_day_outdates_the_credit(self):
        self._cancel()
        run = self._make_amounts(self._make_run("2024-04-01"))
        self.contract.cancel_date = "2024-06-30"
        self.assertTrue(run.document_ids.is_stale)

    def test_amounts_that_wait_are_not_invoiced(self):
        contract = self._make_contract(date_start="2024-03-01")
        run = self._make_amounts(self._make_run("2024-03-05"))
        contract.action_cancel()
        self._make_invoices(run)
        self.assertIn("is no longer active", run.document_ids.error)

    def test_the_forecast_counts_the_credit(self):
        self._cancel()
        with freeze_time("2024-04-01 12:00:00"):
            wizard = self.env["billing.forecast"].with_user(self.user)
            wizard = wizard.create({"date_to": "2024-12-31", "company_id": self.company.id})
            wizard.action_compute()
        self.assertEqual(wizard.line_ids.mapped("amount"), [-900.0])


@tagged("post_install", "-at_install")
class TestLaterStart(LedgerCommon):
    """A start that is moved after days that are invoiced."""

    @freeze_time("2024-01-20")
    def test_billed_days_must_be_given_back_first(self):
        move = self._bill()
        line = self.contract.line_ids
        for record in (self.contract, line):
            with self.assertRaisesRegex(ValidationError, f"invoiced with {move.name}.*Release for"):
                record.with_user(self.user).date_start = "2024-01-15"
        self._reverse(move, invoice_bill_again=True).action_post()
        self.contract.with_user(self.user).date_start = "2024-01-15"
        self._run_all("2024-01-20", target_date="2024-01-20")
        self.assertEqual(self._get_periods(self.contract), ["2024-01-15/2024-02-14"])
        self.assertEqual(self._get_balance(), 100.0)

    def _get_periods(self, contract):
        amounts = contract.run_line_ids.filtered("is_claimed")
        return [f"{one.billing_date_from}/{one.billing_date_to}" for one in amounts]

    @freeze_time("2024-01-20")
    def test_money_that_was_given_back_stops_nothing(self):
        self._credit(self._bill())
        self.contract.date_start = "2024-01-15"
        self.assertEqual(self._get_balance(), 0.0)

    def test_amounts_that_wait_are_made_anew(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        contract.date_start = "2024-01-15"
        self.assertTrue(run.document_ids.is_stale)

    def test_an_earlier_start_bills_the_days_before(self):
        self._bill()
        self.contract.line_ids.date_start = "2024-01-01"
        self.contract.date_start = "2023-12-01"
        self.assertEqual(str(self.contract.line_ids.date_start), "2024-01-01")
