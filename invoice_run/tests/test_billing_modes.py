import psycopg2
from freezegun import freeze_time

from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon


class BillingCommon(InvoiceRunCommon):
    def _propose(self, target, scenario=None, **vals):
        """Generate the amounts of an ad hoc run; they claim their days."""
        return self._make_amounts(self._make_run(target, scenario, **vals))

    def _get_proposals(self, run):
        lines = run.line_ids.sorted(lambda line: (line.billing_date_from, line.id))
        return [
            (str(line.billing_date_from), str(line.billing_date_to), line.amount) for line in lines
        ]

    def assertProposed(self, target, expected, scenario=None, **vals):
        """Propose up to ``target``: (from, to, amount) of each line, in order of period."""
        run = self._propose(target, scenario, **vals)
        self.assertEqual(self._get_proposals(run), expected)
        return run

    def assertNext(self, contract, day):
        self.assertEqual(contract.next_invoicing_date, self._date(day) or False)


@tagged("post_install", "-at_install")
class TestUntilADate(BillingCommon):
    """Modes ``date`` and ``end``, from the contract and from the scenario."""

    def _make_until(self, until, **vals):
        return self._make_contract(billing_mode="date", invoice_until=until, **vals)

    def test_part_of_a_month(self):
        contract = self._make_until("2020-11-25", date_start="2020-11-01")
        self.assertNext(contract, "2020-11-01")
        self.assertProposed("2020-11-01", [("2020-11-01", "2020-11-25", 83.33)])
        self.assertNext(contract, None)

    def test_ten_months_and_a_part_on_one_document(self):
        self._make_until("2020-11-25")
        run = self.assertProposed("2020-12-31", [("2020-01-10", "2020-11-25", 1053.33)])
        self.assertEqual(len(run.document_ids), 1)

    def test_until_a_date_then_further_then_periodic(self):
        contract = self._make_until("2020-10-31")
        self.assertProposed("2020-11-25", [("2020-01-10", "2020-10-31", 970.97)])
        self.assertNext(contract, None)
        contract.invoice_until = "2020-11-25"
        self.assertNext(contract, "2020-11-01")
        self.assertProposed("2020-11-25", [("2020-11-01", "2020-11-25", 82.36)])
        contract.billing_mode = "periodic"
        self.assertNext(contract, "2020-11-10")
        self.assertProposed("2020-11-26", [("2020-11-26", "2020-12-09", 46.67)])
        self.assertNext(contract, "2020-12-10")
        self.assertEqual(contract.line_ids.invoiced_until, self._date("2020-12-09"))
        self.assertProposed("2020-12-10", [("2020-12-10", "2021-01-09", 100.0)])

    def test_nothing_before_its_first_open_day(self):
        self._make_until("2020-11-25")
        self.assertProposed("2020-01-09", [])

    def test_never_past_the_end(self):
        self._make_until("2020-11-25", date_end="2020-02-09")
        self.assertProposed("2020-12-31", [("2020-01-10", "2020-02-09", 100.0)])

    def test_all_contracts_until_the_target_date(self):
        scenario = self._make_scenario("To a date", billing_mode="date")
        first = self._make_contract(date_start="2020-11-01")
        second = self._make_until("2020-11-10", date_start="2020-11-16")
        self._make_contract(date_start="2020-11-26")
        run = self._propose("2020-11-25", scenario)
        self.assertEqual(
            self._get_proposals(run),
            [("2020-11-01", "2020-11-25", 83.33), ("2020-11-16", "2020-11-25", 33.33)],
        )
        self.assertEqual(run.line_ids.contract_id, first | second)
        self.assertProposed("2020-11-25", [], scenario)

    def test_until_a_date_needs_the_date(self):
        with self.assertRaisesRegex(ValidationError, "Invoice Until"):
            self._make_until(False)

    def test_split_makes_one_document_per_period(self):
        scenario = self._make_scenario("Split", split_periods=True)
        self._make_until("2020-03-20")
        run = self.assertProposed(
            "2020-03-31",
            [
                ("2020-01-10", "2020-02-09", 100.0),
                ("2020-02-10", "2020-03-09", 100.0),
                ("2020-03-10", "2020-03-20", 35.48),
            ],
            scenario,
        )
        self.assertEqual(len(run.document_ids), 3)

    def test_until_the_end(self):
        contract = self._make_contract(billing_mode="end", date_end="2020-04-24")
        self.assertNext(contract, "2020-01-10")
        run = self.assertProposed("2020-01-10", [("2020-01-10", "2020-04-24", 350.0)])
        self.assertEqual(len(run.document_ids), 1)
        self.assertNext(contract, None)

    def test_until_the_end_split(self):
        scenario = self._make_scenario("To the end", billing_mode="end", split_periods=True)
        self._make_contract(date_end="2020-03-01")
        run = self._propose("2020-01-10", scenario)
        self.assertEqual(self._get_periods(run), ["2020-01-10/2020-02-09", "2020-02-10/2020-03-01"])
        self.assertEqual(len(run.document_ids), 2)

    def test_until_the_end_of_a_quarter(self):
        self._make_contract(
            [{"price_interval": "quarter"}],
            billing_mode="end",
            date_start="2023-01-01",
            date_end="2023-04-14",
        )
        self.assertProposed("2023-01-01", [("2023-01-01", "2023-04-14", 115.56)])

    def test_three_tens_of_april(self):
        contract = self._make_until("2023-04-10", date_start="2023-04-01")
        amounts = []
        for day in ("2023-04-10", "2023-04-20", "2023-04-30"):
            contract.invoice_until = day
            amounts += self._propose(day).line_ids.mapped("amount")
        self.assertEqual(amounts, [33.33, 33.34, 33.33])

    def test_skip_before_bills_the_days_from_it(self):
        contract = self._make_until("2020-11-25", date_start="2020-11-01")
        self.assertProposed(
            "2020-11-25", [("2020-11-16", "2020-11-25", 33.33)], skip_before="2020-11-16"
        )
        self.assertNext(contract, "2020-11-01")
        self.assertProposed("2020-11-25", [("2020-11-01", "2020-11-15", 50.0)])


