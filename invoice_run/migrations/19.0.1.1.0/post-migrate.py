"""Credits name what they credit, and approvals what they are about, as new ones do."""

from odoo import SUPERUSER_ID, api

#: A credit note as Odoo creates it has the lines of its invoice, in order. One that somebody edited
#: does not: the next correction of that contract asks for which days it is.
LINK_CREDIT_NOTES = """
    WITH items AS (
        SELECT line.id, line.move_id, line.invoice_run_line_id, line.billing_credited_line_id,
               line.product_id,
               row_number() OVER (PARTITION BY line.move_id
                                      ORDER BY line.sequence, line.id) AS place,
               count(*) OVER (PARTITION BY line.move_id) AS total
          FROM account_move_line line
          JOIN account_move move ON move.id = line.move_id
          LEFT JOIN account_move invoice ON invoice.id = move.reversed_entry_id
         WHERE line.display_type = 'product'
           AND (move.invoice_run_id IS NOT NULL OR invoice.invoice_run_id IS NOT NULL)
    )
    UPDATE account_move_line line SET billing_credited_line_id = billed.id
      FROM items given
      JOIN account_move credit ON credit.id = given.move_id
      JOIN items billed ON billed.move_id = credit.reversed_entry_id
       AND billed.place = given.place AND billed.total = given.total
       AND billed.product_id IS NOT DISTINCT FROM given.product_id
     WHERE line.id = given.id AND given.billing_credited_line_id IS NULL
       AND given.invoice_run_line_id IS NULL AND billed.invoice_run_line_id IS NOT NULL
"""
#: What a run corrected names the invoice line in force of the amount that it corrects.
LINK_CORRECTIONS = """
    UPDATE invoice_run_line correction SET credited_line_id = billed.id
      FROM account_move_line billed
     WHERE billed.invoice_run_line_id = correction.corrects_id
       AND billed.parent_state <> 'cancel' AND billed.billing_given_back IS NOT TRUE
       AND correction.credited_line_id IS NULL
"""
LINK_LINES_OF_CORRECTIONS = """
    UPDATE account_move_line line SET billing_credited_line_id = correction.credited_line_id
      FROM invoice_run_line correction
     WHERE line.invoice_run_line_id = correction.id AND correction.credited_line_id IS NOT NULL
       AND line.billing_credited_line_id IS NULL
"""
#: Where nobody noted the whole of the last invoice, its recurring part stands for it.
NOTE_LAST_AMOUNTS = """
    UPDATE invoice_run_document SET last_amount = previous_amount WHERE last_amount IS NULL
"""


def migrate(cr, version):
    """Complete credits and approvals from before this was kept."""
    queries = (LINK_CREDIT_NOTES, LINK_CORRECTIONS, LINK_LINES_OF_CORRECTIONS, NOTE_LAST_AMOUNTS)
    for query in queries:
        cr.execute(query)
    env = api.Environment(cr, SUPERUSER_ID, {})
    env.invalidate_all()
    for run in env["invoice.run"].search([("approved_date", "!=", False)]):
        run._get_open_documents().filtered(
            lambda document: not document.approved_fingerprint
        )._note_approved()
