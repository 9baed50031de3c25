from datetime import date, datetime
from unittest.mock import patch

from freezegun import freeze_time

from odoo.exceptions import ValidationError
from odoo.fields import Command, Domain
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestScenarioRules(InvoiceRunCommon):
    """Each kind of rule: what it selects, what it refuses when it is saved."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.country = cls.env.ref("base.be")
        cls.debtor.country_id = cls.country
        cls.other = cls._make_partner("Other", country_id=cls.env.ref("base.ch").id)
        cls.contract = cls._make_contract(title="Blue car", date_start="2024-01-10")
        cls.other_contract = cls._make_contract(
            title="Red car",
            partner_id=cls.other.id,
            date_start="2024-02-01",
            period_count=3,
            proration="none",
            billing_hold=True,
        )

    def _make_rule(self, field_path, operator, value=None, scenario=None, **vals):
        vals.setdefault("name", "Rule")
        return self.env["billing.scenario.rule"].create(
            {
                "scenario_id": (scenario or self._make_scenario("Ruled")).id,
                "field_path": field_path,
                "operator": operator,
                "value": value,
                **vals,
            }
        )

    def _select(self, field_path, operator, value=None, **vals):
        """Return the titles of the contracts that the rule selects."""
        rule = self._make_rule(field_path, operator, value, **vals)
        domain = rule._get_rule_domain(rule.value, rule.value_to)
        found = self.env["billing.contract"].search(domain & self._own_contracts(), order="title")
        return found.mapped("title")

    def _own_contracts(self):
        return Domain("id", "in", (self.contract | self.other_contract).ids)

    def test_messages_speak_labels(self):
        path = "partner_id.country_id.code"
        with self.assertRaisesRegex(ValidationError, "“Customer > Country > Country Code”"):
            self._make_rule(path, ">=", "BE", name="My rule")
        with self.assertRaisesRegex(ValidationError, "“Customer > nothing.such”: there is no"):
            self._make_rule("partner_id.nothing.such", "=", "BE", name="My rule")

    def test_possible_values_have_their_labels(self):
        rule = self._make_rule("proration", "=", "thirty")
        self.assertIn("thirty_360 (30/360)", rule.value_hint)

    def assertRefused(self, expected, field_path, operator, value=None, **vals):
        with self.assertRaises(ValidationError) as caught:
            self._make_rule(field_path, operator, value, name="My rule", **vals)
        message = str(caught.exception)
        for text in ("My rule", expected):
            self.assertIn(text, message)

    def test_date(self):
        path = "date_start"
        self.assertEqual(self._select(path, "=", "2024-01-10"), ["Blue car"])
        self.assertEqual(self._select(path, "!=", "2024-01-10"), ["Red car"])
        self.assertEqual(self._select(path, ">=", "2024-01-11"), ["Red car"])
        self.assertEqual(self._select(path, "<=", "2024-01-10"), ["Blue car"])
        self.assertEqual(
            self._select(path, "in", "2024-01-10, 2024-02-01"), ["Blue car", "Red car"]
        )
        self.assertEqual(
            self._select(path, "between", "2024-01-10", value_to="2024-02-01"),
            ["Blue car", "Red car"],
        )
        self.assertEqual(self._select(path, "between", "2024-01-11", value_to="2024-01-31"), [])

    @freeze_time("2024-02-15")
    def test_relative_date(self):
        self.assertEqual(
            self._select(
                "date_start", "between", "previous_month_start", value_to="previous_month_end"
            ),
            ["Blue car"],
        )
        self.assertEqual(
            self._select("date_start", "between", "month_start", value_to="month_end"),
            ["Red car"],
        )
        self.assertEqual(self._select("date_start", ">=", "today"), [])

    @freeze_time("2024-01-31 23:30:00")
    def test_relative_date_is_the_companys_day(self):
        rule = self._make_rule("date_start", ">=", "today")
        self.assertEqual(rule._parse_value("today"), date(2024, 2, 1))

    def test_datetime_means_days_of_the_company(self):
        """The whole of 31 January in Brussels, an hour ahead of UTC."""
        rule = self._make_rule("create_date", "between", "2024-01-01", value_to="2024-01-31")
        domain = rule._get_rule_domain("2024-01-01", "2024-01-31")
        bounds = {condition.value for condition in domain.iter_conditions()}
        self.assertEqual(bounds, {datetime(2023, 12, 31, 23, 0), datetime(2024, 1, 31, 23, 0)})
        moments = {
            "2023-12-31 22:59:59": False,
            "2023-12-31 23:00:00": True,
            "2024-01-31 22:59:59": True,
            "2024-01-31 23:00:00": False,
        }
        for moment, expected in moments.items():
            self.env.cr.execute(
                "UPDATE billing_contract SET create_date = %s WHERE id = %s",
                [moment, self.contract.id],
            )
            found = self.env["billing.contract"].search_count(domain & self._own_contracts())
            self.assertEqual(bool(found), expected, moment)

    def test_boolean(self):
        self.assertEqual(self._select("billing_hold", "=", "yes"), ["Red car"])
        self.assertEqual(self._select("billing_hold", "=", "No"), ["Blue car"])
        self.assertEqual(self._select("billing_hold", "!=", "true"), ["Blue car"])
        self.assertRefused("yes, no", "billing_hold", "=", "perhaps")
        self.assertRefused("cannot be used", "billing_hold", ">=", "yes")

    def test_selection(self):
        self.assertEqual(self._select("proration", "=", "none"), ["Red car"])
        self.assertEqual(self._select("proration", "!=", "none"), ["Blue car"])
        self.assertEqual(self._select("proration", "in", "none, actual"), ["Blue car", "Red car"])
        self.assertRefused("thirty_360", "proration", "=", "weekly")
        self.assertRefused("cannot be used", "proration", "ilike", "act")

    def test_many2one(self):
        self.assertEqual(self._select("partner_id", "=", "Debtor"), ["Blue car"])
        self.assertEqual(self._select("partner_id", "=", str(self.other.id)), ["Red car"])
        self.assertEqual(self._select("partner_id", "!=", "Debtor"), ["Red car"])
        self.assertEqual(
            self._select("partner_id", "in", f"Debtor, {self.other.id}"),
            ["Blue car", "Red car"],
        )
        self.assertEqual(self._select("partner_id", "ilike", "ebt"), ["Blue car"])
        self.assertEqual(self._select("partner_id.country_id", "=", "Belgium"), ["Blue car"])
        self.assertRefused("Nobody", "partner_id", "=", "Nobody")
        self.assertRefused("0", "partner_id", "=", "0")
        self.assertRefused("cannot be used", "partner_id", "between", "1", value_to="2")

    def test_text(self):
        self.assertEqual(self._select("title", "=", "Blue car"), ["Blue car"])
        self.assertEqual(self._select("title", "!=", "Blue car"), ["Red car"])
        self.assertEqual(self._select("title", "ilike", "car"), ["Blue car", "Red car"])
        self.assertEqual(self._select("title", "in", "Red car,Green car"), ["Red car"])
        self.assertEqual(self._select("partner_id.country_id.code", "=", "CH"), ["Red car"])
        self.assertRefused("not a valid value", "title", "=", " ")
        self.assertRefused("cannot be used", "title", ">=", "A")

    def test_number(self):
        self.assertEqual(self._select("period_count", "=", "3"), ["Red car"])
        self.assertEqual(self._select("period_count", "!=", "3"), ["Blue car"])
        self.assertEqual(self._select("period_count", ">=", "2"), ["Red car"])
        self.assertEqual(self._select("period_count", "<=", "1"), ["Blue car"])
        self.assertEqual(self._select("period_count", "between", "1", value_to="2"), ["Blue car"])
        self.assertEqual(self._select("line_ids.price_unit", "=", "100.0"), ["Blue car", "Red car"])
        self.assertRefused("number", "period_count", "=", "1.5")
        self.assertRefused("number", "line_ids.price_unit", "=", "nan")
        self.assertRefused("cannot be used", "period_count", "ilike", "1")

    def test_bad_dates_are_refused(self):
        self.assertRefused("2025-01-31", "date_start", "=", "31.12.2024")
        self.assertRefused("tomorrow", "date_start", "=", "tomorrow")
        self.assertRefused("second value is missing", "date_start", "between", "today")
        self.assertRefused("Swap", "date_start", "between", "2024-02-01", value_to="2024-01-01")
        self.assertRefused("not a valid value", "date_start", "=")

    def test_bad_fields_are_refused(self):
        self.assertRefused("no such field", "nonsense", "=", "1")
        self.assertRefused("no such field", "partner_id.nonsense", "=", "1")
        self.assertRefused("no such field", "title.nonsense", "=", "1")
        self.assertRefused("cannot be searched", "partner_id.image_128", "=", "1")

    def test_changing_a_rule_checks_it_again(self):
        rule = self._make_rule("date_start", "=", "today")
        with self.assertRaisesRegex(ValidationError, "“Start”"):
            rule.value = "yesterday-ish"
        with self.assertRaisesRegex(ValidationError, "cannot be used"):
            rule.operator = "ilike"


@tagged("post_install", "-at_install")
class TestAskedRules(InvoiceRunCommon):
    """Values that a person gives for one run."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.asking = cls._make_scenario(
            "Asking",
            rule_ids=[
                Command.create(
                    {
                        "name": "Started",
                        "field_path": "date_start",
                        "operator": "between",
                        "is_asked": True,
                    }
                )
            ],
        )
        cls.rule = cls.asking.rule_ids
        cls.january = cls._make_contract(date_start="2024-01-10")
        cls.february = cls._make_contract(
            date_start="2024-02-01", partner_id=cls._make_partner("Second").id
        )

    def _make_answered(self, *values, **vals):
        answers = {str(self.rule.id): list(values)} if values else {}
        run = self._make_run("2024-02-15", self.asking, rule_values=answers, **vals)
        return self._make_amounts(run)

    def test_answer_selects(self):
        run = self._make_answered("2024-01-01", "2024-01-31")
        self.assertEqual(run.document_ids.contract_ids, self.january)

    def test_one_end_is_enough(self):
        run = self._make_answered("2024-01-11", False)
        self.assertEqual(run.document_ids.contract_ids, self.february)

    def test_empty_answer_is_no_condition(self):
        run = self._make_answered(False, False)
        self.assertEqual(run.document_ids.contract_ids, self.january | self.february)

    def test_nobody_answered(self):
        with self.assertRaisesRegex(ValidationError, "Started.*“Start”.*Invoice Manager"):
            self._make_run("2024-02-15", self.asking)

    def test_bad_answers(self):
        for values in (["soon", False], ["2024-02-01", "2024-01-01"], ["a", "b", "c"]):
            with self.assertRaisesRegex(ValidationError, "Started"):
                self._make_answered(*values)

    def test_without_answer_the_proposed_value_holds(self):
        self.rule.write({"value": "2024-01-01", "value_to": "2024-01-31"})
        run = self._make_answered()
        self.assertEqual(run.document_ids.contract_ids, self.january)

    def test_rule_added_later_bills_nothing(self):
        run = self._make_run("2024-02-15")
        self._make_later_rule()
        self._make_amounts(run)
        self.assertFalse(run.document_ids)

    def _make_later_rule(self):
        self.rule.copy({"scenario_id": self.scenario.id, "name": "Later"})

    def test_schedules_cannot_answer(self):
        vals = {"name": "Monthly", "date_from": "2024-01-01", "company_id": self.company.id}
        with self.assertRaisesRegex(ValidationError, "Started.*cannot answer a question"):
            self.env["invoice.run.schedule"].create({**vals, "scenario_id": self.asking.id})
        self.env["invoice.run.schedule"].create({**vals, "scenario_id": self.scenario.id})
        with self.assertRaisesRegex(ValidationError, "cannot answer a question"):
            self._make_later_rule()

    def test_only_these_customers(self):
        usage = self._make_usage(date="2024-01-05", contract_id=self.february.id)
        run = self._make_run("2024-02-15", partner_ids=[Command.set(self.debtor.ids)])
        self._make_amounts(run)
        self.assertEqual(run.document_ids.payer_id, self.debtor)
        self.assertEqual(run.line_ids.contract_id, self.january)
        self.assertFalse(usage.run_line_ids)

    def test_only_these_records(self):
        run = self._make_run("2024-02-15", record_ids=self.february.ids)
        self._make_amounts(run)
        self.assertEqual(run.line_ids.contract_id, self.february)
        for wrong in ("1", [True], ["1"], {"id": 1}):
            with self.assertRaises(ValidationError):
                run.record_ids = wrong


