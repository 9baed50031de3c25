"""Kinds of contract, 24 months of both modules side by side, to the cent."""

from odoo.fields import Command
from odoo.tests import tagged

from .common import FromContractCommon

MONTHS = 24


@tagged("post_install", "-at_install")
class TestKinds(FromContractCommon):
    def _check_kind(self, invoices, until, *, made=2, verdict="ready", kinds=(), **vals):
        """Make ``made`` invoices there, then compare ``invoices`` coming ones.

        :param until: last invoiced day that is found for each line
        """
        contract = self._make_oca(*kinds, **vals)
        self._invoice_oca(contract, made)
        report = self._get_report(contract, count=invoices)
        self.assertEqual(report["verdict"], verdict, report["findings"])
        found = [str(line["invoiced_until"]) for line in report["lines"]]
        self.assertEqual(found, until)
        pairs = [(pair["theirs"], pair["ours"]) for pair in report["invoices"]]
        self.assertEqual(len(pairs), invoices)
        names = ("untaxed", "tax", "total")
        for theirs, ours in pairs:
            self.assertEqual([theirs[name] for name in names], [ours[name] for name in names])
            self.assertTrue(ours["total"])
            # in arrears, OCA's day is the one after the period
            self.assertIn((theirs["date"] - ours["date"]).days, (0, 1))
        return contract

    def test_weekly(self):
        self._check_kind(52, ["2024-01-14"], kinds=("weekly", 1))

    def test_four_weekly_in_arrears(self):
        self._check_kind(26, ["2024-02-25"], kinds=("weekly", 4, "post-paid"))

    def test_every_14_days(self):
        self._check_kind(26, ["2024-01-28"], kinds=("daily", 14))

    def test_monthly(self):
        self._check_kind(MONTHS, ["2024-02-29"])

    def test_monthly_in_arrears(self):
        self._check_kind(MONTHS, ["2024-02-29"], kinds=("monthly", 1, "post-paid"))

    def test_monthly_from_the_15th(self):
        self._check_kind(MONTHS, ["2024-03-14"], date_start="2024-01-15")

    def test_month_last_day(self):
        self._check_kind(MONTHS, ["2024-02-29"], kinds=("monthlylastday", 1))

    def test_month_last_day_from_mid_month(self):
        """A first month that is cut costs a full month there, so here."""
        self._check_kind(
            MONTHS,
            ["False"],
            made=0,
            kinds=("monthlylastday", 1, "post-paid"),
            date_start="2024-01-15",
        )

    def test_two_months(self):
        self._check_kind(12, ["2024-04-30"], kinds=("monthly", 2))

    def test_quarterly(self):
        self._check_kind(8, ["2024-06-30"], kinds=("quarterly", 1))

    def test_quarterly_in_arrears_from_mid_month(self):
        self._check_kind(
            8, ["2024-08-09"], kinds=("quarterly", 1, "post-paid"), date_start="2024-02-10"
        )

    def test_half_yearly(self):
        self._check_kind(4, ["2024-12-31"], kinds=("semesterly", 1))

    def test_yearly(self):
        self._check_kind(2, ["2025-12-31"], kinds=("yearly", 1))

    def test_yearly_in_arrears_from_mid_month(self):
        self._check_kind(
            2, ["2026-05-19"], kinds=("yearly", 1, "post-paid"), date_start="2024-05-20"
        )

    def test_quantity_discount_and_odd_prices(self):
        lines = [
            {"quantity": 3, "specific_price": 33.33, "discount": 12.5},
            {"quantity": 0.25, "specific_price": 19.99},
            {"quantity": -1, "specific_price": 10},
        ]
        self._check_kind(MONTHS, ["2024-02-29"] * 3, lines=lines)

    def _make_taxed_lines(self, discount):
        tax = self.env["account.tax"].create(
            {"name": "19 %", "amount": 19, "price_include_override": "tax_excluded"}
        )
        included = tax.copy({"name": "19 % incl.", "price_include_override": "tax_included"})
        return [
            {
                "product_id": self._make_product(name, 0.0, taxes_id=[Command.set(taxes.ids)]).id,
                "specific_price": 28.57,
                "discount": discount,
            }
            for name, taxes in (("On top", tax), ("Included", included))
        ]

    def test_taxes_on_top_and_included(self):
        lines = self._make_taxed_lines(discount=0)
        contract = self._check_kind(MONTHS, ["2024-02-29"] * 2, lines=lines)
        self.assertTrue(self._get_report(contract)["invoices"][0]["ours"]["tax"])

    def test_cent_that_differs_is_named(self):
        """28.57 less 10 %, tax included, are 25.713: Odoo taxes that, a run the 25.71 it shows."""
        contract = self._make_oca(lines=self._make_taxed_lines(discount=10))
        report = self._get_report(contract)
        self.assertEqual(report["verdict"], "accept")
        self.assertIn("56.32", self._get_texts(report, "accept")[0])
        self.assertIn("56.31", self._get_texts(report, "accept")[0])

    def test_lines_with_periods_of_their_own(self):
        """Two contracts here, the same money on the same days."""
        lines = [
            {"recurring_rule_type": "monthly", "recurring_interval": 1},
            {
                "recurring_rule_type": "monthly",
                "recurring_interval": 3,
                "recurring_invoicing_type": "post-paid",
                "specific_price": 250.0,
            },
        ]
        contract = self._make_oca(lines=lines, line_recurrence=True)
        self._invoice_oca(contract, 2)
        report = self._get_report(contract, count=12)
        self.assertEqual(report["verdict"], "accept")
        self.assertIn("2 contracts", self._get_texts(report, "accept")[0])
        self.assertEqual(len(self._take_over(contract, accept=True)), 2)

    def test_fixed_end(self):
        contract = self._check_kind(10, ["2024-02-29"], date_end="2024-12-31")
        self.assertEqual(len(self._get_report(contract, count=60)["invoices"]), 10)

    def test_end_within_a_month(self):
        """There a last month that is cut costs a full month, so here."""
        contract = self._check_kind(10, ["2024-02-29"], date_end="2024-12-15")
        self.assertEqual(len(self._get_report(contract, count=60)["invoices"]), 10)

    def test_currency_without_cents(self):
        yen = self.env.ref("base.JPY")
        yen.active = True
        self.env["res.currency.rate"].create(
            {
                "currency_id": yen.id,
                "name": "2023-01-01",
                "rate": 150,
                "company_id": self.company.id,
            }
        )
        self._check_kind(
            MONTHS,
            ["2024-02-29"],
            manual_currency_id=yen.id,
            lines=[{"specific_price": 1234, "discount": 3}],
        )
