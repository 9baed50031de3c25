from ast import literal_eval

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import format_date, formatLang

from ...engine import indexation, periods, price_change
from ...memory import assign, remembering
from ..base.invoice_run_guarded import EngineValue
from ..base.possible_dates import check_years
from ..base.states import CONTRACT_BILLED, PRICE_UPDATE_DECIDED, PRICE_UPDATE_TRANSITIONS
from .billing_price_trace import get_digits


class BillingPriceUpdate(models.Model):
    """New prices of many price lines: proposed, checked, approved, applied, and kept as a document.

    The new price counts from the first period of each line that is not invoiced yet, as a planned
    price: claims and lines stay, and it can be undone while nothing is invoiced at the new price.
    With "credit" it counts from the day itself, as "Change from Date…" does.
    """

    _name = "billing.price.update"
    _description = "Price Update"
    _inherit = ["mail.thread", "invoice.run.states"]
    _order = "id desc"
    _check_company_auto = True

    name = fields.Char("Title", required=True, tracking=True)
    company_id = fields.Many2one(
        "res.company", required=True, index=True, default=lambda self: self.env.company
    )
    currency_id = fields.Many2one(related="company_id.currency_id")
    state = fields.Selection(
        [
            ("draft", "Draft"),
            ("approved", "Approved"),
            ("applied", "Applied"),
            ("undone", "Undone"),
            ("cancelled", "Cancelled"),
        ],
        "Status",
        required=True,
        default="draft",
        readonly=True,
        copy=False,
        tracking=True,
        engine=True,
    )
    contract_domain = fields.Char("Contracts", default="[]", required=True)
    older_than = fields.Date(
        "Only Prices Since Before",
        help="Leaves out lines whose price changed on this day or later. Empty: all.",
    )
    method = fields.Selection(
        [
            ("percentage", "Raise by a percentage"),
            ("amount", "Raise by an amount"),
            ("price", "Set a new price"),
            ("index", "Follow an index"),
            ("product", "The product's sales price"),
            ("pricelist", "A pricelist's price"),
        ],
        required=True,
        default="percentage",
        tracking=True,
    )
    percentage = fields.Float(digits=False, tracking=True, help="Negative: lower prices.")
    amount = fields.Float(
        digits=False, tracking=True, help="Added to each price. Negative: lower prices."
    )
    price_unit = fields.Float("New Price", min_display_digits="Product Price", tracking=True)
    index_id = fields.Many2one("billing.index", check_company=True)
    base_month = fields.Date(help="Month of the index that belongs to the present prices.")
    index_month = fields.Date("New Month", help="Month of the index that the new prices follow.")
    pricelist_id = fields.Many2one(
        "product.pricelist", check_company=True, help="Empty: each customer's own."
    )
    price_step = fields.Float(
        "Round Prices To",
        digits=False,
        help="For example 0.05. Empty: prices are rounded to the decimals of the currency, "
        "unless they already have more.",
    )
    not_before = fields.Date(
        tracking=True,
        help="Each price counts from the first billing period that begins on this day or later and "
        "is not invoiced yet. Empty: from the next one that is not invoiced.",
    )
    with_credit = fields.Boolean(
        "And Credit",
        tracking=True,
        help="From “Not Before” on, whatever is invoiced: the next run proposes to credit those "
        "days and to charge them anew.",
    )
    line_ids = fields.One2many("billing.price.update.line", "update_id", "Prices")
    line_count = fields.Integer("Lines to Change", compute="_compute_totals")
    left_out_count = fields.Integer("Lines Left Out", compute="_compute_totals")
    old_year = fields.Monetary("Old per Year", compute="_compute_totals")
    new_year = fields.Monetary("New per Year", compute="_compute_totals")
    approved_by_id = fields.Many2one("res.users", readonly=True, copy=False, engine=True)
    approved_date = fields.Datetime("Approved On", readonly=True, copy=False, engine=True)
    applied_date = fields.Datetime("Applied On", readonly=True, copy=False, engine=True)

    @api.model
    def _get_transitions(self):
        # EXTENDS 'invoice.run.states'
        return PRICE_UPDATE_TRANSITIONS

    @api.depends("line_ids.is_dropped", "line_ids.reason", "line_ids.price_unit")
    def _compute_totals(self):
        for update in self:
            changed = update.line_ids.filtered(lambda line: line._is_changed_here())
            update.line_count = len(changed)
            update.left_out_count = len(update.line_ids) - len(changed)
            company = update.company_id or self.env.company
            today = company._get_invoice_run_today()
            update.old_year = update.new_year = 0.0
            for currency, lines in changed.grouped("currency_id").items():
                rate = currency._get_conversion_rate(currency, company.currency_id, company, today)
                update.old_year += sum(lines.mapped("old_year")) * rate
                update.new_year += sum(lines.mapped("new_year")) * rate

    @api.constrains("older_than", "not_before", "base_month", "index_month")
    def _check_years(self):
        check_years(self, ["older_than", "not_before", "base_month", "index_month"])

    @api.constrains("with_credit", "not_before")
    def _check_credit(self):
        for update in self:
            if update.with_credit and not update.not_before:
                raise ValidationError(
                    self.env._("To credit invoiced days, enter the day in “Not Before”.")
                )

    @api.constrains("percentage", "price_step")
    def _check_figures(self):
        for update in self:
            if update.price_step < 0:
                raise ValidationError(self.env._("Prices cannot be rounded to a negative step."))
            if update.method == "percentage" and update.percentage <= -100:
                raise ValidationError(
                    self.env._("A price cannot be reduced by 100 % or more: end the lines instead.")
                )

    @api.model_create_multi
    def create(self, vals_list):
        updates = super().create(vals_list)
        self.env["billing.change"]._note(updates)
        return updates

    def write(self, vals):
        if not self.env.su and set(vals) - {"name", "message_follower_ids"}:
            self._check_draft()
        self.env["billing.change"]._note(self)
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_applied(self):
        if any(update.state in ("applied", "undone") for update in self):
            raise UserError(self.env._("A price update that was applied is kept."))

    def _check_draft(self):
        done = self.filtered(lambda update: update.state != "draft")
        if done:
            raise UserError(
                self.env._(
                    "“%(update)s” is approved or applied: set it back to draft to change it.",
                    update=done[0].name,
                )
            )

    # ------------------------------------------------------------------
    # Lines
    # ------------------------------------------------------------------

    def action_find_lines(self):
        """Propose new prices of all lines that are selected; earlier proposals are replaced."""
        for update in self:
            update.check_access("write")
            update._check_draft()
            update._check_values()
            update.line_ids.unlink()
            lines = update._find_price_lines()
            with remembering(self.env):
                vals_list = update._prepare_lines(lines)
            # sudo: proposals belong to the engine; the lines were read with the user's rights
            self.env["billing.price.update.line"].sudo().create(vals_list)

    def _check_values(self):
        """Refuse a method without its values.

        :raises UserError: says what is missing
        """
        if self.method == "index" and not (self.index_id and self.base_month and self.index_month):
            raise UserError(self.env._("Choose the index, its old and its new month."))
        if self.method == "price" and not self.price_unit:
            raise UserError(self.env._("Enter the new price."))

    def _find_price_lines(self):
        """Return the recurring price lines of the selected contracts, with the user's rights."""
        try:
            domain = Domain(literal_eval(self.contract_domain or "[]"))
            contracts = self.env["billing.contract"].search(
                domain
                & Domain("company_id", "=", self.company_id.id)
                & Domain("state", "in", CONTRACT_BILLED)
            )
        except (ValueError, SyntaxError, TypeError) as error:
            message = self.env._("The selection of contracts cannot be read. Choose it again.")
            raise UserError(message) from error
        return contracts.line_ids.filtered(lambda line: line.price_interval != "once")

    def _prepare_lines(self, lines):
        """Return values of the lines of this document; those that are left out say why."""
        taken = lines._get_taken_spans()
        vals_list = []
        for line in lines:
            day = self._get_first_new_day(line, taken[line.id])
            last = line._get_last_day()
            if last and (not day or day > last):
                continue
            vals_list.append(self._prepare_line(line, day))
        return vals_list

    def _get_first_new_day(self, line, taken):
        """Return the first day of the new price: that of an open period, or the one asked for.

        :param taken: days that are invoiced or claimed, as spans
        """
        first = line._get_first_day()
        if self.with_credit:
            return max(self.not_before, first)
        day = max([first, *(span.date_to + periods.DAY for span in taken)])
        if not self.not_before or self.not_before <= day:
            return day
        grid = line.contract_id._get_billing_terms().grid
        index = grid.index(self.not_before)
        begin = grid.start(index)
        return begin if begin >= self.not_before else grid.start(index + 1)

    def _prepare_line(self, line, day):
        valid = line._get_planned_on(day) or line
        vals = {
            "update_id": self.id,
            "contract_line_id": line.id,
            "date_from": day,
            "old_price_unit": valid.price_unit,
            "price_unit": valid.price_unit,
            "old_year": valid.price_year,
        }
        reason = self._get_reason(line, day)
        if not reason:
            try:
                vals["price_unit"] = self._get_new_price(line, day, valid)
                vals |= self._prepare_index_vals()
            except (indexation.NotPublished, indexation.NoFactor):
                reason = self.env._("The index of one of the months is not known.")
            if vals["price_unit"] < 0 <= valid.price_unit:
                reason = self.env._("The price would be negative.")
        return {**vals, "reason": reason or False}

    def _get_reason(self, line, day):
        """Return why a price line is left out, empty where it is not."""
        since = line._get_price_since(day)
        if line.exclude_from_price_update:
            return self.env._("It is excluded from price updates.")
        if line._get_index_clause():
            return self.env._("It follows an index clause.")
        if line.is_price_looked_up:
            return self.env._("Its price is looked up when it is invoiced.")
        if self.older_than and since and since >= self.older_than:
            return self.env._("Its price counts since %(date)s.", date=format_date(self.env, since))
        if line.price_ids.filtered(lambda price: price.date_from == day):
            return self.env._("Another price is planned from the same day on.")
        return ""

    def _get_new_price(self, line, day, valid):
        """Return the new price of ``line`` from ``day`` on.

        :param valid: the price line, or the planned price, that is valid then
        """
        coin, step = line.currency_id.rounding, self.price_step
        old = valid.price_unit
        if self.method == "percentage":
            return float(periods.raise_price(old, self.percentage, step, coin))
        if self.method == "index":
            return float(periods.raise_price(old, self._get_index_percentage(), step, coin))
        makers = {
            "amount": lambda: float(periods.exact(old) + periods.exact(self.amount)),
            "price": lambda: self.price_unit,
            "product": lambda: line._get_price_of(day, line.env["product.pricelist"]),
            "pricelist": lambda: line._get_price_of(day, self.pricelist_id or None),
        }
        price = periods.exact(makers[self.method]())
        return float(periods.round_half_up(price, periods.exact(step)) if step else price)

    def _get_index_percentage(self):
        """Return by how many percent the index changed between the two months, exact."""
        old, new = self._get_index_values()
        return (new.number / old.number - 1) * 100

    def _get_index_values(self):
        """Return the values of both months on one base, see ``indexation.Series.on_one_base``."""
        return self.index_id._get_series().on_one_base(self.base_month, self.index_month)

    def _prepare_index_vals(self):
        """Return the figures behind a new price: what was published when it was found."""
        if self.method != "index":
            return {}
        old, new = self._get_index_values()
        return {"old_index_value": float(old.number), "index_value": float(new.number)}

    # ------------------------------------------------------------------
    # Steps
    # ------------------------------------------------------------------

    def action_approve(self):
        """Approve the new prices as they are.

        :raises AccessError: the user is not a reviewer
        :raises UserError: there is nothing to change, or four eyes are asked for
        """
        self.check_access("write")
        self._check_may_approve()
        for update in self:
            if not update.line_ids.filtered(lambda line: line._is_changed_here()):
                raise UserError(self.env._("There is no price to change. Find the lines first."))
            update._set_state(
                "approved",
                approved_by_id=self.env.uid,
                approved_date=fields.Datetime.now(),
            )

    def _check_may_approve(self):
        if self.env.su:
            return
        if not self.env.user._is_invoice_run_reviewer():
            raise AccessError(self.env._("Only reviewers approve price updates. Ask one of them."))
        # sudo: a setting of the company, which users need not read
        companies = self.company_id.sudo().filtered("invoice_run_four_eyes")
        mine = (
            self.env["billing.change"]
            .sudo()
            .search_count(
                [
                    ("user_id", "=", self.env.uid),
                    ("model", "=", self._name),
                    ("res_id", "in", self.filtered(lambda one: one.company_id in companies).ids),
                ]
            )
        )
        if mine:
            raise UserError(
                self.env._(
                    "Four-eyes principle: you created or changed this price update. Another "
                    "reviewer has to approve it."
                )
            )

    def action_draft(self):
        """Withdraw the approval."""
        self.check_access("write")
        self._set_state("draft", approved_by_id=False, approved_date=False)

    def action_cancel(self):
        """Leave the prices as they are."""
        self.check_access("write")
        self._set_state("cancelled")

    def action_apply(self):
        """Apply the approved prices.

        :raises UserError: it is not approved, or a price changed since it was proposed
        """
        self.check_access("write")
        for update in self:
            if update.state != "approved":
                raise UserError(self.env._("Prices are applied after they have been approved."))
            lines = update.line_ids.filtered(lambda line: line._is_changed_here())
            lines._check_still_valid()
            self.env["billing.change"]._note(lines.contract_line_id)
            if update.with_credit:
                lines._apply_with_credit()
            else:
                lines._apply_planned()
            update._set_state("applied", applied_date=fields.Datetime.now())

    def action_undo(self):
        """Undo the new prices, while nothing is invoiced at them.

        :raises UserError: names a contract that is invoiced at the new price
        """
        self.check_access("write")
        for update in self:
            if update.state != "applied":
                raise UserError(self.env._("Only prices that were applied can be undone."))
            lines = update.line_ids.filtered(lambda line: line._is_changed_here())
            lines._check_not_invoiced()
            self.env["billing.change"]._note(lines.contract_line_id)
            lines._take_back()
            update._set_state("undone")

    # ------------------------------------------------------------------
    # Letters
    # ------------------------------------------------------------------

    def _get_letters(self):
        """Return what customers are told, see ``billing.price.change._get_letters``."""
        self.ensure_one()
        if self.state not in PRICE_UPDATE_DECIDED:
            raise UserError(self.env._("Letters tell approved prices: approve them first."))
        lines = self.line_ids.filtered(lambda line: line._is_changed_here())
        letters = self.env["billing.price.change"]._get_letters(
            [line._get_price_change() for line in lines]
        )
        for contract, own in lines.grouped("contract_id").items():
            letters[contract.id]["updates"] = {one.contract_line_id.id: one.id for one in own}
        return letters

    def action_send_letters(self):
        """Put a letter to each customer into the outgoing mail."""
        self.check_access("write")
        letters = self._get_letters()
        contracts = self.env["billing.contract"].browse(letters)
        template = self.env.ref("invoice_run.mail_template_price_change")
        silent = contracts._send_price_letters(letters, template)
        body = self.env._(
            "Letters in the outgoing mail: %(count)s.", count=len(contracts) - len(silent)
        )
        if silent:
            body += " " + self.env._(
                "No letter, because the customer has no email address: %(contracts)s.",
                contracts=", ".join(silent.mapped("display_name")),
            )
        self.message_post(body=body)

    def action_print_letters(self):
        """Download all letters in one PDF, which stays attached to this document."""
        self.check_access("write")
        letters = self._get_letters()
        contracts = self.env["billing.contract"].browse(letters)
        contracts._check_letters_printable()
        return contracts._print_price_letters(letters, self)._get_download_action()


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
                        "Contract %(contract)s, line “%(line)s”: its price has changed since. Set "
                        "the update back to draft and find the lines again.",
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


class BillingContractLine(models.Model):
    _inherit = "billing.contract.line"

    exclude_from_price_update = fields.Boolean(
        help="Price updates leave this line out, for example because its price is guaranteed."
    )


class BillingContract(models.Model):
    _inherit = "billing.contract"

    def action_update_prices(self):
        """Open a new price update of these contracts."""
        self.check_access("read")
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Price Update"),
            "res_model": "billing.price.update",
            "view_mode": "form",
            "context": {"default_contract_domain": repr([("id", "in", self.ids)])},
        }
