import random
from datetime import date, timedelta

from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..models.review.invoice_run_reconcile import PARTS
from .common import InvoiceRunCommon

STEPS = 25
#: What people are told; any other refusal is a bug.
REFUSALS = ("already claimed by", "not approved", "earlier period", "nothing to invoice")


class Walk:
    """A run over many contracts, and what people do to it, at random."""

    def __init__(self, test, seed):
        self.test = test
        self.random = random.Random(seed)
        self.log = []
        self.contracts = self._make_contracts()
        self._make_usage()
        test.company.invoice_run_min_amount = self.random.choice((0, 30.0))
        test.company.invoice_run_max_amount = self.random.choice((0, 500.0))
        self.run = test._make_run("2024-03-15")
        self.due = self.get_due()
        test._make_amounts(self.run)

    def _make_contracts(self):
        pick = self.random.choice
        contracts = self.test.env["billing.contract"]
        for number in range(6):
            partner = self.test._make_partner(
                f"P{number}", allow_invoice_grouping=pick((True, False))
            )
            prices = [{"price_unit": pick((0.07, 7.0, 100.0, 333.33))} for _line in range(2)]
            contracts |= self.test._make_contract(
                prices,
                partner_id=partner.id,
                date_start=date(2024, 1, 1) + timedelta(days=self.random.randrange(60)),
                billing_hold=self.random.random() < 0.2,
            )
            partner.billing_hold = self.random.random() < 0.2
        return contracts

    def _make_usage(self):
        for contract in self.contracts:
            for price in (11.11, 0.01):
                self.test._make_usage(
                    date="2024-02-03",
                    partner_id=contract.partner_id.id,
                    contract_id=contract.id,
                    price_unit=price,
                )

    def get_due(self):
        """Return what is due if nothing stood in the way: a second opinion."""
        run = self.run
        source = run.scenario_id._get_source()
        with self.test.env.cr.savepoint() as savepoint:
            self.contracts.billing_hold = False
            self.contracts.partner_id.billing_hold = False
            charges, exceptions = source._get_source_charges(run, source._get_run_payers(run))
            self.test.assertFalse(exceptions)
            due = sum(charge.line["amount"] for charge in charges)
            savepoint.rollback()
        self.test.env.invalidate_all(flush=False)
        return due

    def check(self):
        run, test = self.run, self.test
        run.invalidate_recordset()
        test.assertAlmostEqual(run.due_amount, self.due, 2, self.show())
        test.assertFalse(run.unknown_count)
        self._check_lines()

    def _check_lines(self):
        """The parts are those of the amounts themselves, one by one."""
        run, test = self.run, self.test
        by_state = {}
        for line in run.line_ids:
            document = line.document_id
            held = document.state == "to_do" and document.is_above_max and not document.is_accepted
            state = "held" if held else document.state
            by_state[state] = by_state.get(state, 0) + line.amount
        for part, state in (
            ("to_do", "to_do"),
            ("invoiced", "invoiced"),
            ("excluded", "excluded"),
            ("held", "held"),
            ("not_invoiced", "failed"),
            ("released", "released"),
        ):
            amount = by_state.get(state, 0)
            test.assertAlmostEqual(run[f"{part}_amount"], amount, 2, self.show(part))
        exceptions = run.exception_ids.filtered(lambda one: one.kind != "note")
        test.assertEqual(run.due_count, len(run.document_ids) + len(exceptions))

    def show(self, message=""):
        return "\n".join([*self.log, message])

    @mute_logger("odoo.sql_db")
    def take(self):
        step = self.random.choice(self.steps)
        try:
            with self.test.env.cr.savepoint():
                what = getattr(self, step)()
                self.test.env.flush_all()
        except UserError as error:
            what = f"refused: {error}"
            self.test.assertTrue(any(text in str(error) for text in REFUSALS), self.show(what))
        self.log.append(f"{step}: {what}")

    steps = (
        "exclude_document",
        "exclude_line",
        "exclude_line",
        "include",
        "include",
        "accept",
        "approve",
        "approve",
        "invoice_selected",
        "invoice_selected",
        "invoice_all",
        "block",
        "retry",
        "delete_draft",
        "bill_again",
    )

    def _pick(self, *states):
        documents = self.run.document_ids.filtered(lambda document: document.state in states)
        return documents[self.random.randrange(len(documents))] if documents else documents

    def exclude_document(self):
        document = self._pick("to_do", "failed")
        document.with_user(self.test.user).action_exclude()
        return document.title

    def exclude_line(self):
        line = self._pick("to_do", "failed").line_ids[:1]
        line.with_user(self.test.user).action_exclude()
        return line.name

    def include(self):
        document = self._pick("excluded", "held")
        records = self.random.choice((document, document.line_ids[:1]))
        records.with_user(self.test.user).action_include()
        return document.title

    def accept(self):
        document = self._pick("to_do")
        document.with_user(self.test.reviewer).action_accept()
        return document.title

    def approve(self):
        if self.run.state == "amounts" and self.run.document_count:
            self.run.with_user(self.test.reviewer).action_approve()
        return self.run.state

    def invoice_selected(self):
        document = self._pick("to_do")
        self.run.invoice_state = self.random.choice(("draft", "posted"))
        document.with_user(self.test.user).action_generate_invoices()
        self.run._process_queue()
        return f"{document.title} {document.state}"

    def invoice_all(self):
        self.run.with_user(self.test.user).action_generate_invoices()
        self.run._process_queue()
        return self.run.document_ids.mapped("state")

    def block(self):
        contract = self._pick("to_do").contract_ids[:1]
        contract.billing_hold = True
        return contract.name

    def retry(self):
        self._pick("failed").contract_ids.billing_hold = False
        self.run.with_user(self.test.user).action_retry_failed()
        self.run._process_queue()

    def delete_draft(self):
        move = self._pick("invoiced").move_id
        if move.state == "draft":
            move.unlink()

    def bill_again(self):
        move = self._pick("invoiced").move_id
        if move.state == "posted" and move.payment_state == "not_paid":
            move._reverse_to_bill_again()


