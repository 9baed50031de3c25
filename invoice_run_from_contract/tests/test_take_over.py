"""Take-over and undo: nothing twice, nothing lost."""

from unittest.mock import patch

import psycopg2

from odoo.exceptions import AccessError, LockError, UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import SOURCE, FromContractCommon


@tagged("post_install", "-at_install")
class TestTakeOver(FromContractCommon):
    def test_all_that_belongs_to_it(self):
        contract, term = self._make_complete_contract()
        self._invoice_oca(contract, 1)
        ours = self._take_over(contract)
        self.assertRecordValues(
            ours,
            [
                {
                    "title": "Old contract",
                    "state": "active",
                    "client_order_ref": "PO 7",
                    "partner_id": self.debtor.id,
                    "payment_term_id": term.id,
                    "next_invoicing_date": self._date("2024-02-01"),
                }
            ],
        )
        self.assertRecordValues(
            ours.line_ids,
            [
                {
                    "name": "Note above\nOffice\nNote below",
                    "quantity": 2.0,
                    "discount": 10.0,
                    "price_unit": 100.0,
                    "price_interval": "month",
                    "initial_invoiced_until": self._date("2024-01-31"),
                }
            ],
        )
        self._check_links(contract, ours)

    def _make_complete_contract(self):
        """A contract of the other module with notes, terms and a file; also its payment terms."""
        lines = [
            {
                "name": "Note above",
                "display_type": "line_note",
                "product_id": False,
                "note_invoicing_mode": "with_next_line",
                "quantity": 0,
            },
            {"name": "Office\nfrom #START# to #END#", "quantity": 2, "discount": 10},
            {"name": "Note below", "display_type": "line_note", "product_id": False, "quantity": 0},
        ]
        term = self.env.ref("account.account_payment_term_30days")
        contract = self._make_oca(
            lines=lines, code="PO 7", payment_term_id=term.id, note="Key at the reception"
        )
        self.env["ir.attachment"].create(
            {
                "name": "signed.pdf",
                "raw": b"pdf",
                "res_model": contract._name,
                "res_id": contract.id,
            }
        )
        return contract, term

    def _check_links(self, contract, ours):
        """Each contract leads to the other one; the files are ours, too."""
        attachments = self.env["ir.attachment"].search(
            [("res_model", "=", ours._name), ("res_id", "=", ours.id)]
        )
        self.assertEqual(attachments.mapped("name"), ["signed.pdf"])
        self.assertFalse(contract.active)
        self.assertEqual(ours.takeover_id.res_id, contract.id)
        bodies = "".join(map(str, ours.message_ids.mapped("body")))
        self.assertIn("Taken over from", bodies)
        self.assertIn("Key at the reception", bodies)
        self.assertIn(ours.name, "".join(map(str, contract.message_ids.mapped("body"))))

    def test_somebody_else_is_at_it(self):
        contract = self._make_oca(lines=[{}])
        locked = patch.object(type(contract), "lock_for_update", side_effect=LockError("locked"))
        with locked:
            (result,) = self.env["billing.takeover"].take_over(SOURCE, contract.ids)
        self.assertIn("Old contract is being changed or invoiced just now", result["error"])
        self.assertTrue(contract.active)
        self.assertFalse(result["contract_ids"])

    def test_both_modules_together_invoice_each_day_once(self):
        """Their first two months, then ours by real runs: as if they had gone on."""
        contract = self._make_oca(lines=[{"specific_price": 99.99, "discount": 7}, {}])
        self._invoice_oca(contract, 2)
        pairs = self._get_report(contract, count=6)["invoices"]
        ours = self._take_over(contract)
        totals = []
        for month in range(3, 9):
            run = self._run_all(f"2024-{month:02}-01")
            totals += run.document_ids.move_id.mapped("amount_total")
            self.assertEqual(run.document_ids.contract_ids, ours)
        self.assertEqual(totals, [pair["theirs"]["total"] for pair in pairs])
        # twice the same month is nothing
        self.assertFalse(self._run_all("2024-08-20").line_ids)

    def test_the_old_contract_invoices_no_more(self):
        contract = self._make_oca()
        self._take_over(contract)
        before = self.env["account.move"].search_count([])
        self.env["contract.contract"]._cron_recurring_create("2025-12-31")
        self.assertFalse(contract._recurring_create_invoice("2025-12-31"))
        # also where somebody restored it
        contract.active = True
        self.env["contract.contract"]._cron_recurring_create("2025-12-31")
        self.assertFalse(contract._recurring_create_invoice("2025-12-31"))
        self.assertEqual(self.env["account.move"].search_count([]), before)

    def test_twice(self):
        contract = self._make_oca()
        self._take_over(contract)
        (result,) = self.Takeover.take_over(SOURCE, contract.ids, accept=True)
        self.assertIn("taken over already", result["error"])
        taken = self.env["billing.takeover"].search([("res_id", "=", contract.id)])
        with mute_logger("odoo.sql_db"), self.assertRaises(psycopg2.errors.UniqueViolation):
            taken.sudo().copy()

    def test_one_bad_contract_stops_no_other(self):
        good, bad = self._make_oca(), self._make_oca("daily", 1)
        results = self.Takeover.take_over(SOURCE, (bad | good).ids)
        self.assertEqual([bool(result["error"]) for result in results], [True, False])
        self.assertTrue(bad.active)
        self.assertFalse(good.active)

    def test_what_must_be_accepted(self):
        contract = self._make_oca()
        moves = self._invoice_oca(contract, 3)
        moves[1].button_cancel()
        (result,) = self.Takeover.take_over(SOURCE, contract.ids)
        self.assertIn("exactly once", result["error"])
        self.assertTrue(contract.active)
        self._take_over(contract, accept=True)

    def test_undo(self):
        contract = self._make_oca()
        self._invoice_oca(contract, 1)
        planned = contract.recurring_next_date
        ours = self._take_over(contract)
        takeover = ours.takeover_id.with_user(self.mover)
        with self.assertRaises(AccessError):
            takeover.with_user(self.user).action_undo()
        takeover.action_undo()
        self.assertFalse(ours.exists())
        self.assertTrue(contract.active)
        self.assertEqual(contract.recurring_next_date, planned)
        move = contract._recurring_create_invoice()
        self.assertEqual(str(move.invoice_date), "2024-02-01")
        # again, after it went on there
        again = self._take_over(contract)
        self.assertEqual(str(again.next_invoicing_date), "2024-03-01")

    def test_no_undo_after_amounts(self):
        contract = self._make_oca()
        ours = self._take_over(contract)
        run = self._make_run("2024-01-01")
        self._make_amounts(run)
        takeover = ours.takeover_id.with_user(self.mover)
        with self.assertRaises(UserError):
            takeover.action_undo()
        run.with_user(self.user).action_delete_amounts("wrong")
        takeover.action_undo()
        self.assertTrue(contract.active)

    def test_nobody_writes_it(self):
        takeover = self._take_over(self._make_oca()).takeover_id
        with self.assertRaises(AccessError):
            takeover.with_user(self.mover).write({"is_undone": True})
        with self.assertRaises(AccessError):
            takeover.contract_ids.with_user(self.mover).write({"takeover_id": False})

    def test_wizard(self):
        contracts = self._make_oca() | self._make_oca("daily", 3)
        action = contracts.with_user(self.mover).action_take_over()
        wizard = self.env["billing.takeover.wizard"].with_user(self.mover).browse(action["res_id"])
        self.assertEqual(wizard.row_ids.mapped("verdict"), ["ready", "stop"])
        self.assertIn("100.00", wizard.row_ids[0].comparison)
        wizard.row_ids[0].line_ids.invoiced_until = "2024-03-31"
        wizard.row_ids[0].action_check()
        self.assertEqual(str(wizard.row_ids[0].line_ids.next_from), "2024-04-01")
        wizard.action_take_over()
        self.assertEqual(wizard.row_ids.mapped("verdict"), ["done", "failed"])
        ours = self.env["billing.contract"].search([("takeover_id.res_id", "=", contracts[0].id)])
        self.assertEqual(str(ours.next_invoicing_date), "2024-04-01")
