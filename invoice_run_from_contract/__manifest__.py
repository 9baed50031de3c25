{
    "name": "Invoice Run From Contract",
    "summary": "Take the contracts of OCA's contract module over into invoice runs",
    "version": "19.0.1.1.0",
    "category": "Accounting/Accounting",
    "author": "Invoice Run contributors",
    "license": "AGPL-3",
    "depends": ["invoice_run_takeover", "contract"],
    "data": ["views/contract_views.xml"],
}
