"""The groups that may read the fields that this addon adds to Odoo's models, for ``groups=``."""

#: Customers can read their suppliers' companies, but not how these invoice.
INTERNAL = "base.group_user"
#: Who sees that a run created an invoice: not the customers, who may read their own.
ACCOUNTANTS = "account.group_account_invoice,account.group_account_readonly"
