from . import invoice_run_wizard  # isort: skip, the others inherit it
from . import billing_price_report  # isort: skip, two inherit it
from . import (
    account_move_reversal,
    base_import_import,
    billing_bridge,
    billing_contract_change,
    billing_credit_question,
    billing_cutoff,
    billing_due,
    billing_forecast,
    billing_uninvoiced,
    billing_invoice_now,
    billing_setup,
    invoice_manager,
    invoice_manager_entries,
    invoice_manager_process,
    invoice_manager_rows,
    invoice_run_explanation,
    invoice_run_reason,
    invoice_run_reviewer_question,
    invoice_run_send_question,
)
