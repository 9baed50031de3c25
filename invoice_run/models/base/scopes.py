"""Whose usage or amounts count together: of a price line, its contract, or its customer.

Technical values are written here and in the declaration of the fields; other Python code uses these
names.
"""

BY_CONTRACT = "contract"
BY_CUSTOMER = "customer"
#: Scopes of a tariff whose bands several price lines share.
SHARED = (BY_CONTRACT, BY_CUSTOMER)
