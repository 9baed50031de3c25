from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestSelectDocuments(InvoiceRunCommon):
    """Invoices of the selected documents only; drafts that are confirmed later."""

    def setUp(self):
        super().setUp()
        names = ("Anna", "Bert", "Carl")
        self.contracts = self.env["billing.contract"].union(
            *(
                self._make_contract(date_start="2024-01-01", partner_id=self._make_partner(name).id)
                for name in names
            )
        )
        self.run = self._make_amounts(self._make_run("2024-01-15"))
        self.anna, self.bert, self.carl = self.run.document_ids.sorted("sequence")

    def _approve(self):
        self.run.with_user(self.reviewer).action_approve()

    def _generate(self, documents):
        documents.with_user(self.user).action_generate_invoices()

    def test_selected_only_then_the_rest(self):
        self._approve()
        self._generate(self.anna | self.carl)
        self.run._process_queue()
        self.assertEqual(self.run.document_ids.mapped("state"), ["invoiced", "to_do", "invoiced"])
        self.assertEqual(self.run.state, "approved")
        self.assertLess(self.anna.move_id.name, self.carl.move_id.name)
        self.run.with_user(self.user).action_generate_invoices()
        self.run._process_queue()
        self.assertEqual(self.run.state, "invoiced")
        self.assertLess(self.carl.move_id.name, self.bert.move_id.name)
        self.assertEqual(self.run.invoice_count, 3)

    def test_twice_makes_one_invoice(self):
        self._approve()
        self._generate(self.bert)
        self._generate(self.bert)
        self.run._process_queue()
        self._generate(self.bert)
        self.run._process_queue()
        self.assertEqual(self.run.invoice_ids, self.bert.move_id)
        self.assertEqual(self.run.job, "none")

    def test_added_to_a_selection_that_waits(self):
        self._approve()
        self._generate(self.anna)
        self._generate(self.carl)
        self.run._process_queue()
        self.assertEqual((self.anna | self.carl).mapped("state"), ["invoiced"] * 2)
        self.assertEqual(self.bert.state, "to_do")

    def test_earlier_selection_is_forgotten(self):
        self._approve()
        self._generate(self.anna)
        self.anna.action_exclude()  # withdraws the approval, and with it the work
        self.assertEqual((self.run.state, self.run.job), ("amounts", "none"))
        self.anna.action_include()
        self._approve()
        self._generate(self.carl)
        self.run._process_queue()
        self.assertEqual(self.anna.state, "to_do")
        self.assertEqual(self.carl.state, "invoiced")

    def test_selection_within_all_changes_nothing(self):
        self._approve()
        self.run.with_user(self.user).action_generate_invoices()
        self._generate(self.anna)
        self.run._process_queue()
        self.assertEqual(self.run.invoice_count, 3)

    def test_all_after_a_selection_that_waits(self):
        self._approve()
        self._generate(self.anna)
        self.run.with_user(self.user).action_generate_invoices()
        self.run._process_queue()
        self.assertEqual(self.run.invoice_count, 3)

    def test_not_before_the_approval(self):
        with self.assertRaisesRegex(UserError, "not approved"):
            self._generate(self.anna)
        self.assertEqual(self.run.job, "none")

    def test_not_without_the_right(self):
        self._approve()
        clerk = self._make_user("run_clerk", "base.group_user")
        with self.assertRaises(AccessError):
            self.anna.with_user(clerk).action_generate_invoices()
        other = self.setup_other_company()["company"]
        stranger = self._make_user(
            "run_other", "invoice_run.invoice_run_group_manager", company=other
        )
        for method in ("action_generate_invoices", "action_exclude", "action_include"):
            with self.assertRaises(AccessError, msg=method):
                getattr(self.anna.with_user(stranger), method)()

    def test_excluded_is_nothing_to_invoice(self):
        self.anna.action_exclude()
        self._approve()
        with self.assertRaisesRegex(UserError, "nothing to invoice"):
            self._generate(self.anna)

    def test_failed_one_is_retried_and_nothing_else(self):
        self._approve()
        self.contracts[0].billing_hold = True
        self._generate(self.anna)
        self.run._process_queue()
        self.assertEqual(self.anna.state, "failed")
        self.contracts[0].billing_hold = False
        self.run.with_user(self.user).action_retry_failed()
        self.run._process_queue()
        self.assertEqual(self.anna.state, "invoiced")
        self.assertEqual(self.bert.state, "to_do")

    def test_earlier_period_must_be_selected_too(self):
        run = self._make_amounts(self._make_run("2024-02-15"))
        later = run.document_ids.filtered(lambda document: str(document.date_from) > "2024-01-31")
        self.assertEqual(len(later), 3)
        self.run.action_delete_amounts("all in one run")
        run = self._make_amounts(run)
        run.with_user(self.reviewer).action_approve()
        first, second = run.document_ids.filtered(
            lambda document: document.contract_ids == self.contracts[0]
        )
        with self.assertRaisesRegex(UserError, "earlier period"):
            self._generate(second)
        self._generate(first | second)
        run._process_queue()
        self.assertLess(first.move_id.name, second.move_id.name)
        self.assertEqual(run.invoice_count, 2)

    def test_last_one_excluded_finishes_the_run(self):
        self._approve()
        self._generate(self.anna | self.carl)
        self.run._process_queue()
        self.bert.with_user(self.user).action_exclude()
        self.assertEqual(self.run.state, "invoiced")
        self.bert.with_user(self.user).action_include()
        self.assertEqual(self.run.state, "amounts")
        self._make_invoices(self.run)
        self.assertEqual(self.run.state, "invoiced")
        self.assertEqual(self.run.invoice_count, 3)

    def test_drafts_for_this_run(self):
        self.run.invoice_state = "draft"
        moves = self._make_invoices(self.run)
        self.assertEqual(set(moves.mapped("state")), {"draft"})
        self.assertEqual(self.run.draft_count, 3)
        self.run.with_user(self.user).action_confirm_drafts()
        self.run.with_user(self.user).action_confirm_drafts()
        self.run._process_queue()
        self.assertEqual(set(moves.mapped("state")), {"posted"})
        documents = self.run.document_ids.sorted("sequence")
        names = documents.move_id.mapped("name")
        self.assertEqual(names, sorted(names))
        self.assertFalse(self.run.draft_count)
        with self.assertRaisesRegex(UserError, "no drafts"):
            self.run.with_user(self.user).action_confirm_drafts()

    def test_posted_for_this_run(self):
        self.scenario.invoice_state = "draft"
        self.run.invoice_state = "posted"
        self.assertEqual(set(self._make_invoices(self.run).mapped("state")), {"posted"})

    def test_emptied_draft_is_left_alone(self):
        self.scenario.invoice_state = "draft"
        moves = self._make_invoices(self.run)
        self.bert.move_id.invoice_line_ids.unlink()
        self.assertEqual(self.bert.state, "released")
        self.run.with_user(self.user).action_confirm_drafts()
        self.run._process_queue()
        self.assertEqual(self.bert.move_id.state, "draft")
        self.assertEqual((moves - self.bert.move_id).mapped("state"), ["posted"] * 2)

    def test_draft_in_a_locked_period_says_so(self):
        self.scenario.invoice_state = "draft"
        self._make_invoices(self.run)
        self.company.sale_lock_date = "2024-01-31"
        self.bert.move_id.invoice_date = "2024-02-01"
        self.run.with_user(self.user).action_confirm_drafts()
        self.run._process_queue()
        self.assertEqual(self.bert.move_id.state, "posted")
        self.assertIn("books are closed", self.anna.error)
        self.assertEqual(self.anna.move_id.state, "draft")
        self.company.sale_lock_date = False
        self.run.with_user(self.user).action_confirm_drafts()
        self.run._process_queue()
        self.assertEqual(self.anna.move_id.state, "posted")
        self.assertFalse(self.anna.error)

    def test_draft_that_an_addon_keeps_a_draft_says_so(self):
        self.scenario.invoice_state = "draft"
        self._make_invoices(self.run)
        kept = self.bert.move_id
        Move = self.env.registry["account.move"]
        post = Move._post
        self.patch(Move, "_post", lambda moves, soft=True: post(moves - kept, soft=soft))
        self.run.with_user(self.user).action_confirm_drafts()
        self.run._process_queue()
        self.assertEqual((self.run.job, self.run.draft_count), ("none", 1))
        self.assertIn("left the invoice a draft", self.bert.error)
        self.assertEqual((self.anna | self.carl).move_id.mapped("state"), ["posted"] * 2)

    def test_sending_waits_for_the_confirmation(self):
        self.company.invoice_run_auto_send = True
        self.scenario.write({"invoice_state": "draft", "send_action": "email"})
        self.contracts.partner_id.email = "a@example.com"
        run = self._make_run("2024-02-15")
        self._make_amounts(run)
        self._make_invoices(run)
        self.assertEqual(run.job, "none")
        self.assertEqual(run.pending_count, 3)
        run.with_user(self.user).action_confirm_drafts()
        self.assertTrue(run.sudo()._get_job()._process(run.sudo()))
        self.assertEqual(run.job, "send")


