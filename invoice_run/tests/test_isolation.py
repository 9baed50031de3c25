from contextlib import contextmanager
from unittest.mock import patch

from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..models.job import invoice_run_job
from .common import InvoiceRunCommon

CONTRACTS = 1000
#: Customers with a broken contract, first, last and neighbours among them.
BLOCKED, ACCOUNT, PRODUCT, DATABASE, PYTHON, LOCKED, RATE = BROKEN = (
    0,
    149,
    150,
    151,
    620,
    888,
    999,
)
SILENT = ("odoo.sql_db", "odoo.addons.invoice_run.models.document.invoice_run_invoicing")


@tagged("post_install", "-at_install")
class TestIsolation(InvoiceRunCommon):
    """One bad contract never stops the others, whatever is wrong with it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.currency = cls.env.ref("base.KWD")
        cls.currency.active = True
        cls.currency.rate_ids.unlink()
        cls.rate_vals = {"currency_id": cls.currency.id, "name": "2024-01-01", "rate": 0.3}
        cls.rate = cls.env["res.currency.rate"].create(cls.rate_vals)
        cls.product.property_account_income_id = cls.company_data["default_account_revenue"]
        cls.category = cls.env["product.category"].create({"name": "Special"})
        cls.special = cls._make_product("Special", 100.0, categ_id=cls.category.id)
        cls.tax = cls.company_data["default_tax_sale"]

    def _make_contracts(self, count, broken=()):
        """Make ``count`` contracts for February; the broken ones are due for January as well."""
        partners = self.env["res.partner"].create(
            [{"name": f"Customer {number:04}"} for number in range(count)]
        )
        contracts = self.env["billing.contract"].create(
            [
                self._prepare_contract_vals(partner, number, number in broken)
                for number, partner in enumerate(partners)
            ]
        )
        contracts.action_activate()
        return contracts

    def _prepare_contract_vals(self, partner, number, is_broken):
        vals = {"product_id": self.product.id, "price_unit": 100.0}
        contract_vals = {"partner_id": partner.id, "company_id": self.company.id}
        if is_broken and number == PRODUCT:
            vals["product_id"] = self.special.id
        if is_broken and number == LOCKED:
            vals["tax_ids"] = [Command.set(self.tax.ids)]
        if is_broken and number == RATE:
            contract_vals["currency_id"] = self.currency.id
        contract_vals["date_start"] = "2024-01-01" if is_broken else "2024-02-01"
        return {**contract_vals, "line_ids": [Command.create(vals)]}

    def _approve(self, run):
        run.with_user(self.reviewer).action_approve()
        run.with_user(self.user).action_generate_invoices()

    @contextmanager
    def _counting(self):
        """Count how many documents each attempt to make invoices has."""
        Document = type(self.env["invoice.run.document"])
        create_moves, sizes = Document._create_moves, []

        def counting(documents):
            sizes.append(len(documents))
            return create_moves(documents)

        with patch.object(Document, "_create_moves", counting):
            yield sizes

    @contextmanager
    def _overridden(self, method, database, python):
        """Errors of somebody else's override of ``method``, for these customers' invoices."""
        Move = type(self.env["account.move"])
        original = getattr(Move, method)

        def broken(moves, *args, **kwargs):
            if method == "create":
                partner_ids = {vals["partner_id"] for vals in args[0]}
            else:
                partner_ids = set(moves.partner_id.ids)
            if database.id in partner_ids:
                moves.env.cr.execute("SELECT 1 / 0")
            if python.id in partner_ids:
                raise KeyError("fleet_card")
            return original(moves, *args, **kwargs)

        with patch.object(Move, method, broken):
            yield

    def _break(self, contracts):
        partners = contracts.partner_id
        partners[BLOCKED].write({"billing_hold": True, "billing_hold_reason": "insolvent"})
        # Odoo takes any receivable account where the customer has none: there is one, archived
        self.receivable = self.company_data["default_account_receivable"].copy({"name": "Old"})
        self.receivable.active = False
        partners[ACCOUNT].property_account_receivable_id = self.receivable
        self.company.income_account_id = False
        self.category.property_account_income_categ_id = False
        self.company.tax_lock_date = "2024-02-29"
        self.rate.unlink()

    def _repair(self, contracts):
        contracts.partner_id[BLOCKED].billing_hold = False
        self.receivable.active = True
        self.special.property_account_income_id = self.product.property_account_income_id
        self.company.tax_lock_date = False
        self.env["res.currency.rate"].create(self.rate_vals)

    def assertNumbersInOrder(self, documents):
        """The numbers of ``documents`` follow each other, in their order and without a gap."""
        numbers = documents.move_id.mapped("sequence_number")
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))))

    def test_refused_documents_do_not_hold_those_of_their_batch(self):
        contracts = self._make_contracts(4)
        run = self._make_amounts(self._make_run("2024-02-15"))
        self._approve(run)
        contracts.partner_id[1].billing_hold = True
        run.document_ids.sudo()._process_invoices()
        states = run.document_ids.sorted("sequence").mapped("state")
        self.assertEqual(states, ["invoiced", "failed", "invoiced", "invoiced"])

    @mute_logger(*SILENT)
    def test_seven_of_a_thousand(self):
        contracts = self._make_contracts(CONTRACTS, BROKEN)
        run = self._make_amounts(self._make_run("2024-02-15"))
        self.assertFalse(run.exception_ids)
        self.assertEqual(run.document_count, CONTRACTS + len(BROKEN))
        self._approve(run)
        self._break(contracts)
        partners = contracts.partner_id
        overridden = self._overridden("create", partners[DATABASE], partners[PYTHON])
        with overridden, self._counting() as sizes:
            run._process_queue()
        self._check_failed(run, contracts)
        self.assertLess(sum(sizes), 4 * CONTRACTS, "halves, not one by one")
        self.assertLess(len(sizes), 50)
        self._repair(contracts)
        run.with_user(self.user).action_retry_failed()
        run._process_queue()
        self._check_all_invoiced(run)

    def _check_failed(self, run, contracts):
        failed = run.document_ids.filtered(lambda document: document.state == "failed")
        reasons = {document.contract_ids: document.error for document in failed}
        for number, text in {
            BLOCKED: "The customer is blocked for invoicing: insolvent.",
            ACCOUNT: "is archived. Restore it or choose another one.",
            PRODUCT: "“Special” has no income account. Set one on the product",
            DATABASE: "ask your administrator: division by zero",
            PYTHON: "ask your administrator: KeyError: 'fleet_card'",
            LOCKED: "The books are closed on 02/15/2024 (Tax Return Lock Date",
            RATE: "Currency KWD has no rate on the invoice date, 02/15/2024, or before it.",
        }.items():
            self.assertIn(text, reasons[contracts[number]])
        self.assertEqual(len(failed), len(BROKEN))
        self.assertEqual({str(doc.date_from) for doc in failed}, {"2024-01-01"})
        waiting = run.document_ids.filtered(lambda document: document.state == "to_do")
        self.assertEqual(waiting.contract_ids, failed.contract_ids)
        done = run.document_ids - failed - waiting
        self.assertEqual(len(done.move_id), CONTRACTS - len(BROKEN))
        self.assertEqual(set(done.move_id.mapped("state")), {"posted"})
        self.assertNumbersInOrder(done)
        self.assertEqual(run.state, "approved")
        self.assertEqual(set(run.line_ids.mapped("is_claimed")), {True})

    def _check_all_invoiced(self, run):
        self.assertEqual(set(run.document_ids.mapped("state")), {"invoiced"})
        self.assertFalse(any(run.document_ids.mapped("error")))
        moves = run.document_ids.move_id
        self.assertEqual(len(moves), CONTRACTS + len(BROKEN))
        self.assertEqual(
            sorted(moves.mapped("sequence_number")), list(range(1, CONTRACTS + len(BROKEN) + 1))
        )
        self.assertEqual(run.state, "invoiced")
        again = self._make_amounts(self._make_run("2024-02-15"))
        self.assertFalse(again.document_ids, "nothing was lost, nothing is billed twice")

    def test_good_path_pays_nothing(self):
        self._set_chunk_size("invoices", 10)
        self._make_contracts(25)
        run = self._make_amounts(self._make_run("2024-02-15"))
        with self._counting() as sizes:
            self._make_invoices(run)
        self.assertEqual(sizes, [10, 10, 5])
        self.assertNumbersInOrder(run.document_ids)

    def test_several_workers_end_at_the_same_time(self):
        self._set_chunk_size("invoices", 10)
        self._set_chunk_size("amounts", 10)
        self.patch(invoice_run_job, "SMALLEST_SHARE", 3)
        self.env.ref("invoice_run.invoice_run_cron_2").active = True
        self._make_contracts(45)
        draft, job = self._make_run("2024-02-15"), self.env["invoice.run.job.amounts"]
        self.assertEqual(job._get_payer_share(draft, 12, 0, 0), 6)
        self.assertEqual(job._get_payer_share(draft, 12, 6, 0), 6, "the others begin with half")
        self.assertEqual(job._get_payer_share(draft, 45, 30, 10), 10)
        self.assertEqual(job._get_payer_share(draft, 45, 40, 10), 5)
        run = self._make_amounts(self._make_run("2024-02-15"))
        with self._counting() as sizes:
            self._make_invoices(run)
        self.assertEqual(sizes, [10, 10, 10, 5, 4, 3, 3])
        self.assertNumbersInOrder(run.document_ids)

    @mute_logger(*SILENT)
    def test_unforeseen_errors_are_found_in_halves(self):
        contracts = self._make_contracts(16)
        run = self._make_amounts(self._make_run("2024-02-15"))
        self._approve(run)
        partners = contracts.partner_id
        with self._overridden("_post", partners[5], partners[9]), self._counting() as sizes:
            run._process_queue()
        self.assertEqual(sizes, [16, 8, 4, 4, 2, 1, 1, 2, 8, 4, 2, 1, 1, 2, 4])
        failed = run.document_ids.filtered("error")
        self.assertEqual(failed.partner_id, partners[5] | partners[9])
        self.assertNumbersInOrder(run.document_ids - failed)

    def _set_chunk_size(self, job, size):
        self.patch(self.env.registry[f"invoice.run.job.{job}"], "_chunk_size", size)
