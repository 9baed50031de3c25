import random

from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import tagged

from .ledger_common import LedgerCommon


@tagged("post_install", "-at_install")
class TestMirroredCredits(LedgerCommon):
    """A correction mirrors the invoice line that it credits."""

    def _get_mirror(self, move):
        """Return what the journal items of ``move`` come to, by account and tax."""
        items = move.line_ids.filtered(lambda item: item.balance or item.amount_currency)
        return sorted(
            (
                item.account_id.code,
                item.tax_line_id.id,
                item.tax_ids.ids,
                abs(item.balance),
                abs(item.amount_currency),
            )
            for item in items
        )

    def test_whole_credit_is_the_invoice_coin_for_coin(self):
        self.company.invoice_run_correction = "credit_note"
        percents = [
            self._make_tax(21),
            self._make_tax(6, price_include_override="tax_included"),
            self._make_tax(7.7, price_include_override="tax_included"),
            self._make_tax(3, "fixed"),
        ]
        for seed in range(4):
            for method in ("round_globally", "round_per_line"):
                with self.subTest(seed=seed, method=method):
                    self.company.tax_calculation_rounding_method = method
                    self._check_whole_credit(random.Random(seed), percents)

    def _check_whole_credit(self, rand, taxes):
        lines = [
            self._with_tax(
                *rand.sample(taxes, rand.randrange(1, 3)),
                price_unit=rand.randrange(1, 99999) / 1000,
                quantity=rand.choice((1, 3, 7.25)),
                discount=rand.choice((0, 3, 33.33)),
            )
            for _number in range(5)
        ]
        move = self._bill(lines, "2024-02-15", date_start="2024-01-01").sorted("id")[-1]
        self.contract.date_end = "2024-01-31"
        documents = self._get_documents(self._run_all("2024-02-20"))
        credit = documents.move_id
        self.assertEqual(credit.reversed_entry_id, move)
        self.assertEqual(credit.amount_total, move.amount_total)
        self.assertEqual(self._get_mirror(credit), self._get_mirror(move))

    def test_account_tax_and_analytic_distribution(self):
        plan = self.env["account.analytic.plan"].create({"name": "Sites"})
        site = self.env["account.analytic.account"].create({"name": "A", "plan_id": plan.id})
        account = self.company_data["default_account_revenue"].copy()
        tax = self._make_tax(21)
        self.scenario.invoice_state = "draft"
        move = self._bill()
        move.invoice_line_ids.write(
            {
                "account_id": account.id,
                "tax_ids": [Command.set(tax.ids)],
                "analytic_distribution": {str(site.id): 100},
            }
        )
        move.action_post()
        item = self._end("2024-01-15").document_ids.move_id.invoice_line_ids
        self.assertEqual((item.account_id, item.tax_ids), (account, tax))
        self.assertEqual(item.analytic_distribution, {str(site.id): 100})
        self.assertEqual(item.billing_credited_line_id, move.invoice_line_ids)

    def test_no_analytic_distribution_stays_none(self):
        plan = self.env["account.analytic.plan"].create({"name": "Sites"})
        site = self.env["account.analytic.account"].create({"name": "A", "plan_id": plan.id})
        self._bill()
        self.env["account.analytic.distribution.model"].create(
            {"product_id": self.product.id, "analytic_distribution": {str(site.id): 100}}
        )
        item = self._end("2024-01-15").document_ids.move_id.invoice_line_ids
        self.assertFalse(item.analytic_distribution)


