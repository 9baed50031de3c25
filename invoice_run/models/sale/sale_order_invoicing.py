from odoo import api, models

#: Context: the :class:`RunDocuments` of the orders that an invoice run invoices.
RUN_DOCUMENTS = "invoice_run_documents"


class RunDocuments(dict):
    """{order id: document id}. A class of its own, because over RPC nobody can send one."""


class SaleOrder(models.Model):
    """A run creates invoices by ``_create_invoices``, with everything that addons add to it.

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
    def _create_run_moves(self, documents):
        # EXTENDS 'invoice.run.source': by Sales, which says itself what it invoiced
        by_order = RunDocuments(
            (order.id, document.id)
            for document in documents
            for order in document.line_ids.sale_order_id
        )
        orders = self.browse(by_order)
        moves = orders.with_context(**{RUN_DOCUMENTS: by_order})._create_invoices(final=True)
        by_document = {move.invoice_run_document_id.id: move for move in moves}
        moves = moves.union(*(by_document[document.id] for document in documents))
        return moves.with_env(documents.env)

    @api.model
    def _get_change_errors(self, document):
        # EXTENDS 'invoice.run.source'
        orders = document.line_ids.sale_order_id
        return [error for order in orders for error in order._get_order_change_errors(document)]

    def _get_order_change_errors(self, document):
        """Return why this order can no longer be invoiced as ``document`` was approved."""
        if self.state != "sale":
            return [self.env._("%(order)s is no longer confirmed.", order=self.name)]
        lines = self._with_invoice_context()._get_run_invoice_lines()
        amounts = document.line_ids.filtered(lambda amount: amount.sale_order_id == self)
        return amounts._get_order_differences([(line.id, vals) for line, vals in lines])

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
        # EXTENDS 'sale': an order invoiced by hand marks the amounts that runs have of it
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
