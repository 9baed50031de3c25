from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError

#: Who may approve an order for invoicing.
INVOICING_GROUP = "account.group_account_invoice"


class SaleOrder(models.Model):
    """Orders as a source of invoice runs: what accountants set on them."""

    _name = "sale.order"
    _inherit = [
        "sale.order",
        "invoice.run.source",
        "invoice.run.guarded",
    ]

    _source_key = "sale"
    _source_sequence = 30
    _source_icon = "fa-shopping-cart"
    _source_claim_field = "sale_line_id"
    _source_record_field = "sale_order_id"
    # what is left of an order follows from its invoiced quantities, so a line that is delivered
    # in parts is invoiced in parts; deliveries and invoices change them by computation
    _source_follows_invoices = True
    _source_changes_unnoticed = True
    # so down payments are deducted from what they were paid for
    _source_is_billed_whole = True

    approved_for_invoicing = fields.Boolean(
        "Approved for Invoicing",
        tracking=True,
        copy=False,
        help="A user with invoicing rights has approved the order. Billing scenarios can require "
        "this.",
        groups="base.group_user",
        reserved_for=INVOICING_GROUP,
    )
    billing_cluster_id = fields.Many2one(
        "billing.cluster",
        "Cluster",
        check_company=True,
        index="btree_not_null",
        help="Invoice runs of this cluster invoice the order, in the journal of the cluster "
        "unless the order has its own.",
        groups="base.group_user",
    )
    run_line_ids = fields.One2many(
        "invoice.run.line",
        "sale_order_id",
        "Amounts",
        groups="invoice_run.invoice_run_group_user",
        engine=True,
    )

    @api.model_create_multi
    def create(self, vals_list):
        # not the values: whatever path led to it
        orders = super().create(vals_list)
        if any(orders.mapped("approved_for_invoicing")):
            self._check_may_approve()
        return orders

    def write(self, vals):
        # an import or a form writes all columns, changed or not
        if self._get_changed(vals, {"approved_for_invoicing"}):
            self._check_may_approve()
        return super().write(vals)

    def _check_may_approve(self):
        """Refuse the approval of orders by users who may not invoice.

        :raises AccessError: the user may not; it names those who may
        """
        if not self.env.su and not self.env.user.has_group(INVOICING_GROUP):
            raise AccessError(
                self.env._("Only users with invoicing rights can approve orders for invoicing.")
            )

    @api.ondelete(at_uninstall=False)
    def _unlink_except_billed(self):
        # sudo: whoever deletes an order need not see the runs
        billed = self.filtered(lambda order: order.sudo().run_line_ids)
        if billed:
            raise UserError(
                self.env._(
                    "%(orders)s: these orders were invoiced by an invoice run, so they cannot be "
                    "deleted. Cancel them instead.",
                    orders=", ".join(billed.mapped("name")),
                )
            )

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {
            "approved_for_invoicing",
            "billing_cluster_id",
            "currency_id",
            "fiscal_position_id",
            "journal_id",
            "partner_id",
            "partner_invoice_id",
            "partner_shipping_id",
            "payment_term_id",
            "preferred_payment_method_line_id",
            "state",
        }

    def _filtered_in_amounts(self):
        # EXTENDS 'invoice.run.stale.mixin': runs take confirmed orders, and whoever makes an order
        # anything else outdates its amounts: nobody need ask for those of a quotation
        return self.filtered(lambda order: order.state == "sale")

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.source': the ORM knows of a new order, without asking, that it has
        # no amounts; of any other it asks once
        # sudo: whoever changes an order need not see the runs
        orders = self.sudo().filtered("run_line_ids")
        return [("sale_order_id", "in", orders.ids)]

    def action_approve_for_invoicing(self):
        """Approve confirmed orders, so that scenarios that ask for it take them."""
        self.check_access("write")
        self._check_may_approve()
        self.filtered(lambda order: order.state == "sale").approved_for_invoicing = True

    def action_withdraw_invoicing_approval(self):
        """Withdraw the approval: amounts of these orders are marked as changed."""
        self.check_access("write")
        self._check_may_approve()
        self.approved_for_invoicing = False
