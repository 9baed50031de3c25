from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.tests import tagged

from .strangers import call_super, other_addon


@tagged("post_install", "-at_install")
class TestTaxes(InvoiceRunCommon):
    """Taxes of equal documents are computed once; what equal means, another addon may change."""

    def test_an_addon_that_asks_for_the_customer(self):
        """Each document has its own amounts then."""
        special = self._make_partner("Special", "special@example.com")
        for partner in (self.debtor, special):
            self._make_contract(date_start="2024-01-01", partner_id=partner.id)

        def prepare(line, rate, sign=1):
            base_line = call_super("_prepare_base_line", line, rate, sign)
            if line.document_id.partner_id == special:
                base_line["price_unit"] /= 2
            return base_line

        with other_addon(self.env, "invoice.run.line", _prepare_base_line=prepare):
            run = self._make_amounts(self._make_run("2024-01-15"))
            documents = run.document_ids
            self.assertFalse(documents[0]._are_taxes_remembered())
        self.assertTrue(documents[0]._are_taxes_remembered())
        untaxed = {doc.partner_id: doc.amount_untaxed for doc in documents}
        self.assertEqual(untaxed, {self.debtor: 100.0, special: 50.0})
