from odoo import api, fields, models
from odoo.fields import Domain


class WorkshopRepair(models.Model):
    """A repair, invoiced once, when it is finished."""

    _name = "workshop.repair"
    _description = "Repair"
    _inherit = "invoice.run.source"
    _order = "date, id"
    _check_company_auto = True

    _source_key = "repair"
    _source_icon = "fa-wrench"
    _source_claim_field = "repair_id"
    _source_record_field = "repair_id"

    name = fields.Char("Number", required=True)
    date = fields.Date("Finished On", required=True)
    company_id = fields.Many2one(
        "res.company", required=True, index=True, default=lambda self: self.env.company
    )
    currency_id = fields.Many2one(related="company_id.currency_id")
    partner_id = fields.Many2one(
        "res.partner", "Customer", required=True, index=True, check_company=True
    )
    commercial_partner_id = fields.Many2one(
        related="partner_id.commercial_partner_id", store=True, index=True
    )
    product_id = fields.Many2one("product.product", required=True, check_company=True)
    hours = fields.Float(required=True)
    price_unit = fields.Float("Price per Hour", required=True)
    purchase_order = fields.Char(help="The customer wants one invoice for each of them.")
    is_signed = fields.Boolean("Signed by the Customer")
    run_line_ids = fields.One2many("invoice.run.line", "repair_id", "Amounts")

    @api.model
    def _get_source_label(self):
        # EXTENDS 'invoice_run'
        return self.env._("Repairs")

    @api.model
    def _get_run_domain(self, run):
        # EXTENDS 'invoice_run': what is finished, and claimed by no run
        claimed = Domain("is_claimed", "=", True)
        domain = self._get_run_selection_domain(run) & Domain("date", "<=", run.target_date)
        return domain & Domain("run_line_ids", "not any", claimed)

    def _get_run_errors(self, run, records):
        # EXTENDS 'invoice_run'
        errors = super()._get_run_errors(run, records)
        errors += self._get_product_errors(self.product_id, records)
        if not self.is_signed:
            message = self.env._("The customer has not signed for it. Ask for the signature.")
            errors.append(("signature", message))
        return errors

    def _get_run_charges(self, records):
        # EXTENDS 'invoice_run'
        line = self._prepare_item_vals(
            records,
            self.product_id,
            day=self.date,
            quantity=self.hours,
            price_unit=self.price_unit,
            name=self.env._("Repair %(number)s", number=self.name),
        )
        return [self._prepare_charge(records, line)]

    def _get_grouping_key(self):
        # EXTENDS 'invoice_run'
        return (self.purchase_order or "",)

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice_run'
        return {
            "date",
            "hours",
            "is_signed",
            "name",
            "partner_id",
            "price_unit",
            "product_id",
            "purchase_order",
        }
