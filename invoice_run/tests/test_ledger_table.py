from freezegun import freeze_time

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged

from .ledger_common import LedgerCommon


@tagged("post_install", "-at_install")
class TestLedgerTable(LedgerCommon):
    """100 a month from January 2024, and what Accounting does to its invoice."""

    def test_replaced_at_another_price(self):
        new = self._replace(self._bill(), 40.0)
        self.assertEqual(self._get_balance(), 40.0)
        run = self._end("2024-01-10")
        self.assertEqual(self._get_balance(), 12.90)
        self.assertEqual(run.line_ids.credited_line_id, new.invoice_line_ids)

    def test_draft_edited_and_confirmed(self):
        self.scenario.invoice_state = "draft"
        move = self._bill()
        move.invoice_line_ids.price_unit = 60.0
        move.action_post()
        self.scenario.invoice_state = "posted"
        self._end("2024-01-15")
        self.assertEqual(self._get_balance(), 29.03)

    def test_credited_whole_by_hand(self):
        self._credit(self._bill())
        run = self._end("2024-01-15")
        self.assertEqual(self._get_balance(), 0.0)
        self.assertEqual(run.document_ids.mapped("state"), ["nothing"])
        self.assertFalse(self.contract.line_ids.overbilled_from)
        self.assertFalse(self._run_all("2024-02-02").document_ids)

    def test_credited_in_part_by_hand(self):
        self._credit(self._bill(), 51.61)
        self._end("2024-01-15")
        self.assertEqual(self._get_balance(), 48.39)

    def test_credited_in_part_and_ended_earlier(self):
        self._credit(self._bill(), 51.61)
        self._end("2024-01-10")
        self.assertEqual(self._get_balance(), 32.26)

    def test_credited_for_certain_days(self):
        days = {"billing_credit_from": "2024-01-01", "billing_credit_to": "2024-01-10"}
        credit = self._credit(self._bill(), 32.26, billing_credit_kind="days", **days)
        self.assertEqual(credit.invoice_line_ids.billing_date_to, self._date("2024-01-10"))
        self._end("2024-01-15")
        self.assertEqual(self._get_balance(), 16.13)

    def test_goodwill_is_not_for_days(self):
        self._credit(self._bill(), 20.0, billing_credit_kind="goodwill")
        self._end("2024-01-15")
        self.assertEqual(self._get_balance(), 28.39)

    def test_more_than_is_left_is_not_given_back(self):
        self._credit(self._bill(), 70.0, billing_credit_kind="goodwill")
        self._end("2024-01-15")
        self.assertEqual(self._get_balance(), 0.0)

    def _bill_bins(self, interval, price, **vals):
        tax = self._make_tax(5, "fixed")
        line = self._with_tax(tax, price_interval=interval, price_unit=price, quantity=10)
        return self._bill([line], "2024-02-15", date_start="2024-02-01", **vals)

    def test_tax_a_piece_is_credited_whole(self):
        move = self._bill_bins("month", 10.0)
        self.assertEqual((move.amount_untaxed, move.amount_tax), (100.0, 50.0))
        self.contract.date_start = "2024-01-01"
        self._run_all("2024-01-15")
        run = self._end("2024-01-31", "2024-03-01")
        credit = run.document_ids.move_id
        self.assertEqual((credit.amount_untaxed, credit.amount_tax), (100.0, 50.0))

    def test_tax_a_piece_goes_by_the_pieces_of_the_contract(self):
        for interval, price in (("month", 10), ("quarter", 30), ("day", 1), ("year", 120)):
            with self.subTest(interval=interval):
                move = self._bill_bins(interval, price, period_anchor="calendar")
                self.assertEqual(move.amount_tax, 50.0)
                self.assertEqual(move.invoice_line_ids.quantity, 10.0)
                self.assertEqual(move.amount_untaxed, {"day": 290.0}.get(interval, 100.0))

    def test_tax_a_piece_stays_with_days_that_stay(self):
        self._bill_bins("month", 10.0)
        first = self._end("2024-02-15", "2024-03-01").document_ids.move_id
        self.assertEqual((first.amount_untaxed, first.amount_tax), (48.28, 0.0))
        self.contract.line_ids.date_start = False
        self.assertEqual(self._get_balance(), 101.72)

    def test_credit_note_holds_nothing_else(self):
        self.company.invoice_run_correction = "credit_note"
        move = self._bill([{"price_unit": 148.28}], "2024-02-15", date_start="2024-01-01")
        january, february = move.sorted("id")
        self._make_usage(contract_id=self.contract.id, date="2024-02-01", price_unit=20.0)
        self._end("2024-01-31", "2024-03-01")
        moves = self._get_customer_moves() - move
        credit = moves.filtered(lambda move: move.move_type == "out_refund")
        self.assertEqual((credit.amount_total, credit.reversed_entry_id), (148.28, february))
        self.assertEqual((moves - credit).amount_total, 20.0)
        self.assertEqual((moves - credit).move_type, "out_invoice")
        self.assertNotEqual(january, february)

    def test_nothing_to_pay_but_a_tax_is_invoiced(self):
        lines = [
            self._with_tax(self._make_tax(21), price_unit=100.0),
            self._with_tax(self._make_tax(0), price_unit=-121.0),
        ]
        move = self._bill(lines)
        self.assertEqual(move.amount_total, 0.0)
        self.assertEqual(move.amount_tax, 21.0)
        self.assertEqual(move.state, "posted")

    def test_another_product_moves_the_revenue(self):
        self._bill()
        other = self._make_product("Lease", 100.0)
        self.contract.line_ids._change_from(self._date("2024-01-16"), {"product_id": other.id})
        run = self._run_all("2024-01-20")
        move = run.document_ids.move_id
        self.assertEqual(move.amount_total, 0.0)
        self.assertEqual(
            {line.product_id: line.price_subtotal for line in move.invoice_line_ids},
            {self.product: -51.61, other: 51.61},
        )

    def test_nothing_at_all_makes_no_invoice_and_can_be_undone(self):
        self._bill()
        self.contract.line_ids._change_from(self._date("2024-01-16"), {"discount": 0.0})
        run = self._run_all("2024-01-20")
        document = run.document_ids
        self.assertEqual((document.state, document.move_id.ids), ("nothing", []))
        document.with_user(self.user).action_reverse()
        self.assertEqual(document.state, "released")
        again = self._run_all("2024-01-21")
        self.assertAmounts(again, [-51.61, 51.61])
        again.with_user(self.user).action_reverse()
        self.assertEqual(again.document_ids.state, "released")

    def test_rate_changed_after_the_approval(self):
        euro = self._make_euro(2.0)
        contract = self._make_contract(
            [{"price_unit": 1200.0}], currency_id=euro.id, date_start="2024-01-01"
        )
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(run.document_ids.company_amount_total, 2400.0)
        run.with_user(self.reviewer).action_approve()
        self._set_rate(euro, 10.0)
        run.with_user(self.user).action_generate_invoices()
        run._process_queue()
        document = run.document_ids
        self.assertEqual(document.state, "failed")
        self.assertRegex(document.error, r"12,000\.00.*2,400\.00.*Recalculate Changed")
        self.assertTrue(document.is_stale)
        run.with_user(self.user).action_renew_stale()
        run._process_queue()
        self.assertEqual(run.document_ids.company_amount_total, 12000.0)
        self.assertTrue(contract.line_ids.next_period_from)

    def test_credit_is_booked_at_the_rate_of_its_invoice(self):
        euro = self._make_euro(2.0)
        self._bill([{"price_unit": 1200.0}], currency_id=euro.id)
        self.assertEqual(self._get_balance(), 2400.0)
        self._set_rate(euro, 10.0, "2024-01-20")
        run = self._end("2024-01-15")
        credit = run.document_ids.move_id
        self.assertEqual(credit.invoice_currency_rate, 0.5)
        self.assertEqual(credit.reversed_entry_id, self.run.document_ids.move_id)
        self.assertEqual(self._get_balance(), 1161.3)

    @freeze_time("2024-01-20")
    def test_reversal_is_not_dated_before_its_invoice(self):
        move = self._bill(date="2025-01-15", date_start="2025-01-01")
        self.run.with_user(self.user).action_reverse()
        credit = move.reversal_move_ids
        self.assertEqual((credit.state, str(credit.date)), ("posted", "2025-01-15"))
        self.assertEqual(credit.invoice_date, credit.date)

    @freeze_time("2024-01-20")
    def test_reversal_by_hand_is_not_dated_before_its_invoice(self):
        move = self._bill(date="2025-01-15", date_start="2025-01-01")
        credit = self._reverse(move)
        self.assertEqual(str(credit.invoice_date), "2025-01-15")

    def test_credit_of_a_cancelled_invoice_is_refused(self):
        move = self._bill()
        credit = self._reverse(move, invoice_bill_again=True)
        move.button_draft()
        move.button_cancel()
        self._run_all("2024-01-21")
        self.assertEqual(self._get_balance(), 100.0)
        with self.assertRaisesRegex(UserError, "is cancelled"):
            credit.action_post()
        self.assertEqual(self._get_balance(), 100.0)


