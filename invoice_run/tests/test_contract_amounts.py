from freezegun import freeze_time

from odoo import Command
from odoo.tests import tagged

from ..memory import assign, remembering
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

    def _make_varied(self):
        """Contracts that differ in all that decides about an amount, several with equal prices."""
        fixed = self.tax.copy({"name": "Fixed", "amount_type": "fixed", "amount": 1.5})
        self.company.tax_calculation_rounding_method = "round_globally"
        lines = [
            {"price_unit": price, "quantity": quantity, "discount": discount, "tax_ids": taxes}
            for price in (100.0, 33.333)
            for quantity, discount in ((1.0, 0.0), (2.5, 12.5), (3.0, 0.0))
            for taxes in ([], self.tax.ids, fixed.ids)
        ]
        lines += [
            {"price_unit": 100.0, "price_interval": interval}
            for interval in ("day", "week", "quarter", "year", "period", "once")
        ]
        french = self._make_partner("Client", lang=self._activate_french())
        terms = [
            {"date_start": "2024-01-01"},
            {"date_start": "2024-01-01", "currency_id": self._make_yen().id},
            {"date_start": "2024-01-10", "period_anchor": "calendar", "partner_id": french.id},
            {"date_start": "2024-01-10", "proration": "thirty", "period_count": 3},
        ]
        return self.env["billing.contract"].concat(
            *(self._make_contract(lines, **vals) for vals in terms)
        )

    def _make_yen(self):
        return self.setup_other_currency("JPY", rates=[("2020-01-01", 151.4)], rounding=1.0)

    def _activate_french(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        return "fr_FR"

    @freeze_time("2024-03-20")
    def test_equal_amounts_are_calculated_once(self):
        """What is remembered for equal prices is what each line comes to by itself."""
        contracts = self._make_varied()
        run = self._make_run("2024-03-20")
        alone = [self._get_lines(contract, run) for contract in contracts]
        with remembering(self.env):
            together = [self._get_lines(contract, run) for contract in contracts]
        self.assertEqual(together, alone)
        self.assertGreater(sum(map(len, together)), 100)

    def _get_lines(self, contract, run):
        claims = contract.line_ids._get_taken_spans()
        return [charge.line for charge in contract._collect_contract_charges(run, claims)]

    def test_what_is_written_together(self):
        """Equal values are written at once, amounts as the currency of each rounds them."""
        yen = self._make_yen()
        contracts = [{}, {}, {"currency_id": yen.id}]
        for vals in contracts:
            self._make_taxed(**vals)
        documents = self._make_amounts(self._make_run("2024-01-20")).document_ids.sudo()
        documents = documents.sorted(lambda document: (document.currency_id == yen, document.id))
        assign(
            documents,
            [
                {"amount_total": 1.236, "variance": 0.0, "title": "A"},
                {"amount_total": 1.236, "variance": -1.0, "title": "1"},
                {"amount_total": 1.236, "variance": 0, "is_first": True},
            ],
        )
        self.env.flush_all()
        self.env.invalidate_all()
        self.assertEqual(documents.mapped("amount_total"), [1.24, 1.24, 1.0])
        self.assertEqual(documents.mapped("variance"), [0.0, -1.0, 0.0])
        self.assertEqual(documents[:2].mapped("title"), ["A", "1"])
        self.assertTrue(documents[2].is_first)
