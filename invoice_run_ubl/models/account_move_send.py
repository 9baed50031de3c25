import base64
import io

from lxml import etree

from odoo import api, models
from odoo.addons.account.tools import dict_to_xml
from odoo.tools.pdf import NameObject, OdooPdfFileReader, OdooPdfFileWriter

#: References to files that are part of the electronic invoice: its PDF is one.
EMBEDDED = "*[local-name()='AdditionalDocumentReference'][*[local-name()='Attachment']]"
#: What supporting documents of a CII invoice come after; core always has the parties.
AGREEMENT = ".//{*}ApplicableHeaderTradeAgreement"
BEFORE_FILES = (
    "BuyerTradeParty",
    "BuyerOrderReferencedDocument",
    "ContractReferencedDocument",
    "AdditionalReferencedDocument",
)
#: Code of documents that support an invoice, UNTDID 1001.
SUPPORTING = "916"


class AccountMoveSend(models.AbstractModel):
    """The usage items of an invoice as a file within its electronic form (BG-24)."""

    _inherit = "account.move.send"

    @api.model
    def _get_usage_annex(self, invoice):
        """Return the file with the usage items of ``invoice``, if there is one."""
        # sudo: users who send an invoice in Accounting need not see the run that created it
        annex = invoice.sudo().invoice_run_document_id.usage_annex_id
        # never a file that belongs to another invoice, whatever became of the link
        return annex.filtered(
            lambda one: (one.res_model, one.res_id) == (invoice._name, invoice.id)
        )

    @api.model
    def _postprocess_invoice_ubl_xml(self, invoice, invoice_data):
        # EXTENDS 'account_edi_ubl_cii', which embeds the files of the mail in Peppol BIS 3 alone
        result = super()._postprocess_invoice_ubl_xml(invoice, invoice_data)
        annex = self._get_usage_annex(invoice)
        if annex:
            values = invoice_data["ubl_cii_xml_attachment_values"]
            values["raw"] = self._embed_in_ubl(values["raw"], annex)
        return result

    @api.model
    def _embed_in_ubl(self, content, annex):
        """Return the XML with ``annex`` next to the PDF; as it is where that has no place."""
        tree = etree.fromstring(content)
        references = tree.xpath(EMBEDDED)
        if not references or annex.name in [one.findtext("{*}ID") for one in references]:
            return content
        node = {
            "_tag": "cac:AdditionalDocumentReference",
            "cbc:ID": {"_text": annex.name},
            "cac:Attachment": {
                "cbc:EmbeddedDocumentBinaryObject": {
                    "_text": base64.b64encode(annex.raw).decode(),
                    "mimeCode": annex.mimetype,
                    "filename": annex.name,
                }
            },
        }
        references[-1].addnext(dict_to_xml(node, nsmap=tree.nsmap))
        return etree.tostring(tree, xml_declaration=True, encoding="UTF-8")

    def _hook_invoice_document_before_pdf_report_render(self, invoice, invoice_data):
        # EXTENDS 'account_edi_ubl_cii': the CII of customers who get it; what core puts into the
        # PDF of all others stays small, since their mail has the file
        result = super()._hook_invoice_document_before_pdf_report_render(invoice, invoice_data)
        values = invoice_data.get("ubl_cii_xml_attachment_values")
        if values and invoice_data.get("invoice_edi_format") == "facturx":
            annex = self._get_usage_annex(invoice)
            if annex:
                values["raw"] = self._embed_in_cii(values["raw"], annex)
        return result

    @api.model
    def _embed_in_cii(self, content, annex):
        """Return the XML with ``annex`` as a supporting document of the invoice (BG-24)."""
        tree = etree.fromstring(content)
        agreement = tree.find(AGREEMENT)
        before = [one for one in agreement if etree.QName(one).localname in BEFORE_FILES]
        names = {"ram": etree.QName(agreement).namespace}
        node = etree.Element(f"{{{names['ram']}}}AdditionalReferencedDocument", nsmap=names)
        for name, text in {
            "IssuerAssignedID": annex.name,
            "TypeCode": SUPPORTING,
            "AttachmentBinaryObject": base64.b64encode(annex.raw).decode(),
        }.items():
            etree.SubElement(node, f"{{{names['ram']}}}{name}").text = text
        node[-1].attrib.update({"mimeCode": annex.mimetype, "filename": annex.name})
        before[-1].addnext(node)
        return etree.tostring(tree, xml_declaration=True, encoding="UTF-8")

    def _hook_invoice_document_after_pdf_report_render(self, invoice, invoice_data):
        # EXTENDS 'account_edi_ubl_cii', which adds factur-x.xml and makes it PDF/A afterwards
        values = invoice_data.get("pdf_attachment_values")
        if values and invoice_data.get("invoice_edi_format") == "facturx":
            annex = self._get_usage_annex(invoice)
            # in tests a report is HTML
            if annex and values["raw"].startswith(b"%PDF"):
                values["raw"] = self._embed_in_pdf(values["raw"], annex)
        return super()._hook_invoice_document_after_pdf_report_render(invoice, invoice_data)

    @api.model
    def _embed_in_pdf(self, content, annex):
        """Return the PDF with ``annex`` as an attachment that supplements the invoice."""
        writer = OdooPdfFileWriter()
        writer.cloneReaderDocumentRoot(OdooPdfFileReader(io.BytesIO(content), strict=False))
        writer.addAttachment(annex.name, annex.raw, subtype=annex.mimetype)
        # as Factur-X says of files that are not the invoice itself
        added = writer._root_object["/AF"][-1].get_object()
        added[NameObject("/AFRelationship")] = NameObject("/Supplement")
        buffer = io.BytesIO()
        writer.write(buffer)
        return buffer.getvalue()
