from . import billing_contract
from . import billing_contract_portal
from . import billing_contract_line
from . import billing_usage
from . import billing_contract_history
from . import invoice_run_stale_triggers
