from lxml import etree

from odoo import Command
from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.tests import freeze_time, tagged

FORMATS = {
    "ubl_bis3": "account.edi.xml.ubl_bis3",
    "xrechnung": "account.edi.xml.ubl_de",
    "nlcius": "account.edi.xml.ubl_nl",
    "facturx": "account.edi.xml.cii",
}


@freeze_time("2024-03-15 09:00:00")
@tagged("post_install", "-at_install")
class TestPeriodsInXml(InvoiceRunCommon):
    """Electronic invoices say which days they cover, and the customer's purchase order."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        belgium = cls.env.ref("base.be")
        # zip, city, VAT and registry are those of Odoo's own tests: the formats check them
        cls.company.partner_id.write(
            {
                "street": "Chaussée de Namur 40",
                "zip": "1367",
                "city": "Ramillies",
                "vat": "BE0202239951",
                "company_registry": "0202239951",
                "country_id": belgium.id,
                "phone": "+32 2 290 34 90",
                "email": "billing@example.com",
                "bank_ids": [Command.create({"acc_number": "BE15001559627230"})],
            }
        )
        cls.debtor.write(
            {
                "street": "Rue des Bourlottes 9",
                "zip": "1367",
                "city": "Ramillies",
                "vat": "BE0477472701",
                "company_registry": "0477472701",
                "country_id": belgium.id,
            }
        )
        tax = cls.env["account.tax"].create({"name": "21 %", "amount": 21.0})
        cls.taxed = {"tax_ids": [Command.set(tax.ids)]}

    def _invoice(self, *contracts, **vals):
        """Return the invoice of a run that invoices ``contracts``, each values of a contract."""
        for contract in contracts:
            contract.setdefault("date_start", "2024-03-01")
            self._make_contract([self.taxed], **contract)
        run = self._run_all("2024-03-15", **vals)
        return run.document_ids.move_id

    def _export(self, move, name):
        """Return the XML as Odoo sends it; its rules, CEN's and Peppol's, have no complaint."""
        content, errors = self.env[FORMATS[name]]._export_invoice(move)
        self.assertFalse(errors, name)
        return etree.fromstring(content)

    def _get_ubl(self, tree):
        """Return the period of the whole, of each line, and the purchase order."""

        def read(node):
            return "/".join(node.xpath("*[local-name()='InvoicePeriod']/*/text()"))

        lines = tree.xpath("*[local-name()='InvoiceLine' or local-name()='CreditNoteLine']")
        order = tree.findtext("{*}OrderReference/{*}ID")
        return read(tree), [read(line) for line in lines], order

    def _get_cii(self, tree):
        def read(node):
            days = node.xpath("*[local-name()='BillingSpecifiedPeriod']//text()")
            days = [day.strip() for day in days if day.strip()]
            return "/".join(f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in days)

        [whole] = tree.findall(".//{*}ApplicableHeaderTradeSettlement")
        lines = tree.findall(".//{*}SpecifiedLineTradeSettlement")
        order = tree.findtext(".//{*}BuyerOrderReferencedDocument/{*}IssuerAssignedID")
        return read(whole), [read(line) for line in lines], order

    def _read(self, move, name):
        tree = self._export(move, name)
        return self._get_cii(tree) if name == "facturx" else self._get_ubl(tree)

    def _assert_in_all(self, move, expected, formats=("ubl_bis3", "facturx")):
        for name in formats:
            with self.subTest(name):
                self.assertEqual(self._read(move, name), expected)

    def test_period_of_line_and_whole_and_purchase_order(self):
        move = self._invoice({"client_order_ref": "PO-4711"})
        expected = ("2024-03-01/2024-03-31", ["2024-03-01/2024-03-31"], "PO-4711")
        self._assert_in_all(move, expected)
        self.assertEqual(str(move.delivery_date), "2024-03-31")
        tree = self._export(move, "ubl_bis3")
        self.assertEqual(tree.findtext(".//{*}ActualDeliveryDate"), "2024-03-31")
        tree = self._export(move, "facturx")
        [day] = tree.findall(".//{*}ActualDeliverySupplyChainEvent//{*}DateTimeString")
        self.assertEqual(day.text, "20240331")

    def test_several_periods_in_one(self):
        self.debtor.allow_invoice_grouping = True
        move = self._invoice(
            {"client_order_ref": "PO-1"},
            {"client_order_ref": "PO-2", "date_start": "2024-02-10"},
        )
        lines = ["2024-03-01/2024-03-31", "2024-02-10/2024-03-09", "2024-03-10/2024-04-09"]
        expected = ("2024-02-10/2024-04-09", lines, "PO-1, PO-2")
        self._assert_in_all(move, expected)

    def test_credit_note_of_a_reversed_run(self):
        move = self._invoice({"client_order_ref": "PO-4711"})
        move.invoice_run_id.with_user(self.user).action_reverse()
        credit = move.reversal_move_ids
        for name in ("ubl_bis3", "facturx"):
            whole, lines, _order = self._read(credit, name)
            self.assertEqual((whole, lines), ("2024-03-01/2024-03-31", ["2024-03-01/2024-03-31"]))

    def test_national_formats(self):
        move = self._invoice({"client_order_ref": "PO-4711"})
        expected = ("2024-03-01/2024-03-31", ["2024-03-01/2024-03-31"], "PO-4711")
        self.debtor.ref = "BUYER-7"
        for partner, code, vat in (
            (self.company.partner_id, "de", "DE123456788"),
            (self.debtor, "de", "DE136695976"),
        ):
            partner.write({"country_id": self.env.ref(f"base.{code}").id, "vat": vat})
        self._assert_in_all(move, expected, ["xrechnung"])

    def test_invoices_without_a_period_are_as_ever(self):
        move = self.init_invoice("out_invoice", partner=self.debtor, products=self.product)
        move.invoice_line_ids.write(self.taxed)
        move.action_post()
        for name in ("ubl_bis3", "facturx"):
            _whole, lines, _order = self._read(move, name)
            self.assertEqual(lines, [""])
        self.assertEqual(self._read(move, "ubl_bis3")[0], "")

    def test_sent_with_the_invoice(self):
        self.debtor.invoice_edi_format = "ubl_bis3"
        move = self._invoice({})
        self.env["account.move.send"]._generate_and_send_invoices(move, sending_methods=["manual"])
        tree = etree.fromstring(move.ubl_cii_xml_id.raw)
        self.assertEqual(self._get_ubl(tree)[0], "2024-03-01/2024-03-31")
