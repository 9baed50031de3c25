from datetime import date, timedelta
from fractions import Fraction

from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import cutoff, ledger, periods
from odoo.addons.invoice_run.engine.ledger import BilledLine, LedgerEntry
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import BaseCase, tagged
from odoo.tools import mute_logger

from .ledger_common import LedgerCommon
from .properties import FIXED

CENT = Fraction(1, 100)
FIRST = date(2024, 1, 1)
ENTRY_LOG = "odoo.addons.invoice_run.models.accounting.billing_cutoff_entry"


def make_entry(kind, amount, first, last):
    return LedgerEntry(
        record_id=1,
        kind=kind,
        line_id=1,
        move_id=1,
        amount_id=1,
        origin_id=None,
        date_from=first,
        date_to=last,
        accounting_date=first,
        is_posted=True,
        currency_id=1,
        coin=0.01,
        amount=amount,
        company_amount=amount,
        tax_amount=0.0,
        price_amount=amount,
        account_id=1,
        product_id=1,
        analytic_distribution={},
        planned_amount=amount,
        net_price=amount,
    )


@st.composite
def billed_lines(draw):
    """An invoice line of up to a year and credits that leave something of it."""
    span = periods.Span(FIRST, FIRST + timedelta(days=draw(st.integers(0, 365))))
    coins = draw(st.integers(-100_000, 100_000))
    left, credits = coins, []
    for _number in range(draw(st.integers(0, 3))):
        part = draw(st.integers(min(left, 0), max(left, 0)))
        left -= part
        kind = draw(st.sampled_from([ledger.DAYS, ledger.LAST, ledger.GOODWILL, ledger.UNASKED]))
        begin = span.date_from + timedelta(days=draw(st.integers(0, span.days - 1)))
        credits.append(make_entry(kind, -part / 100, begin, span.date_to))
    return BilledLine(make_entry(ledger.BILLED, coins / 100, *span), tuple(credits)), span


ROWS = st.builds(
    cutoff.Row,
    st.sampled_from([cutoff.DEFERRED, cutoff.ACCRUED]),
    st.integers(1, 3),
    st.sampled_from([(), (("1", 100.0),), (("1", 50.0), ("2", 50.0))]),
    st.integers(-10_000, 10_000).map(lambda coins: coins * CENT),
)


@tagged("post_install", "-at_install")
class TestCutoffArithmetic(BaseCase):
    @given(case=billed_lines(), offset=st.integers(-5, 400))
    @settings(**FIXED)
    def test_deferred_and_earned_are_what_is_billed(self, case, offset):
        billed, span = case
        day = span.date_from + timedelta(days=offset)
        result = cutoff.split(billed, day, ledger.share_by_days(span), 0.01)
        left = billed.left("company_amount")
        self.assertEqual(result.deferred + result.earned, left)
        for part in result:
            self.assertFalse(part % CENT, "exact coins")
            self.assertLessEqual(abs(part), abs(left))
            self.assertGreaterEqual(part * left, 0)
        if day >= span.date_to:
            self.assertEqual(result.earned, left)

    @given(case=billed_lines(), cuts=st.lists(st.integers(-1, 365), max_size=5))
    @settings(**FIXED)
    def test_days_add_up(self, case, cuts):
        """What is earned from cut to cut, to the end, is what is left of the invoice."""
        billed, span = case
        share = ledger.share_by_days(span)
        days = [span.date_from + timedelta(days=cut) for cut in sorted(cuts)]
        splits = [cutoff.split(billed, day, share, 0.01) for day in (*days, date(2030, 1, 1))]
        earned = splits[0].earned
        for before, after in zip(splits, splits[1:], strict=False):
            self.assertEqual(after.earned - before.earned, before.deferred - after.deferred)
            earned += before.deferred - after.deferred
        self.assertEqual(earned, billed.left("company_amount"))

    @given(amount=st.integers(-10_000, 10_000), part=st.integers(0, 31))
    @settings(**FIXED)
    def test_parts_of_an_untaxed_amount(self, amount, part):
        whole = cutoff.part_of(amount / 100, Fraction(31), Fraction(31), 0.01)
        self.assertEqual(whole, amount * CENT)
        one = cutoff.part_of(amount / 100, Fraction(part), Fraction(31), 0.01)
        self.assertFalse(one % CENT)
        self.assertLessEqual(abs(one - amount * CENT * part / 31), CENT / 2)

    @given(rows=st.lists(ROWS, max_size=12))
    @settings(**FIXED)
    def test_entry_is_balanced_and_holds_every_row_once(self, rows):
        lines = cutoff.entry_lines(rows)
        self.assertFalse(sum(line.balance for line in lines))
        self.assertTrue(all(line.balance for line in lines))
        revenue = [line for line in lines if line.account_id]
        keys = [(line.kind, line.account_id, line.analytic) for line in revenue]
        self.assertEqual(len(keys), len(set(keys)))
        for line in revenue:
            sign = cutoff.REVENUE_SIGN[line.kind]
            self.assertEqual(line.balance, sign * sum(rows[number].amount for number in line.rows))
        for kind, sign in cutoff.REVENUE_SIGN.items():
            total = sum(row.amount for row in rows if row.kind == kind)
            [*counterpart] = [
                line.balance for line in lines if line.kind == kind and not line.account_id
            ]
            self.assertEqual(sum(counterpart), -sign * total)


