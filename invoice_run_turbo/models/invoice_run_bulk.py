from odoo import api, fields, models
from odoo.fields import Command

from .. import core
from ..bulk import BulkCache, BulkHead
from ..numbering import get_chunk


class InvoiceRunBulk(models.AbstractModel):
    """Creates many customer invoices at once, with the same rows that ``create`` would insert.

    ``account.move.create`` writes an invoice in steps: product lines, then taxes, then payment
    terms, each seen by the steps before. Here Odoo's tax engine and payment terms are asked
    first, for all invoices, and ``create`` gets all journal items at once. Used only where
    nothing of :meth:`_get_bulk_obstacles` stands in the way; the others are created one step
    after the other.

    How: :meth:`_create_moves` cuts the values into stretches with and without obstacles
    (``invoice_run_bulk_obstacles.py``), :meth:`_prepare_move_vals` completes the values of one
    invoice (its taxes: ``invoice_run_bulk_taxes.py``), ``account_move.py`` and
    ``account_move_line.py`` keep the ORM from computing them again. Where nothing of a chunk has
    obstacles, it is created as confirmed (``invoice_run_bulk_confirm.py``).
    """

    _name = "invoice.run.bulk"
    _description = "Bulk Creation of Invoices"

    @api.model
    def _create_moves(self, vals_list):
        """Create invoices, in this order; return them.

        :param vals_list: as for ``account.move.create``, with ``invoice_line_ids``
        """
        Move = self.env["account.move"]
        chunk = get_chunk(self.env)
        # what others change right after the creation is seen in a chunk, and undone
        is_plain = chunk.is_plain if chunk else self._is_create_extended()
        if is_plain or not self._is_on():
            return Move.create(vals_list)
        cache = BulkCache(self.env, vals_list)
        stretches = self._get_stretches(vals_list, cache)
        kinds = [is_plain for is_plain, _vals in stretches]
        if kinds == [False] and self._are_confirmed_at_once(vals_list):
            return self._create_confirmed(vals_list, cache)
        moves = Move.browse()
        for is_plain, stretch in stretches:
            moves += Move.create(stretch) if is_plain else self._create_bulk(stretch, cache)
        return moves

    def _get_stretches(self, vals_list, cache):
        """Return [(whether plain, values), …] in order: numbers follow the order of creation."""
        stretches = []
        for vals in vals_list:
            is_plain = bool(self._get_bulk_obstacles(vals, cache))
            if not stretches or stretches[-1][0] != is_plain:
                stretches.append((is_plain, []))
            stretches[-1][1].append(vals)
        return stretches

    def _register_hook(self):
        # EXTENDS 'base': what stands aside is said once, when Odoo starts
        result = super()._register_hook()
        core.warn(self.env)
        return result

    @api.model
    def _create_bulk(self, vals_list, cache):
        """Create invoices of which nothing needs plain ``create``."""
        Move = self.env["account.move"]
        vals_list = [self._prepare_move_vals(vals, cache) for vals in vals_list]
        creating = Move.with_context(invoice_run_bulk=cache.kind, mail_create_nolog=True)
        moves = creating.create(vals_list)
        moves = moves.with_env(self.env)
        moves._log_created()
        return moves

    # ------------------------------------------------------------------
    # Values
    # ------------------------------------------------------------------

    @api.model
    def _prepare_move_vals(self, vals, cache):
        """Return ``vals`` with all journal items and all that ``create`` would compute of them."""
        head = BulkHead(vals, cache)
        product_lines, lines = [], []
        for _command, _id, line_vals in vals["invoice_line_ids"]:
            line = {**head.line_vals, **line_vals}
            lines.append(line)
            if not line.get("display_type"):
                self._complete_product_line(line, head)
                product_lines.append(line)
        lines += self._get_tax_lines_vals(product_lines, head)
        totals = self._get_totals(lines)
        terms = self._get_term_lines_vals(totals, head, vals)
        result = {name: value for name, value in vals.items() if name != "invoice_line_ids"}
        result.update(head.prepare_move_vals(vals))
        result.update(self._prepare_total_vals(totals, terms, head))
        result["invoice_date_due"] = max(term["date_maturity"] for term in terms)
        result["line_ids"] = [Command.create(line) for line in [*lines, *terms]]
        return result

    def _complete_product_line(self, line, head):
        """Complete the values of a product line, as the record would hold them."""
        cache = head.cache
        account = head.get_income_account(line["product_id"])
        line.update({name: cache.round(name, line[name]) for name in ("quantity", "discount")})
        line.update(display_type="product", account_id=account.id)
        line["analytic_distribution"] = cache.get_distribution(line, account, head)

    def _get_amounts(self, account_id, amounts, head):
        """Return the amounts of an item of this account, with the residual that it may have."""
        balance = head.company_currency.round(amounts["balance"])
        in_currency = head.currency.round(amounts["amount_currency"])
        vals = {"balance": balance, "amount_currency": in_currency}
        if head.cache.is_reconciled(account_id):
            vals.update(
                amount_residual=balance,
                amount_residual_currency=in_currency,
                reconciled=head.company_currency.is_zero(balance)
                and head.currency.is_zero(in_currency),
            )
        return vals

    def _get_totals(self, lines):
        """Return the sums of ``account.move._compute_amount``, by kind, not signed."""
        untaxed = untaxed_currency = tax = tax_currency = total = total_currency = 0.0
        for line in lines:
            if line["display_type"] == "product":
                untaxed += line["balance"]
                untaxed_currency += line["amount_currency"]
            elif line["display_type"] == "tax":
                tax += line["balance"]
                tax_currency += line["amount_currency"]
            total += line["balance"]
            total_currency += line["amount_currency"]
        return {
            "untaxed": (untaxed, untaxed_currency),
            "tax": (tax, tax_currency),
            "total": (total, total_currency),
        }

    def _prepare_total_vals(self, totals, terms, head):
        """Return the totals of an invoice, see ``account.move._compute_amount``."""
        sign, currency, company_currency = head.sign, head.currency, head.company_currency
        untaxed, untaxed_currency = totals["untaxed"]
        tax, tax_currency = totals["tax"]
        total, total_currency = totals["total"]
        residual = sum(term["amount_residual"] for term in terms)
        residual_currency = sum(term["amount_residual_currency"] for term in terms)
        # what is paid already, an invoice of 0.00, is left to _compute_payment_state
        is_open = not currency.is_zero(residual_currency)
        return {
            **({"payment_state": "not_paid"} if is_open else {}),
            "amount_untaxed": currency.round(sign * untaxed_currency),
            "amount_tax": currency.round(sign * tax_currency),
            "amount_total": currency.round(sign * total_currency),
            "amount_residual": currency.round(-sign * residual_currency),
            "amount_untaxed_signed": company_currency.round(-untaxed),
            "amount_untaxed_in_currency_signed": currency.round(-untaxed_currency),
            "amount_tax_signed": company_currency.round(-tax),
            "amount_total_signed": company_currency.round(-total),
            "amount_residual_signed": company_currency.round(residual),
            "amount_total_in_currency_signed": currency.round(-total_currency),
        }

    def _get_term_lines_vals(self, totals, head, vals):
        """Return the values of the payment term lines, see ``_compute_needed_terms``."""
        base = {**head.line_vals, "display_type": "payment_term", "sequence": 12000}
        base["account_id"] = head.get_receivable_account().id
        # no discount, see the obstacles; but written as 0.0
        base.update(discount_balance=0.0, discount_amount_currency=0.0)
        result = []
        for day, (balance, in_currency) in self._get_instalments(totals, head, vals).items():
            amounts = {"balance": balance, "amount_currency": in_currency}
            amounts = self._get_amounts(base["account_id"], amounts, head)
            result.append({**base, "date_maturity": day, **amounts})
        return result

    def _get_instalments(self, totals, head, vals):
        """Return {due date: [amount in company currency, in document currency]}."""
        sign = -head.sign
        currency, company_currency = head.currency, head.company_currency
        untaxed, untaxed_currency = totals["untaxed"]
        tax, tax_currency = totals["tax"]
        total, total_currency = totals["total"]
        if not head.term:
            day = fields.Date.to_date(vals["invoice_date_due"])
            return {day: [company_currency.round(-total), currency.round(-total_currency)]}
        terms = head.term._compute_terms(
            date_ref=head.date,
            currency=currency,
            tax_amount_currency=currency.round(head.sign * tax_currency) * sign,
            tax_amount=company_currency.round(-tax),
            untaxed_amount_currency=currency.round(head.sign * untaxed_currency) * sign,
            untaxed_amount=company_currency.round(-untaxed),
            company=head.company,
            cash_rounding=self.env["account.cash.rounding"],
            sign=sign,
        )
        result = {}
        for line in terms["line_ids"]:
            amounts = result.setdefault(fields.Date.to_date(line["date"]), [0.0, 0.0])
            amounts[0] += line["company_amount"]
            amounts[1] += line["foreign_amount"]
        return result
