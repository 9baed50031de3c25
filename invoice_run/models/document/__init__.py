from . import invoice_run_document
from . import invoice_run_invoicing
from . import invoice_run_early_payment
from . import invoice_run_stale
from . import invoice_run_select
from . import invoice_run_confirm
from . import invoice_run_thresholds
