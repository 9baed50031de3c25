from datetime import timedelta

from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestReview(InvoiceRunCommon):
    """What a reviewer sees before approving, and what stops an approval."""

    def setUp(self):
        super().setUp()
        self.contract = self._make_contract([{}, {"price_unit": 20.0}], date_start="2024-01-01")

    def _propose(self, date="2024-02-15"):
        return self._make_amounts(self._make_run(date))

    def test_first_invoice(self):
        document = self._propose("2024-01-15").document_ids
        self.assertTrue(document.is_first)
        self.assertFalse(document.is_flagged)

    def test_comparison_with_the_previous_invoice(self):
        self._run_all("2024-01-15")
        document = self._propose().document_ids
        self.assertFalse(document.is_first)
        self.assertEqual(document.previous_amount, 120.0)
        self.assertEqual(document.variance, 0.0)
        self.assertFalse(document.is_flagged)

    def test_unusual_amount(self):
        self._run_all("2024-01-15")
        self.contract.line_ids[0].price_unit = 281.0
        run = self._propose()
        self.assertTrue(run.document_ids.is_outlier)
        self.assertAlmostEqual(run.document_ids.variance, 150.83, 2)
        self.assertEqual(run.flagged_count, 1)
        with self.assertRaisesRegex(AccessError, "Only reviewers"):
            run.document_ids.with_user(self.user).action_accept()
        run.document_ids.with_user(self.reviewer).action_accept()
        self.assertEqual(run.flagged_count, 0)

    def test_within_the_factor_is_usual(self):
        self._run_all("2024-01-15")
        self.contract.line_ids[0].price_unit = 280.0
        self.assertFalse(self._propose().document_ids.is_outlier)

    def test_missing_charge(self):
        self._run_all("2024-01-15")
        self.contract.line_ids[1].initial_invoiced_until = "2024-12-31"
        self.assertTrue(self._propose().document_ids.has_missing_charge)

    def test_ended_charge_is_not_missing(self):
        self._run_all("2024-01-15")
        self.contract.line_ids[1].date_end = "2024-01-31"
        self.assertFalse(self._propose().document_ids.has_missing_charge)

    def test_usage_is_compared_by_customer(self):
        self._make_usage(date="2024-01-05", price_unit=10.0)
        self._run_all("2024-01-31", self.usage_scenario)
        self._make_usage(date="2024-02-05", price_unit=30.0)
        run = self._make_amounts(self._make_run("2024-02-29", self.usage_scenario))
        self.assertEqual(run.document_ids.previous_amount, 10.0)
        self.assertTrue(run.document_ids.is_outlier)

    def test_automatic_approval_stops_at_flags(self):
        self.company.invoice_run_auto_approve = True
        run = self._propose("2024-01-15")
        self.assertEqual(run.state, "approved")
        run.action_generate_invoices()
        run._process_queue()
        self.contract.line_ids[0].price_unit = 500.0
        self.assertEqual(self._propose().state, "amounts")

    def test_automatic_approval_stops_at_exceptions(self):
        self.company.invoice_run_auto_approve = True
        self._make_contract(date_start="2024-01-01", billing_hold=True)
        self.assertEqual(self._propose("2024-01-15").state, "amounts")

    def test_rejection_needs_a_reason_and_a_reviewer(self):
        run = self._propose("2024-01-15")
        run.user_id = self.user
        with self.assertRaisesRegex(AccessError, "reviewer"):
            run.with_user(self.user).action_reject("too much")
        run.with_user(self.reviewer).action_approve()
        with self.assertRaisesRegex(UserError, "Enter the reason"):
            run.with_user(self.reviewer).action_reject("")
        run.with_user(self.reviewer).action_reject("too much")
        self.assertEqual(run.state, "amounts")
        self.assertFalse(run.approved_by_id)
        self.assertIn("too much", run.activity_ids.summary)
        self.assertEqual(run.activity_ids.user_id, self.user)

    def test_reviewer_gets_an_activity(self):
        run = self._make_run("2024-01-15", reviewer_id=self.reviewer.id)
        self._make_amounts(run)
        self.assertEqual(run.activity_ids.user_id, self.reviewer)
        run.with_user(self.reviewer).action_approve()
        self.assertFalse(run.activity_ids)

    def test_abandoned_ad_hoc_run_releases(self):
        run = self._propose("2024-01-15")
        with freeze_time(fields.Datetime.now() + timedelta(days=6)):
            self.env["invoice.run"]._cron_process_runs()
            self.assertTrue(run.document_ids)
        with freeze_time(fields.Datetime.now() + timedelta(days=8)):
            self.env["invoice.run"]._cron_process_runs()
        self.assertFalse(run.document_ids)
        self.assertEqual(run.state, "submitted")
        self.assertEqual(self.contract.next_invoicing_date, self._date("2024-01-01"))
        self.assertIn("released", run.activity_ids.summary)

    def test_abandoned_is_not_approved(self):
        run = self._propose("2024-01-15")
        run.with_user(self.reviewer).action_approve()
        with freeze_time(fields.Datetime.now() + timedelta(days=30)):
            self.env["invoice.run"]._cron_process_runs()
        self.assertTrue(run.document_ids)


