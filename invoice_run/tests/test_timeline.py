from datetime import date
from fractions import Fraction

from freezegun import freeze_time
from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import timeline
from odoo.addons.invoice_run.engine.ledger import share_by_days
from odoo.addons.invoice_run.engine.periods import Span
from odoo.exceptions import AccessError, UserError
from odoo.tests import BaseCase, tagged

from .ledger_common import LedgerCommon
from .properties import FIXED
from .test_portal import PortalCommon

days = st.dates(date(2020, 1, 1), date(2026, 12, 31))


@tagged("post_install", "-at_install")
class TestTimelineArithmetic(BaseCase):
    @settings(**FIXED)
    @given(days, days, st.integers(-100_000, 100_000))
    def test_months_add_up_to_the_amount(self, one, other, cents):
        span = Span(min(one, other), max(one, other))
        coin = Fraction(1, 100)
        parts = list(timeline.cut(span, None, None))
        self.assertEqual(sum(part.days for part in parts), span.days)
        for part in parts:
            self.assertEqual(part.date_from.replace(day=1), part.date_to.replace(day=1))
        share = share_by_days(span)
        amounts = [timeline.part_of(cents * coin, share, part, coin) for part in parts]
        self.assertEqual(sum(amounts), cents * coin)

    def test_months(self):
        months = timeline.months(date(2023, 12, 31), date(2024, 2, 1))
        self.assertEqual(
            [str(month.date_to) for month in months], ["2023-12-31", "2024-01-31", "2024-02-29"]
        )

    def test_the_state_that_somebody_has_to_look_at(self):
        self.assertEqual(timeline.name_month(["invoiced", "open"]), "open")
        self.assertEqual(timeline.name_month(["invoiced", "credited"]), "credited")
        self.assertEqual(timeline.name_month([]), "none")