@tagged("post_install", "-at_install")
class TestReconcile(InvoiceRunCommon):
    """Due = invoiced + excluded + held + failed + nothing + to do."""

    def test_random_walks(self):
        for seed in range(3):
            with self.subTest(seed=seed), self.env.cr.savepoint() as savepoint:
                walk = Walk(self, seed)
                walk.check()
                for _step in range(STEPS):
                    walk.take()
                    walk.check()
                savepoint.rollback()
                self.env.invalidate_all(flush=False)

    def test_parts(self):
        self.company.invoice_run_min_amount = 10.0
        partners = [self._make_partner(name) for name in "abcdef"]
        prices = (100.0, 200.0, 5.0, 300.0, 400.0, 50.0)
        contracts = [
            self._make_contract(
                [{"price_unit": price}], date_start="2024-01-01", partner_id=partner.id
            )
            for price, partner in zip(prices, partners, strict=True)
        ]
        contracts[3].billing_hold = True
        partners[4].billing_hold = True
        run = self._make_amounts(self._make_run("2024-01-15"))
        contracts[1].run_line_ids.action_exclude()
        figures = {name: (run[f"{name}_count"], run[f"{name}_amount"]) for name in PARTS}
        self.assertEqual(
            {name: value for name, value in figures.items() if value[0]},
            {
                "to_do": (2, 150.0),
                "excluded": (1, 200.0),
                "held": (1, 5.0),
                "held_exception": (1, 300.0),
                "failed_exception": (1, 400.0),
            },
        )
        self.assertEqual((run.due_count, run.due_amount), (6, 1055.0))
        for part, documents in (("to_do", 2), ("excluded", 1), ("held", 1), ("invoiced", 0)):
            action = run.with_context(invoice_run_part=part).action_view_part()
            found = self.env["invoice.run.document"].search(action["domain"])
            self.assertEqual(len(found), documents, part)
        action = run.with_context(invoice_run_part="held").action_view_exceptions_of_kind()
        self.assertEqual(
            self.env["invoice.run.exception"].search(action["domain"]).contract_id, contracts[3]
        )

    def test_tax_in_the_price_and_another_currency(self):
        currency = self.setup_other_currency("EUR")
        tax = self.env["account.tax"].create(
            {"name": "in", "amount": 25.0, "price_include_override": "tax_included"}
        )
        self._make_contract(
            [{"tax_ids": [(6, 0, tax.ids)]}],
            date_start="2024-01-01",
            currency_id=currency.id,
            billing_hold=True,
        )
        run = self._make_amounts(self._make_run("2024-01-15"))
        expected = currency._convert(
            80.0, self.company.currency_id, self.company, self._date("2024-01-15")
        )
        self.assertAlmostEqual(run.due_amount, expected, 2)

    def test_two_reasons_count_once(self):
        contract = self._make_contract(
            [{}, {"price_unit": 0.0}, {"price_unit": 0.0, "name": "Other"}],
            date_start="2024-01-01",
        )
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(len(run.exception_ids), 2)
        self.assertEqual(run.exception_ids.contract_id, contract)
        self.assertEqual((run.due_count, run.due_amount), (1, 100.0))

    def test_amount_that_cannot_be_known(self):
        self._make_contract(date_start="2024-01-01", billing_mode="end")
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual((run.due_count, run.due_amount, run.unknown_count), (1, 0.0, 1))

    def test_run_without_amounts(self):
        run = self._make_run("2024-01-15")
        self.assertEqual((run.due_count, run.due_amount), (0, 0.0))
        self.assertFalse(self.env["invoice.run"].new({}).due_count)


