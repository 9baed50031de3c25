{
    "name": "Test: Repairs by Invoice Run",
    "summary": "A source of another addon, as docs/extending.md describes it",
    "version": "19.0.1.0.0",
    "category": "Hidden/Tests",
    "author": "Invoice Run contributors",
    "license": "LGPL-3",
    "depends": ["invoice_run"],
    "data": [
        "security/ir.model.access.csv",
        "security/workshop_repair_rules.xml",
        "views/workshop_repair_views.xml",
        "views/invoice_run_views.xml",
    ],
    "post_init_hook": "post_init_hook",
}
