from odoo import models
from odoo.exceptions import UserError

from ..base.states import SEND_DONE

#: What the names of a document's amounts begin with.
AMOUNTS = ("amount_", "company_amount_")


class InvoiceRun(models.Model):
    """Reverse what was invoiced by credit notes, after which the periods are billable again."""

    _inherit = "invoice.run"

    def action_reverse(self):
        """Credit all confirmed invoices of these runs; their periods become billable again.

        What was credited already is left alone.

        :return: action that opens the credit notes
        :raises UserError: nothing is confirmed, or some invoices have credit notes already
        """
        self.check_access("write")
        self._check_not_busy()
        return self.document_ids._reverse()


class InvoiceRunDocument(models.Model):
    _inherit = "invoice.run.document"

    def action_reverse(self):
        """Credit the confirmed invoices of these documents, as a run credits all of its own.

        In any order, except that a later credit must be undone before what it builds on.

        :return: action that opens the credit notes
        :raises UserError: nothing is confirmed, or some invoices have credit notes already
        """
        self.check_access("write")
        self.run_id._check_not_busy()
        return self._reverse()

    def _reverse(self):
        self.env["account.move"].check_access("create")
        billed = self.filtered(lambda document: document.state != "credit")
        settled = billed.filtered(lambda document: document.state == "nothing")
        moves = billed.move_id
        credits = moves._reverse_to_bill_again() or moves._get_giving_back()
        # sudo: documents belong to the engine
        settled.sudo()._give_settled_back()
        if not credits and settled:
            return None
        if not credits:
            raise UserError(
                self.env._(
                    "There is no confirmed invoice to reverse. Drafts are deleted or cancelled "
                    "instead, documents without invoice are excluded."
                )
            )
        # sudo: documents belong to the engine
        billed.sudo()._create_credit_documents()._tell_run_of_credits()
        return credits._get_records_action(name=self.env._("Credit Notes"))

    def _give_settled_back(self):
        """Release the periods that these documents settled without an invoice.

        :raises UserError: a later credit builds on one of them
        """
        lines = self.line_ids
        # what was credited here comes back after what was invoiced in its place is given up
        lines.filtered(lambda line: not line.corrects_id)._release()
        lines.filtered("corrects_id")._release()
        self._set_state("released")
        for run in self.run_id:
            run.message_post(
                body=self.env._("Released without a credit note: nothing had been invoiced.")
            )

    def _create_credit_documents(self):
        """Create a document for each credit note of these documents, so that it is sent like them.

        One per credit note, and none where the customer never got the invoice.
        """
        credits = self.move_id._get_giving_back()
        known = self.search([("move_id", "in", credits.ids)]).move_id
        vals_list = [
            document._prepare_credit_vals(credit)
            for document in self
            for credit in document.move_id._get_giving_back() - known
        ]
        documents = self.create(vals_list)
        documents._prepare_sending()
        return documents

    def _tell_run_of_credits(self):
        """Say in the chatter of each run how many of these credit notes are its."""
        for run, documents in self.grouped("run_id").items():
            run.message_post(
                body=self.env._(
                    "Credit notes created: %(count)s. The periods are billable again.",
                    count=len(documents),
                )
            )

    def _prepare_credit_vals(self, credit):
        self.ensure_one()
        arrived = self.send_state in (*SEND_DONE, "uncertain")
        names = ("run_id", "company_id", "partner_id", "payer_id", "currency_id", "category_id")
        amounts = [name for name in self._fields if name.startswith(AMOUNTS)]
        return {
            **{name: self[name].id for name in names},
            **{name: -self[name] for name in amounts},
            "sequence": self.sequence,
            "title": self.title,
            "date_from": self.date_from,
            "date_to": self.date_to,
            "invoice_date": credit.invoice_date,
            "journal_id": credit.journal_id.id,
            "reversed_entry_id": self.move_id.id,
            "move_id": credit.id,
            "state": "credit",
            "send_action": self.send_action if arrived else "none",
        }
