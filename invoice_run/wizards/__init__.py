from . import (
    account_move_reversal,
    billing_contract_change,
    billing_cutoff,
    billing_due,
    billing_forecast,
    invoice_run_reason,
)
