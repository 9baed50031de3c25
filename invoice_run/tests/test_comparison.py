from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestComparison(InvoiceRunCommon):
    """Documents against what was invoiced before: like with like."""

    def _propose(self, date, **vals):
        return self._make_amounts(self._make_run(date, **vals)).document_ids

    def assertCompared(self, document, previous, variance=0.0, outlier=False):
        self.assertAlmostEqual(document.previous_amount, previous, 2)
        self.assertAlmostEqual(document.variance, variance, 1)
        self.assertEqual(document.is_outlier, outlier)

    def test_shared_customer_is_compared_within_the_company(self):
        """Usage without contract is compared by customer, whom another company may invoice too."""
        other = self.setup_other_company()["company"]
        scenario = self._make_scenario("Other", source="usage", company_id=other.id)
        product = self._make_product("Usage", 7777.0)
        self.env["billing.usage"].with_company(other).create(
            {
                "partner_id": self.debtor.id,
                "product_id": product.id,
                "company_id": other.id,
                "date": "2024-01-05",
                "price_unit": 7777.0,
            }
        )
        run = self._make_run("2024-01-10", scenario)
        run.action_generate_amounts()
        run._process_queue()
        run.action_approve()
        run.action_generate_invoices()
        run._process_queue()
        self.assertEqual(run.document_ids.state, "invoiced")
        self._make_usage(date="2024-01-07", price_unit=100.0)
        document = self._propose("2024-01-15", scenario=self.usage_scenario)
        self.assertCompared(document, 0.0)
        self.assertTrue(document.is_first)

    def test_several_periods_on_one_invoice(self):
        self.debtor.allow_invoice_grouping = True
        self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        document = self._propose("2024-04-15")
        self.assertEqual(document.amount_total, 300.0)
        self.assertCompared(document, 300.0)
        self._make_invoices(document.run_id)
        self.assertCompared(self._propose("2024-05-15"), 100.0)

    def test_cut_first_period(self):
        self._make_contract(date_start="2024-01-22", period_anchor="calendar")
        first = self._run_all("2024-01-25").document_ids
        self.assertEqual(first.amount_total, 32.26)
        self.assertCompared(self._propose("2024-02-15"), 100.01)

    def test_contract_that_left_a_grouped_invoice(self):
        self.debtor.allow_invoice_grouping = True
        one = self._make_contract(date_start="2024-01-01")
        two = self._make_contract([{"price_unit": 400.0}], date_start="2024-01-01")
        self.assertEqual(self._run_all("2024-01-15").document_ids.amount_total, 500.0)
        two.billing_hold = True
        document = self._propose("2024-02-15")
        self.assertEqual(document.contract_ids, one)
        self.assertCompared(document, 100.0)
        self.assertTrue(document.has_missing_charge)

    def test_grouping_that_ended_misses_nothing(self):
        self.debtor.allow_invoice_grouping = True
        self._make_contract(date_start="2024-01-01")
        self._make_contract([{"price_unit": 400.0}], date_start="2024-01-01")
        self._run_all("2024-01-15")
        self.debtor.allow_invoice_grouping = False
        documents = self._propose("2024-02-15").sorted("amount_total")
        self.assertEqual(documents.mapped("previous_amount"), [100.0, 400.0])
        self.assertFalse(any(documents.mapped("is_flagged")))

    def test_new_contract_on_a_grouped_invoice_is_no_outlier(self):
        self.debtor.allow_invoice_grouping = True
        self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        self._make_contract([{"price_unit": 900.0}], date_start="2024-02-01")
        document = self._propose("2024-02-15")
        self.assertEqual(document.amount_total, 1000.0)
        self.assertFalse(document.is_first)
        self.assertCompared(document, 100.0)

    def test_one_off_charge_is_left_out(self):
        self._make_contract(
            [{}, {"price_interval": "once", "price_unit": 5000.0}], date_start="2024-01-01"
        )
        self._run_all("2024-01-15")
        document = self._propose("2024-02-15")
        self.assertCompared(document, 100.0)
        self.assertFalse(document.has_missing_charge)

    def test_usage_with_the_contract_counts(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        self._make_usage(date="2024-02-03", price_unit=400.0, contract_id=contract.id)
        self.assertCompared(self._propose("2024-02-15"), 100.0, 400.0, outlier=True)

    def test_usage_alone_is_compared_with_usage(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._make_usage(date="2024-01-05", price_unit=10.0, contract_id=contract.id)
        self._run_all("2024-01-15")
        self._make_usage(date="2024-01-20", price_unit=11.0, contract_id=contract.id)
        document = self._propose("2024-01-31", scenario=self.usage_scenario)
        self.assertCompared(document, 10.0, 10.0)

    def test_credit_note_is_not_compared(self):
        self.company.invoice_run_correction = "credit_note"
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-02-15")
        contract.date_end = "2024-02-10"
        document = self._propose("2024-02-20")
        self.assertLess(document.amount_total, 0)
        self.assertCompared(document, 0.0)
        self.assertFalse(document.is_first or document.is_flagged)

    def test_credit_on_the_invoice_is_left_out(self):
        contract = self._make_contract([{}, {"price_unit": 90.0}], date_start="2024-01-01")
        self._run_all("2024-02-15")
        contract.line_ids[1].date_end = "2024-01-31"
        document = self._propose("2024-03-15")
        self.assertEqual(document.amount_total, 10.0)
        self.assertCompared(document, 190.0, -47.4)
        self.assertFalse(document.has_missing_charge)

    def test_reversed_invoice_is_no_previous_one(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        contract.line_ids.price_unit = 900.0
        february = self._run_all("2024-02-15")
        february.document_ids.action_accept()
        wizard = (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=february.invoice_ids.ids)
            .create({"journal_id": february.invoice_ids.journal_id.id})
        )
        wizard.refund_moves()
        wizard.new_move_ids._post(soft=False)
        self.assertEqual(february.invoice_ids.payment_state, "reversed")
        self.assertCompared(self._propose("2024-03-15"), 100.0, 800.0, outlier=True)

    def test_reversed_to_bill_again_is_no_previous_one(self):
        self._make_contract(date_start="2024-01-01")
        run = self._run_all("2024-01-15")
        run.action_reverse()
        self.assertTrue(self._propose("2024-01-16").is_first)

    def test_other_currency_is_converted(self):
        other = self.setup_other_currency("EUR", rates=[("2024-01-01", 3.0), ("2024-02-01", 2.0)])
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-15")
        contract.currency_id = other
        document = self._propose("2024-02-15")
        self.assertCompared(document, 200.0, -50.0)
        self.assertFalse(document.is_first)
        contract.line_ids.price_unit = 600.0
        run = self._make_amounts(document.run_id)
        self.assertCompared(run.document_ids, 200.0, 200.0, outlier=True)
        self._make_invoices(run)
        contract.currency_id = self.company.currency_id
        self.assertCompared(self._propose("2024-03-15"), 300.0, 100.0)

    def test_currency_without_rate_is_looked_at(self):
        other = self.setup_other_currency("EUR", rates=[("2024-01-01", 2.0)])
        contract = self._make_contract(date_start="2024-01-01", currency_id=other.id)
        self._run_all("2024-01-15")
        contract.currency_id = self.company.currency_id
        other.rate_ids.unlink()
        document = self._propose("2024-02-15")
        self.assertCompared(document, 0.0, outlier=True)
        self.assertFalse(document.is_first)

    def test_weekly_contract(self):
        self._make_contract(
            [{"price_interval": "week"}], date_start="2024-01-01", period_unit="week"
        )
        self._run_all("2024-01-03")
        documents = self._propose("2024-01-17")
        self.assertEqual(documents.mapped("previous_amount"), [100.0, 100.0])


@tagged("post_install", "-at_install")
class TestLimits(InvoiceRunCommon):
    """What is too small waits for more, what is too large for a reviewer."""

    def setUp(self):
        super().setUp()
        self.company.write({"invoice_run_min_amount": 10.0, "invoice_run_max_amount": 1000.0})
        self.small = self._make_contract([{"price_unit": 4.0}], date_start="2024-01-01")

    def _propose(self, date, **vals):
        return self._make_amounts(self._make_run(date, **vals))

    def _get_document(self, run, contract):
        return run.document_ids.filtered(lambda document: contract in document.contract_ids)

    def test_small_amounts_wait_until_they_are_enough(self):
        for month in ("2024-01-15", "2024-02-15"):
            run = self._propose(month)
            self.assertEqual(set(run.document_ids.mapped("state")), {"held"}, month)
            self.assertFalse(run.line_ids.filtered("is_claimed"))
            self.assertEqual(run.document_count, 0)
        run = self._propose("2024-03-15")
        self.assertEqual(run.document_ids.amount_total, 12.0)
        self.assertEqual(self._get_periods(run)[0], "2024-01-01/2024-01-31")
        moves = self._make_invoices(run)
        self.assertEqual(moves.amount_total, 12.0)
        self.assertEqual(self._propose("2024-03-16").document_count, 0)

    def test_last_invoice_is_not_held(self):
        self.small.date_end = "2024-01-31"
        self.assertEqual(self._propose("2024-01-15").document_ids.state, "to_do")

    def test_small_one_invoiced_all_the_same(self):
        run = self._propose("2024-01-15")
        self.assertIn("Below the minimum", run.document_ids.hold_reason)
        run.document_ids.with_user(self.user).action_include()
        self.assertFalse(run.document_ids.hold_reason)
        self.assertEqual(self._make_invoices(run).amount_total, 4.0)

    def test_usage_waits(self):
        usage = self._make_usage(date="2024-01-03", price_unit=3.0)
        run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        self.assertEqual(run.document_ids.state, "held")
        self.assertEqual(usage.state, "open")

    def test_credit_is_not_held(self):
        self.company.invoice_run_min_amount = 0
        self._run_all("2024-02-15")
        self.company.invoice_run_min_amount = 10.0
        self.small.date_end = "2024-02-10"
        run = self._propose("2024-02-20")
        self.assertEqual(run.document_ids.state, "to_do")

    def test_automatic_approval_goes_past_small_ones(self):
        self.company.invoice_run_auto_approve = True
        self._make_contract(date_start="2024-01-01")
        self.assertEqual(self._propose("2024-01-15").state, "approved")

    def test_no_limits(self):
        self.company.write({"invoice_run_min_amount": 0, "invoice_run_max_amount": 0})
        big = self._make_contract([{"price_unit": 5000.0}], date_start="2024-01-01")
        run = self._propose("2024-01-15")
        self.assertEqual(set(run.document_ids.mapped("state")), {"to_do"})
        self.assertFalse(self._get_document(run, big).is_flagged)

    def test_large_one_waits_for_a_reviewer(self):
        big = self._make_contract([{"price_unit": 5000.0}], date_start="2024-01-01")
        usual = self._make_contract(date_start="2024-01-01")
        run = self._propose("2024-01-15")
        document = self._get_document(run, big)
        self.assertEqual(run.flagged_count, 1)
        self.assertIn("Above the maximum", document.hold_reason)
        self._make_invoices(run)
        self.assertEqual(document.state, "to_do")
        self.assertEqual(self._get_document(run, usual).state, "invoiced")
        self.assertEqual(run.state, "approved")
        with self.assertRaisesRegex(UserError, "wait for a reviewer"):
            document.with_user(self.user).action_generate_invoices()
        with self.assertRaisesRegex(AccessError, "reviewers"):
            document.with_user(self.user).action_accept()
        document.with_user(self.reviewer).action_accept()
        document.with_user(self.user).action_generate_invoices()
        run._process_queue()
        self.assertEqual(document.state, "invoiced")
        self.assertEqual(run.state, "invoiced")

    def test_accepted_goes_on_where_invoices_are_automatic(self):
        self.company.invoice_run_auto_invoices = True
        big = self._make_contract([{"price_unit": 5000.0}], date_start="2024-01-01")
        run = self._propose("2024-01-15")
        run.with_user(self.reviewer).action_approve()
        run._process_queue()
        self._get_document(run, big).with_user(self.reviewer).action_accept()
        self.assertEqual(run.job, "invoices")
        run._process_queue()
        self.assertEqual(run.state, "invoiced")

    def test_large_credit_note_waits_too(self):
        big = self._make_contract([{"price_unit": 5000.0}], date_start="2024-01-01")
        self.company.invoice_run_max_amount = 0
        self._run_all("2024-02-15")
        self.company.invoice_run_max_amount = 1000.0
        big.date_end = "2024-01-31"
        document = self._get_document(self._propose("2024-02-20"), big)
        self.assertEqual(document.amount_total, -5000.0)
        self.assertTrue(document.is_above_max)

    def test_excluding_a_line_lifts_the_limit(self):
        big = self._make_contract([{"price_unit": 5000.0}, {}], date_start="2024-01-01")
        run = self._propose("2024-01-15")
        document = self._get_document(run, big)
        document.line_ids.filtered(lambda line: line.amount > 1000).action_exclude()
        self.assertFalse(document.is_above_max)
        self.assertEqual(document.amount_total, 100.0)

    def test_renewing_makes_the_held_ones_again(self):
        run = self._propose("2024-01-15")
        self.small.line_ids.price_unit = 11.0
        run.action_renew_stale()
        run._process_queue()
        self.assertEqual(run.document_ids.mapped("amount_total"), [11.0])
        self.assertEqual(run.document_ids.state, "to_do")