@tagged("post_install", "-at_install")
class TestStale(InvoiceRunCommon):
    """Amounts whose contract, customer or item changed are refused until recalculated."""

    def setUp(self):
        super().setUp()
        self.other = self._make_partner("Other")
        self.contract = self._make_contract(date_start="2024-01-01")
        self.steady = self._make_contract(date_start="2024-01-01", partner_id=self.other.id)
        self.run = self._make_amounts(self._make_run("2024-01-15"))

    def _get_document(self, contract):
        return self.run.document_ids.filtered(lambda doc: contract in doc.contract_ids)

    def test_changed_price_is_refused_and_renewed(self):
        self.contract.line_ids.price_unit = 130.0
        self.assertEqual(self.run.stale_count, 1)
        steady = self._get_document(self.steady)
        self._make_invoices(self.run)
        self.assertEqual(self._get_document(self.contract).state, "failed")
        self.assertIn("changed after", self._get_document(self.contract).error)
        self.assertEqual(steady.state, "invoiced")
        self.run.action_renew_stale()
        self.run._process_queue()
        self.assertEqual(self.run.state, "amounts")
        self.assertEqual(self.run.stale_count, 0)
        self._make_invoices(self.run)
        self.assertEqual(self.run.state, "invoiced")
        self.assertEqual(sorted(self.run.invoice_ids.mapped("amount_total")), [100.0, 130.0])

    def test_renewing_leaves_the_others_alone(self):
        steady = self._get_document(self.steady)
        self.contract.line_ids.price_unit = 130.0
        self.run.action_renew_stale()
        self.run._process_queue()
        self.assertTrue(steady.exists())
        self.assertEqual(self._get_document(self.contract).amount_total, 130.0)

    def test_changed_customer_is_stale(self):
        self.debtor.country_id = self.env.ref("base.be")
        self.assertTrue(self._get_document(self.contract).is_stale)
        self.assertFalse(self._get_document(self.steady).is_stale)

    def test_changed_phone_number_is_not(self):
        self.debtor.phone = "0123"
        self.assertFalse(self.run.stale_count)

    def test_changed_usage_is_stale(self):
        usage = self._make_usage(date="2024-01-03")
        run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        usage.quantity = 3
        self.assertTrue(run.document_ids.is_stale)

    def test_invoiced_amounts_do_not_become_stale(self):
        self._make_invoices(self.run)
        self.contract.line_ids.price_unit = 130.0
        self.assertFalse(self.run.stale_count)

    def _assertMarks(self, change):
        self.assertFalse(self.run.stale_count)
        change()
        self.assertTrue(self._get_document(self.contract).is_stale)
        self.assertFalse(self._get_document(self.steady).is_stale)

    def test_contract_fields(self):
        term = self.env.ref("account.account_payment_term_30days")
        self._assertMarks(lambda: self.contract.write({"payment_term_id": term.id}))

    def test_partner_fields(self):
        term = self.env.ref("account.account_payment_term_30days")
        position = self.env["account.fiscal.position"].create(
            {"name": "Abroad", "company_id": self.company.id}
        )
        self.env["res.lang"]._activate_lang("fr_FR")
        changes = {
            "property_payment_term_id": term.id,
            "property_account_position_id": position.id,
            "lang": "fr_FR",
            "name": "Debtor & Sons",
            "allow_invoice_grouping": True,
            "zip": "1000",
        }
        for name, value in changes.items():
            with self.subTest(name), self.env.cr.savepoint() as savepoint:
                self._assertMarks(lambda name=name, value=value: self.debtor.write({name: value}))
                savepoint.rollback()
                self.env.invalidate_all(flush=False)

    def test_payer_of_another_address_is_watched(self):
        agent = self._make_partner("Agent")
        contract = self._make_contract(
            date_start="2024-01-01", partner_id=self.debtor.id, partner_invoice_id=agent.id
        )
        run = self._make_amounts(self._make_run("2024-01-16"))
        document = run.document_ids
        self.assertEqual((document.contract_ids, document.partner_id), (contract, agent))
        self.debtor.allow_invoice_grouping = True
        self.assertTrue(document.is_stale)

    def test_setting_of_another_company_marks_nothing(self):
        other = self.setup_other_company()["company"]  # maps the taxes of all products anew
        self._make_amounts(self.run)
        self.debtor.with_company(other).allow_invoice_grouping = True
        self.assertFalse(self.run.stale_count)

    def test_new_invoice_address(self):
        self._assertMarks(
            lambda: self.env["res.partner"].create(
                {"name": "Accounts", "type": "invoice", "parent_id": self.debtor.id}
            )
        )

    def test_new_contact_person_marks_nothing(self):
        self.env["res.partner"].create({"name": "Jo", "parent_id": self.debtor.id})
        self.assertFalse(self.run.stale_count)

    def test_added_price_line(self):
        vals = {"product_id": self.product.id, "contract_id": self.contract.id, "price_unit": 5.0}
        self._assertMarks(lambda: self.env["billing.contract.line"].create(vals))
        self.run.action_renew_stale()
        self.run._process_queue()
        self.assertEqual(self._get_document(self.contract).amount_total, 105.0)

    def test_later_price_line_marks_nothing(self):
        vals = {"product_id": self.product.id, "contract_id": self.contract.id}
        self.env["billing.contract.line"].create({**vals, "date_start": "2024-03-01"})
        self.assertFalse(self.run.stale_count)

    def _use_tax(self):
        self.run.action_delete_amounts("with tax")
        product = self._make_product("Taxed", 100.0)
        tax = self.env["account.tax"].create(
            {"name": "7 %", "amount": 7.0, "company_id": self.company.id}
        )
        product.taxes_id = tax
        self.contract.line_ids.product_id = product
        self._make_amounts(self.run)
        self.assertEqual(self._get_document(self.contract).amount_total, 107.0)
        return product, tax

    def test_taxes_of_a_product(self):
        product, _tax = self._use_tax()
        self._assertMarks(lambda: product.write({"taxes_id": [(5,)]}))

    def test_rate_of_a_tax(self):
        _product, tax = self._use_tax()
        self._assertMarks(lambda: tax.write({"amount": 8.0}))

    def test_name_of_a_tax_marks_nothing(self):
        _product, tax = self._use_tax()
        tax.name = "Seven"
        self.assertFalse(self.run.stale_count)

    def _renew_beside_an_invoice(self):
        """Recalculate a customer; return another contract of theirs, which is invoiced."""
        second = self._make_contract(date_start="2024-01-01")
        self._make_amounts(self.run)
        self.run.with_user(self.reviewer).action_approve()
        self._get_document(second).with_user(self.user).action_generate_invoices()
        self.run._process_queue()
        self.contract.line_ids.price_unit = 130.0
        self.run.action_renew_stale()
        return second

    def test_renewing_a_customer_with_an_invoice(self):
        second = self._renew_beside_an_invoice()
        self.run._process_queue()
        self.assertEqual(self._get_document(self.contract).amount_total, 130.0)
        self.assertEqual(self._get_document(second).state, "invoiced")
        self.assertFalse(self.run.renew_payer_ids)
        self._make_invoices(self.run)
        self.assertEqual(self.run.state, "invoiced")
        self.assertEqual(self.run.amount_total, 330.0)

    def test_renewal_that_stopped_ends_without_those_customers(self):
        self._renew_beside_an_invoice()
        self.run._write_engine({"job_error": "disk is full"})
        self.run.with_user(self.user).action_stop_work()
        self.assertEqual((self.run.state, self.run.job), ("amounts", "none"))
        exception = self.run.exception_ids
        self.assertEqual(exception.partner_id, self.debtor)
        self.assertIn("before the amounts of this customer were recalculated", exception.message)
        self.assertIn(
            self.steady, self._make_invoices(self.run).invoice_run_document_id.contract_ids
        )
        again = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(again.document_ids.contract_ids, self.contract, "not lost")
        self.assertEqual(again.amount_total, 130.0)

    def test_renewing_leaves_out_what_was_excluded(self):
        second = self._make_contract([{}, {"price_unit": 5.0}], date_start="2024-01-01")
        self._make_amounts(self.run)
        document = self._get_document(second)
        document.line_ids.filtered(lambda line: line.amount == 5.0).action_exclude()
        self.contract.line_ids.price_unit = 130.0
        for _time in range(2):
            self.run.action_renew_stale()
            self.run._process_queue()
        self.assertEqual(self.run.amount_total, 330.0)
        self.assertEqual(self.run.line_ids.filtered(lambda line: not line.is_claimed).amount, 5.0)
