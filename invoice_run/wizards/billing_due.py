from odoo import api, fields, models
from odoo.fields import Command

from ..engine.charge import get_charges, get_exceptions
from ..models.base.possible_dates import check_ahead


class BillingDue(models.TransientModel):
    """What is invoiced already and what is still to invoice, without a run.

    From the same code as the amounts of a run.
    """

    _name = "billing.due"
    _description = "What Is Still to Invoice?"
    _inherit = "invoice.run.wizard"

    contract_ids = fields.Many2many("billing.contract", string="Contracts", required=True)
    date = fields.Date(
        "Up To",
        required=True,
        default=fields.Date.context_today,
        help="Target date: the period that contains this day is included.",
    )
    line_ids = fields.One2many("billing.due.line", "due_id", "To Invoice", readonly=True)
    currency_id = fields.Many2one("res.currency", compute="_compute_totals")
    amount_due = fields.Monetary("Still to Invoice", compute="_compute_totals")
    note = fields.Text("Why It Cannot Be Invoiced", readonly=True)

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        return super()._get_fixed_fields() | {"contract_ids"}

    @api.depends("contract_ids")
    def _compute_display_name(self):
        for wizard in self:
            wizard.display_name = ", ".join(wizard.contract_ids.mapped("name"))

    @api.depends("line_ids.amount")
    def _compute_totals(self):
        for wizard in self:
            currencies = wizard.contract_ids.currency_id
            wizard.currency_id = currencies if len(currencies) == 1 else False
            wizard.amount_due = sum(wizard.line_ids.mapped("amount")) if currencies else 0.0

    def action_refresh(self):
        """Compute the lines anew, up to the date.

        :raises ValidationError: the date is too far away
        """
        self.ensure_one()
        check_ahead(self, "date", self.env.company._get_invoice_run_today())
        due = list(self.contract_ids._collect_due(self.date))
        charges = get_charges(due)
        contracts = self.env["billing.contract"]
        notes = [
            f"{contracts.browse(vals['contract_id']).name}: {vals['message']}"
            for vals in get_exceptions(due)
        ]
        lines = [Command.create(self._prepare_line_vals(charge)) for charge in charges]
        note = "\n".join(notes) or False
        # sudo: nobody else writes what a report says; it was read with the user's rights
        self.sudo().write({"line_ids": [Command.clear(), *lines], "note": note})
        return self._get_records_action(name=self.env._("What Is Still to Invoice?"))

    def _prepare_line_vals(self, charge):
        names = ("product_id", "name", "quantity", "price_unit", "discount", "amount")
        vals = {name: charge.line[name] for name in names}
        return {
            **vals,
            "contract_id": charge.contract.id,
            "date_from": charge.line["billing_date_from"],
            "date_to": charge.line["billing_date_to"],
        }


class BillingDueLine(models.TransientModel):
    _name = "billing.due.line"
    _description = "Amount Still to Invoice"
    _inherit = "invoice.run.wizard"
    _order = "contract_id, date_from, id"

    due_id = fields.Many2one("billing.due", required=True, ondelete="cascade")
    contract_id = fields.Many2one("billing.contract", required=True, ondelete="cascade")
    partner_id = fields.Many2one(related="contract_id.partner_id", related_sudo=False)
    currency_id = fields.Many2one(related="contract_id.currency_id", related_sudo=False)
    product_id = fields.Many2one("product.product")
    name = fields.Text("Description")
    date_from = fields.Date("From")
    date_to = fields.Date("To")
    quantity = fields.Float(digits="Product Unit")
    price_unit = fields.Float("Price", min_display_digits="Product Price")
    discount = fields.Float("Discount %", digits="Discount")
    amount = fields.Monetary()
