from contextlib import contextmanager
from unittest.mock import patch

import psycopg2
from freezegun import freeze_time

from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

REFUSED = (UserError, ValueError)


class BadInputCommon(InvoiceRunCommon):
    @contextmanager
    def assertRefused(self, message):
        """What the block does is refused with ``message`` and leaves nothing behind."""
        with mute_logger("odoo.sql_db"), self.assertRaisesRegex(REFUSED, message):
            try:
                with self.env.cr.savepoint():
                    yield
                    self.env.flush_all()
            except psycopg2.IntegrityError as error:
                raise UserError(self._get_shown_text(error)) from error
        self.env.invalidate_all()

    def _get_shown_text(self, error):
        """Return what the web client shows of an error of the database."""
        models = self.env.registry.models.values()
        [name] = [model._name for model in models if model._table == error.diag.table_name]
        return self.env[name]._sql_error_to_message(error)


@tagged("post_install", "-at_install")
class TestBadScenario(BadInputCommon):
    """A selection or a rule that cannot be used is refused when it is saved."""

    def test_selection(self):
        for source, domain, message in (
            ("contract", "[", "Selection"),
            ("contract", "['&']", "Selection"),
            ("contract", "{}", "Selection"),
            ("contract", "5", "Selection"),
            ("contract", "True", "Selection"),
            ("contract", "'state'", "Selection"),
            ("contract", "[" * 500, "Selection"),
            ("contract", "[('state', '=')]", "Selection"),
            ("contract", "[('state', 'is', 'x')]", "Selection"),
            ("contract", "[('state', '=', uid)]", "Selection"),
            ("contract", "[('no_such_field', '=', 1)]", "no_such_field"),
            ("contract", "[('partner_id.no_such', '=', 1)]", "no_such"),
            ("contract", "[('amount_to_invoice', '>', 1)]", "amount_to_invoice"),
            ("contract", "[('date_start', '>', 'soon')]", "Selection"),
            ("contract", "[('period_count', '=', 'many')]", "Selection"),
            ("usage", "[('date_start', '>', '2024-01-01')]", "date_start"),
        ):
            with self.subTest(source=source, domain=domain), self.assertRefused(message):
                self._make_scenario("Bad", source=source, domain=domain)
        self.assertFalse(self.env["billing.scenario"].search([("name", "=", "Bad")]))

    def test_source_that_lacks_the_fields_of_the_selection(self):
        self.scenario.domain = "[('date_start', '>', '2024-01-01')]"
        with self.assertRefused("date_start"):
            self.scenario.source = "usage"

    def test_manager_cannot_select_by_what_is_hidden_from_him(self):
        hidden = "[('partner_id.signup_type', '=', 'reset')]"
        with self.assertRefused("signup_type"):
            self.scenario.with_user(self.manager).domain = hidden
        edited = self.scenario.with_user(self.user).new(origin=self.scenario)
        edited.domain = hidden
        self.assertIn("signup_type", edited.due_error)

    def _get_rule_vals(self, vals):
        return {"name": "Rule", "field_path": "date", "operator": "=", "value": "today", **vals}

    def test_rules(self):
        """What the types of field refuse is in ``test_scenario_rules``."""
        for field, vals in (
            (".", {"field_path": "."}),
            ("Date > day", {"field_path": "date.day"}),
            ("Date", {"value": False}),
            ("Date", {"value": "  "}),
            ("Date", {"value": "2025-02-30"}),
            ("Date", {"value": "2025-02-03x"}),
            ("Date", {"operator": "in", "value": "today,,month_start"}),
            ("Date", {"operator": "in", "value": "today,"}),
            ("Date", {"operator": "in", "value": ","}),
            ("Date", {"operator": "between", "value": "today", "value_to": "todai"}),
            (
                "Date",
                {"operator": "between", "value": "month_start", "value_to": "previous_month_end"},
            ),
            ("Quantity", {"field_path": "quantity", "value": "inf"}),
            ("Quantity", {"field_path": "quantity", "value": "1,5"}),
            ("Customer", {"field_path": "partner_id", "operator": "in", "value": "Debtor,"}),
            ("Customer > Active", {"field_path": "partner_id.active", "value": "maybe"}),
            ("Status", {"field_path": "state", "value": "lost"}),
        ):
            vals = self._get_rule_vals(vals)
            with self.subTest(**vals), self.assertRefused(f"Rule.*“{field}”"):
                self.usage_scenario.write({"rule_ids": [Command.create(vals)]})
        self.assertFalse(self.usage_scenario.rule_ids)

    def test_rule_is_checked_when_it_is_written_alone(self):
        self.usage_scenario.rule_ids = [Command.create(self._get_rule_vals({}))]
        with self.assertRefused("todai"):
            self.usage_scenario.rule_ids.value = "todai"
        with self.assertRefused("Amount to Invoice"):
            self.usage_scenario.rule_ids.write(
                {"field_path": "contract_id.amount_to_invoice", "value": "1"}
            )
        with self.assertRefused("signup_type"):
            self.usage_scenario.rule_ids.with_user(self.manager).write(
                {"field_path": "partner_id.signup_type", "value": "reset"}
            )
        self.assertEqual(self.usage_scenario.rule_ids.value, "today")

    # An addon is uninstalled, and a scenario still selects by one of its fields.

    def _make_run_with_vanished_field(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_run("2024-01-15")
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE billing_scenario SET domain = %s WHERE id = %s",
            ["[('vehicle_id', '=', 1)]", self.scenario.id],
        )
        self.env.invalidate_all()
        return run

    def test_run_says_what_to_repair(self):
        run = self._make_run_with_vanished_field()
        self._make_amounts(run)
        self.assertEqual(run.job, "none")
        self.assertEqual(run.state, "amounts")
        self.assertEqual(run.exception_ids.code, "selection")
        self.assertRegex(run.exception_ids.message, "All contracts.*vehicle_id.*Selection")

    def test_repaired(self):
        run = self._make_run_with_vanished_field()
        self._make_amounts(run)
        self.scenario.domain = "[]"
        self._make_amounts(run)
        self.assertFalse(run.exception_ids)
        self.assertEqual(len(run.document_ids), 1)

    def test_scheduled_action_goes_on_with_the_others(self):
        run = self._make_run_with_vanished_field()
        other = self._make_run("2024-01-15", self._make_scenario("Fine"))
        (run + other).action_generate_amounts()
        cron = self.env.ref("invoice_run.invoice_run_cron")
        with self.enter_registry_test_mode():
            self.assertIs(cron.method_direct_trigger(), True)
        self.assertEqual(run.exception_ids.code, "selection")
        self.assertEqual(len(other.document_ids), 1)

    def test_it_is_never_approved_automatically(self):
        run = self._make_run_with_vanished_field()
        self.company.invoice_run_auto_approve = True
        self.assertEqual(self._make_amounts(run).state, "amounts")


