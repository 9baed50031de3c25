from unittest.mock import patch

from odoo.fields import Command
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestGrouping(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.grouper = cls._make_partner("Grouper", allow_invoice_grouping=True)

    def test_one_document_per_contract_and_period(self):
        self._make_contract([{}, {"price_unit": 50.0}], date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-02-15"))
        self.assertEqual(run.document_ids.mapped("amount_untaxed"), [150.0, 150.0])

    def test_grouped_with_a_section_per_contract(self):
        first = self._make_contract(date_start="2024-01-01", partner_id=self.grouper.id)
        second = self._make_contract(
            [{"price_unit": 50.0}], date_start="2024-01-01", partner_id=self.grouper.id
        )
        run = self._run_all("2024-01-15")
        lines = run.document_ids.move_id.invoice_line_ids.sorted("sequence")
        self.assertEqual(
            lines.mapped("display_type"), ["line_section", "product", "line_section", "product"]
        )
        self.assertIn(first.name, lines[0].name)
        self.assertIn(second.name, lines[2].name)
        self.assertEqual(lines[0].get_section_subtotal(), 100.0)
        self.assertEqual(lines[2].get_section_subtotal(), 50.0)

    def test_collective_groups_everybody(self):
        self.scenario.enforce_collective = True
        term = self.env.ref("account.account_payment_term_30days")
        self._make_contract(date_start="2024-01-01", payment_term_id=term.id)
        self._make_contract(date_start="2024-01-01")
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(len(run.document_ids), 1)
        self.assertEqual(run.document_ids.payment_term_id, self.debtor.property_payment_term_id)

    def test_payment_terms_do_not_mix(self):
        term = self.env.ref("account.account_payment_term_30days")
        common = {"date_start": "2024-01-01", "partner_id": self.grouper.id}
        self._make_contract(payment_term_id=term.id, **common)
        self._make_contract(**common)
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(len(run.document_ids), 2)
        run.action_delete_amounts("once more with a due date")
        run.with_user(self.manager).due_date = "2024-02-15"
        self._make_amounts(run)
        self.assertEqual(len(run.document_ids), 1)

    def test_invoice_addresses_currencies_and_journals_do_not_mix(self):
        other = self._make_partner("Branch", parent_id=self.grouper.id, type="invoice")
        currency = self.env.ref("base.CHF")
        currency.active = True
        currency.rate_ids = [
            Command.create({"name": "2020-01-01", "rate": 0.9, "company_id": self.company.id})
        ]
        journal = self.company_data["default_journal_sale"].copy({"code": "RENT"})
        category = self.env["billing.category"].create(
            {"name": "Rent", "journal_id": journal.id, "company_id": self.company.id}
        )
        common = {
            "date_start": "2024-01-01",
            "partner_id": self.grouper.id,
            "partner_invoice_id": self.grouper.id,
        }
        self._make_contract(**common)
        self._make_contract(**{**common, "partner_invoice_id": other.id})
        self._make_contract(currency_id=currency.id, **common)
        self._make_contract(category_id=category.id, **common)
        run = self._run_all("2024-01-15")
        self.assertEqual(len(run.document_ids), 4)
        self.assertIn(journal, run.invoice_ids.journal_id)
        self.assertIn(currency, run.invoice_ids.currency_id)

    def test_key_can_be_extended(self):
        Run = self.env.registry["invoice.run"]
        original = Run._get_document_key_fields
        self.patch(Run, "_get_document_key_fields", lambda run: [*original(run), "category_id"])
        category = self.env["billing.category"].create(
            {"name": "Extra", "company_id": self.company.id}
        )
        common = {"date_start": "2024-01-01", "partner_id": self.grouper.id}
        self._make_contract(**common)
        self._make_contract(category_id=category.id, **common)
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(len(run.document_ids), 2)

    def test_contracts_say_what_keeps_them_apart(self):
        """One invoice a purchase order, though the customer wants all on one invoice."""
        self.debtor.allow_invoice_grouping = True
        contracts = [
            self._make_contract(date_start="2024-01-01", client_order_ref=reference)
            for reference in ("PO-1", "PO-2", "PO-1")
        ]
        self._make_usage(contract_id=contracts[1].id, date="2024-01-10", price_unit=5.0)
        contracts[1].line_ids.date_end = "2024-06-30"
        key = patch.object(
            self.env.registry["billing.contract"],
            "_get_grouping_key",
            lambda contract: (contract.client_order_ref,),
        )
        with key:
            run = self._run_all("2024-01-31")
            self.assertEqual(
                sorted(
                    map(
                        sorted,
                        (doc.contract_ids.mapped("client_order_ref") for doc in run.document_ids),
                    )
                ),
                [["PO-1", "PO-1"], ["PO-2"]],
            )
            second = run.document_ids.filtered(lambda doc: doc.contract_ids == contracts[1])
            self.assertTrue(second.line_ids.usage_id, "usage stays with its contract")
            contracts[1].line_ids.date_end = "2024-01-15"
            again = self._make_amounts(self._make_run("2024-02-29"))
        credits = again.line_ids.filtered("corrects_id")
        self.assertEqual(credits.document_id.contract_ids, contracts[1])

    def test_usage_joins_the_newest_document_of_its_contract(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._make_usage(date="2024-01-20", contract_id=contract.id, price_unit=7.0)
        run = self._make_amounts(self._make_run("2024-02-15"))
        self.assertEqual(run.document_ids.mapped("amount_untaxed"), [100.0, 107.0])

    def test_usage_without_contract_makes_one_document_per_payer(self):
        other = self._make_partner("Other")
        for day in ("2024-01-03", "2024-01-04"):
            self._make_usage(date=day)
            self._make_usage(date=day, partner_id=other.id)
        run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        self.assertEqual(run.document_ids.mapped("amount_untaxed"), [200.0, 200.0])

    def test_late_usage_goes_to_the_next_run(self):
        self._make_usage(date="2024-01-31")
        self._make_usage(date="2024-02-01", price_unit=5.0)
        first = self._run_all("2024-01-31", self.usage_scenario)
        self.assertEqual(first.amount_untaxed, 100.0)
        late = self._make_usage(date="2024-01-15", price_unit=3.0)
        second = self._run_all("2024-02-29", self.usage_scenario)
        self.assertEqual(second.amount_untaxed, 8.0)
        self.assertEqual(late.state, "invoiced")

    def test_clusters_select(self):
        clusters = self.env["billing.cluster"].create(
            [{"name": name, "company_id": self.company.id} for name in ("North", "South")]
        )
        north = self._make_contract(date_start="2024-01-01", cluster_id=clusters[0].id)
        self._make_contract(date_start="2024-01-01", cluster_id=clusters[1].id)
        run = self._make_run("2024-01-15", cluster_ids=[Command.set(clusters[0].ids)])
        self._make_amounts(run)
        self.assertEqual(run.line_ids.contract_id, north)
