{
    "name": "Invoice Run Take-Over",
    "summary": "Take contracts over from another contract module, with proof before and undo after",
    "version": "19.0.1.1.0",
    "category": "Accounting/Accounting",
    "author": "Invoice Run contributors",
    "license": "LGPL-3",
    "depends": ["invoice_run"],
    "data": [
        "security/ir.model.access.csv",
        "security/billing_takeover_rules.xml",
        "wizards/billing_takeover_wizard_views.xml",
        "views/billing_takeover_views.xml",
        "views/billing_expected_invoice_views.xml",
        "views/billing_contract_views.xml",
    ],
    "assets": {"web.assets_tests": ["invoice_run_takeover/static/tests/tours/**/*"]},
}
