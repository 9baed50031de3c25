"""Who may read the fields that this addon adds to Odoo's models, for ``groups=``."""

#: Customers read their suppliers' companies too: how these invoice is none of their business.
INTERNAL = "base.group_user"
#: Who sees that a run created an invoice: not the customers, who may read their own.
ACCOUNTANTS = "account.group_account_invoice,account.group_account_readonly"
