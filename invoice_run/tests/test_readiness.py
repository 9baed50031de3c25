from datetime import timedelta
from unittest.mock import patch

from freezegun import freeze_time

from odoo.exceptions import AccessError, UserError
from odoo.tests import HttpCase, tagged
from odoo.tools import mute_logger

from .sending_common import SendingCommon


class ReadinessCommon(SendingCommon):
    """A company that is ready; what is missing is taken away in each test."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.readiness = cls.env["invoice.run.readiness"]
        cls.layout = cls.env.ref("web.external_layout_standard")
        cls.company.write({"email": "us@example.com", "external_report_layout_id": cls.layout.id})
        cls.env["res.partner.bank"].create(
            {"acc_number": "BE00", "partner_id": cls.company.partner_id.id}
        )
        cls.user.email = "user@example.com"
        # due long after the days on which the tests run
        cls.company.partner_id.tz = "UTC"

    def _make_open_run(self, *partners, **vals):
        for partner in partners:
            self._make_contract(date_start="2024-01-01", partner_id=partner.id)
        run = self._make_run("2024-01-15", **vals)
        return self._make_amounts(run)

    def _solve(self, button, run=None, user=None):
        """Press a button of a finding."""
        runs = run if run is not None else self.env["invoice.run"]
        return runs.with_user(user or self.user).with_company(self.company).action_solve(button)

    def _make_responsible(self, run, user):
        """Have nobody but ``user`` send the invoices of ``run``."""
        run.user_id = user
        run.document_ids.contract_ids.user_id = user
        run.invoice_ids.invoice_user_id = user

    def _get_codes(self, run):
        run.invalidate_recordset(["readiness"])
        found = run.with_user(self.user).readiness
        return [finding["code"] for finding in found["findings"]] if found else []


@tagged("post_install", "-at_install")
@freeze_time("2024-01-10 10:00:00")
class TestReadiness(ReadinessCommon):
    """What keeps invoices from their customers is said before they are sent."""

    def test_nothing_is_asked_where_nothing_is_missing(self):
        run = self._make_run_to_send(self.debtor)
        self.assertEqual(self._get_codes(run), [])
        self.assertFalse(run.with_user(self.user).action_ask_send())
        self.assertEqual(run.job, "send")

    def test_layout_and_bank_are_asked_until_something_was_sent(self):
        self.company.external_report_layout_id = False
        self.company.bank_ids.unlink()
        run = self._make_run_to_send(self.debtor)
        self.assertEqual(self._get_codes(run), ["layout", "bank"])
        self._send(run)
        self.assertEqual(self._get_codes(run), [])

    def test_buttons_only_for_those_who_may_press_them(self):
        self.company.external_report_layout_id = False
        for user, is_shown in ((self.user, False), (self.env.ref("base.user_admin"), True)):
            finding = self.readiness.with_user(user)._find_layout(self.company)
            self.assertEqual(bool(finding["buttons"]), is_shown)
            self.assertEqual("administrator" in finding["text"], not is_shown)
        action = self._solve("layout", user=self.env.ref("base.user_admin"))
        self.assertEqual(action["res_model"], "base.document.layout")

    def test_customers_without_an_address(self):
        mailed = self._make_customer("Mailed", False)
        printed = self._make_partner("Printed", invoice_sending_method="manual")
        run = self._make_open_run(mailed, printed)
        run.document_ids.filtered(lambda doc: doc.partner_id == printed).send_action = "print"
        self.assertEqual(self._get_codes(run), ["no_email", "no_address"])
        for name, customer in (("see_no_email", mailed), ("see_no_address", printed)):
            self.assertEqual(self._solve(name, run)["domain"], [("id", "in", customer.ids)])
        mailed.email = "mailed@example.com"
        printed.write({"street": "Street 1", "city": "Town"})
        self.assertEqual(self._get_codes(run), [])

    def test_no_address_to_send_from(self):
        self.company.email = False
        run = self._make_run_to_send(self.debtor)
        self._make_responsible(run, self.user)
        self.assertEqual(self._get_codes(run), [])
        self.user.email = False
        self.assertEqual(self._get_codes(run), ["sender"])
        text = run.with_user(self.user).readiness["findings"][0]["text"]
        self.assertIn("address to send from", text)

    @mute_logger("odoo.addons.account.models.account_move_send")
    def test_without_a_sender_nothing_leaves_in_the_name_of_odoobot(self):
        self.company.email = self.user.email = False
        run = self._make_run_to_send(self.debtor)
        self._make_responsible(run, self.user)
        with self._real_sending():
            run.with_user(self.user).action_send()
            # as the scheduled action does it
            run.with_user(self.env.ref("base.user_root"))._process_queue()
        self.assertFalse(self.inbox.mails)
        self.assertEqual(run.document_ids.send_state, "failed")
        self.assertIn("no address to send from", run.document_ids.send_error)
        self.assertNotIn("OdooBot", run.document_ids.send_error)
        self.company.email = "us@example.com"
        self._retry(run)
        self.assertEqual(self.inbox.get_recipients(), ["debtor@example.com"])

    def test_due_dates_that_have_passed(self):
        run = self._make_open_run(self.debtor)
        term = self.env["account.payment.term"].create(
            {
                "name": "30 days",
                "line_ids": [(0, 0, {"value": "percent", "value_amount": 100, "nb_days": 30})],
            }
        )
        moments = {
            "2024-01-15": {"none": False, "term": False},
            "2024-01-16": {"none": True, "term": False},
            "2024-02-14": {"none": True, "term": False},
            "2024-02-15": {"none": True, "term": True},
        }
        for day, expected in moments.items():
            for name, is_overdue in expected.items():
                run.document_ids.sudo().payment_term_id = term if name == "term" else False
                with freeze_time(f"{day} 10:00:00"):
                    self.assertEqual("overdue" in self._get_codes(run), is_overdue, (day, name))

    def test_due_date_is_not_said_of_what_gets_another_date(self):
        run = self._make_open_run(self.debtor)
        run.schedule_id.sudo().invoice_date_mode = "generation"
        with freeze_time("2024-03-01 10:00:00"):
            self.assertEqual(self._get_codes(run), [])

    def test_due_date_of_an_invoice_that_waits(self):
        run = self._make_run_to_send(self.debtor)
        due = run.invoice_ids.invoice_date_due
        for days, codes in ((0, []), (1, ["overdue_invoices"])):
            with freeze_time(f"{due + timedelta(days=days)} 10:00:00"):
                self.assertEqual(self._get_codes(run), codes)

    def test_due_date_before_there_are_amounts(self):
        run = self._make_run("2024-01-05", due_date="2024-01-09")
        self.assertEqual(self._get_codes(run), ["due_date"])
        run.due_date = "2024-01-10"
        self.assertEqual(self._get_codes(run), [])
        schedule = run.schedule_id.sudo()
        run.with_user(self.user).write({"due_date": "2024-01-15", "activation_date": "2024-01-16"})
        self.assertEqual(run.state, "on_hold")
        self.assertEqual(self._get_codes(run), ["due_date"])
        schedule.invoice_date_mode = "generation"
        self.assertEqual(self._get_codes(run), [])

    def _get_finding(self, run, code):
        run.invalidate_recordset(["readiness"])
        found = run.with_user(self.user).readiness["findings"]
        [finding] = [one for one in found if one["code"] == code]
        return finding

    def test_dated_today_by_one_click(self):
        run = self._make_open_run(self.debtor, due_date="2024-01-25")
        run.with_user(self.reviewer).action_approve()
        self.assertEqual(run.state, "approved")
        total = run.amount_total
        with freeze_time("2024-02-01 10:00:00"):
            finding = self._get_finding(run, "overdue")
            self.assertEqual([name for name, _label in finding["buttons"]], ["today"])
            self._solve("today", run)
            document = run.document_ids
            self.assertEqual(document.invoice_date, self._date("2024-02-01"))
            self.assertGreaterEqual(document.invoice_date_due, document.invoice_date)
            # approved was another date
            self.assertEqual((run.state, run.amount_total), ("amounts", total))
            self.assertEqual(self._get_codes(run), [])
            self._make_invoices(run)
            self.assertEqual(run.invoice_ids.invoice_date, self._date("2024-02-01"))
            self.assertEqual(run.invoice_ids.amount_total, total)

    def test_dated_today_keeps_what_was_left_out_and_converts_anew(self):
        euro = self.setup_other_currency("EUR", rates=[("2024-01-01", 2.0), ("2024-02-01", 4.0)])
        other = self._make_customer("Other", "other@example.com")
        self._make_contract(date_start="2024-01-01", partner_id=other.id, currency_id=euro.id)
        run = self._make_open_run(self.debtor)
        left = run.document_ids.filtered(lambda document: document.partner_id == self.debtor)
        left.with_user(self.user).action_exclude()
        foreign = run.document_ids - left
        rate = foreign.currency_rate
        with freeze_time("2024-02-01 10:00:00"):
            self._solve("today", run)
        self.assertEqual(left.state, "excluded")
        self.assertEqual(left.invoice_date, self._date("2024-02-01"))
        self.assertEqual((rate, foreign.currency_rate), (2.0, 4.0))

    def test_no_other_date_once_there_are_invoices(self):
        run = self._make_open_run(self.debtor, self._make_customer("Other", "other@example.com"))
        run.with_user(self.reviewer).action_approve()
        run.document_ids[0].with_user(self.user).action_generate_invoices()
        run._process_queue()
        self.assertEqual(run.invoice_count, 1)
        with freeze_time("2024-02-01 10:00:00"):
            finding = self._get_finding(run, "overdue")
            self.assertFalse(finding["buttons"])
            self.assertIn("exclude them", finding["text"])
            date = run.invoice_date
            self._solve("today", run)
            self.assertEqual(run.invoice_date, date)

    def test_whoever_changes_the_date_has_prepared(self):
        self.company.invoice_run_four_eyes = True
        run = self._make_open_run(self.debtor)
        with freeze_time("2024-02-01 10:00:00"):
            self._solve("today", run, user=self.reviewer)
            with self.assertRaises(UserError):
                run.with_user(self.reviewer).action_approve()

    def test_queries_do_not_grow_with_documents(self):
        def count(run):
            run.env.flush_all()
            run.env.invalidate_all()
            runs = run.with_user(self.user)
            runs.document_count, runs.state, runs.env.user.has_group("base.group_user")
            before = self.env.cr.sql_log_count
            runs._get_readiness()
            return self.env.cr.sql_log_count - before

        run = self._make_open_run(self.debtor)
        count(run)
        few = count(run)
        for number in range(12):
            self._make_contract(
                date_start="2024-01-01",
                partner_id=self._make_customer(f"C{number}", f"c{number}@example.com").id,
            )
        more = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(len(more.document_ids), 12)
        self.assertLessEqual(count(more), few)

    # ------------------------------------------------------------------
    # Nobody said how to send
    # ------------------------------------------------------------------

    def _make_silent_run(self, way):
        self.company.billing_unset_sending = way
        silent = self._make_partner("Silent", "silent@example.com", street="S", city="C")
        return self._make_run_to_send(silent)

    def test_company_decides_what_not_set_means(self):
        for way in ("email", "print", "none"):
            with self.subTest(way):
                run = self._make_silent_run(way)
                document = run.document_ids
                self.assertEqual((document.send_action, document.is_send_unset), (way, False))
                self.assertEqual(self._get_codes(run), [])

    def test_undecided_is_asked_and_never_done(self):
        run = self._make_silent_run("ask")
        self.assertTrue(run.document_ids.is_send_unset)
        self.assertEqual(self._get_codes(run), ["unset"])
        summaries = run.activity_ids.mapped("summary")
        self.assertFalse([text for text in summaries if "done" in text], summaries)
        self.assertTrue([text for text in summaries if "choose how invoices go" in text], summaries)
        self.assertFalse(self.inbox.mails)

    def test_chosen_for_the_documents_that_were_asked_about(self):
        chosen = self._make_partner("Chosen", "c@example.com", invoice_sending_method="manual")
        self._make_contract(date_start="2024-01-01", partner_id=chosen.id)
        for way in ("email", "print", "leave"):
            run = self._make_silent_run("ask")
            self._solve(way, run)
            by_name = {doc.partner_id.name: doc for doc in run.document_ids}
            state = "none" if way == "leave" else "pending"
            self.assertEqual(by_name["Silent"].send_state, state)
            self.assertFalse(by_name["Silent"].is_send_unset)
            self.assertNotIn("unset", self._get_codes(run))
            if "Chosen" in by_name:
                self.assertEqual(by_name["Chosen"].send_action, "none")

    def test_undecided_is_a_group_of_its_own(self):
        self.company.billing_unset_sending = "ask"
        silent = self._make_partner("Silent", "silent@example.com")
        never = self._make_partner("Never", "never@example.com")
        run = self._make_open_run(self.debtor, silent, never)
        by_name = {document.partner_id.name: document for document in run.document_ids}
        by_name["Never"].with_user(self.user).send_action = "none"
        documents = self.env["invoice.run.document"].with_user(self.user)
        domain = [("run_id", "=", run.id)]
        found = documents.formatted_read_group(domain, ["send_way"], ["__count"])
        expected = {"email": "Debtor", "none": "Never", "undecided": "Silent"}
        self.assertEqual(
            {group["send_way"]: group["__count"] for group in found}, dict.fromkeys(expected, 1)
        )
        for group in found:
            opened = documents.search(domain + list(group["__extra_domain"]))
            self.assertEqual(opened.partner_id.name, expected[group["send_way"]])
            self.assertEqual(opened.send_way, group["send_way"])
        description = documents.fields_get(["send_way", "send_action"])
        self.assertIn(("undecided", "Not decided"), description["send_way"]["selection"])
        self.assertTrue(description["send_way"]["groupable"])
        self.assertFalse(description["send_action"]["groupable"])
        two = documents.search([*domain, ("send_way", "!=", "undecided")])
        self.assertEqual(set(two.partner_id.mapped("name")), {"Debtor", "Never"})
        arch = documents.get_view(view_type="search")["arch"]
        self.assertNotIn("'group_by': 'send_action'", arch)

    def test_invoice_manager_says_that_nobody_decided(self):
        run = self._make_silent_run("ask")
        manager = self.env["invoice.manager"].with_user(self.user)
        self.assertTrue(manager._get_row_sending(run.document_ids)["send_unset"])
        self._solve("leave", run)
        self.assertFalse(manager._get_row_sending(run.document_ids)["send_unset"])

    def test_choice_on_the_document_decides_too(self):
        run = self._make_silent_run("ask")
        run.document_ids.with_user(self.user).send_action = "email"
        self.assertEqual(self._get_codes(run), [])
        self._send(run)
        self.assertEqual(self.inbox.get_recipients(), ["silent@example.com"])

    def test_setting_by_managers_only(self):
        with self.assertRaises(AccessError):
            self._solve("always_email")
        self._solve("always_email", user=self.manager)
        self.assertEqual(self.company.billing_unset_sending, "email")

    def test_other_company_is_not_told(self):
        run = self._make_silent_run("ask")
        other = self._create_company(name="Another")
        stranger = self._make_user("stranger", "invoice_run.invoice_run_group_user", company=other)
        for name in ("email", "see_unset"):
            with self.assertRaises(AccessError):
                self._solve(name, run, user=stranger)
        self.assertTrue(run.document_ids.is_send_unset)

    def test_invoice_manager_asks_only_about_what_leaves(self):
        silent = self._make_partner("Silent", "silent@example.com")
        run = self._make_open_run(silent, self._make_customer("Mute", False))
        manager = self.env["invoice.manager"].with_user(self.user).create({"run_id": run.id})
        ids = {document.partner_id.name: document.id for document in run.document_ids}

        def ask(*names):
            question = manager.get_send_question({"all": False, "ids": [ids[n] for n in names]})
            return question and [finding["code"] for finding in question["findings"]]

        self.assertEqual(ask("Silent"), ["unset", "no_email"])
        self.assertEqual(ask("Mute"), ["unset", "no_email"])
        self.assertIs(ask(), False)
        self._solve("leave", run)
        self.assertIs(ask("Silent"), False)
        self.assertEqual(ask("Silent", "Mute"), ["no_email"])
        self.assertEqual(manager.get_state()["run"]["readiness"]["findings"][0]["code"], "no_email")

    # ------------------------------------------------------------------
    # The question
    # ------------------------------------------------------------------

    def test_question_then_sent(self):
        run = self._make_run_to_send(self.debtor, self._make_customer("Mute", False))
        action = run.with_user(self.user).action_ask_send()
        question = self.env[action["res_model"]].with_user(self.user).browse(action["res_id"])
        self.assertEqual(question.readiness["findings"][0]["code"], "no_email")
        self.assertEqual(run.job, "none")
        with self._real_sending():
            question.action_confirm()
            run._process_queue()
        self.assertEqual(self._get_states(run), {"Debtor": "sent", "Mute": "failed"})

    def test_automatic_sending_does_not_wait_for_the_question(self):
        run = self._make_run_to_send(self.debtor, self._make_customer("Mute", False))
        self._send(run)
        self.assertEqual(self._get_states(run), {"Debtor": "sent", "Mute": "failed"})


@tagged("post_install", "-at_install")
class TestRunMessages(ReadinessCommon):
    """What a run says of itself: to people, once, in words that mean something."""

    def test_outdated_amounts_are_not_approved(self):
        run = self._make_open_run(self.debtor)
        run.document_ids.sudo().is_stale = True
        with self.assertRaises(UserError) as error:
            run.with_user(self.reviewer).action_approve()
        self.assertIn("Recalculate Changed", str(error.exception))
        run.document_ids.sudo().is_stale = False
        run.with_user(self.reviewer).action_approve()
        self.assertEqual(run.state, "approved")

    @mute_logger("odoo.addons.invoice_run.models.document.invoice_run_invoicing")
    def test_not_invoiced_where_everything_failed(self):
        run = self._make_open_run(self.debtor)
        self.debtor.active = False
        self._make_invoices(run)
        self.assertEqual(run.document_ids.state, "failed")
        self.assertEqual(run.state, "approved")
        self.debtor.active = True
        run.with_user(self.user).action_retry_failed()
        run._process_queue()
        self.assertEqual((run.state, run.invoice_count), ("invoiced", 1))

    def test_see_why_shows_the_reason(self):
        run = self._make_run_to_send(self._make_customer("Mute", False))
        self._send(run)
        action = run.with_user(self.user).action_view_failed()
        self.assertTrue(action["context"]["invoice_run_failed"])
        self.assertIn("no email address", run.document_ids.failure)

    def test_chatter_without_steps_of_the_engine(self):
        run = self._make_run_to_send(self.debtor)
        self.env.cr.flush()
        tracked = run.message_ids.sudo().tracking_value_ids.field_id.mapped("name")
        self.assertNotIn("job", tracked)

    def _count_mails_to_responsible(self, by_itself):
        """Carry out a run in the background; return how many mails its responsible gets."""
        self._make_contract(date_start="2024-01-01")
        run = self._make_run("2024-01-15", user_id=self.user.id)
        root = run.with_user(self.env.ref("base.user_root"))
        automatic = patch.object(
            self.env.registry["invoice.run"], "_is_automatic", lambda run, step: by_itself
        )
        self.inbox.reset()
        with self._real_sending(), automatic:
            run.with_user(self.user).action_generate_amounts()
            root._process_queue()
            if not by_itself:
                run.with_user(self.reviewer).action_approve()
                run.with_user(self.user).action_generate_invoices()
                root._process_queue()
                run.with_user(self.user).action_send()
            root._process_queue()
            self.env.cr.flush()
        self.assertEqual(run.document_ids.send_state, "sent")
        self.assertIn("is done", run.activity_ids.summary)
        return self.inbox.get_recipients().count("user@example.com")

    def test_one_mail_where_nobody_pressed_a_button(self):
        self.assertEqual(self._count_mails_to_responsible(by_itself=True), 1)

    def test_no_mail_to_whoever_pressed_the_buttons(self):
        self.assertEqual(self._count_mails_to_responsible(by_itself=False), 0)

    # ------------------------------------------------------------------
    # The reviewer
    # ------------------------------------------------------------------

    def _ask(self, run, reviewer):
        action = run.action_ask_reviewer()
        question = self.env[action["res_model"]].with_user(run.env.user)
        return question.create({"run_id": run.id, "reviewer_id": reviewer.id}).action_confirm()

    def test_reviewer_is_asked_and_the_answer_comes_back(self):
        run = self._make_open_run(self.debtor)
        self.assertFalse(run.activity_ids)
        self._ask(run, self.reviewer)
        self.assertEqual(run.activity_ids.user_id, self.reviewer)
        run.with_user(self.reviewer).action_approve()
        answer = run.message_ids.filtered(lambda item: "is approved" in item.body)
        self.assertEqual(answer.partner_ids, self.user.partner_id)

    def test_rejection_comes_back_to_whoever_asked(self):
        run = self._make_open_run(self.debtor, user_id=self.manager.id)
        self._ask(run, self.reviewer)
        run.with_user(self.reviewer).action_reject("too much")
        answer = run.message_ids.filtered(lambda item: item.partner_ids == self.user.partner_id)
        self.assertIn("too much", answer.body)

    def test_only_colleagues_who_may_approve_are_asked(self):
        run = self._make_open_run(self.debtor)
        other = self._create_company(name="Another")
        stranger = self._make_user(
            "stranger", "invoice_run.invoice_run_group_reviewer", company=other
        )
        for user in (self._make_user("plain", "invoice_run.invoice_run_group_user"), stranger):
            with self.assertRaises(UserError):
                self._ask(run, user)
        self.assertFalse(run.reviewer_id)


@tagged("post_install", "-at_install")
class TestReadinessTours(HttpCase, ReadinessCommon):
    """Seen and solved on the run, before anything is sent; and the preview beside it."""

    def setUp(self):
        super().setUp()
        model = self.env.registry["invoice.run"]
        queue = model._queue_job

        def queue_and_do(runs, *args, **vals):
            queue(runs, *args, **vals)
            runs._process_queue()

        self.enterContext(patch.object(model, "_queue_job", queue_and_do))

    def _open_run(self, run, tour, login="run_user"):
        self.start_tour(f"/odoo/action-invoice_run.invoice_run_action/{run.id}", tour, login=login)
        self.env.invalidate_all()

    def test_choose_the_way_then_send_after_the_question(self):
        mute = self._make_customer("Mute", False)
        run = self._make_run_to_send(self._make_partner("Silent", "s@example.com"), mute)
        with self._real_sending():
            self._open_run(run, "invoice_run_readiness")
        self.assertEqual(self._get_states(run), {"Silent": "sent", "Mute": "failed"})

    def test_ask_a_colleague_for_approval(self):
        run = self._make_open_run(self.debtor)
        self._open_run(run, "invoice_run_ask_reviewer")
        self.assertEqual(run.activity_ids.user_id, self.reviewer)

    def test_preview_buttons(self):
        run = self._make_open_run(self.debtor)
        self._open_run(run, "invoice_run_preview", login="run_reviewer")

    def test_undecided_is_not_shown_as_do_not_send(self):
        run = self._make_open_run(self._make_partner("Silent", "s@example.com"))
        self._open_run(run, "invoice_run_undecided")
        document = run.document_ids
        self.assertEqual((document.send_action, document.is_send_unset), ("none", False))

    def test_invoice_manager_asks_before_it_sends(self):
        # late: no due date has passed on the day of the test
        self.company.invoice_run_auto_approve = True
        silent = self._make_partner("Silent", "s@example.com")
        contract = self._make_contract(date_start="2023-12-01", partner_id=silent.id)
        contract.date_end = "2024-01-31"
        self._run_all("2023-12-15").document_ids.send_action = "none"
        self.env["billing.contract"].search([("id", "!=", contract.id)]).billing_hold = True
        with self._real_sending():
            self.start_tour("/odoo/invoice-manager", "invoice_manager_readiness", login="run_user")
        self.env.invalidate_all()
        run = self.env["invoice.run"].search([("is_managed", "=", True)])
        self.assertEqual(self._get_states(run), {"Silent": "sent"})
        self.assertEqual(self.inbox.get_recipients(), ["s@example.com"])

    def test_first_steps_say_what_is_missing(self):
        self.env["invoice.run.schedule"].create(
            {
                "name": "Monthly",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "cycle": "monthly",
                "date_from": "2024-04-01",
            }
        )
        self.company.external_report_layout_id = False
        self.start_tour(
            "/odoo/invoice-run-dashboard", "invoice_run_before_sending", login="run_manager"
        )
        self.assertEqual(self.company.billing_unset_sending, "email")
