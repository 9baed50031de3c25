from contextlib import suppress
from functools import partial

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import format_date

from ...engine import periods
from ...engine.charge import Charge, NotBillable
from ...memory import remember, remembering
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
        for contract in self:
            if contract.run_line_ids.company_id - contract.company_id:
                raise ValidationError(
                    self.env._(
                        "Contract %(contract)s has already been invoiced by another company. "
                        "Close it and create a new one.",
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
        """Close the contract: it is still invoiced to its end."""
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

    # ------------------------------------------------------------------
    # Billing terms
    # ------------------------------------------------------------------

    def _get_billing_terms(self, run=None):
        """Return the :class:`periods.Terms` of this contract, as ``run``'s scenario invoices it.

        :raises ValueError: the dates or periods of the contract are impossible
        """
        self.ensure_one()
        mode, until, split = self.billing_mode, self.invoice_until or None, False
        if run:
            scenario = run.scenario_id
            split = scenario.split_periods
            if scenario.billing_mode != "contract":
                mode = scenario.billing_mode
                until = run.target_date
        values = {
            "start": self.date_start,
            "end": self.date_end or None,
            "mode": mode,
            "until": until,
            "count": self.period_count,
            "unit": self.period_unit,
            "prebilling": self.prebilling_periods,
            "timing": self.billing_timing,
            "anchor": self.period_anchor,
            "anchor_day": self.anchor_day,
            "anchor_month": int(self.anchor_month or 0),
            "first_due": self.first_period_due,
            "proration": self.proration,
            "split": split,
        }
        # equal terms are one object: it keeps the periods that were calculated
        return remember(self.env, ("terms", *values.values()), lambda: periods.Terms(**values))

    def _collect_due(self, target):
        """Yield what a run with this target date would invoice, by the run's own code.

        Contracts that may not be invoiced yield nothing, those that cannot be yield an exception.
        """
        billable = self.filtered(lambda contract: contract.state in CONTRACT_BILLED)
        usage = billable._get_own_usage(target).grouped("contract_id")
        # not while the caller does something with them: what is remembered may change then
        with remembering(self.env):
            items = list(billable._collect_due_contracts(target, usage))
        yield from items

    def _collect_due_contracts(self, target, usage):
        """Yield what :meth:`_collect_due` does, of contracts that are invoiced.

        :param usage: {contract: its open items up to ``target``}
        """
        claims = self.line_ids._get_taken_spans()
        runs = {company: self._new_preview_run(company, target) for company in self.company_id}
        if self == self._origin:
            for company, contracts in self.grouped("company_id").items():
                contracts._read_metered_ahead(runs[company], claims)
        for contract in self:
            run = runs[contract.company_id]
            yield from contract._collect_contract_charges(run, claims)
            yield from usage.get(contract._origin, self.env["billing.usage"])._collect_charges(run)

    def _get_own_usage(self, target):
        """Return the open usage items up to ``target`` that are invoiced at prices of their own.

        Not those that price lines rate, of which a contract can have a million.
        """
        domain = Domain("contract_id", "in", self._origin.ids) & Domain("state", "=", "open")
        domain &= Domain("date", "<=", target) & Domain("contract_line_id", "=", False)
        return self.env["billing.usage"].search(domain)

    @api.model
    def _new_preview_run(self, company, target):
        """Return a run in memory that invoices contracts as they are set, up to ``target``."""
        scenario = self.env["billing.scenario"].new({"company_id": company.id})
        return self.env["invoice.run"].new(
            {
                "scenario_id": scenario,
                "company_id": company.id,
                "target_date": target,
                "invoice_date": target,
            }
        )

    # ------------------------------------------------------------------
    # invoice.run.source
    # ------------------------------------------------------------------

    @api.model
    def _get_source_label(self):
        # EXTENDS 'invoice.run.source'
        return self.env._("Contracts")

    @api.model
    def _get_run_selection_domain(self, run):
        # EXTENDS 'invoice.run.source': due or not
        return self._get_run_scope_domain(run) & self._get_billed_domain()

    @api.model
    def _get_billed_domain(self):
        """Return the contracts that runs invoice, and cancelled ones whose days they credit."""
        cancelled = Domain("state", "=", "cancelled")
        cancelled &= Domain("line_ids.overbilled_from", "!=", False)
        return Domain("state", "in", CONTRACT_BILLED) | cancelled

    @api.model
    def _get_run_scope_domain(self, run):
        """Return the contracts that ``run`` selects, also those that may not be invoiced."""
        return Domain.AND(self._get_scope_conditions(run).values())

    @api.model
    def _get_scope_conditions(self, run):
        """Return {code: domain} of :meth:`_get_run_scope_domain`."""
        scenario = run.scenario_id
        conditions = {"company": Domain("company_id", "=", run.company_id.id)}
        clusters = run.cluster_ids or scenario.cluster_ids
        if clusters:
            conditions["cluster"] = Domain("cluster_id", "in", clusters.ids)
        if scenario.only_checked_in:
            conditions["checked_in"] = Domain("is_checked_in", "=", True)
        return conditions | run._get_source_conditions()

    @api.model
    def _get_run_conditions(self, run):
        # EXTENDS 'invoice.run.source'
        return {
            **self._get_scope_conditions(run),
            "state": self._get_billed_domain(),
            "dates": self._get_due_domain(run),
        }

    @api.model
    def _get_run_domain(self, run):
        return Domain.AND(self._get_run_conditions(run).values())

    @api.model
    def _get_due_domain(self, run):
        """Return the contracts with something due at the target date of ``run``."""
        mode, target = run.scenario_id.billing_mode, run.target_date
        late = self._get_late_domain(run)
        if mode != "contract":
            # the scenario may invoice on other days than the contract's own date says
            credit = Domain("line_ids.overbilled_from", "!=", False)
            return self._get_mode_domain(mode, target) | credit | late
        due = Domain("next_invoicing_date", "<=", target) | late
        if target >= run.company_id._get_invoice_run_today():
            return due
        # a credit is due with any run, also with one for a day before it came up; by their few
        # ids, so that both are found by an index
        company = Domain("company_id", "=", run.company_id.id)
        lines = self.env["billing.contract.line"].search_fetch(
            company & Domain("overbilled_from", "!=", False), ["contract_id"]
        )
        return due | Domain("id", "in", lines.contract_id.ids)

    @api.model
    def _get_mode_domain(self, mode, target):
        """Return the contracts that have days to invoice by the scenario's ``mode``.

        Until a date or the end, a contract is due from its first open day on. By periods, its next
        invoicing date says so where the contract itself is invoiced by periods; the others are all
        selected that have open days, because only their grid tells.
        """
        if mode != "periodic":
            return Domain("line_ids.next_period_from", "<=", target)
        is_own = Domain("billing_mode", "=", mode)
        own = is_own & Domain("next_invoicing_date", "<=", target)
        return own | (~is_own & Domain("line_ids.next_period_from", "!=", False))

    @api.model
    def _get_run_count(self, run):
        # EXTENDS 'invoice.run.source': contracts of which only usage is due count as well
        usage = self.env["billing.usage"]._get_contract_usage_domain(run)
        return self.search_count(
            self._get_run_domain(run)
            | (self._get_run_scope_domain(run) & Domain("usage_ids", "any", usage))
        )

    @api.model
    def _get_run_payers(self, run):
        usage_payers = self.env["billing.usage"]._get_contract_usage_payers(run)
        return super()._get_run_payers(run) | usage_payers

    @api.model
    def _collect_run_charges(self, run, payers):
        domain = self._get_run_domain(run) & Domain("commercial_partner_id", "in", payers.ids)
        contracts = self.search(domain, order="name, id")
        claims = contracts.line_ids._get_taken_spans()
        contracts.line_ids.fetch(["tax_ids"])
        contracts._read_metered_ahead(run, claims)
        contracts._read_customer_pools_ahead(run, claims)
        yield from contracts._collect_records(
            run, lambda contract: contract._collect_contract_charges(run, claims)
        )
        yield from self.env["billing.usage"]._collect_contract_usage_charges(run, payers)

    def _collect_contract_charges(self, run, claims):
        """Yield the charges of one contract, or one exception that says why there are none."""
        self.ensure_one()
        records = self._get_run_document_records()
        errors = self._get_contract_errors(run, records)
        items = []
        try:
            if not errors:
                items = list(self._get_contract_charges(run, claims, records))
        except periods.OpenEnded:
            errors = [
                (
                    "open_ended",
                    self.env._("The contract has no end date. Enter one or invoice periodically."),
                )
            ]
        except (ValueError, UserError) as error:
            errors = [("contract", str(error))]
        get_charges = partial(self._get_contract_charges, run, claims, records)
        yield from self._get_exceptions(run, errors, get_charges)
        yield from items

    def _get_contract_errors(self, run, records):
        """Return all reasons, as (code, message), why this contract cannot be invoiced.

        :param records: see :meth:`_get_run_document_records`
        """
        if self.billing_hold:
            reason = self.billing_hold_reason or self.env._("no reason given")
            message = self.env._("The contract is on hold: %(reason)s.", reason=reason)
            return [("hold", message)]
        errors = self._get_document_errors(self.partner_id, records, run.invoice_date)
        # a line with nothing left to invoice may have a product that was archived meanwhile
        open_lines = self.line_ids.filtered("next_period_from")
        for line in open_lines if self.state in CONTRACT_BILLED else ():
            errors += self._get_product_errors(line.product_id, records)
            # asked in this order, because nearly all have a price of their own
            if not (line.price_unit or line.tariff_id or line.is_price_looked_up):
                errors += [] if line._bounds_contract() else self._get_price_errors(line)
        return list(dict.fromkeys(errors))

    @api.model
    def _get_document_names(self, document):
        # EXTENDS 'invoice.run.source': also where only usage of them is invoiced
        return document.contract_ids.mapped("name")

    @api.model
    def _is_recurring(self, line):
        # EXTENDS 'invoice.run.source'
        return line.contract_line_id.price_interval != "once" and not line.late_number

    @api.model
    def _would_bill(self, run, line):
        # EXTENDS 'invoice.run.source': the contract says how far ahead its days are invoiced
        if not line.contract_line_id:
            return super()._would_bill(run, line)
        if line.corrects_id and line.contract_line_id.overbilled_from:
            return True  # a further credit is due, which waits for this one
        try:
            terms = line.contract_id._get_billing_terms(run)
            terms = line.contract_line_id._get_own_terms(terms)
            horizon = periods.billing_horizon(terms, run.target_date)
        except ValueError:  # the contract has an exception of its own
            return False
        first = line.billing_date_from
        end = line.contract_line_id._get_last_day()
        is_due = horizon and first <= min(horizon, end or horizon)
        in_time = first <= run.target_date
        return bool(is_due) and (in_time or terms.mode == "periodic")

    @api.model
    def _get_change_errors(self, document):
        # EXTENDS 'invoice.run.source': of usage of a contract as well
        errors = []
        for contract in document.contract_ids:
            name = contract.name
            is_cancelled = contract.state == "cancelled" and document._bills(contract)
            if contract.state == "draft" or is_cancelled:
                errors.append(self.env._("%(contract)s is no longer active.", contract=name))
            elif contract.billing_hold:
                errors.append(self.env._("%(contract)s is on hold.", contract=name))
        for line in document.line_ids.filtered(lambda line: line._is_beyond_end()):
            message = self.env._(
                "%(contract)s ends before %(date)s now. Delete the amounts and generate them "
                "again.",
                contract=line.contract_id.name,
                date=format_date(self.env, line.billing_date_to),
            )
            errors.append(message)
        return errors + document._get_credit_errors()

    def _get_line_charges(self, run, claims, records):
        """Yield the charges of the price lines in order of period, one-off ones with the first.

        :param records: see :meth:`_get_run_document_records`
        """
        document = self._prepare_run_document_vals(records)
        if self.state not in CONTRACT_BILLED:
            yield from self._get_correction_charges(document)
            return
        terms = self._get_billing_terms(run)
        target = self._get_contract_target(terms, claims, run.target_date)
        skip = run.skip_before or None
        due = [
            (line, span)
            # not filtered: the prices of the lines of all contracts are read together
            for line in self.line_ids
            if line.price_interval != "once" and not line.is_metered
            for span in line._get_due_spans(terms, claims[line.id], target, skip)
        ]
        due += self._get_once_due(terms, claims, target, due)
        due, waiting = self._split_waiting(due)
        yield from map(NotBillable, waiting)
        for line, span in due:
            yield Charge(
                payer=self.commercial_partner_id,
                contract=self,
                bucket=self._get_bucket(terms, span),
                key=self._get_grouping_key(),
                document=document,
                line=line._prepare_run_line_vals(terms, span, records["fiscal_position_id"]),
            )
        yield from self._get_metered_charges(terms, claims, run, records, document)
        yield from self._get_correction_charges(document)

    def _get_correction_charges(self, document):
        """Yield the credits of days that were invoiced beyond the end of their line.

        They go on the next invoice of the contract or, by setting, on a credit note of the invoice.
        """
        overbilled = self.line_ids._get_overbilled_lines().sorted("period_from")
        if not overbilled:
            return
        ledger = self.env["billing.ledger"]._get_billed_lines(overbilled.contract_line_id)
        for earlier in overbilled:
            line = earlier.contract_line_id
            billed = earlier._get_billed_line(ledger[line.id])
            if not billed:
                continue
            errors = earlier._get_correction_errors(billed)
            if errors:
                vals = self._prepare_exception_vals(*errors[0])
                yield NotBillable({**vals, "credited_line_id": billed.entry.line_id})
                continue
            vals = earlier._prepare_correction_vals(line._get_last_day() + periods.DAY, billed)
            yield Charge(
                payer=self.commercial_partner_id,
                contract=self,
                key=self._get_grouping_key(),
                line=vals,
                **self._get_correction_document(document, earlier, vals),
            )

    def _get_correction_document(self, document, earlier, vals):
        """Return the document values of the charge ``vals``, which credits the amount ``earlier``.

        It is a document of its own for a credit note by setting, for what was invoiced at another
        rate, and for what only settles days with nothing left to credit.
        """
        move = self.env["account.move.line"].browse(vals["credited_line_id"]).move_id
        billed = move or earlier.document_id
        shared = {
            **document,
            # the customer who was invoiced gets the credit, whoever the contract invoices today
            **self._get_credited_partner_vals(billed.partner_id),
            "fiscal_position_id": billed.fiscal_position_id.id,
            "currency_id": billed.currency_id.id,
        }
        has_rate = billed.currency_id != self.company_id.currency_id
        as_credit_note = self.company_id.invoice_run_correction == "credit_note"
        if not vals["amount"]:
            return {"bucket": ("settled", self.id, 0), "document": shared, "is_alone": True}
        if move and (as_credit_note or has_rate):
            shared["reversed_entry_id"] = move.id
            bucket = ("credit", self.id, move.id)
            return {"bucket": bucket, "document": shared, "is_alone": True}
        return {"bucket": ("correction", self.id, 0), "document": shared, "joins": True}

    def _get_credited_partner_vals(self, partner):
        """Return the address of a credit where the customer invoiced then was another one."""
        today = self.partner_invoice_id or self.partner_id
        is_same = partner.commercial_partner_id == today.commercial_partner_id
        return {} if is_same else {"partner_id": partner.id}

    def _get_contract_target(self, terms, claims, target):
        """Return the target date for all lines of this contract.

        Until a date or the end, a contract is due as a whole from its first open day on:
        lines that start later are invoiced with it.
        """
        if terms.mode == "periodic":
            return target
        days = [line._get_first_open_day(claims[line.id]) for line in self.line_ids]
        first = min(filter(None, days), default=None)
        horizon = periods.billing_horizon(terms, target)
        return max(target, horizon) if first and horizon and first <= target else target

    def _get_once_due(self, terms, claims, target, due):
        """Return one-off lines that are due, with the first period that this run invoices."""
        first = min((span for _line, span in due), default=None)
        once = []
        for line in self.line_ids.filtered(lambda line: line.price_interval == "once"):
            span = line._get_once_span(terms, claims[line.id], target)
            if span:
                once.append((line, max(span, first) if first else span))
        return once

    def _get_bucket(self, terms, span):
        """Return the key of the document that holds ``span`` of this contract."""
        by_period = terms.mode == "periodic" or terms.split
        index = terms.grid.index(span.date_from) if by_period else 0
        return ("contract", self.id, index)

    def _get_invoice_lang(self):
        """Return the language in which the invoices are printed."""
        key = ("lang", self._ids, self.env.context.get("lang"))
        return remember(self.env, key, self._find_invoice_lang)

    def _find_invoice_lang(self):
        return (self.partner_invoice_id or self.partner_id).lang or self.env.lang

    def _get_run_document_records(self):
        """Return the records that decide on which document this contract is invoiced."""
        self.ensure_one()
        company = self.company_id
        contract = self.with_company(company)
        partner = contract.partner_invoice_id or contract.partner_id
        return {
            "partner_id": partner,
            "company_id": company,
            "currency_id": self.currency_id,
            "journal_id": self._get_run_journal(
                self.cluster_id, self.category_id, company, self.currency_id
            ),
            "fiscal_position_id": self.fiscal_position_id
            or self._get_run_fiscal_position(partner, company),
            "payment_term_id": self.payment_term_id or partner.property_payment_term_id,
            "preferred_payment_method_line_id": self.preferred_payment_method_line_id
            or partner.property_inbound_payment_method_line_id,
        }

    def _prepare_run_document_vals(self, records):
        """Return what all charges of one document share, from the records that decide it."""
        return {
            **{name: record.id for name, record in records.items()},
            "category_id": self.category_id.id,
        }
