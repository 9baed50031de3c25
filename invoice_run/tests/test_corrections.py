from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestCorrections(InvoiceRunCommon):
    """A contract that ends, or changes, before days that were invoiced in advance."""

    def setUp(self):
        super().setUp()
        self.contract = self._make_contract(date_start="2024-01-01")
        self.first = self._run_all("2024-01-15")
        self.earlier = self.first.line_ids

    def _get_claim(self):
        earlier = self.earlier
        return (earlier.is_claimed, str(earlier.period_from), str(earlier.period_to))

    def _end(self, date):
        self.contract.date_end = date

    def _propose(self, date="2024-02-01"):
        return self._make_amounts(self._make_run(date))

    def test_early_end_is_credited(self):
        self._end("2024-01-15")
        self.assertEqual(self.contract.line_ids.overbilled_from, self._date("2024-01-16"))
        run = self._propose()
        self.assertEqual(self._get_periods(run), ["2024-01-16/2024-01-31"])
        self.assertAmounts(run, [-51.61])
        self.assertEqual(run.line_ids.corrects_id, self.earlier)
        self.assertEqual(self.earlier.superseded_by_id, run.line_ids)
        self.assertFalse(run.line_ids.is_claimed)
        self.assertEqual(self._get_claim(), (True, "2024-01-01", "2024-01-15"))
        self.assertIn(self.first.document_ids.move_id.name, run.line_ids.name)
        move = self._make_invoices(run)
        self.assertEqual(move.move_type, "out_refund")
        self.assertEqual(move.amount_total, 51.61)
        self.assertFalse(self.contract.line_ids.overbilled_from)
        self.assertFalse(self.contract.next_invoicing_date)
        self.assertFalse(self._run_all("2024-03-01").document_ids)

    def test_what_is_credited_in_parts_is_the_invoice_coin_for_coin(self):
        # 28.57 less 10 % is 25.713: with 19 % 30.60, but 25.71 comes to 30.59
        tax = self.tax_sale_a.copy({"amount": 19.0, "name": "19 %"})
        price = {"price_unit": 28.57, "discount": 10.0, "tax_ids": [Command.set(tax.ids)]}
        cases = (
            ("round_globally", 30.6, "credit_note", ["02-05", "01-31"]),
            ("round_globally", 30.6, "lines", ["02-24", "02-15", "01-31"]),
            ("round_per_line", 30.59, "lines", ["02-05", "01-31"]),
        )
        for method, total, setting, ends in cases:
            with self.subTest((method, setting, ends)):
                self.company.tax_calculation_rounding_method = method
                self.company.invoice_run_correction = setting
                self.contract = self._make_contract([price], date_start="2024-01-01")
                self.contract.date_end = "2024-02-29"
                credits = self._credit_step_by_step(ends, total)
                self.assertEqual(len(credits), len(ends))
                self.assertAlmostEqual(sum(credits.mapped("amount_untaxed")), 25.71)
                self.assertAlmostEqual(sum(credits.mapped("amount_total")), total)

    def _credit_step_by_step(self, ends, total):
        """Invoice two months; return the credit notes as the end moves to each of ``ends``.

        :param total: of the invoice of February
        """
        documents = self._run_all("2024-02-15").document_ids
        mine = documents.filtered(lambda doc: doc.contract_ids == self.contract)
        self.assertEqual(mine.move_id.mapped("amount_total"), [total, total])
        credits = self.env["account.move"]
        for number, end in enumerate(ends):
            self._end(f"2024-{end}")
            run = self._propose(f"2024-02-{20 + number}")
            self._make_invoices(run)
            mine = run.document_ids.filtered(lambda doc: doc.contract_ids == self.contract)
            self.assertFalse(mine.error)
            credits += mine.move_id
        return credits

    def test_credit_notes_name_what_they_reverse(self):
        move = self.first.document_ids.move_id
        for setting, reference in (("credit_note", False), ("lines", "PO 7")):
            with self.subTest(setting), self.env.cr.savepoint() as savepoint:
                self.company.invoice_run_correction = setting
                self.contract.client_order_ref = reference
                self._end("2024-01-15")
                credit = self._make_invoices(self._propose())
                self.assertEqual(credit.move_type, "out_refund")
                parts = filter(None, [f"Reversal of: {move.name}", reference])
                self.assertEqual(credit.ref, ", ".join(parts))
                savepoint.rollback()

    def test_references_are_in_the_language_of_the_customer(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.debtor.lang = "fr_FR"
        self._end("2024-01-15")
        move = self.first.document_ids.move_id
        wizard = self.env["account.move.reversal"].create(
            {"move_ids": move.ids, "journal_id": move.journal_id.id, "company_id": self.company.id}
        )
        expected = wizard._prepare_default_reversal(move)["ref"]
        self.assertNotIn("Reversal", expected)
        self.assertEqual(self._make_invoices(self._propose()).ref, expected)

    def test_deleted_amounts_restore_the_claim(self):
        self._end("2024-01-15")
        run = self._propose()
        run.action_delete_amounts("not yet")
        self.assertEqual(self._get_claim(), (True, "2024-01-01", "2024-01-31"))
        self.assertFalse(self.earlier.superseded_by_id)
        self.assertAmounts(self._propose(), [-51.61])

    def test_deleted_credit_draft_restores_the_claim(self):
        self.scenario.invoice_state = "draft"
        self._end("2024-01-15")
        self._make_invoices(self._propose()).unlink()
        self.assertEqual(self._get_claim(), (True, "2024-01-01", "2024-01-31"))
        self.assertTrue(self.contract.line_ids.overbilled_from)

    def test_cancelled_credit_comes_back_when_reset(self):
        self._end("2024-01-15")
        credit = self._make_invoices(self._propose())
        credit.button_draft()
        credit.button_cancel()
        self.assertEqual(self._get_claim(), (True, "2024-01-01", "2024-01-31"))
        credit.button_draft()
        self.assertEqual(self._get_claim(), (True, "2024-01-01", "2024-01-15"))

    def test_whole_period_credited(self):
        second = self._run_all("2024-02-15")
        self._end("2024-01-31")
        run = self._propose("2024-03-01")
        self.assertAmounts(run, [-100.0])
        self.assertFalse(second.line_ids.is_claimed)
        run.action_delete_amounts("not yet")
        self.assertTrue(second.line_ids.is_claimed)

    def test_two_corrections_are_undone_in_reverse_order(self):
        self._end("2024-01-20")
        one = self._propose()
        self._make_invoices(one)
        self._end("2024-01-10")
        two = self._propose("2024-02-02")
        self._make_invoices(two)
        self.assertAmounts(two, [-32.26])
        self.assertEqual(self._get_claim(), (True, "2024-01-01", "2024-01-10"))
        with self.assertRaisesRegex(UserError, "Undo that first"):
            one.action_reverse()
        two.action_reverse()
        self.assertEqual(self._get_claim(), (True, "2024-01-01", "2024-01-20"))
        self.assertEqual(self.earlier.superseded_by_id, one.line_ids)

    def test_superseded_invoice_cannot_be_cancelled(self):
        self._end("2024-01-15")
        self._make_invoices(self._propose())
        move = self.first.document_ids.move_id
        move.button_draft()
        self.assertEqual(self._get_claim(), (True, "2024-01-01", "2024-01-15"))
        with self.assertRaisesRegex(UserError, "credited in part"):
            move.button_cancel()

    def test_extended_again_bills_the_credited_days(self):
        self._end("2024-01-15")
        credit = self._make_invoices(self._propose())
        self._end(False)
        run = self._propose()
        self.assertEqual(self._get_periods(run), ["2024-01-16/2024-01-31", "2024-02-01/2024-02-29"])
        self.assertAmounts(run, [51.61, 100.0])
        credit.button_draft()
        with self.assertRaisesRegex(UserError, "invoiced again in the meantime"):
            credit.button_cancel()

    def test_end_moved_before_the_invoice_is_made(self):
        contract = self._make_contract(date_start="2024-03-01")
        run = self._make_amounts(self._make_run("2024-03-05"))
        contract.date_end = "2024-03-10"
        self._make_invoices(run)
        document = run.document_ids.filtered(lambda doc: doc.contract_ids == contract)
        self.assertEqual(document.state, "failed")
        self.assertIn("ends before", document.error)
        document.action_exclude()
        again = self._run_all("2024-03-05")
        self.assertAmounts(again, [32.26])

    def test_contract_put_on_hold_after_the_amounts_is_not_invoiced(self):
        contract = self._make_contract(date_start="2024-03-01")
        run = self._make_amounts(self._make_run("2024-03-05"))
        contract.write({"billing_hold": True, "billing_hold_reason": "dispute"})
        self._make_invoices(run)
        document = run.document_ids.filtered(lambda doc: doc.contract_ids == contract)
        self.assertEqual(document.state, "failed")
        contract.billing_hold = False
        run.action_retry_failed()
        run._process_queue()
        self.assertEqual(document.state, "invoiced")

    def test_price_edited_since_credits_the_price_of_then(self):
        self.contract.line_ids.price_unit = 250.0
        self._end("2024-01-15")
        self.assertAmounts(self._propose(), [-51.61])

    def test_credit_mirrors_taxes_and_analytics(self):
        tax = self.env["account.tax"].create(
            {"name": "21", "amount": 21, "type_tax_use": "sale", "company_id": self.company.id}
        )
        contract = self._make_contract(
            [{"tax_ids": [Command.set(tax.ids)]}], date_start="2024-03-01"
        )
        self._run_all("2024-03-05")
        contract.line_ids.tax_ids = False
        contract.date_end = "2024-03-10"
        run = self._make_amounts(self._make_run("2024-03-20"))
        credit = run.line_ids.filtered(lambda line: line.contract_id == contract)
        self.assertEqual(credit.tax_ids, tax)

    def test_credit_note_of_the_invoice_by_setting(self):
        self.company.invoice_run_correction = "credit_note"
        self._end("2024-01-15")
        move = self._make_invoices(self._propose())
        self.assertEqual(move.reversed_entry_id, self.first.document_ids.move_id)

    def _open(self, date, records, **vals):
        return (
            self.env["billing.contract.change"]
            .with_user(self.user)
            .with_context(active_model=records._name, active_ids=records.ids)
            .create({"date": date, **vals})
        )

    def _change(self, date, records=None, **vals):
        wizard = self._open(date, records or self.contract, **vals)
        wizard.action_apply()
        return wizard

    def test_change_price_inside_a_billed_period(self):
        self._change("2024-01-16", change="price", price_unit=110.0)
        run = self._propose("2024-01-20")
        self.assertAmounts(run, [-51.61, 56.77])
        self.assertEqual(len(run.document_ids), 1)
        self.assertEqual(run.amount_untaxed, 5.16)
        run.action_delete_amounts("not yet")
        new = self.contract.line_ids.filtered("previous_line_id")
        new.action_undo_change()
        self.assertEqual(self.contract.line_ids.date_end, False)
        self.assertEqual(self._get_claim(), (True, "2024-01-01", "2024-01-31"))
        self.assertFalse(self._run_all("2024-01-20").document_ids)

    def test_raise_many_contracts_by_a_percentage(self):
        other = self._make_contract([{"price_unit": 33.33}], date_start="2024-01-01")
        both = self.contract | other
        wizard = self._open("2024-02-01", both, change="percentage", percentage=2.5)
        self.assertEqual(wizard.line_ids.mapped("new_price_unit"), [102.5, 34.16])
        self.assertEqual(wizard.correction_count, 0)
        wizard.action_apply()
        run = self._propose("2024-02-15")
        amounts = sorted(run.line_ids.mapped("amount"))
        self.assertEqual(amounts, [33.33, 34.16, 102.5])

    def test_end_lines_from_date(self):
        self._change("2024-01-11", change="end")
        self.assertAmounts(self._propose(), [-67.74])

    def test_change_after_the_end_is_refused(self):
        self._end("2024-01-31")
        with self.assertRaisesRegex(UserError, "in force"):
            self._change("2024-03-01", change="price", price_unit=1.0)

    def test_change_from_the_first_day_of_a_billed_line_is_refused(self):
        with self.assertRaisesRegex(UserError, "nothing would be left"):
            self._change("2024-01-01", change="end")
