from odoo import api, fields, models
from odoo.tools import SQL


class InvoiceRunDocument(models.Model):
    """Comparison of a document with the previous invoice of the same contracts or customer."""

    _inherit = "invoice.run.document"

    previous_amount = fields.Monetary(
        "Previous Invoice",
        readonly=True,
        help="Untaxed amount of the last invoice that runs made for the same contracts; "
        "without contract: for the same customer.",
    )
    variance = fields.Float(
        "Change %",
        readonly=True,
        aggregator=None,
        help="Untaxed amount against the previous invoice, in percent.",
    )
    is_first = fields.Boolean("First Invoice", readonly=True)
    is_outlier = fields.Boolean(
        "Unusual Amount",
        readonly=True,
        help="More than the previous invoice times the outlier factor of the company, or less "
        "than it divided by that factor.",
    )
    has_missing_charge = fields.Boolean(
        "Charge Missing",
        readonly=True,
        help="A price line that was on the previous invoice and is still in force is not here.",
    )
    is_accepted = fields.Boolean(
        "Checked", readonly=True, help="Somebody looked at the flags and found them right."
    )
    is_flagged = fields.Boolean(
        compute="_compute_is_flagged",
        store=True,
        help="Unusual amount or missing charge that nobody has checked yet.",
    )

    @api.depends("is_outlier", "has_missing_charge", "is_accepted")
    def _compute_is_flagged(self):
        for document in self:
            flagged = document.is_outlier or document.has_missing_charge
            document.is_flagged = flagged and not document.is_accepted

    def action_accept(self):
        """Note that the flags of these documents were looked at and are right."""
        self.check_access("write")
        self._write_engine({"is_accepted": True})

    def _update_comparison(self):
        """Compare these new documents with what was invoiced last, and set their flags."""
        by_contract = self._get_previous("contract_id", self.contract_ids.ids)
        plain = self.filtered(lambda document: not document.contract_ids)
        by_partner = self._get_previous("partner_id", plain.partner_id.ids)
        for document in self:
            if document.contract_ids:
                keys, found = document.contract_ids.ids, by_contract
            else:
                keys, found = document.partner_id.ids, by_partner
            previous = self.browse().union(*(found[key] for key in keys if key in found))
            document.write(document._prepare_comparison_vals(previous))

    def _get_previous(self, field, ids):
        """Return {id: newest invoiced document} of these contracts or customers."""
        if not ids:
            return {}
        Document, Line = self.env["invoice.run.document"], self.env["invoice.run.line"]
        Document.flush_model(["state", "invoice_date", "partner_id"])
        Line.flush_model(["contract_id", "document_id", "sale_order_id"])
        key = SQL("line.contract_id" if field == "contract_id" else "document.partner_id")
        rows = self.env.execute_query(
            SQL(
                """
                SELECT DISTINCT ON (%(key)s) %(key)s, document.id
                  FROM invoice_run_document document
                  JOIN invoice_run_line line ON line.document_id = document.id
                 WHERE %(key)s = ANY(%(ids)s) AND document.state = 'invoiced'
                   AND line.sale_order_id IS NULL
                 ORDER BY %(key)s, document.invoice_date DESC, document.id DESC
                """,
                key=key,
                ids=ids,
            )
        )
        return {key: Document.browse(document_id) for key, document_id in rows}

    def _prepare_comparison_vals(self, previous):
        """Return amount and flags of this document against the ``previous`` ones."""
        self.ensure_one()
        same = previous.filtered(lambda document: document.currency_id == self.currency_id)
        before = sum(same.mapped("amount_untaxed"))
        factor = self.company_id.invoice_run_outlier_factor
        amount, usual = abs(self.amount_untaxed), abs(before)
        unusual = before and factor > 0 and not usual / factor <= amount <= usual * factor
        return {
            "previous_amount": before,
            "variance": 100.0 * (self.amount_untaxed - before) / abs(before) if before else 0.0,
            "is_first": not previous,
            "is_outlier": bool(unusual),
            "has_missing_charge": bool(self._get_missing_lines(previous)),
        }

    def _get_missing_lines(self, previous):
        """Return price lines of the previous invoice that are in force but not billed here."""
        here = self.line_ids.contract_line_id
        before = previous.line_ids.filtered(lambda line: not line.corrects_id).contract_line_id
        return (before - here).filtered(
            lambda line: (
                line.price_interval != "once"
                and (not line._get_last_day() or line._get_last_day() >= self.date_from)
            )
        )
