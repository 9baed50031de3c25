from . import billing_setup