@tagged("post_install", "-at_install")
@freeze_time("2024-02-15")
class TestTimeline(LedgerCommon):
    """What became of each month, from the ledger, the claims and the terms."""

    def _get_rows(self, contract=None, first="2024-01-01", last="2024-04-30", user=None):
        contract = (contract or self.contract).with_user(user or self.user)
        contract.invalidate_recordset()
        return contract.get_timeline(first, last)

    def _get_months(self, *args, number=0, **kwargs):
        months = self._get_rows(*args, **kwargs)[number]["months"]
        return [(month["state"], month["amount"]) for month in months]

    def test_invoiced_in_a_run_open_and_to_come(self):
        move = self._bill([{}], date="2024-01-15")
        self.assertEqual(
            self._get_months(),
            [("invoiced", 100.0), ("open", 100.0), ("future", 100.0), ("future", 100.0)],
        )
        run = self._make_amounts(self._make_run("2024-02-15"))
        (row,) = self._get_rows()
        self.assertEqual(
            [month["state"] for month in row["months"]][:3], ["invoiced", "run", "future"]
        )
        january, february = row["months"][:2]
        self.assertEqual(january["parts"][0]["move_id"], move.id)
        self.assertEqual(january["parts"][0]["move_name"], move.name)
        self.assertEqual(february["parts"][0]["run_id"], run.id)
        self.assertEqual(february["parts"][0]["run_name"], run.reference)
        self.assertEqual(february["amount"], 100.0)

    def test_paused(self):
        self._bill([{}], date="2024-01-15")
        self.contract.billing_hold = True
        self.assertEqual(
            [state for state, _amount in self._get_months()],
            ["invoiced", "paused", "paused", "paused"],
        )

    def test_a_year_is_shown_by_months(self):
        self._bill(
            [{"price_unit": 1000.0, "price_interval": "year"}], date="2024-01-15", period_count=12
        )
        months = self._get_months(first="2024-01-01", last="2024-12-31")
        self.assertEqual({state for state, _amount in months}, {"invoiced"})
        self.assertEqual(round(sum(amount for _state, amount in months), 2), 1000.0)
        self.assertEqual(months[0][1], 83.33)

    def test_periods_across_months(self):
        """From the 10th: January has 22 of 31 days of the period; 100.00 in the end."""
        self._bill([{}], date="2024-01-15", date_start="2024-01-10")
        months = self._get_months()
        self.assertEqual(months[0], ("invoiced", 70.97))
        (row,) = self._get_rows()
        february = row["months"][1]
        self.assertEqual(february["state"], "open")
        amounts = [(part["state"], part["amount"]) for part in february["parts"]]
        self.assertEqual(amounts[0], ("invoiced", 29.03))
        self.assertEqual(amounts[1][0], "open")

    def test_credit_by_hand(self):
        move = self._bill([{}], date="2024-01-15")
        credit = self._credit(move, 20.0, date="2024-01-20")
        (row,) = self._get_rows()
        january = row["months"][0]
        self.assertEqual((january["state"], january["amount"]), ("credited", 80.0))
        self.assertEqual({part["move_id"] for part in january["parts"]}, {move.id, credit.id})

    def test_billed_again_is_open(self):
        move = self._bill([{}], date="2024-01-15")
        self._credit(move, invoice_bill_again=True, date="2024-01-20")
        self.assertEqual(self._get_months()[0], ("open", 100.0))

    def test_credit_by_a_run_after_an_early_end(self):
        self._bill([{}], date="2024-01-15")
        run = self._end("2024-01-10")
        (row,) = self._get_rows()
        january = row["months"][0]
        self.assertEqual((january["state"], january["amount"]), ("credited", 32.26))
        self.assertIn(run.document_ids.move_id.id, [part["move_id"] for part in january["parts"]])
        self.assertEqual(self._get_months()[1:], [("none", 0.0)] * 3)

    def test_future_price(self):
        self._bill([{}], date="2024-01-15")
        self.contract.line_ids._change_from(self._date("2024-04-01"), {"price_unit": 110.0})
        old, new = self._get_rows()
        self.assertEqual(old["months"][3]["state"], "none")
        self.assertEqual((new["months"][3]["state"], new["months"][3]["amount"]), ("future", 110.0))

    def test_billed_elsewhere_once_and_drafts(self):
        contract = self._make_contract(
            [
                {"initial_invoiced_until": "2024-01-31"},
                {"price_unit": 7.0, "price_interval": "once", "date_start": "2024-03-05"},
            ],
            activate=False,
            date_start="2024-01-01",
        )
        months = self._get_months(contract)
        self.assertEqual(months[:2], [("elsewhere", 0.0), ("future", 100.0)])
        once = [("none", 0.0), ("none", 0.0), ("future", 7.0), ("none", 0.0)]
        self.assertEqual(self._get_months(contract, number=1), once)
        contract.action_activate()
        self.assertEqual(self._get_months(contract)[1], ("open", 100.0))
        self._run_all("2024-03-15")
        self.assertEqual(self._get_months(contract, number=1)[2], ("invoiced", 7.0))

    def test_untaxed(self):
        tax = self._make_tax(21, price_include_override="tax_included")
        self._bill([self._with_tax(tax, price_unit=121.0)], date="2024-01-15")
        self.assertEqual([amount for _state, amount in self._get_months()], [100.0] * 4)

    def test_set_based(self):
        """No query for each invoice: 40 of them take hardly more than one."""
        self._bill([{}], date="2024-02-15", date_start="2024-02-01")
        self._get_rows()
        one = self._count_queries()
        self._bill([{}], date="2024-02-15", date_start="2020-11-01")
        self.assertEqual(len(self.contract.run_line_ids), 40)
        self._get_rows(first="2020-11-01", last="2024-02-28")
        self.assertLessEqual(self._count_queries("2020-11-01", "2024-02-28"), one + 10)

    def _count_queries(self, first="2024-01-01", last="2024-04-30"):
        contract = self.contract.with_user(self.user)
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.cr.sql_log_count
        contract.get_timeline(first, last)
        return self.cr.sql_log_count - before

    def test_who_may_not_see_invoices_gets_no_ids(self):
        move = self._bill([{}], date="2024-01-15")
        self.env["ir.rule"].create(
            {
                "name": "No invoices",
                "model_id": self.env["ir.model"]._get_id("account.move"),
                "domain_force": [("id", "!=", move.id)],
                "groups": [(4, self.env.ref("invoice_run.invoice_run_group_user").id)],
            }
        )
        self.env["ir.rule"].search(
            [("model_id.model", "=", "account.move"), ("groups", "!=", False)]
        ).filtered(lambda rule: rule.name != "No invoices").active = False
        (row,) = self._get_rows()
        part = row["months"][0]["parts"][0]
        self.assertEqual((part["state"], part["amount"]), ("invoiced", 100.0))
        self.assertFalse(part["move_id"] or part["move_name"])

    def test_rights_and_limits(self):
        self._bill([{}], date="2024-01-15")
        stranger = self._make_user(
            "timeline_stranger",
            "invoice_run.invoice_run_group_user",
            company=self.setup_other_company()["company"],
        )
        with self.assertRaises(AccessError):
            self._get_rows(user=stranger)
        for first, last in (("2024-02-01", "2024-01-01"), ("2010-01-01", "2024-01-01")):
            with self.assertRaisesRegex(UserError, "up to 60 months"):
                self._get_rows(first=first, last=last)
        rows = self.contract.with_user(self.user).get_timeline()
        self.assertEqual(str(rows[0]["months"][0]["month"]), "2023-09-01")
        self.assertEqual(len(rows[0]["months"]), 12)