@tagged("post_install", "-at_install")
class TestHeldByOthers(InvoiceRunCommon):
    """What another run holds is listed, with a button; forgotten runs give up what they hold."""

    def setUp(self):
        super().setUp()
        self.contract = self._make_contract(date_start="2024-01-01")
        self.holder = self._make_amounts(self._make_run("2024-01-15"))
        self.run = self._make_amounts(self._make_run("2024-01-16"))
        self.held = self.run.exception_ids

    def test_listed_with_amount(self):
        self.assertEqual(self.held.blocking_run_id, self.holder)
        self.assertEqual((self.run.held_exception_count, self.run.due_amount), (1, 100.0))

    def test_released_by_a_user(self):
        self.held.with_user(self.user).action_release()
        self.assertFalse(self.held.exists())
        self.assertEqual(self.holder.document_ids.state, "released")
        self.assertEqual((self.holder.released_count, self.holder.due_amount), (1, 100.0))
        self._make_amounts(self.run)
        self.assertEqual(self.run.amount_total, 100.0)

    def test_only_what_is_meant_is_released(self):
        other = self._make_contract(
            date_start="2024-01-01", partner_id=self._make_partner("Other").id
        )
        self.holder.action_delete_amounts("with both")
        self._make_amounts(self.holder)
        self._make_amounts(self.run)
        held = self.run.exception_ids.filtered(lambda one: one.contract_id == self.contract)
        held.with_user(self.user).action_release()
        document = self.holder.document_ids.filtered(lambda one: one.contract_ids == other)
        self.assertEqual(document.state, "to_do")

    def test_not_by_strangers(self):
        company = self.setup_other_company()["company"]
        stranger = self._make_user(
            "run_other", "invoice_run.invoice_run_group_manager", company=company
        )
        clerk = self._make_user("run_clerk", "base.group_user")
        for user in (stranger, clerk):
            with self.assertRaises(AccessError):
                self.held.with_user(user).action_release()
        self.assertEqual(self.holder.document_ids.state, "to_do")

    def _wait(self, days):
        with freeze_time(fields.Datetime.now() + timedelta(days=days)):
            self.env["invoice.run"]._cron_process_runs()

    def test_forgotten_run_is_released_once(self):
        self.holder.user_id = self.user
        self._wait(4)
        self.assertTrue(self.holder.document_ids)
        self._wait(8)
        self._wait(9)
        self.assertFalse(self.holder.document_ids)
        self.assertEqual(len(self.holder.activity_ids), 1)
        self.assertEqual(self.holder.activity_ids.user_id, self.user)

    def test_never_where_switched_off(self):
        self.company.invoice_run_release_days = 0
        self._wait(400)
        self.assertTrue(self.holder.document_ids)

    def test_scheduled_run_is_not_forgotten(self):
        self.holder.schedule_id.activation_rule = "before_start"
        self._wait(400)
        self.assertTrue(self.holder.document_ids)

    def test_forgotten_run_with_invoices_keeps_them(self):
        self.holder.action_delete_amounts("two contracts")
        self._make_contract(date_start="2024-01-01", partner_id=self._make_partner("Zoe").id)
        self._make_amounts(self.holder)
        first, second = self.holder.document_ids.sorted("sequence")
        self.holder.with_user(self.reviewer).action_approve()
        first.with_user(self.user).action_generate_invoices()
        self.holder._process_queue()
        second.line_ids.contract_line_id.price_unit = 130.0
        self.holder.action_renew_stale()
        self.holder._process_queue()
        self.assertEqual(self.holder.state, "amounts")
        self._wait(8)
        self.assertEqual(first.state, "invoiced")
        self.assertEqual(self.holder.state, "invoiced")
        self.assertFalse(self.holder.to_do_count)
        self.assertTrue(first.line_ids.is_claimed)