@tagged("post_install", "-at_install")
class TestUnaskedCredits(LedgerCommon):
    """Credits that were made without Accounting's dialog: never a guess."""

    def _credit_unasked(self, move, amount):
        credit = move._reverse_moves([{"invoice_date": "2024-01-20"}])
        credit.invoice_line_ids.price_unit = amount
        credit.action_post()
        return credit

    def _ask(self, credit):
        """End the contract on the 15th; return the exception that asks about ``credit``."""
        self.contract.date_end = "2024-01-15"
        run = self._make_amounts(self._make_run("2024-02-01"))
        self.assertFalse(run.document_ids)
        self.assertIn(credit.name, run.exception_ids.message)
        return run.exception_ids

    def _answer(self, exception, kind, **vals):
        action = exception.with_user(self.user).action_ask_days()
        question = self.env["billing.credit.question"].with_user(self.user)
        question = question.with_context(**action["context"])
        question.create({"billing_credit_kind": kind, **vals}).action_apply()
        self._run_all("2024-02-02")
        return self._get_balance()

    def test_whole_credit_asks_nothing(self):
        credit = self._bill()._reverse_moves([{"invoice_date": "2024-01-20"}])
        credit.action_post()
        self._end("2024-01-15")
        self.assertEqual(self._get_balance(), 0.0)

    def test_credit_that_was_taken_back_asks_nothing(self):
        credit = self._credit_unasked(self._bill(), 30.0)
        credit._reverse_moves([{"invoice_date": "2024-01-21"}]).action_post()
        self._end("2024-01-15")
        self.assertEqual(self._get_balance(), 48.39)

    def test_last_days(self):
        exception = self._ask(self._credit_unasked(self._bill(), 51.61))
        self.assertEqual(self._answer(exception, "last"), 48.39)
        self.assertFalse(exception.exists())

    def test_certain_days(self):
        exception = self._ask(self._credit_unasked(self._bill(), 32.26))
        with self.assertRaisesRegex(UserError, "Fill in the first"):
            self._answer(exception, "days")
        days = {"billing_credit_from": "2024-01-01", "billing_credit_to": "2024-01-10"}
        self.assertEqual(self._answer(exception, "days", **days), 16.13)

    def test_goodwill(self):
        exception = self._ask(self._credit_unasked(self._bill(), 20.0))
        self.assertEqual(self._answer(exception, "goodwill"), 28.39)

    def test_line_of_ones_own_on_the_credit_note(self):
        credit = self._reverse(self._bill())
        credit.invoice_line_ids = [
            Command.clear(),
            Command.create({"name": "Agreed", "quantity": 1, "price_unit": 51.61, "tax_ids": []}),
        ]
        credit.action_post()
        exception = self._ask(credit)
        self.assertEqual(self._answer(exception, "last"), 48.39)

    def test_other_contracts_and_periods_go_on(self):
        self._credit_unasked(self._bill([{}, {"date_end": "2024-01-31"}]), 30.0)
        self.contract.line_ids[1].date_end = "2024-01-15"
        run = self._make_amounts(self._make_run("2024-02-01"))
        self.assertAmounts(run, [100.0])
        self.assertEqual(run.exception_ids.mapped("code"), ["credit"])

    def test_reader_of_another_company_cannot_answer(self):
        exception = self._ask(self._credit_unasked(self._bill(), 20.0))
        stranger = self._make_user(
            "stranger",
            "invoice_run.invoice_run_group_user",
            company=self.setup_other_company()["company"],
        )
        question = self.env["billing.credit.question"].with_user(stranger)
        with self.assertRaises(AccessError):
            question.create({"exception_id": exception.id}).action_apply()


