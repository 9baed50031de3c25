"""What was approved is what is invoiced, and only that."""

from contextlib import contextmanager

import psycopg2
from freezegun import freeze_time

from odoo import SUPERUSER_ID
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

#: Stored fields that an approval is not about: how far the document is, what is asked of it, how it
#: is sent, and what only helps the reviewer. Another field belongs here or to the content.
NO_CONTENT = {
    "invoice.run.document": {
        "approved_fingerprint",
        "contract_ids",
        "error",
        "excluded_from_id",
        "has_missing_charge",
        "is_above_max",
        "is_accepted",
        "is_below_min",
        "is_first",
        "is_flagged",
        "is_large_credit",
        "is_outlier",
        "is_selected",
        "is_stale",
        "is_to_reverse",
        "last_amount",
        "line_ids",
        "move_id",
        "opportunity_id",
        "previous_amount",
        "sale_team_id",
        "sequence",
        "state",
        "usage_annex_id",
        "variance",
    },
    "invoice.run.line": {
        "charged_edits",
        "company_id",
        "document_id",
        "is_applied",
        "is_claimed",
        "is_stale",
        "is_unsettled",
        "move_line_ids",
        "net_price",
        "opportunity_id",
        "pool_key",
        "run_id",
        "sale_team_id",
        "superseded_by_id",
        "tax_ids",
        "usage_claim_ids",
    },
}
#: How a document is sent is for those who prepare to choose.
SENDING = ("send_", "print", "is_send", "sent_")
ORM_FIELDS = {"id", "create_uid", "create_date", "write_uid", "write_date"}


