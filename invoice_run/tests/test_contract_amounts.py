from freezegun import freeze_time

from odoo import Command
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestContractAmounts(InvoiceRunCommon):
    """Invoiced and still to invoice: both untaxed, in the currency of the contract."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tax = cls.env["account.tax"].create(
            {
                "name": "21 % included",
                "amount": 21,
                "price_include_override": "tax_included",
                "company_id": cls.company.id,
            }
        )
        cls.euro = cls.env.ref("base.EUR")
        cls.euro.active = True
        cls.env["res.currency.rate"].create(
            {
                "name": "2020-01-01",
                "currency_id": cls.euro.id,
                "company_id": cls.company.id,
                "rate": 0.5,
            }
        )

    def _make_taxed(self, **vals):
        line = {"price_unit": 121.0, "tax_ids": [Command.set(self.tax.ids)]}
        return self._make_contract([line], date_start="2024-01-01", **vals)

    @freeze_time("2024-01-20")
    def test_both_are_untaxed(self):
        contract = self._make_taxed()
        self.assertEqual(contract.amount_to_invoice, 100.0)
        self._run_all("2024-01-20")
        contract.invalidate_recordset()
        self.assertEqual(contract.amount_invoiced, 100.0)
        self.assertEqual(contract.amount_to_invoice, 0.0)

    @freeze_time("2024-01-20")
    def test_both_are_in_the_currency_of_the_contract(self):
        contract = self._make_taxed(currency_id=self.euro.id)
        usage = {"contract_id": contract.id, "date": "2024-01-10", "price_unit": 10.0}
        item = self._make_usage(**usage)
        item.currency_id = self.company.currency_id
        self.assertEqual(contract.amount_to_invoice, 105.0)
        self._run_all("2024-01-20")
        contract.invalidate_recordset()
        self.assertEqual(contract.amount_invoiced, 105.0)
        self.assertEqual(contract.amount_to_invoice, 0.0)

    @freeze_time("2024-01-20")
    def test_what_was_edited_and_credited_counts(self):
        self.scenario.invoice_state = "draft"
        contract = self._make_taxed()
        move = self._run_all("2024-01-20").document_ids.move_id
        move.invoice_line_ids.price_unit = 60.5
        contract.invalidate_recordset()
        self.assertEqual(contract.amount_invoiced, 50.0)
        contract.with_user(self.user).invalidate_recordset()
        self.assertEqual(contract.with_user(self.user).amount_invoiced, 50.0)
        move.unlink()
        contract.invalidate_recordset()
        self.assertEqual(contract.amount_invoiced, 0.0)
