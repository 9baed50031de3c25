from odoo import api, models

#: Context: the :class:`RunDocuments` of the orders that an invoice run invoices.
RUN_DOCUMENTS = "invoice_run_documents"


class RunDocuments(dict):
    """{order id: document id}. A class of its own, because over RPC nobody can send one."""


class SaleOrder(models.Model):
    """The invoices of a run are made by ``_create_invoices``, with all that addons hang on it.

    The run only says which orders go on one invoice, and completes the values.
    """

    _inherit = "sale.order"

    def _prepare_invoice(self):
        # EXTENDS 'sale': the document by which the orders of a run are grouped
        vals = super()._prepare_invoice()
        documents = self._get_run_documents()
        if documents:
            vals["invoice_run_document_id"] = documents.get(self.id)
        return vals

    @api.model
    def _get_run_documents(self):
        """Return {order id: document id} while a run invoices, else nothing."""
        documents = self.env.context.get(RUN_DOCUMENTS)
        return documents if isinstance(documents, RunDocuments) else None

    def _get_invoice_grouping_keys(self):
        # EXTENDS 'sale': the run has grouped by these keys, among others, before the approval
        if self._get_run_documents():
            return ["invoice_run_document_id"]
        return super()._get_invoice_grouping_keys()

    def _create_account_invoices(self, invoice_vals_list, final):
        # EXTENDS 'sale': what was approved, or nothing
        if self._get_run_documents():
            for vals in invoice_vals_list:
                document = self.env["invoice.run.document"].browse(vals["invoice_run_document_id"])
                document._complete_order_vals(vals)
        return super()._create_account_invoices(invoice_vals_list, final)

    def _create_invoices(self, grouped=False, final=False, date=None):
        # EXTENDS 'sale': who invoices an order by hand outdates the amounts that runs made of it
        moves = super()._create_invoices(grouped=grouped, final=final, date=date)
        if not self._get_run_documents():
            self.env["invoice.run.line"]._mark_stale(self._get_stale_domain())
        return moves


class SaleOrderLine(models.Model):
    _inherit = "sale.order.line"

    def _get_run_down_payment_vals(self):
        """Return what ``_create_invoices`` gives to the line that deducts a down payment."""
        self.ensure_one()
        if not self.is_downpayment:
            return {}
        reverse = self.env["account.tax"]._reverse_quantity_base_line_extra_tax_data
        return {"quantity": -1.0, "extra_tax_data": reverse(self.extra_tax_data)}
