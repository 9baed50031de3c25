from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date, formatLang

from ...engine import periods, price_change
from ...memory import assign, remembering
from ..base.invoice_run_guarded import EngineValue
from .billing_price_trace import get_digits


class BillingPriceUpdateLine(models.Model):
    """What one price line costs after the update."""

    _name = "billing.price.update.line"
    _description = "Price Update: Price"
    _inherit = "invoice.run.guarded"
    _order = "update_id, contract_id, id"
    _check_company_auto = True
    _is_engine_model = True

    update_id = fields.Many2one(
        "billing.price.update", required=True, index=True, ondelete="cascade"
    )
    company_id = fields.Many2one(related="update_id.company_id", store=True, index=True)
    contract_line_id = fields.Many2one(
        "billing.contract.line", "Price Line", required=True, index=True, ondelete="cascade"
    )
    contract_id = fields.Many2one(related="contract_line_id.contract_id", store=True)
    partner_id = fields.Many2one(related="contract_id.partner_id", string="Customer", store=True)
    name = fields.Text(related="contract_line_id.name")
    currency_id = fields.Many2one(related="contract_line_id.currency_id")
    price_interval = fields.Selection(related="contract_line_id.price_interval")
    date_from = fields.Date("From", required=True)
    old_price_unit = fields.Float("Old Price", min_display_digits="Product Price")
    price_unit = fields.Float("New Price", engine=False, min_display_digits="Product Price")
    old_year = fields.Monetary("Old per Year")
    new_year = fields.Monetary("New per Year", compute="_compute_new_year", store=True)
    old_index_value = fields.Float("Index Before", digits=False)
    index_value = fields.Float("Index", digits=False)
    reason = fields.Char("Why Left Out")
    is_dropped = fields.Boolean("Leave Out", engine=False)
    price_id = fields.Many2one("billing.contract.line.price", "Planned Price", index=True)
    new_line_id = fields.Many2one("billing.contract.line", index=True)

    _one_a_line = models.UniqueIndex("(update_id, contract_line_id)")

    @api.depends("price_unit")
    def _compute_new_year(self):
        with remembering(self.env):
            for line in self:
                vals = line.contract_line_id._prepare_price_vals(line.date_from)
                vals["price_unit"] = line.price_unit
                line.new_year = line.contract_line_id._get_recurring_price(vals)[1]

    def write(self, vals):
        if not self.env.su:
            self.update_id._check_draft()
            self.env["billing.change"]._note(self.update_id)
        return super().write(vals)

    def unlink(self):
        if not self.env.su:
            self.update_id._check_draft()
        return super().unlink()

    def _is_changed_here(self):
        is_left_out = self.is_dropped or self.reason
        return not is_left_out and self.price_unit != self.old_price_unit

    def _get_price_change(self):
        """Return this line as a :class:`price_change.PriceChange`."""
        line = self.contract_line_id
        quantity = line._get_price_on(self.date_from).quantity
        vals = {**line._prepare_price_vals(self.date_from), "price_unit": self.price_unit}
        month, year = line._get_recurring_price(vals)
        return price_change.PriceChange(
            line_id=line.id,
            contract_id=self.contract_id.id,
            currency_id=self.currency_id.id,
            date_from=self.date_from,
            old=price_change.Price(
                quantity, self.old_price_unit, self.old_year / 12, self.old_year
            ),
            new=price_change.Price(quantity, self.price_unit, month, year),
            vals={"price_unit": self.price_unit},
        )

    def _get_calculation(self):
        """Return how an index gave the new price, step by step, in the language of the records.

        By the figures that were published when it was found. Nothing where it was typed instead:
        what is told must give the price.
        """
        if not self.old_index_value or not self.index_value:
            return []
        update, line = self.update_id, self.contract_line_id
        old_index, new_index = map(periods.exact, (self.old_index_value, self.index_value))
        price = periods.exact(self.old_price_unit) * new_index / old_index
        coin = line.currency_id.rounding
        change = (new_index / old_index - 1) * 100
        rounded = periods.raise_price(self.old_price_unit, change, update.price_step, coin)
        if float(rounded) != self.price_unit:
            return []
        texts = [
            self._get_index_text(update.base_month, self.old_index_value),
            self._get_index_text(update.index_month, self.index_value),
        ]
        return [*texts, self._get_formula_text(float(price), update.price_step or coin)]

    def _get_index_text(self, month, value):
        index = self.update_id.index_id
        return self.env._(
            "Index %(index)s, %(month)s: %(value)s",
            index=index.display_name,
            month=format_date(self.env, month, date_format="MMMM y"),
            value=self._get_index_number(value),
        )

    def _get_index_number(self, value):
        digits = get_digits(value, self.update_id.index_id.decimals)
        return formatLang(self.env, value, digits=digits)

    def _get_formula_text(self, price, step):
        """Return base price × new index ÷ old index, and the rounding where there is one."""
        line = self.contract_line_id
        values = {
            "base": line._get_price_text(self.old_price_unit),
            "new_index": self._get_index_number(self.index_value),
            "old_index": self._get_index_number(self.old_index_value),
            "price": line._get_price_text(self.price_unit),
        }
        if price == self.price_unit:
            return self.env._("%(base)s × %(new_index)s ÷ %(old_index)s = %(price)s", **values)
        return self.env._(
            "%(base)s × %(new_index)s ÷ %(old_index)s = %(exact)s, rounded to %(step)s: %(price)s",
            exact=formatLang(self.env, price, digits=6),
            step=formatLang(self.env, step, digits=get_digits(step, 0)),
            **values,
        )

    def _check_still_valid(self):
        """Refuse lines whose price has changed since the new one was proposed."""
        for line in self:
            valid = line.contract_line_id._get_price_on(line.date_from)
            if valid.price_unit != line.old_price_unit:
                raise UserError(
                    self.env._(
                        "Contract %(contract)s, line “%(line)s”: its price has changed since. "
                        "Press “Back to Draft”, then “Find Prices” again.",
                        contract=line.contract_id.name,
                        line=line.name,
                    )
                )

    def _apply_planned(self):
        """Plan the new prices: each applies by itself from its day on."""
        vals_list = [
            {
                "contract_line_id": line.contract_line_id.id,
                "date_from": line.date_from,
                "price_unit": line.price_unit,
                "kind": EngineValue("update"),
                "note": EngineValue(line.update_id.name),
            }
            for line in self
        ]
        prices = self.env["billing.contract.line.price"].create(vals_list)
        # sudo: what was applied is noted by the engine
        assign(self.sudo(), [{"price_id": price.id} for price in prices])

    def _apply_with_credit(self):
        """End the lines and start new ones: invoiced days are credited by the next run."""
        service = self.env["billing.price.change"]
        for day, lines in self.grouped("date_from").items():
            vals = {one.contract_line_id: {"price_unit": one.price_unit} for one in lines}
            changes = service._get_changes(day, vals)
            refused = [change for change in changes if change.reason]
            if refused:
                raise UserError(service._get_reason_text(refused[0]))
            service._apply(changes)
            replaced = lines.contract_line_id.search(
                [("previous_line_id", "in", lines.contract_line_id.ids), ("date_start", "=", day)]
            ).grouped("previous_line_id")
            for line in lines:
                new = replaced.get(line.contract_line_id)
                line._write_engine({"new_line_id": new[:1].id if new else False})

    def _check_not_invoiced(self):
        """Refuse where a run claims or has invoiced days at the new price."""
        days = {}
        for line in self:
            # a later change took the planned price along
            holder = line.new_line_id or line.price_id.contract_line_id or line.contract_line_id
            days[holder.id] = line.date_from
        claims = self.env["billing.contract.line"].browse(days)._get_taken_spans()
        for line_id, spans in claims.items():
            if any(span.date_to >= days[line_id] for span in spans if line_id in days):
                line = self.env["billing.contract.line"].browse(line_id)
                raise UserError(
                    self.env._(
                        "Contract %(contract)s, line “%(line)s” is in a run or invoiced at the new "
                        "price. Delete the amounts, or set another price from a later day.",
                        contract=line.contract_id.name,
                        line=line.name,
                    )
                )

    def _take_back(self):
        planned_prices, replaced = self.price_id, self.new_line_id
        if in_place := self.filtered(lambda line: not line.price_id and not line.new_line_id):
            raise UserError(
                self.env._(
                    "Contract %(contract)s, line “%(line)s” was changed as a whole: set its old "
                    "price by hand.",
                    contract=in_place[0].contract_id.name,
                    line=in_place[0].name,
                )
            )
        # sudo: a planned price of an update goes by the update alone
        planned_prices.sudo().unlink()
        replaced.action_undo_change()
