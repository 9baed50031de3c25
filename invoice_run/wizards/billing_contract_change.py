from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import format_date

from ..engine import periods


class BillingContractChange(models.TransientModel):
    """Changes price lines from a date on: the old line ends, a new one starts.

    Days that were billed already beyond the date are credited, and charged anew, by the next
    run, visible before it is approved.
    """

    _name = "billing.contract.change"
    _description = "Change Contracts from a Date"
    _inherit = "invoice.run.wizard"

    date = fields.Date(
        "Change From",
        required=True,
        default=fields.Date.context_today,
        help="First day of the change, included.",
    )
    change = fields.Selection(
        [
            ("percentage", "Raise prices by a percentage"),
            ("price", "Set a new price"),
            ("quantity", "Set a new quantity"),
            ("product", "Set another product"),
            ("end", "End the lines"),
        ],
        required=True,
        default="percentage",
    )
    percentage = fields.Float(digits=False, help="Negative: lower prices.")
    price_step = fields.Float(
        "Round Prices To",
        digits=False,
        help="For example 0.05. Empty: prices are rounded to the decimals of the currency, "
        "unless they already have more.",
    )
    price_unit = fields.Float("New Price", min_display_digits="Product Price")
    quantity = fields.Float("New Quantity", digits="Product Unit")
    product_id = fields.Many2one("product.product", "New Product")
    line_ids = fields.One2many("billing.contract.change.line", "change_id", "Preview")
    correction_count = fields.Integer(compute="_compute_correction_count")

    @api.model
    def default_get(self, fields_list):
        """Propose the open price lines of the contracts, or the lines, that are selected."""
        values = super().default_get(fields_list)
        if "line_ids" in fields_list:
            lines = self._get_selected_lines()
            values["line_ids"] = [Command.create({"contract_line_id": line.id}) for line in lines]
        return values

    def _get_selected_lines(self):
        model = self.env.context.get("active_model")
        ids = self.env.context.get("active_ids") or []
        if model == "billing.contract":
            lines = self.env[model].browse(ids).line_ids
        elif model == "billing.contract.line":
            lines = self.env[model].browse(ids)
        else:
            lines = self.env["billing.contract.line"]
        return lines.filtered(lambda line: line.price_interval != "once")

    @api.depends("line_ids.is_billed")
    def _compute_correction_count(self):
        for wizard in self:
            wizard.correction_count = len(wizard.line_ids.filtered("is_billed"))

    def action_apply(self):
        """Change the lines that are in the preview; open their contracts.

        :raises UserError: no line can be changed on this date, or a value is missing
        """
        self.ensure_one()
        self._check_values()
        lines = self.line_ids.filtered("is_changed").contract_line_id
        if not lines:
            notes = "\n".join(filter(None, self.line_ids.mapped("note")))
            message = self.env._("No price line is in force on this date. Choose another date.")
            raise UserError(notes or message)
        for line in lines:
            line._change_from(self.date, self._prepare_new_line_vals(line))
        return lines.contract_id._get_records_action()

    def _check_values(self):
        if self.change == "product" and not self.product_id:
            raise UserError(self.env._("Choose the new product."))
        if self.price_step < 0:
            raise UserError(self.env._("Prices cannot be rounded to a negative step."))
        if self.change == "percentage" and self.percentage <= -100:
            raise UserError(
                self.env._("A price cannot be reduced by 100 % or more: end the lines instead.")
            )

    def _prepare_new_line_vals(self, line):
        """Return the values in which the new line differs; None where the line just ends."""
        if self.change == "end":
            return None
        return {
            "percentage": lambda: {
                "price_unit": self._get_raised_price(line),
                "raised_from": max(self.date, line._get_own_days()[0]),
            },
            "price": lambda: {"price_unit": self.price_unit, "raised_from": False},
            "quantity": lambda: {"quantity": self.quantity},
            "product": lambda: self._prepare_product_vals(line),
        }[self.change]()

    def _get_raised_price(self, line):
        """Return the price after the percentage, see :func:`periods.raise_price`."""
        coin = line.currency_id.rounding
        raised = periods.raise_price(line.price_unit, self.percentage, self.price_step, coin)
        return float(raised)

    def _is_in_force(self, line):
        """Whether ``line`` has days to change on the date or after it."""
        _first, last = line._get_own_days()
        return bool(self.date) and (last is None or last >= self.date)

    def _goes_by_tariff(self, line):
        """Whether the change would do nothing: a tariff has the price, or usage the quantity."""
        if self.change == "quantity":
            return line.is_metered
        return self.change in ("percentage", "price") and bool(line.tariff_id)

    def _is_raised_already(self, line):
        """Whether the price holds a percentage that counts from the date on, or later.

        A line that has not begun yet is changed as it is: the same percentage would count twice.
        """
        return bool(
            self.change == "percentage" and line.raised_from and line.raised_from >= self.date
        )

    def _prepare_product_vals(self, line):
        product = self.product_id
        lang = line.contract_id.partner_id.lang or self.env.lang
        return {
            "product_id": product.id,
            "raised_from": False,
            "name": product.with_context(lang=lang).get_product_multiline_description_sale(),
            "product_uom_id": product.uom_id.id,
            "price_unit": line._get_default_price(product, product.uom_id),
        }


