from . import invoice_run
from . import invoice_run_next
from . import invoice_run_selection
from . import invoice_run_activity
from . import invoice_run_exception
