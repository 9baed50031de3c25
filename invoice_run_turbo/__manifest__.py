{
    "name": "Invoice Run Turbo",
    "summary": "Many invoices at once: the same results, several times as fast",
    "version": "19.0.1.1.0",
    "category": "Accounting/Accounting",
    "author": "Invoice Run contributors",
    "license": "LGPL-3",
    "depends": ["invoice_run"],
    "data": ["views/res_config_settings_views.xml"],
    "auto_install": True,
}
