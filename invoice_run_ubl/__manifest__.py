{
    "name": "Invoice Run e-Invoicing",
    "summary": "Billing periods in UBL and Factur-X",
    "version": "19.0.1.1.0",
    "category": "Accounting/Accounting",
    "author": "Invoice Run contributors",
    "license": "LGPL-3",
    "depends": ["invoice_run", "account_edi_ubl_cii"],
    "auto_install": True,
}
