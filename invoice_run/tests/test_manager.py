from unittest.mock import patch

from freezegun import freeze_time

from odoo import fields
from odoo.addons.base.tests.test_ir_cron import CronMixinCase
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import tagged

from ..wizards import invoice_manager_rows
from .manager_common import ALL, ManagerCommon


@tagged("post_install", "-at_install")
class TestManager(ManagerCommon, CronMixinCase):
    """From a card to invoices that the customers have."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.invoice_run_auto_approve = True
        cls.other = cls._make_partner("Other", "other@example.com")
        cls.contract = cls._make_contract(date_start="2024-01-01")
        cls.other_contract = cls._make_contract(date_start="2024-01-01", partner_id=cls.other.id)

    def _accept(self, manager):
        """Look at what is unusual, so that the company's setting may approve."""
        manager.run_id.document_ids.with_user(self.reviewer).action_accept()

    @freeze_time("2024-01-31")
    def test_rows_open_and_tell_notes_from_what_is_not_invoiced(self):
        contract = self._make_contract(
            date_start="2024-01-01", partner_id=self._make_partner("Alone").id
        )
        self._make_contract(
            date_start="2024-01-01",
            partner_id=self._make_partner("Held").id,
            billing_hold=True,
            billing_hold_reason="quarrel",
        )
        manager = self._open()
        state = self._fetch(manager)
        [row] = manager.get_rows({"search": "Alone"})["rows"]
        self.assertEqual(row["contract_id"], contract.id)
        self.assertEqual(state["run"]["exception_notes"], 0)
        [held] = manager.get_exceptions()
        self.assertEqual((held["kind"], held["kind_label"]), ("held", "Waiting"))
        self.env["invoice.run.exception"].sudo().create(
            {"run_id": manager.run_id.id, "code": "x", "kind": "note", "message": "Look at it"}
        )
        self.assertEqual([item["kind"] for item in manager.get_exceptions()], ["held", "note"])
        run = manager.get_state()["run"]
        self.assertEqual((run["exceptions"], run["exception_notes"]), (2, 1))

    def test_cards(self):
        self.scenario.description = "What is rented out"
        manager = self._open()
        cards = {card["id"]: card for card in manager.get_cards()["scenarios"]}
        card = cards[self.scenario.id]
        self.assertEqual(card["count"], 2)
        self.assertEqual(card["description"], "What is rented out")
        self.assertEqual(cards[self.usage_scenario.id]["count"], 0)

    @freeze_time("2024-01-31 23:30:00")
    def test_invoice_date_is_the_companys_day(self):
        manager = self._open()
        state = manager.action_choose(self.scenario.id)
        self.assertEqual(state["choices"]["invoice_date"], self._date("2024-02-01"))

    def test_fetch_shows_what_is_due_and_invoices_nothing(self):
        manager = self._open()
        state = self._fetch(manager)
        self.assertEqual(state["run"]["state"], "amounts")
        self.assertTrue(state["run"]["is_fetched"])
        rows = manager.get_rows()["rows"]
        self.assertEqual([row["customer"] for row in rows], ["Debtor", "Other"])
        self.assertEqual(rows[0]["reference"], self.contract.name)
        self.assertEqual(rows[0]["amount"], 100.0)
        self.assertEqual(rows[0]["date_from"], self._date("2024-01-01"))
        self.assertEqual(rows[0]["date_to"], self._date("2024-01-31"))
        self.assertEqual({row["status"] for row in rows}, {"to_do"})
        self.assertFalse(manager.run_id.document_ids.move_id)

    def test_process_makes_the_selected_invoices(self):
        manager = self._open()
        self._fetch(manager)
        self._accept(manager)
        state = self._process(manager, self._select(manager, "Other"))
        self.assertEqual(self._get_statuses(manager), {"Debtor": "to_do", "Other": "invoiced"})
        self.assertEqual(state["run"]["state"], "approved")
        self.assertEqual(state["run"]["to_do"], 1)
        state = self._process(manager)
        self.assertEqual(state["run"]["state"], "invoiced")
        moves = manager.run_id.document_ids.move_id
        self.assertEqual(len(moves), 2)
        self.assertEqual(set(moves.mapped("state")), {"posted"})
        self.assertTrue(all(row["pdf"] and row["move_name"] for row in manager.get_rows()["rows"]))

    def test_nobody_pressed_process_for_an_invoice(self):
        """Settings that go on by themselves wait for the person who looks at the table."""
        self.company.write({"invoice_run_auto_invoices": True, "invoice_run_auto_send": True})
        manager = self._open()
        self._fetch(manager)
        manager.run_id._process_queue()
        self.assertEqual(manager.run_id.state, "amounts")

    def test_pressed_twice(self):
        manager = self._open()
        self._fetch(manager)
        self._accept(manager)
        manager.action_process(ALL)
        self._process(manager)
        with self.assertRaisesRegex(UserError, "not processed yet"):
            manager.action_process(ALL)
        self.assertEqual(self.contract.invoice_count, 1)
        self.assertEqual(len(manager.run_id.invoice_ids), 2)

    def test_nothing_selected(self):
        manager = self._open()
        self._fetch(manager)
        with self.assertRaisesRegex(UserError, "Select at least one row"):
            manager.action_process({"all": False, "ids": []})

    def test_without_fetch_there_is_nothing_to_process(self):
        manager = self._open()
        manager.action_choose(self.scenario.id)
        with self.assertRaisesRegex(UserError, "Fetch"):
            manager.action_process(ALL)
        with self.assertRaisesRegex(UserError, "invoice date"):
            manager.action_fetch({"invoice_date": False})
        with self.assertRaisesRegex(UserError, "scenario"):
            self._open().action_fetch({"invoice_date": "2024-01-31"})

    def test_selection_is_of_this_run_only(self):
        foreign = self._make_amounts(self._make_run("2024-01-31"))
        manager = self._open()
        self._fetch(manager)
        selection = {"all": False, "ids": foreign.document_ids.ids}
        self.assertEqual(manager.get_totals(selection)["count"], 0)
        with self.assertRaisesRegex(UserError, "Select at least one row"):
            manager.action_process(selection)

    def test_fetch_again_replaces_and_holds_nothing_else(self):
        manager = self._open()
        self._fetch(manager, invoice_date="2024-01-31")
        run = manager.run_id
        state = self._fetch(manager, invoice_date="2024-02-15")
        self.assertEqual(manager.run_id, run)
        self.assertEqual(state["run"]["documents"], 4)
        self.assertEqual(
            self.env["invoice.run.line"].search_count([("company_id", "=", self.company.id)]), 4
        )
        self.assertEqual(run.invoice_date, self._date("2024-02-15"))

    def test_another_scenario_replaces(self):
        self._make_usage(date="2024-01-05", partner_id=self.other.id)
        manager = self._open()
        self._fetch(manager)
        run = manager.run_id
        self._fetch(manager, self.usage_scenario)
        self.assertEqual(manager.run_id, run)
        self.assertEqual(run.schedule_id.scenario_id, self.usage_scenario)
        self.assertFalse(self.contract.run_line_ids)
        self.assertEqual(self._get_statuses(manager), {"Other": "to_do"})

    def test_back_keeps_the_choices(self):
        manager = self._open()
        self._fetch(manager, invoice_date="2024-02-15", target_date="2024-01-31")
        self._select(manager, "Other")
        manager.get_cards()
        state = manager.action_choose(self.scenario.id)
        self.assertEqual(state["choices"]["invoice_date"], self._date("2024-02-15"))
        self.assertEqual(state["choices"]["target_date"], self._date("2024-01-31"))
        self.assertTrue(state["run"]["is_fetched"])
        self.assertEqual(state["run"]["documents"], 2)

    def test_fetch_after_invoices_finishes_the_first_run(self):
        manager = self._open()
        self._fetch(manager)
        self._accept(manager)
        self._process(manager, self._select(manager, "Other"))
        first = manager.run_id
        self._fetch(manager)
        self.assertNotEqual(manager.run_id, first)
        self.assertEqual(first.state, "invoiced")
        self.assertEqual(self._get_statuses(manager), {"Debtor": "to_do"})
        self.assertFalse(manager.run_id.exception_ids)

    def test_coming_back_finds_the_run(self):
        manager = self._open()
        self._fetch(manager, invoice_date="2024-02-15", target_date="2024-01-31")
        run = manager.run_id
        later = self._open()
        cards = later.get_cards()
        self.assertEqual([card["id"] for card in cards["runs"]], run.ids)
        resumed = self._open(run_id=run.id)
        state = resumed.get_state()
        self.assertEqual(state["choices"]["scenario"]["id"], self.scenario.id)
        self.assertEqual(state["choices"]["target_date"], self._date("2024-01-31"))
        self.assertTrue(state["run"]["is_fetched"])
        self._accept(resumed)
        self._process(resumed)
        self.assertEqual(self._open().get_cards()["runs"], [])

    def test_finish_releases_the_rest(self):
        manager = self._open()
        self._fetch(manager)
        self._accept(manager)
        self._process(manager, self._select(manager, "Other"))
        run = manager.run_id
        manager.action_finish()
        self.assertEqual(run.state, "invoiced")
        self.assertFalse(manager.run_id)
        manager = self._open()
        self._fetch(manager)
        self.assertEqual(self._get_statuses(manager), {"Debtor": "to_do"})

    def test_finish_without_invoice_cancels(self):
        manager = self._open()
        self._fetch(manager)
        run = manager.run_id
        manager.action_finish()
        self.assertEqual(run.state, "cancelled")
        self.assertFalse(run.line_ids.filtered("is_claimed"))

    def test_runs_that_found_nothing_are_not_kept(self):
        manager = self._open()
        self._fetch(manager, invoice_date="2023-12-01")
        run = manager.run_id
        self.assertFalse(run.document_ids)
        self.assertEqual(self._open().get_cards()["runs"], [])
        self.assertEqual(run.state, "cancelled")
        self._fetch(manager)
        self.assertEqual(manager.run_id.document_count, 2)

    def test_discard(self):
        manager = self._open()
        self._fetch(manager)
        run = manager.run_id
        self.assertEqual(self._open().action_discard(run.id)["runs"], [])
        self.assertEqual(run.state, "cancelled")

    def test_failure_is_shown_and_tried_again(self):
        manager = self._open()
        self._fetch(manager)
        self._accept(manager)
        self.other_contract.billing_hold = True
        state = self._process(manager)
        rows = {row["customer"]: row for row in manager.get_rows()["rows"]}
        self.assertEqual(rows["Debtor"]["status"], "invoiced")
        self.assertEqual(rows["Other"]["status"], "failed")
        self.assertIn("on hold", rows["Other"]["reason"])
        self.assertEqual(state["run"]["failed"], 1)
        self.assertEqual(
            [row["customer"] for row in manager.get_rows({"filter": "failed"})["rows"]], ["Other"]
        )
        self.other_contract.billing_hold = False
        self._process(manager)
        self.assertEqual(self._get_statuses(manager), {"Debtor": "invoiced", "Other": "invoiced"})

    def test_later_period_waits(self):
        self._make_contract(date_start="2024-01-01", partner_id=self._make_partner("Two").id)
        manager = self._open()
        self._fetch(manager, invoice_date="2024-02-15")
        self._accept(manager)
        two = manager.run_id.document_ids.filtered(lambda doc: doc.partner_id.name == "Two")
        two.sorted("date_from")[0].sudo().invoice_date_due = "2024-01-01"
        self._process(manager)
        rows = [row for row in manager.get_rows()["rows"] if row["customer"] == "Two"]
        statuses = [row["status"] for row in sorted(rows, key=lambda row: row["date_from"])]
        self.assertEqual(statuses, ["failed", "waiting"])

    def test_exceptions_are_shown_with_reason(self):
        self.other_contract.billing_hold = True
        self.other_contract.billing_hold_reason = "quarrel"
        manager = self._open()
        state = self._fetch(manager)
        self.assertEqual(state["run"]["exceptions"], 1)
        [exception] = manager.get_exceptions()
        self.assertEqual(exception["customer"], "Other")
        self.assertIn("quarrel", exception["message"])
        self.assertEqual(exception["res_id"], self.other_contract.id)

    def test_held_by_another_run_is_released(self):
        other = self._make_amounts(self._make_run("2024-01-31"))
        manager = self._open()
        self._fetch(manager)
        exceptions = manager.get_exceptions()
        self.assertEqual({item["held_by"] for item in exceptions}, {other.reference})
        manager.action_release(exceptions[0]["id"])
        self._fetch(manager)
        self.assertEqual(manager.run_id.document_count, 1)

    def test_billing_action_of_rows(self):
        self.other.invoice_sending_method = "email"
        manager = self._open()
        self._fetch(manager)
        actions = {row["customer"]: row["send_action"] for row in manager.get_rows()["rows"]}
        self.assertEqual(actions, {"Debtor": "none", "Other": "email"})
        manager.action_set_send(self._select(manager, "Debtor"), "print")
        actions = {row["customer"]: row["send_action"] for row in manager.get_rows()["rows"]}
        self.assertEqual(actions, {"Debtor": "print", "Other": "email"})
        manager.action_set_send(ALL, "none")
        self.assertEqual({row["send_action"] for row in manager.get_rows()["rows"]}, {"none"})
        with self.assertRaises(UserError):
            manager.action_set_send(ALL, "pigeon")

    def test_print_of_what_is_to_print(self):
        manager = self._open()
        self._fetch(manager)
        self._accept(manager)
        manager.action_set_send(self._select(manager, "Other"), "print")
        with self.assertRaisesRegex(UserError, "nothing to print"):
            manager.action_print()
        state = self._process(manager)
        self.assertEqual(state["run"]["to_print"], 1)
        manager.run_id._write_engine({"job": "print"})
        self.assertEqual(manager.get_state()["run"]["progress"], {"done": 0, "total": 1})
        manager.run_id._write_engine({"job": "none"})
        rows = {row["customer"]: row for row in manager.get_rows()["rows"]}
        self.assertEqual(rows["Other"]["send_state"], "pending")
        self.assertEqual(rows["Debtor"]["send_state"], "none")

    def test_totals_per_currency(self):
        chf = self.setup_other_currency("CHF", rates=[("2020-01-01", 2.0)])
        self.other_contract.currency_id = chf
        manager = self._open()
        self._fetch(manager)
        totals = manager.get_totals(ALL)
        self.assertEqual((totals["count"], totals["open"]), (2, 2))
        self.assertEqual(
            {total["currency_id"]: total["total"] for total in totals["currencies"]},
            {self.company.currency_id.id: 100.0, chf.id: 100.0},
        )
        but = self._select(manager, "Other")["ids"]
        totals = manager.get_totals({"all": True, "ids": but})
        self.assertEqual(
            [total["currency_id"] for total in totals["currencies"]], self.company.currency_id.ids
        )

    def test_search_sort_and_pages(self):
        self.contract.line_ids.price_unit = 300.0
        manager = self._open()
        self._fetch(manager)
        names = [row["customer"] for row in manager.get_rows({"search": "oth"})["rows"]]
        self.assertEqual(names, ["Other"])
        found = manager.get_rows({"search": self.contract.name})
        self.assertEqual(found["total"], 1)
        rows = manager.get_rows({"order": "amount", "desc": False})["rows"]
        self.assertEqual([row["customer"] for row in rows], ["Other", "Debtor"])
        rows = manager.get_rows({"order": "amount", "desc": True})["rows"]
        self.assertEqual([row["customer"] for row in rows], ["Debtor", "Other"])
        page = manager.get_rows({}, offset=1, limit=1)
        self.assertEqual((len(page["rows"]), page["total"]), (1, 2))
        self.assertEqual(len(manager.get_ids({"search": "oth"})), 1)

    def test_rows_say_why_they_are_not_as_last_time(self):
        self._run_all("2024-01-15")
        self.contract.line_ids.price_unit = 103.0
        manager = self._open()
        self._fetch(manager, invoice_date="2024-02-15")
        rows = manager.get_rows({"order": "amount", "desc": True})["rows"]
        reasons = [[reason["text"] for reason in row["reasons"]] for row in rows]
        self.assertEqual(reasons, [["price +3.0 %"], []])

    def test_selected_elsewhere(self):
        manager = self._open(source="contract", record_ids=self.other_contract.ids)
        cards = manager.get_cards()
        self.assertIn(self.other_contract.name, cards["selected"])
        self.assertNotIn(self.usage_scenario.id, [card["id"] for card in cards["scenarios"]])
        self._fetch(manager)
        self.assertEqual(self._get_statuses(manager), {"Other": "to_do"})
        manager = self._open(partner_ids=self.debtor.ids)
        self.assertEqual(manager.get_cards()["selected"], "Debtor")
        self._fetch(manager)
        self.assertEqual(self._get_statuses(manager), {"Debtor": "to_do"})
        self.assertEqual(manager.action_forget_selected()["selected"], "")
        self._fetch(manager)
        self.assertEqual(manager.run_id.document_count, 1)  # the other run holds the rest

    def test_draft_scenario(self):
        self.scenario.invoice_state = "draft"
        manager = self._open()
        self._fetch(manager)
        self._accept(manager)
        self._process(manager)
        self.assertEqual(set(manager.run_id.invoice_ids.mapped("state")), {"draft"})
        self.assertTrue(all(row["draft"] for row in manager.get_rows()["rows"]))

    def test_drafts_are_chosen_for_this_run_and_confirmed(self):
        manager = self._open()
        state = self._fetch(manager)
        self.assertEqual(state["choices"]["invoice_state"], "posted")
        state = manager.action_set_invoice_state("draft")
        self.assertEqual(state["choices"]["invoice_state"], "draft")
        self.assertTrue(state["run"]["is_fetched"], "the rows stay")
        self._accept(manager)
        state = self._process(manager)
        moves = manager.run_id.invoice_ids
        self.assertEqual(set(moves.mapped("state")), {"draft"})
        self.assertEqual((state["run"]["drafts"], state["run"]["to_do"]), (2, 0))
        state = self._work(manager, manager.action_confirm())
        self.assertEqual(set(moves.mapped("state")), {"posted"})
        self.assertEqual(state["run"]["drafts"], 0)
        with self.assertRaisesRegex(UserError, "no drafts"):
            manager.action_confirm()
        self.assertEqual(self.scenario.invoice_state, "posted")

    def test_drafts_are_chosen_before_fetching_and_kept(self):
        manager = self._open()
        manager.action_choose(self.scenario.id)
        manager.action_set_invoice_state("draft")
        self._fetch(manager)
        run = manager.run_id
        self.assertEqual(run.invoice_state, "draft")
        again = self._open(run_id=run.id)
        self.assertEqual(again.get_state()["choices"]["invoice_state"], "draft")
        with self.assertRaises(ValueError):
            manager.action_set_invoice_state("nonsense")

    def test_busy_run_is_left_alone(self):
        manager = self._open()
        self._fetch(manager)
        manager.run_id.sudo().job = "invoices"
        for press in (
            lambda: manager.action_fetch({"invoice_date": "2024-02-15"}),
            lambda: manager.action_finish(),
            lambda: manager.action_send(ALL),
        ):
            with self.assertRaisesRegex(UserError, "being processed"):
                press()

    def test_many_rows_are_left_to_the_background(self):
        manager = self._open()
        limit = "odoo.addons.invoice_run.wizards.%s.WATCHED_LIMIT"
        with (
            patch(limit % "invoice_manager", 1),
            patch(limit % "invoice_manager_process", 1),
            self.capture_triggers("invoice_run.invoice_run_cron") as captured,
        ):
            manager.action_choose(self.scenario.id)
            manager.action_fetch({"invoice_date": "2024-01-31"})
            state = manager.action_work()
            self.assertEqual(state["run"]["job"], "amounts")
            manager.run_id._process_queue()
            self._accept(manager)
            manager.action_process(ALL)
            state = manager.action_work()
            self.assertEqual(state["run"]["job"], "invoices")
            self.assertEqual(state["run"]["invoices"], 0)
        now = fields.Datetime.now()
        self.assertTrue(captured.records)
        self.assertTrue(all(trigger.call_at <= now for trigger in captured.records))
        manager.run_id._process_queue()
        state = manager.get_state()
        self.assertEqual((state["run"]["job"], state["run"]["invoices"]), ("none", 2))

    def test_steps_are_small_and_the_background_takes_over(self):
        manager = self._open()
        step = "odoo.addons.invoice_run.models.job.invoice_run_progress.STEP_SIZE"
        with patch(step, 1), self.capture_triggers("invoice_run.invoice_run_cron") as captured:
            self._fetch(manager)
            self._accept(manager)
            manager.action_process(ALL)
            self.assertEqual(manager.action_work()["run"]["invoices"], 1)
            self.assertEqual(manager.action_work()["run"]["invoices"], 2)
        self.assertTrue(captured.records)
        self.assertTrue(
            all(trigger.call_at > fields.Datetime.now() for trigger in captured.records)
        )


