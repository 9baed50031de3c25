from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

AMOUNTS_LOG = "odoo.addons.invoice_run.models.document.invoice_run_document"


@tagged("post_install", "-at_install")
class TestExceptions(InvoiceRunCommon):
    """What cannot be invoiced is explained with its contract; everything else goes on."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.fine = cls._make_contract(date_start="2024-01-01")
        cls.other = cls._make_partner("Another Customer")

    def _make_bad(self, lines=None, **vals):
        vals = {"date_start": "2024-01-01", "partner_id": self.other.id, **vals}
        return self._make_contract(lines, **vals)

    def assertExplained(self, contract, code, reason, run=None):
        """The bad contract alone is reported, once, in words; the other one is invoiced."""
        run = run or self._make_amounts(self._make_run("2024-01-15"))
        exception = run.exception_ids
        self.assertEqual(exception.mapped("code"), [code], exception.mapped("message"))
        self.assertEqual(exception.contract_id, contract)
        self.assertEqual(exception.partner_id, contract.partner_id)
        self.assertRegex(exception.message, reason)
        self.assertEqual(run.line_ids.contract_id, self.fine)
        self.assertFalse(contract.line_ids.filtered("invoiced_until"))
        return exception

    def test_open_ended_until_the_end(self):
        contract = self._make_bad(billing_mode="end")
        self.assertExplained(contract, "open_ended", "no end date.*invoice periodically")

    def test_open_ended_until_the_end_by_the_scenario(self):
        contract = self._make_bad()
        self.fine.date_end = "2024-01-31"
        scenario = self._make_scenario("To the end", billing_mode="end")
        run = self._make_amounts(self._make_run("2024-01-15", scenario))
        self.assertExplained(contract, "open_ended", "no end date", run)

    def test_no_price(self):
        contract = self._make_bad([{"price_unit": 0.0, "name": "Parking"}, {}])
        self.assertExplained(contract, "price", "“Parking” has no price.*100 %")

    def test_free_is_a_discount(self):
        contract = self._make_bad([{"discount": 100.0}])
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertFalse(run.exception_ids)
        self.assertIn(contract, run.line_ids.contract_id)

    def test_usage_without_price(self):
        product = self._make_product("Unpriced", 0.0)
        self._make_usage(date="2024-01-03", partner_id=self.other.id)
        bad = self._make_usage(date="2024-01-03", product_id=product.id)
        run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        self.assertEqual(run.exception_ids.mapped("code"), ["price"])
        self.assertEqual(run.exception_ids.usage_id, bad)
        self.assertIn(
            "Usage Without a Price Is Free” on scenario “All usage", run.exception_ids.message
        )
        self.assertEqual(run.amount_total, 100.0)

    def test_usage_without_price_is_free_by_choice(self):
        items = [
            self._make_usage(date="2024-01-03", price_unit=price, partner_id=partner.id)
            for price, partner in ((0.0, self.other), (0.0, self.debtor), (7.0, self.debtor))
        ]
        self.usage_scenario.allow_free_usage = True
        run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        self.assertFalse(run.exception_ids)
        move = self._make_invoices(run)
        self.assertEqual(sorted(move.invoice_line_ids.mapped("price_subtotal")), [0.0, 7.0])
        self.assertEqual({item.state for item in items}, {"invoiced"})
        self.assertEqual(sorted(run.document_ids.mapped("state")), ["invoiced", "nothing"])

    def test_usage_of_a_contract_is_free_by_choice(self):
        usage = self._make_usage(
            date="2024-01-03", price_unit=0.0, contract_id=self.fine.id, partner_id=self.other.id
        )
        self.scenario.allow_free_usage = True
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertIn(usage, run.line_ids.usage_id)
        # a price line of a contract needs its price or its discount all the same
        self._make_bad([{"price_unit": 0.0}])
        run = self._make_amounts(self._make_run("2024-02-15"))
        self.assertIn("price", run.exception_ids.mapped("code"))

    def test_no_account(self):
        self.product.property_account_income_id = self.product_b.property_account_income_id
        self.company.income_account_id = False
        category = self.env["product.category"].create({"name": "No account"})
        category.property_account_income_categ_id = False
        product = self._make_product("No account", 5.0, categ_id=category.id)
        contract = self._make_bad([{"product_id": product.id}])
        self.assertExplained(contract, "account", "“No account” has no income account. Set one")

    def test_archived_product(self):
        product = self._make_product("Old", 5.0)
        contract = self._make_bad([{"product_id": product.id}])
        product.active = False
        self.assertExplained(contract, "product", "“Old” is archived. Restore it")

    def test_archived_customer(self):
        contract = self._make_bad()
        self.other.active = False
        self.assertExplained(contract, "partner", "customer is archived. Restore")

    def test_blocked_customer(self):
        contract = self._make_bad()
        self.other.write({"billing_hold": True, "billing_hold_reason": "insolvent"})
        self.assertExplained(contract, "partner", "blocked for invoicing: insolvent")

    def test_blocked_parent_blocks_its_contacts(self):
        contact = self._make_partner("Contact", parent_id=self.other.id)
        self.other.billing_hold = True
        contract = self._make_bad(partner_id=contact.id)
        self.assertExplained(contract, "partner", "blocked.*no reason given")

    def test_blocked_debtor_whose_invoices_go_to_somebody_else(self):
        contract = self._make_bad(partner_invoice_id=self.debtor.id)
        self.other.billing_hold = True
        self.assertExplained(contract, "partner", "blocked for invoicing")

    def test_line_that_is_over_stands_in_nobodys_way(self):
        product = self._make_product("Old", 5.0)
        contract = self._make_bad([{"product_id": product.id, "date_end": "2024-01-31"}, {}])
        self._run_all("2024-01-15")
        product.active = False
        run = self._make_amounts(self._make_run("2024-02-15"))
        self.assertFalse(run.exception_ids)
        self.assertIn(contract, run.line_ids.contract_id)

    def test_currency_without_rate(self):
        currency = self.env.ref("base.KWD")
        currency.active = True
        currency.rate_ids.unlink()
        self.env["res.currency.rate"].create(
            {"currency_id": currency.id, "name": "2024-01-16", "rate": 0.3}
        )
        contract = self._make_bad(currency_id=currency.id)
        self.assertExplained(contract, "currency", "KWD has no rate on the invoice date")
        run = self._make_amounts(self._make_run("2024-01-16"))
        self.assertFalse(run.exception_ids.filtered(lambda one: one.code == "currency"))

    def test_inactive_currency(self):
        currency = self.env.ref("base.KWD")
        currency.active = True
        contract = self._make_bad(currency_id=currency.id)
        currency.active = False
        self.assertExplained(contract, "currency", "KWD is not active")

    def test_hold(self):
        contract = self._make_bad(billing_hold=True, billing_hold_reason="in dispute")
        self.assertExplained(contract, "hold", "on hold: in dispute")

    def test_several_reasons_are_all_said(self):
        product = self._make_product("Old", 5.0)
        self._make_bad([{"product_id": product.id}, {"price_unit": 0.0}])
        product.active = False
        self.other.billing_hold = True
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(sorted(run.exception_ids.mapped("code")), ["partner", "price", "product"])

    def test_exceptions_prevent_automatic_approval(self):
        self.company.invoice_run_auto_approve = True
        self._make_bad(billing_hold=True)
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(run.state, "amounts")

    def test_renewed_amounts_renew_the_exceptions(self):
        contract = self._make_bad(billing_hold=True)
        run = self._make_amounts(self._make_run("2024-01-15"))
        contract.billing_hold = False
        self._make_amounts(run)
        self.assertFalse(run.exception_ids)
        self.assertEqual(run.line_ids.contract_id, self.fine | contract)

    # ------------------------------------------------------------------
    # The run as a whole
    # ------------------------------------------------------------------

    def _get_messages(self, run, code):
        exceptions = run.exception_ids.filtered(lambda exception: exception.code == code)
        return exceptions.mapped("message")

    def test_lock_date(self):
        self.company.fiscalyear_lock_date = "2024-01-31"
        run = self._make_amounts(self._make_run("2024-01-15"))
        [message] = self._get_messages(run, "lock_date")
        self.assertRegex(message, "books are closed on 01/15/2024.*later invoice date")
        self._make_invoices(run)
        self.assertEqual(run.document_ids.state, "failed")
        self.assertEqual(run.document_ids.error, message)

    def test_lock_date_of_the_day_on_which_is_booked(self):
        # a localisation books on another day than that of the invoice
        move = type(self.env["account.move"])
        day = self._date("2024-01-05")
        self.patch(move, "_get_accounting_date_source", lambda move: day)
        self.company.fiscalyear_lock_date = "2024-01-10"
        run = self._make_amounts(self._make_run("2024-01-15"))
        [message] = self._get_messages(run, "lock_date")
        self.assertIn("books are closed on 01/05/2024", message)
        self._make_invoices(run)
        self.assertEqual(run.document_ids.error, message)

    def test_tax_lock_date_only_where_there_is_tax(self):
        self.company.tax_lock_date = "2024-01-31"
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertFalse(run.exception_ids)
        run.action_delete_amounts("now with tax")
        self.fine.line_ids.tax_ids = self.tax_sale_a
        self._make_amounts(run)
        self.assertEqual(len(self._get_messages(run, "lock_date")), 1)

    def test_invoice_date_before_the_last_one_of_the_journal(self):
        later = self.init_invoice("out_invoice", invoice_date="2024-01-16", amounts=[1], post=True)
        run = self._make_amounts(self._make_run("2024-01-15"))
        [message] = self._get_messages(run, "sequence")
        self.assertIn(later.name, message)
        self.assertRegex(message, "would not follow the dates. Choose a later invoice date")
        same_day = self._make_amounts(self._make_run("2024-01-16"))
        self.assertFalse(self._get_messages(same_day, "sequence"))

    def test_journal_that_numbers_by_year_or_month(self):
        """An invoice of another series does not stand in the way."""
        later = self.init_invoice("out_invoice", invoice_date="2025-02-20", amounts=[1], post=True)
        for name, day, is_reported in (
            ("INV/2025/00001", "2024-12-31", False),
            ("INV/2025/00001", "2025-01-31", True),
            ("INV/2025/02/0001", "2025-01-31", False),
            ("INV/2025/02/0001", "2025-02-15", True),
            ("INV0001", "2024-12-31", True),
        ):
            later.name = name
            with self.subTest(name=name, day=day), self.env.cr.savepoint() as savepoint:
                run = self._make_amounts(self._make_run(day))
                self.assertTrue(run.document_ids)
                self.assertEqual(
                    bool(run.exception_ids.filtered(lambda one: one.code == "sequence")),
                    is_reported,
                )
                savepoint.rollback()

    def test_due_date_before_the_invoice_date_is_refused(self):
        run = self._make_run("2024-01-15").with_user(self.user)
        with self.assertRaisesRegex(ValidationError, "due date is before the invoice date"):
            run.due_date = "2024-01-14"
        with self.assertRaisesRegex(ValidationError, "due date is before the invoice date"):
            self._make_run("2024-01-15", due_date="2024-01-14")

    def test_due_date_before_the_invoice_date_fails_the_document(self):
        run = self._make_amounts(self._make_run("2024-01-15"))
        run.document_ids.sudo().invoice_date_due = "2024-01-14"
        self._make_invoices(run)
        self.assertIn("due date is before", run.document_ids.error)

    # ------------------------------------------------------------------
    # Held by another run
    # ------------------------------------------------------------------

    def test_held_by_another_run_until_released(self):
        first = self._make_amounts(self._make_run("2024-01-15"))
        second = self._make_amounts(self._make_run("2024-01-15"))
        exception = second.exception_ids
        self.assertEqual(exception.code, "held")
        self.assertEqual(exception.contract_id, self.fine)
        self.assertEqual(exception.blocking_run_id, first)
        self.assertRegex(exception.message, rf"Claimed by {first.reference} \(To Approve\) since")
        exception.with_user(self.user).action_release()
        self.assertEqual(first.document_ids.state, "released")
        self.assertEqual(first.document_count, 0)
        self._make_amounts(second)
        self.assertFalse(second.exception_ids)
        self.assertEqual(second.line_ids.contract_id, self.fine)

    def test_released_documents_are_never_invoiced_by_their_run(self):
        self._make_bad()
        first = self._make_amounts(self._make_run("2024-01-15"))
        second = self._make_amounts(self._make_run("2024-01-15"))
        mine = second.exception_ids.filtered(lambda one: one.contract_id == self.fine)
        mine.with_user(self.user).action_release()
        moves = self._make_invoices(first)
        self.assertEqual(moves.partner_id, self.other)
        self._make_amounts(second)
        self.assertEqual(self._make_invoices(second).partner_id, self.debtor)

    def test_what_is_invoiced_is_not_held(self):
        self._run_all("2024-01-15")
        second = self._make_amounts(self._make_run("2024-01-15"))
        self.assertFalse(second.exception_ids)

    def test_held_usage(self):
        usage = self._make_usage(date="2024-01-03")
        first = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        second = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        self.assertEqual(second.exception_ids.usage_id, usage)
        second.exception_ids.with_user(self.user).action_release()
        self.assertEqual(usage.state, "open")
        self.assertEqual(first.document_ids.state, "released")

    def test_held_in_advance_is_reported(self):
        self.fine.prebilling_periods = 1
        self._make_amounts(self._make_run("2024-01-15", skip_before="2024-02-01"))
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(self._get_periods(run), ["2024-01-01/2024-01-31"])
        self.assertEqual(run.exception_ids.mapped("code"), ["held"])

    def test_what_is_not_due_is_not_held(self):
        self.fine.billing_timing = "arrears"
        self._make_amounts(self._make_run("2024-01-31"))
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertFalse(run.exception_ids)

    # ------------------------------------------------------------------
    # Errors that nobody foresaw
    # ------------------------------------------------------------------

    def _break(self, model, method, is_bad, fail):
        """Have ``method`` of ``model`` call ``fail`` where ``is_bad(record)``."""
        registry_class = self.env.registry[model]
        original = getattr(registry_class, method)

        def broken(record, *args, **kwargs):
            if is_bad(record):
                fail(record)
            return original(record, *args, **kwargs)

        self.patch(registry_class, method, broken)

    @staticmethod
    def _fail_in_python(_record):
        return 1 / 0

    @staticmethod
    def _fail_in_sql(record):
        record.env.cr.execute("SELECT 1 / 0")

    @mute_logger(AMOUNTS_LOG, "odoo.sql_db")
    def test_error_in_one_contract_stops_no_other(self):
        same_customer = self._make_contract(date_start="2024-01-01")
        bad = self._make_contract(date_start="2024-01-01")
        for fail in (self._fail_in_python, self._fail_in_sql):
            with self.subTest(fail=fail.__name__):
                self._break(
                    "billing.contract.line",
                    "_prepare_run_line_vals",
                    lambda line: line.contract_id == bad,
                    fail,
                )
                run = self._make_amounts(self._make_run("2024-01-15"))
                self.assertEqual(run.line_ids.contract_id, self.fine | same_customer)
                self.assertEqual(run.exception_ids.contract_id, bad)
                self.assertRegex(run.exception_ids.message, "(?i)division.* by zero")
                self.assertFalse(bad.line_ids.invoiced_until)
                run.action_delete_amounts("the next error")

    @mute_logger(AMOUNTS_LOG, "odoo.sql_db")
    def test_error_in_one_usage_item_stops_no_other(self):
        bad = self._make_usage(date="2024-01-03", name="bad")
        self._make_usage(date="2024-01-04", name="good")
        self._break(
            "billing.usage",
            "_get_run_charges",
            lambda usage: usage == bad,
            self._fail_in_sql,
        )
        run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        self.assertEqual(run.line_ids.mapped("name"), ["good"])
        self.assertEqual(run.exception_ids.usage_id, bad)

    @mute_logger(AMOUNTS_LOG, "odoo.sql_db")
    def test_error_in_one_customer_stops_no_other(self):
        bad = self._make_bad()
        self._break(
            "invoice.run.document",
            "_update_title",
            lambda documents: bad in documents.contract_ids,
            self._fail_in_sql,
        )
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(run.line_ids.contract_id, self.fine)
        self.assertEqual(run.exception_ids.partner_id, self.other)
        self.assertEqual(run.document_ids.contract_ids, self.fine)

    def test_interrupted_run_forgets_no_customer(self):
        """The invoice address of one customer may be another customer's."""
        self.fine.partner_invoice_id = self.other
        contract = self._make_bad()
        run = self._make_run("2024-01-15").with_user(self.user)
        run.action_generate_amounts()
        run.sudo()._generate_amounts(self.debtor)
        self.assertEqual(run.document_ids.partner_id, self.other)
        run._process_queue()
        self.assertEqual(run.line_ids.contract_id, self.fine | contract)
        self.assertEqual(len(run.document_ids), 2)

    def test_renewing_forgets_no_address_of_a_customer(self):
        abroad = self._make_contract(date_start="2024-01-01", partner_invoice_id=self.other.id)
        run = self._make_amounts(self._make_run("2024-01-15"))
        abroad.line_ids.price_unit = 90.0
        run.with_user(self.user).action_renew_stale()
        run._process_queue()
        self.assertEqual(sorted(run.line_ids.mapped("amount")), [90.0, 100.0])

    # ------------------------------------------------------------------
    # Documents that fail
    # ------------------------------------------------------------------

    def _break_march(self, contract, fail):
        """Have the invoice of March fail; return the switch that repairs it."""
        switch = {"is_broken": True}
        march = self._date("2024-03-01")
        self._break(
            "invoice.run.document",
            "_prepare_move_vals",
            lambda document: (
                switch["is_broken"]
                and contract in document.contract_ids
                and document.date_from == march
            ),
            fail,
        )
        return switch

    @mute_logger(AMOUNTS_LOG, "odoo.sql_db")
    def test_later_periods_wait_for_the_failed_one(self):
        # named by the month, April would come first
        bad = self._make_bad()
        for fail in (self._fail_in_python, self._fail_in_sql, self._fail_readably):
            with self.subTest(fail=fail.__name__), self.env.cr.savepoint() as savepoint:
                self._check_waiting(bad, fail)
                savepoint.rollback()

    @staticmethod
    def _fail_readably(record):
        raise UserError(record.env._("Division by zero is not allowed"))

    def _check_waiting(self, bad, fail):
        switch = self._break_march(bad, fail)
        run = self._make_run("2024-04-15")
        run.schedule_id.sudo().invoice_name = "{month}"
        self._make_amounts(run)
        moves = self._make_invoices(run)
        self.assertEqual(len(moves.filtered(lambda move: move.partner_id == self.debtor)), 4)
        documents = run.document_ids.filtered(lambda doc: doc.contract_ids == bad)
        documents = documents.sorted("date_from")
        self.assertEqual(documents.mapped("state"), ["invoiced", "invoiced", "failed", "to_do"])
        self.assertRegex(documents[2].error, "(?i)division.* by zero")
        self.assertTrue(all(documents.line_ids.mapped("is_claimed")))
        self.assertEqual(run.state, "approved")
        self.assertEqual(run.failed_count, 1)
        run.with_user(self.user).action_retry_failed()
        run._process_queue()
        self.assertEqual(documents[2:].mapped("state"), ["failed", "to_do"])
        switch["is_broken"] = False
        run.with_user(self.user).action_retry_failed()
        run._process_queue()
        self.assertEqual(set(run.document_ids.mapped("state")), {"invoiced"})
        self.assertEqual(run.state, "invoiced")
        self.assertEqual(len(run.invoice_ids), 8)
        names = documents.move_id.sorted(lambda move: move.invoice_line_ids.billing_date_from)
        self.assertEqual(names.mapped("name"), sorted(names.mapped("name")))

    @mute_logger(AMOUNTS_LOG)
    def test_excluding_the_failed_one_lets_the_others_go_on(self):
        bad = self._make_bad()
        self._break_march(bad, self._fail_in_python)
        run = self._make_amounts(self._make_run("2024-04-15"))
        self._make_invoices(run)
        run.document_ids.filtered(lambda doc: doc.state == "failed").action_exclude()
        run.with_user(self.user).action_generate_invoices()
        run._process_queue()
        self.assertEqual(run.state, "invoiced")
        self.assertEqual(len(run.invoice_ids), 7)
        self.assertEqual(bad.next_invoicing_date, self._date("2024-03-01"))

    @mute_logger(AMOUNTS_LOG)
    def test_grouped_documents_wait_too(self):
        self.other.allow_invoice_grouping = True
        term = self.env.ref("account.account_payment_term_30days")
        bad = self._make_bad(payment_term_id=term.id)
        self._make_bad()
        switch = {"is_broken": True}
        self._break(
            "invoice.run.document",
            "_prepare_move_vals",
            lambda document: switch["is_broken"] and document.contract_ids == bad,
            self._fail_in_python,
        )
        run = self._make_amounts(self._make_run("2024-02-15"))
        self._make_invoices(run)
        states = {doc.contract_ids.id: doc.state for doc in run.document_ids}
        self.assertEqual(states.pop(bad.id), "failed")
        self.assertEqual(set(states.values()), {"invoiced"})
        switch["is_broken"] = False
        run.action_retry_failed()
        run._process_queue()
        self.assertEqual(run.state, "invoiced")
