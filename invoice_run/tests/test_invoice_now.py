"""Invoice Now: one dialog, the same claims, approval and sending as any run."""

from freezegun import freeze_time

from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
@freeze_time("2024-03-15")
class TestInvoiceNow(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contract = cls._make_contract(date_start="2024-03-01", title="Apartment 2B")

    def _open(self, records=None, user=None):
        """Open the dialog as ``user``; by default a reviewer, who may approve."""
        records = self.contract if records is None else records
        action = records.with_user(user or self.reviewer).action_invoice_now()
        self.assertEqual((action["res_model"], action["target"]), ("billing.invoice.now", "new"))
        return (
            self.env[action["res_model"]].with_user(user or self.reviewer).browse(action["res_id"])
        )

    def _count(self):
        names = ("invoice.run", "invoice.run.schedule", "invoice.run.line", "account.move")
        return [self.env[name].search_count([]) for name in names]

    def _get_moves(self):
        return self.contract.run_line_ids.document_id.move_id

    def test_shows_what_is_due_and_leaves_nothing_behind(self):
        before = self._count()
        dialog = self._open()
        self.assertIn("Apartment 2B – March 2024", dialog.preview)
        self.assertIn("03/01/2024 – 03/31/2024", dialog.preview)
        self.assertIn("100.00", dialog.preview)
        self.assertTrue(dialog.is_due)
        self.assertFalse(dialog.is_approval_needed)
        self.assertEqual(self._count(), before)
        self.assertFalse(self.contract.invoiced_until)

    def test_no_number_is_used_up(self):
        first = self._make_run("2024-03-15")
        self._open()
        numbers = [int(run.reference[4:]) for run in (first, self._make_run("2024-03-15"))]
        self.assertEqual(numbers[1], numbers[0] + 1)

    def test_create_and_send(self):
        dialog = self._open()
        dialog.action_create_and_send()
        move = self._get_moves()
        self.assertEqual(move.state, "posted")
        self.assertEqual(move.amount_total, 100.0)
        self.assertEqual(move.billing_title, "Apartment 2B – March 2024")
        document = move.invoice_run_document_id
        self.assertEqual(document.send_action, "email")
        self.assertIn(document.send_state, ("pending", "sent"))
        self.assertTrue(document.send_message_id)

    def test_twice_creates_one_invoice(self):
        dialog, other = self._open(), self._open()
        dialog.action_create()
        other.action_create()
        self.assertEqual(len(self._get_moves()), 1)
        self.assertIn("has changed", other.notice)
        self.assertFalse(other.is_due)
        self.assertFalse(self.env["invoice.run"].search([("state", "in", ("amounts", "approved"))]))

    def test_create_sends_nothing(self):
        self._open().action_create()
        document = self._get_moves().invoice_run_document_id
        self.assertEqual(document.send_state, "pending")
        self.assertFalse(document.send_message_id)

    def test_what_changed_is_shown_again(self):
        dialog = self._open()
        self.contract.line_ids.price_unit = 110.0
        dialog.action_create()
        self.assertFalse(self._get_moves())
        self.assertIn("has changed", dialog.notice)
        self.assertIn("110.00", dialog.preview)
        dialog.action_create()
        self.assertEqual(self._get_moves().amount_total, 110.0)

    def test_another_day_is_shown_first(self):
        dialog = self._open()
        dialog.invoice_date = "2024-04-01"
        self.assertTrue(dialog.is_outdated)
        dialog.action_create()
        self.assertFalse(self._get_moves())
        self.assertIn("April 2024", dialog.preview)
        dialog.action_create()
        self.assertEqual(len(self._get_moves()), 2)

    def test_nothing_due_says_when_the_next_is(self):
        self._open().action_create()
        dialog = self._open()
        self.assertFalse(dialog.is_due)
        self.assertIn("Nothing is due on 03/15/2024", dialog.preview)
        self.assertIn("next invoice is due on 04/01/2024", dialog.preview)

    def test_nothing_due_says_why(self):
        self.contract.write({"billing_hold": True, "billing_hold_reason": "quarrel"})
        self.assertIn("quarrel", self._open().preview)
        self.contract.billing_hold = False
        self._make_amounts(self._make_run("2024-03-15", name="Other"))
        self.assertIn("IVR-", self._open().preview)

    def test_second_person_is_not_bypassed(self):
        dialog = self._open(user=self.user)
        self.assertTrue(dialog.is_approval_needed)
        with self.assertRaisesRegex(UserError, "choose the reviewer"):
            dialog.action_create_and_send()

    def test_submitted_goes_on_after_the_approval(self):
        dialog = self._open(user=self.user)
        dialog.reviewer_id = self.reviewer
        dialog.action_create_and_send()
        self.assertFalse(self._get_moves())
        run = self.contract.run_line_ids.run_id
        self.assertEqual((run.state, run.activity_ids.user_id), ("amounts", self.reviewer))
        run.with_user(self.reviewer).action_approve()
        run._process_queue()
        self.assertEqual(self._get_moves().state, "posted")

    def test_four_eyes(self):
        self.company.invoice_run_four_eyes = True
        dialog = self._open()
        self.assertTrue(dialog.is_approval_needed)
        dialog.reviewer_id = self.manager
        dialog.action_create_and_send()
        self.assertFalse(self._get_moves())
        run = self.contract.run_line_ids.run_id
        with self.assertRaisesRegex(UserError, "Four-eyes"):
            run.with_user(self.reviewer).action_approve()

    def test_nobody_sends_without_a_way(self):
        dialog = self._open()
        dialog.send_by = "none"
        dialog.action_refresh()
        with self.assertRaisesRegex(UserError, "Send By"):
            dialog.action_create_and_send()

    def test_whoever_has_no_address_is_told_of(self):
        self.debtor.email = False
        self.assertIn("no address", self._open().preview)

    def test_customer(self):
        other = self._make_contract(date_start="2024-03-01", title="Garage")
        dialog = self._open(self.debtor)
        self.assertIn("Garage", dialog.preview)
        dialog.action_create()
        self.assertEqual(len((self.contract | other).run_line_ids.document_id.move_id), 2)

    def test_order(self):
        # sudo: an order of somebody in Sales
        order = (
            self.env["sale.order"]
            .sudo()
            .create(
                {
                    "partner_id": self.debtor.id,
                    "company_id": self.company.id,
                    "order_line": [
                        (
                            0,
                            0,
                            {
                                "product_id": self.product.id,
                                "product_uom_qty": 2,
                                "price_unit": 7.0,
                            },
                        )
                    ],
                }
            )
        )
        self.product.invoice_policy = "order"
        order.action_confirm()
        dialog = self._open(order.sudo(False))
        self.assertIn("14.00", dialog.preview)
        dialog.action_create()
        self.assertEqual(order.invoice_ids.amount_total, 14.0)
        self.assertEqual(order.invoice_ids.billing_title, order.name)

    def test_records_of_others_are_refused(self):
        stranger = self._make_user(
            "now_stranger",
            "invoice_run.invoice_run_group_user",
            company=self.setup_other_company()["company"],
        )
        Dialog = self.env["billing.invoice.now"].with_user(stranger)
        vals = {
            "scenario_id": self.env["billing.scenario"].with_user(stranger).search([], limit=1).id,
            "source": "contract",
            "record_ids": self.contract.ids,
        }
        with self.assertRaises(AccessError):
            Dialog.create(vals)

    def test_shown_content_cannot_be_forged(self):
        dialog = self._open()
        for name in ("shown", "record_ids", "is_approval_needed", "preview"):
            with self.subTest(name), self.assertRaises(AccessError):
                dialog.write({name: False})