class BillingContractChangeLine(models.TransientModel):
    _name = "billing.contract.change.line"
    _description = "Preview of a Change"
    _inherit = "invoice.run.wizard"

    change_id = fields.Many2one("billing.contract.change", required=True, ondelete="cascade")
    contract_line_id = fields.Many2one(
        "billing.contract.line", "Line", required=True, ondelete="cascade"
    )
    contract_id = fields.Many2one(related="contract_line_id.contract_id", related_sudo=False)
    partner_id = fields.Many2one(related="contract_id.partner_id", related_sudo=False)
    name = fields.Text(related="contract_line_id.name", related_sudo=False)
    currency_id = fields.Many2one(related="contract_line_id.currency_id", related_sudo=False)
    price_unit = fields.Float(
        related="contract_line_id.price_unit", related_sudo=False, string="Old Price"
    )
    price_interval = fields.Selection(related="contract_line_id.price_interval", related_sudo=False)
    quantity = fields.Float(
        related="contract_line_id.quantity", related_sudo=False, string="Old Quantity"
    )
    new_price_unit = fields.Float(compute="_compute_new", min_display_digits="Product Price")
    new_quantity = fields.Float(compute="_compute_new", digits="Product Unit")
    is_changed = fields.Boolean(compute="_compute_new")
    note = fields.Char(compute="_compute_new")
    is_billed = fields.Boolean(
        "Already Invoiced",
        compute="_compute_new",
        help="Days after the change are invoiced: the next run proposes the credit.",
    )

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        return super()._get_fixed_fields() | {"change_id", "contract_line_id"}

    @api.depends(
        "change_id.date",
        "change_id.change",
        "change_id.percentage",
        "change_id.price_step",
        "change_id.price_unit",
        "change_id.quantity",
        "change_id.product_id",
    )
    def _compute_new(self):
        claims = self.contract_line_id._get_claimed_spans()
        for preview in self:
            wizard, line = preview.change_id, preview.contract_line_id
            in_force = wizard._is_in_force(line)
            is_raised = in_force and wizard._is_raised_already(line)
            is_tariff = in_force and wizard._goes_by_tariff(line)
            preview.is_changed = in_force and not is_raised and not is_tariff
            preview.note = is_raised and preview._get_raised_note()
            if is_tariff:
                preview.note = preview._get_tariff_note()
            vals = wizard._prepare_new_line_vals(line) if preview.is_changed else None
            preview.new_price_unit = (vals or {}).get("price_unit", line.price_unit if vals else 0)
            preview.new_quantity = (vals or {}).get("quantity", line.quantity if vals else 0)
            preview.is_billed = preview.is_changed and any(
                span.date_to >= wizard.date for span in claims[line.id]
            )

    def _get_tariff_note(self):
        if self.change_id.change == "quantity":
            return self.env._("Its quantity is what is used.")
        return self.env._(
            "Its price is that of tariff %(tariff)s. Change the bands there, or choose another "
            "tariff.",
            tariff=self.contract_line_id.tariff_id.name,
        )

    def _get_raised_note(self):
        return self.env._(
            "Already raised from %(date)s. Set a new price instead.",
            date=format_date(self.env, self.contract_line_id.raised_from),
        )
