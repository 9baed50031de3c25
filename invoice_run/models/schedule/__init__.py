from . import invoice_run_schedule
from . import invoice_run_schedule_runs