@tagged("post_install", "-at_install")
class TestManagerApproval(ManagerCommon):
    """A reviewer continues at once; other users ask for approval and come back."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._make_contract(date_start="2024-01-01")
        cls.company.invoice_run_reviewer_id = cls.reviewer

    def test_user_asks_the_reviewer_and_comes_back(self):
        manager = self._open()
        state = self._fetch(manager)
        self.assertTrue(state["run"]["approval"]["needed"])
        run = manager.run_id
        self.assertFalse(run.activity_ids, "nobody asked for approval yet")
        state = manager.action_process(ALL)
        self.assertTrue(state["run"]["approval"]["asked"])
        self.assertEqual(state["run"]["approval"]["reviewer"], self.reviewer.name)
        self.assertEqual(run.activity_ids.user_id, self.reviewer)
        manager.action_process(ALL)
        self.assertEqual(len(run.activity_ids), 1)
        self.assertFalse(run.invoice_ids)
        run.with_user(self.reviewer).action_approve()
        later = self._open(run_id=run.id)
        self.assertEqual(later.get_state()["run"]["approval"]["approver"], self.reviewer.name)
        self._process(later)
        self.assertEqual(run.state, "invoiced")

    def test_reviewer_approves_by_processing(self):
        manager = self._open(self.reviewer)
        state = self._fetch(manager)
        self.assertFalse(state["run"]["approval"]["needed"])
        self._process(manager)
        self.assertEqual(manager.run_id.approved_by_id, self.reviewer)
        self.assertEqual(manager.run_id.state, "invoiced")

    def test_four_eyes(self):
        self.company.invoice_run_four_eyes = True
        manager = self._open(self.reviewer)
        self.assertTrue(self._fetch(manager)["run"]["approval"]["needed"])
        manager.action_process(ALL)
        self.assertFalse(manager.run_id.invoice_ids)
        other = self._open(self.manager, run_id=manager.run_id.id)
        self._process(other)
        self.assertEqual(manager.run_id.approved_by_id, self.manager)

    def test_setting_approves_what_is_clean(self):
        self.company.invoice_run_auto_approve = True
        manager = self._open()
        self._fetch(manager)
        manager.run_id.document_ids.with_user(self.reviewer).action_accept()
        self.assertFalse(manager.get_state()["run"]["approval"]["needed"])
        self._process(manager)
        self.assertEqual(manager.run_id.state, "invoiced")

    def test_setting_of_the_schedule_counts(self):
        """By hand is by hand, also where the company approves what people make here."""
        self.company.invoice_run_auto_approve = True
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "Monthly",
                "scenario_id": self.scenario.id,
                "company_id": self.company.id,
                "date_from": "2024-01-01",
                "run_count": 1,
                "auto_approve": "no",
            }
        )
        schedule.action_generate_runs()
        run = self._make_amounts(schedule.run_ids)
        run.document_ids.with_user(self.reviewer).action_accept()
        manager = self._open(run_id=run.id)
        self.assertTrue(manager.get_state()["run"]["approval"]["needed"])
        self.assertTrue(manager.action_process(ALL)["run"]["approval"]["asked"])
        with self.assertRaisesRegex(UserError, "follows IRS-"):
            self._fetch(manager)
        self.assertEqual(run.state, "amounts")
        self.assertEqual(schedule.auto_approve, "no")
        self.assertFalse(run.invoice_ids)

    def test_process_approves_what_was_seen(self):
        manager = self._open(self.reviewer)
        self._fetch(manager)
        seen = manager.get_rows()["fingerprint"]
        self._make_contract([{"price_unit": 9999.0}], date_start="2024-01-01")
        run = manager.run_id.with_user(self.user)
        run.action_generate_amounts()
        run._process_queue()
        with self.assertRaisesRegex(UserError, "changed since you looked"):
            manager.action_process(ALL, seen)
        self.assertFalse(manager.run_id.invoice_ids)
        manager.action_process(ALL, manager.get_rows()["fingerprint"])
        self.assertEqual(manager.run_id.state, "approved")

    def test_setting_does_not_approve_exceptions(self):
        self.company.invoice_run_auto_approve = True
        self._make_contract(
            date_start="2024-01-01",
            partner_id=self._make_partner("Held").id,
            billing_hold=True,
        )
        manager = self._open()
        self._fetch(manager)
        manager.run_id.document_ids.with_user(self.reviewer).action_accept()
        self.assertTrue(manager.action_process(ALL)["run"]["approval"]["asked"])
        self.assertFalse(manager.run_id.invoice_ids)

    def test_rejection_comes_back_with_its_reason(self):
        manager = self._open()
        self._fetch(manager)
        manager.action_process(ALL)
        manager.run_id.with_user(self.reviewer).action_reject("price is wrong")
        state = manager.get_state()
        self.assertFalse(state["run"]["approval"]["asked"])
        self.assertIn("price is wrong", state["run"]["notes"][0])

    def test_fetching_again_withdraws_the_question(self):
        manager = self._open()
        self._fetch(manager)
        manager.action_process(ALL)
        self._fetch(manager, invoice_date="2024-02-15")
        self.assertFalse(manager.get_state()["run"]["approval"]["asked"])
        self.assertFalse(manager.run_id.activity_ids)

    def test_responsible_is_told_of_progress(self):
        manager = self._open()
        with patch.object(type(self.user), "_bus_send", autospec=True) as send:
            self._fetch(manager)
            manager.action_process(ALL)
            manager.run_id.with_user(self.reviewer).action_approve()
        calls = [call.args for call in send.call_args_list]
        told = {
            (user, message["run_id"])
            for user, kind, message in calls
            if kind == "invoice_run.progress"
        }
        self.assertEqual(told, {(self.user, manager.run_id.id)})


@tagged("post_install", "-at_install")
class TestManagerRules(ManagerCommon):
    """Values that the manager asks for, with the widget of their kind."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls._make_partner("Other")
        cls._make_contract(date_start="2024-01-01", title="Blue")
        cls._make_contract(
            date_start="2024-01-15", title="Red", partner_id=cls.other.id, proration="none"
        )

    def _make_asking(self, field_path, operator, **vals):
        rule = {"name": "Asked", "field_path": field_path, "operator": operator, **vals}
        return self._make_scenario("Asking", rule_ids=[Command.create({**rule, "is_asked": True})])

    def _ask(self, scenario, *values):
        """Return the state of the rule, and who is found with these values."""
        manager = self._open()
        [rule] = manager.action_choose(scenario.id)["choices"]["rules"]
        if values:
            self._fetch(manager, scenario, rule_values={str(rule["id"]): list(values)})
        else:
            self._fetch(manager, scenario)
        found = sorted(row["customer"] for row in manager.get_rows()["rows"])
        manager.action_finish()
        return rule, found

    def test_date_range(self):
        scenario = self._make_asking("date_start", "between")
        rule, found = self._ask(scenario, "2024-01-10", "2024-01-31")
        self.assertEqual((rule["kind"], found), ("date", ["Other"]))
        self.assertEqual(self._ask(scenario, False, False)[1], ["Debtor", "Other"])

    @freeze_time("2024-01-20")
    def test_relative_date_is_proposed_as_a_day(self):
        scenario = self._make_asking("date_start", "between", value="month_start", value_to="today")
        rule, found = self._ask(scenario)
        self.assertEqual((rule["value"], rule["value_to"]), ("2024-01-01", "2024-01-20"))
        self.assertEqual(found, ["Debtor", "Other"])

    def test_boolean(self):
        scenario = self._make_asking("billing_hold", "=", value="false")
        rule, found = self._ask(scenario, "no", False)
        self.assertEqual((rule["kind"], rule["value"]), ("boolean", "no"))
        self.assertEqual(found, ["Debtor", "Other"])
        self.assertEqual(self._ask(scenario, "yes", False)[1], [])

    def test_selection(self):
        scenario = self._make_asking("proration", "=")
        rule, found = self._ask(scenario, "none", False)
        self.assertEqual((rule["kind"], found), ("selection", ["Other"]))
        self.assertIn("thirty_360", [key for key, _label in rule["choices"]])

    def test_many2one(self):
        scenario = self._make_asking("partner_id", "=", value="Other")
        rule, found = self._ask(scenario, str(self.debtor.id), False)
        self.assertEqual((rule["kind"], rule["model"]), ("many2one", "res.partner"))
        self.assertEqual(rule["ids"], self.other.ids)
        self.assertEqual(found, ["Debtor"])
        several = self._make_asking("partner_id", "in")
        both = ",".join(map(str, (self.debtor | self.other).ids))
        self.assertEqual(self._ask(several, both, False)[1], ["Debtor", "Other"])

    def test_text(self):
        scenario = self._make_asking("title", "ilike")
        rule, found = self._ask(scenario, "lu", False)
        self.assertEqual((rule["kind"], found), ("text", ["Debtor"]))

    def test_number(self):
        scenario = self._make_asking("line_ids.price_unit", ">=")
        rule, found = self._ask(scenario, "100", False)
        self.assertEqual((rule["kind"], found), ("number", ["Debtor", "Other"]))
        self.assertEqual(self._ask(scenario, "100.5", False)[1], [])

    def test_bad_value_is_refused_and_nothing_is_lost(self):
        scenario = self._make_asking("date_start", ">=")
        manager = self._open()
        manager.action_choose(scenario.id)
        answers = {str(scenario.rule_ids.id): ["soon", False]}
        with self.assertRaisesRegex(ValidationError, "Asked.*Start"):
            manager.action_fetch({"invoice_date": "2024-01-31", "rule_values": answers})

    def test_answers_are_kept(self):
        scenario = self._make_asking("title", "ilike", value="Red")
        manager = self._open()
        rule = str(scenario.rule_ids.id)
        self._fetch(manager, scenario, rule_values={rule: ["Blue", False]})
        [state] = manager.action_choose(scenario.id)["choices"]["rules"]
        self.assertEqual(state["value"], "Blue")
        resumed = self._open(run_id=manager.run_id.id)
        self.assertEqual(resumed.get_state()["choices"]["rules"][0]["value"], "Blue")


