from . import billing_scenario
from . import invoice_run_line
from . import invoice_run_document
