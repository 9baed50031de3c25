"""What new columns and indexes require is written before Odoo creates them."""

from odoo.tools.sql import column_exists

#: Confirmed credit notes over the whole amount that let the periods be invoiced again.
GIVEN_BACK = """
    SELECT credit.reversed_entry_id FROM account_move credit
      JOIN account_move invoice ON invoice.id = credit.reversed_entry_id
     WHERE credit.state = 'posted' AND credit.invoice_bill_again
       AND credit.amount_total = invoice.amount_total
"""
#: What was cancelled before stays as it is invoiced: no run credits it years later.
KEEP_CANCELLED = """
    UPDATE billing_contract contract
       SET cancel_date = GREATEST(CURRENT_DATE, (
               SELECT max(amount.period_to) FROM invoice_run_line amount
                WHERE amount.contract_id = contract.id AND amount.is_claimed))
     WHERE contract.state = 'cancelled' AND contract.cancel_date IS NULL
"""
#: References without the blanks around them; one that is another item's already is told apart by
#: the number of the item.
STRIP_REFERENCES = """
    WITH bare AS (
        SELECT id, ref, row_number() OVER (
                   PARTITION BY company_id, ref ORDER BY ref <> external_ref, id) AS place
          FROM (SELECT id, company_id, external_ref,
                       btrim(external_ref, E' \\t\\n\\r\\u00a0') AS ref
                  FROM billing_usage WHERE external_ref IS NOT NULL) item
    )
    UPDATE billing_usage usage
       SET external_ref = NULLIF(CASE WHEN bare.place = 1 OR bare.ref = '' THEN bare.ref
                                      ELSE bare.ref || ' (' || usage.id || ')' END, '')
      FROM bare WHERE bare.id = usage.id AND usage.external_ref <> bare.ref
"""
#: "Delivery unconfirmed" has become a sending status, and printing again a job.
MERGED_FACTS = {
    ("invoice_run_document", "is_send_uncertain"): """
        UPDATE invoice_run_document SET send_state = 'uncertain'
         WHERE is_send_uncertain AND send_state NOT IN ('sent', 'printed')
    """,
    ("invoice_run", "is_reprint"): """
        UPDATE invoice_run SET job = 'reprint' WHERE is_reprint AND job = 'print'
    """,
}


def migrate(cr, version):
    """Write what new indexes ask for, and what new columns would otherwise get."""
    cr.execute("ALTER TABLE billing_contract ADD COLUMN IF NOT EXISTS cancel_date date")
    cr.execute(KEEP_CANCELLED)
    # existing contracts are due from the day from which they always were
    cr.execute("ALTER TABLE billing_contract ADD COLUMN IF NOT EXISTS first_period_due varchar")
    cr.execute(
        "UPDATE billing_contract SET first_period_due = 'grid' WHERE first_period_due IS NULL"
    )
    cr.execute(STRIP_REFERENCES)
    for (table, column), query in MERGED_FACTS.items():
        if column_exists(cr, table, column):
            cr.execute(query)
    for table in ("account_move", "account_move_line"):
        cr.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS billing_given_back boolean")
    cr.execute(f"UPDATE account_move SET billing_given_back = TRUE WHERE id IN ({GIVEN_BACK})")
    cr.execute(
        f"""
        UPDATE account_move_line SET billing_given_back = TRUE
         WHERE invoice_run_line_id IS NOT NULL AND move_id IN ({GIVEN_BACK})
        """
    )