@tagged("post_install", "-at_install")
@freeze_time("2020-02-15")
class TestPortalTimeline(PortalCommon):
    """The same months for the customer: invoices by name, and nothing internal."""

    def _get_months(self):
        self.contract.invalidate_recordset()
        (row,) = self.contract._get_portal_timeline()
        return {str(month["month"])[:7]: month for month in row["months"]}

    def test_months_of_the_own_contract(self):
        self._run_all("2020-01-31")
        (move,) = self.contract.run_line_ids.document_id.move_id
        self._make_amounts(self._make_run("2020-02-15"))
        months = self._get_months()
        states = {key: month["state"] for key, month in months.items()}
        self.assertEqual(states["2020-01"], "invoiced")
        self.assertEqual(states["2020-02"], "run")
        self.assertEqual(states["2020-04"], "future")
        self.assertEqual(months["2020-01"]["amount"], 70.97)
        self.assertEqual(months["2020-01"]["moves"], move)
        with self.assertRaises(AccessError):
            self.contract.with_user(self.portal_user).get_timeline()

    def test_page(self):
        self._run_all("2020-01-31")
        run = self._make_amounts(self._make_run("2020-02-15"))
        (move,) = self.contract.run_line_ids.document_id.move_id
        text = self._open(self.portal_user, self.contract.access_url)[1]
        page = text.split("o_invoice_run_timeline_row", 1)[1].split("</section>", 1)[0]
        self.assertIn("Jan 2020", page)
        self.assertIn("Being prepared", page)
        self.assertIn(f"/my/invoices/{move.id}", page)
        self.assertNotIn(run.reference, text)

    def test_neither_holds_nor_drafts_nor_the_customer_before(self):
        self.scenario.invoice_state = "draft"
        self._run_all("2020-01-31")
        (move,) = self.contract.run_line_ids.document_id.move_id
        self.assertEqual(move.state, "draft")
        self.contract.billing_hold = True
        months = self._get_months()
        self.assertEqual(months["2020-01"]["state"], "run")
        self.assertFalse(months["2020-01"]["moves"])
        self.assertEqual(months["2020-03"]["state"], "future")
        move.action_post()
        self.contract.partner_id = self.other
        months = self._get_months()
        self.assertEqual(months["2020-01"]["state"], "none")
        self.assertEqual(months["2020-01"]["amount"], 0.0)
        self.assertEqual(months["2020-02"]["state"], "future")
