"""Why is it not in the run? One example for each reason, and walks that compare with the run."""

import random

from psycopg2 import errors as pg_errors

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import SQL

from .sale_common import SaleRunCommon

#: What stays of a trial would be in one of these, or in a table of the addon.
OTHER_TABLES = (
    "account_move",
    "account_move_line",
    "bus_bus",
    "ir_attachment",
    "ir_cron_trigger",
    "mail_activity",
    "mail_followers",
    "mail_mail",
    "mail_message",
    "mail_notification",
    "mail_tracking_value",
)


class ExplanationCommon(SaleRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.north = cls._make_cluster("North")
        cls.south = cls._make_cluster("South")

    @classmethod
    def _make_cluster(cls, name):
        return cls.env["billing.cluster"].create({"name": name, "company_id": cls.company.id})

    def _explain(self, run, record, user=None):
        self.env.flush_all()
        self.env.invalidate_all()
        return run.with_user(user or self.user).explain(record._name, record.id)

    def assertReasons(self, run, record, *expected, user=None):
        """The reasons have these codes, in this order, and say what these patterns say."""
        result = self._explain(run, record, user)
        found = [reason["code"] for reason in result["reasons"]]
        self.assertEqual(found, [code for code, _text in expected], result["reasons"])
        for reason, (_code, text) in zip(result["reasons"], expected, strict=True):
            self.assertRegex(reason["message"], text)
        self.assertEqual(result["is_billed"], not expected)
        return result

    def assertBilled(self, run, record, is_in_run=False):
        result = self._explain(run, record)
        self.assertEqual(result, {"is_billed": True, "is_in_run": is_in_run, "reasons": []}, result)


@tagged("post_install", "-at_install")
class TestExplanation(ExplanationCommon):
    """Each reason, for a contract, a usage item and an order."""

    def _get_cases(self):
        """Yield (scenario, record that a run of it would invoice on 31 January 2024)."""
        yield self.scenario, self._make_contract(date_start="2024-01-01", cluster_id=self.north.id)
        item = self._make_usage(date="2024-01-03", cluster_id=self.north.id)
        yield self.usage_scenario, item
        yield self.sale_scenario, self._make_order(billing_cluster_id=self.north.id)

    def _make_run_of(self, scenario, **vals):
        return self._make_run("2024-01-31", scenario, **vals)

    def test_billed_before_and_after(self):
        for scenario, record in self._get_cases():
            run = self._make_run_of(scenario)
            self.assertBilled(run, record)
            self._make_amounts(run)
            self.assertBilled(run, record, is_in_run=True)
            self._make_invoices(run)
            self.assertBilled(run, record, is_in_run=True)

    def test_other_company(self):
        company = self.setup_other_company()["company"]
        self.user.company_ids += company
        for own, record in self._get_cases():
            scenario = self._make_scenario("Theirs", source=own.source, company_id=company.id)
            run = self._make_run_of(scenario)
            both = run.with_context(allowed_company_ids=(self.company | company).ids)
            self.assertReasons(both, record, ("company", "Choose a run of"))
            with self.assertRaises(AccessError):
                self._explain(run.with_context(allowed_company_ids=self.company.ids), record)

    def test_other_source(self):
        for scenario, record in self._get_cases():
            other = self.usage_scenario if scenario == self.scenario else self.scenario
            run = self._make_run_of(other)
            self.assertReasons(run, record, ("source", "Choose a run whose scenario invoices"))

    def test_contract_whose_usage_is_in_the_run(self):
        contract = self._make_contract(date_start="2024-01-01")
        item = self._make_usage(date="2024-01-03", contract_id=contract.id)
        run = self._make_amounts(self._make_run_of(self.usage_scenario))
        self.assertBilled(run, item, is_in_run=True)
        result = self.assertReasons(run, contract, ("source", "invoices: Contracts"))
        self.assertFalse(result["is_in_run"])

    def test_cancelled_run(self):
        for scenario, record in self._get_cases():
            run = self._make_run_of(scenario)
            run.action_cancel()
            self.assertReasons(run, record, ("cancelled", "Create a new run"))

    def test_paused_schedule(self):
        run = self._make_run_of(self.scenario)
        contract = self._make_contract(date_start="2024-01-01")
        run.schedule_id.sudo().state = "paused"
        self.assertReasons(run, contract, ("paused", "resume it first"))

    def test_run_with_invoices(self):
        for scenario, record in self._get_cases():
            run = self._make_run_of(scenario)
            self._make_amounts(run)
            self._make_invoices(run)
            late = record.copy()
            if record._name == "billing.contract":
                late.write({"date_start": "2024-01-01"})
                late.action_activate()
            elif record._name == "sale.order":
                late.action_confirm()
                late.date_order = record.date_order
            self.assertReasons(run, late, ("closed", "comes with the next run; create one by hand"))

    def test_state(self):
        draft = self._make_contract(date_start="2024-01-01", activate=False)
        run = self._make_run_of(self.scenario)
        self.assertReasons(run, draft, ("state", "is a draft. Activate it"))
        draft.action_cancel()
        self.assertReasons(run, draft, ("state", "cancelled.*back to draft and activate"))
        quotation = self._make_order(confirm=False, date_order="2024-01-03 12:00:00")
        self.assertReasons(
            self._make_run_of(self.sale_scenario),
            quotation,
            ("state", "not confirmed. Confirm it"),
        )

    def test_usage_of_a_draft_contract(self):
        draft = self._make_contract(date_start="2024-01-01", activate=False)
        item = self._make_usage(date="2024-01-03", contract_id=draft.id)
        run = self._make_run_of(self.scenario)
        self.assertReasons(run, item, ("contract", "draft or cancelled. Activate it"))

    def test_nothing_delivered(self):
        order = self._make_order([{"product_id": self.delivered.id}])
        run = self._make_run_of(self.sale_scenario)
        self.assertReasons(run, order, ("to_invoice", "Enter the delivery"))
        order.order_line.qty_delivered = 2.0
        self.assertBilled(run, order)

    def test_cluster(self):
        for scenario, record in self._get_cases():
            run = self._make_run_of(scenario, cluster_ids=[Command.set(self.south.ids)])
            text = "clusters only: South. This one belongs to North. Choose a run of that cluster"
            self.assertReasons(run, record, ("cluster", text))

    def test_no_cluster(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_run_of(self.scenario, cluster_ids=[Command.set(self.south.ids)])
        self.assertReasons(run, contract, ("cluster", "has no cluster. Fill it in"))

    def test_not_checked_in(self):
        scenario = self._make_scenario("Checked in", only_checked_in=True)
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_run_of(scenario)
        self.assertReasons(run, contract, ("checked_in", "Fill in the day of check-in"))
        contract.check_in_date = "2024-01-01"
        self.assertBilled(run, contract)

    def test_selection(self):
        for scenario, record in self._get_cases():
            scenario = scenario.copy({"domain": "[('partner_id.name', '=', 'Nobody')]"})
            run = self._make_run_of(scenario)
            self.assertReasons(run, record, ("selection", "Compare the conditions.*or choose"))

    def test_selection_that_cannot_be_read(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_run_of(self.scenario)
        self.env.cr.execute(
            "UPDATE billing_scenario SET domain = %s WHERE id = %s",
            ["[('gone', '=', 1)]", self.scenario.id],
        )
        self.scenario.invalidate_recordset()
        self.assertReasons(run, contract, ("selection", "Correct the field “Selection”"))

    def test_rules_and_answers(self):
        rules = [
            {"name": "Begun", "field_path": "date_start", "operator": ">=", "value": "2024-02-01"},
            {"name": "Days", "field_path": "proration", "operator": "=", "value": "thirty"},
            {"name": "Whose", "field_path": "partner_id", "operator": "=", "is_asked": True},
            {"name": "Met", "field_path": "period_unit", "operator": "=", "value": "month"},
        ]
        scenario = self._make_scenario("Asking", rule_ids=[Command.create(rule) for rule in rules])
        other = self._make_partner("Other")
        asked = scenario.rule_ids.filtered("is_asked")
        run = self._make_run_of(scenario, rule_values={str(asked.id): [str(other.id), False]})
        contract = self._make_contract(date_start="2024-01-01")
        self.assertReasons(
            run,
            contract,
            ("rule", "“Begun”.*Start is at least 02/01/2024.*Correct the record"),
            ("rule", "“Days”.*is 30 days"),
            ("rule", "“Whose”.*Customer is Other"),
        )

    def test_author_without_rights(self):
        author = self._make_user("gone_author", "invoice_run.invoice_run_group_manager")
        scenario = (
            self.env["billing.scenario"]
            .with_user(author)
            .create({"name": "Written", "company_id": self.company.id})
        )
        contract = self._make_contract(date_start="2024-01-01", cluster_id=self.north.id)
        self._hide("billing.contract", author, [("cluster_id", "!=", self.north.id)])
        run = self._make_run_of(scenario)
        self.assertReasons(run, contract, ("author", "take the scenario over"))

    def _hide(self, model, user, domain):
        """Let ``user`` see what ``domain`` says of ``model``, by a role of the user's own."""
        group = (
            self.env["res.groups"]
            .sudo()
            .create({"name": f"Business unit {model}", "user_ids": [Command.link(user.id)]})
        )
        self.env["ir.rule"].sudo().create(
            {
                "name": "Business unit",
                "model_id": self.env["ir.model"]._get(model).id,
                "groups": [Command.link(group.id)],
                "domain_force": str(domain),
            }
        )

    def test_chosen_customers(self):
        other = self._make_partner("Other")
        for scenario, record in self._get_cases():
            run = self._make_run_of(scenario, partner_ids=[Command.set(other.ids)])
            self.assertReasons(run, record, ("customers", "create one for this customer"))

    def test_usage_that_another_customer_pays(self):
        other = self._make_partner("Other")
        contract = self._make_contract(date_start="2024-01-01")
        item = self._make_usage(date="2024-01-03", contract_id=contract.id)
        item.partner_id = other
        run = self._make_run_of(self.scenario, partner_ids=[Command.set(self.debtor.ids)])
        self.assertReasons(run, item, ("customers", "not among them"))

    def test_chosen_records(self):
        for scenario, record in self._get_cases():
            run = self._make_run_of(scenario, record_ids=[record.id + 1])
            self.assertReasons(run, record, ("records", "create one for it"))

    def test_dates(self):
        for scenario, record in self._get_cases():
            run = self._make_run("2023-12-31", scenario)
            day = "01/10/2024" if record._name == "sale.order" else r"01/0[13]/2024"
            self.assertReasons(run, record, ("dates", f"from {day} on.*later target date"))

    def test_nothing_left(self):
        contract = self._make_contract(date_start="2024-01-01", date_end="2024-01-31")
        contract.line_ids.initial_invoiced_until = "2024-01-31"
        run = self._make_run_of(self.scenario)
        self.assertReasons(run, contract, ("dates", "Nothing.*left to invoice.*later end"))

    def test_left_out_before(self):
        item = self._make_usage(date="2024-01-03")
        run = self._make_run_of(self.usage_scenario, skip_before="2024-01-15")
        self.assertReasons(run, item, ("skipped", "before 01/15/2024.*Choose a run that does not"))
        contract = self._make_contract(date_start="2023-12-01", date_end="2023-12-31")
        run = self._make_run_of(self.scenario, skip_before="2024-01-15")
        self.assertReasons(run, contract, ("skipped", "leaves out what is before"))

    def test_hold(self):
        contract = self._make_contract(
            date_start="2024-01-01", billing_hold=True, billing_hold_reason="quarrel"
        )
        item = self._make_usage(date="2024-01-03", contract_id=contract.id)
        for scenario, record in (
            (self.scenario, contract),
            (self.scenario, item),
            (self.usage_scenario, item),
        ):
            run = self._make_run_of(scenario)
            self.assertReasons(run, record, ("hold", "on hold: quarrel.*Lift the hold"))

    def test_hold_of_what_is_not_selected(self):
        contract = self._make_contract(date_start="2024-01-01", billing_hold=True)
        run = self._make_run_of(self.scenario, cluster_ids=[Command.set(self.south.ids)])
        self.assertReasons(run, contract, ("cluster", "Fill it in"), ("hold", "Lift the hold"))

    def test_blocked_customer(self):
        self.debtor.write({"billing_hold": True, "billing_hold_reason": "insolvent"})
        for scenario, record in self._get_cases():
            run = self._make_run_of(scenario)
            self.assertReasons(run, record, ("partner", "insolvent.*Lift the block"))

    def test_claimed_by_another_run(self):
        for scenario, record in self._get_cases():
            other = self._make_run_of(scenario)
            self._make_amounts(other)
            run = self._make_run_of(scenario)
            text = rf"is in {other.reference} \(.*\), without an invoice yet. Release it there"
            self.assertReasons(run, record, ("claimed", text))
            self._make_amounts(run)
            self.assertReasons(run, record, ("claimed", text))
            other.action_cancel()
            self.assertBilled(run, record)

    def test_claimed_by_a_run_that_the_reader_may_not_see(self):
        contract = self._make_contract(date_start="2024-01-01")
        other = self._make_amounts(self._make_run_of(self.scenario))
        run = self._make_run_of(self.scenario)
        self._hide("invoice.run", self.user, [("id", "!=", other.id)])
        result = self.assertReasons(run, contract, ("claimed", "another run, which you may not"))
        self.assertNotIn(other.reference, str(result))

    def test_invoiced_by_another_run(self):
        for scenario, record in self._get_cases():
            other = self._make_run_of(scenario)
            self._make_amounts(other)
            move = self._make_invoices(other)
            run = self._make_run_of(scenario)
            number = move.filtered("name").name
            if record._name == "billing.contract":
                expected = [("dates", "later target date"), ("invoiced", f"already, by {number}")]
            elif record._name == "billing.usage":
                expected = [("invoiced", f"already, by {number}.*cancel or credit")]
            else:
                expected = [("to_invoice", f"completely: {number}.*credit that invoice")]
            self.assertReasons(run, record, *expected)

    def test_below_the_minimum_and_above_the_maximum(self):
        for scenario, record in self._get_cases():
            self.company.invoice_run_min_amount = 5000.0
            run = self._make_run_of(scenario)
            self.assertReasons(run, record, ("limit", "Below the minimum.*Include Again"))
            self._make_amounts(run)
            self.assertReasons(run, record, ("limit", "Below the minimum.*Include Again"))
            self.company.invoice_run_min_amount = 0.0
            self.company.invoice_run_max_amount = 1.0
            run.action_generate_amounts()
            run._process_queue()
            result = self.assertReasons(run, record, ("limit", "Above the maximum.*as checked"))
            self.assertTrue(result["is_in_run"])
            run.action_cancel()
            self.company.invoice_run_max_amount = 0.0

    def test_excluded(self):
        for scenario, record in self._get_cases():
            run = self._make_run_of(scenario)
            self._make_amounts(run)
            run.document_ids.action_exclude()
            self.assertReasons(run, record, ("excluded", "Include Again.*next run"))

    def test_partly_excluded(self):
        contract = self._make_contract(date_start="2023-12-01")
        run = self._make_amounts(self._make_run_of(self.scenario))
        self.assertGreater(len(run.document_ids), 1)
        run.document_ids[0].action_exclude()
        result = self.assertReasons(run, contract, ("excluded", "Include Again"))
        self.assertTrue(result["is_in_run"])

    def test_released(self):
        for scenario, record in self._get_cases():
            run = self._make_run_of(scenario)
            self._make_amounts(run)
            self._make_invoices(run)
            run.action_reverse()
            run._process_queue()
            self.assertReasons(run, record, ("released", "next run proposes it"))

    def test_failed_invoice(self):
        for scenario, record in self._get_cases():
            run = self._make_run_of(scenario)
            self._make_amounts(run)
            run.document_ids.sudo().write({"state": "failed", "error": "No such journal."})
            self.assertReasons(run, record, ("failed", "“Retry Failed”: No such journal"))

    def test_other_exceptions(self):
        contract = self._make_contract([{"price_unit": 0.0}], date_start="2024-01-01")
        item = self._make_usage(
            date="2024-01-03", product_id=self._make_product("Unpriced", 0.0).id
        )
        for scenario, record in ((self.scenario, contract), (self.usage_scenario, item)):
            run = self._make_run_of(scenario)
            self.assertReasons(run, record, ("price", "has no price. Fill it in"))

    def test_unforeseen_error_is_not_told(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_run_of(self.scenario)

        def fail(contract, *args):
            raise ValueError("secret of another company")

        # what follows the price asks for them as well
        self.env.flush_all()
        self.patch(type(contract), "_get_run_document_records", fail)
        with self.assertLogs("odoo.addons.invoice_run", "INFO"):
            result = self.assertReasons(run, contract, ("error", "Generate the amounts"))
        self.assertNotIn("secret", str(result))

    def test_repaired_since(self):
        contract = self._make_contract(date_start="2024-01-01", billing_hold=True)
        run = self._make_amounts(self._make_run_of(self.scenario))
        self.assertReasons(run, contract, ("hold", "Lift the hold"))
        contract.billing_hold = False
        self.assertBilled(run, contract)

    def test_busy(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_run_of(self.scenario)
        run.with_user(self.user).action_generate_amounts()
        text = r"being processed.*\(Generating amounts\). Try again when this is done"
        self.assertReasons(run, contract, ("busy", text))
        run._process_queue()
        self.assertBilled(run, contract, is_in_run=True)

    def test_no_trial_while_others_work_on_the_run(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run_of(self.scenario))
        late = self._make_contract(date_start="2024-01-01")
        run.sudo().job = "invoices"
        self.assertReasons(run, late, ("busy", "being processed"))
        self.assertBilled(run, contract, is_in_run=True)
        run.sudo().job = "none"
        self.assertBilled(run, late)
        self.patch(type(run), "try_lock_for_update", lambda runs, **kwargs: runs.browse())
        self.assertReasons(run, late, ("busy", "another user"))

    def test_trial_waits_for_nobody_for_long(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_run_of(self.scenario)

        def wait(run, payers, look_again=False):
            run.env.cr.execute("SHOW lock_timeout")
            self.assertEqual(run.env.cr.fetchone()[0], "5s")
            raise pg_errors.LockNotAvailable

        self.patch(type(run), "_generate_amounts", wait)
        self.assertReasons(run, contract, ("busy", "Try again"))

    # ------------------------------------------------------------------
    # Rights, trace, dialog
    # ------------------------------------------------------------------

    def test_roles(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_run_of(self.scenario)
        for user in (self.user, self.reviewer, self.manager):
            self.assertReasons(run, contract, user=user)
        accountant = self._make_user("an_accountant", "account.group_account_invoice")
        stranger = self._make_user(
            "a_stranger",
            "invoice_run.invoice_run_group_manager",
            company=self.setup_other_company()["company"],
        )
        for user in (accountant, stranger):
            with self.subTest(user=user.login), self.assertRaises(AccessError):
                self._explain(run, contract, user)

    def test_other_business_unit(self):
        contract = self._make_contract(date_start="2024-01-01", cluster_id=self.north.id)
        run = self._make_run_of(self.scenario)
        self._hide("billing.contract", self.user, [("cluster_id", "=", self.south.id)])
        with self.assertRaises(AccessError):
            self._explain(run, contract)
        dialogs = self.env["invoice.run.explanation"].with_user(self.user)
        with self.assertRaises(AccessError):
            dialogs.create({"res_model": contract._name, "res_id": contract.id})
        dialog = dialogs.create({"run_id": run.id})
        with self.assertRaises(AccessError):
            dialog.write({"res_model": contract._name, "res_id": contract.id})

    def test_only_what_runs_bill(self):
        run = self._make_run_of(self.scenario).with_user(self.user)
        for model, record_id in (
            ("res.partner", self.debtor.id),
            ("no.such.model", 1),
            ("billing.contract", "1"),
            ("billing.contract", 999999999),
        ):
            with self.subTest(model=model), self.assertRaises(UserError):
                run.explain(model, record_id)

    def _count_rows(self):
        """Return {table: (rows, their contents)} of all that a trial could leave something in."""
        # what is pending, messages about changed fields too, is written before a trial
        self.env.cr.flush()
        self.env.invalidate_all()
        tables = [
            model._table
            for model in self.env.registry.values()
            if model._original_module == "invoice_run" and not model._abstract
        ]
        tables += [
            field.relation
            for field in self.env["invoice.run"]._fields.values()
            if field.type == "many2many" and field.store
        ]
        result = {}
        for table in sorted({*tables, *OTHER_TABLES}):
            query = SQL(
                "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM %s t",
                SQL.identifier(table),
            )
            [result[table]] = self.env.execute_query(query)
        sequences = self.env["ir.sequence"].sudo().search([])
        result["sequences"] = {seq.id: seq.number_next_actual for seq in sequences}
        return result

    def _check_no_trace(self, run, record, before):
        hooks = len(self.env.cr.postcommit._funcs)
        self._explain(run, record)
        self.assertEqual(len(self.env.cr.postcommit._funcs), hooks)
        self.assertEqual(self._count_rows(), before)

    def test_trial_leaves_no_trace(self):
        self.debtor.allow_invoice_grouping = True
        for scenario, record in self._get_cases():
            held = self._make_contract(date_start="2024-01-01", billing_hold=True)
            run = self._make_run_of(scenario)
            before = self._count_rows()
            self._check_no_trace(run, record, before)
            self._make_amounts(run)
            before = self._count_rows()
            late = held if scenario == self.scenario else record
            self._check_no_trace(run, late, before)

    def test_nothing_that_is_pending_is_lost(self):
        contract = self._make_contract(date_start="2024-01-01")
        run = self._make_run_of(self.scenario)
        contract.title = "Typed before"
        result = run.with_user(self.user).explain(contract._name, contract.id)
        self.assertTrue(result["is_billed"])
        self.env.invalidate_all()
        self.assertEqual(contract.title, "Typed before")
        self.env.cr.execute("SHOW lock_timeout")
        self.assertNotEqual(self.env.cr.fetchone()[0], "5s")

    def test_dialog_of_a_record(self):
        for scenario, record in self._get_cases():
            old = self._make_run("2023-12-31", scenario)
            new = self._make_run_of(scenario)
            self._make_run("2030-01-31", scenario)
            action = record.with_user(self.user).action_explain_billing()
            dialog = self.env[action["res_model"]].browse(action["res_id"])
            self.assertEqual(action["target"], "new")
            self.assertEqual(dialog.run_id, new)
            self.assertTrue(dialog.is_billed)
            self.assertIn("generate the amounts", dialog.answer)
            dialog = dialog.with_user(self.user)
            dialog.run_id = old
            dialog.action_ask()
            self.assertFalse(dialog.is_billed)
            self.assertIn("later target date", dialog.answer)

    def test_dialog_of_a_run(self):
        contract = self._make_contract(date_start="2024-01-01", billing_hold=True)
        run = self._make_run_of(self.scenario).with_user(self.user)
        action = run.action_find_missing()
        dialog = self.env[action["res_model"]].with_user(self.user).browse(action["res_id"])
        self.assertEqual(dialog.res_model, "billing.contract")
        with self.assertRaisesRegex(UserError, "what is missing"):
            dialog.action_ask()
        dialog.res_id = contract.id
        dialog.action_ask()
        self.assertIn("Lift the hold", dialog.answer)
        with self.assertRaises(AccessError):
            dialog.answer = "Something else"

    def test_dialog_without_a_run(self):
        contract = self._make_contract(date_start="2024-01-01").with_user(self.user)
        action = contract.action_explain_billing()
        self.assertFalse(self.env[action["res_model"]].browse(action["res_id"]).run_id)


@tagged("post_install", "-at_install")
class TestExplanationWalks(ExplanationCommon):
    """Whatever the set-up: what is explained is what generating the amounts then does."""

    WALKS = 12

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.unpriced = cls._make_product("Unpriced", 0.0)
        cls.customers = cls.debtor
        for name in ("Second", "Third"):
            cls.customers |= cls._make_partner(name)
        cls.company.invoice_run_max_lines = 0

    def test_explained_is_what_happens(self):
        seen = set()
        for seed in range(self.WALKS):
            with self.subTest(seed=seed):
                self.random = random.Random(seed)
                with self.env.cr.savepoint() as savepoint:
                    seen |= self._walk()
                    savepoint.rollback()
        # the walks come past most reasons, and past what is invoiced
        self.assertFalse({"", "state", "dates", "claimed", "price"} - seen, sorted(seen))
        self.assertGreater(len(seen), 12, sorted(seen))

    def _walk(self):
        """Explain all records for one run, carry it out and compare; return the codes."""
        records = self._make_world()
        run = self._make_random_run()
        explained = {record: self._explain(run, record) for record in records}
        self._make_amounts(run)
        codes = set()
        for record, before in explained.items():
            after = self._explain(run, record)
            lines, is_billed = self._get_outcome(run, record)
            where = f"{record} in {run.scenario_id.source} run: {before}, then {after}"
            self.assertEqual(before["is_billed"], is_billed, where)
            self.assertEqual(after["is_billed"], is_billed, where)
            self.assertEqual(after["is_in_run"], bool(lines), where)
            self.assertFalse(before["is_in_run"], where)
            for result in (before, after):
                self.assertEqual(result["is_billed"], not result["reasons"], where)
                self.assertTrue(all(reason["message"] for reason in result["reasons"]), where)
            codes |= {reason["code"] for reason in before["reasons"]} or {""}
        return codes

    def _get_outcome(self, run, record):
        """Return the amounts of ``record`` in ``run``, and whether it is invoiced completely."""
        name = {
            "billing.contract": "contract_id",
            "billing.usage": "usage_id",
            "sale.order": "sale_order_id",
        }[record._name]
        if record._name == "billing.contract" and run.scenario_id.source == "usage":
            return run.line_ids.browse(), False
        lines = run.line_ids.filtered(lambda line: line[name] == record)
        documents = lines.document_id
        in_order = all(
            document.state == "to_do" and not document.hold_reason for document in documents
        )
        exceptions = run.exception_ids.filtered(lambda exception: exception[name] == record)
        return lines, bool(lines) and in_order and not exceptions

    def _choose(self, *values):
        return self.random.choice(values)

    def _make_world(self):
        """Make contracts, usage and orders, of which other runs have invoiced some."""
        for customer in self.customers:
            customer.allow_invoice_grouping = self._choose(True, False)
            customer.billing_hold = self._choose(True, *[False] * 9)
        self.company.invoice_run_min_amount = self._choose(0.0, 0.0, 0.0, 150.0)
        self.company.invoice_run_max_amount = self._choose(0.0, 0.0, 350.0)
        contracts = [self._make_random_contract() for _number in range(3)]
        items = [self._make_random_item(contracts) for _number in range(3)]
        orders = [self._make_random_order() for _number in range(2)]
        for _number in range(self._choose(0, 1)):
            run = self._make_random_run(everything=self._choose(True, False))
            self._make_amounts(run)
            run.document_ids.filtered("is_above_max").action_accept()
            if "to_do" in run.document_ids.mapped("state") and self._choose(True, False):
                self._make_invoices(run)
        return [*contracts, *items, *orders]

    def _make_random_contract(self):
        timing = self._choose("advance", "arrears")
        mode = self._choose("periodic", "periodic", "end", "date")
        start, end = self._choose(
            ("2023-12-01", False),
            ("2023-12-01", "2023-12-31"),
            ("2024-01-10", "2024-02-29"),
            ("2024-02-01", False),
        )
        return self._make_contract(
            [{"price_unit": self._choose(0.0, *[100.0] * 5)}],
            activate=self._choose(False, *[True] * 5),
            partner_id=self.random.choice(self.customers).id,
            date_start=start,
            date_end=end,
            billing_mode=mode,
            invoice_until="2024-02-29" if mode == "date" else False,
            billing_timing=timing,
            prebilling_periods=0 if timing == "arrears" else self._choose(0, 0, 1),
            period_anchor=self._choose("start", "calendar"),
            cluster_id=self._choose(False, self.north.id, self.south.id),
            billing_hold=self._choose(True, *[False] * 5),
            check_in_date=self._choose(False, "2024-01-01"),
        )

    def _make_random_item(self, contracts):
        contract = self._choose(self.env["billing.contract"], *contracts)
        product = self._choose(self.product, self.product, self.unpriced)
        item = self._make_usage(
            date=self._choose("2023-12-20", "2024-01-20", "2024-02-20"),
            contract_id=contract.id,
            product_id=product.id,
        )
        item.cluster_id = self._choose(self.north, self.south, self.env["billing.cluster"])
        item.partner_id = self._choose(item.partner_id, self.random.choice(self.customers))
        return item

    def _make_random_order(self):
        order = self._make_order(
            [{"product_id": self._choose(self.goods, self.goods, self.delivered).id}],
            confirm=self._choose(True, True, False),
            partner_id=self.random.choice(self.customers).id,
            billing_cluster_id=self._choose(False, self.north.id),
        )
        order.date_order = self._choose("2023-12-20 12:00:00", "2024-01-20 12:00:00")
        return order

    def _make_random_run(self, everything=False):
        """Make a run that selects some of the records, or everything of its source."""
        source = self._choose("contract", "contract", "usage", "sale")
        day = self._choose("2023-12-31", "2024-01-31", "2024-01-31")
        if everything:
            return self._make_run(day, self._make_scenario("Everything", source=source))
        field = "partner_id.name"
        scenario = self._make_scenario(
            "Some",
            source=source,
            domain=self._choose("[]", "[]", f"[('{field}', '!=', 'Second')]"),
            only_checked_in=source == "contract" and self._choose(True, *[False] * 4),
            billing_mode=self._choose(*["contract"] * 4, "periodic", "date", "end"),
            split_periods=self._choose(True, False),
            enforce_collective=self._choose(True, False, False),
        )
        clusters = self._choose(self.north, *[self.env["billing.cluster"]] * 4)
        chosen = self._choose(self.debtor, *[self.env["res.partner"]] * 5)
        return self._make_run(
            day,
            scenario,
            cluster_ids=[Command.set(clusters.ids)],
            partner_ids=[Command.set(chosen.ids)],
            skip_before=self._choose(False, False, False, False, "2024-01-12"),
        )
