from contextlib import nullcontext

from odoo import api, models

from ..bulk import CONFIRMED, is_creating
from ..bypassed import LINE_COMPUTES, get_of_each_kind, protect


class AccountMoveLine(models.Model):
    _name = "account.move.line"
    _inherit = ["account.move.line", "invoice.run.bulk.mixin"]

    def _is_created_in_bulk(self):
        return is_creating(self.env)

    @api.model_create_multi
    def create(self, vals_list):
        # EXTENDS 'account': what an invoice is created with is no change of it
        if is_creating(self.env, CONFIRMED):
            self = self.with_context(tracking_disable=True)
        return super().create(vals_list)

    def _sync_invoice(self, container):
        # EXTENDS 'account': all items are there already
        is_new = self._is_created_in_bulk()
        return nullcontext() if is_new else super()._sync_invoice(container)

    def _add_precomputed_values(self, vals_list):
        # EXTENDS 'base': creation in bulk has all values, but for those that follow from others
        if self._is_created_in_bulk():
            known = {self._fields[name] for name in (*LINE_COMPUTES, "product_id")}
            moves, taxes = {}, {}
            for vals in vals_list:
                move_id, repartition = vals["move_id"], vals.get("tax_repartition_line_id")
                if move_id not in moves:
                    moves[move_id] = self._prepare_bulk_move_vals(move_id)
                if repartition not in taxes:
                    taxes[repartition] = self._prepare_bulk_tax_vals(repartition)
                balance = vals["balance"]
                vals.update(
                    moves[move_id],
                    debit=balance if balance > 0.0 else 0.0,
                    credit=-balance if balance < 0.0 else 0.0,
                    **taxes[repartition],
                )
                if vals["display_type"] == "payment_term":
                    vals["name"] = self._get_bulk_term_name(move_id)
                # no inverse method either: nothing was there before
                vals["__precomputed__"] = known
        return super()._add_precomputed_values(vals_list)

    def _prepare_bulk_move_vals(self, move_id):
        """Return what an item has from its invoice."""
        move = self.env["account.move"].browse(move_id)
        return {
            "journal_id": move.journal_id.id,
            "company_id": move.company_id.id,
            "company_currency_id": move.company_currency_id.id,
            "move_name": move.name,
            "parent_state": move.state,
        }

    def _get_bulk_term_name(self, move_id):
        """Return the name of the only item of payment terms, see ``_compute_name``.

        Those of several instalments are computed when all are there.
        """
        move = self.env["account.move"].browse(move_id)
        reference = move.payment_reference
        if not reference or len(move.invoice_payment_term_id.line_ids) > 1:
            return False
        return f"{move.ref} - {reference}" if move.ref and move.ref != reference else reference

    def _prepare_bulk_tax_vals(self, repartition_id):
        """Return what an item has from the repartition line of its tax, or from none."""
        tax = self.env["account.tax.repartition.line"].browse(repartition_id or []).tax_id
        return {"tax_line_id": tax.id, "tax_group_id": tax.tax_group_id.id}

    def _create(self, data_list):
        # EXTENDS 'base': what creation in bulk knows is not computed again
        if self._is_created_in_bulk():
            protect(self, data_list, LINE_COMPUTES)
        return super()._create(data_list)

    @api.constrains("tax_ids", "tax_repartition_line_id")
    def _check_caba_non_caba_shared_tags(self):
        # EXTENDS 'account': no tax of an invoice created in bulk is due on payment
        if self._is_created_in_bulk():
            return
        super()._check_caba_non_caba_shared_tags()

    def _check_tax_lock_date(self):
        # EXTENDS 'account': invoices are confirmed at once where no lock date is violated
        if is_creating(self.env, CONFIRMED):
            return None
        return super()._check_tax_lock_date()

    def _check_company(self, fnames=None):
        # EXTENDS 'base': of new items that link to the same records one is checked
        if fnames is None and self._is_created_in_bulk():
            self = get_of_each_kind(self)
        return super()._check_company(fnames)
