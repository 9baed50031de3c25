from contextlib import suppress

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain

from ...engine import periods
from ..base.possible_dates import check_years
from ..base.states import CONTRACT_BILLED

#: Typing errors: 50 years in advance, periods of 100 years.
MAX_PERIOD_COUNT = 1200
MAX_PREBILLING = 600
DATES = (
    "date_start",
    "date_end",
    "cancel_date",
    "invoice_until",
    "check_in_date",
    "check_out_date",
)
#: Fields that decide which usage items belong to a metered price line.
METER_DATES = {"date_start", "date_end", "state", "cancel_date"}
MONTHS = [
    ("1", "January"),
    ("2", "February"),
    ("3", "March"),
    ("4", "April"),
    ("5", "May"),
    ("6", "June"),
    ("7", "July"),
    ("8", "August"),
    ("9", "September"),
    ("10", "October"),
    ("11", "November"),
    ("12", "December"),
]
#: A copied price line is in force as long as its contract, and was invoiced nowhere.
NO_DATES = {"date_start": False, "date_end": False, "initial_invoiced_until": False}


class BillingContract(models.Model):
    """An agreement whose price lines are invoiced over time."""

    _name = "billing.contract"
    _description = "Billing Contract"
    _inherit = [
        "portal.mixin",
        "mail.thread",
        "mail.activity.mixin",
        "invoice.run.source",
        "invoice.run.guarded",
        "invoice.run.import.mixin",
    ]
    _order = "name desc, id desc"
    _check_company_auto = True
    _rec_names_search = ["name", "title", "partner_id"]

    _source_key = "contract"
    _source_sequence = 10
    _source_icon = "fa-file-text-o"
    _source_claim_field = "contract_line_id"
    _source_record_field = "contract_id"
    _source_has_periods = True

    name = fields.Char("Number", required=True, copy=False, readonly=True, default="/")
    title = fields.Char(tracking=True)
    partner_id = fields.Many2one(
        "res.partner",
        "Customer",
        required=True,
        index=True,
        check_company=True,
        tracking=True,
        help="The customer that this contract is with.",
    )
    commercial_partner_id = fields.Many2one(
        related="partner_id.commercial_partner_id", store=True, index=True
    )
    partner_invoice_id = fields.Many2one(
        "res.partner",
        "Invoice Address",
        compute="_compute_partner_invoice_id",
        store=True,
        readonly=False,
        precompute=True,
        check_company=True,
        tracking=True,
    )
    company_id = fields.Many2one(
        "res.company", required=True, index=True, default=lambda self: self.env.company
    )
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        compute="_compute_currency_id",
        store=True,
        readonly=False,
        precompute=True,
    )
    cluster_id = fields.Many2one(
        "billing.cluster",
        check_company=True,
        index="btree_not_null",
        tracking=True,
        help="The business unit by which schedules and scenarios select contracts.",
    )
    category_id = fields.Many2one("billing.category", "Invoice Category", check_company=True)
    date_start = fields.Date(
        "Start", required=True, default=fields.Date.context_today, tracking=True
    )
    date_end = fields.Date(
        "End", tracking=True, help="Last day of the contract, included. Empty: open-ended."
    )
    is_start_open = fields.Boolean(
        compute="_compute_is_start_open",
        store=True,
        readonly=False,
        precompute=True,
        copy=False,
        help="A copied contract: the first day to invoice must still be entered.",
    )
    state = fields.Selection(
        [
            ("draft", "Draft"),
            ("active", "Active"),
            ("closed", "Closed"),
            ("cancelled", "Cancelled"),
        ],
        "Status",
        required=True,
        default="draft",
        index=True,
        copy=False,
        tracking=True,
        help="Active and closed contracts are invoiced until their end, other contracts never.",
    )
    cancel_date = fields.Date(
        "Cancelled On",
        compute="_compute_cancel_date",
        store=True,
        readonly=False,
        copy=False,
        tracking=True,
        help="Last day to invoice on a cancelled contract, included. The next run credits what "
        "was invoiced for later days; choose a later day to prevent this.",
    )
    billing_hold = fields.Boolean(
        "On Hold", copy=False, tracking=True, help="Not invoiced while it is on hold."
    )
    billing_hold_reason = fields.Char(copy=False, tracking=True)
    check_in_date = fields.Date(copy=False, help="Day on which the customer took it over.")
    check_out_date = fields.Date(copy=False, help="Day on which the customer returned it.")
    is_checked_in = fields.Boolean(compute="_compute_is_checked_in", search="_search_is_checked_in")

    billing_mode = fields.Selection(
        [
            ("periodic", "Periodically"),
            ("date", "Until a date"),
            ("end", "Until the end of the contract"),
        ],
        required=True,
        default="periodic",
        tracking=True,
        help="Periodically: period by period. Until a date or the end: everything up to "
        "then at once.",
    )
    invoice_until = fields.Date(help="Last day to invoice, included.")
    period_count = fields.Integer("Billing Period", required=True, default=1, tracking=True)
    period_unit = fields.Selection(
        [("month", "Months"), ("week", "Weeks"), ("day", "Days")],
        required=True,
        default="month",
        tracking=True,
    )
    prebilling_periods = fields.Integer(
        "Further Periods Ahead",
        default=0,
        tracking=True,
        help="Periods invoiced ahead of the one that contains the target date of the run. 0: that "
        "period only.",
    )
    billing_timing = fields.Selection(
        [("advance", "In advance"), ("arrears", "In arrears")],
        required=True,
        default="advance",
        tracking=True,
        help="In advance: a period is due from its first day. In arrears: after its last day.",
    )
    period_anchor = fields.Selection(
        [
            ("start", "Start of the contract"),
            ("calendar", "Calendar"),
            ("month_end", "Last day of the month"),
            ("day", "A day of your choice"),
        ],
        "Periods Begin on",
        required=True,
        default="start",
        tracking=True,
        help="Calendar: the first of the month, quarter, half-year or year; Mondays for weeks. "
        "Periods of days always begin with the contract.",
    )
    anchor_day = fields.Integer(
        "Day of the Month",
        required=True,
        default=1,
        tracking=True,
        help="From 1 to 31, the last day where a month is shorter.",
    )
    anchor_month = fields.Selection(
        MONTHS,
        "Year Begins in",
        tracking=True,
        help="For example April, where quarters and years begin on a day of April. Empty: counted "
        "from the month in which the contract starts.",
    )
    first_period_due = fields.Selection(
        [("start", "Start of the contract"), ("grid", "First day of the period")],
        "First Period Due from",
        required=True,
        default="start",
        tracking=True,
        help="Where the contract starts within a period: from which day on runs in advance invoice "
        "that first, cut period. First day of the period: also before the contract starts.",
    )
    proration = fields.Selection(
        [
            ("actual", "Days of the month"),
            ("thirty", "30 days"),
            ("thirty_360", "30/360"),
            ("none", "None: a started month counts in full"),
            ("days_of_period", "Days of the whole period"),
            ("none_period", "None: a started period counts in full"),
        ],
        required=True,
        default="actual",
        tracking=True,
        help="How days are counted in a month that is invoiced only in part. Days of the whole "
        "period: by the days of the quarter, half-year or year that the price is for.",
    )
    payment_term_id = fields.Many2one(
        "account.payment.term", check_company=True, help="Empty: the customer's."
    )
    pricelist_id = fields.Many2one(
        "product.pricelist",
        check_company=True,
        help="For price lines whose price is looked up when it is invoiced. Empty: the customer's.",
    )
    fiscal_position_id = fields.Many2one(
        "account.fiscal.position",
        check_company=True,
        help="Empty: chosen by the customer's address.",
    )
    preferred_payment_method_line_id = fields.Many2one(
        "account.payment.method.line",
        "Payment Method",
        check_company=True,
        domain="[('payment_type', '=', 'inbound'), ('company_id', 'parent_of', company_id)]",
        help="Empty: the customer's.",
    )
    client_order_ref = fields.Char(
        "Customer Reference", help="Order number of the customer, printed on the invoices."
    )
    user_id = fields.Many2one(
        "res.users", "Responsible", default=lambda self: self.env.user, check_company=True
    )
    line_ids = fields.One2many("billing.contract.line", "contract_id", "Price Lines", copy=True)
    usage_ids = fields.One2many("billing.usage", "contract_id")
    run_line_ids = fields.One2many("invoice.run.line", "contract_id", "Amounts", engine=True)
    next_invoicing_date = fields.Date(
        compute="_compute_next_invoicing_date",
        store=True,
        copy=False,
        help="Earliest target date at which a run would propose something. A credit is due "
        "since the first day that is not owed, at the latest since the day on which it came up.",
        engine=True,
    )
    invoice_count = fields.Integer(compute="_compute_invoice_count")
    amount_invoiced = fields.Monetary(
        compute="_compute_amount_invoiced",
        help="Untaxed, on invoices that are not cancelled, less what was credited.",
    )
    amount_to_invoice = fields.Monetary(
        "Amount to Invoice",
        compute="_compute_amount_to_invoice",
        help="Untaxed, due up to today and not claimed by any run yet.",
    )

    _next_invoicing_idx = models.Index(
        "(next_invoicing_date, company_id) WHERE next_invoicing_date IS NOT NULL"
    )
    _period_count_positive = models.Constraint(
        "CHECK (period_count >= 1)", "The billing period must be at least one month, week or day."
    )
    _anchor_day_exists = models.Constraint(
        "CHECK (anchor_day BETWEEN 1 AND 31)", "Periods begin on a day from 1 to 31."
    )
    _prebilling_not_negative = models.Constraint(
        "CHECK (prebilling_periods >= 0)",
        "The number of further periods ahead cannot be negative.",
    )
    _no_prebilling_in_arrears = models.Constraint(
        "CHECK (billing_timing <> 'arrears' OR prebilling_periods = 0)",
        "A contract invoiced in arrears cannot have further periods ahead. Set their number to 0.",
    )
    _start_is_said = models.Constraint(
        "CHECK (is_start_open IS NOT TRUE OR state IN ('draft', 'cancelled'))",
        "The contract is a copy. Enter the day from which it is invoiced, or press “Invoice from "
        "This Day”.",
    )
    _dates_in_order = models.Constraint(
        "CHECK (date_end IS NULL OR date_end >= date_start)",
        "The end of the contract is before its start. Correct one of the two dates.",
    )

    @api.depends("partner_id")
    def _compute_partner_invoice_id(self):
        for contract in self:
            contract.partner_invoice_id = contract.partner_id.address_get(["invoice"])["invoice"]

    @api.depends("company_id")
    def _compute_currency_id(self):
        for contract in self:
            contract.currency_id = contract.currency_id or contract.company_id.currency_id

    @api.depends("state")
    def _compute_cancel_date(self):
        for contract in self:
            if contract.state != "cancelled":
                contract.cancel_date = False
            elif not contract.cancel_date:
                contract.cancel_date = contract.company_id._get_invoice_run_today()

    @api.depends("date_start")
    def _compute_is_start_open(self):
        # the user who enters a day has said so
        self.is_start_open = False

    @api.depends("check_in_date", "check_out_date")
    def _compute_is_checked_in(self):
        for contract in self:
            today = contract.company_id._get_invoice_run_today()
            contract.is_checked_in = bool(
                contract.check_in_date
                and contract.check_in_date <= today
                and not (contract.check_out_date and contract.check_out_date < today)
            )

    def _search_is_checked_in(self, operator, value):
        if operator != "in":
            return NotImplemented
        today = self.env.company._get_invoice_run_today()
        return Domain("check_in_date", "<=", today) & (
            Domain("check_out_date", "=", False) | Domain("check_out_date", ">=", today)
        )

    @api.depends(
        "state",
        "date_start",
        "date_end",
        "billing_mode",
        "invoice_until",
        "period_count",
        "period_unit",
        "prebilling_periods",
        "billing_timing",
        "period_anchor",
        "anchor_day",
        "anchor_month",
        "first_period_due",
        "line_ids.next_period_from",
        "line_ids.overbilled_from",
        "line_ids.is_metered",
    )
    def _compute_next_invoicing_date(self):
        for contract in self:
            lines = contract.line_ids.filtered("next_period_from")
            billable = contract.state in CONTRACT_BILLED and contract.date_start
            terms = None
            if billable and lines:
                # impossible while somebody types: the constraints say what is wrong
                with suppress(ValueError):
                    terms = contract._get_billing_terms()
            dates = [
                periods.next_invoicing_date(line._get_own_terms(terms), line.next_period_from)
                for line in (lines if terms else ())
            ]
            credited = billable or contract.state == "cancelled"
            credits = [day for day in contract.line_ids.mapped("overbilled_from") if day]
            if credited and credits:
                # due since the day it was known, or since the day nothing was owed any more
                today = contract.company_id._get_invoice_run_today()
                dates.append(min(*credits, today))
            contract.next_invoicing_date = min(filter(None, dates), default=False)

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {
            "partner_id",
            "partner_invoice_id",
            "currency_id",
            "cluster_id",
            "category_id",
            "date_start",
            "date_end",
            "cancel_date",
            "billing_mode",
            "invoice_until",
            "period_count",
            "period_unit",
            "prebilling_periods",
            "billing_timing",
            "period_anchor",
            "anchor_day",
            "anchor_month",
            "first_period_due",
            "proration",
            "pricelist_id",
            "payment_term_id",
            "fiscal_position_id",
            "preferred_payment_method_line_id",
            "client_order_ref",
            "title",
        }

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return [("contract_id", "in", self.ids)]

    def _compute_invoice_count(self):
        groups = self.env["invoice.run.line"]._read_group(
            [("contract_id", "in", self.ids), ("document_id.move_id", "!=", False)],
            ["contract_id"],
            ["document_id:count_distinct"],
        )
        counts = {contract.id: count for contract, count in groups}
        for contract in self:
            contract.invoice_count = counts.get(contract.id, 0)

    def _compute_amount_invoiced(self):
        lines, usage = self.line_ids._origin, self.usage_ids._origin
        by_line = self.env["billing.ledger"]._get_totals(lines)
        by_item = self.env["billing.ledger"]._get_totals(usage)
        for contract in self:
            totals = [by_line[line.id] for line in contract.line_ids._origin]
            totals += [by_item[item.id] for item in contract.usage_ids._origin]
            contract.amount_invoiced = sum(map(contract._get_total_invoiced, totals))

    def _get_total_invoiced(self, totals):
        """Return what was invoiced less what was credited, in the currency of the contract.

        :param totals: see ``billing.ledger._get_totals``, of one record
        """
        amount = 0.0
        for currency_id, (billed, back, company_billed, company_back) in totals.items():
            if currency_id == self.currency_id.id:
                amount += billed + back
            else:
                booked = company_billed + company_back
                amount += self._convert_today(self.company_id.currency_id, booked)
        return amount

    def _convert_today(self, currency, amount):
        company = self.company_id
        today = company._get_invoice_run_today()
        return currency._convert(amount, self.currency_id, company, today)

    def _compute_amount_to_invoice(self):
        currencies = self.env["res.currency"]
        for contract in self:
            contract.amount_to_invoice = sum(
                contract._convert_today(
                    currencies.browse(charge.document["currency_id"]),
                    contract._get_charge_untaxed(charge),
                )
                for charge in contract._get_charges_until_today()
            )

    @api.depends("name")
    def _compute_display_name(self):
        # EXTENDS 'base': one that is not saved has no number yet, the page says "New"
        for contract in self:
            contract.display_name = contract.name if contract.name != "/" else ""

    @api.constrains(*DATES)
    def _check_years(self):
        check_years(self, DATES)

    @api.constrains("date_start")
    def _check_start_not_billed(self):
        self.line_ids._check_start_not_billed()

    @api.constrains("period_count", "prebilling_periods")
    def _check_period_limits(self):
        limits = {"period_count": MAX_PERIOD_COUNT, "prebilling_periods": MAX_PREBILLING}
        for contract in self:
            for name, limit in limits.items():
                if contract[name] > limit:
                    raise ValidationError(
                        self.env._(
                            "Contract %(contract)s, “%(field)s”: at most %(limit)s.",
                            contract=contract.name,
                            field=self._fields[name]._description_string(self.env),
                            limit=limit,
                        )
                    )

    @api.constrains("company_id")
    def _check_company_of_amounts(self):
        self.line_ids._check_company()
        for contract in self:
            if contract.usage_ids.company_id - contract.company_id:
                raise ValidationError(
                    self.env._(
                        "Contract %(contract)s has usage of another company. Move the usage to "
                        "another contract, or create a new contract for %(company)s.",
                        contract=contract.name,
                        company=contract.company_id.name,
                    )
                )
            if contract.run_line_ids.company_id - contract.company_id:
                raise ValidationError(
                    self.env._(
                        "Contract %(contract)s has already been invoiced by another company. "
                        "Close it and create a new one.",
                        contract=contract.name,
                    )
                )

    @api.constrains("state", "date_end", "line_ids")
    def _check_closed_ends(self):
        for contract in self.filtered(lambda contract: contract.state == "closed"):
            recurring = contract.line_ids.filtered(lambda line: line.price_interval != "once")
            if not contract.date_end and not all(recurring.mapped("date_end")):
                raise ValidationError(
                    self.env._(
                        "Contract %(contract)s has no end, so it would go on being invoiced when "
                        "it is closed. Enter the last day to invoice as its end first.",
                        contract=contract.name,
                    )
                )

    @api.constrains("billing_mode", "invoice_until")
    def _check_invoice_until(self):
        for contract in self:
            if contract.billing_mode == "date" and not contract.invoice_until:
                raise ValidationError(
                    self.env._(
                        "Contract %(contract)s is invoiced until a date: fill in “Invoice Until”.",
                        contract=contract.name,
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            if vals.get("name", "/") == "/":
                vals["name"] = self.env["ir.sequence"].next_by_code("billing.contract")
        return super().create(vals_list)

    def copy_data(self, default=None):
        # EXTENDS 'base': a copy is another agreement, it must not invoice the days of this one
        default = dict(default or {})
        vals_list = super().copy_data({**default, "line_ids": default.get("line_ids", [])})
        for contract, vals in zip(self, vals_list, strict=True):
            if "line_ids" not in default:
                lines = contract._get_lines_to_copy().copy_data(NO_DATES)
                vals["line_ids"] = [fields.Command.create(line) for line in lines]
            if "date_start" not in default:
                today = contract.company_id._get_invoice_run_today()
                vals |= {"date_start": today, "is_start_open": True}
            for name in ("date_end", "invoice_until"):
                vals[name] = default.get(name, False)
            if vals.get("billing_mode") == "date" and not vals["invoice_until"]:
                vals["billing_mode"] = default.get("billing_mode", "periodic")
        return vals_list

    def _get_lines_to_copy(self):
        """Return the price lines without those that others replaced or that ended before."""
        today = self.company_id._get_invoice_run_today()
        current = self.line_ids - self.line_ids.previous_line_id
        in_force = current.filtered(lambda line: not line.date_end or line.date_end >= today)
        return in_force or current

    @api.ondelete(at_uninstall=False)
    def _unlink_except_billed(self):
        billed = self.filtered("run_line_ids")
        if billed:
            raise UserError(
                self.env._(
                    "%(contracts)s: the contract has been invoiced, so it cannot be deleted. "
                    "Close or cancel it instead.",
                    contracts=", ".join(billed.mapped("name")),
                )
            )

    def action_activate(self):
        """Activate the contract: it is invoiced from now on."""
        self.check_access("write")
        empty = self.filtered(lambda contract: not contract.line_ids)
        if empty:
            raise UserError(
                self.env._(
                    "%(contracts)s: add a price line before you activate the contract.",
                    contracts=", ".join(empty.mapped("name")),
                )
            )
        self.write({"state": "active"})

    def action_confirm_start(self):
        """Confirm that a copy is invoiced from the start that it shows."""
        self.write({"is_start_open": False})

    def action_close(self):
        """Close the contract: it is still invoiced to its end.

        :raises ValidationError: it has no end
        """
        self.write({"state": "closed"})

    def action_cancel(self):
        """Cancel the contract: it is never invoiced again."""
        self.write({"state": "cancelled"})

    def action_draft(self):
        """Set the contract back to draft: it is not invoiced until it is activated again."""
        self.write({"state": "draft"})

    def action_view_invoices(self):
        """Open the invoices that hold charges of these contracts."""
        self.check_access("read")
        moves = self.run_line_ids.document_id.move_id
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "account.action_move_out_invoice_type"
        )
        action["domain"] = [("id", "in", moves.ids)]
        action["context"] = {"default_move_type": "out_invoice", "create": False}
        return self._with_path("billing-contract-invoices", action)

    def action_view_due(self):
        """Show what is still to invoice, without a run."""
        self.check_access("read")
        wizard = self.env["billing.due"].create({"contract_ids": [fields.Command.set(self.ids)]})
        wizard.action_refresh()
        return wizard._get_records_action(name=self.env._("What Is Still to Invoice?"))

    def action_view_amounts(self):
        """Open all amounts that runs generated for these contracts."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.invoice_run_line_action"
        )
        action["domain"] = [("contract_id", "in", self.ids)]
        return self._with_path("billing-contract-amounts", action)
