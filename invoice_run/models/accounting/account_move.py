from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

from ..base.groups import ACCOUNTANTS
from ..base.invoice_run_guarded import ENGINE
from ..base.states import SEND_DONE, SEND_OPEN
from ..delivery.account_move_send import SENT_MESSAGE


class AccountMove(models.Model):
    _name = "account.move"
    _inherit = ["account.move", "invoice.run.guarded"]

    # written by the engine only: nobody detaches an invoice from its claims, or forges one
    invoice_run_id = fields.Many2one(
        "invoice.run",
        copy=False,
        readonly=True,
        index="btree_not_null",
        check_company=True,
        groups=ACCOUNTANTS,
        engine=True,
    )
    invoice_run_document_id = fields.Many2one(
        "invoice.run.document",
        copy=False,
        readonly=True,
        index="btree_not_null",
        groups=ACCOUNTANTS,
        engine=True,
    )
    billing_title = fields.Char("Invoice Name")
    billing_category_id = fields.Many2one(
        "billing.category", "Invoice Category", check_company=True, groups=ACCOUNTANTS
    )
    billing_contract_ids = fields.Many2many(
        "billing.contract",
        string="Billing Contracts",
        compute="_compute_billing_contract_ids",
        groups="invoice_run.invoice_run_group_user",
    )
    invoice_bill_again = fields.Boolean(
        "Release for Invoicing",
        copy=False,
        readonly=True,
        groups=ACCOUNTANTS,
        help="When this credit note is confirmed for the full amount, the periods of the invoice "
        "that it reverses are released for invoicing.",
        engine=True,
    )
    billing_given_back = fields.Boolean(
        "Released for Invoicing",
        copy=False,
        readonly=True,
        groups=ACCOUNTANTS,
        help="A confirmed credit note of the full amount has released its periods for invoicing.",
        engine=True,
    )

    _run_document_invoiced_once = models.UniqueIndex(
        "(invoice_run_document_id) WHERE invoice_run_document_id IS NOT NULL "
        "AND state IS DISTINCT FROM 'cancel' AND billing_given_back IS NOT TRUE",
        "This document of an invoice run already has an invoice. Cancel or delete one of the two.",
    )

    @api.depends("invoice_line_ids.invoice_run_line_id")
    def _compute_billing_contract_ids(self):
        for move in self:
            move.billing_contract_ids = move.invoice_line_ids.invoice_run_line_id.contract_id

    def _get_move_lines_to_report(self):
        # EXTENDS 'account': a minimum that was reached charges nothing, so nobody need read it; the
        # line is on the invoice because the period is invoiced exactly while that is in force
        lines = super()._get_move_lines_to_report()
        return lines.filtered(lambda line: not line._is_idle_bound()) or lines

    def _get_usage_page(self):
        """Return what the PDF lists of usage, see ``invoice.run.document``; None: nothing."""
        # sudo: users who print an invoice, and customers, need not see the run that created it
        document = self.sudo().invoice_run_document_id
        return document._get_usage_page() if document else None

    def write(self, vals):
        # EXTENDS 'account': confirming, cancelling and resetting decide what holds a period
        moves = self._get_moves_of_runs() if "state" in vals else self.browse()
        moves._prepare_state(vals.get("state"))
        result = super().write(vals)
        if moves:
            # a draft holds its periods like a confirmed invoice: only what it reverses changes
            own = vals["state"] != "posted"
            moves._get_affected_run_lines(own=own)._follow_invoices()
        return result

    def _prepare_state(self, state):
        """Check and prepare that these moves of runs get another state.

        :raises UserError: credits, or what is invoiced again, stand in the way
        """
        if not self:
            return
        if state in ("draft", "cancel"):
            self._check_not_given_back()
            confirmed = self.filtered(lambda move: move.state == "posted")
            confirmed._get_credit_lines()._check_not_built_upon()
            self._forget_unsent_mails()
        elif state == "posted":
            self._check_given_back_once()
            self._get_credit_lines()._check_credits_fit()
        if state == "cancel":
            self._get_lines_of_runs()._check_credits_undone()
            self._forget_credit_documents()

    def _get_moves_of_runs(self):
        """Return those of these moves that invoice something of runs, or credit it.

        Every confirmation of a journal entry passes here. Odoo has read moves and items by then, so
        entries that have nothing to do with a run cost no query, and reversals cost one.
        """
        # sudo: whoever confirms an entry need not see the run that created the invoice
        moves = self.sudo()
        found = moves.filtered(lambda move: move._is_of_runs())
        reversals = (moves - found).filtered("reversed_entry_id")
        if reversals:
            lines = reversals.reversed_entry_id._get_lines_of_runs()
            found += reversals.filtered(lambda move: move.reversed_entry_id in lines.move_id)
        return self.browse(found.ids)

    def _is_of_runs(self):
        return bool(self.invoice_run_document_id) or any(
            line.invoice_run_line_id or line.billing_credited_line_id for line in self.line_ids
        )

    def unlink(self):
        # EXTENDS 'account': a deleted credit note no longer gives periods back
        moves = self._get_moves_of_runs()
        run_lines = moves._get_affected_run_lines()
        moves._forget_credit_documents()
        result = super().unlink()
        if run_lines:
            run_lines.exists()._follow_invoices()
        return result

    def _reverse_moves(self, default_values_list=None, cancel=False):
        # EXTENDS 'account': whoever reverses, the lines name what they credit
        moves = self.with_context(invoice_run_reversing=ENGINE)
        credits = super(AccountMove, moves)._reverse_moves(default_values_list, cancel)
        return credits.with_env(self.env)

    def _touch(self):
        """Prevent two transactions that credit these invoices at once from both succeeding.

        The second one is repeated, and then sees what the first one left.
        """
        if self:
            query = SQL(
                "UPDATE account_move SET write_date = write_date WHERE id = ANY(%s)", self.ids
            )
            self.env.execute_query(query)

    def _get_credit_lines(self):
        """Return the lines of these moves that credit invoice lines of runs."""
        # sudo: whoever confirms a credit note need not see the run that created the invoice
        lines = self.env["account.move.line"].sudo()
        domain = [("move_id", "in", self.ids), ("billing_credited_line_id", "!=", False)]
        return lines.search(domain)

    def _get_lines_of_runs(self):
        """Return the lines of these invoices that are amounts of runs."""
        # sudo: whoever cancels an invoice need not see the run that created it
        lines = self.env["account.move.line"].sudo()
        return lines.search([("move_id", "in", self.ids), ("invoice_run_line_id", "!=", False)])

    def _forget_unsent_mails(self):
        """Withdraw unsent emails of these moves; they are sent anew when confirmed."""
        # sudo: whoever changes an invoice need not see the run that created it
        documents = self.env["invoice.run.document"].sudo()
        domain = [("move_id", "in", self.ids), ("send_state", "=", "pending")]
        documents.search([*domain, ("send_message_id", "!=", False)])._forget_unsent_mails()

    def _forget_credit_documents(self):
        """Do not send credit notes of a run that are deleted or cancelled before they were sent."""
        if not self:
            return
        # sudo: whoever cancels a credit note need not see the run that created it
        documents = (
            self.env["invoice.run.document"]
            .sudo()
            .search(
                [
                    ("move_id", "in", self.ids),
                    ("state", "=", "credit"),
                    ("send_state", "not in", SEND_DONE),
                ]
            )
        )
        documents._cancel_mails()
        documents.unlink()

    def _message_post_after_hook(self, new_message, message_values):
        # EXTENDS 'account': the document of a run follows the message that sends its invoice
        result = super()._message_post_after_hook(new_message, message_values)
        is_marked = self.env.context.get("invoice_run_message") is SENT_MESSAGE
        # what it sets off has the same context: somebody is out of office, a rule posts a note
        if is_marked and new_message.message_type == "comment":
            self._get_document_to_follow()._note_message(new_message)
        return result

    def _get_document_to_follow(self):
        """Return the document of a run that this message sends.

        A message that somebody sends in Accounting counts as the run's if that has yet to send one.
        """
        batch = self.env.context.get("invoice_run_batch")
        # what a mail of a run sets off may send an invoice that is not of the batch
        if batch and self.id in batch.documents:
            # the first one that is posted: a rule may answer it with another
            return batch.documents[self.id].filtered(lambda doc: not doc.send_message_id)
        # sudo: users who send an invoice need not see the run that created it
        documents = self.env["invoice.run.document"].sudo()
        domain = [("move_id", "=", self.id), ("send_action", "=", "email")]
        return documents.search([*domain, ("send_state", "in", SEND_OPEN)])

    def action_view_invoice_run(self):
        """Open the run that created this invoice."""
        self.ensure_one()
        self.invoice_run_id.check_access("read")
        return self.invoice_run_id._get_records_action()

    def _get_affected_run_lines(self, own=True):
        """Return the amounts on these moves and on the invoices that they reverse.

        :param own: with the amounts on these moves themselves
        """
        if not self.ids:
            return self.env["invoice.run.line"]
        MoveLine = self.env["account.move.line"]
        MoveLine.flush_model(["move_id", "invoice_run_line_id"])
        self.flush_model(["reversed_entry_id"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT DISTINCT line.invoice_run_line_id
                  FROM account_move_line line
                 WHERE line.invoice_run_line_id IS NOT NULL
                   AND (line.move_id = ANY(%(own)s) OR line.move_id IN (
                       SELECT reversed_entry_id FROM account_move
                        WHERE id = ANY(%(ids)s) AND reversed_entry_id IS NOT NULL))
                """,
                ids=self.ids,
                own=self.ids if own else [],
            )
        )
        # sudo: whoever confirms or cancels an invoice need not see the run that created it
        return self.env["invoice.run.line"].sudo().browse([row[0] for row in rows])

    def _is_billing(self):
        """Whether this invoice claims the periods that it invoices.

        A cancelled invoice does not, nor one that a confirmed credit note of the full amount
        released for invoicing.
        """
        self.ensure_one()
        if self.state == "cancel":
            return False
        return not self._get_giving_back()

    def _get_giving_back(self):
        """Return the confirmed credit notes of the full amount that release it for invoicing."""
        return self.reversal_move_ids.filtered(
            lambda credit: credit.state == "posted" and credit._gives_back()
        )

    def _gives_back(self):
        """Whether this credit note, when confirmed, releases the periods of its invoice."""
        self.ensure_one()
        invoice = self.reversed_entry_id
        return (
            self.invoice_bill_again
            and self.currency_id.compare_amounts(self.amount_total, invoice.amount_total) == 0
        )

    def _note_given_back(self):
        """Note, for the unique indexes, which of these invoices no longer hold their amounts.

        By these, the database refuses a second invoice in force.
        """
        changed = self.filtered(
            lambda move: move.billing_given_back != bool(move._get_giving_back())
        )
        # first what is released: the others may take its place
        for before, moves in sorted(changed.grouped("billing_given_back").items()):
            lines = moves.line_ids.filtered("invoice_run_line_id")
            moves._write_engine({"billing_given_back": not before})
            lines._write_engine({"billing_given_back": not before})
        # the invoice that takes their place must not meet them
        self.flush_recordset(["billing_given_back", "state"])
        self.line_ids.flush_recordset(["billing_given_back", "parent_state"])

    def _check_given_back_once(self):
        """Refuse a second credit note that releases the same periods for invoicing.

        :raises UserError: names the first one
        """
        for credit in self.filtered("invoice_bill_again"):
            invoice = credit.reversed_entry_id
            others = invoice._get_giving_back() - credit
            if others and credit._gives_back():
                raise UserError(
                    self.env._(
                        "%(credit)s already credits %(invoice)s and releases it for invoicing. "
                        "Delete this second credit note.",
                        credit=others[0].display_name,
                        invoice=invoice.display_name,
                    )
                )

    def _check_not_given_back(self):
        """Refuse to take back an invoice whose credit note released its periods.

        Only the credit note would remain: the customer would get the money back twice.

        :raises UserError: names the credit note
        """
        for move in self.filtered(lambda move: move.state == "posted"):
            credits = move._get_giving_back() - self
            if credits:
                raise UserError(
                    self.env._(
                        "%(credit)s credits %(invoice)s and releases it for invoicing. Reset "
                        "that credit note to draft or cancel it first.",
                        credit=credits[0].display_name,
                        invoice=move.display_name,
                    )
                )

    def _reverse_to_bill_again(self):
        """Credit these invoices in full, so that their periods become billable again.

        Only those that are confirmed and in force; each in its own journal.

        :return: the credit notes, confirmed
        :raises UserError: some have credit notes already
        """
        moves = self.filtered(lambda move: move.state == "posted" and move._is_billing())
        moves._check_not_credited()
        credits = self.browse()
        for group in moves.grouped(lambda move: (move.company_id, move.journal_id)).values():
            # dated by the company's day, whoever carries it out
            zone = str(group.company_id._get_invoice_run_zone())
            wizard = (
                self.env["account.move.reversal"]
                .with_context(active_model="account.move", active_ids=group.ids, tz=zone)
                .create({"journal_id": group.journal_id.id, "invoice_bill_again": True})
            )
            wizard.refund_moves()
            credits |= wizard.new_move_ids
        if credits:
            # together, because one may undo what another one builds on
            credits._post(soft=False)
        return credits

    def _check_not_credited(self):
        """Refuse invoices that were credited by hand, in part or in draft too.

        A further credit note in full would credit more than was invoiced.

        :raises UserError: names the first of them and its credit note
        """
        domain = [("reversed_entry_id", "in", self.ids), ("state", "!=", "cancel")]
        credits = self.search(domain, order="id")
        if credits:
            raise UserError(
                self.env._(
                    "%(count)s of the invoices already have credit notes (%(invoice)s: "
                    "%(credit)s). Cancel these credit notes, or select and reverse the other "
                    "documents.",
                    count=len(credits.reversed_entry_id),
                    invoice=credits[0].reversed_entry_id.display_name,
                    credit=credits[0].display_name,
                )
            )
