from odoo import models


class AccountEdiXmlUblBis3(models.AbstractModel):
    """Peppol BIS 3, and the national formats based on it: XRechnung, NLCIUS, PINT, …"""

    _inherit = "account.edi.xml.ubl_bis3"

    def _add_invoice_line_period_nodes(self, line_node, vals):
        # EXTENDS 'account_edi_ubl_cii': BG-26, the days that the line covers
        super()._add_invoice_line_period_nodes(line_node, vals)
        if vals["document_type"] not in ("invoice", "credit_note"):
            # a line of a debit note has no period in UBL 2.1
            return
        line = vals["base_line"]["record"]
        # what Odoo derived from a tax is no line of the invoice
        if isinstance(line, models.Model) and line._name == "account.move.line":
            if period := line._get_billing_period():
                line_node["cac:InvoicePeriod"] = self._get_period_node(*period)

    def _get_invoice_node(self, vals):
        # EXTENDS 'account_edi_ubl_cii': BG-14, the days that the whole invoice covers
        document_node = super()._get_invoice_node(vals)
        lines = vals["invoice"].invoice_line_ids
        if any(line._get_billing_period() for line in lines):
            # of all lines: Peppol wants each within it (PEPPOL-EN16931-R110 and R111)
            tag = self._get_tags_for_document_type(vals)["document_line"]
            nodes = [node.get("cac:InvoicePeriod") for node in document_node[tag]]
            document_node["cac:InvoicePeriod"] = self._get_spanning_node(filter(None, nodes))
        return document_node

    def _get_period_node(self, first, last):
        return {"cbc:StartDate": {"_text": first}, "cbc:EndDate": {"_text": last}}

    def _get_spanning_node(self, nodes):
        """Return the period that spans those of ``nodes``, or nothing where there are none."""
        nodes = list(nodes)
        firsts = [day for node in nodes if (day := node["cbc:StartDate"]["_text"])]
        lasts = [day for node in nodes if (day := node["cbc:EndDate"]["_text"])]
        if not (firsts and lasts):
            return None
        return self._get_period_node(min(firsts), max(lasts))
