import psycopg2

from odoo import fields, models
from odoo.exceptions import UserError

from .. import periods


class InvoiceRunLine(models.Model):
    """Credits of days that were billed and are not owed any more.

    A correction is no claim: what it holds is the cut of the earlier claim. Claiming it cuts
    (or releases) the earlier claim for the credited days, releasing it restores that claim.
    """

    _inherit = "invoice.run.line"

    corrects_id = fields.Many2one(
        "invoice.run.line",
        "Credits",
        readonly=True,
        index="btree_not_null",
        ondelete="restrict",
        help="Earlier amount that this one gives back in part or in full.",
    )
    superseded_by_id = fields.Many2one(
        "invoice.run.line",
        "Credited By",
        readonly=True,
        index="btree_not_null",
        ondelete="restrict",
        help="Later amount that gives days of this one back.",
    )

    credited_line_id = fields.Many2one(
        "account.move.line",
        "Credited Invoice Line",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="set null",
        help="What this one gives back: the invoice line that billed the days.",
    )
    is_applied = fields.Boolean(
        "Credit in Force",
        readonly=True,
        copy=False,
        help="The claim of the amount that this one gives back is cut by its days.",
    )

    def _is_held(self):
        """Whether this amount still holds what it bills: its claim, or the cut of another."""
        self.ensure_one()
        return self.is_applied if self.corrects_id else self.is_claimed

    def _is_overbilled(self):
        """Whether days of this amount are to be credited: invoiced, and after the end of its line.

        Not while an earlier credit of it waits for its invoice: that one is renewed.
        """
        is_waiting = self.superseded_by_id.document_id.state in ("to_do", "failed")
        is_invoiced = self.document_id.state in ("invoiced", "nothing")
        return is_invoiced and not is_waiting and self._is_beyond_end()

    def _is_beyond_end(self):
        """Whether this amount claims days after the end of its price line."""
        self.ensure_one()
        line = self.contract_line_id
        if not self.is_claimed or not line or line.price_interval == "once":
            return False
        last = line._get_last_day()
        return bool(last and self.period_to > last)

    def _claim_corrections(self):
        """Cut the earlier claims for the days that these corrections credit, last days first.

        :raises UserError: the earlier claim does not cover these days any more
        """
        missing = self.filtered(lambda line: not line.is_applied)
        for line in missing.sorted("billing_date_from", reverse=True):
            earlier = line.corrects_id
            if not earlier.is_claimed or earlier.period_to != line.billing_date_to:
                raise UserError(
                    self.env._(
                        "%(what)s was corrected otherwise meanwhile. Delete the amounts and "
                        "generate them again.",
                        what=earlier._get_reference(),
                    )
                )
            if line.billing_date_from <= earlier.period_from:
                vals = {"is_claimed": False}
            else:
                vals = {"period_to": line.billing_date_from - periods.DAY}
            earlier.write({**vals, "superseded_by_id": line.id})
            earlier.flush_recordset()
            line.is_applied = True

    def _release_corrections(self):
        """Restore the earlier claims, first days first.

        :raises UserError: a later correction builds on this one, or the days are claimed again
        """
        for line in self.filtered("is_applied").sorted("billing_date_from"):
            earlier = line.corrects_id
            if earlier.superseded_by_id != line:
                raise UserError(
                    self.env._(
                        "%(what)s was credited again by %(later)s. Undo that first.",
                        what=earlier._get_reference(),
                        later=earlier.superseded_by_id._get_reference(),
                    )
                )
            previous = earlier._get_corrections() - line
            earlier._restore_claim(
                {
                    "is_claimed": True,
                    "period_to": line.billing_date_to,
                    "superseded_by_id": previous[:1].id,
                }
            )
            line.is_applied = False

    def _restore_claim(self, vals):
        try:
            with self.env.cr.savepoint():
                self.write(vals)
                self.flush_recordset()
        except psycopg2.IntegrityError as error:
            self.invalidate_recordset()
            raise UserError(
                self.env._(
                    "The days that were credited are billed again meanwhile. %(message)s",
                    message=self._get_claim_conflict_message(vals["period_to"]),
                )
            ) from error

    def _get_corrections(self):
        """Return the corrections of these amounts that are in force, first days first."""
        domain = [("corrects_id", "in", self.ids), ("is_applied", "=", True)]
        return self.search(domain, order="billing_date_from")

    def _get_reference(self):
        """Return the invoice, else the run, of this amount for a message."""
        return self.document_id.move_id.display_name or self.run_id.reference

    def _prepare_correction_vals(self, first):
        """Return the values of the amount that credits this one from ``first`` on (inclusive).

        It mirrors product, taxes and analytic distribution of what was billed, and names
        invoice and period.
        """
        self.ensure_one()
        span = periods.Span(max(first, self.period_from), self.period_to)
        amount = self._get_credit_amount(span)
        env = self.with_context(lang=self.contract_id._get_invoice_lang()).env
        name = env._(
            "Credit of %(invoice)s: %(name)s",
            invoice=self.document_id.move_id.name or self.run_id.reference,
            name=self.contract_line_id.with_env(env)._get_invoice_line_name(span),
        )
        return {
            "contract_id": self.contract_id.id,
            "contract_line_id": self.contract_line_id.id,
            "corrects_id": self.id,
            "product_id": self.product_id.id,
            "product_uom_id": self.product_uom_id.id,
            "name": name,
            "period_from": span.date_from,
            "period_to": span.date_to,
            "billing_date_from": span.date_from,
            "billing_date_to": span.date_to,
            "quantity": -1.0,
            "price_unit": amount,
            "discount": 0.0,
            "amount": -amount,
            "tax_ids": self.tax_ids.ids,
            "analytic_distribution": self.analytic_distribution,
        }

    def _get_billed_span(self):
        """Return the days that the invoice shows, whatever was credited since."""
        return periods.Span(self.billing_date_from, self.billing_date_to)

    def _get_credit_amount(self, span):
        """Return what to give back for ``span``, the last days of the claim, to the coin.

        All but what the days before it cost: however the terms of the contract change between
        two corrections, all of them together never give back more than was billed.
        """
        left = periods.exact(self.amount)
        left += sum(periods.exact(line.amount) for line in self._get_corrections())
        if span.date_from > self.period_from:
            kept = periods.Span(self.period_from, span.date_from - periods.DAY)
            left -= periods.exact(self._get_billed_amount(kept))
        return float(left)

    def _get_billed_amount(self, span):
        """Return what this amount billed for ``span``, a part of its claim, to the coin.

        By the same function that made it, with the price of then; by days where the terms of
        the contract were changed since, so that it no longer gives the billed amount.
        """
        line = self.contract_line_id
        terms = line.contract_id._get_billing_terms()
        coin = periods.exact(self.document_id.currency_id.rounding)
        first = line._get_counted_from()
        billed = self._get_billed_span()

        def charge(part):
            price = periods.exact(self.net_price)
            return periods.charge(terms, line.price_interval, first, part, price, coin).amount

        if charge(billed) == periods.exact(self.amount):
            return float(charge(span))
        share = periods.exact(self.amount) * span.days / billed.days
        return float(periods.round_half_up(share, coin))
