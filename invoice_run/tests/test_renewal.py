from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import renewal
from odoo.addons.invoice_run.engine.periods import DAY
from odoo.exceptions import AccessError, UserError
from odoo.tests import BaseCase, new_test_user, tagged

from .common import InvoiceRunCommon
from .properties import FIXED
from .test_periods import DATES, day, months_later


@tagged("post_install", "-at_install")
class TestNextTerm(BaseCase):
    def test_examples(self):
        table = {
            # start of the contract, present term, end of the next one
            ("2024-01-01", "2024-01-01", "2024-12-31"): "2025-12-31",
            ("2024-01-01", "2025-01-01", "2025-12-31"): "2026-12-31",
            ("2024-01-01", "2024-01-01", "2024-03-31"): "2024-06-30",
            # the 31st comes back after February
            ("2023-01-31", "2023-01-31", "2023-02-27"): "2023-03-30",
            ("2023-01-31", "2023-02-28", "2023-03-30"): "2023-04-29",
            # the first term was another one
            ("2023-12-15", "2024-01-01", "2024-12-31"): "2025-12-31",
            # days
            ("2024-01-01", "2024-01-01", "2024-01-10"): "2024-01-20",
            ("2024-01-10", "2024-01-10", "2024-03-20"): "2024-05-30",
            ("2024-01-01", "2024-01-01", "2024-01-01"): "2024-01-02",
        }
        for (start, first, end), expected in table.items():
            with self.subTest(start=start, first=first, end=end):
                found = renewal.next_end(day(start), day(first), day(end))
                self.assertEqual(found, day(expected))

    @settings(**FIXED)
    @given(DATES, st.integers(1, 24), st.integers(1, 6))
    def test_terms_of_months_stay_on_their_day(self, start, months, terms):
        first, end = start, months_later(start, months) - DAY
        for number in range(2, terms + 2):
            first, end = end + DAY, renewal.next_end(start, first, end)
            self.assertEqual(end, months_later(start, number * months) - DAY)


