from odoo import api, models

from ..bypassed import LINE_COMPUTES, get_of_each_kind, protect


class AccountMoveLine(models.Model):
    _name = "account.move.line"
    _inherit = ["account.move.line", "invoice.run.bulk.mixin"]

    def _is_created_in_bulk(self):
        return bool(self.env.context.get("invoice_run_bulk"))

    def _add_precomputed_values(self, vals_list):
        # EXTENDS 'base': creation in bulk has all values, but for those that follow from others
        if self.env.context.get("invoice_run_bulk"):
            known = {self._fields[name] for name in (*LINE_COMPUTES, "product_id")}
            for vals in vals_list:
                vals.update(self._prepare_bulk_precomputed_vals(vals))
                # no inverse method either: nothing was there before
                vals["__precomputed__"] = known
        return super()._add_precomputed_values(vals_list)

    def _prepare_bulk_precomputed_vals(self, vals):
        move = self.env["account.move"].browse(vals["move_id"])
        repartition = vals.get("tax_repartition_line_id")
        tax = self.env["account.tax.repartition.line"].browse(repartition or []).tax_id
        balance = vals["balance"]
        return {
            "journal_id": move.journal_id.id,
            "company_id": move.company_id.id,
            "company_currency_id": move.company_currency_id.id,
            "tax_line_id": tax.id,
            "tax_group_id": tax.tax_group_id.id,
            "debit": balance if balance > 0.0 else 0.0,
            "credit": -balance if balance < 0.0 else 0.0,
        }

    def _create(self, data_list):
        # EXTENDS 'base': what creation in bulk knows is not computed again
        if self.env.context.get("invoice_run_bulk"):
            protect(self, data_list, LINE_COMPUTES)
        return super()._create(data_list)

    @api.constrains("tax_ids", "tax_repartition_line_id")
    def _check_caba_non_caba_shared_tags(self):
        # EXTENDS 'account': no tax of an invoice created in bulk is due on payment
        if self.env.context.get("invoice_run_bulk"):
            return
        super()._check_caba_non_caba_shared_tags()

    def _check_company(self, fnames=None):
        # EXTENDS 'base': of new items that link to the same records one is checked
        if fnames is None and self.env.context.get("invoice_run_bulk"):
            self = get_of_each_kind(self)
        return super()._check_company(fnames)
