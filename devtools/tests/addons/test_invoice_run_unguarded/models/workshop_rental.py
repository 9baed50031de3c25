from odoo import api, fields, models


class WorkshopRental(models.Model):
    _name = "workshop.rental"
    _description = "Rental"
    _inherit = "invoice.run.source"

    _source_key = "rental"
    _source_claim_field = "rental_id"
    _source_record_field = "rental_id"

    name = fields.Char()
    company_id = fields.Many2one("res.company")
    partner_id = fields.Many2one("res.partner")

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice_run'
        return {"partner_id"}


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    # an index, but not a unique one
    rental_id = fields.Many2one("workshop.rental", index=True)


class InvoiceRunException(models.Model):
    _inherit = "invoice.run.exception"

    rental_id = fields.Many2one("workshop.rental")
