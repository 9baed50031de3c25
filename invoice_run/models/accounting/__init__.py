from . import billing_cutoff_rows
from . import invoice_run_reversal
from . import invoice_run_job_reverse
from . import account_move
from . import account_move_line
from . import account_move_line_credit
from . import billing_cutoff_entry
from . import account_tax
