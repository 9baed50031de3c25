from . import invoice_run
