{
    "name": "Invoice Run Opportunities",
    "summary": "Invoice the orders of won opportunities",
    "version": "19.0.1.1.0",
    "category": "Accounting/Accounting",
    "author": "Invoice Run contributors",
    "license": "LGPL-3",
    "depends": ["invoice_run", "sale_crm"],
    "data": [
        "views/invoice_run_document_views.xml",
        "views/invoice_run_line_views.xml",
    ],
    "post_init_hook": "post_init_hook",
    "auto_install": True,
}
