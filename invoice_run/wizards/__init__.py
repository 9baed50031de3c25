from . import account_move_reversal, invoice_run_reason