@tagged("post_install", "-at_install")
class TestPreviousRun(InvoiceRunCommon):
    """A run as a whole against the previous one of its schedule."""

    def setUp(self):
        super().setUp()
        self.contracts = self.env["billing.contract"].union(
            *(
                self._make_contract(date_start="2024-01-01", partner_id=self._make_partner(name).id)
                for name in ("Anna", "Bert")
            )
        )
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "Rent",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "cycle": "monthly",
                "date_from": "2024-01-01",
                "date_to": "2024-01-31",
                "invoice_date": "2024-01-01",
                "run_count": 3,
            }
        )
        schedule.action_generate_runs()
        self.runs = schedule.run_ids.sorted("number")

    def _bill(self, run):
        self._make_amounts(run)
        self._make_invoices(run)

    def test_difference(self):
        self._bill(self.runs[0])
        self.assertFalse(self.runs[0].previous_run_id)
        self.contracts[0].line_ids.price_unit = 150.0
        run = self._make_amounts(self.runs[1])
        self.assertEqual(run.previous_run_id, self.runs[0])
        self.assertEqual((run.previous_run_amount, run.previous_run_count), (200.0, 2))
        self.assertEqual(run.previous_run_variance, 25.0)
        self.assertEqual((run.missing_contract_count, run.missing_customer_count), (0, 0))

    def test_missing(self):
        self._bill(self.runs[0])
        self.contracts[1].billing_hold = True
        run = self._make_amounts(self.runs[1])
        self.assertEqual((run.missing_contract_count, run.missing_customer_count), (1, 1))
        self.assertEqual(run.previous_run_variance, -50.0)
        user_run = run.with_user(self.user)
        action = user_run.action_view_missing_contracts()
        found = self.env["billing.contract"].with_user(self.user).search(action["domain"])
        self.assertEqual(found, self.contracts[1])
        action = user_run.action_view_missing_customers()
        found = self.env["res.partner"].with_user(self.user).search(action["domain"])
        self.assertEqual(found, self.contracts[1].partner_id)

    def test_excluded_is_missing(self):
        self._bill(self.runs[0])
        run = self._make_amounts(self.runs[1])
        run.document_ids[0].action_exclude()
        self.assertEqual(run.missing_contract_count, 1)

    def test_run_without_amounts_is_passed_over(self):
        self._bill(self.runs[0])
        self.runs[1].action_cancel()
        run = self._make_amounts(self.runs[2])
        self.assertEqual(run.previous_run_id, self.runs[0])

    def test_run_by_hand_has_none(self):
        self._bill(self.runs[0])
        run = self._make_amounts(self._make_run("2024-02-15"))
        self.assertFalse(run.previous_run_id)
        self.assertEqual(run.missing_contract_count, 0)