@tagged("post_install", "-at_install")
@freeze_time("2024-03-15 12:00:00")
class TestRenewal(InvoiceRunCommon):
    """A contract goes on for another term, with no day missing and none invoiced twice."""

    def _renew(self, contract, user=None, **context):
        contract = contract.with_user(user or self.user).with_context(**context)
        return contract.action_renew()

    def _make_ending(self, lines=None, **vals):
        dates = {"date_start": "2024-01-01", "date_end": "2024-03-31"}
        return self._make_contract(lines, **{**dates, **vals})

    def _get_days(self, contract):
        """Return the claimed spans of a contract with one line, in order."""
        lines = contract.run_line_ids.filtered("is_claimed").sorted("period_from")
        return [(line.period_from, line.period_to) for line in lines]

    def assertGapless(self, contract):
        days = self._get_days(contract)
        self.assertEqual(days[0][0], contract.date_start)
        self.assertEqual(days[-1][1], contract.date_end)
        for (_first, last), (following, _last) in zip(days, days[1:], strict=False):
            self.assertEqual(following, last + DAY)

    def test_term_after_term(self):
        contract = self._make_ending(date_start="2023-04-01")
        self.env.cr.flush()
        # the tests of Accounting switch it off
        tracking = {"tracking_disable": False, "mail_notrack": False}
        action = self._renew(contract, **tracking)
        self.assertEqual(contract.date_end, self._date("2025-03-31"))
        self.assertEqual(contract.term_start, self._date("2024-04-01"))
        self.assertIn(contract.name, action["params"]["message"])
        # one year again, not two
        self._renew(contract)
        self.assertEqual(contract.date_end, self._date("2026-03-31"))
        note = contract.message_ids.filtered(lambda item: "Renewed for another term" in item.body)
        self.assertEqual(len(note), 2)
        self.assertEqual(note.author_id, self.user.partner_id)
        self.env.cr.flush()
        contract.invalidate_recordset(["message_ids"])
        tracked = contract.message_ids.sudo().tracking_value_ids.field_id.mapped("name")
        self.assertIn("date_end", tracked)

    def test_invoiced_on_without_gap_or_double(self):
        contract = self._make_ending()
        self._run_all("2024-03-15")
        self.assertFalse(self._run_all("2024-06-15").document_ids)
        self._renew(contract)
        run = self._run_all("2024-06-15")
        self.assertEqual(sum(run.invoice_ids.mapped("amount_untaxed")), 300.0)
        self.assertGapless(contract)
        self.assertFalse(self._run_all("2024-06-15").document_ids)

    def test_end_within_a_period_is_carried_on(self):
        contract = self._make_ending(date_end="2024-03-20")
        self._run_all("2024-03-15")
        self._renew(contract)
        self.assertEqual(contract.date_end, self._date("2024-06-08"))
        self._run_all("2024-06-15")
        self.assertGapless(contract)
        twin = self._make_ending(date_end="2024-06-08")
        self._run_all("2024-06-15")
        total = contract.amount_invoiced
        self.assertAlmostEqual(total, twin.amount_invoiced, places=2)
        self.assertGreater(total, 500.0)

    def test_amounts_of_an_open_run_are_outdated(self):
        contract = self._make_ending(date_end="2024-03-20")
        run = self._make_amounts(self._make_run("2024-03-15"))
        self.assertFalse(run.stale_count)
        self._renew(contract)
        run.invalidate_recordset()
        self.assertTrue(run.stale_count)

    def test_price_lines_that_end_with_the_contract_go_on(self):
        contract = self._make_ending(
            [
                {"name": "Rent"},
                {"name": "Heating", "date_end": "2024-03-31"},
                {"name": "Bicycle", "date_end": "2024-02-29"},
                {"name": "Deposit", "price_interval": "once", "date_end": "2024-03-31"},
            ]
        )
        self._renew(contract)
        ends = {line.name: str(line.date_end) for line in contract.line_ids if line.date_end}
        self.assertEqual(
            ends, {"Heating": "2024-06-30", "Bicycle": "2024-02-29", "Deposit": "2024-03-31"}
        )
        note = contract.message_ids.filtered(lambda item: "Renewed" in (item.body or ""))
        self.assertIn("Heating", note.body)
        self.assertNotIn("Bicycle", note.body)

    def test_invoiced_until_the_end(self):
        contract = self._make_ending(billing_mode="date", invoice_until="2024-03-31")
        self._run_all("2024-03-15")
        self._renew(contract)
        self.assertEqual(contract.invoice_until, self._date("2024-06-30"))
        self._run_all("2024-04-01")
        self.assertGapless(contract)
        earlier = self._make_ending(billing_mode="date", invoice_until="2024-02-15")
        self._renew(earlier)
        self.assertEqual(earlier.invoice_until, self._date("2024-02-15"))

    def test_end_that_was_moved_by_hand(self):
        contract = self._make_ending()
        self._renew(contract)
        contract.with_user(self.user).date_end = "2024-03-31"
        self._renew(contract)
        self.assertEqual(contract.date_end, self._date("2024-06-30"))

    def test_what_cannot_be_renewed(self):
        endless = self._make_contract(date_start="2024-01-01")
        draft = self._make_ending(activate=False)
        closed = self._make_ending()
        closed.action_close()
        good = self._make_ending()
        for contract, text in ((endless, "has no end"), (draft, "not active"), (closed, "not act")):
            with self.subTest(text), self.assertRaises(UserError) as error:
                self._renew(contract | good)
            self.assertIn(text, str(error.exception))
            self.assertIn(contract.name, str(error.exception))
        self.assertEqual(good.date_end, self._date("2024-03-31"))

    def test_second_click_renews_nothing(self):
        contract = self._make_ending()
        self._renew(contract, billing_shown_end="2024-03-31")
        with self.assertRaises(UserError):
            self._renew(contract, billing_shown_end="2024-03-31")
        self.assertEqual(contract.date_end, self._date("2024-06-30"))

    def test_rights(self):
        contract = self._make_ending()
        other = self.setup_other_company()["company"]
        stranger = self._make_user("run_other", "invoice_run.invoice_run_group_user", company=other)
        employee = new_test_user(self.env, "employee", groups="base.group_user")
        for user in (stranger, employee):
            with self.subTest(user.login), self.assertRaises(AccessError):
                self._renew(contract, user)
        for values in ({"term_start": "2024-02-01"}, {"date_end": False, "term_start": False}):
            with self.assertRaises(AccessError):
                contract.with_user(self.user).write(values)
        self.assertEqual(contract.date_end, self._date("2024-03-31"))
        self._renew(contract)
        self.assertFalse(contract.copy().term_start)

    # ------------------------------------------------------------------
    # From the dashboard
    # ------------------------------------------------------------------

    def _get_finding(self, user=None):
        rows = self.env["invoice.run"].with_user(user or self.user).get_today()
        return next(row for row in rows if row["key"] == "ending")

    def test_a_single_contract_by_one_click(self):
        contract = self._make_ending(title="Flat")
        finding = self._get_finding()
        self.assertEqual(finding["solve"], "Renew")
        self.assertIn("06/30/2024", finding["hint"])
        self.assertIn("Flat", finding["hint"])
        runs = self.env["invoice.run"].with_user(self.user)
        self.assertIn("06/30/2024", runs.solve_finding("ending"))
        self.assertEqual(contract.date_end, self._date("2024-06-30"))
        with self.assertRaises(UserError):
            runs.solve_finding("ending")

    def test_several_contracts_one_by_one(self):
        contracts = self._make_ending() | self._make_ending()
        self.assertFalse(self._get_finding()["solve"])
        runs = self.env["invoice.run"].with_user(self.user)
        with self.assertRaises(UserError):
            runs.solve_finding("ending")
        action = runs.action_view_finding("ending")
        self.assertTrue(action["context"]["billing_ending"])
        self._renew(contracts[0], **action["context"], billing_shown_end="2024-03-31")
        ends = contracts.mapped("date_end")
        self.assertEqual(ends, [self._date("2024-06-30"), self._date("2024-03-31")])
