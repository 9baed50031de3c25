import base64
import io
from unittest.mock import patch

from lxml import etree

from odoo.addons.invoice_run.tests.test_metering import MeteringCommon
from odoo.tests import freeze_time, tagged
from odoo.tools import config
from odoo.tools.pdf import OdooPdfFileReader, OdooPdfFileWriter

from .test_periods_in_xml import FORMATS


@freeze_time("2024-03-15 09:00:00")
@tagged("post_install", "-at_install")
class TestUsageInXml(MeteringCommon):
    """The file with the usage items is within the electronic invoice: those of this invoice."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        belgium = cls.env.ref("base.be")
        # zip, city, VAT and registry are those of Odoo's own tests: the formats check them
        shared = {"zip": "1367", "city": "Ramillies", "country_id": belgium.id}
        cls.company.partner_id.write(
            {"vat": "BE0202239951", "company_registry": "0202239951", "street": "Rue 1", **shared}
        )
        cls.customers = cls.debtor | cls._make_partner("Other driver")
        cls.customers.write(
            {"vat": "BE0477472701", "company_registry": "0477472701", "street": "Rue 9", **shared}
        )
        tax = cls.env["account.tax"].create({"name": "21 %", "amount": 21.0})
        cls.km.taxes_id = tax
        cls.scenario.write({"invoice_state": "posted", "usage_annex": "csv"})

    def _invoice(self):
        """Return the invoices of two customers by usage: mine and that of somebody else."""
        for customer in self.customers:
            contract = self._make_metered(partner_id=customer.id)
            self._drive(contract, d0105=12).name = f"Trip of {customer.name}"
        documents = self._run_all("2024-01-31").document_ids
        return [
            documents.filtered(lambda one, payer=payer: one.partner_id == payer).move_id
            for payer in self.customers
        ]

    def _send(self, moves, edi_format):
        for move in moves:
            move.partner_id.invoice_edi_format = edi_format
            self.env["account.move.send"]._generate_and_send_invoices(
                move, sending_methods=["manual"]
            )

    def _get_files(self, move):
        """Return {name: content} of what is embedded in the XML of ``move``, in its place."""
        tree = etree.fromstring(move.ubl_cii_xml_id.raw)
        names = [etree.QName(node).localname for node in tree]
        references = tree.findall("{*}AdditionalDocumentReference")
        first = names.index("AdditionalDocumentReference")
        self.assertEqual(len(references), names.count("AdditionalDocumentReference"))
        # all together, where UBL 2.1 wants them
        place = names[first : first + len(references) + 1]
        self.assertEqual(place[-1], "AccountingSupplierParty")
        files = {}
        for node in references:
            content = node.find("{*}Attachment/{*}EmbeddedDocumentBinaryObject")
            self.assertEqual(content.get("filename"), node.findtext("{*}ID"))
            self.assertNotIn(node.findtext("{*}ID"), files)
            files[content.get("filename")] = base64.b64decode(content.text)
        return files

    def _assert_annex(self, move, files):
        annex = move.invoice_run_document_id.usage_annex_id
        self.assertEqual(files[annex.name], annex.raw)
        self.assertEqual(len(files), 2, "the file and the PDF")
        self.assertIn(f"Trip of {move.partner_id.name}".encode(), annex.raw)

    def test_every_ubl_format_has_the_items_of_its_invoice(self):
        moves = self._invoice()
        moves[0].partner_id.ref = "BUYER-7"
        for number, edi_format in enumerate(("ubl_bis3", "nlcius")):
            self._send([moves[number]], edi_format)
            self._assert_annex(moves[number], self._get_files(moves[number]))

    def test_a_credit_note_has_none(self):
        [move, _other] = self._invoice()
        credit = move._reverse_moves([{"invoice_date": "2024-02-01"}], cancel=True)
        self._send([credit], "ubl_bis3")
        self.assertEqual(len(self._get_files(credit)), 1)

    def test_a_file_of_another_invoice_stays_out(self):
        [move, other] = self._invoice()
        document = move.invoice_run_document_id
        document.sudo().usage_annex_id = other.invoice_run_document_id.usage_annex_id
        self._send([move], "nlcius")
        self.assertEqual(len(self._get_files(move)), 1)

    def _render(self, move, edi_format):
        """Return the {name: (content, relationship)} of the files in the PDF as Odoo sends it."""
        writer, buffer = OdooPdfFileWriter(), io.BytesIO()
        writer.add_blank_page(width=200, height=200)
        writer.write(buffer)
        content, _errors = self.env[FORMATS["facturx"]]._export_invoice(move)
        invoice_data = {
            "invoice_edi_format": edi_format,
            "pdf_attachment_values": {"name": "invoice.pdf", "raw": buffer.getvalue()},
        }
        if edi_format == "facturx":
            invoice_data["ubl_cii_xml_attachment_values"] = {"raw": content}
            invoice_data["ubl_cii_xml_options"] = {"ubl_cii_format": "facturx"}
        # in tests Odoo leaves the PDF alone
        with patch.dict(config.options, {"test_enable": False}):
            self.env["account.move.send"]._hook_invoice_document_after_pdf_report_render(
                move, invoice_data
            )
        raw = invoice_data["pdf_attachment_values"]["raw"]
        root = OdooPdfFileReader(io.BytesIO(raw), strict=False).trailer["/Root"]
        files = [one.get_object() for one in root["/AF"]]
        return {
            one["/F"]: (one["/EF"]["/F"].get_object().get_data(), one["/AFRelationship"])
            for one in files
        }

    def test_cii_has_the_items_of_its_invoice(self):
        seller = self.company.partner_id
        seller.write({"email": "billing@example.com", "phone": "+32 2 1234567"})
        bank = self.env["res.partner.bank"].create(
            {"acc_number": "BE15001559627230", "partner_id": seller.id}
        )
        [move, other] = self._invoice()
        move.ref = "BUYER-7"
        (move | other).partner_bank_id = bank
        self._send([move, other], "facturx")
        for one in (move, other):
            annex = one.invoice_run_document_id.usage_annex_id
            tree = etree.fromstring(one.ubl_cii_xml_id.raw)
            agreement = tree.find(".//{*}ApplicableHeaderTradeAgreement")
            [node] = tree.findall(".//{*}AdditionalReferencedDocument")
            # the last of those that core has, as the schema wants it
            self.assertEqual(agreement[-1], node)
            self.assertEqual(node.findtext("{*}IssuerAssignedID"), annex.name)
            self.assertEqual(node.findtext("{*}TypeCode"), "916")
            content = node.find("{*}AttachmentBinaryObject")
            self.assertEqual(dict(content.attrib), {"mimeCode": "text/csv", "filename": annex.name})
            self.assertEqual(base64.b64decode(content.text), annex.raw)
        credit = move._reverse_moves([{"invoice_date": "2024-02-01"}], cancel=True)
        self._send([credit], "facturx")
        self.assertNotIn(b"AdditionalReferencedDocument", credit.ubl_cii_xml_id.raw)

    def test_factur_x_has_the_items_beside_its_xml(self):
        [move, _other] = self._invoice()
        annex = move.invoice_run_document_id.usage_annex_id
        files = self._render(move, "facturx")
        self.assertEqual(set(files), {annex.name, "factur-x.xml"})
        self.assertEqual(files[annex.name], (annex.raw, "/Supplement"))
        self.assertEqual(files["factur-x.xml"][1], "/Data")
        # other PDFs go with the mail, which has the file itself
        self.assertEqual(set(self._render(move, False)), {"factur-x.xml"})
