from . import account_move_reversal, billing_contract_change, invoice_run_reason