@tagged("post_install", "-at_install")
class TestApproval(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls._make_partner("Other", "other@example.com")
        cls.contract = cls._make_contract(date_start="2024-01-01")
        cls.other_contract = cls._make_contract(date_start="2024-01-01", partner_id=cls.other.id)

    def setUp(self):
        super().setUp()
        self.run = self._make_amounts(self._make_run("2024-01-15"))

    def _approve(self):
        self.run.with_user(self.reviewer).action_approve()

    def _invoice(self, run=None):
        run = run or self.run
        run.action_generate_invoices()
        run._process_queue()

    def _execute(self, query, *values):
        """Change rows by SQL, so that Odoo checks nothing."""
        self.env.flush_all()
        self.env.cr.execute(query, values)
        self.env.invalidate_all(flush=False)

    def test_every_field_is_content_or_named(self):
        for name, known in NO_CONTENT.items():
            model = self.env[name]
            content = {*model._get_content_fields(), *ORM_FIELDS, *known}
            if name == "invoice.run.document":
                content |= set(model._get_dated_fields())
            stored = {
                field.name
                for field in model._fields.values()
                if field.store and not field.name.startswith(SENDING)
            }
            self.assertFalse(stored - content, "content of an approval, or not? Say which.")

    # ------------------------------------------------------------------
    # What the reviewer saw
    # ------------------------------------------------------------------

    def test_reviewer_approves_what_he_saw(self):
        mine = self.run.with_user(self.reviewer)
        seen = mine.fingerprint
        self.other_contract.line_ids.price_unit = 102221.2
        self.run.action_renew_stale()
        self.run._process_queue()
        with self.assertRaises(UserError) as error:
            mine.action_approve(seen)
        text = str(error.exception)
        self.assertIn("Documents then: 2 over 200.00, now: 2 over 102321.20", text)
        self.assertIn(self.other_contract.name, text)
        mine.invalidate_recordset(["fingerprint"])
        mine.action_approve(mine.fingerprint)
        self.assertEqual(self.run.state, "approved")

    def test_context_of_the_button_counts(self):
        mine = self.run.with_user(self.reviewer)
        seen = mine.fingerprint
        self.run.document_ids[0].action_exclude()
        with self.assertRaisesRegex(UserError, "now: 1 over 100.00"):
            mine.with_context(invoice_run_fingerprint=seen).action_approve()

    def test_button_of_the_form_passes_it(self):
        form = Form(self.run.with_user(self.reviewer), "invoice_run.invoice_run_view_form")
        arch = form._view["tree"]
        [button] = arch.xpath("//header//button[@name='action_approve']")
        self.assertIn("'invoice_run_fingerprint': fingerprint", button.get("context"))
        self.assertTrue(form.fingerprint)

    def test_nonsense_is_refused_in_words(self):
        for seen in ("x", "a|b|c|d", "|||", "a|1|2|2024-13-99"):
            with self.subTest(seen=seen), self.assertRaisesRegex(UserError, "changed since"):
                self.run.with_user(self.reviewer).action_approve(seen)

    def test_same_content_has_the_same_fingerprint(self):
        mine = self.run.with_user(self.reviewer)
        before = mine.fingerprint.split("|")[0]
        self.run.action_generate_amounts()
        self.run._process_queue()
        mine.invalidate_recordset(["fingerprint"])
        self.assertEqual(mine.fingerprint.split("|")[0], before)

    # ------------------------------------------------------------------
    # No invoice of anything else
    # ------------------------------------------------------------------

    @contextmanager
    def _refused(self, count=1):
        """What the block changes by SQL gets no invoice; the rest does."""
        self._approve()
        yield
        self._invoice()
        failed = self.run.document_ids.filtered(lambda document: document.state == "failed")
        self.assertEqual(len(failed), count)
        self.assertIn("not what run_reviewer", failed[0].error)
        self.assertFalse(failed.move_id)
        self.assertTrue(all(failed.mapped("is_stale")))

    def test_changes_past_odoo_get_no_invoice(self):
        line = self.run.line_ids[0]
        changes = (
            ("UPDATE invoice_run_line SET price_unit = 101 WHERE id = %s", line.id),
            ("UPDATE invoice_run_line SET name = 'Gift' WHERE id = %s", line.id),
            (
                "UPDATE invoice_run_document SET partner_id = %s WHERE id = %s",
                self.other.id,
                line.document_id.id,
            ),
            (
                "UPDATE invoice_run_document SET invoice_date = '2024-01-01' WHERE id = %s",
                line.document_id.id,
            ),
            (
                "UPDATE invoice_run_document SET approved_fingerprint = %s WHERE id = %s",
                "0" * 64,
                line.document_id.id,
            ),
            ("UPDATE invoice_run SET approved_by_id = %s WHERE id = %s", 1, self.run.id),
        )
        for query, *values in changes:
            with self.subTest(query=query), self.env.cr.savepoint() as savepoint:
                self._approve()
                self._execute(query, *values)
                self._invoice()
                document = line.document_id
                self.assertEqual((document.state, document.move_id.id), ("failed", False))
                self.assertIn("approved: the document was changed", document.error)
                savepoint.rollback()
            self.env.invalidate_all(flush=False)

    def test_numbers_that_are_equal_are_the_same(self):
        self._approve()
        self._execute("UPDATE invoice_run_line SET amount = amount + 0.0000")
        self._invoice()
        self.assertEqual(set(self.run.document_ids.mapped("state")), {"invoiced"})

    def test_document_moved_between_runs_gets_no_invoice(self):
        third = self._make_contract(
            date_start="2024-01-01", partner_id=self._make_partner("Third").id
        )
        stranger = self._make_amounts(self._make_run("2024-01-16"))
        self.assertEqual(stranger.document_ids.contract_ids, third)
        with self._refused():
            self._execute(
                "UPDATE invoice_run_document SET run_id = %s WHERE run_id = %s",
                self.run.id,
                stranger.id,
            )
            self._execute(
                "UPDATE invoice_run_line SET run_id = %s WHERE run_id = %s",
                self.run.id,
                stranger.id,
            )
        self.assertEqual(self.run.invoice_count, 2)

    def test_approved_document_moved_between_approved_runs(self):
        """Approved there is not approved here."""
        self._make_contract(date_start="2024-01-01", partner_id=self._make_partner("Third").id)
        other = self._make_amounts(self._make_run("2024-01-15"))
        other.with_user(self.reviewer).action_approve()
        with self._refused():
            for table in ("invoice_run_document", "invoice_run_line"):
                self._execute(
                    f"UPDATE {table} SET run_id = %s WHERE run_id = %s", self.run.id, other.id
                )

    def test_amount_moved_into_a_document(self):
        one, two = self.run.document_ids
        with self._refused(2):
            self._execute(
                "UPDATE invoice_run_line SET document_id = %s WHERE document_id = %s",
                one.id,
                two.id,
            )

    def test_refused_one_is_renewed_and_approved_again(self):
        line = self.run.line_ids[0]
        with self._refused():
            self._execute("UPDATE invoice_run_line SET price_unit = 1 WHERE id = %s", line.id)
        self.run.action_renew_stale()
        self.run._process_queue()
        self._approve()
        self._invoice()
        self.assertEqual(self.run.state, "invoiced")
        self.assertEqual(self.run.document_ids.move_id.mapped("amount_total"), [100.0, 100.0])

    def test_withdrawn_approval_counts_for_nothing(self):
        self._approve()
        self.run.with_user(self.reviewer).action_reject("not yet")
        self._execute("UPDATE invoice_run SET state = 'approved' WHERE id = %s", self.run.id)
        self._invoice()
        self.assertFalse(self.run.invoice_ids)

    def test_retry_and_selection_keep_the_approval(self):
        self._approve()
        self.company.fiscalyear_lock_date = "2024-01-31"
        self.run.document_ids[0].action_generate_invoices()
        self.run._process_queue()
        self.company.fiscalyear_lock_date = False
        self.run.action_retry_failed()
        self.run._process_queue()
        self._invoice()
        self.assertEqual(self.run.state, "invoiced")

    @freeze_time("2024-01-20")
    def test_day_of_generation_is_approved_as_such(self):
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "Later",
                "scenario_id": self.scenario.id,
                "company_id": self.company.id,
                "date_from": "2024-02-01",
                "run_count": 1,
                "invoice_date": "2024-02-01",
                "due_date": "2024-02-15",
                "invoice_date_mode": "generation",
            }
        )
        schedule.action_generate_runs()
        self.run = self._make_amounts(schedule.run_ids)
        self._approve()
        with freeze_time("2024-01-25"):
            self._invoice()
        self.assertEqual(set(self.run.document_ids.mapped("state")), {"invoiced"})
        self.assertEqual(
            set(self.run.invoice_ids.mapped("invoice_date")), {self._date("2024-01-25")}
        )

    def test_another_way_of_dating_is_another_content(self):
        with self._refused(2):
            self.run.schedule_id.with_user(self.user).invoice_date_mode = "generation"

    # ------------------------------------------------------------------
    # One invoice in force, says the database
    # ------------------------------------------------------------------

    def test_database_refuses_a_second_invoice(self):
        self._approve()
        self._invoice()
        move = self.run.document_ids[0].move_id
        for vals in (
            {"invoice_run_document_id": move.invoice_run_document_id.id},
            {
                "invoice_line_ids": [
                    Command.create(
                        {
                            "name": "Again",
                            "price_unit": 1.0,
                            "invoice_run_line_id": move.invoice_line_ids.invoice_run_line_id.id,
                        }
                    )
                ]
            },
        ):
            with self.subTest(vals=vals), mute_logger("odoo.sql_db"):
                with self.assertRaises(psycopg2.errors.UniqueViolation), self.env.cr.savepoint():
                    self.env["account.move"].sudo().create(
                        {"move_type": "out_invoice", "partner_id": self.debtor.id, **vals}
                    )
                    self.env.flush_all()

    def test_database_refuses_whatever_the_states_say(self):
        self._approve()
        self._invoice()
        document = self.run.document_ids[0]
        with mute_logger("odoo.sql_db"):
            # past the table of transitions too
            self.env.cr.execute(
                "UPDATE invoice_run_document SET state = 'to_do', move_id = NULL WHERE id = %s",
                [document.id],
            )
            document.invalidate_recordset()
            with self.assertRaises(psycopg2.errors.UniqueViolation), self.env.cr.savepoint():
                document.sudo()._create_moves()
                self.env.flush_all()