class CutoffCommon(LedgerCommon):
    """A year of 1,200 from January 2024, invoiced on 5 January."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        accounts = cls.env["account.account"].create(
            [
                {
                    "name": name,
                    "code": code,
                    "account_type": account_type,
                    "company_ids": [Command.link(cls.company.id)],
                }
                for name, code, account_type in (
                    ("Deferred revenue", "CUT1", "liability_current"),
                    ("Accrued revenue", "CUT2", "asset_current"),
                )
            ]
        )
        cls.deferred, cls.accrued = accounts
        cls.company.invoice_run_deferred_account_id = cls.deferred
        cls.company.invoice_run_accrued_account_id = cls.accrued
        cls.accountant = cls._make_user(
            "run_accountant", "invoice_run.invoice_run_group_user,account.group_account_manager"
        )

    def _bill_year(self, lines=None, day="2024-01-05", **vals):
        vals = {"date_start": "2024-01-01", "period_count": 12, **vals}
        lines = lines or [{"price_unit": 1200.0, "price_interval": "year"}]
        return self._bill(lines, day, **vals)

    def _get_lines(self, day="2024-01-31", user=None):
        wizard = self.env["billing.cutoff"].with_user(user or self.user)
        wizard = wizard.create({"date": day, "company_id": self.company.id})
        action = wizard.action_compute()
        return wizard.env["billing.cutoff.line"].search(action["domain"])

    def _get_cutoff(self, day="2024-01-31"):
        """Return deferred and accrued revenue at ``day``."""
        lines = self._get_lines(day)
        names = ("billed_in_advance", "not_yet_billed")
        return tuple(round(sum(lines.mapped(name)), 2) for name in names)


@tagged("post_install", "-at_install")
class TestCutoffReport(CutoffCommon):
    """The report reads the billed ledger as of a day: what Accounting did to the invoices."""

    def test_billed_in_advance(self):
        self._bill_year()
        self.assertEqual(self._get_cutoff(), (1100.0, 0.0))
        self.assertEqual(self._get_cutoff("2024-12-31"), (0.0, 0.0))

    def test_not_billed_before_its_accounting_date(self):
        self._bill_year(day="2024-02-05")
        self.assertEqual(self._get_cutoff(), (0.0, 100.0))
        self.assertEqual(self._get_cutoff("2024-02-29"), (1000.0, 0.0))

    def test_draft_is_not_in_the_books(self):
        self.scenario.invoice_state = "draft"
        self._bill_year()
        self.assertEqual(self._get_cutoff(), (0.0, 100.0))

    @freeze_time("2024-01-20")
    def test_credited_to_bill_again(self):
        move = self._bill_year()
        self._reverse(move, invoice_bill_again=True).action_post()
        self.assertEqual(self._get_cutoff("2024-01-19"), (1100.0 + 38.71, 0.0))
        self.assertEqual(self._get_cutoff(), (0.0, 100.0))
        self._run_all("2024-01-21")
        self.assertEqual(self._get_cutoff(), (1100.0, 0.0))

    @freeze_time("2024-01-20")
    def test_plain_credit_in_full(self):
        self._credit(self._bill_year())
        self.assertEqual(self._get_cutoff(), (0.0, 0.0))

    @freeze_time("2024-01-20")
    def test_replaced_at_another_price(self):
        self._replace(self._bill_year(), 900.0)
        self.assertEqual(self._get_cutoff(), (825.0, 0.0))

    def test_contract_that_starts_later(self):
        self._bill([{}], "2024-01-15", date_start="2024-02-01", prebilling_periods=1)
        self.assertEqual(self._get_cutoff(), (100.0, 0.0))

    def test_cancelled_contract(self):
        self._bill_year()
        self.contract.action_cancel()
        self.assertEqual(self._get_cutoff(), (1100.0, 0.0))

    def test_booked_rate(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        euro.rate_ids.unlink()
        for day, rate in (("2024-01-01", 0.5), ("2024-01-20", 0.1)):
            self.env["res.currency.rate"].create(
                {
                    "currency_id": euro.id,
                    "name": day,
                    "company_id": self.company.id,
                    "rate": rate,
                }
            )
        self._bill_year(currency_id=euro.id)
        self.assertEqual(self._get_cutoff(), (2200.0, 0.0))
        # what is not invoiced has no rate yet: that of the day
        self.contract.action_cancel()
        self._make_contract(date_start="2024-01-01", currency_id=euro.id)
        self.assertEqual(self._get_cutoff()[1], 1000.0)

    def test_included_tax_of_a_fixed_amount(self):
        tax = self._make_tax(5, "fixed", price_include_override="tax_included")
        self._bill([self._with_tax(tax)], "2024-01-05")
        self.assertEqual(self._get_cutoff(), (0.0, 0.0))
        self.assertEqual(self._get_cutoff("2024-01-15")[0], 49.03)

    def test_accrued_and_deferred_of_an_included_tax_are_the_invoice(self):
        tax = self._make_tax(21, "percent", price_include_override="tax_included")
        line = self._with_tax(tax, price_unit=121.0)
        contract = self._make_contract([line], date_start="2024-01-01")
        self.assertEqual(self._get_cutoff("2024-01-10"), (0.0, 32.26))
        contract.action_cancel()
        self._bill([line], "2024-01-05")
        self.assertEqual(self._get_cutoff("2024-01-10"), (67.74, 0.0))

    def test_early_end_credited_by_a_run(self):
        self._bill_year()
        self.contract.date_end = "2024-02-29"
        self._run_all("2024-01-20")
        self.assertEqual(self._get_cutoff(), (100.0, 0.0))

    def test_usage_up_to_the_day(self):
        self._make_usage(date="2024-01-05", price_unit=7.0)
        self._make_usage(date="2024-02-05", price_unit=9.0)
        self.assertEqual(self._get_cutoff(), (0.0, 7.0))
        self._run_all("2024-02-10", self.usage_scenario)
        self.assertEqual(self._get_cutoff(), (0.0, 7.0))
        self.assertEqual(self._get_cutoff("2024-02-29"), (0.0, 0.0))

    def test_usage_billed_before_its_day(self):
        self._make_usage(date="2024-02-05", price_unit=9.0)
        self._run_all("2024-01-10", self.usage_scenario, target_date="2024-02-28")
        self.assertEqual(self._get_cutoff(), (9.0, 0.0))
        self.assertEqual(self._get_cutoff("2024-02-05"), (0.0, 0.0))

    def test_usage_of_a_draft_contract_is_not_earned(self):
        draft = self._make_contract(activate=False, date_start="2024-01-01")
        self._make_usage(date="2024-01-05", contract_id=draft.id, price_unit=7.0)
        self.assertEqual(self._get_cutoff(), (0.0, 0.0))

    def test_it_drills_down_to_invoice_lines_and_days(self):
        move = self._bill_year()
        arrears = self._make_contract(date_start="2024-01-16", billing_timing="arrears")
        lines = self._get_lines().grouped("contract_id")
        billed, open_days = lines[self.contract], lines[arrears]
        self.assertEqual(billed.invoice_line_id, move.invoice_line_ids)
        self.assertEqual((str(billed.date_from), str(billed.date_to)), ("2024-02-01", "2024-12-31"))
        self.assertEqual(billed.account_id, move.invoice_line_ids.account_id)
        self.assertFalse(open_days.invoice_line_id)
        self.assertEqual(str(open_days.date_from), "2024-01-16")
        self.assertEqual(open_days.not_yet_billed, 51.61)

    def test_booked_account_counts_not_that_of_the_product(self):
        move = self._bill_year()
        booked = move.invoice_line_ids.account_id
        self.product.property_account_income_id = booked.copy()
        self.assertEqual(self._get_lines().account_id, booked)


@tagged("post_install", "-at_install")
class TestMonthEndEntry(CutoffCommon):
    """ "Post": one entry a company and day, reversed on the next day."""

    def _post(self, day="2024-01-31", user=None):
        wizard = self.env["billing.cutoff"].with_user(user or self.accountant)
        wizard = wizard.create({"date": day, "company_id": self.company.id})
        action = wizard.action_post()
        return self.env["account.move"].browse(action["res_id"])

    def _get_balances(self, move):
        """Return {account: balance} of a journal entry."""
        balances = {}
        for line in move.line_ids:
            balances[line.account_id] = balances.get(line.account_id, 0) + line.balance
        return {account: round(balance, 2) for account, balance in balances.items()}

    def _make_both(self):
        self._bill_year()
        self._make_contract(date_start="2024-01-16", billing_timing="arrears")
        return self.run.document_ids.move_id.invoice_line_ids.account_id

    def test_posted_and_reversed(self):
        revenue = self._make_both()
        entry = self._post()
        self.assertEqual((entry.state, str(entry.date)), ("posted", "2024-01-31"))
        expected = {revenue: 1048.39, self.deferred: -1100.0, self.accrued: 51.61}
        self.assertEqual(self._get_balances(entry), expected)
        reversal = entry.reversal_move_ids
        self.assertEqual((reversal.state, str(reversal.date)), ("posted", "2024-02-01"))
        self.assertEqual(
            self._get_balances(reversal),
            {account: -balance for account, balance in expected.items()},
        )
        self.assertFalse(reversal.billing_cutoff_date)

    def test_lines_drill_down(self):
        self._make_both()
        entry = self._post()
        action = entry.with_user(self.accountant).action_view_cutoff_details()
        details = self.env["billing.cutoff.detail"].with_user(self.user).search(action["domain"])
        self.assertEqual(sorted(details.mapped("amount")), [51.61, 1100.0])
        for item in entry.line_ids - details.move_line_id:
            self.assertIn(item.account_id, self.deferred | self.accrued)
        for item, group in details.grouped("move_line_id").items():
            self.assertEqual(abs(item.balance), sum(group.mapped("amount")))

    def test_not_twice_for_one_day(self):
        self._make_both()
        entry = self._post()
        with self.assertRaisesRegex(UserError, f"already been posted with {entry.name}"):
            self._post()
        other = self._post("2024-02-29")
        with mute_logger("odoo.sql_db"), self.assertRaisesRegex(Exception, "cutoff_once"):
            with self.env.cr.savepoint():
                other._write_engine({"billing_cutoff_date": "2024-01-31"})
                self.env.flush_all()

    def test_booked_again_after_it_was_cancelled(self):
        self._make_both()
        entry = self._post()
        entry.with_user(self.accountant).button_draft()
        self.assertEqual(entry.reversal_move_ids.mapped("state"), ["cancel"])
        entry.with_user(self.accountant).button_cancel()
        again = self._post()
        self.assertNotEqual(again, entry)
        self.assertEqual(len(again.reversal_move_ids), 1)

    def test_reset_and_confirmed_again(self):
        self._make_both()
        entry = self._post().with_user(self.accountant)
        entry.button_draft()
        entry.action_post()
        self.assertEqual(sorted(entry.reversal_move_ids.mapped("state")), ["cancel", "posted"])

    def test_grouped_by_account_and_analytics(self):
        plan = self.env["account.analytic.plan"].create({"name": "Sites"})
        one, other = self.env["account.analytic.account"].create(
            [{"name": name, "plan_id": plan.id} for name in ("North", "South")]
        )
        for account in (one, one, other):
            self._bill_year(
                [
                    {
                        "price_unit": 1200.0,
                        "price_interval": "year",
                        "analytic_distribution": {str(account.id): 100},
                    }
                ]
            )
        entry = self._post()
        items = entry.line_ids.filtered(lambda item: item.account_id != self.deferred)
        found = {next(iter(item.analytic_distribution)): item.balance for item in items}
        self.assertEqual(found, {str(one.id): 2200.0, str(other.id): 1100.0})
        self.assertFalse((entry.line_ids - items).analytic_distribution)

    def test_default_taxes_of_an_account_do_not_come_along(self):
        revenue = self._make_both()
        revenue.tax_ids = self._make_tax(21, "percent")
        entry = self._post()
        self.assertFalse(entry.line_ids.tax_ids)
        self.assertEqual(len(entry.line_ids), 4)

    def test_refused_in_a_closed_period(self):
        self._make_both()
        for day in ("2024-01-31", "2024-02-01"):
            self.company.fiscalyear_lock_date = day
            with self.assertRaisesRegex(UserError, "books are closed"):
                self._post()
            january = self._date("2024-01-31")
            self.assertFalse(self.env["account.move"]._get_cutoff_entry(self.company, january))

    def test_a_draft_cannot_be_confirmed_in_a_closed_period(self):
        self._make_both()
        entry = self._draft()
        self.company.fiscalyear_lock_date = "2024-01-31"
        with self.assertRaisesRegex(UserError, "books are closed"):
            entry.with_user(self.accountant).action_post()

    def test_accounts_must_be_chosen(self):
        self._bill_year()
        self.company.invoice_run_deferred_account_id = False
        with self.assertRaisesRegex(UserError, "Choose the accounts"):
            self._post()

    def test_nothing_to_book(self):
        with self.assertRaisesRegex(UserError, "nothing to defer"):
            self._post()

    def test_who_keeps_no_books_posts_none(self):
        self._make_both()
        for user in (self.user, self.reviewer):
            with self.assertRaisesRegex(AccessError, "role “Administrator” of Accounting"):
                self._post(user=user)
        entry = self._draft()
        with self.assertRaisesRegex(AccessError, "role “Administrator” of Accounting"):
            entry.with_user(self.reviewer).action_post()
        with self.assertRaises(AccessError):
            entry.with_user(self.accountant).billing_cutoff_date = "2024-03-31"

    def _draft(self):
        with freeze_time("2024-02-01 06:00:00"):
            self.company.invoice_run_cutoff_draft = True
            self.env["account.move"]._process_cutoff_draft(self.company)
        return self.env["account.move"]._get_cutoff_entry(self.company, self._date("2024-01-31"))

    def test_the_scheduled_action_drafts_and_waits(self):
        self._make_both()
        entry = self._draft()
        self.assertEqual(entry.state, "draft")
        self.assertFalse(entry.reversal_move_ids)
        self.assertEqual(self._draft(), entry)
        entry.with_user(self.accountant).action_post()
        self.assertEqual(entry.reversal_move_ids.state, "posted")
        self.assertEqual(self._draft(), entry)

    def test_cron(self):
        self._make_both()
        self.company.invoice_run_cutoff_draft = True
        cron = self.env.ref("invoice_run.billing_cutoff_cron")
        with freeze_time("2024-02-01 06:00:00"), self.enter_registry_test_mode():
            self.assertIs(cron.method_direct_trigger(), True)
        self.assertTrue(
            self.env["account.move"]._get_cutoff_entry(self.company, self._date("2024-01-31"))
        )

    @mute_logger(ENTRY_LOG)
    def test_a_company_that_is_not_set_up_stops_no_other(self):
        self._make_both()
        self.company.invoice_run_accrued_account_id = False
        self.assertFalse(self._draft())

    def test_an_error_nobody_foresaw_stops_no_other(self):
        def broken(moves, company, date):
            raise ValueError("impossible terms")

        Move = self.env["account.move"]
        self.patch(type(Move), "_create_cutoff_entry", broken)
        with self.assertLogs(ENTRY_LOG, "WARNING"):
            Move._process_cutoff_draft(self.company)

    def test_a_draft_follows_the_ledger(self):
        self._make_both()
        entry = self._draft()
        self._make_usage(date="2024-01-05", price_unit=7.0)
        entry.with_user(self.accountant).action_post()
        self.assertEqual(self._get_balances(entry)[self.accrued], 58.61)
        self.assertEqual(self._get_balances(entry.reversal_move_ids)[self.accrued], -58.61)
        self.assertIn("Recalculated", "".join(entry.message_ids.mapped("body")))

    def test_a_draft_of_which_nothing_is_left(self):
        move = self._bill_year()
        entry = self._draft()
        with freeze_time("2024-01-20"):
            self._credit(move)
        with self.assertRaisesRegex(UserError, "nothing is left"):
            entry.with_user(self.accountant).action_post()
        entry.with_user(self.accountant).unlink()
        self.assertFalse(self.env["billing.cutoff.detail"].search([]))

    def test_an_unchanged_draft_stays_as_somebody_edited_it(self):
        self._make_both()
        entry = self._draft()
        entry.ref = "Closing"
        ids = entry.line_ids.ids
        entry.with_user(self.accountant).action_post()
        self.assertEqual((entry.ref, entry.line_ids.ids), ("Closing", ids))

    def test_each_company_its_own(self):
        self._make_both()
        other = self.setup_other_company()["company"]
        self.accountant.company_ids += other
        self._post()
        wizard = self.env["billing.cutoff"].with_user(self.accountant)
        wizard = wizard.with_context(allowed_company_ids=[other.id, self.company.id])
        wizard = wizard.create({"date": "2024-01-31", "company_id": other.id})
        with self.assertRaisesRegex(UserError, "nothing to defer"):
            wizard.action_post()
