from . import invoice_run_line
from . import invoice_run_usage
from . import invoice_run_amounts
from . import invoice_run_correction
