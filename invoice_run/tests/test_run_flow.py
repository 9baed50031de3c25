import psycopg2
from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import SQL, mute_logger

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestRunFlow(InvoiceRunCommon):
    """The whole way from contracts to posted invoices, and every flow a second time."""

    def test_contract_to_posted_invoice(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_run("2024-01-15")
        self.assertEqual(run.state, "on_hold")
        self._make_amounts(run)
        self.assertEqual(run.state, "amounts")
        self.assertEqual(self._get_periods(run), ["2024-01-01/2024-01-31"])
        moves = self._make_invoices(run)
        self.assertEqual(run.state, "invoiced")
        self.assertEqual(moves.state, "posted")
        self.assertEqual(moves.amount_untaxed, 100.0)
        self.assertEqual(moves.invoice_date, self._date("2024-01-15"))
        self.assertEqual(moves.invoice_run_id, run)
        self.assertEqual(moves.billing_contract_ids, contract)
        line = moves.invoice_line_ids
        self.assertEqual(line.billing_date_from, self._date("2024-01-01"))
        self.assertEqual(line.billing_date_to, self._date("2024-01-31"))
        self.assertEqual(contract.line_ids.invoiced_until, self._date("2024-01-31"))
        self.assertEqual(contract.next_invoicing_date, self._date("2024-02-01"))

    def test_second_run_bills_nothing_twice(self):
        self._make_contract(date_start="2024-01-01")
        first = self._run_all("2024-01-15")
        second = self._run_all("2024-01-15")
        self.assertEqual(len(first.document_ids), 1)
        self.assertFalse(second.document_ids)
        self.assertEqual(second.state, "amounts")

    def test_every_button_twice(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_run("2024-01-15").with_user(self.reviewer)
        for step in ("action_submit", "action_generate_amounts"):
            getattr(run, step)()
            getattr(run, step)()
        run._process_queue()
        run._process_queue()
        for step in ("action_approve", "action_generate_invoices"):
            getattr(run, step)()
            getattr(run, step)()
        run._process_queue()
        run.action_generate_invoices()
        run._process_queue()
        self.assertEqual(len(run.invoice_ids), 1)

    def test_renewed_amounts_are_the_same(self):
        self._make_contract(date_start="2024-01-10")
        run = self._make_amounts(self._make_run("2024-03-15"))
        before = self._get_periods(run)
        run.action_generate_amounts()
        run._process_queue()
        self.assertEqual(self._get_periods(run), before)
        self.assertEqual(len(before), 3)

    def test_deleted_amounts_are_billable_again(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(contract.next_invoicing_date, self._date("2024-02-01"))
        with self.assertRaisesRegex(UserError, "Enter the reason"):
            run.action_delete_amounts(" ")
        run.action_delete_amounts("wrong prices")
        self.assertFalse(run.document_ids)
        self.assertEqual(run.state, "submitted")
        self.assertEqual(contract.next_invoicing_date, self._date("2024-01-01"))
        self.assertIn("wrong prices", run.message_ids[0].body)

    def test_deleting_amounts_withdraws_approval(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        run.with_user(self.reviewer).action_approve()
        run.action_delete_amounts("wrong prices")
        self.assertFalse(run.approved_by_id)
        with self.assertRaisesRegex(UserError, "not approved"):
            run.action_generate_invoices()

    def test_future_invoice_is_posted(self):
        self._make_contract(date_start="2024-01-01")
        with freeze_time("2023-12-20"):
            run = self._run_all("2024-01-15")
        move = run.document_ids.move_id
        self.assertEqual(move.state, "posted")
        self.assertEqual(move.auto_post, "no")

    def test_drafts_when_the_scenario_wants_them(self):
        self.scenario.invoice_state = "draft"
        self._make_contract(date_start="2024-01-01")
        run = self._run_all("2024-01-15")
        self.assertEqual(run.document_ids.move_id.state, "draft")

    def test_negative_total_becomes_a_credit_note(self):
        self._make_usage(date="2024-01-03", quantity=-2, price_unit=10.0)
        run = self._run_all("2024-01-31", self.usage_scenario)
        move = run.document_ids.move_id
        self.assertEqual(move.move_type, "out_refund")
        self.assertEqual(move.amount_total, 20.0)
        self.assertEqual(run.amount_total, -20.0)

    def test_a_credit_note_of_a_contract_has_a_reference_and_the_bank_of_the_customer(self):
        # NLCIUS refuses credit notes without them
        bank = {"acc_number": "NL91 ABNA 0417 1643 00", "partner_id": self.debtor.id}
        bank = self.env["res.partner.bank"].create(bank)
        contract = self._make_contract([{"quantity": -2}], date_start="2024-01-01")
        named = self._make_contract(
            [{"quantity": -2}], date_start="2024-01-01", client_order_ref="PO 7"
        )
        moves = self._run_all("2024-01-15").document_ids.move_id
        self.assertEqual(set(moves.mapped("move_type")), {"out_refund"})
        self.assertEqual(set(moves.mapped("ref")), {contract.name, "PO 7"})
        self.assertEqual(moves.partner_bank_id, bank)
        self.assertEqual(len(moves), len(contract | named))

    def test_zero_total_makes_no_invoice(self):
        contract = self._make_contract([{"discount": 100.0}], date_start="2024-01-01")
        run = self._run_all("2024-01-15")
        self.assertEqual(run.document_ids.state, "nothing")
        self.assertFalse(run.invoice_ids)
        self.assertEqual(contract.next_invoicing_date, self._date("2024-02-01"))

    def test_scheduled_action_does_all_the_work(self):
        self.company.write(
            {
                "invoice_run_auto_amounts": True,
                "invoice_run_auto_approve": True,
                "invoice_run_auto_invoices": True,
            }
        )
        self._make_contract(date_start="2024-01-01")
        schedule = self._make_schedule()
        schedule.action_generate_runs()
        cron = self.env.ref("invoice_run.invoice_run_cron")
        with freeze_time("2024-01-01"), self.enter_registry_test_mode():
            self.assertIs(cron.method_direct_trigger(), True)
        run = schedule.run_ids.sorted("number")[0]
        self.assertEqual(run.state, "invoiced")
        self.assertEqual(run.invoice_count, 1)
        with freeze_time("2024-01-01"), self.enter_registry_test_mode():
            cron.method_direct_trigger()
        self.assertEqual(len(run.invoice_ids), 1)

    def _leave_no_time(self):
        """Have each step use up a worker's time; return what the steps say is left to do."""
        steps = []

        def out_of_time(_model, processed=0, remaining=None):
            steps.append(remaining)
            return 0.0

        self.patch(self.env.registry["invoice.run"], "_commit_step", out_of_time)
        return steps

    def test_worker_out_of_time_goes_on_at_once(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_run("2024-01-15")
        run.action_generate_amounts()
        steps = self._leave_no_time()
        self.env["invoice.run"]._cron_process_runs()
        self.assertEqual(run.job, "amounts")
        self.assertTrue(run.document_ids)
        self.assertEqual(steps[-1], 1)
        self.env["invoice.run"]._cron_process_runs()
        self.assertEqual(run.state, "amounts")
        self.assertEqual(len(run.document_ids), 1)

    def test_customers_without_anything_to_bill_do_not_keep_a_run_busy(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_run("2024-01-15")
        run.action_generate_amounts()
        self._leave_no_time()
        # an addon's source that finds customers, but nothing to invoice for them
        self.patch(self.env.registry["invoice.run"], "_get_charges", lambda *_args: ([], []))
        self.assertTrue(run._get_open_payers())
        self.env["invoice.run"]._cron_process_runs()
        self.assertEqual((run.state, run.job), ("amounts", "none"))
        self.assertFalse(run.document_ids)

    def _make_schedule(self, **vals):
        return self.env["invoice.run.schedule"].create(
            {
                "name": "Monthly",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": "2024-01-01",
                "activation_days": 0,
                "run_count": 3,
                **vals,
            }
        )

    def test_schedule_generates_the_missing_runs_only(self):
        schedule = self._make_schedule(run_count=2)
        schedule.action_generate_runs()
        schedule.action_generate_runs()
        self.assertEqual(len(schedule.run_ids), 2)
        schedule.run_count = 3
        schedule.action_generate_runs()
        runs = schedule.run_ids.sorted("number")
        self.assertEqual(
            [str(day) for day in runs.mapped("date_to")], ["2024-01-31", "2024-02-29", "2024-03-31"]
        )

    def test_schedule_dates_of_the_worked_example(self):
        schedule = self._make_schedule(
            date_from="2023-04-01",
            invoice_date="2023-04-03",
            due_date="2023-04-30",
            activation_days=10,
        )
        schedule.action_generate_runs()
        runs = schedule.run_ids.sorted("number")

        def texts(name):
            return [fields.Date.to_string(run[name]) for run in runs]

        self.assertEqual(texts("invoice_date"), ["2023-04-03", "2023-05-03", "2023-06-03"])
        self.assertEqual(texts("due_date"), ["2023-04-30", "2023-05-31", "2023-06-30"])
        self.assertEqual(texts("activation_date"), ["2023-03-22", "2023-04-21", "2023-05-22"])

    def test_million_runs_are_refused(self):
        with self.assertRaisesRegex(UserError, "at most 1000"):
            self._make_schedule(run_count=1_000_000)

    def test_scheduled_run_takes_the_period_that_contains_its_end(self):
        self._make_contract(date_start="2023-03-10")
        schedule = self._make_schedule(date_from="2023-04-01", run_count=1)
        schedule.action_generate_runs()
        run = self._make_amounts(schedule.run_ids)
        self.assertEqual(self._get_periods(run), ["2023-03-10/2023-04-09", "2023-04-10/2023-05-09"])

    def test_lock_date_fails_the_document_readably(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.company.fiscalyear_lock_date = "2024-01-31"
        self._make_invoices(run)
        self.assertEqual(run.document_ids.state, "failed")
        self.assertIn("books are closed", run.document_ids.error)
        self.assertFalse(run.invoice_ids)

    def test_run_that_failed_altogether_gets_another_date(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.company.fiscalyear_lock_date = "2024-01-31"
        self._make_invoices(run)
        self.assertEqual(run.state, "approved", "nothing was invoiced")
        run.action_delete_amounts("books are closed")
        run.with_user(self.user).invoice_date = "2024-02-01"
        self._make_invoices(self._make_amounts(run))
        self.assertEqual(run.invoice_ids.invoice_date, self._date("2024-02-01"))

    def test_late_usage_does_not_rename_the_invoice(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._make_usage(date="2023-12-20", contract_id=contract.id)
        schedule = self._make_schedule(run_count=1, invoice_name="Rent {month} {year}")
        schedule.action_generate_runs()
        run = self._make_amounts(schedule.run_ids)
        self.assertEqual(run.document_ids.title, f"Rent January 2024 – {contract.name}")

    def _make_taxed_run(self):
        tax = self.env["account.tax"].create(
            {"name": "10", "amount": 10, "type_tax_use": "sale", "company_id": self.company.id}
        )
        self._make_contract([{"tax_ids": [Command.set(tax.ids)]}], date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(run.amount_total, 110.0)
        return run, tax

    def test_tax_change_after_approval_is_refused(self):
        run, tax = self._make_taxed_run()
        tax.amount = 20
        self._make_invoices(run)
        self.assertEqual(run.document_ids.state, "failed")
        self.assertIn("Recalculate Changed", run.document_ids.error)
        self.assertFalse(run.invoice_ids)

    def test_a_part_and_a_replacement_of_a_tax_mark_its_amounts(self):
        vals = {"amount": 10, "type_tax_use": "sale", "company_id": self.company.id}
        part, tax = self.env["account.tax"].create([{"name": name, **vals} for name in "ab"])
        children = {"amount_type": "group", "children_tax_ids": [Command.set(part.ids)]}
        group = self.env["account.tax"].create({**vals, **children, "name": "group"})
        replacing = {"original_tax_ids": [Command.set(tax.ids)]}
        replacement = self.env["account.tax"].create({**vals, **replacing, "name": "c"})
        for changed, charged in ((part, group), (replacement, tax)):
            contract = self._make_contract(
                [{"tax_ids": [Command.set(charged.ids)]}],
                date_start="2024-01-01",
                partner_id=self._make_partner(charged.name).id,
            )
            run = self._make_amounts(self._make_run("2024-01-15"))
            amounts = run.line_ids.filtered_domain([("contract_id", "=", contract.id)])
            changed.amount = 20
            self.assertEqual(amounts.mapped("is_stale"), [True])
            self.assertEqual((run.line_ids - amounts).filtered("is_stale"), run.line_ids.browse())
            run.action_cancel()

    def test_a_customer_marks_the_amounts_of_all_its_addresses(self):
        other = self._make_partner("Other")
        office = self._make_partner("Office", parent_id=other.id)
        contracts = self._make_contract(date_start="2024-01-01", partner_invoice_id=office.id)
        contracts += self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        office.active = False
        other.name = "Renamed"
        found = {line.contract_id: line.is_stale for line in run.line_ids}
        self.assertEqual([found[contract] for contract in contracts], [True, False])

    def test_other_amounts_than_approved_are_refused(self):
        """What nobody watches, here a change past the ORM, is seen when the invoice is made."""
        run, tax = self._make_taxed_run()
        self._set_tax_amount(tax, 20)
        self._make_invoices(run)
        self.assertEqual(run.document_ids.state, "failed")
        self.assertIn("was approved", run.document_ids.error)
        self._set_tax_amount(tax, 10)
        run.action_retry_failed()
        run._process_queue()
        self.assertEqual(run.state, "invoiced")
        self.assertEqual(run.invoice_ids.amount_total, 110.0)

    def _set_tax_amount(self, tax, amount):
        tax.flush_recordset()
        self.env.cr.execute("UPDATE account_tax SET amount = %s WHERE id = %s", (amount, tax.id))
        tax.invalidate_recordset(["amount"])


@tagged("post_install", "-at_install")
class TestClaims(InvoiceRunCommon):
    """The database refuses to invoice a day twice; Accounting releases periods."""

    def test_database_refuses_a_second_claim(self):
        self._make_contract(date_start="2024-01-01")
        line = self._make_amounts(self._make_run("2024-01-15")).line_ids
        with self.assertRaises(psycopg2.IntegrityError), mute_logger("odoo.sql_db"):
            with self.env.cr.savepoint():
                line.sudo().copy({"is_claimed": True, "document_id": line.document_id.id})
                self.env.flush_all()

    def test_database_refuses_a_second_claim_of_usage(self):
        self._make_usage(date="2024-01-03")
        line = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario)).line_ids
        with self.assertRaises(psycopg2.IntegrityError), mute_logger("odoo.sql_db"):
            with self.env.cr.savepoint():
                line.sudo().copy({"is_claimed": True, "document_id": line.document_id.id})
                self.env.flush_all()

    def test_contracts_that_are_due_are_found_by_index(self):
        """100,000 contracts of which 100 are due: one query by the index on the date."""
        contract = self._make_contract(date_start="2024-01-01")
        self.env.flush_all()
        columns = (
            "partner_id, commercial_partner_id, company_id, currency_id, date_start, state, "
            "billing_mode, period_count, period_unit, billing_timing, period_anchor, proration, "
            "anchor_day, first_period_due"
        )
        self.env.cr.execute(
            SQL(
                """
                INSERT INTO billing_contract (name, next_invoicing_date, %(columns)s)
                SELECT 'CTR' || number,
                       DATE '2024-01-01'
                           + CASE WHEN number > 99 THEN 100 + number %% 700 ELSE 0 END,
                       %(columns)s
                  FROM billing_contract, generate_series(1, 100000) number WHERE id = %(id)s
                """,
                columns=SQL(columns),
                id=contract.id,
            )
        )
        self.env.cr.execute("ANALYZE billing_contract")
        run = self._make_run("2024-01-15")
        Contract = self.env["billing.contract"].sudo()
        query = Contract._search(Contract._get_run_domain(run))
        plan = "\n".join(
            row[0] for row in self.env.execute_query(SQL("EXPLAIN %s", query.select()))
        )
        self.assertIn("next_invoicing_idx", plan)
        self.assertEqual(Contract.search_count(Contract._get_run_domain(run)), 100)

    def _invoice(self, **scenario_vals):
        self.scenario.write(scenario_vals)
        self.contract = self._make_contract(date_start="2024-01-01")
        self.run = self._run_all("2024-01-15")
        return self.run.document_ids.move_id

    def assertBillable(self, billable):
        self.assertEqual(self.run.line_ids.is_claimed, not billable)
        document = self.run.document_ids.filtered(lambda document: document.state != "credit")
        self.assertEqual(document.state, "released" if billable else "invoiced")
        day = "2024-01-01" if billable else "2024-02-01"
        self.assertEqual(self.contract.next_invoicing_date, self._date(day))

    def test_deleted_draft_is_billable_again(self):
        self._invoice(invoice_state="draft").unlink()
        self.assertBillable(True)
        second = self._run_all("2024-01-15")
        self.assertEqual(self._get_periods(second), ["2024-01-01/2024-01-31"])

    def test_deleted_invoice_line_is_billable_again(self):
        self._invoice(invoice_state="draft").invoice_line_ids.unlink()
        self.assertBillable(True)

    def test_cancelled_invoice_is_billable_again_until_reset(self):
        move = self._invoice()
        move.button_draft()
        self.assertBillable(False)
        move.button_cancel()
        self.assertBillable(True)
        move.button_draft()
        self.assertBillable(False)

    def test_reset_is_refused_when_billed_meanwhile(self):
        move = self._invoice()
        move.button_draft()
        move.button_cancel()
        second = self._run_all("2024-01-15")
        with self.assertRaisesRegex(UserError, second.document_ids.move_id.name):
            move.button_draft()

    def _reverse(self, move, **vals):
        wizard = (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=move.ids)
            .create({"journal_id": move.journal_id.id, **vals})
        )
        return wizard

    def test_plain_credit_note_keeps_the_claim(self):
        wizard = self._reverse(self._invoice())
        wizard.refund_moves()
        wizard.new_move_ids.action_post()
        self.assertBillable(False)

    def test_credit_note_to_bill_again(self):
        wizard = self._reverse(self._invoice(), invoice_bill_again=True)
        wizard.refund_moves()
        self.assertBillable(False)
        credit = wizard.new_move_ids
        credit.action_post()
        self.assertBillable(True)
        credit.button_draft()
        self.assertBillable(False)
        credit.action_post()
        credit.button_draft()
        credit.button_cancel()
        self.assertBillable(False)

    def test_partial_credit_never_releases(self):
        wizard = self._reverse(self._invoice(), invoice_bill_again=True)
        wizard.refund_moves()
        credit = wizard.new_move_ids
        credit.invoice_line_ids.price_unit = 40.0
        credit.action_post()
        self.assertBillable(False)

    def test_reverse_and_create_invoice_moves_the_claim(self):
        move = self._invoice()
        wizard = self._reverse(move)
        wizard.modify_moves()
        new = self.run.document_ids.move_id
        self.assertNotEqual(new, move)
        self.assertEqual(new.state, "draft")
        self.assertBillable(False)
        new.unlink()
        self.assertBillable(True)

    def test_reverse_run(self):
        self._invoice()
        self.run.with_user(self.user).action_reverse()
        self.assertBillable(True)
        second = self._run_all("2024-01-15")
        self.assertEqual(second.amount_total, 100.0)

    def test_cancel_run_deletes_drafts(self):
        self._invoice(invoice_state="draft")
        self.run.action_cancel()
        self.assertFalse(self.run.invoice_ids)
        self.assertEqual(self.run.state, "cancelled")
        self.assertBillable(True)

    def test_cancel_run_with_posted_invoices_is_refused(self):
        self._invoice()
        with self.assertRaisesRegex(UserError, "confirmed invoices"):
            self.run.action_cancel()

    def test_cancel_run_keeps_numbered_drafts_as_cancelled(self):
        move = self._invoice()
        name = move.name
        move.button_draft()
        self.run.action_cancel()
        self.assertEqual((move.state, move.name), ("cancel", name))
        self.assertBillable(True)

    def test_excluded_document_is_proposed_again(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        run.document_ids.action_exclude()
        self.assertEqual(contract.next_invoicing_date, self._date("2024-01-01"))
        self.assertEqual(run.amount_total, 0.0)


@tagged("post_install", "-at_install")
class TestApprovalRights(InvoiceRunCommon):
    def test_user_cannot_approve(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        with self.assertRaisesRegex(AccessError, "reviewer"):
            run.with_user(self.user).action_approve()
        self.assertEqual(run.state, "amounts")

    def test_user_cannot_write_the_approval(self):
        self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        with self.assertRaises(AccessError):
            run.with_user(self.user).write({"state": "approved"})

    def test_four_eyes(self):
        self.company.invoice_run_four_eyes = True
        self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"), user=self.reviewer)
        with self.assertRaisesRegex(UserError, "Four-eyes principle"):
            run.with_user(self.reviewer).action_approve()
        run.with_user(self.manager).action_approve()
        self.assertEqual(run.approved_by_id, self.manager)

    def test_nothing_to_approve(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        with self.assertRaisesRegex(UserError, "no amounts"):
            run.with_user(self.reviewer).action_approve()