@tagged("post_install", "-at_install")
class TestPeriodic(BillingCommon):
    """Mode ``periodic``: which periods a run takes, and what they cost."""

    def assertAdHoc(self, target, expected, invoiced_to="2021-03-09", prebilled=1, **vals):
        """Compare (from, to) of what an ad hoc run proposes: a row of the design's table."""
        contract = self._make_contract(
            [{"initial_invoiced_until": invoiced_to}], prebilling_periods=prebilled, **vals
        )
        run = self._propose(target)
        contract.action_cancel()
        spans = [(date_from, date_to) for date_from, date_to, _amount in self._get_proposals(run)]
        self.assertEqual(spans, expected)
        self.assertEqual(len(run.document_ids), len(expected))
        return run.line_ids

    def test_ad_hoc_monthly(self):
        self.assertAdHoc(
            "2021-04-30",
            [
                ("2021-03-10", "2021-04-09"),
                ("2021-04-10", "2021-05-09"),
                ("2021-05-10", "2021-06-09"),
            ],
        )

    def test_ad_hoc_quarterly(self):
        self.assertAdHoc(
            "2021-12-31",
            [
                ("2021-04-10", "2021-07-09"),
                ("2021-07-10", "2021-10-09"),
                ("2021-10-10", "2022-01-09"),
                ("2022-01-10", "2022-04-09"),
                ("2022-04-10", "2022-07-09"),
            ],
            invoiced_to="2021-04-09",
            prebilled=2,
            period_count=3,
        )

    def test_ad_hoc_on_the_last_day_of_a_period(self):
        self.assertAdHoc("2021-04-09", [("2021-03-10", "2021-04-09"), ("2021-04-10", "2021-05-09")])

    def test_ad_hoc_on_the_first_day_of_a_period(self):
        self.assertAdHoc(
            "2021-04-10",
            [
                ("2021-03-10", "2021-04-09"),
                ("2021-04-10", "2021-05-09"),
                ("2021-05-10", "2021-06-09"),
            ],
        )

    def test_ad_hoc_to_the_end_of_the_contract(self):
        lines = self.assertAdHoc(
            "2021-04-30",
            [("2021-03-10", "2021-04-09"), ("2021-04-10", "2021-04-28")],
            date_end="2021-04-28",
        )
        self.assertEqual(lines.mapped("amount"), [100.0, 63.33])

    def test_ad_hoc_before_the_start(self):
        first = [("2020-01-10", "2020-02-09")]
        for target, prebilled, expected in (
            ("2020-01-05", 1, first),
            ("2020-01-05", 0, []),
            ("2019-12-09", 1, []),
            ("2019-12-10", 1, first),
        ):
            with self.subTest(target=target, prebilled=prebilled):
                self.assertAdHoc(target, expected, invoiced_to=False, prebilled=prebilled)

    def test_next_date_is_the_earliest_target_that_proposes(self):
        contract = self._make_contract(prebilling_periods=1)
        self.assertNext(contract, "2019-12-10")
        contract.prebilling_periods = 0
        self.assertNext(contract, "2020-01-10")
        contract.billing_timing = "arrears"
        self.assertNext(contract, "2020-02-09")
        contract.date_end = "2020-01-31"
        self.assertNext(contract, "2020-01-31")
        contract.state = "cancelled"
        self.assertNext(contract, None)

    def test_scheduled_april_takes_periods_and_usage_by_its_end(self):
        contract = self._make_contract(
            [{"initial_invoiced_until": "2023-04-09"}], date_start="2023-01-10"
        )
        for day in ("2023-04-30", "2023-05-01"):
            self._make_usage(date=day, contract_id=contract.id, price_unit=7.0)
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "April",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": "2023-04-01",
                "invoice_date": "2023-05-20",
                "run_count": 1,
            }
        )
        schedule.action_generate_runs()
        run = self._make_amounts(schedule.run_ids)
        self.assertEqual(
            self._get_proposals(run),
            [("2023-04-10", "2023-05-09", 100.0), ("2023-04-30", "2023-04-30", 7.0)],
        )

    def test_calendar_periods(self):
        contract = self._make_contract(date_start="2018-02-24", period_anchor="calendar")
        self.assertNext(contract, "2018-02-24")
        self.assertProposed("2018-02-23", [])
        contract.first_period_due = "grid"
        self.assertNext(contract, "2018-02-01")
        self.assertProposed("2018-02-01", [("2018-02-24", "2018-02-28", 17.86)])
        self.assertProposed("2018-03-01", [("2018-03-01", "2018-03-31", 100.0)])

    def test_calendar_quarters_and_half_years(self):
        common = {"date_start": "2024-02-15", "period_anchor": "calendar"}
        self._make_contract(period_count=3, **common)
        self._make_contract(period_count=6, **common)
        run = self._propose("2024-02-15")
        self.assertEqual(self._get_periods(run), ["2024-02-15/2024-03-31", "2024-02-15/2024-06-30"])
        # 15 of the 29 days of February
        self.assertAmounts(run, [151.72, 451.72])

    def test_prorations_of_january(self):
        for proration, amount in (
            ("actual", 54.84),
            ("thirty", 56.67),
            ("thirty_360", 53.33),
            ("none", 100.0),
        ):
            with self.subTest(proration=proration):
                contract = self._make_contract(
                    [{"date_start": "2025-01-15"}],
                    date_start="2025-01-01",
                    date_end="2025-01-31",
                    proration=proration,
                )
                run = self._propose("2025-01-15")
                self.assertEqual(self._get_proposals(run), [("2025-01-15", "2025-01-31", amount)])
                self.assertNext(contract, None)

    def test_rest_of_january_after_fourteen_days(self):
        contract = self._make_contract(
            date_start="2025-01-01",
            proration="thirty",
            billing_mode="date",
            invoice_until="2025-01-14",
        )
        self.assertProposed("2025-01-14", [("2025-01-01", "2025-01-14", 46.67)])
        contract.billing_mode = "periodic"
        self.assertProposed("2025-01-15", [("2025-01-15", "2025-01-31", 53.33)])

    def test_price_per_year_billed_monthly(self):
        self._make_contract(
            [{"price_unit": 1200.0, "price_interval": "year"}], date_start="2023-01-01"
        )
        self.assertAmounts(self._propose("2023-12-31"), [100.0] * 12)

    def test_anchor_on_the_31st_comes_back(self):
        self._make_contract(date_start="2024-01-31")
        run = self._propose("2024-04-15")
        self.assertEqual(
            self._get_periods(run),
            ["2024-01-31/2024-02-28", "2024-02-29/2024-03-30", "2024-03-31/2024-04-29"],
        )
        self.assertAmounts(run, [100.0] * 3)

    def test_leap_day_yearly(self):
        self._make_contract(
            [{"price_interval": "period"}], date_start="2024-02-29", period_count=12
        )
        self.assertEqual(
            self._get_periods(self._propose("2028-02-29")),
            [
                "2024-02-29/2025-02-27",
                "2025-02-28/2026-02-27",
                "2026-02-28/2027-02-27",
                "2027-02-28/2028-02-28",
                "2028-02-29/2029-02-27",
            ],
        )

    def test_arrears_bills_what_is_over(self):
        contract = self._make_contract(billing_timing="arrears", date_end="2020-03-20")
        self.assertNext(contract, "2020-02-09")
        self.assertProposed("2020-02-08", [])
        self.assertProposed("2020-02-09", [("2020-01-10", "2020-02-09", 100.0)])
        self.assertProposed("2020-03-19", [("2020-02-10", "2020-03-09", 100.0)])
        self.assertNext(contract, "2020-03-20")
        # the last period is cut by the end: over on that day, not on 9 April
        self.assertProposed("2020-03-20", [("2020-03-10", "2020-03-20", 35.48)])
        self.assertNext(contract, None)

    def test_weeks(self):
        self._make_contract(
            [{"price_interval": "week"}, {"price_interval": "period", "price_unit": 50.0}],
            date_start="2024-01-03",
            period_count=2,
            period_unit="week",
        )
        run = self._propose("2024-01-17")
        self.assertEqual(
            self._get_proposals(run),
            [
                ("2024-01-03", "2024-01-16", 200.0),
                ("2024-01-03", "2024-01-16", 50.0),
                ("2024-01-17", "2024-01-30", 200.0),
                ("2024-01-17", "2024-01-30", 50.0),
            ],
        )

    def test_calendar_weeks_begin_on_monday(self):
        self._make_contract(
            [{"price_interval": "week"}],
            date_start="2024-01-03",
            period_unit="week",
            period_anchor="calendar",
        )
        self.assertProposed(
            "2024-01-08",
            [("2024-01-03", "2024-01-07", 71.43), ("2024-01-08", "2024-01-14", 100.0)],
        )

    def test_lines_start_and_end_inside_the_contract(self):
        contract = self._make_contract(
            [
                {},
                {"date_start": "2024-01-16", "price_unit": 31.0},
                {"date_end": "2024-02-10", "price_unit": 29.0},
                {"date_start": "2023-01-01", "date_end": "2030-12-31", "price_unit": 1.0},
            ],
            date_start="2024-01-01",
            date_end="2024-02-29",
        )
        run = self._propose("2024-03-31")
        self.assertEqual(
            self._get_proposals(run),
            [
                ("2024-01-01", "2024-01-31", 100.0),
                ("2024-01-01", "2024-01-31", 29.0),
                ("2024-01-01", "2024-01-31", 1.0),
                ("2024-01-16", "2024-01-31", 16.0),
                ("2024-02-01", "2024-02-29", 100.0),
                ("2024-02-01", "2024-02-29", 31.0),
                ("2024-02-01", "2024-02-10", 10.0),
                ("2024-02-01", "2024-02-29", 1.0),
            ],
        )
        self.assertEqual(len(run.document_ids), 2)
        self.assertNext(contract, None)
        self.assertEqual(
            [str(day) for day in contract.line_ids.mapped("invoiced_until")],
            ["2024-02-29", "2024-02-29", "2024-02-10", "2024-02-29"],
        )

    def test_lines_of_all_intervals_share_a_document(self):
        self._make_contract(
            [
                {"price_interval": "day", "price_unit": 1.0},
                {"price_interval": "week", "price_unit": 7.0},
                {"price_interval": "month"},
                {"price_interval": "quarter"},
                {"price_interval": "half_year"},
                {"price_interval": "year"},
                {"price_interval": "period"},
            ],
            date_start="2024-01-01",
        )
        run = self._propose("2024-03-31")
        self.assertEqual(len(run.document_ids), 3)
        self.assertEqual(
            run.document_ids.line_ids.mapped("amount"),
            [31.0, 31.0, 100.0, 33.33, 16.67, 8.33, 100.0]
            + [29.0, 29.0, 100.0, 33.34, 16.66, 8.34, 100.0]
            + [31.0, 31.0, 100.0, 33.33, 16.67, 8.33, 100.0],
        )

    def test_once_is_billed_once_with_the_first_period(self):
        contract = self._make_contract(
            [{}, {"price_interval": "once", "price_unit": 25.0}], date_start="2024-01-01"
        )
        first = self._propose("2024-02-15")
        self.assertEqual(
            self._get_proposals(first),
            [
                ("2024-01-01", "2024-01-31", 100.0),
                ("2024-01-01", "2024-01-31", 25.0),
                ("2024-02-01", "2024-02-29", 100.0),
            ],
        )
        self.assertEqual(first.document_ids.mapped("amount_untaxed"), [125.0, 100.0])
        self.assertProposed("2024-03-15", [("2024-03-01", "2024-03-31", 100.0)])
        once = contract.line_ids[1]
        self.assertFalse(once.next_period_from)
        first.document_ids[0].action_exclude()
        self.assertEqual(once.next_period_from, self._date("2024-01-01"))
        self.assertProposed(
            "2024-03-15",
            [("2024-01-01", "2024-01-31", 100.0), ("2024-01-01", "2024-01-31", 25.0)],
        )

    def test_once_waits_for_its_own_start(self):
        self._make_contract(
            [{}, {"price_interval": "once", "price_unit": 25.0, "date_start": "2024-02-10"}],
            date_start="2024-01-01",
        )
        self.assertProposed("2024-01-31", [("2024-01-01", "2024-01-31", 100.0)])
        run = self._propose("2024-02-01")
        self.assertAmounts(run, [100.0, 25.0])
        self.assertEqual(len(run.document_ids), 1)

    def test_once_alone(self):
        contract = self._make_contract(
            [{"price_interval": "once", "price_unit": 25.0}],
            billing_mode="end",
            date_start="2024-01-01",
            date_end="2024-12-31",
        )
        self.assertAmounts(self._propose("2024-01-01"), [25.0])
        self.assertNext(contract, None)
        self.assertAmounts(self._propose("2025-01-01"), [])

    def test_go_live_bills_only_what_comes_after(self):
        contract = self._make_contract(
            [
                {"initial_invoiced_until": "2024-01-31"},
                {"initial_invoiced_until": "2024-02-14", "price_unit": 29.0},
                {
                    "initial_invoiced_until": "2024-01-01",
                    "price_interval": "once",
                },
            ],
            date_start="2024-01-01",
        )
        self.assertNext(contract, "2024-02-01")
        self.assertEqual(contract.line_ids[0].invoiced_until, self._date("2024-01-31"))
        self.assertProposed("2024-01-31", [])
        self.assertProposed(
            "2024-02-15",
            [("2024-02-01", "2024-02-29", 100.0), ("2024-02-15", "2024-02-29", 15.0)],
        )

    def test_hold_reports_and_does_not_move_the_next_date(self):
        contract = self._make_contract(date_start="2024-01-01")
        contract.write({"billing_hold": True, "billing_hold_reason": "in dispute"})
        self.assertNext(contract, "2024-01-01")
        run = self.assertProposed("2024-01-15", [])
        self.assertIn("in dispute", run.exception_ids.message)
        self.assertEqual(contract.amount_to_invoice, 0.0)
        contract.billing_hold = False
        self.assertAmounts(self._propose("2024-01-15"), [100.0])

    def test_drafts_and_cancelled_contracts_are_never_billed(self):
        self._make_contract(date_start="2024-01-01", activate=False)
        self._make_contract(date_start="2024-01-01").action_cancel()
        closed = self._make_contract(date_start="2024-01-01", date_end="2024-01-31")
        closed.action_close()
        self.assertProposed("2024-02-15", [("2024-01-01", "2024-01-31", 100.0)])

    def test_closed_without_end(self):
        """It would be invoiced for ever, greyed out: refused on every path."""
        contract = self._make_contract([{}, {}], date_start="2024-01-01").with_user(self.user)
        one_off = self._make_contract([{"price_interval": "once"}], date_start="2024-01-01")
        one_off.action_close()
        first, second = contract.line_ids
        first.date_end = "2024-06-30"
        with self.assertRaisesRegex(ValidationError, "has no end"):
            contract.action_close()
        self.env.invalidate_all()
        second.date_end = "2024-06-30"
        contract.action_close()
        with self.assertRaisesRegex(ValidationError, "has no end"):
            second.date_end = False

    def test_skip_before_leaves_periods_for_the_next_run(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self.assertProposed(
            "2024-03-15", [("2024-03-01", "2024-03-31", 100.0)], skip_before="2024-03-01"
        )
        self.assertIn("2024", " ".join(run.exception_ids.mapped("message")))
        self.assertNext(contract, "2024-01-01")
        self.assertProposed(
            "2024-03-15",
            [("2024-01-01", "2024-01-31", 100.0), ("2024-02-01", "2024-02-29", 100.0)],
        )

    def test_skip_before_takes_the_period_that_contains_it(self):
        self._make_contract(date_start="2024-01-01")
        self.assertProposed(
            "2024-02-15", [("2024-02-01", "2024-02-29", 100.0)], skip_before="2024-02-10"
        )

    def test_scheduled_run_cannot_skip(self):
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "Monthly",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": "2024-01-01",
                "run_count": 1,
            }
        )
        schedule.action_generate_runs()
        with self.assertRaisesRegex(ValidationError, "by hand"):
            schedule.run_ids.skip_before = "2024-01-01"

    def test_excluded_period_is_proposed_again(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._propose("2024-03-15")
        run.document_ids[1].action_exclude()
        self.assertNext(contract, "2024-02-01")
        self.assertEqual(contract.line_ids.invoiced_until, self._date("2024-01-31"))
        self.assertProposed(
            "2024-04-01",
            [("2024-02-01", "2024-02-29", 100.0), ("2024-04-01", "2024-04-30", 100.0)],
        )

    def test_changed_anchor_goes_on_after_what_is_billed(self):
        contract = self._make_contract(date_start="2024-01-10")
        self._propose("2024-01-10")
        contract.period_anchor = "calendar"
        self.assertProposed(
            "2024-03-01",
            [("2024-02-10", "2024-02-29", 68.97), ("2024-03-01", "2024-03-31", 100.0)],
        )

    def test_one_day(self):
        self._make_contract(date_start="2024-02-29", date_end="2024-02-29")
        self.assertProposed("2024-02-29", [("2024-02-29", "2024-02-29", 3.45)])

    def test_sixty_years(self):
        contract = self._make_contract(
            date_start="1965-01-31", date_end="2025-01-30", billing_mode="end"
        )
        self.assertProposed("2025-01-30", [("1965-01-31", "2025-01-30", 72000.0)])
        self.assertNext(contract, None)

    @mute_logger("odoo.sql_db")
    def test_impossible_terms_are_refused(self):
        for vals in (
            {"date_end": "2019-12-31"},
            {"period_count": 0},
            {"prebilling_periods": -1},
            {"billing_timing": "arrears", "prebilling_periods": 1},
        ):
            with self.subTest(**vals), self.assertRaises(psycopg2.IntegrityError):
                with self.env.cr.savepoint():
                    self._make_contract(**vals)
                    self.env.flush_all()

    def test_impossible_terms_break_no_form(self):
        contract = self._make_contract([{"price_interval": "once"}], date_end="2020-12-31")
        for vals in ({"date_start": "2021-01-01"}, {"period_count": 0}):
            with self.subTest(**vals):
                typed = self.env["billing.contract"].new(vals, origin=contract)
                self.assertFalse(typed.next_invoicing_date)

    def test_line_without_a_day_is_refused(self):
        with self.assertRaisesRegex(ValidationError, "no day is left"):
            self._make_contract([{"date_start": "2020-03-01"}], date_end="2020-02-29")

    def test_contract_that_ends_before_a_line_begins_bills_the_others(self):
        contract = self._make_contract([{}, {"date_start": "2020-03-01"}])
        contract.date_end = "2020-02-09"
        self.assertProposed("2020-12-31", [("2020-01-10", "2020-02-09", 100.0)])
        self.assertNext(contract, None)

    def test_contract_needs_a_line(self):
        contract = self._make_contract(activate=False)
        contract.line_ids.unlink()
        with self.assertRaisesRegex(UserError, "add a price line"):
            contract.action_activate()


@tagged("post_install", "-at_install")
class TestDates(BillingCommon):
    """The invoice date by its mode, and the company's local day."""

    def _make_july(self, mode):
        """Make the run of a schedule that is activated on 5 July 2025."""
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "July",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": "2025-07-15",
                "activation_days": 10,
                "invoice_date_mode": mode,
                "run_count": 1,
            }
        )
        schedule.action_generate_runs()
        self.assertEqual(schedule.run_ids.activation_date, self._date("2025-07-05"))
        return schedule.run_ids

    def test_invoice_date_modes(self):
        for mode, day in (
            ("first_of_month", "2025-07-01"),
            ("last_of_month", "2025-07-31"),
            ("generation", "2025-07-08"),
        ):
            with self.subTest(mode=mode):
                contract = self._make_contract(date_start="2025-07-01", date_end="2025-07-31")
                with freeze_time("2025-07-05"):
                    run = self._make_amounts(self._make_july(mode))
                with freeze_time("2025-07-08"):
                    move = self._make_invoices(run)
                self.assertEqual(move.billing_contract_ids, contract)
                self.assertEqual(move.invoice_date, self._date(day))
                self.assertEqual(run.invoice_date, self._date(day))

    def test_due_date_keeps_its_distance(self):
        self._make_contract(date_start="2025-07-01", date_end="2025-07-31")
        with freeze_time("2025-07-05"):
            run = self._make_july("generation")
            run.schedule_id.write({"invoice_date": "2025-07-15", "due_date": "2025-07-29"})
            self._make_amounts(run)
        with freeze_time("2025-07-08"):
            move = self._make_invoices(run)
        self.assertEqual(move.invoice_date_due, self._date("2025-07-22"))

    def test_retry_sets_the_day_of_generation_anew(self):
        self._make_contract(date_start="2025-07-01", date_end="2025-07-31")
        with freeze_time("2025-07-05"):
            run = self._make_amounts(self._make_july("generation"))
        self.company.fiscalyear_lock_date = "2025-07-08"
        with freeze_time("2025-07-08"):
            self._make_invoices(run)
        self.assertEqual(run.document_ids.state, "failed")
        with freeze_time("2025-07-09"):
            run.action_retry_failed()
            run._process_queue()
        self.assertEqual(run.document_ids.move_id.invoice_date, self._date("2025-07-09"))

    def test_today_is_the_local_day_of_the_company(self):
        self.company.partner_id.tz = "Europe/Zurich"
        contract = self._make_contract(date_start="2024-02-01")
        with freeze_time("2024-01-31 23:30:00"):
            run = self.env["invoice.run"].create({"scenario_id": self.scenario.id})
            self.assertEqual(contract.amount_to_invoice, 100.0)
        self.assertEqual(run.invoice_date, self._date("2024-02-01"))
        self.company.partner_id.tz = "America/New_York"
        contract.invalidate_recordset(["amount_to_invoice"])
        with freeze_time("2024-02-01 03:30:00"):
            run = self.env["invoice.run"].create({"scenario_id": self.scenario.id})
            self.assertEqual(contract.amount_to_invoice, 0.0)
        self.assertEqual(run.invoice_date, self._date("2024-01-31"))

    def test_run_is_activated_on_the_local_day(self):
        self.company.partner_id.tz = "Europe/Zurich"
        run = self._make_july("generation")
        with freeze_time("2025-07-04 21:30:00"):
            self.env["invoice.run"]._activate_due_runs()
        self.assertEqual(run.state, "on_hold")
        with freeze_time("2025-07-04 22:30:00"):
            self.env["invoice.run"]._activate_due_runs()
        self.assertEqual(run.state, "submitted")