@tagged("post_install", "-at_install")
class TestFourEyes(InvoiceRunCommon):
    """Users who created or changed something that is in the run do not approve it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.invoice_run_four_eyes = True
        cls.boss = cls._make_user("boss", "invoice_run.invoice_run_group_manager")
        cls.contract = cls._make_contract(date_start="2024-01-01")

    def _make_schedule(self, user, **vals):
        schedule = (
            self.env["invoice.run.schedule"]
            .with_user(user)
            .create(
                {
                    "name": "Monthly",
                    "scenario_id": self.scenario.id,
                    "company_id": self.company.id,
                    "date_from": "2024-01-01",
                    "run_count": 3,
                    "auto_amounts": "yes",
                    **vals,
                }
            )
        )
        schedule.sudo().action_generate_runs()
        return schedule

    def _submit(self, run):
        """Have the scheduled action submit the run and generate its amounts."""
        self.env["invoice.run"].with_user(SUPERUSER_ID)._activate_due_runs()
        run.with_user(SUPERUSER_ID)._process_queue()
        self.assertEqual(run.state, "amounts")

    def assertRefused(self, run, what):
        self.env.flush_all()
        with self.assertRaisesRegex(UserError, "Four-eyes principle"):
            try:
                run.with_user(self.reviewer).action_approve()
            except UserError as error:
                self.assertIn(what, str(error))
                raise
        self.assertFalse(run.with_user(self.reviewer)._can_approve())
        with self.env.cr.savepoint() as savepoint:
            run.with_user(self.boss).action_approve()
            savepoint.rollback()
        self.env.invalidate_all(flush=False)

    @freeze_time("2024-01-02")
    def test_each_contribution_to_a_run(self):
        acts = {
            "amounts": lambda run: (run.action_generate_amounts(), run._process_queue()),
            "date": lambda run: (
                run.write({"invoice_date": "2024-01-20"}),
                run.action_renew_stale(),
                run._process_queue(),
            ),
            "selection": lambda run: (
                run.write({"target_date": "2024-02-15"}),
                run.action_renew_stale(),
                run._process_queue(),
            ),
            "left out": lambda run: (
                run.document_ids[:1].action_exclude(),
                run.document_ids[:1].action_include(),
            ),
            "flags": lambda run: run.document_ids.action_accept(),
        }
        for name, act in acts.items():
            with self.subTest(name=name), self.env.cr.savepoint() as savepoint:
                run = self._make_amounts(self._make_run("2024-01-15").with_user(self.user))
                act(run.with_user(self.reviewer))
                self.assertRefused(run, "this run")
                savepoint.rollback()
            self.env.invalidate_all(flush=False)

    @freeze_time("2024-01-02")
    def test_schedule_that_the_scheduled_action_submits(self):
        """By a date that a person set, whoever submits the run."""
        run = self._make_schedule(self.reviewer).run_ids.sorted("number")[0]
        self._submit(run)
        self.assertEqual(run.submitted_by_id, self.env.ref("base.user_root"))
        self.assertRefused(run, "Monthly")

    @freeze_time("2024-01-02")
    def test_activation_date_that_somebody_set(self):
        run = self._make_schedule(self.user).run_ids.sorted("number")[0]
        run.with_user(self.reviewer).activation_date = "2024-01-01"
        self._submit(run)
        self.assertRefused(run, "this run")

    @freeze_time("2024-01-02")
    def test_name_of_a_schedule_prepares_nothing(self):
        schedule = self._make_schedule(self.user)
        schedule.with_user(self.reviewer).write({"description": "Rents", "name": "Rents"})
        run = schedule.run_ids.sorted("number")[0]
        self._submit(run)
        run.with_user(self.reviewer).action_approve()

    def test_contract_that_the_reviewer_changed(self):
        with freeze_time("2024-01-10 08:00:00"):
            self.contract.line_ids.with_user(self.reviewer).price_unit = 900.0
            # who changes it next does not wipe the trace out
            self.contract.line_ids.with_user(self.user).name = "Rent of the flat"
            run = self._make_amounts(self._make_run("2024-01-15").with_user(self.user))
            self.assertRefused(run, self.contract.line_ids.display_name)
        with freeze_time("2024-01-10 09:00:00"):
            run.with_user(self.boss).action_approve()
        # somebody else has approved the price since
        with freeze_time("2024-02-10 08:00:00"):
            later = self._make_amounts(self._make_run("2024-02-15").with_user(self.user))
            self._invoice(run)
            later.with_user(self.reviewer).action_approve()
            self.assertEqual(later.state, "approved")

    def _invoice(self, run):
        run.action_generate_invoices()
        run._process_queue()

    @freeze_time("2024-01-10")
    def test_usage_that_the_reviewer_entered(self):
        usage = self._make_usage(date="2024-01-05").with_user(self.user)
        self._make_usage(date="2024-01-06", partner_id=self._make_partner("Other").id).with_user(
            self.reviewer
        ).quantity = 3.0
        self.assertTrue(usage)
        run = self._make_run("2024-01-15", self.usage_scenario).with_user(self.user)
        self.assertRefused(self._make_amounts(run), "Rent")

    @freeze_time("2024-01-10")
    def test_imported_usage(self):
        self.env["billing.usage"].with_user(self.reviewer).load(
            ["partner_id/.id", "product_id/.id", "company_id/.id", "date"],
            [[str(self.debtor.id), str(self.product.id), str(self.company.id), "2024-01-05"]],
        )
        run = self._make_run("2024-01-15", self.usage_scenario).with_user(self.user)
        self.assertRefused(self._make_amounts(run), "Rent")

    @freeze_time("2024-01-10")
    def test_excluded_contract_is_not_in_the_run(self):
        other = self._make_contract(
            date_start="2024-01-01", partner_id=self._make_partner("Other").id
        )
        other.line_ids.with_user(self.reviewer).price_unit = 900.0
        run = self._make_amounts(self._make_run("2024-01-15").with_user(self.user))
        self.assertRefused(run, other.line_ids.display_name)
        document = run.document_ids.filtered(lambda document: document.contract_ids == other)
        document.with_user(self.user).action_exclude()
        run.with_user(self.reviewer).action_approve()

    @freeze_time("2024-01-10")
    def test_selection_that_the_reviewer_wrote(self):
        scenario = self._make_scenario("Long ones").with_user(self.boss)
        run = self._make_amounts(self._make_run("2024-01-15", scenario).with_user(self.user))
        acts = {
            "selection": lambda: scenario.write({"domain": "[('name', '!=', 'x')]"}),
            "rule": lambda: scenario.write({"rule_ids": [Command.create(self._prepare_rule())]}),
        }
        for name, act in acts.items():
            with self.subTest(name=name), self.env.cr.savepoint() as savepoint:
                act()
                with self.assertRaisesRegex(UserError, "Long ones"):
                    run.with_user(self.boss).action_approve()
                savepoint.rollback()
            self.env.invalidate_all(flush=False)
        scenario.description = "What is rented for long"
        run.with_user(self.boss).action_approve()

    def _prepare_rule(self):
        return {"name": "Started", "field_path": "date_start", "operator": "<=", "value": "today"}

    @freeze_time("2024-01-10")
    def test_setting_is_exempt(self):
        self.company.invoice_run_auto_approve = True
        schedule = self._make_schedule(self.reviewer)
        run = schedule.run_ids.sorted("number")[0]
        self.contract.line_ids.with_user(self.reviewer).name = "Rent of the flat"
        self.env["invoice.run"].sudo()._activate_due_runs()
        run.sudo()._process_queue()
        self.assertIn(run.state, ("approved", "invoiced"))