@tagged("post_install", "-at_install")
class TestManagerRights(ManagerCommon):
    """Everybody sees and does what the role and the companies allow."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other_company = cls.setup_other_company()["company"]
        cls.stranger = cls._make_user(
            "manager_stranger", "invoice_run.invoice_run_group_manager", company=cls.other_company
        )
        cls.contract = cls._make_contract(date_start="2024-01-01")

    def test_two_users_have_their_own(self):
        manager = self._open()
        self._fetch(manager)
        colleague = self._open(self.reviewer)
        self.assertEqual(colleague.get_cards()["runs"], [])
        self._fetch(colleague)
        self.assertEqual(colleague.run_id.document_count, 0)
        self.assertEqual(
            [item["held_by"] for item in colleague.get_exceptions()], [manager.run_id.reference]
        )

    def test_colleague_takes_over(self):
        manager = self._open()
        self._fetch(manager)
        colleague = self._open(self.reviewer, run_id=manager.run_id.id)
        self._process(colleague)
        self.assertEqual(manager.run_id.state, "invoiced")
        self.assertEqual(manager.get_state()["run"]["invoices"], 1)

    def test_one_page_whatever_is_asked_for(self):
        for number in range(3):
            self._make_contract(
                date_start="2024-01-01", partner_id=self._make_partner(f"P{number}").id
            )
            self._make_contract(date_start="2024-01-01", billing_mode="end")
        manager = self._open()
        self._fetch(manager)
        with patch.object(invoice_manager_rows, "PAGE_SIZE", 2):
            for limit in (-1, 0, None, 1_000_000, 2):
                with self.subTest(limit=limit):
                    rows = manager.get_rows(limit=limit, offset=-5)
                    self.assertLessEqual(len(rows["rows"]), 2)
                    self.assertGreater(rows["total"], 2)
                    self.assertLessEqual(len(manager.get_exceptions(limit=limit)), 2)
            self.assertEqual(len(manager.get_exceptions(limit=2)), 2)

    def test_other_company(self):
        manager = self._open()
        self._fetch(manager)
        run = manager.run_id
        stranger = self._open(self.stranger)
        names = {card["id"] for card in stranger.get_cards()["scenarios"]}
        self.assertNotIn(self.scenario.id, names)
        for press in (
            lambda: stranger.action_choose(self.scenario.id),
            lambda: stranger.action_discard(run.id),
            lambda: self._open(self.stranger, run_id=run.id),
            lambda: self._open(self.stranger, source="contract", record_ids=self.contract.ids),
        ):
            with self.assertRaises(AccessError):
                press()
        with self.assertRaises(AccessError):
            stranger.run_id = run
        stranger.sudo().run_id = run
        self.env.invalidate_all()
        for press in (
            stranger.get_state,
            stranger.get_rows,
            stranger.get_exceptions,
            stranger.action_work,
            stranger.action_finish,
            lambda: stranger.get_totals(ALL),
            lambda: stranger.action_process(ALL),
        ):
            with self.assertRaises(AccessError):
                press()

    def test_two_companies_one_after_the_other(self):
        other = self._make_scenario("Other company", company_id=self.other_company.id)
        both = self._make_user("manager_both", "invoice_run.invoice_run_group_reviewer")
        both.company_ids |= self.other_company
        companies = (self.company | self.other_company).ids
        manager = self._open(both).with_context(allowed_company_ids=companies)
        cards = manager.get_cards()["scenarios"]
        self.assertEqual({card["company"] for card in cards}, set(both.company_ids.mapped("name")))
        self._fetch(manager)
        first = manager.run_id
        self._fetch(manager, other)
        self.assertEqual(manager.run_id.company_id, self.other_company)
        self.assertEqual(first.state, "cancelled")

    def test_employee_without_role(self):
        employee = self._make_user("manager_employee", "base.group_user")
        with self.assertRaises(AccessError):
            self._open(employee)