@tagged("post_install", "-at_install")
class TestDueCount(InvoiceRunCommon):
    """What a scenario would fetch now, without a run."""

    def _count(self, scenario):
        scenario.invalidate_recordset()
        self.assertFalse(scenario.due_error)
        return scenario.due_count

    @freeze_time("2024-02-15")
    def test_count_follows_what_is_due(self):
        self.assertEqual(self._count(self.scenario), 0)
        contract = self._make_contract(date_start="2024-02-01")
        self._make_contract(date_start="2024-03-01")
        self.assertEqual(self._count(self.scenario), 1)
        run = self._run_all("2024-02-15")
        self.assertEqual(run.document_ids.contract_ids, contract)
        self.assertEqual(self._count(self.scenario), 0)
        self._make_usage(date="2024-02-14", contract_id=contract.id)
        self.assertEqual(self._count(self.scenario), 1)
        self.assertEqual(self._count(self.usage_scenario), 1)

    @freeze_time("2024-02-15")
    def test_count_is_what_a_run_would_fetch_in_every_mode(self):
        """Days that are open, but not due yet, do not count; the run finds what is counted."""
        for vals in (
            {"date_start": "2024-02-01"},
            {"date_start": "2024-02-16"},
            {"date_start": "2024-03-01"},
            {"date_start": "2024-03-01", "prebilling_periods": 1},
            {"date_start": "2024-02-01", "billing_timing": "arrears"},
            {"date_start": "2024-02-16", "billing_mode": "end"},
            {"date_start": "2024-02-01", "billing_mode": "date", "invoice_until": "2024-02-10"},
        ):
            partner = self._make_partner(str(vals))
            self._make_contract(partner_id=partner.id, date_end="2024-12-31", **vals)
        for mode, expected in (("contract", 3), ("date", 3), ("end", 3)):
            scenario = self._make_scenario(mode, billing_mode=mode)
            for due in (expected, 0):
                self.assertEqual(self._count(scenario), due, mode)
                run = self._make_amounts(self._make_run("2024-02-15", scenario))
                self.assertEqual(len(run.document_ids.contract_ids), due, mode)
                self.assertFalse(run.exception_ids.filtered(lambda one: one.code != "held"))
            self.env["invoice.run"].search([("scenario_id", "=", scenario.id)]).action_cancel()

    @freeze_time("2024-02-15")
    def test_count_changes_while_the_scenario_is_edited(self):
        self._make_contract(date_start="2024-02-01", title="Blue")
        edited = self.scenario.new(origin=self.scenario)
        self.assertEqual(edited.due_count, 1)
        edited.domain = "[('title', '=', 'Red')]"
        self.assertEqual(edited.due_count, 0)
        edited.domain = "[('title', '=', "
        self.assertIn("cannot be read", edited.due_error)

    @freeze_time("2024-02-15")
    def test_errors_are_text(self):
        scenario = self._make_scenario("Broken")
        for domain in ("nonsense", "[('nonsense', '=', 1)]", "[('title', '=')]", "[(1, 2, 3)]"):
            self.env.cr.execute(
                "UPDATE billing_scenario SET domain = %s WHERE id = %s", [domain, scenario.id]
            )
            scenario.invalidate_recordset()
            self.assertEqual(scenario.due_count, 0)
            self.assertTrue(scenario.due_error, domain)

    @freeze_time("2024-02-15")
    def test_a_broken_one_does_not_hide_the_others(self):
        self._make_contract(date_start="2024-02-01")
        broken = self._make_scenario("Broken")
        # an error of the database itself, after which the transaction must go on
        with patch.object(type(self.env["billing.contract"]), "_get_run_count") as count:
            count.side_effect = lambda run: run.scenario_id == broken and self.env.cr.execute("X")
            scenarios = self.scenario | broken | self.usage_scenario
            scenarios.invalidate_recordset()
            with mute_logger("odoo.sql_db"):
                errors = scenarios.mapped(lambda scenario: bool(scenario.due_error))
        self.assertEqual(errors, [False, True, False])

    @freeze_time("2024-02-15")
    def test_plain_user_sees_the_count(self):
        self._make_contract(date_start="2024-02-01")
        self.assertEqual(self._count(self.scenario.with_user(self.user)), 1)
