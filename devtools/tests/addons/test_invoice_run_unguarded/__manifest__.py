{
    "name": "Test: a Source That Could Bill Twice",
    "summary": "Claims without a unique index: refused when Odoo starts",
    "version": "19.0.1.0.0",
    "category": "Hidden/Tests",
    "author": "Invoice Run contributors",
    "license": "LGPL-3",
    "depends": ["invoice_run"],
}
