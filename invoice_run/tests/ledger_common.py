from odoo.fields import Command

from .common import InvoiceRunCommon


class LedgerCommon(InvoiceRunCommon):
    """What Accounting does to invoices of runs, and what the customer then owes."""

    def _bill(self, lines=None, date="2024-01-15", **vals):
        """Invoice a contract from 1 January 2024; return its confirmed invoice."""
        vals.setdefault("date_start", "2024-01-01")
        self.contract = self._make_contract(lines, **vals)
        self.run = self._run_all(date)
        return self._get_documents(self.run).move_id

    def _get_documents(self, run):
        return run.document_ids.filtered(lambda doc: self.contract in doc.contract_ids)

    def _end(self, date, invoice_date="2024-02-01"):
        """Move the end of the contract; return the run that settles it."""
        self.contract.date_end = date
        return self._run_all(invoice_date)

    def _get_balance(self, partner=None):
        """Return what the customer owes by confirmed entries, in company currency."""
        moves = self._get_customer_moves(partner)
        return round(sum(moves.mapped("amount_total_signed")), 2)

    def _get_customer_moves(self, partner=None):
        partner = partner or self.contract.partner_id
        domain = [("partner_id", "=", partner.id), ("state", "=", "posted")]
        return self.env["account.move"].search(domain)

    def _reverse(self, move, **vals):
        """Credit ``move`` in Accounting's dialog; return the draft credit note."""
        wizard = self._get_reversal(move, **vals)
        wizard.refund_moves()
        return wizard.new_move_ids

    def _get_reversal(self, move, **vals):
        vals.setdefault("journal_id", move.journal_id.id)
        vals.setdefault("date", "2024-01-20")
        return (
            self.env["account.move.reversal"]
            .with_context(active_model="account.move", active_ids=move.ids)
            .create(vals)
        )

    def _credit(self, move, amount=None, **vals):
        """Credit ``amount`` of ``move``, default all; return the confirmed credit note."""
        credit = self._reverse(move, **vals)
        if amount:
            credit.invoice_line_ids.price_unit = amount
        credit.action_post()
        return credit

    def _replace(self, move, amount):
        """ "Reverse and create invoice" at another price; return the new, confirmed invoice."""
        wizard = self._get_reversal(move)
        wizard.modify_moves()
        wizard.new_move_ids.invoice_line_ids.price_unit = amount
        wizard.new_move_ids.action_post()
        return wizard.new_move_ids

    def _make_tax(self, amount, amount_type="percent", **vals):
        return self.env["account.tax"].create(
            {
                "name": f"Tax {self.env['account.tax'].search_count([])}",
                "amount": amount,
                "amount_type": amount_type,
                "type_tax_use": "sale",
                "company_id": self.company.id,
                **vals,
            }
        )

    def _with_tax(self, *taxes, **vals):
        return {**vals, "tax_ids": [Command.set([tax.id for tax in taxes])]}

    def _make_euro(self, worth):
        euro = self.env.ref("base.EUR")
        euro.active = True
        euro.rate_ids.unlink()
        self._set_rate(euro, worth)
        return euro

    def _set_rate(self, currency, worth, date="2024-01-01"):
        """Make one unit of ``currency`` worth so much company currency from ``date`` on."""
        rates = self.env["res.currency.rate"]
        domain = [("currency_id", "=", currency.id), ("name", "=", date)]
        rates.search(domain).unlink()
        rates.create(
            {
                "currency_id": currency.id,
                "name": date,
                "company_id": self.company.id,
                "rate": 1 / worth,
            }
        )
