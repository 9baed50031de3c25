from . import invoice_run_approval
from . import invoice_run_four_eyes
from . import invoice_run_checks
from . import invoice_run_comparison
from . import invoice_run_reconcile
from . import invoice_run_register
from . import invoice_run_previous
from . import invoice_run_flags
