from . import workshop_repair
from . import invoice_run_line
from . import invoice_run_exception
from . import billing_scenario
