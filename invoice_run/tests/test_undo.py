from datetime import date

from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import tagged

from . import test_invariants
from .common import InvoiceRunCommon

START = date(2024, 1, 10)
LAST = date(2024, 6, 30)
STEPS = 30
REFUSALS = (
    *test_invariants.REFUSALS,
    "no confirmed invoice to reverse",
    "already credits",
    # what Accounting itself refuses
    "audit trail",
    "consumed a sequence number",
    "locked journal entry",
    # a second credit of what was credited already, or a credit of what was cancelled
    "is left to credit",
    "there is nothing to credit",
)


class UndoWalk(test_invariants.Walk):
    """A contract nobody changes, and everything that takes its invoices back, at random."""

    first, last, refusals = START, LAST, REFUSALS

    def _make_contract(self):
        test, pick = self.test, self.random.choice
        test.company.restrictive_audit_trail = pick((True, False))
        self.journal = test.env["account.journal"].create(
            {
                "name": "Rent",
                "type": "sale",
                "code": f"R{self.random.randrange(1000)}",
                "company_id": test.company.id,
                "restrict_mode_hash_table": pick((False, False, True)),
            }
        )
        category = test.env["billing.category"].create(
            {"name": "Rent", "journal_id": self.journal.id, "company_id": test.company.id}
        )
        taxes = [Command.set(test.company_data["default_tax_sale"].ids)]
        return test._make_contract(
            [
                {"price_unit": 100.0, "tax_ids": taxes},
                {"price_unit": 33.33, "price_interval": "week"},
                {"price_unit": 7.0, "price_interval": "once"},
            ],
            partner_id=test._make_partner("Tenant", allow_invoice_grouping=pick((False, True))).id,
            date_start=START,
            date_end=LAST,
            category_id=category.id,
        )

    def _get_moves(self):
        return self.test.env["account.move"].search([("journal_id", "=", self.journal.id)])

    def _pick_credit(self, *states):
        credits = self._get_moves().filtered(lambda move: move.move_type == "out_refund")
        return self._pick(credits.filtered(lambda move: move.state in states))

    # ------------------------------------------------------------------
    # Steps
    # ------------------------------------------------------------------

    def credit_invoice(self):
        move = self._pick_move("posted")
        if not move:
            return None
        wizard = (
            self.test.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=move.ids)
            .create(
                {
                    "journal_id": move.journal_id.id,
                    "invoice_bill_again": self.random.choice((True, False)),
                }
            )
        )
        wizard.refund_moves()
        credit = wizard.new_move_ids
        if self.random.random() < 0.3:
            credit.invoice_line_ids[0].price_unit /= 2
        if self.random.random() < 0.6:
            credit._post(soft=False)
        return f"{move.name} {credit.amount_total} {credit.state} {credit.invoice_bill_again}"

    def post_credit(self):
        credit = self._pick_credit("draft")
        credit._post(soft=False)
        return credit.name

    def reset_credit(self):
        credit = self._pick_credit("posted", "cancel")
        name = credit.display_name
        if credit:
            credit.button_draft()
        return name

    def cancel_credit(self):
        credit = self._pick_credit("posted", "draft")
        name = credit.display_name
        credit.button_cancel()
        return name

    def delete_credit(self):
        credit = self._pick_credit("draft")
        name = credit and credit.display_name
        credit.unlink()
        return name

    def reset_confirmed(self):
        move = self._pick_move("posted")
        if move:
            move.button_draft()
        return move.name

    def delete_any_draft(self):
        move = self._pick_move("draft")
        name = move and (move.name or "draft")
        move.unlink()
        return name

    def cancel_run(self):
        numbers = set(self._get_moves().filtered("name").mapped("name"))
        reference = super().cancel_run()
        left = set(self._get_moves().filtered("name").mapped("name"))
        self.test.assertEqual(numbers, left, self.show("a number was deleted"))
        return reference

    def reverse_run(self):
        run = self._pick(self.runs)
        if run:
            run.with_user(self.test.user).action_reverse()
        return run.reference

    def reverse_documents(self):
        documents = list(self.runs.document_ids.filtered("move_id"))
        self.random.shuffle(documents)
        chosen = self.runs.document_ids.browse(document.id for document in documents[:2])
        if chosen:
            chosen.with_user(self.test.user).action_reverse()
        return chosen and str(chosen)

    # ------------------------------------------------------------------
    # A second opinion
    # ------------------------------------------------------------------

    def check(self):
        self._check_money()
        return super().check()

    def _check_money(self):
        """What is invoiced, net of what was credited, is what the claims say."""
        moves = self._get_moves().filtered(lambda move: move.state != "cancel")
        invoices = moves.filtered(lambda move: move.move_type == "out_invoice")
        given_back = invoices.reversal_move_ids.filtered(
            lambda credit: (
                credit.state == "posted"
                and credit.invoice_bill_again
                and credit.amount_total == credit.reversed_entry_id.amount_total
            )
        )
        billed = sum(invoices.mapped("amount_untaxed")) - sum(given_back.mapped("amount_untaxed"))
        lines = self.runs.line_ids.filtered(
            lambda line: line.is_claimed and line.document_id.state == "invoiced"
        )
        claimed = sum(lines.mapped("amount_untaxed"))
        self.test.assertAlmostEqual(billed, claimed, 2, self.show("billed net of credits"))


