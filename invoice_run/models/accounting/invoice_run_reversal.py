from odoo import fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from ..base.states import SEND_DONE

#: What the names of a document's amounts begin with.
AMOUNTS = ("amount_", "company_amount_")
#: Documents that are reversed while a user waits; more is background work.
REVERSE_AT_ONCE = 50


class InvoiceRun(models.Model):
    """Reverse what was invoiced by credit notes, after which the periods are billable again."""

    _inherit = "invoice.run"

    def action_reverse(self):
        """Credit all confirmed invoices of these runs; their periods become billable again.

        What was credited already is left alone. Many are credited in the background.

        :return: action that opens the credit notes, or the runs where they are still to come
        :raises UserError: nothing is confirmed, or some invoices have credit notes already
        """
        self.check_access("write")
        self._check_not_busy()
        return self.document_ids._reverse()

    def action_stop_reversing(self):
        """Stop the background work that reverses; what has its credit note keeps it."""
        self.check_access("write")
        # after the chunk that the worker has in hand; it begins no other
        self._lock_rows()
        self.invalidate_recordset(["job"])
        for run in self.filtered(lambda run: run.job == "reverse"):
            run._stop_work()
            run.message_post(body=self.env._("Reversing was stopped by hand."))

    def _get_documents_to_reverse(self, **options):
        """Return what the background work has still to reverse.

        :param options: as for ``search``
        """
        # sudo: documents belong to the engine
        documents = self.env["invoice.run.document"].sudo()
        domain = [("run_id", "in", self.ids), ("is_to_reverse", "=", True)]
        return documents.search(domain, **options)

    def _queue_reversal(self, documents):
        """Have ``documents`` of this run reversed in the background.

        :raises UserError: the run is being processed otherwise
        """
        self._check_no_job()
        self._get_documents_to_reverse()._write_engine({"is_to_reverse": False})
        documents._write_engine({"is_to_reverse": True, "error": False})
        self._queue_job("reverse")


class InvoiceRunDocument(models.Model):
    _inherit = "invoice.run.document"

    is_to_reverse = fields.Boolean(
        "To Be Reversed",
        readonly=True,
        help="A user asked to reverse it, and the background work has not come to it yet.",
    )

    _to_reverse_idx = models.Index("(run_id) WHERE is_to_reverse")

    def action_reverse(self):
        """Credit the confirmed invoices of these documents, as a run credits all of its own.

        In any order, except that a later credit must be undone before what it builds on. Many are
        credited in the background.

        :return: action that opens the credit notes, or the runs where they are still to come
        :raises UserError: nothing is confirmed, or some invoices have credit notes already
        """
        self.check_access("write")
        self.run_id._check_not_busy()
        return self._reverse()

    def _reverse(self):
        self.env["account.move"].check_access("create")
        reversible = self._get_reversible()
        if len(reversible) > REVERSE_AT_ONCE:
            return reversible._reverse_in_background()
        settled = self.filtered(lambda document: document.state == "nothing")
        credits = self._give_back()
        settled._tell_settled()
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
        self.sudo()._create_credit_documents()._tell_run_of_credits()
        return credits._get_records_action(name=self.env._("Credit Notes"))

    def _get_reversible(self):
        """Return those of these documents that hold periods, by an invoice or without one."""
        confirmed = Domain("state", "=", "invoiced") & Domain("move_id.state", "=", "posted")
        domain = confirmed | Domain("state", "=", "nothing")
        return self.search(Domain("id", "in", self.ids) & domain)

    def _reverse_in_background(self):
        """Let the scheduled action reverse these documents; return an action to watch it.

        :raises UserError: some invoices have credit notes already, or a run is being processed
        """
        self.env["account.move.reversal"].check_access("create")
        self.move_id._check_not_credited()
        for run, documents in self.grouped("run_id").items():
            run._queue_reversal(documents)
        return self.run_id._get_records_action()

    def _process_reversal(self):
        """Reverse these documents; what cannot be reversed says why and stops no other."""
        self._attempt("_reverse_asked", "_set_not_reversed")

    def _reverse_asked(self):
        self._refuse(
            lambda document: (
                document.state == "invoiced"
                and document.move_id.state != "posted"
                and self.env._("The invoice is no longer confirmed.")
            )
        )
        self._give_back()
        self._create_credit_documents()
        self._write_engine({"is_to_reverse": False})

    def _set_not_reversed(self, reason):
        self._write_engine({"is_to_reverse": False, "error": reason})

    def _give_back(self):
        """Credit the invoices of these documents; release what they settled without an invoice.

        :return: the credit notes that take these documents back
        """
        billed = self.filtered(lambda document: document.state != "credit")
        settled = billed.filtered(lambda document: document.state == "nothing")
        moves = billed.move_id
        credits = moves._reverse_to_bill_again() or moves._get_giving_back()
        # sudo: documents belong to the engine
        settled.sudo()._give_settled_back()
        billed.filtered("error")._write_engine({"error": False})
        return credits

    def _give_settled_back(self):
        """Release the periods that these documents settled without an invoice.

        :raises UserError: a later credit builds on one of them
        """
        lines = self.line_ids
        # what was credited here comes back after what was invoiced in its place is given up
        lines.filtered(lambda line: not line.corrects_id)._release()
        lines.filtered("corrects_id")._release()
        self._set_state("released")

    def _tell_settled(self):
        for run in self.run_id:
            run.message_post(
                body=self.env._("Released without a credit note: nothing had been invoiced.")
            )

    def _create_credit_documents(self):
        """Create a document for each credit note of these documents, so that it is sent like them.

        One per credit note, and none where the customer never got the invoice.
        """
        self = self.filtered(lambda document: document.state != "credit")
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
