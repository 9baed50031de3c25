from collections import defaultdict

from odoo import models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL
from odoo.tools.misc import format_amount

from ...engine import ledger, periods
from ..ledger.billing_ledger import SIGN


class AccountMoveLine(models.Model):
    """Lines that credit invoice lines of runs: never more than is left."""

    _inherit = "account.move.line"

    def _get_given_back(self, without=()):
        """Return what credited these invoice lines, untaxed: negative on an invoice.

        Confirmed lines, and drafts of runs. Read by SQL: every journal item that is deleted
        passes here.

        :param without: ids of credit lines that do not count
        :return: {invoice line id: (all of it, without goodwill)}; lines without any are not in it
        """
        if not self.ids:
            return {}
        self.flush_model(["billing_credited_line_id", "billing_credit_kind", "price_subtotal"])
        self.flush_model(["invoice_run_line_id", "move_id"])
        self.env["account.move"].flush_model(["state", "move_type"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT credit.billing_credited_line_id,
                       sum(%(sign)s * credit.price_subtotal),
                       sum(%(sign)s * credit.price_subtotal)
                           FILTER (WHERE credit.billing_credit_kind IS DISTINCT FROM 'goodwill')
                  FROM account_move_line credit
                  JOIN account_move move ON move.id = credit.move_id
                 WHERE credit.billing_credited_line_id = ANY(%(ids)s)
                   AND NOT credit.id = ANY(%(without)s)
                   AND (move.state = 'posted' OR
                        move.state = 'draft' AND credit.invoice_run_line_id IS NOT NULL)
                 GROUP BY credit.billing_credited_line_id
                """,
                sign=SIGN,
                ids=self.ids,
                without=[*self.ids, *without],
            )
        )
        return {line_id: (float(total), float(days or 0)) for line_id, total, days in rows}

    def _check_credits_undone(self):
        """Refuse to change or remove what a credit credits: the credit would refer to nothing.

        A goodwill credit stands on its own. Two credits that cancel each other out count as none.

        :raises UserError: names invoice and credit
        """
        for line_id, (_total, for_days) in self._get_given_back().items():
            line = self.browse(line_id)
            if line.currency_id.is_zero(for_days):
                continue
            raise UserError(
                self.env._(
                    "%(what)s was credited in part by %(later)s. Undo that first.",
                    what=line.move_id.display_name,
                    later=line._get_credit_names(),
                )
            )

    def _get_credit_names(self):
        """Return the names of what credits this invoice line, for a message."""
        domain = [("billing_credited_line_id", "in", self.ids), ("parent_state", "!=", "cancel")]
        credits = self.search(domain)
        return ", ".join(sorted(set(credits.move_id.mapped("display_name"))))

    def _check_credits_fit(self):
        """Refuse credits of cancelled invoices, and those that credit more than was invoiced.

        :raises UserError: names the invoice, what is left of it and what would be credited
        """
        credited = self.billing_credited_line_id
        credited.move_id._touch()
        self.filtered(lambda line: line._takes_credit_back())._check_not_built_upon()
        given_back = credited._get_given_back(without=self.ids)
        for line in credited:
            if line.move_id.state == "cancel":
                raise UserError(
                    self.env._(
                        "%(invoice)s is cancelled: there is nothing to credit. Delete the credit.",
                        invoice=line.move_id.display_name,
                    )
                )
            mine = self.filtered(lambda credit, line=line: credit.billing_credited_line_id == line)
            line._check_enough_left(mine, given_back.get(line.id, (0.0, 0.0))[0])

    def _takes_credit_back(self):
        """Whether this line undoes a credit that somebody created by hand."""
        reversed_lines = self.move_id.reversed_entry_id.line_ids
        credits = reversed_lines.filtered(
            lambda line: line.billing_credited_line_id == self.billing_credited_line_id
        )
        return bool(credits) and not credits.invoice_run_line_id

    def _check_not_built_upon(self):
        """Refuse to undo credits by hand when a run has since credited the rest of their line.

        The run would then have credited too little: the customer would owe days of no invoice.

        :raises UserError: names the credit by hand and the later one
        """
        for line in self.filtered(lambda line: not line.invoice_run_line_id):
            corrections = line.billing_credited_line_id.invoice_run_line_id._get_corrections()
            later = corrections.filtered(
                lambda correction, line=line: correction.create_date >= line.create_date
            )
            if later:
                raise UserError(
                    self.env._(
                        "%(what)s was credited again by %(later)s. Undo that first.",
                        what=line.billing_credited_line_id.move_id.display_name,
                        later=later[-1]._get_reference(),
                    )
                )

    def _check_enough_left(self, credits, given_back):
        """Refuse ``credits`` of this line that exceed what is left of it.

        :param given_back: what other credits took, negative on an invoice
        """
        billed = self._get_signed_subtotal()
        now = sum(credit._get_signed_subtotal() for credit in credits)
        left, currency = billed + given_back, self.currency_id
        room = max(0.0, left if billed > 0 else -left)
        if billed * now >= 0 or currency.compare_amounts(abs(now), room) <= 0:
            return
        raise UserError(
            self.env._(
                "“%(what)s” on %(invoice)s: only %(left)s is left to credit, but %(now)s "
                "would be credited. Correct the credit.",
                what=(self.name or "").split("\n")[0],
                invoice=self.move_id.display_name,
                left=format_amount(self.env, left, currency),
                now=format_amount(self.env, -now, currency),
            )
        )

    def _get_signed_quantity(self):
        """Return the quantity: positive where it is invoiced, negative where credited."""
        self.ensure_one()
        return -self.quantity if self.move_id.move_type == "out_refund" else self.quantity

    def _get_signed_subtotal(self):
        """Return the untaxed amount: positive where it is invoiced, negative where credited."""
        self.ensure_one()
        return (
            -self.price_subtotal if self.move_id.move_type == "out_refund" else self.price_subtotal
        )

    def _is_money_back(self):
        """Whether this line credits an invoice line, rather than undoing a credit."""
        origin = self.billing_credited_line_id
        return self._get_signed_subtotal() * origin._get_signed_subtotal() < 0

    def _get_unasked_credits(self):
        """Return the confirmed lines that credit this invoice line and whose reason nobody gave.

        Also lines that somebody added to a credit note of its invoice: they name no line.
        """
        self.ensure_one()
        domain = Domain("parent_state", "=", "posted") & Domain("billing_credit_kind", "=", False)
        domain &= Domain("invoice_run_line_id", "=", False)
        named = Domain("billing_credited_line_id", "=", self.id)
        added = Domain("billing_credited_line_id", "=", False)
        added &= Domain("move_id.reversed_entry_id", "=", self.move_id.id)
        added &= Domain("display_type", "=", "product") & Domain("price_subtotal", "!=", 0)
        credits = self.search(domain & (named | added))
        credits = credits.filtered(lambda line: not line.move_id._gives_back())
        # a credit that was taken back is no question any more
        total = sum(credit._get_signed_subtotal() for credit in credits)
        return credits.browse() if self.currency_id.is_zero(total) else credits

    def _answer_credit(self, answer, credited=None):
        """Write for which days these lines are a credit.

        :param answer: a record of ``billing.credit.mixin``
        :param credited: the invoice line of those that name none
        :raises UserError: more would be credited than was invoiced
        """
        alike = defaultdict(self.browse)
        for line in self:
            vals = {"billing_credit_kind": answer.billing_credit_kind}
            origin = line.billing_credited_line_id or credited
            if not line.billing_credited_line_id and answer.billing_credit_kind != ledger.GOODWILL:
                given_back = origin._get_given_back().get(origin.id, (0.0, 0.0))
                origin._check_enough_left(line, given_back[0])
                # the next of these lines is checked against it
                line._write_engine({"billing_credited_line_id": origin.id})
            first, last = origin.billing_date_from, origin.billing_date_to
            if answer.billing_credit_kind == ledger.DAYS and first and last:
                span = periods.Span(first, last)
                part = span.clip(answer.billing_credit_from, answer.billing_credit_to) or span
                vals.update(billing_date_from=part.date_from, billing_date_to=part.date_to)
            alike[tuple(vals.items())] += line
        for vals, lines in alike.items():
            lines._write_engine(dict(vals))
