from . import billing_takeover_wizard
