"""Invoices that were credited to be billed again are noted before the database refuses others."""

#: Confirmed credit notes over the whole amount that let the periods be billed again.
GIVEN_BACK = """
    SELECT credit.reversed_entry_id FROM account_move credit
      JOIN account_move invoice ON invoice.id = credit.reversed_entry_id
     WHERE credit.state = 'posted' AND credit.invoice_bill_again
       AND credit.amount_total = invoice.amount_total
"""


def migrate(cr, version):
    """Write what the two unique indexes on invoices in force ask for."""
    for table in ("account_move", "account_move_line"):
        cr.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS billing_given_back boolean")
    cr.execute(f"UPDATE account_move SET billing_given_back = TRUE WHERE id IN ({GIVEN_BACK})")
    cr.execute(
        f"""
        UPDATE account_move_line SET billing_given_back = TRUE
         WHERE invoice_run_line_id IS NOT NULL AND move_id IN ({GIVEN_BACK})
        """
    )
