from . import billing_takeover_source
from . import billing_takeover_trial
from . import billing_takeover
from . import billing_contract
from . import billing_expected_invoice