@tagged("post_install", "-at_install")
class TestBadDates(BadInputCommon):
    """Dates and numbers that can only be typing errors."""

    def _make_schedule(self, **vals):
        return self.env["invoice.run.schedule"].create(
            {
                "name": "Bad",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": "2024-01-01",
                **vals,
            }
        )

    def test_schedules_are_refused(self):
        for message, vals in (
            ("Scenario", {"scenario_id": False}),
            ("First Period From", {"date_from": False}),
            ("period ends before", {"date_to": "2023-12-31"}),
            ("First Period From.*0024", {"date_from": "0024-01-01"}),
            ("First Period From.*9999", {"date_from": "9999-12-31"}),
            ("Until.*9999", {"until_date": "9999-12-31"}),
            ("“Until” is before", {"until_date": "2023-12-31"}),
            ("due date is before", {"invoice_date": "2024-01-10", "due_date": "2024-01-09"}),
            ("First Invoice Date.*3024", {"invoice_date": "3024-01-01"}),
            ("negative", {"run_count": -1}),
            ("at most 1000", {"run_count": 1_000_000}),
            ("negative", {"activation_days": -1}),
            ("at most 366", {"activation_days": 10**9}),
            ("cycle|Cycle", {"cycle": "never"}),
            ("cycle|Cycle", {"cycle": False}),
            ("Invoice name", {"invoice_name": "Rent {date_from:qqqqqqqqq}"}),
        ):
            with self.subTest(**vals), self.assertRefused(message):
                self._make_schedule(**vals)
        self.assertFalse(self.env["invoice.run.schedule"].search([("name", "=", "Bad")]))

    def test_typing_errors_are_refused_when_they_are_written(self):
        schedule = self._make_schedule(run_count=3)
        for message, vals in (
            ("at most 1000", {"run_count": 1_000_000}),
            ("First Period From", {"date_from": "9999-12-31"}),
            ("Until", {"until_date": "2023-01-01"}),
        ):
            with self.subTest(**vals), self.assertRefused(message):
                schedule.write(vals)
        self.assertEqual(schedule.run_count, 3)

    @freeze_time("2024-01-15")
    def test_too_many_runs_make_none(self):
        for vals in (
            {"cycle": "weekly", "until_date": "2199-01-01"},
            {"cycle": "weekly", "date_from": "1904-01-01"},
        ):
            schedule = self._make_schedule(**vals)
            with self.subTest(**vals), self.assertRefused("more than 1000 runs"):
                schedule.action_generate_runs()
            self.assertFalse(schedule.run_ids)

    @freeze_time("2024-01-15")
    def test_cycle_without_end_stops_at_the_horizon(self):
        schedule = self._make_schedule(cycle="weekly")
        schedule.action_generate_runs()
        self.assertEqual(len(schedule.run_ids), 55)

    def test_runs_are_refused(self):
        before = self.env["invoice.run.schedule"].search_count([])
        for message, vals in (
            ("scenario", {"scenario_id": False}),
            ("Period From", {"date_from": "0024-01-01", "date_to": "2024-01-31"}),
            ("Target Date.*9999", {"target_date": "9999-12-31"}),
            ("Target Date.*at the latest", {"target_date": "2124-01-15"}),
            ("Invoice Date.*0204", {"invoice_date": "0204-01-15", "target_date": "2024-01-15"}),
            ("due date is before", {"due_date": "2024-01-14"}),
            ("ends before", {"date_from": "2024-02-01", "date_to": "2024-01-31"}),
            ("Skip Before.*0024", {"skip_before": "0024-01-16"}),
        ):
            with self.subTest(**vals), self.assertRefused(message):
                self.env["invoice.run"].create(
                    {"scenario_id": self.scenario.id, "invoice_date": "2024-01-15", **vals}
                )
        self.assertEqual(self.env["invoice.run.schedule"].search_count([]), before)

    def test_text_that_is_no_date(self):
        with self.assertRefused("soon"):
            self._make_run("soon")

    def test_contracts_are_refused(self):
        for message, vals in (
            ("is before its start", {"date_end": "2019-12-31"}),
            ("“Start”: the year 0020", {"date_start": "0020-01-10"}),
            ("“End”: the year 9999", {"date_end": "9999-12-31"}),
            ("at least one month", {"period_count": 0}),
            ("at least one month", {"period_count": -1}),
            ("Billing Period.*at most 1200", {"period_count": 10**6}),
            ("negative", {"prebilling_periods": -1}),
            ("Further Periods Ahead.*at most 600", {"prebilling_periods": 10**6}),
            ("arrears", {"prebilling_periods": 1, "billing_timing": "arrears"}),
            ("Invoice Until", {"billing_mode": "date"}),
            ("“Invoice Until”: the year 9999", {"invoice_until": "9999-12-31"}),
        ):
            with self.subTest(**vals), self.assertRefused(message):
                self._make_contract(title="Bad", **vals)
        self.assertFalse(self.env["billing.contract"].search([("title", "=", "Bad")]))

    def test_price_lines_are_refused(self):
        for message, vals in (
            ("no day is left", {"date_start": "2030-01-01", "date_end": "2030-01-31"}),
            ("is before its start", {"date_start": "2021-02-01", "date_end": "2021-01-31"}),
            ("“Start”: the year 0021", {"date_start": "0021-02-01"}),
            ("Invoiced Elsewhere Until.*9999", {"initial_invoiced_until": "9999-12-31"}),
            ("discount", {"discount": 101}),
            ("discount", {"discount": -1}),
        ):
            with self.subTest(**vals), self.assertRefused(message):
                self._make_contract([vals], title="Bad", date_end="2029-12-31")

    def test_usage_is_refused(self):
        for message, vals in (
            ("“Date”: the year 0024", {"date": "0024-01-03"}),
            ("discount", {"discount": 200}),
            ("product|Product", {"product_id": False}),
        ):
            with self.subTest(**vals), self.assertRefused(message):
                self._make_usage(**vals)

    def test_import_with_one_bad_row_adds_nothing(self):
        fields = ["name", "scenario_id/.id", "date_from", "run_count"]
        rows = [
            ["Fine", str(self.scenario.id), "2024-01-01", "3"],
            ["Bad", str(self.scenario.id), "2024-01-01", "1000000"],
        ]
        before = self.env["invoice.run.schedule"].search_count([])
        result = self.env["invoice.run.schedule"].load(fields, rows)
        self.assertFalse(result["ids"])
        self.assertIn("at most 1000", str(result["messages"]))
        self.assertEqual(self.env["invoice.run.schedule"].search_count([]), before)

    def test_runs_are_made_all_or_none(self):
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "Rent",
                "scenario_id": self.scenario.id,
                "date_from": "2024-01-01",
                "run_count": 3,
            }
        )
        prepare = type(schedule)._prepare_run_vals

        def prepare_two(self, number):
            return {**prepare(self, number), "target_date": "9999-12-31" if number == 2 else False}

        with patch.object(type(schedule), "_prepare_run_vals", prepare_two):
            with self.assertRefused("Target Date|target_date"):
                schedule.action_generate_runs()
        self.assertFalse(schedule.run_ids)
