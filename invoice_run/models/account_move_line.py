from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL, float_compare
from odoo.tools.misc import format_amount

from .. import ledger, periods
from .account_move import ACCOUNTANTS
from .billing_ledger import SIGN
from .invoice_run_guarded import ENGINE, EngineValue

#: What a credit stands on: not changed before the credit is undone.
CREDITED_FIELDS = {
    "quantity",
    "price_unit",
    "discount",
    "tax_ids",
    "product_id",
    "account_id",
    "billing_date_from",
    "billing_date_to",
}


class AccountMoveLine(models.Model):
    _name = "account.move.line"
    _inherit = ["account.move.line", "invoice.run.guarded"]

    invoice_run_line_id = fields.Many2one(
        "invoice.run.line",
        "Billed Amount",
        copy=False,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        groups=ACCOUNTANTS,
    )
    billing_given_back = fields.Boolean(
        copy=False,
        readonly=True,
        groups=ACCOUNTANTS,
        help="As on the invoice: for the index, which sees no other table.",
    )
    billing_credited_line_id = fields.Many2one(
        "account.move.line",
        "Credited Invoice Line",
        copy=False,
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        groups=ACCOUNTANTS,
        help="Invoice line of a run that this one gives back; the ledger counts them together.",
    )
    billing_credit_kind = fields.Selection(
        [
            (ledger.LAST, "For the last days billed"),
            (ledger.DAYS, "For the days of the line"),
            (ledger.GOODWILL, "A goodwill, not for days"),
        ],
        "Credit For",
        copy=False,
        readonly=True,
        groups=ACCOUNTANTS,
        help="For which days the money is given back. Empty: nobody was asked.",
    )
    billing_date_from = fields.Date("Period From", help="First day billed, included.")
    billing_date_to = fields.Date("Period To", help="Last day billed, included.")

    _run_line_invoiced_once = models.UniqueIndex(
        "(invoice_run_line_id) WHERE invoice_run_line_id IS NOT NULL"
        " AND parent_state IS DISTINCT FROM 'cancel' AND billing_given_back IS NOT TRUE",
        "This amount of an invoice run is on an invoice already. Cancel or delete one of the two.",
    )

    @api.model
    def _get_engine_fields(self):
        # EXTENDS 'invoice.run.guarded'
        return super()._get_engine_fields() | {
            "invoice_run_line_id",
            "billing_given_back",
            "billing_credited_line_id",
            "billing_credit_kind",
        }

    def write(self, vals):
        # EXTENDS 'account': a credit stands on the amounts and days of what it gives back
        if CREDITED_FIELDS.intersection(vals):
            self._get_changed_lines(vals)._check_credits_undone()
        return super().write(vals)

    def _get_changed_lines(self, vals):
        """Return those of these lines of runs of which ``vals`` change amount, account or days."""
        # sudo: who edits an invoice need not see the run that made it
        lines = self.sudo().filtered("invoice_run_line_id")
        if not lines:
            return lines
        names = CREDITED_FIELDS.intersection(vals)
        return lines.filtered(lambda line: any(line._is_other(name, vals[name]) for name in names))

    def _is_other(self, name, value):
        """Whether ``value``, as given to ``write``, is another one than this line has."""
        field = self._fields[name]
        new = field.convert_to_record(field.convert_to_cache(value, self), self)
        if field.type == "float":
            return float_compare(self[name], new, precision_digits=9) != 0
        return self[name] != new

    def unlink(self):
        # EXTENDS 'account': a deleted invoice line gives its period back
        # sudo: who may delete an invoice line need not see the run that made it
        self.sudo()._check_credits_undone()
        run_lines = self.sudo().invoice_run_line_id
        result = super().unlink()
        if run_lines:
            run_lines.exists()._follow_invoices()
        return result

    def _copy_data_extend_business_fields(self, values):
        # EXTENDS 'account': what reverses an invoice line names it; "Reverse and create invoice"
        # moves the claim to the new invoice
        result = super()._copy_data_extend_business_fields(values)
        # sudo: who reverses an invoice need not see the run that made it
        line, links = self.sudo(), {}
        # the object, not True: over RPC a context can hold anything else
        if self.env.context.get("invoice_run_reversing") is ENGINE:
            billed = line.invoice_run_line_id and not line.billing_credited_line_id
            links["billing_credited_line_id"] = (line if billed else line.billing_credited_line_id).id
            links["billing_credit_kind"] = line.billing_credit_kind
        elif self.env.context.get("invoice_run_move_claims") is ENGINE:
            links["invoice_run_line_id"] = line.invoice_run_line_id.id
            links["billing_credited_line_id"] = line.billing_credited_line_id.id
        values.update({name: EngineValue(value) for name, value in links.items()})
        return result

    # ------------------------------------------------------------------
    # Credits
    # ------------------------------------------------------------------

    def _get_given_back(self, without=()):
        """Return what gave these invoice lines back, untaxed: negative on an invoice.

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
        """Refuse to change or take away what a credit gives back: the credit would hang.

        A goodwill stands on its own. Two credits that cancel each other out count as none.

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
        """Return the names of what gives this invoice line back, for a message."""
        domain = [("billing_credited_line_id", "in", self.ids), ("parent_state", "!=", "cancel")]
        credits = self.search(domain)
        return ", ".join(sorted(set(credits.move_id.mapped("display_name"))))

    def _check_credits_fit(self):
        """Refuse credits of cancelled invoices, and those that give back more than was billed.

        :raises UserError: names the invoice, what is left of it and what would be given back
        """
        credited = self.billing_credited_line_id
        given_back = credited._get_given_back(without=self.ids)
        for line in credited:
            if line.move_id.state == "cancel":
                raise UserError(
                    self.env._(
                        "%(invoice)s is cancelled: there is nothing to give back. Delete the "
                        "credit.",
                        invoice=line.move_id.display_name,
                    )
                )
            mine = self.filtered(lambda credit, line=line: credit.billing_credited_line_id == line)
            line._check_enough_left(mine, given_back.get(line.id, (0.0, 0.0))[0])

    def _check_enough_left(self, credits, given_back):
        """Refuse ``credits`` of this line after which less than nothing would be left of it.

        :param given_back: what other credits gave back, negative on an invoice
        """
        billed = self._get_signed_subtotal()
        now = sum(credit._get_signed_subtotal() for credit in credits)
        left, currency = billed + given_back, self.currency_id
        room = max(0.0, left if billed > 0 else -left)
        if billed * now >= 0 or currency.compare_amounts(abs(now), room) <= 0:
            return
        raise UserError(
            self.env._(
                "“%(what)s” on %(invoice)s: %(left)s is left of it, %(now)s would be given back. "
                "Correct the credit.",
                what=(self.name or "").split("\n")[0],
                invoice=self.move_id.display_name,
                left=format_amount(self.env, left, currency),
                now=format_amount(self.env, -now, currency),
            )
        )

    def _get_signed_quantity(self):
        """Return the quantity: positive where it is billed, negative where given back."""
        self.ensure_one()
        return -self.quantity if self.move_id.move_type == "out_refund" else self.quantity

    def _get_signed_subtotal(self):
        """Return the untaxed amount: positive where it is billed, negative where given back."""
        self.ensure_one()
        return (
            -self.price_subtotal if self.move_id.move_type == "out_refund" else self.price_subtotal
        )

    def _is_money_back(self):
        """Whether this line gives an invoice line back, rather than taking a credit back."""
        origin = self.billing_credited_line_id
        return self._get_signed_subtotal() * origin._get_signed_subtotal() < 0

    def _get_unasked_credits(self):
        """Return the confirmed lines that give money of this invoice line back, nobody said why.

        Lines that somebody added to a credit note of its invoice too: they name no line.
        """
        self.ensure_one()
        domain = Domain("parent_state", "=", "posted") & Domain("billing_credit_kind", "=", False)
        domain &= Domain("invoice_run_line_id", "=", False)
        named = Domain("billing_credited_line_id", "=", self.id)
        added = Domain("billing_credited_line_id", "=", False)
        added &= Domain("move_id.reversed_entry_id", "=", self.move_id.id)
        added &= Domain("display_type", "=", "product") & Domain("price_subtotal", "!=", 0)
        credits = self.search(domain & (named | added))
        return credits.filtered(lambda line: not line.move_id._gives_back())

    def _answer_credit(self, answer, credited=None):
        """Write for which days these lines give money back.

        :param answer: a record of ``billing.credit.mixin``
        :param credited: the invoice line that those give back that name none
        :raises UserError: more would be given back than was billed
        """
        for line in self:
            vals = {"billing_credit_kind": answer.billing_credit_kind}
            origin = line.billing_credited_line_id or credited
            if not line.billing_credited_line_id and answer.billing_credit_kind != ledger.GOODWILL:
                given_back = origin._get_given_back().get(origin.id, (0.0, 0.0))
                origin._check_enough_left(line, given_back[0])
                vals["billing_credited_line_id"] = origin.id
            first, last = origin.billing_date_from, origin.billing_date_to
            if answer.billing_credit_kind == ledger.DAYS and first and last:
                span = periods.Span(first, last)
                part = span.clip(answer.billing_credit_from, answer.billing_credit_to) or span
                vals.update(billing_date_from=part.date_from, billing_date_to=part.date_to)
            line._write_engine(vals)
