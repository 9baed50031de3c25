from . import billing_ledger