@tagged("post_install", "-at_install")
class TestCreditLinks(LedgerCommon):
    """Wherever Odoo copies a line, the copy names what it credits."""

    def _get_left(self):
        line = self.contract.line_ids
        billed = self.env["billing.ledger"]._get_billed_lines(line)[line.id]
        return [float(one.left()) for one in billed]

    def test_plain_copy_names_nothing(self):
        copy = self._bill().copy()
        self.assertFalse(copy.invoice_line_ids.invoice_run_line_id)
        self.assertFalse(copy.invoice_line_ids.billing_credited_line_id)

    def test_credit_keeps_days_and_names_the_line(self):
        move = self._bill()
        item = self._credit(move, 51.61).invoice_line_ids
        self.assertEqual(item.billing_credited_line_id, move.invoice_line_ids)
        self.assertEqual(str(item.billing_date_from), "2024-01-01")
        self.assertFalse(item.invoice_run_line_id)
        self.assertEqual(self._get_left(), [48.39])

    def test_reversed_credit_counts_again(self):
        move = self._bill()
        credit = self._credit(move, 51.61)
        again = self._reverse(credit)
        again.action_post()
        self.assertEqual(again.move_type, "out_invoice")
        self.assertEqual(self._get_left(), [100.0])
        self._end("2024-01-15")
        self.assertEqual(self._get_balance(), 48.39)

    def test_reversed_correction_counts_again(self):
        self.company.invoice_run_correction = "credit_note"
        self._bill()
        run = self._end("2024-01-15")
        run.with_user(self.user).action_reverse()
        self.assertEqual(self._get_left(), [100.0])
        self.assertEqual(self.contract.line_ids.overbilled_from, self._date("2024-01-16"))
        days = self.env["billing.ledger"]._get_billed_days(self.contract.line_ids)
        self.assertEqual(
            [str(day) for day in days[self.contract.line_ids.id][0]], ["2024-01-01", "2024-01-31"]
        )
        self._run_all("2024-02-03")
        self.assertEqual(self._get_balance(), 48.39)

    def test_replaced_correction_gives_back_once(self):
        self.company.invoice_run_correction = "credit_note"
        self._bill()
        credit = self._end("2024-01-15").document_ids.move_id
        new = self._replace(credit, 51.61)
        self.assertEqual(
            new.invoice_line_ids.billing_credited_line_id, self.run.invoice_ids.invoice_line_ids
        )
        self.assertEqual(self._get_left(), [48.39])
        self.assertEqual(self._get_balance(), 48.39)

    def test_more_than_was_billed_is_refused(self):
        move = self._bill()
        self._credit(move, 60.0)
        with self.assertRaisesRegex(UserError, "40.00.*is left to credit.*41.00"):
            self._credit(move, 41.0)

    def test_draft_credit_of_what_a_run_gave_back_is_refused(self):
        move = self._bill()
        credit = self._reverse(move)
        self._end("2024-01-15")
        with self.assertRaisesRegex(UserError, "48.39.*is left to credit"):
            credit.action_post()

    def test_credited_invoice_is_neither_cancelled_nor_changed(self):
        move = self._bill()
        self._credit(move, 51.61)
        move.button_draft()
        for action in (
            move.button_cancel,
            move.invoice_line_ids.unlink,
            lambda: move.invoice_line_ids.write({"price_unit": 60.0}),
            lambda: move.write(
                {"invoice_line_ids": [Command.update(move.invoice_line_ids.id, {"quantity": 2})]}
            ),
        ):
            with self.assertRaisesRegex(UserError, "was credited in part by"):
                action()
        move.invoice_line_ids.write({"price_unit": 100.0, "name": "Better text"})
        move.action_post()

    def test_credit_on_which_a_run_built_is_not_taken_back(self):
        move = self._bill()
        credit = self._credit(move, 30.0)
        run = self._end("2024-01-15")
        self.assertAmounts(run, [-21.61])
        again = self._reverse(credit)
        for action in (credit.button_draft, credit.button_cancel, again.action_post):
            with self.assertRaisesRegex(UserError, "credited again by.*Undo that first"):
                action()
        run.with_user(self.user).action_reverse()
        credit.button_draft()
        credit.button_cancel()
        self._run_all("2024-02-02")
        self.assertEqual(self._get_balance(), 48.39)

    def test_whole_credit_on_which_a_run_built_is_not_taken_back(self):
        credit = self._credit(self._bill())
        run = self._end("2024-01-15")
        with self.assertRaisesRegex(UserError, "Undo that first"):
            credit.button_draft()
        run.with_user(self.user).action_reverse()
        credit.button_draft()
        credit.button_cancel()
        self._run_all("2024-02-02")
        self.assertEqual(self._get_balance(), 48.39)

    def test_goodwill_stands_on_its_own(self):
        move = self._bill()
        self._credit(move, 20.0, billing_credit_kind="goodwill")
        move.button_draft()
        move.button_cancel()
        self.assertEqual(self._get_balance(), -20.0)

    def test_changed_between_amounts_and_invoice_is_refused(self):
        move = self._bill()
        self.contract.date_end = "2024-01-15"
        run = self._make_amounts(self._make_run("2024-02-01"))
        self._credit(move, 30.0)
        self._make_invoices(run)
        self.assertRegex(run.document_ids.error, "changed or credited since.*Recalculate Changed")
        self.assertTrue(run.document_ids.is_stale)
        run.with_user(self.user).action_renew_stale()
        run._process_queue()
        self.assertAmounts(run, [-21.61])
        self._make_invoices(run)
        self.assertEqual(self._get_balance(), 48.39)

    def test_links_cannot_be_forged(self):
        move = self._bill()
        user = self._make_user("clerk", "account.group_account_invoice")
        for vals in ({"billing_credited_line_id": False}, {"billing_credit_kind": "goodwill"}):
            with self.assertRaisesRegex(Exception, "cannot be written by hand"):
                move.invoice_line_ids.with_user(user).write(
                    {**vals, "billing_credited_line_id": move.invoice_line_ids.id}
                )

    def test_clerk_without_rights_on_runs_credits(self):
        move = self._bill()
        user = self._make_user("clerk", "account.group_account_invoice")
        wizard = (
            self.env["account.move.reversal"]
            .with_user(user)
            .with_context(active_model="account.move", active_ids=move.ids)
            .create({"journal_id": move.journal_id.id, "billing_credit_kind": "goodwill"})
        )
        wizard.refund_moves()
        item = wizard.new_move_ids.invoice_line_ids
        self.assertEqual(item.sudo().billing_credit_kind, "goodwill")
        wizard.new_move_ids.action_post()
        self.assertEqual(self._get_left(), [0.0])