@tagged("post_install", "-at_install")
class TestLargeCredits(LedgerCommon):
    """Automatic approval stops at credits above a limit."""

    def setUp(self):
        super().setUp()
        self.company.write({"invoice_run_auto_amounts": True, "invoice_run_auto_approve": True})
        self._bill(date="2024-04-15")

    def _get_automatic_state(self, end):
        self.contract.date_end = end
        run = self._make_amounts(self._make_run("2024-04-20"))
        return run.state, run.large_credit_count

    def test_one_period_goes_on(self):
        self.assertEqual(self._get_automatic_state("2024-03-31"), ("approved", 0))

    def test_more_than_one_period_waits_for_a_person(self):
        self.assertEqual(self._get_automatic_state("2024-03-30"), ("amounts", 1))

    def test_above_the_largest_invoice_without_check(self):
        self.company.invoice_run_max_amount = 60.0
        self.assertEqual(self._get_automatic_state("2024-03-31"), ("amounts", 1))

    def test_limit_of_the_company(self):
        self.company.invoice_run_credit_limit = 60.0
        self.assertEqual(self._get_automatic_state("2024-04-15"), ("approved", 0))

    def test_above_the_limit_of_the_company(self):
        self.company.invoice_run_credit_limit = 40.0
        self.assertEqual(self._get_automatic_state("2024-04-15"), ("amounts", 1))

    def test_what_is_billed_in_its_place_does_not_hide_it(self):
        self.contract.line_ids._change_from(self._date("2024-02-01"), {"price_unit": 101.0})
        run = self._make_amounts(self._make_run("2024-04-20"))
        self.assertEqual(run.amount_untaxed, 3.0)
        self.assertEqual((run.state, run.large_credit_count), ("amounts", 1))

    def test_checked_by_a_person(self):
        self._get_automatic_state("2024-01-31")
        document = self.env["invoice.run.document"].search([("is_large_credit", "=", True)])
        self.assertTrue(document.is_flagged)
        document.with_user(self.reviewer).action_accept()
        self.assertFalse(document.is_flagged)