@tagged("post_install", "-at_install")
class TestExcludeLines(InvoiceRunCommon):
    """Single amounts taken out of their document, and put back."""

    def setUp(self):
        super().setUp()
        self.contract = self._make_contract(
            [{}, {"price_unit": 20.0, "name": "Parking"}], date_start="2024-01-01"
        )
        self.run = self._make_amounts(self._make_run("2024-01-15"))
        self.document = self.run.document_ids
        self.rent, self.parking = self.document.line_ids

    def _exclude(self, lines):
        lines.with_user(self.user).action_exclude()

    def _include(self, records):
        records.with_user(self.user).action_include()

    def test_total_without_the_line(self):
        self._exclude(self.parking)
        self.assertEqual(self.document.amount_total, 100.0)
        self.assertFalse(self.parking.is_claimed)
        self.assertEqual(self.parking.document_id.state, "excluded")
        self.assertEqual(self.parking.document_id.amount_total, 20.0)
        self.assertFalse(self.parking.document_id.is_first)
        self.assertEqual(self.run.amount_total, 100.0)
        moves = self._make_invoices(self.run)
        self.assertEqual(moves.amount_total, 100.0)
        self.assertEqual(len(moves.invoice_line_ids), 1)

    def test_excluded_period_stays_billable(self):
        self._exclude(self.parking)
        self._make_invoices(self.run)
        again = self._make_amounts(self._make_run("2024-01-16"))
        self.assertAmounts(again, [20.0])

    def test_twice_changes_nothing(self):
        self._exclude(self.parking)
        self._exclude(self.parking)
        self.assertEqual(len(self.run.document_ids), 2)

    def test_approval_is_withdrawn(self):
        self.run.with_user(self.reviewer).action_approve()
        self._exclude(self.parking)
        self.assertEqual(self.run.state, "amounts")
        self.assertFalse(self.run.approved_by_id)

    def test_last_line_excludes_the_document(self):
        self._exclude(self.rent)
        self._exclude(self.parking)
        self.assertEqual(set(self.run.document_ids.mapped("state")), {"excluded"})
        self.assertEqual(self.run.document_count, 0)
        self.assertFalse(self.run.line_ids.filtered("is_claimed"))

    def test_included_again(self):
        self._exclude(self.parking)
        self._include(self.parking)
        self.assertEqual(self.run.document_ids, self.document)
        self.assertEqual(self.document.line_ids, self.rent | self.parking)
        self.assertEqual(self.document.amount_total, 120.0)
        self.assertTrue(self.parking.is_claimed)

    def test_document_included_again(self):
        self._exclude(self.rent)
        self.document.with_user(self.user).action_exclude()
        self._include(self.run.document_ids)
        self.assertEqual(self.run.amount_total, 120.0)
        self.assertEqual(len(self._make_invoices(self.run)), 1)

    def test_included_after_its_document_was_invoiced(self):
        self._exclude(self.parking)
        self._make_invoices(self.run)
        self._include(self.parking)
        self.assertEqual(self.run.state, "amounts")
        moves = self._make_invoices(self.run)
        self.assertEqual(sorted(moves.mapped("amount_total")), [20.0, 100.0])
        self.assertEqual(self.run.state, "invoiced")

    def test_one_of_two_lines_included_into_its_own_document(self):
        garden = self._make_contract([{}, {}, {}], date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        document = run.document_ids
        self.assertEqual(document.contract_ids, garden)
        first, second, _third = document.line_ids
        self._exclude(first | second)
        self._make_invoices(run)
        self._include(first)
        self.assertNotEqual(first.document_id, second.document_id)
        self.assertEqual(first.document_id.state, "to_do")
        self.assertEqual(second.document_id.state, "excluded")
        self.assertEqual(second.document_id.amount_total, 100.0)

    def test_claimed_meanwhile(self):
        self._exclude(self.parking)
        other = self._make_amounts(self._make_run("2024-01-16"))
        with self.assertRaisesRegex(UserError, f"already claimed by {other.reference}"):
            self._include(self.parking)
        with self.assertRaisesRegex(UserError, f"already claimed by {other.reference}"):
            self._include(self.parking.document_id)
        other.action_delete_amounts("give it back")
        self._include(self.parking)
        self.assertEqual(self.run.amount_total, 120.0)

    def test_changed_while_it_was_excluded(self):
        self._exclude(self.parking)
        self.contract.line_ids[1].price_unit = 30.0
        self._include(self.parking)
        self.assertTrue(self.document.is_stale)

    def test_invoiced_line_is_refused(self):
        self._make_invoices(self.run)
        with self.assertRaisesRegex(UserError, "invoice already"):
            self._exclude(self.parking)

    def test_line_without_the_right(self):
        clerk = self._make_user("run_clerk", "base.group_user")
        for method in ("action_exclude", "action_include"):
            with self.assertRaises(AccessError):
                getattr(self.parking.with_user(clerk), method)()

    def test_usage_line(self):
        usage = self._make_usage(date="2024-01-05", price_unit=7.0, contract_id=self.contract.id)
        run = self._make_amounts(self._make_run("2024-01-16"))
        self.assertEqual(usage.state, "planned")
        self._exclude(run.line_ids)
        self.assertEqual(usage.state, "open")
        self._include(run.line_ids)
        self.assertEqual(usage.state, "planned")

    def test_grouped_document_loses_the_contract(self):
        payer = self._make_partner("Grouped", allow_invoice_grouping=True)
        one = self._make_contract(date_start="2024-01-01", partner_id=payer.id)
        two = self._make_contract(date_start="2024-01-01", partner_id=payer.id)
        run = self._make_amounts(self._make_run("2024-02-15"))
        document = run.document_ids.filtered(lambda document: document.payer_id == payer)
        self.assertEqual(document.contract_ids, one | two)
        lines = document.line_ids.filtered(lambda line: line.contract_id == two)
        self._exclude(lines)
        self.assertEqual(document.contract_ids, one)
        self.assertNotIn(two.name, document.title)
        self.assertEqual(document.amount_total, 200.0)
