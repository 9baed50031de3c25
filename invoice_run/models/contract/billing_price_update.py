from ast import literal_eval

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import format_date

from ...engine import indexation, periods
from ...memory import remembering
from ..base.possible_dates import check_years
from ..base.states import CONTRACT_BILLED, PRICE_UPDATE_DECIDED, PRICE_UPDATE_TRANSITIONS


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
    letters_date = fields.Datetime("Letters Sent On", readonly=True, copy=False, engine=True)

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
                    "“%(update)s” is approved or applied. To change it, press “Back to Draft”, or "
                    "“Undo” where its prices are applied.",
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
                reason = self.env._(
                    "The index of one of the months is not known. Enter it under Indexes, then "
                    "press “Find Prices”."
                )
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
                raise UserError(
                    self.env._("There is no price to change. Press “Find Prices” first.")
                )
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
        self._write_engine({"letters_date": fields.Datetime.now()})
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
