import random

from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .ledger_common import LedgerCommon

PARTS = ("new", "ended", "price", "quantity", "other", "credit")


@tagged("post_install", "-at_install")
@freeze_time("2024-01-15")
class TestBridge(LedgerCommon):
    """Month over month: what leads from one month to another, to the cent."""

    def _get_bridge(self, month_from="2024-01-01", month_to="2024-02-01", user=None, **vals):
        bridge = self.env["billing.bridge"].with_user(user or self.user)
        bridge = bridge.create(
            {
                "month_from": month_from,
                "month_to": month_to,
                "company_id": self.company.id,
                **vals,
            }
        )
        bridge.action_compute()
        parts = sum(bridge[f"amount_{part}"] for part in PARTS)
        self.assertAlmostEqual(bridge.amount_start + parts, bridge.amount_end, 6)
        return bridge

    def _get_parts(self, *args, **vals):
        """Return start, end and what is not 0 in between."""
        bridge = self._get_bridge(*args, **vals)
        parts = {part: round(bridge[f"amount_{part}"], 2) for part in PARTS}
        found = {part: amount for part, amount in parts.items() if amount}
        return round(bridge.amount_start, 2), found, round(bridge.amount_end, 2)

    def _change(self, line, date, **vals):
        return line._change_from(self._date(date), vals or None)

    def test_new_and_ended(self):
        self._make_contract(date_start="2024-01-01", date_end="2024-02-10")
        self._make_contract([{"price_unit": 30.0}], date_start="2024-02-29")
        self._make_contract([{"price_unit": 5.0}], date_start="2024-01-31")
        self.assertEqual(self._get_parts(), (105.0, {"new": 30.0, "ended": -100.0}, 35.0))

    def test_what_begins_and_ends_in_between_is_nowhere(self):
        self._make_contract(date_start="2024-02-01", date_end="2024-02-10")
        self.assertEqual(self._get_parts(), (0.0, {}, 0.0))

    def test_a_successor_is_a_change_of_price(self):
        line = self._make_contract(date_start="2024-01-01").line_ids
        self._change(line, "2024-02-16", price_unit=110.0)
        self.assertEqual(self._get_parts(), (100.0, {"price": 10.0}, 110.0))

    def test_two_changes_in_a_row_are_compared_with_the_first(self):
        line = self._make_contract([{"quantity": 2.0, "price_unit": 10.0}]).line_ids
        line = self._change(line, "2024-02-02", quantity=3.0)
        self._change(line, "2024-02-20", price_unit=12.0)
        parts = {"quantity": 10.0, "price": 6.0}
        self.assertEqual(self._get_parts(), (20.0, parts, 36.0))

    def test_an_end_by_a_change_is_an_end(self):
        line = self._make_contract(date_start="2024-01-01").line_ids
        new = self._change(line, "2024-02-02", price_unit=110.0)
        self._change(new, "2024-02-20")
        self.assertEqual(self._get_parts(), (100.0, {"ended": -100.0}, 0.0))
        bridge = self._get_bridge("2024-01-01", "2024-03-01")
        self.assertEqual(bridge.amount_ended, -100.0)

    def test_successor_of_a_successor_without_the_one_between(self):
        """The line in between is in force in neither of the months."""
        line = self._make_contract(date_start="2024-01-01").line_ids
        line = self._change(line, "2024-02-02", price_unit=110.0)
        self._change(line, "2024-03-02", price_unit=120.0)
        self.assertEqual(
            self._get_parts("2024-01-01", "2024-04-01"), (100.0, {"price": 20.0}, 120.0)
        )

    def test_a_yearly_quantity_makes_no_odd_cent_of_price(self):
        vals = {"price_unit": 1000.0, "price_interval": "year"}
        line = self._make_contract([vals]).line_ids
        self._change(line, "2024-02-02", quantity=2.0)
        self.assertEqual(self._get_parts(), (83.33, {"quantity": 83.34}, 166.67))

    def test_two_successors_at_once_are_another_change(self):
        line = self._make_contract(date_start="2024-01-01").line_ids
        new = self._change(line, "2024-02-02", price_unit=40.0)
        new.copy(
            {
                "contract_id": line.contract_id.id,
                "date_start": "2024-02-10",
                "previous_line_id": line.id,
                "price_unit": 70.0,
            }
        )
        self.assertEqual(self._get_parts(), (100.0, {"other": 10.0}, 110.0))

    def test_credits_by_hand_come_and_go(self):
        invoice = self._bill([{}], date_start="2024-01-01")
        with freeze_time("2024-02-10"):
            self._credit(invoice, 20.0, date="2024-02-05")
        self.assertEqual(self._get_parts(), (100.0, {"credit": -20.0}, 80.0))
        self.assertEqual(
            self._get_parts("2024-02-01", "2024-03-01"), (80.0, {"credit": 20.0}, 100.0)
        )

    def test_credits_that_are_billed_again_and_those_of_runs_are_none(self):
        invoice = self._bill([{}], date_start="2024-01-01")
        with freeze_time("2024-02-10"):
            self._credit(invoice, invoice_bill_again=True, date="2024-02-05")
        self.assertEqual(self._get_parts(), (100.0, {}, 100.0))
        self._run_all("2024-01-15")
        self._end("2024-01-10")
        self.assertEqual(self._get_parts(), (0.0, {}, 0.0))

    def test_company_currency_at_one_rate(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        euro.rate_ids.unlink()
        for name, rate in (("2024-01-01", 0.3), ("2024-02-01", 0.7)):
            self.env["res.currency.rate"].create(
                {
                    "currency_id": euro.id,
                    "name": name,
                    "company_id": self.company.id,
                    "rate": rate,
                }
            )
        lines = self._make_contract([{}, {"price_unit": 10.0}], currency_id=euro.id).line_ids
        self._change(lines[0], "2024-02-02", price_unit=100.1)
        self._change(lines[1], "2024-02-02")
        parts = {"price": 0.34, "ended": -33.33}
        self.assertEqual(self._get_parts(), (366.66, parts, 333.67))

    def test_clusters_and_companies(self):
        cluster = self.env["billing.cluster"].create(
            {"name": "North", "company_id": self.company.id}
        )
        self._make_contract(date_start="2024-02-01", cluster_id=cluster.id)
        self._make_contract([{"price_unit": 3.0}], date_start="2024-02-01")
        other = self.setup_other_company()["company"]
        self._make_contract(
            [{"product_id": self.env["product.product"].create({"name": "Room"}).id}],
            date_start="2024-02-01",
            company_id=other.id,
        )
        self.assertEqual(self._get_parts()[2], 103.0)
        self.assertEqual(self._get_parts(cluster_ids=cluster.ids)[2], 100.0)
        with self.assertRaises(AccessError):
            self._get_bridge(company_id=other.id)

    def test_random_histories_add_up(self):
        """Contracts that begin, end and change at random: over every pair of months."""
        dice = random.Random(20240115)
        for _number in range(12):
            lines = [
                {
                    "price_unit": dice.randint(-500, 99999) / 100,
                    "quantity": dice.choice([1, 2, 3.5]),
                    "price_interval": dice.choice(["day", "week", "month", "quarter", "year"]),
                    "discount": dice.choice([0, 0, 12.5]),
                }
                for _line in range(dice.randint(1, 3))
            ]
            start = f"2024-0{dice.randint(1, 6)}-{dice.randint(1, 28)}"
            contract = self._make_contract(lines, date_start=start)
            for month in range(1, 8):
                self._change_at_random(dice, contract, month)
        months = [f"2024-0{month}-01" for month in range(1, 8)]
        bridges = {
            (one, other): self._get_bridge(one, other)
            for number, one in enumerate(months)
            for other in months[number + 1 :]
        }
        self.assertTrue(
            all(any(b[f"amount_{part}"] for b in bridges.values()) for part in PARTS[:4])
        )
        for one, other in zip(months, months[1:], strict=False):
            steps = bridges[one, other]
            if other != months[-1]:
                following = bridges[other, months[months.index(other) + 1]]
                self.assertAlmostEqual(steps.amount_end, following.amount_start, 6)

    def _change_at_random(self, dice, contract, month):
        day = self._date(f"2024-0{month}-{dice.randint(2, 28)}")
        lines = contract.line_ids.filtered(
            lambda line: (
                line._get_own_days()[0] < day and (not line.date_end or line.date_end >= day)
            )
        )
        for line in lines.filtered(lambda line: dice.random() < 0.4):
            vals = dice.choice(
                [
                    {"price_unit": dice.randint(1, 9999) / 100},
                    {"quantity": dice.randint(0, 9)},
                    {"quantity": dice.randint(1, 9), "price_unit": dice.randint(1, 9999) / 100},
                    None,
                ]
            )
            line._change_from(day, vals)

    def test_each_part_opens_its_contracts(self):
        ended = self._make_contract(date_start="2024-01-01", date_end="2024-02-10")
        new = self._make_contract(date_start="2024-02-10")
        bridge = self._get_bridge()
        for kind, contract in (("new", new), ("ended", ended), ("start", ended)):
            action = bridge.with_context(bridge_kind=kind).action_open_part()
            found = self.env["billing.contract"].with_user(self.user).search(action["domain"])
            self.assertEqual(found, contract)
        self.assertEqual(action["name"], "Before")
        rows = self.env["billing.bridge.line"].with_user(self.user)
        rows = rows.search(bridge.action_open_details()["domain"])
        self.assertEqual(sum(rows.mapped("amount")), bridge.amount_end)
        self.assertEqual(len(rows), 3)
        self.assertEqual(bridge.display_name, "January 2024 – February 2024")

    def test_months_in_order(self):
        with self.assertRaisesRegex(UserError, "the earlier one first"):
            self._get_bridge("2024-02-28", "2024-02-01")
        bridge = self.env["billing.bridge"].with_user(self.user).create({})
        self.assertEqual(bridge.month_to, fields.Date.today())
        self.assertEqual(str(bridge.month_from), "2023-12-15")
