"""Index clauses: the engine with the worked examples, and contracts that follow an index."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from odoo.addons.invoice_run.engine import indexation
from odoo.addons.invoice_run.engine.indexation import Clause, Series, Standing, Value
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import BaseCase, tagged

from .common import InvoiceRunCommon
from .properties import FIXED
from .test_periods import day

NUMBERS = st.decimals("50", "200", places=2).map(Fraction)
PRICES = st.decimals("0.01", "5000", places=2).map(Fraction)


def series(text, factors=None):
    """``2023-01:110.09 2023-12:111.56@2013``: values of months, with a base year after the @."""
    values = {}
    for part in text.split():
        month, number = part.split(":")
        number, _at, base = number.partition("@")
        base = int(base or 0)
        values.setdefault(day(f"{month}-01"), {})[base] = Value(Fraction(number), base)
    return Series(values, factors or {})


CLAUSE = Clause(first_date=day("2024-01-01"), base_month=day("2023-01-01"))


def adjusted(text, price, clause=CLAUSE, last=None, on="2024-01-01", **factors):
    price = Fraction(str(price))
    last = last or Standing(price, clause.base_month)
    return indexation.adjust(clause, series(text, **factors), price, last, day(on))


@tagged("post_install", "-at_install")
class TestIndexation(BaseCase):
    def test_worked_examples(self):
        for text, price, expected in (
            ("2023-01:110.09 2023-12:111.56", "1000", "1013.35"),
            ("2023-01:128.57 2023-12:134.12", "850", "886.69"),
        ):
            found = adjusted(text, price)
            self.assertEqual(found.price, Fraction(expected))
            self.assertTrue(found.is_applied)

    def test_days_of_adjustment(self):
        clause = replace(CLAUSE, first_date=day("2024-01-31"), every_months=1)
        days = indexation.due_dates(clause, day("2024-02-01"), day("2024-04-30"))
        self.assertEqual([str(one) for one in days], ["2024-02-29", "2024-03-31", "2024-04-30"])
        self.assertEqual(clause.month_of(day("2024-01-31")), day("2023-12-01"))
        self.assertEqual(
            replace(clause, lag_months=3).month_of(day("2024-02-29")), day("2023-11-01")
        )

    def test_base_and_chain(self):
        """Base always starts from the agreed price, chain from the last one, rounded as it is."""
        text = "2023-01:100 2023-12:103.33 2024-12:110"
        first = adjusted(text, "33.35")
        last = Standing(first.price, first.month)
        for formula, expected in (("base", "36.69"), ("chain", "36.68")):
            clause = replace(CLAUSE, formula=formula)
            found = adjusted(text, "33.35", clause, last, "2025-01-01")
            # 33.35 × 1.1 = 36.685; 34.46 × 110 ÷ 103.33 = 36.6844
            self.assertEqual(found.price, Fraction(expected), formula)

    def test_threshold_adds_up(self):
        clause = replace(CLAUSE, threshold=Fraction(5))
        text = "2023-01:100 2023-12:104.99 2024-12:105"
        found = adjusted(text, 1000, clause)
        self.assertFalse(found.is_applied)
        self.assertEqual(found.price, 1000)
        found = adjusted(text, 1000, clause, on="2025-01-01")
        self.assertEqual(found.price, 1050)

    def test_floor_cap_share(self):
        rise, fall = "2023-01:100 2023-12:110", "2023-01:100 2023-12:95"
        for text, terms, expected in (
            (rise, {"cap": Fraction(3)}, 1030),
            (fall, {"floor": Fraction(0)}, 1000),
            (fall, {"floor": Fraction(-2)}, 980),
            (rise, {"share": Fraction(75)}, 1075),
            (rise, {"share": Fraction(50), "cap": Fraction(4)}, 1040),
            (rise, {"floor": Fraction(1), "cap": Fraction(20)}, 1100),
        ):
            with self.subTest(terms=terms):
                self.assertEqual(adjusted(text, 1000, replace(CLAUSE, **terms)).price, expected)

    def test_base_years_are_chained(self):
        """2004 = 100 to 2013 = 100 to 2020 = 100, by the published factors, both ways."""
        factors = {(2004, 2013): Fraction("0.8"), (2013, 2020): Fraction("0.9")}
        text = "2023-01:125@2004 2023-12:99@2020"
        found = adjusted(text, 1000, factors=factors)
        # 125 × 0.8 × 0.9 = 90
        self.assertEqual((found.old.number, found.price), (90, 1100))
        back = adjusted("2023-01:90@2020 2023-12:137.5@2004", 1000, factors=factors)
        self.assertEqual(back.price, 1100)
        with self.assertRaises(indexation.NoFactor) as caught:
            adjusted(text, 1000, factors={(2004, 2013): Fraction(1)})
        self.assertEqual((caught.exception.base, caught.exception.other), (2004, 2020))

    def test_shared_base_needs_no_factor(self):
        found = adjusted("2023-01:125@2004 2023-01:90@2020 2023-12:99@2020", 1000)
        self.assertEqual(found.price, 1100)

    def test_not_published(self):
        for text, missing in (("2023-01:100", "2023-12-01"), ("2023-12:100", "2023-01-01")):
            with self.assertRaises(indexation.NotPublished) as caught:
                adjusted(text, 1000)
            self.assertEqual(caught.exception.month, day(missing))

    def test_impossible_clauses(self):
        for terms in (
            {"every_months": 0},
            {"lag_months": -1},
            {"threshold": Fraction(-1)},
            {"floor": Fraction(3), "cap": Fraction(2)},
        ):
            with self.subTest(terms=terms), self.assertRaises(ValueError):
                replace(CLAUSE, **terms)

    @settings(max_examples=300, **FIXED)
    @given(PRICES, NUMBERS, NUMBERS, NUMBERS)
    def test_properties(self, price, base, new, third):
        """One rounding; a bound holds; the higher index never makes the lower price."""
        text = f"2023-01:{float(base)} 2023-12:{float(new)}"
        found = adjusted(text, price)
        self.assertLessEqual(abs(found.price - price * new / base), Fraction(1, 200))
        bounded = replace(CLAUSE, floor=Fraction(0), cap=Fraction(3), rounding=Fraction())
        self.assertTrue(price <= adjusted(text, price, bounded).price <= price * 103 / 100)
        other = adjusted(f"2023-01:{float(base)} 2023-12:{float(third)}", price)
        self.assertEqual(found.price >= other.price, new >= third or found.price == other.price)
        unrounded = replace(CLAUSE, formula="chain", rounding=Fraction())
        first = adjusted(text, price, unrounded)
        text += f" 2024-12:{float(third)}"
        again = adjusted(text, price, unrounded, Standing(first.price, first.month), "2025-01-01")
        self.assertEqual(again.price, price * third / base, "a chain without rounding never drifts")


@tagged("post_install", "-at_install")
class TestIndexClauses(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.index = cls.env["billing.index"].create(
            {
                "code": "HEALTH",
                "name": "Health Index",
                "company_id": cls.company.id,
                "value_ids": [Command.create({"month": "2023-01-31", "value": 110.09})],
            }
        )

    def _publish(self, month, value, **vals):
        return self.env["billing.index.value"].create(
            {"index_id": self.index.id, "month": month, "value": value, **vals}
        )

    def _make_rent(self, price=1000.0, lines=None, **vals):
        contract = self._make_contract(
            lines or [{"price_unit": price}], date_start="2023-12-01", date_end="2027-12-31"
        )
        self.env["billing.index.clause"].create(
            {
                "contract_id": contract.id,
                "index_id": self.index.id,
                "base_month": "2023-01-15",
                "first_date": "2024-01-01",
                **vals,
            }
        )
        return contract

    def test_waits_for_the_index(self):
        """Until it is published, the line is an exception that names it; the others go on."""
        contract = self._make_rent()
        other = self._make_contract([{"price_unit": 50.0}], date_start="2024-01-01")
        run = self._run_all("2024-01-15")
        self.assertEqual(run.line_ids.mapped("contract_id"), contract | other)
        self.assertAmounts(run, [1000.0, 50.0])
        self.assertIn("HEALTH Health Index of December 2023", run.exception_ids.message)
        self.assertEqual(run.exception_ids.contract_id, contract)
        self._publish("2023-12-01", 111.56)
        run = self._run_all("2024-01-15")
        self.assertEqual(self._get_periods(run), ["2024-01-01/2024-01-31"])
        self.assertAmounts(run, [1013.35])
        self.assertFalse(run.exception_ids)

    def test_revised_value_changes_nothing(self):
        contract = self._make_rent()
        value = self._publish("2023-12-01", 111.56)
        rows = contract.line_ids.price_ids
        self.assertEqual(rows.mapped("price_unit"), [1013.35])
        self.assertIn("110.09 → 111.56", rows.note)
        value.value = 120.0
        self._publish("2024-12-01", 112.0)
        rows = contract.line_ids.price_ids.sorted("date_from")
        self.assertEqual(rows.mapped("index_value"), [111.56, 112.0])
        self.assertEqual(rows[0].price_unit, 1013.35)

    def test_recalculated_on_purpose(self):
        """By the button, and only what is not invoiced."""
        contract = self._make_rent()
        value = self._publish("2023-12-01", 111.56)
        self._run_all("2023-12-15")
        value.value = 121.099
        contract.index_clause_ids.with_user(self.user).action_recalculate()
        self.assertEqual(contract.line_ids.price_ids.price_unit, 1100.0)
        self._run_all("2024-01-15")
        value.value = 111.56
        contract.index_clause_ids.action_recalculate()
        self.assertEqual(contract.line_ids.price_ids.price_unit, 1100.0)

    def test_all_lines_of_a_contract(self):
        """But those with a clause of their own, and one-off ones."""
        contract = self._make_rent(
            lines=[
                {"price_unit": 1000.0},
                {"price_unit": 200.0},
                {"price_unit": 10.0, "price_interval": "once"},
            ]
        )
        first, second, _once = contract.line_ids
        self.env["billing.index.clause"].create(
            {
                "contract_id": contract.id,
                "contract_line_id": second.id,
                "index_id": self.index.id,
                "base_month": "2023-01-01",
                "first_date": "2025-01-01",
            }
        )
        self._publish("2023-12-01", 121.099)
        self.assertEqual(first.price_ids.price_unit, 1100.0)
        self.assertFalse(second.price_ids)

    def test_after_a_change(self):
        """A line with a new quantity goes on; one with a new price starts from it."""
        self._publish("2023-12-01", 121.099)
        contract = self._make_rent()
        line = contract.line_ids._change_from(day("2024-06-01"), {"quantity": 2.0})
        self._publish("2024-12-01", 132.108)
        self.assertEqual(line.price_ids.price_unit, 1200.0)
        self._publish("2025-05-01", 132.108)
        line = line._change_from(day("2025-06-01"), {"price_unit": 1500.0})
        self._publish("2025-12-01", 145.3188)
        self.assertEqual(line.price_ids.price_unit, 1650.0)

    def test_chain_from_the_base_price(self):
        contract = self._make_rent(price=1020.0, base_price=1000.0, formula="chain")
        self._publish("2023-12-01", 121.099)
        self._publish("2024-12-01", 133.2089)
        rows = contract.line_ids.price_ids.sorted("date_from")
        self.assertEqual(rows.mapped("price_unit"), [1100.0, 1210.0])

    def test_threshold_is_kept_as_decided(self):
        contract = self._make_rent(threshold_percent=5.0)
        self._publish("2023-12-01", 111.56)
        rows = contract.line_ids.price_ids
        self.assertEqual((rows.price_unit, rows.is_applied), (1000.0, False))
        self.assertAmounts(self._run_all("2024-01-15"), [1000.0, 1000.0])
        self._publish("2024-12-01", 121.099)
        rows = contract.line_ids.price_ids.sorted("date_from")
        self.assertEqual(rows.mapped("price_unit"), [1000.0, 1100.0])

    def test_reason(self):
        self._make_rent()
        self._publish("2023-12-01", 121.099)
        self._run_all("2023-12-15")
        run = self._make_amounts(self._make_run("2024-01-15"))
        changes = run.document_ids._get_changes()[run.document_ids]
        self.assertEqual([reason["text"] for reason in changes[0].reasons], ["index +10.0 %"])

    def test_agreed_price_of_that_day_stands(self):
        contract = self._make_rent()
        contract.line_ids.price_ids = [
            Command.create({"date_from": "2024-01-01", "price_unit": 990.0})
        ]
        self._publish("2023-12-01", 121.099)
        self.assertAmounts(self._run_all("2024-01-15"), [1000.0, 990.0])
        self._publish("2024-12-01", 133.2089)
        run = self._run_all("2025-01-01")
        self.assertEqual(run.line_ids.sorted("billing_date_from")[-1].amount, 1210.0)

    def test_rows_of_an_index_are_the_engines(self):
        contract = self._make_rent()
        self._publish("2023-12-01", 121.099)
        rows = contract.line_ids.price_ids.with_user(self.user)
        for change in (lambda: rows.write({"price_unit": 1.0}), rows.unlink):
            with self.assertRaises(UserError):
                change()
        with self.assertRaises(UserError):
            rows.create(
                {
                    "contract_line_id": contract.line_ids.id,
                    "date_from": "2025-01-01",
                    "kind": "index",
                }
            )

    def test_four_eyes(self):
        """Who types in the value has prepared what is invoiced at the new price."""
        self._make_rent()
        values = self.env["billing.index.value"].with_user(self.user)
        values.create({"index_id": self.index.id, "month": "2023-12-01", "value": 111.56})
        run = self._make_amounts(self._make_run("2024-01-15"), self.manager)
        self.assertTrue(run._get_prepared_by(self.user))

    def test_impossible_clause(self):
        for vals in ({"every_months": 0}, {"lag_months": -1}, {"threshold_percent": -1.0}):
            with self.subTest(vals=vals), self.assertRaises(UserError):
                self._make_rent(**vals)

    def test_imported_values(self):
        """By Odoo's import; a month twice is refused at its row."""
        fields = ["index_id", "month", "value", "base_year"]
        values = self.env["billing.index.value"].with_user(self.user)
        rows = [["HEALTH", "2023-12-01", "111.56", "0"], ["HEALTH", "2024-12-01", "112", "0"]]
        result = values.load(fields, rows)
        self.assertFalse(result["messages"])
        self.assertEqual(len(result["ids"]), 2)
        self.assertTrue(values.load(fields, rows[:1])["messages"])
