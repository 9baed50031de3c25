from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tools import format_date

from ...engine import cycles
from ...engine.periods import Span
from ..base.invoice_run_guarded import EngineValue
from ..base.possible_dates import check_years
from ..document.invoice_run_document import PLACEHOLDER
from ..settings.res_company import MAX_ACTIVATION_DAYS, STEPS

#: Approving without looking is a decision for everybody: a manager's choice.
MANAGER_GROUP = "invoice_run.invoice_run_group_manager"
#: What a schedule that approves automatically invoices is a manager's choice as well.
APPROVED_FIELDS = ("scenario_id", "cluster_ids", "company_id")
#: Fields of a schedule that only concern its display: changing any other one is preparing.
UNPREPARED_FIELDS = {"description", "name", "reviewer_id", "run_description", "state", "user_id"}
AUTO_SELECTION = [
    ("company", "As set on the company"),
    ("yes", "Automatically"),
    ("no", "Manually"),
]
#: A typing error in a date or number must not create a million runs.
MAX_RUNS = 1000
#: Without a number of runs or an end date, runs are created this far ahead.
HORIZON_MONTHS = 12


class InvoiceRunSchedule(models.Model):
    """Generates one invoice run per cycle."""

    _name = "invoice.run.schedule"
    _description = "Invoice Run Schedule"
    _inherit = ["invoice.run.guarded", "mail.thread", "mail.activity.mixin"]
    _order = "reference desc, id desc"
    _check_company_auto = True
    _rec_names_search = ["reference", "name"]

    reference = fields.Char(required=True, copy=False, readonly=True, default="/", engine=True)
    name = fields.Char(required=True)
    description = fields.Text()
    company_id = fields.Many2one(
        "res.company",
        "Invoicing Party",
        required=True,
        index=True,
        default=lambda self: self.env.company,
    )
    scenario_id = fields.Many2one(
        "billing.scenario",
        required=True,
        check_company=True,
        ondelete="restrict",
        help="What is invoiced: contracts, usage or sales orders, and which of them.",
    )
    cluster_ids = fields.Many2many(
        "billing.cluster",
        string="Clusters",
        check_company=True,
        context={"active_test": False},
        ondelete="restrict",
        help="Only these business units. Empty: those of the scenario, else all.",
    )
    date_from = fields.Date(
        "First Period From", required=True, help="First day of the period of the first run."
    )
    date_to = fields.Date(
        "First Period To",
        required=True,
        compute="_compute_date_to",
        store=True,
        readonly=False,
        precompute=True,
        help="Last day of the first period, included.",
    )
    run_name = fields.Char("Name of the Runs")
    run_description = fields.Text("Description of the Runs")
    cycle = fields.Selection(
        [
            ("once", "Once"),
            ("weekly", "Every week"),
            ("biweekly", "Every two weeks"),
            ("monthly", "Every month"),
            ("quarterly", "Every quarter"),
            ("half_yearly", "Every half-year"),
            ("yearly", "Every year"),
        ],
        required=True,
        default="monthly",
        help="How often a run is created; each run is for the period after the previous one.",
    )
    run_count = fields.Integer(
        "Number of Runs", help=f"0: until the end date, else {HORIZON_MONTHS} months ahead."
    )
    until_date = fields.Date("Until", help="No run starts after this day.")
    invoice_name = fields.Char(
        help="Placeholders: {month}, {year}, {quarter}, {week}, {date_from}, {date_to}, "
        "or with a pattern: {date_from:MMMM yyyy}. Empty: the title of the contract and the "
        "period, as in “Apartment 2B – November 2026”."
    )
    invoice_name_format = fields.Selection(
        [
            ("contract", "Invoice name – contract"),
            ("contract_debtor", "Invoice name – contract – customer"),
            ("debtor", "Invoice name – customer"),
        ],
        required=True,
        default="contract",
    )
    category_id = fields.Many2one(
        "billing.category",
        "Invoice Category",
        check_company=True,
        help="Set on the invoices. It is not used for the selection.",
    )
    invoice_date = fields.Date("First Invoice Date", help="Empty: first day of the period.")
    due_date = fields.Date("First Due Date", help="Empty: by the payment terms.")
    invoice_date_mode = fields.Selection(
        [
            ("schedule", "By the schedule"),
            ("first_of_month", "First of the month"),
            ("last_of_month", "Last of the month"),
            ("generation", "Day of generation"),
        ],
        required=True,
        default="schedule",
        help="By the schedule: the first invoice date, moved forward with each period. First and "
        "last of the month: of the month in which the run is activated. Day of generation: the "
        "day on which the invoices are created.",
    )
    activation_rule = fields.Selection(
        [
            ("before_start", "Days before the period"),
            ("first_of_month", "On the 1st after the period"),
            ("fifth_of_month", "On the 5th after the period"),
            ("disabled", "Only manually"),
        ],
        required=True,
        default="before_start",
        help="The day on which a waiting run is submitted automatically.",
    )
    activation_days = fields.Integer(
        compute="_compute_activation_days",
        store=True,
        readonly=False,
        precompute=True,
        help="Days before the first day of the period; 0 = on the first day.",
    )
    enforce_collective = fields.Boolean(
        "Collective Invoices", help="One invoice per customer, whatever the customer's setting."
    )
    auto_amounts = fields.Selection(
        AUTO_SELECTION,
        "Generate Amounts",
        required=True,
        default="company",
        help="Manually: a run stops here until somebody presses the button.",
    )
    auto_approve = fields.Selection(
        AUTO_SELECTION,
        "Approve",
        required=True,
        default="company",
        help="Manually: a run stops here until somebody presses the button.",
        reserved_for=MANAGER_GROUP,
    )
    auto_invoices = fields.Selection(
        AUTO_SELECTION,
        "Generate Invoices",
        required=True,
        default="company",
        help="Manually: a run stops here until somebody presses the button.",
    )
    auto_send = fields.Selection(
        AUTO_SELECTION,
        "Send",
        required=True,
        default="company",
        help="Manually: a run stops here until somebody presses the button.",
    )
    stop_text = fields.Char("Where Its Runs Stop", compute="_compute_stop_text")
    send_when = fields.Selection(
        [
            ("at_once", "As soon as the invoices are created"),
            ("later", "Days after the invoice date"),
        ],
        "Send On",
        required=True,
        default="at_once",
        help="Time to check before anything is sent; each run can override this.",
    )
    send_delay_days = fields.Integer("Days After", help="0: on the invoice date.")
    send_time = fields.Float("At", default=8.0, help="Local time of the company.")
    reviewer_id = fields.Many2one(
        "res.users",
        compute="_compute_reviewer_id",
        store=True,
        readonly=False,
        precompute=True,
        domain=lambda self: self.env["res.users"]._get_invoice_run_reviewer_domain(),
        check_company=True,
    )
    user_id = fields.Many2one(
        "res.users", "Responsible", default=lambda self: self.env.user, check_company=True
    )
    state = fields.Selection(
        [("active", "Active"), ("paused", "Paused"), ("closed", "Closed")],
        "Status",
        required=True,
        default="active",
        copy=False,
        tracking=True,
    )
    run_ids = fields.One2many("invoice.run", "schedule_id", "Runs", engine=True)
    run_total = fields.Integer("Runs Created", compute="_compute_run_total")

    _dates_in_order = models.Constraint(
        "CHECK (date_to >= date_from)",
        "The first period ends before it starts. Correct one of the two dates.",
    )
    _run_count_not_negative = models.Constraint(
        "CHECK (run_count >= 0)", "The number of runs cannot be negative."
    )
    _send_time_of_day = models.Constraint(
        "CHECK (send_time >= 0 AND send_time < 24)", "Enter a time between 00:00 and 23:59."
    )
    _activation_days_not_negative = models.Constraint(
        "CHECK (activation_days >= 0)", "The number of activation days cannot be negative."
    )

    @api.depends("date_from", "cycle")
    def _compute_date_to(self):
        for schedule in self.filtered("date_from"):
            try:
                schedule.date_to = cycles.first_period_end(schedule.date_from, schedule.cycle)
            except (ValueError, OverflowError):  # the year 9999, which is refused when it is saved
                schedule.date_to = schedule.date_from

    @api.depends("company_id")
    def _compute_activation_days(self):
        for schedule in self:
            schedule.activation_days = schedule.company_id.invoice_run_activation_days

    @api.depends("company_id")
    def _compute_reviewer_id(self):
        for schedule in self:
            schedule.reviewer_id = schedule.company_id.invoice_run_reviewer_id

    @api.depends("company_id", *(f"auto_{step}" for step in STEPS))
    def _compute_stop_text(self):
        for schedule in self:
            automatic = {step: schedule._is_automatic(step) for step in STEPS}
            schedule.stop_text = schedule.company_id._get_invoice_run_stop_text(automatic)

    def _compute_run_total(self):
        counts = dict(
            self.env["invoice.run"]._read_group(
                [("schedule_id", "in", self.ids)], ["schedule_id"], ["__count"]
            )
        )
        for schedule in self:
            schedule.run_total = counts.get(schedule, 0)

    @api.constrains("run_count")
    def _check_run_count(self):
        for schedule in self:
            if schedule.run_count > MAX_RUNS:
                raise ValidationError(
                    self.env._(
                        "A schedule creates at most %(max)s runs; %(count)s were requested.",
                        max=MAX_RUNS,
                        count=schedule.run_count,
                    )
                )

    @api.constrains("scenario_id", "cycle", "state")
    def _check_scenario_asks_nothing(self):
        for schedule in self:
            if schedule.cycle != "once" and schedule.state != "closed":
                asking = schedule.scenario_id.rule_ids.filtered("is_asked")
                for rule in asking.filtered(lambda rule: not rule._has_value()):
                    rule._check_not_scheduled()

    @api.constrains("activation_days")
    def _check_activation_days(self):
        for schedule in self:
            if schedule.activation_days > MAX_ACTIVATION_DAYS:
                raise ValidationError(
                    self.env._(
                        "“%(field)s”: at most %(max)s days before the period.",
                        field=self._fields["activation_days"]._description_string(self.env),
                        max=MAX_ACTIVATION_DAYS,
                    )
                )

    @api.constrains("date_from", "date_to", "until_date", "invoice_date", "due_date")
    def _check_years(self):
        check_years(self, ["date_from", "date_to", "until_date", "invoice_date", "due_date"])

    @api.constrains("date_from", "until_date")
    def _check_until_date(self):
        for schedule in self:
            if schedule.until_date and schedule.until_date < schedule.date_from:
                raise ValidationError(
                    self.env._(
                        "“Until” is before the first period: no run would be created. Correct "
                        "one of the two dates."
                    )
                )

    @api.constrains("company_id")
    def _check_company_of_runs(self):
        for schedule in self:
            if schedule.run_ids.company_id - schedule.company_id:
                raise ValidationError(
                    self.env._(
                        "Schedule %(schedule)s has runs of another company. Copy it instead.",
                        schedule=schedule.reference,
                    )
                )

    @api.constrains("invoice_name")
    def _check_invoice_name(self):
        for schedule in self:
            for placeholder in PLACEHOLDER.finditer(schedule.invoice_name or ""):
                try:
                    format_date(self.env, date(2000, 1, 1), date_format=placeholder[2])
                except (ValueError, AttributeError) as error:  # errors of Babel
                    raise ValidationError(
                        self.env._(
                            "Invoice name: “%(placeholder)s” has no date pattern, such as “MMMM "
                            "yyyy”.",
                            placeholder=placeholder[0],
                        )
                    ) from error

    @api.constrains("invoice_date", "due_date")
    def _check_due_date(self):
        for schedule in self:
            if (
                schedule.due_date
                and schedule.invoice_date
                and (schedule.due_date < schedule.invoice_date)
            ):
                raise ValidationError(
                    self.env._("The due date is before the invoice date. Correct one of the two.")
                )

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            if vals.get("reference", "/") == "/":
                number = self.env["ir.sequence"].next_by_code("invoice.run.schedule")
                vals["reference"] = EngineValue(number)
        # not the values: whatever path led to it
        schedules = super().create(vals_list)
        if "yes" in schedules.mapped("auto_approve"):
            self._check_manager()
        self.env["billing.change"]._note(schedules)
        return schedules

    def write(self, vals):
        """Write ``vals``; runs that have not begun follow.

        :raises AccessError: what only managers decide
        """
        planned = self._get_waiting_plans() if set(vals) - {"state"} else {}
        selected = self._get_approved_selections() if set(APPROVED_FIELDS) & set(vals) else {}
        if self._is_approval_loosened(vals):
            self._check_manager()
        result = super().write(vals)
        if not UNPREPARED_FIELDS.issuperset(vals):
            self.env["billing.change"]._note(self)
        if any(schedule._get_approved_values() != values for schedule, values in selected.items()):
            self._check_manager()
        self._update_waiting_runs(planned)
        return result

    def _is_approval_loosened(self, vals):
        """Whether ``vals`` drop the approval of runs; any user may add it."""
        choice = vals.get("auto_approve", "no")
        return choice != "no" and any(choice != schedule.auto_approve for schedule in self)

    def _get_approved_selections(self):
        """Return {schedule: what it selects} of those that approve by themselves."""
        automatic = self.filtered(lambda schedule: schedule._is_automatic("approve"))
        return {schedule: schedule._get_approved_values() for schedule in automatic}

    def _get_approved_values(self):
        """Return what this schedule selects."""
        return [self[name] for name in APPROVED_FIELDS]

    def _is_selection_approved(self):
        """Whether what a run of this schedule selects is a manager's choice.

        Where the company approves by itself, people choose freely what they invoice by hand.
        """
        self.ensure_one()
        by_hand = self.auto_approve == "company" and self.cycle == "once"
        return self._is_automatic("approve") and not by_hand

    def copy_data(self, default=None):
        # EXTENDS 'base': automatic approval is only copied by users who may set it
        vals_list = super().copy_data(default)
        for schedule, vals in zip(self, vals_list, strict=True):
            if "name" not in (default or {}):
                vals["name"] = self.env._("%(name)s (copy)", name=schedule.name)
            if not self._is_manager():
                vals["auto_approve"] = "company"
        return vals_list

    @api.ondelete(at_uninstall=False)
    def _unlink_except_with_runs(self):
        for schedule in self.filtered("run_ids"):
            raise UserError(
                self.env._(
                    "Schedule %(schedule)s has runs. Close it instead, to keep their history.",
                    schedule=schedule.reference,
                )
            )

    def _is_manager(self):
        return self.env.su or self.env.user.has_group(MANAGER_GROUP)

    def _check_manager(self):
        if not self._is_manager():
            raise AccessError(
                self.env._(
                    "Only managers of invoice runs can decide what is approved automatically, "
                    "and what such a schedule selects. Ask one of them."
                )
            )

    def action_pause(self):
        """Create no runs, and activate none, until the schedule is resumed."""
        self.write({"state": "paused"})

    def action_resume(self):
        """Go on; runs whose date has passed are activated in order."""
        self.write({"state": "active"})

    def action_close(self):
        """End the schedule; runs that were created stay, and those on hold begin only by hand."""
        self.write({"state": "closed"})

    def action_save_and_return(self):
        """Open the list of schedules; the web client has saved the form before it calls this."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.invoice_run_schedule_action"
        )
        action["target"] = "main"
        return action

    def action_view_runs(self):
        """Open the runs of this schedule."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id("invoice_run.invoice_run_action")
        action["domain"] = [("schedule_id", "in", self.ids)]
        action["context"] = {"create": False}
        return self._with_path("billing-schedule-runs", action)

    def _is_automatic(self, step):
        """Whether ``step``, one of ``STEPS``, of the runs of this schedule needs no person."""
        choice = self[f"auto_{step}"]
        if choice == "company":
            # sudo: the company's settings say what its runs do
            return self.company_id.sudo()[f"invoice_run_auto_{step}"]
        return choice == "yes"

    def _get_period(self, number) -> Span:
        """Return the period of run ``number`` (0 = the first)."""
        if number == 0:
            return Span(self.date_from, self.date_to)
        return cycles.run_period(self.date_from, self.date_to, self.cycle, number)

    def _prepare_run_vals(self, number):
        """Return the values of run ``number`` (0 = the first), all dates from the first run's."""
        self.ensure_one()
        period = self._get_period(number)
        activation = cycles.activation_date(self.activation_rule, period, self.activation_days)
        invoice_date = self._get_invoice_date(number, period, activation)
        return {
            "schedule_id": self.id,
            "number": number,
            "name": self.run_name or self.name,
            "description": self.run_description,
            "company_id": self.company_id.id,
            "scenario_id": self.scenario_id.id,
            "cluster_ids": [fields.Command.set(self.cluster_ids.ids)],
            "date_from": period.date_from,
            "date_to": period.date_to,
            "target_date": period.date_to,
            "activation_date": activation,
            "invoice_date": invoice_date,
            "due_date": self._get_due_date(number, invoice_date),
            "reviewer_id": self.reviewer_id.id,
            "user_id": self.user_id.id,
        }

    def _get_invoice_date(self, number, period, activation):
        """Return the planned invoice date of run ``number``."""
        day = activation or self.company_id._get_invoice_run_today()
        if self.invoice_date_mode != "schedule":
            return self._get_date_of_day(day)
        if not self.invoice_date:
            return period.date_from
        return cycles.shift(self.invoice_date, self.cycle, number, keep_last_day=True)

    def _get_date_of_day(self, day):
        """Return the invoice date that follows from the day of activation or generation."""
        return {
            "generation": day,
            "first_of_month": day + relativedelta(day=1),
            "last_of_month": cycles.last_of_month(day),
        }[self.invoice_date_mode]

    def _get_due_date(self, number, invoice_date):
        """Return the due date of run ``number``: moved with the cycle, or at its distance."""
        if not self.due_date:
            return False
        if self.invoice_date_mode == "schedule":
            return cycles.shift(self.due_date, self.cycle, number, keep_last_day=True)
        return invoice_date + self._get_due_distance()

    def _get_due_distance(self) -> timedelta:
        """Return the days from the first run's invoice date to its due date."""
        return self.due_date - (self.invoice_date or self.date_from)
