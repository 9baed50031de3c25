"""Who may do what, beyond the buttons: over RPC, by import, with a forged context."""

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Command
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestInvoiceFields(InvoiceRunCommon):
    """Nobody detaches an invoice from its claim, or forges one; Accounting works as always."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.accountant = cls._make_user("plain_accountant", "account.group_account_invoice")
        cls.contract = cls._make_contract(date_start="2024-01-01")

    def setUp(self):
        super().setUp()
        self.run = self._run_all("2024-01-15")
        self.move = self.run.document_ids.move_id
        self.line = self.run.line_ids

    def assertBillable(self, billable):
        self.env.invalidate_all()
        self.assertEqual(self.line.is_claimed, not billable)

    def _reverse(self, user, is_modify=False, **vals):
        wizard = (
            self.env["account.move.reversal"]
            .with_user(user)
            .with_context(active_model="account.move", active_ids=self.move.ids)
            .create({"journal_id": self.move.journal_id.id, "date": "2024-01-20", **vals})
        )
        wizard.modify_moves() if is_modify else wizard.refund_moves()
        return wizard.new_move_ids

    def test_links_cannot_be_written(self):
        other = self._run_all("2024-02-15").document_ids
        for record, vals in (
            (self.move, {"invoice_run_id": False}),
            (self.move, {"invoice_run_id": other.run_id.id}),
            (self.move, {"invoice_run_document_id": other.id}),
            (self.move, {"invoice_bill_again": True}),
            (self.move.invoice_line_ids, {"invoice_run_line_id": False}),
            (self.move.invoice_line_ids, {"invoice_run_line_id": other.line_ids.id}),
        ):
            for user in (self.accountant, self.manager):
                for context in ({}, {"invoice_run_engine": True, "invoice_run_move_claims": True}):
                    with self.subTest(vals=vals, user=user.login, context=context):
                        forged = record.with_user(user).with_context(**context)
                        with self.assertRaisesRegex(AccessError, "by hand"):
                            forged.write(vals)
        self.assertBillable(False)

    def test_links_cannot_be_written_through_the_invoice(self):
        move = self.move.with_user(self.accountant)
        move.button_draft()
        update = Command.update(move.invoice_line_ids.id, {"invoice_run_line_id": False})
        for name in ("invoice_line_ids", "line_ids"):
            with self.subTest(name=name), self.assertRaisesRegex(AccessError, "by hand"):
                move.write({name: [update]})
        self.assertBillable(False)

    def test_links_cannot_be_forged(self):
        invoice = {"move_type": "out_invoice", "partner_id": self.debtor.id}
        line = {"product_id": self.product.id, "invoice_run_line_id": self.line.id}
        for vals in (
            {**invoice, "invoice_run_id": self.run.id},
            {**invoice, "invoice_run_document_id": self.run.document_ids.id},
            {**invoice, "invoice_bill_again": True},
            {**invoice, "invoice_line_ids": [Command.create(line)]},
        ):
            Move = self.env["account.move"].with_user(self.accountant)
            with self.subTest(vals=vals), self.assertRaisesRegex(AccessError, "by hand"):
                Move.with_context(invoice_run_engine=True).create(vals)
        result = Move.load(
            ["move_type", "partner_id/.id", "invoice_run_id/.id"],
            [["out_invoice", str(self.debtor.id), str(self.run.id)]],
        )
        self.assertFalse(result["ids"])

    def test_copy_with_a_forged_context_copies_no_claim(self):
        move = self.move.with_user(self.accountant)
        copy = move.with_context(
            include_business_fields=True,
            invoice_run_move_claims=True,
            invoice_run_reversing=True,
            move_reverse_cancel=False,
        ).copy()
        self.assertFalse(copy.invoice_run_id)
        self.assertFalse(copy.invoice_line_ids.invoice_run_line_id)
        self.assertFalse(copy.invoice_line_ids.billing_credited_line_id)
        copy.unlink()
        self.assertBillable(False)

    def test_accountant_credits_and_bills_again(self):
        """Users without rights on runs keep all of Accounting, and the claims follow."""
        credit = self._reverse(self.accountant, invoice_bill_again=True)
        self.assertTrue(credit.invoice_bill_again)
        credit.with_user(self.accountant).action_post()
        self.assertBillable(True)
        credit.with_user(self.accountant).button_draft()
        self.assertBillable(False)

    def test_accountant_credits_without_billing_again(self):
        self._reverse(self.accountant).with_user(self.accountant).action_post()
        self.assertBillable(False)

    def test_accountant_reverses_and_makes_a_new_invoice(self):
        new = self._reverse(self.accountant, is_modify=True)
        self.assertEqual(new.invoice_line_ids.invoice_run_line_id, self.line)
        self.assertEqual(new.invoice_run_id, self.run)
        self.assertBillable(False)
        new.with_user(self.accountant).action_post()
        self.assertBillable(False)

    def test_accountant_edits_a_draft(self):
        move = self.move.with_user(self.accountant)
        move.button_draft()
        move.write(
            {
                "billing_title": "Rent of January",
                "invoice_line_ids": [
                    Command.update(move.invoice_line_ids.id, {"name": "Rent", "price_unit": 90.0}),
                    Command.create({"product_id": self.product.id, "price_unit": 5.0}),
                ],
            }
        )
        move.action_post()
        self.assertEqual(move.amount_untaxed, 95.0)
        self.assertBillable(False)
        move.button_draft()
        move.button_cancel()
        self.assertBillable(True)

    def test_customer_does_not_see_the_run(self):
        portal = self._make_user("portal_debtor", "base.group_portal")
        portal.partner_id.parent_id = self.debtor
        self.move.message_subscribe(portal.partner_id.ids)
        move = self.move.with_user(portal)
        self.assertEqual(move.amount_total, 100.0)
        for name in (
            "invoice_run_id",
            "invoice_run_document_id",
            "invoice_bill_again",
            "billing_category_id",
            "billing_contract_ids",
        ):
            self.assertNotIn(name, move.fields_get())
            with self.subTest(name=name), self.assertRaises(AccessError):
                move.read([name])
        with self.assertRaises(AccessError):
            self.env["account.move"].with_user(portal).search([("invoice_run_id", "!=", False)])

    def test_block_of_a_customer_is_for_accountants(self):
        clerk = self._make_user("clerk", "base.group_user,base.group_partner_manager")
        for name in ("billing_hold", "billing_hold_reason", "allow_invoice_grouping"):
            with self.subTest(name=name), self.assertRaises(AccessError):
                self.debtor.with_user(clerk).write({name: True})
        with self.assertRaises(AccessError):
            self.debtor.with_user(clerk).billing_usage_annex = "csv"
        self.accountant.group_ids += self.env.ref("base.group_partner_manager")
        self.debtor.with_user(self.accountant).billing_hold = True


@tagged("post_install", "-at_install")
class TestApprovalIsNotBypassed(InvoiceRunCommon):
    """A user prepares, a reviewer approves: whatever is written, copied, imported or retried."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contract = cls._make_contract(date_start="2024-01-01")

    def _make_schedule(self, user=None, **vals):
        return (
            self.env["invoice.run.schedule"]
            .with_user(user or self.env.user)
            .create(
                {
                    "name": "Monthly",
                    "company_id": self.company.id,
                    "scenario_id": self.scenario.id,
                    "date_from": "2024-01-01",
                    "run_count": 2,
                    **vals,
                }
            )
        )

    def test_only_managers_let_a_schedule_approve(self):
        for user in (self.user, self.reviewer):
            with self.subTest(user=user.login):
                with self.assertRaisesRegex(AccessError, "Only managers"):
                    self._make_schedule(user, auto_approve="yes")
                schedule = self._make_schedule(user)
                for choice in ("yes", "no", "company"):
                    if choice == "no":
                        schedule.auto_approve = choice
                        continue
                    with self.assertRaisesRegex(AccessError, "Only managers"):
                        schedule.auto_approve = choice
        schedule = self._make_schedule(self.manager, auto_approve="yes")
        schedule.auto_approve = "company"

    def test_user_cannot_turn_an_automatic_schedule_to_something_else(self):
        scenario = self._make_scenario("Other")
        schedule = self._make_schedule(self.manager, auto_approve="yes")
        schedule.action_generate_runs()
        mine = schedule.with_user(self.user)
        with self.assertRaisesRegex(AccessError, "Only managers"):
            mine.scenario_id = scenario
        run = mine.run_ids[:1]
        for vals in ({"scenario_id": scenario.id}, {"target_date": "2025-12-31"}):
            with self.subTest(**vals), self.assertRaisesRegex(AccessError, "Only managers"):
                run.write(vals)
        mine.name = "Rent"

    def test_user_cannot_turn_a_schedule_as_the_company_to_something_else(self):
        self.company.invoice_run_auto_approve = True
        scenario = self._make_scenario("Other")
        cluster = self.env["billing.cluster"].create({"name": "A", "company_id": self.company.id})
        schedule = self._make_schedule(self.user)
        schedule.action_generate_runs()
        run = schedule.run_ids[:1]
        attempts = (
            (schedule, {"scenario_id": scenario.id}),
            (schedule, {"cluster_ids": [Command.link(cluster.id)]}),
            (schedule, {"cluster_ids": [Command.create({"name": "B"})]}),
            (schedule, {"auto_approve": "no", "scenario_id": scenario.id}),
            (run, {"scenario_id": scenario.id}),
            (run, {"cluster_ids": [Command.link(cluster.id)]}),
        )
        for user in (self.user, self.reviewer):
            for record, vals in attempts:
                with self.subTest(user=user.login, **vals), self.assertRaises(AccessError):
                    record.with_user(user).write(vals)
        schedule.write({"name": "Rent", "scenario_id": self.scenario.id})
        schedule.with_user(self.manager).scenario_id = scenario

    def test_user_chooses_what_is_billed_by_hand(self):
        """Where the company approves by itself, a run made by hand is its user's."""
        self.company.invoice_run_auto_approve = True
        run = self._make_run("2024-01-15").with_user(self.user)
        run.scenario_id = self._make_scenario("Other")
        self.company.invoice_run_auto_approve = False
        schedule = self._make_schedule(self.user)
        schedule.scenario_id = run.scenario_id

    def test_runs_are_not_deleted_through_their_schedule(self):
        schedule = self._make_schedule(self.user, run_count=3)
        schedule.action_generate_runs()
        runs = schedule.run_ids
        for vals in ({"run_count": 1}, {"run_count": 0, "until_date": "2024-01-31"}):
            for user in (self.user, self.reviewer):
                with self.subTest(user=user.login, **vals):
                    # a savepoint: as a request that failed
                    with self.assertRaises(AccessError) as refused:
                        schedule.with_user(user).write(vals)
                    self.assertIn("only managers", str(refused.exception))
        self.assertEqual(len(runs.exists()), 3)
        runs.filtered(lambda run: run.number == 2).action_cancel()
        schedule.run_count = 2
        self.assertEqual(len(runs.exists()), 3)
        schedule.with_user(self.manager).run_count = 1
        self.assertEqual(len(runs.exists()), 2)

    def test_copy_of_an_automatic_schedule(self):
        schedule = self._make_schedule(self.manager, auto_approve="yes")
        self.assertEqual(schedule.with_user(self.user).copy().auto_approve, "company")
        self.assertEqual(schedule.copy().auto_approve, "yes")

    def test_import_does_not_approve(self):
        Schedule = self.env["invoice.run.schedule"].with_user(self.user)
        result = Schedule.load(
            ["name", "scenario_id/.id", "date_from", "auto_approve"],
            [["Mine", str(self.scenario.id), "2024-01-01", "yes"]],
        )
        self.assertFalse(result["ids"])
        self.assertIn("Only managers", str(result["messages"]))
        Run = self.env["invoice.run"].with_user(self.user)
        for name, value in (
            ("state", "approved"),
            ("approved_by_id/.id", str(self.reviewer.id)),
            ("job", "invoices"),
        ):
            result = Run.load(
                ["scenario_id/.id", "invoice_date", name],
                [[str(self.scenario.id), "2024-01-15", value]],
            )
            self.assertFalse(result["ids"], name)

    def test_run_of_an_automatic_schedule_cannot_be_added(self):
        schedule = self._make_schedule(self.manager, auto_approve="yes")
        mine = self._make_run("2024-01-15").with_user(self.user)
        vals = {
            "name": "Mine",
            "schedule_id": schedule.id,
            "number": 99,
            "scenario_id": self.scenario.id,
            "date_from": "2024-01-01",
            "date_to": "2024-01-31",
            "target_date": "2024-01-31",
            "invoice_date": "2024-01-15",
        }
        with self.assertRaisesRegex(AccessError, "by hand"):
            mine.create(vals)
        with self.assertRaisesRegex(AccessError, "by hand"):
            mine.schedule_id = schedule
        with self.assertRaisesRegex(AccessError, "by hand"):
            mine.with_context(invoice_run_engine=True).schedule_id = schedule

    def test_reviewer_of_a_run_needs_the_role(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        run.reviewer_id = self.user
        with self.assertRaisesRegex(AccessError, "Only reviewers"):
            run.action_approve()
        self.assertEqual(run.state, "amounts")

    def test_four_eyes_is_not_theirs_to_change(self):
        for user in (self.user, self.reviewer, self.manager):
            with self.subTest(user=user.login), self.assertRaises(AccessError):
                self.company.with_user(user).invoice_run_four_eyes = False
            with self.assertRaises(AccessError):
                self.company.with_user(user).invoice_run_auto_approve = True

    def test_four_eyes_counts_who_renewed(self):
        self.company.invoice_run_four_eyes = True
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.contract.line_ids.price_unit = 130.0
        mine = run.with_user(self.reviewer)
        mine.action_renew_stale()
        mine._process_queue()
        with self.assertRaisesRegex(UserError, "Four-eyes principle"):
            mine.action_approve()
        run.with_user(self.manager).action_approve()

    def test_changed_contract_is_not_billed_as_approved(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        run.with_user(self.reviewer).action_approve()
        self.contract.with_user(self.user).line_ids.price_unit = 1000.0
        run.action_generate_invoices()
        run._process_queue()
        self.assertEqual(run.document_ids.state, "failed")
        self.assertFalse(run.invoice_ids)

    def test_changed_run_is_not_billed_as_approved(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        for vals in (
            {"invoice_date": "2024-01-16"},
            {"due_date": "2024-03-01"},
            {"target_date": "2024-03-15"},
            {"scenario_id": self._make_scenario("Drafts", invoice_state="draft").id},
        ):
            with self.subTest(**vals):
                run.with_user(self.reviewer).action_approve()
                run.write(vals)
                self.assertEqual(run.state, "amounts")
                self.assertTrue(all(run.document_ids.mapped("is_stale")))
                run.action_renew_stale()
                run._process_queue()
                self.assertFalse(run.stale_count)

    def test_same_values_withdraw_nothing(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        run.with_user(self.reviewer).action_approve()
        run.write(
            {
                "invoice_date": "2024-01-15",
                "scenario_id": self.scenario.id,
                "cluster_ids": [Command.set([])],
                "name": "Another name",
            }
        )
        self.assertEqual(run.state, "approved")

    def test_retry_does_not_approve(self):
        """Recalculated amounts wait for approval, also where another document failed before."""
        other = self._make_contract(
            date_start="2024-01-01", partner_id=self._make_partner("Other").id
        )
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.company.fiscalyear_lock_date = "2024-01-31"
        self._make_invoices(run)
        self.assertEqual(run.failed_count, 2)
        self.company.fiscalyear_lock_date = False
        other.line_ids.price_unit = 1000.0
        run.action_renew_stale()
        run._process_queue()
        self.assertEqual(run.state, "amounts")
        with self.assertRaisesRegex(UserError, "not approved"):
            run.action_retry_failed()
        self.assertFalse(run.invoice_ids)

    def test_invoicing_rights_are_needed(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        run.with_user(self.reviewer).action_approve()
        role = self.env.ref("invoice_run.invoice_run_group_user")
        role.implied_ids -= self.env.ref("account.group_account_invoice")
        for method in ("action_generate_invoices", "action_reverse"):
            with self.subTest(method=method), self.assertRaises(AccessError):
                getattr(run, method)()
        run.document_ids.sudo().state = "failed"
        with self.assertRaises(AccessError):
            run.action_retry_failed()
        self.assertEqual(run.job, "none")


@tagged("post_install", "-at_install")
class TestCompanies(InvoiceRunCommon):
    """Nothing of another company is read through wizards, links, totals or counts."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other_company = cls.setup_other_company()["company"]
        cls.stranger = cls._make_user(
            "other_manager", "invoice_run.invoice_run_group_manager", company=cls.other_company
        )
        cls.contract = cls._make_contract([{"price_unit": 123.45}], date_start="2024-01-01")

    def test_wizards_do_not_read_across(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        line = self.contract.line_ids
        attempts = (
            ("billing.due", {"contract_ids": [Command.set(self.contract.ids)]}),
            (
                "billing.contract.change",
                {"line_ids": [Command.create({"contract_line_id": line.id})]},
            ),
            ("invoice.run.reason", {"run_id": run.id, "reason": "because"}),
            ("billing.forecast", {"company_id": self.company.id}),
            ("billing.cutoff", {"company_id": self.company.id}),
        )
        for model, vals in attempts:
            with self.subTest(model=model), self.assertRaises(AccessError):
                self.env.invalidate_all()
                wizard = self.env[model].with_user(self.stranger).create(vals)
                self.env.flush_all()
                wizard.read()

    def test_wizard_being_filled_in_does_not_read_across(self):
        Change = self.env["billing.contract.change"].with_user(self.stranger)
        spec = {"line_ids": {"fields": {"price_unit": {}, "name": {}, "partner_id": {}}}}
        values = {"line_ids": [[0, "1", {"contract_line_id": self.contract.line_ids.id}]]}
        with self.assertRaises(AccessError):
            self.env.invalidate_all()
            Change.onchange(values, ["line_ids"], spec)
        context = {"active_model": "billing.contract", "active_ids": self.contract.ids}
        with self.assertRaises(AccessError):
            self.env.invalidate_all()
            Change.with_context(**context).default_get(["line_ids"])

    def test_totals_and_names(self):
        self._make_amounts(self._make_run("2024-01-15"))
        for model in ("invoice.run", "invoice.run.document", "billing.contract", "billing.usage"):
            Model = self.env[model].with_user(self.stranger)
            with self.subTest(model=model):
                self.assertFalse(Model.name_search(""))
                self.assertFalse(Model.search_count([]))
                self.assertEqual(Model.formatted_read_group([], [], ["__count"])[0]["__count"], 0)
        partner = self.debtor.with_user(self.stranger)
        self.assertEqual(partner.billing_contract_count, 0)
        self.assertFalse(partner.billing_contract_ids)
        dashboard = self.env["invoice.run"].with_user(self.stranger).get_dashboard()
        self.assertFalse(dashboard["today"])

    def test_count_of_a_scenario_being_typed(self):
        """A selection that is tried out counts no invoices of another company."""
        self.contract.line_ids.price_unit = 777.0
        self._run_all("2024-01-15")
        scenario = self.env["billing.scenario"].with_user(self.stranger)
        edited = scenario.new(
            {
                "name": "Probe",
                "company_id": self.other_company.id,
                "domain": "[('partner_id.invoice_ids.amount_total', '=', 777)]",
            }
        )
        self.env["billing.contract"].create(
            {
                "partner_id": self.debtor.id,
                "company_id": self.other_company.id,
                "date_start": "2024-01-01",
                "line_ids": [Command.create({"product_id": self._make_product("P", 1.0).id})],
            }
        ).action_activate()
        self.assertFalse(edited.due_error)
        self.assertEqual(edited.due_count, 0)

    def test_billed_contract_stays_in_its_company(self):
        self._run_all("2024-01-15")
        with self.assertRaisesRegex(ValidationError, "another company"):
            self.contract.company_id = self.other_company
        other = self._make_contract(date_start="2024-01-01")
        with self.assertRaisesRegex(ValidationError, "another contract"):
            self.contract.line_ids.contract_id = other