UNDO = [
    *test_invariants.UNDO,
    "credit_invoice",
    "credit_invoice",
    "post_credit",
    "reset_credit",
    "cancel_credit",
    "delete_credit",
    "reset_confirmed",
    "delete_any_draft",
    "reverse_run",
    "reverse_documents",
    "reverse_documents",
]


@tagged("post_install", "-at_install")
class TestUndo(InvoiceRunCommon):
    """Whatever is taken back, in whatever order: no day is invoiced twice or lost."""

    def test_undo_in_any_order(self):
        for seed in range(2):
            with self.subTest(seed=seed):
                walk = UndoWalk(self, seed)
                taken = 0
                while taken < STEPS:
                    if walk.take(test_invariants.RUNS + UNDO):
                        taken += 1
                        walk.check()
                walk.finish()


@tagged("post_install", "-at_install")
class TestRunAgain(InvoiceRunCommon):
    """A run that was taken back and is made again gives the same documents to the cent."""

    def _make_contracts(self):
        tax = [Command.set(self.company_data["default_tax_sale"].ids)]
        for grouping in (True, False):
            partner = self._make_partner(f"Grouped {grouping}", allow_invoice_grouping=grouping)
            for price in (100.0, 33.33):
                self._make_contract(
                    [
                        {"price_unit": price, "tax_ids": tax, "discount": 3.0},
                        {"price_unit": 7.77, "price_interval": "once"},
                    ],
                    partner_id=partner.id,
                    date_start="2024-01-10",
                )
            self._make_usage(partner_id=partner.id, date="2024-01-20", price_unit=1.23)

    def _run(self, scenario, invoice_state):
        scenario.invoice_state = invoice_state
        return self._run_all("2024-02-15", scenario)

    def _get_content(self, run):
        return [
            (
                *(document.partner_id.name, document.title, document.date_from, document.date_to),
                *(document.amount_untaxed, document.amount_tax, document.amount_total),
                [
                    (line.name, line.billing_date_from, line.billing_date_to, line.amount)
                    for line in document.line_ids
                ],
            )
            for document in run.document_ids
        ]

    def _assert_same_again(self, undo, invoice_state="posted"):
        """Carry out both scenarios, ``undo`` them, and carry them out again."""
        self._make_contracts()
        for scenario in (self.scenario, self.usage_scenario):
            first = self._run(scenario, invoice_state)
            content = self._get_content(first)
            self.assertTrue(content)
            undo(first)
            self.assertFalse(any(first.line_ids.mapped("is_claimed")))
            second = self._run(scenario, invoice_state)
            self.assertEqual(self._get_content(second), content)
            third = self._make_amounts(self._make_run("2024-02-15", scenario))
            self.assertFalse(third.document_ids)

    def test_deleted_drafts(self):
        self._assert_same_again(lambda run: run.invoice_ids.unlink(), "draft")

    def test_cancelled_run(self):
        self._assert_same_again(lambda run: run.action_cancel(), "draft")

    def test_cancelled_run_with_numbers(self):
        def undo(run):
            run.invoice_ids.button_draft()
            run.with_user(self.user).action_cancel()
            self.assertEqual(set(run.invoice_ids.mapped("state")), {"cancel"})

        self._assert_same_again(undo)

    def test_reversed_run(self):
        def undo(run):
            run.with_user(self.user).action_reverse()
            credits = run.invoice_ids.reversal_move_ids
            run.with_user(self.user).action_reverse()
            self.assertEqual(run.invoice_ids.reversal_move_ids, credits, "twice changes nothing")
            self.assertEqual(set(credits.mapped("state")), {"posted"})

        self._assert_same_again(undo)

    def test_documents_reversed_last_first(self):
        def undo(run):
            for document in reversed(run.document_ids):
                action = document.with_user(self.user).action_reverse()
                credit = self.env["account.move"].browse(action["res_id"])
                self.assertEqual(credit.reversed_entry_id, document.move_id)
                self.assertEqual(document.state, "released")

        self._assert_same_again(undo)

    def test_deleted_amounts(self):
        self._make_contracts()
        run = self._make_amounts(self._make_run("2024-02-15"))
        content = self._get_content(run)
        for _number in range(2):
            run.with_user(self.user).action_delete_amounts("once more")
            self.assertFalse(run.document_ids)
            self._make_amounts(run)
            self.assertEqual(self._get_content(run), content)

    def test_excluded_documents(self):
        self._make_contracts()
        run = self._make_amounts(self._make_run("2024-02-15"))
        content = self._get_content(run)
        run.document_ids.with_user(self.user).action_exclude()
        self.assertEqual(self._get_content(self._run_all("2024-02-15")), content)


