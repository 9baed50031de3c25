from odoo import models


class AccountEdiXmlCii(models.AbstractModel):
    _inherit = "account.edi.xml.cii"

    def _export_invoice_vals(self, invoice):
        # EXTENDS 'account_edi_ubl_cii': BG-26 of each line, and BG-14 that spans them
        vals = super()._export_invoice_vals(invoice)
        lines = vals["invoice_line_vals_list"]
        billed = False
        for line in lines:
            if period := line["line"]._get_billing_period():
                line["billing_start"], line["billing_end"] = period
                billed = True
        if billed:
            # core mixes in the invoice's own dates, which say nothing about the days invoiced
            spans = [line for line in lines if line.get("billing_start")]
            vals["billing_start"] = min(line["billing_start"] for line in spans)
            vals["billing_end"] = max(line["billing_end"] for line in spans)
        return vals
