{
    "name": "Invoice Run From Subscr.",
    "summary": "Take the subscriptions of OCA's subscription_oca over into invoice runs",
    "version": "19.0.1.1.0",
    "category": "Accounting/Accounting",
    "author": "Invoice Run contributors",
    "license": "AGPL-3",
    "depends": ["invoice_run_takeover", "subscription_oca"],
    "data": ["views/sale_subscription_views.xml"],
}