@tagged("post_install", "-at_install")
class TestReverse(InvoiceRunCommon):
    """Credit notes of selected documents."""

    def setUp(self):
        super().setUp()
        self._make_contract(date_start="2024-01-01")
        self.run = self._run_all("2024-03-15")
        self.first, self.second, self.third = self.run.document_ids

    def _credit(self, move, **vals):
        wizard = (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=move.ids)
            .create({"journal_id": move.journal_id.id, **vals})
        )
        wizard.refund_moves()
        return wizard.new_move_ids

    def test_only_the_selected_ones(self):
        self.second.with_user(self.user).action_reverse()
        documents = self.first | self.second | self.third
        self.assertEqual(documents.mapped("state"), ["invoiced", "released", "invoiced"])
        self.assertEqual(
            (self.run.document_ids - documents).move_id.reversed_entry_id, self.second.move_id
        )
        again = self._make_amounts(self._make_run("2024-03-15"))
        self.assertEqual(self._get_periods(again), ["2024-02-01/2024-02-29"])

    def test_credited_by_hand_is_not_credited_again(self):
        credit = self._credit(self.second.move_id)
        for what in (self.second, self.run):
            with self.assertRaisesRegex(UserError, "1 of the invoices already have credit notes"):
                what.with_user(self.user).action_reverse()
        (self.first | self.third).with_user(self.user).action_reverse()
        credit.unlink()
        self.run.with_user(self.user).action_reverse()
        documents = self.first | self.second | self.third
        self.assertEqual(set(documents.mapped("state")), {"released"})
        self.assertEqual(set((self.run.document_ids - documents).mapped("state")), {"credit"})

    def test_nothing_to_reverse(self):
        drafts = self.second.move_id
        drafts.button_draft()
        with self.assertRaisesRegex(UserError, "no confirmed invoice to reverse"):
            self.second.with_user(self.user).action_reverse()

    def test_given_back_invoice_stays_until_its_credit_note_is_reset(self):
        self.first.action_reverse()
        move = self.first.move_id
        credit = move.reversal_move_ids
        for method in (move.button_draft, move.button_cancel):
            with self.assertRaisesRegex(UserError, f"{credit.name} .*credits {move.name}"):
                method()
        (move | credit).button_draft()
        self.assertEqual(self.first.state, "invoiced")

    def test_given_back_once(self):
        credits = self._credit(self.first.move_id, invoice_bill_again=True)
        credits |= self._credit(self.first.move_id, invoice_bill_again=True)
        credits[0]._post(soft=False)
        with self.assertRaisesRegex(UserError, "already credits"):
            credits[1]._post(soft=False)

    def test_credit_note_of_a_replaced_invoice_stays(self):
        move = self.first.move_id
        wizard = (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=move.ids)
            .create({"journal_id": move.journal_id.id})
        )
        wizard.modify_moves()
        new, credit = wizard.new_move_ids, move.reversal_move_ids
        refused = self.assertRaisesRegex(UserError, "would be invoiced twice")
        with refused, self.env.cr.savepoint():
            credit.button_draft()
        new.unlink()
        credit.button_draft()
        self.assertEqual((self.first.move_id, self.first.state), (move, "invoiced"))

    def test_what_was_given_back_is_not_sent(self):
        documents = self.run.document_ids
        documents._write_engine({"send_action": "email", "send_state": "pending"})
        self.second.action_reverse()
        self.assertEqual(documents.mapped("send_state"), ["pending", "none", "pending"])
        self.second.move_id.reversal_move_ids.button_draft()
        self.assertEqual(set(documents.mapped("send_state")), {"pending"})

    def test_each_credit_note_in_the_journal_of_its_invoice(self):
        journal = self.env["account.journal"].create(
            {"name": "Other", "type": "sale", "code": "OTH", "company_id": self.company.id}
        )
        category = self.env["billing.category"].create(
            {"name": "Other", "journal_id": journal.id, "company_id": self.company.id}
        )
        self._make_contract(date_start="2024-01-01", category_id=category.id)
        self._make_contract(date_start="2024-01-01")
        run = self._run_all("2024-01-15")
        self.assertEqual(len(run.invoice_ids.journal_id), 2)
        run.with_user(self.user).action_reverse()
        for move in run.invoice_ids:
            self.assertEqual(move.reversal_move_ids.journal_id, move.journal_id)
