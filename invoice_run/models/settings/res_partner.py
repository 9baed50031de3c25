from odoo import api, fields, models

from ..base.groups import ACCOUNTANTS


class ResPartner(models.Model):
    _name = "res.partner"
    _inherit = ["res.partner", "invoice.run.stale.mixin"]

    allow_invoice_grouping = fields.Boolean(
        "One Invoice per Run",
        company_dependent=True,
        groups=ACCOUNTANTS,
        help="Invoice runs put all charges of this customer on one invoice, "
        "with a section per contract.",
    )
    # portal users read their own contact
    billing_hold = fields.Boolean(
        "Blocked for Invoicing",
        company_dependent=True,
        groups=ACCOUNTANTS,
        help="Invoice runs do not invoice this customer and report an exception.",
    )
    billing_hold_reason = fields.Char(
        "Reason for Blocking", company_dependent=True, groups=ACCOUNTANTS
    )
    billing_contract_ids = fields.One2many(
        "billing.contract",
        "partner_id",
        "Billing Contracts",
        groups="invoice_run.invoice_run_group_user",
    )
    billing_contract_count = fields.Integer(
        compute="_compute_billing_contract_count", groups="invoice_run.invoice_run_group_user"
    )

    invoice_run_summary = fields.Text(
        "What a Run Does",
        compute="_compute_invoice_run_summary",
        groups="invoice_run.invoice_run_group_user",
    )

    @api.depends_context("company")
    @api.depends(
        "email",
        "child_ids.email",
        "invoice_sending_method",
        "allow_invoice_grouping",
        "billing_hold",
        "billing_hold_reason",
        "is_company",
        "parent_id",
    )
    def _compute_invoice_run_summary(self):
        for partner in self:
            pays = partner.is_company or not partner.parent_id
            payer = partner if pays else partner.commercial_partner_id
            partner.invoice_run_summary = payer._get_invoice_run_summary()

    def _get_invoice_run_summary(self):
        """Return what a run does for this customer, in whole sentences."""
        if self.billing_hold:
            text = self.env._("Runs do not invoice this customer: blocked for invoicing.")
            return f"{text} {self.billing_hold_reason or ''}".strip()
        sentences = [
            self.env._("A run puts all charges of this customer on one invoice.")
            if self.allow_invoice_grouping
            else self.env._("A run creates an invoice for each contract and period."),
            self._get_sending_summary(),
            self.env._("A scenario can override this."),
        ]
        return " ".join(sentences)

    def _get_sending_summary(self):
        method = self._get_invoice_run_send_action()
        if method == "ask":
            return self.env._(
                "Nobody has chosen how to send it: each run asks, until you choose a method under "
                "“Invoice sending”."
            )
        if method == "print":
            return self.env._("It prints the invoice.")
        if method == "none":
            return self.env._(
                "The invoice is not sent: to have it sent, choose a method under “Invoice sending”."
            )
        if method != "email":
            label = dict(self._fields["invoice_sending_method"]._description_selection(self.env))
            return self.env._("It sends the invoice: %(method)s.", method=label[method])
        address = self.child_ids.filtered(lambda child: child.type == "invoice")[:1] or self
        if not address.email:
            return self.env._("It cannot email the invoice: the email address is missing.")
        return self.env._("It emails the invoice to %(address)s.", address=address.email)

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {
            "allow_invoice_grouping",
            "company_id",
            "country_id",
            "lang",
            "name",
            "parent_id",
            "property_account_position_id",
            "property_inbound_payment_method_line_id",
            "property_payment_term_id",
            "state_id",
            "type",
            "vat",
            "zip",
        }

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        payers = self.commercial_partner_id
        # sudo: a hidden or archived address is still in amounts. Within their statement, but no
        # join: documents are not looked up partner by partner
        partners = self.sudo().with_context(active_test=False)
        addresses = partners._search([("commercial_partner_id", "in", payers.ids)])
        return [
            "|",
            ("document_id.partner_id", "in", addresses),
            ("document_id.payer_id", "in", payers.ids),
        ]

    def _compute_billing_contract_count(self):
        counts = dict(
            self.env["billing.contract"]._read_group(
                [("partner_id", "in", self.ids)], ["partner_id"], ["__count"]
            )
        )
        for partner in self:
            partner.billing_contract_count = counts.get(partner, 0)

    def action_view_billing_contracts(self):
        """Open the billing contracts of this customer."""
        self.env["billing.contract"].check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_contract_action"
        )
        action["domain"] = [("partner_id", "in", self.ids)]
        action["context"] = {"default_partner_id": self.id}
        return self._with_path("billing-customer-contracts", action)

    def _get_invoice_run_send_action(self):
        """Return how this customer gets invoices: by email, through a network, or not at all.

        Where nobody chose a method, the company decides; ``"ask"``: whoever works on the run does.
        Odoo treats "not set" as email; a run never mails to a customer for whom nobody chose it.
        Read with the company whose invoices are meant.
        """
        self.ensure_one()
        method = self.commercial_partner_id.invoice_sending_method
        if not method:
            return self.env.company.billing_unset_sending
        return "none" if method == "manual" else method
