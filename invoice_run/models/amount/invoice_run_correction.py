from collections import defaultdict

import psycopg2

from odoo import fields, models
from odoo.exceptions import UserError

from ...engine import periods
from ..base.states import DOCUMENT_OPEN, DOCUMENT_SETTLED


class InvoiceRunLine(models.Model):
    """Credits for days that were invoiced but are no longer owed.

    A correction is not a claim: it shortens the earlier claim. Claiming it cuts
    (or releases) the earlier claim for the credited days, releasing it restores that claim.
    """

    _inherit = "invoice.run.line"

    corrects_id = fields.Many2one(
        "invoice.run.line",
        "Credits",
        readonly=True,
        index="btree_not_null",
        ondelete="restrict",
        help="Earlier amount that this one credits in part or in full.",
    )
    superseded_by_id = fields.Many2one(
        "invoice.run.line",
        "Credited By",
        readonly=True,
        index="btree_not_null",
        ondelete="restrict",
        help="Later amount that credits days of this one.",
    )

    credited_line_id = fields.Many2one(
        "account.move.line",
        "Credited Invoice Line",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="set null",
        help="Invoice line of the days that this one credits.",
    )
    is_applied = fields.Boolean(
        "Credit in Force",
        readonly=True,
        copy=False,
        help="The days of this credit are no longer claimed by the amount that it credits.",
    )

    def _is_held(self):
        """Whether this amount still holds what it invoices: its claim, or the cut of another."""
        self.ensure_one()
        return self.is_applied if self.corrects_id else self.is_claimed

    def _is_overbilled(self, last=None):
        """Whether days of this amount are to be credited: invoiced, and after the end of its line.

        Not while an earlier credit of it waits for its invoice: then that credit is recalculated.

        :param last: see :meth:`_is_beyond_end`
        """
        is_waiting = self.superseded_by_id.document_id.state in DOCUMENT_OPEN
        is_invoiced = self.document_id.state in DOCUMENT_SETTLED
        return is_invoiced and not is_waiting and self._is_beyond_end(last)

    def _is_beyond_end(self, last=None):
        """Whether this amount claims days after the end of its price line.

        :param last: the last day that the line would have (inclusive); default: that which it has
        """
        self.ensure_one()
        line = self.contract_line_id
        if not self.is_claimed or not line or line.price_interval == "once" or self.is_metered:
            return False
        last = last or line._get_last_day()
        return bool(last and self.period_to > last)

    def _claim_corrections(self):
        """Cut the earlier claims for the days that these corrections credit, last days first.

        :raises UserError: the earlier claim no longer covers these days
        """
        missing = self.filtered(lambda line: not line.is_applied)
        for line in missing.sorted("billing_date_from", reverse=True):
            earlier = line.corrects_id
            if not earlier.is_claimed or earlier.period_to != line.billing_date_to:
                raise UserError(
                    self.env._(
                        "%(what)s has been corrected in another way in the meantime. Delete the "
                        "amounts and generate them again.",
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
                    "The credited days have been invoiced again in the meantime. %(message)s",
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

    def _is_credit_changed(self, billed_lines):
        """Whether this credit no longer equals what is left to credit.

        :param billed_lines: the :class:`ledger.BilledLine` of its price line
        """
        billed = self.corrects_id._get_billed_line(billed_lines)
        if not billed or (billed.entry.line_id or False) != self.credited_line_id.id:
            return True
        share = self.env["billing.ledger"]._get_share(billed.entry)
        before = self.billing_date_from - periods.DAY
        left = billed.left_after(before, share, "price_amount")
        return left != -periods.exact(self.amount)

    def _get_correction_errors(self, billed):
        """Return the reason why this amount cannot be corrected yet, as (code, message).

        :param billed: the :class:`ledger.BilledLine` of its invoice in force
        """
        # sudo: users who prepare a run need not see all credit notes
        line = self.env["account.move.line"].sudo().browse(billed.entry.line_id or ())
        if not line or not billed.left("price_amount"):
            return []
        credits = line._get_unasked_credits()
        if not credits:
            return []
        message = self.env._(
            "%(credits)s credits a part of %(invoice)s, but it is not known for which days. "
            "Press “For Which Days?”; then the next run proposes the rest of the credit.",
            credits=", ".join(credits.move_id.mapped("display_name")),
            invoice=self._get_reference(),
        )
        return [("credit", message)]

    def _get_amount_to_credit(self, first, billed):
        """Return what is left to credit of this amount from ``first`` on (inclusive), exact.

        Quantity × price after discount: with the taxes that the price includes.

        :param billed: the :class:`ledger.BilledLine` of the invoice line in force
        """
        share = self.env["billing.ledger"]._get_share(billed.entry)
        before = max(first, self.period_from) - periods.DAY
        return billed.left_after(before, share, "price_amount")

    def _prepare_correction_vals(self, first, billed):
        """Return the values of the amount that credits this one from ``first`` on (inclusive).

        It mirrors product, account, taxes and analytic distribution of the invoice line that
        invoiced these days, names invoice and period, and credits what is left of it for them:
        all that is left of the line in the same quantity and price, to the coin.

        :param billed: the :class:`ledger.BilledLine` of the invoice line in force
        """
        self.ensure_one()
        entry = billed.entry
        span = periods.Span(max(first, self.period_from), self.period_to)
        amount = self._get_amount_to_credit(first, billed)
        item = self.env["account.move.line"].browse(entry.line_id or ())
        env = self.with_context(lang=self.contract_id._get_invoice_lang()).env
        name = env._(
            "Credit of %(invoice)s: %(name)s",
            invoice=item.move_id.name or self.run_id.reference,
            name=self.contract_line_id.with_env(env)._get_invoice_line_name(span),
        )
        return {
            "contract_id": self.contract_id.id,
            "contract_line_id": self.contract_line_id.id,
            "corrects_id": self.id,
            "credited_line_id": item.id,
            "product_id": entry.product_id,
            "product_uom_id": (item or self).product_uom_id.id,
            "name": name,
            "period_from": span.date_from,
            "period_to": span.date_to,
            "billing_date_from": span.date_from,
            "billing_date_to": span.date_to,
            "amount": float(-amount),
            "analytic_distribution": entry.analytic_distribution,
            **self._prepare_credit_price_vals(billed, item or self, amount),
        }

    def _prepare_credit_price_vals(self, billed, item, amount):
        """Return quantity, price, discount and taxes of a credit of ``amount``.

        :param item: the invoice line, or the amount that was settled without an invoice
        """
        taxes = item.tax_ids
        whole = billed.left("price_amount")
        vals = {"quantity": -1.0, "price_unit": float(amount), "discount": 0.0}
        if not amount or amount != whole:
            # taxes per piece stay with the days that stay: the pieces were there
            taxes = taxes.filtered(lambda tax: not tax._is_per_quantity())
        elif whole == periods.exact(billed.entry.price_amount):
            vals.update(price_unit=item.price_unit, discount=item.discount)
            vals["quantity"] = -item._get_signed_quantity()
        elif item.quantity:
            vals["quantity"] = -item._get_signed_quantity()
            vals["price_unit"] = float(-amount) / vals["quantity"]
        vals["tax_ids"] = taxes.ids
        if amount and amount == whole and billed.credits:
            vals["extra_tax_data"] = self._prepare_taxes_left(billed, taxes, vals)
        return vals

    def _prepare_taxes_left(self, billed, taxes, vals):
        """Return what is left of the taxes, for the credit that gives the last of a line back.

        Each part that is credited rounds its taxes, so parts need not add up to the invoice: the
        last one takes what is left of each tax, to the coin, instead of what its price gives.

        :param taxes: of the credit
        :param vals: quantity, price and discount of the credit
        :return: as ``account.tax._import_base_line_extra_tax_data`` reads it; False where there is
            nothing to say: no tax, one that is reversed to 0, or days settled without an invoice
        """
        is_reversed = any(taxes.flatten_taxes_hierarchy().mapped("has_negative_factor"))
        if not taxes or is_reversed or not billed.entry.line_id:
            return False
        move_lines = [entry.line_id for entry in (billed.entry, *billed.credits) if entry.line_id]
        left = defaultdict(lambda: [0.0, 0.0])
        for amounts_by_tax in self.env["billing.ledger"]._get_tax_amounts(move_lines).values():
            for tax_id, amounts in amounts_by_tax.items():
                left[tax_id] = [sum(pair) for pair in zip(left[tax_id], amounts, strict=True)]
        move = self.env["account.move"].browse(billed.entry.move_id)
        return {
            **{name: vals[name] for name in ("quantity", "price_unit", "discount")},
            "currency_id": move.currency_id.id,
            "rate": move.invoice_currency_rate,
            "manual_tax_amounts": {
                str(tax_id): {
                    "tax_amount_currency": -move.currency_id.round(in_currency),
                    "tax_amount": -move.company_currency_id.round(amount),
                }
                for tax_id, (in_currency, amount) in left.items()
            },
        }

    def _get_signed_quantity(self):
        """Return the quantity as it is invoiced: see the method of this name on journal items."""
        return self.quantity

    def _prepare_credited_line_vals(self):
        """Return what the line of a credit has from the invoice line that it credits."""
        vals = {"billing_credited_line_id": self.credited_line_id.id}
        account = self._get_booking_account()
        if account != self._get_default_account():
            vals["account_id"] = account.id
        return vals

    def _get_booking_account(self):
        """Return the account on which this amount will be booked: a credit's as it was invoiced."""
        self.ensure_one()
        return self.credited_line_id.account_id or self._get_default_account()

    def _get_default_account(self):
        document = self.document_id
        return self.contract_id._get_run_account(
            self.product_id, document.company_id, document.fiscal_position_id
        )

    def _get_billed_line(self, billed_lines):
        """Return which of ``billed_lines`` of the price line invoices this amount now, or None.

        "Reverse and create invoice" leaves the earlier line, which was credited, beside it.
        """
        mine = [billed for billed in billed_lines if billed.entry.amount_id == self.id]
        return next((billed for billed in reversed(mine) if not billed.is_released()), None)
