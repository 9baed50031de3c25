from datetime import timedelta

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command

from ..engine.cycles import CYCLE_MONTHS
from ..models.base.states import RUN_WAITING
from ..models.job.invoice_run_progress import WATCHED_LIMIT

#: When a run begins: values of the schedule.
WHEN = {
    "first": {
        "activation_rule": "before_start",
        "activation_days": 0,
        "invoice_date_mode": "schedule",
    },
    "after": {"activation_rule": "first_of_month", "invoice_date_mode": "first_of_month"},
    "manual": {"activation_rule": "disabled", "invoice_date_mode": "generation"},
}
#: What a schedule that has begun takes over from a later set-up.
LATER = ("auto_amounts", "auto_approve", "auto_invoices", "auto_send", "reviewer_id")
#: Work that is carried out while the user looks on, at most.
MAX_STEPS = 20


class BillingSetup(models.TransientModel):
    """Three questions that create schedules with their runs; it can be answered again."""

    _name = "billing.setup"
    _description = "Set Up Invoice Runs"
    _inherit = "invoice.run.wizard"

    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )
    choice_ids = fields.Many2many(
        "billing.scenario", compute="_compute_choice_ids", context={"active_test": False}
    )
    scenario_ids = fields.Many2many(
        "billing.scenario",
        string="What do you invoice?",
        check_company=True,
        context={"active_test": False},
    )
    cycle = fields.Selection(
        selection="_selection_cycle", string="How often?", required=True, default="monthly"
    )
    when = fields.Selection(
        [
            ("first", "On the first day of each period"),
            ("after", "After the period, on the 1st of a month"),
            ("manual", "When somebody starts it"),
        ],
        required=True,
        default="first",
    )
    approver = fields.Selection(
        [
            ("me", "I do"),
            ("other", "A colleague"),
            ("nobody", "Nobody"),
        ],
        "Who approves?",
        required=True,
        default="me",
    )
    reviewer_id = fields.Many2one(
        "res.users", domain=lambda self: self.env["res.users"]._get_invoice_run_reviewer_domain()
    )
    is_sent = fields.Boolean("Send the invoices as soon as they are created", default=True)
    unset_sending = fields.Selection(
        selection="_selection_unset_sending",
        string="Customers without a sending method",
        required=True,
        default=lambda self: self._default_unset_sending(),
        help="How invoices go to customers for whom nobody chose it.",
    )
    is_sending_undecided = fields.Boolean(compute="_compute_is_sending_undecided")
    is_email_missing = fields.Boolean(compute="_compute_is_email_missing")
    email = fields.Char("Sender of the emails", help="Email address of the company.")

    @api.model
    def _selection_cycle(self):
        cycles = self.env["invoice.run.schedule"]._fields["cycle"]._description_selection(self.env)
        return [(cycle, label) for cycle, label in cycles if cycle != "once"]

    @api.model
    def _selection_unset_sending(self):
        return (
            self.env["res.company"]
            ._fields["billing_unset_sending"]
            ._description_selection(self.env)
        )

    @api.model
    def _default_unset_sending(self):
        # sudo: a setting of the user's company
        known = self.env.company.sudo().billing_unset_sending
        return "email" if known == "ask" else known

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        return super()._get_fixed_fields() | {"company_id"}

    @api.model
    def default_get(self, fields_list):
        # EXTENDS 'base': contracts are what most people invoice
        values = super().default_get(fields_list)
        if "scenario_ids" in fields_list and "scenario_ids" not in values:
            choices = self._get_choices(self.env.company)
            values["scenario_ids"] = [Command.set(choices[:1].ids)]
        return values

    @api.depends("company_id")
    def _compute_choice_ids(self):
        for setup in self:
            setup.choice_ids = self._get_choices(setup.company_id)

    @api.depends("company_id")
    def _compute_is_sending_undecided(self):
        for setup in self:
            # sudo: a setting of the company
            setup.is_sending_undecided = setup.company_id.sudo().billing_unset_sending == "ask"

    @api.depends("company_id")
    def _compute_is_email_missing(self):
        for setup in self:
            company = setup.company_id
            setup.is_email_missing = not company.email and company.has_access("write")

    @api.model
    def _get_choices(self, company):
        """Return the scenarios among which the first question lets people choose."""
        found = self.env["billing.scenario"]._find_default_scenarios(company)
        scenarios = [found[key] for key in self._get_choice_keys() if key in found]
        return self.env["billing.scenario"].union(*scenarios).filtered("active")

    @api.model
    def _get_choice_keys(self):
        """Return the keys of the default scenarios that are proposed. An addon adds its own."""
        return [
            "invoice_run.scenario_contracts_due",
            "invoice_run.scenario_usage_previous_month",
            "invoice_run.scenario_sale_to_invoice",
        ]

    # ------------------------------------------------------------------
    # Set up
    # ------------------------------------------------------------------

    def action_set_up(self):
        """Create a schedule with its runs for each answer; what exists already is updated.

        :raises AccessError: the user is not a manager of invoice runs
        :raises UserError: the company cannot invoice, or an answer is missing
        """
        self.ensure_one()
        self.check_access("write")
        self._check_answers()
        self._write_settings()
        schedules = self.env["invoice.run.schedule"]
        for scenario in self.scenario_ids:
            schedules |= self._set_up_schedule(scenario)
        schedules.action_generate_runs()
        self._hold_first_runs(schedules)
        return self._get_next_action(self._begin_runs(schedules))

    def _check_answers(self):
        if not self.env.user.has_group("invoice_run.invoice_run_group_manager"):
            raise AccessError(self.env._("Only managers of invoice runs can set them up."))
        errors = [
            self.company_id._get_invoice_run_accounts_error(),
            not self.scenario_ids and self.env._("Choose what you invoice."),
            self._get_reviewer_error(),
        ]
        for error in filter(None, errors):
            raise UserError(error)

    def _get_reviewer_error(self):
        """Return what is wrong with the chosen reviewer."""
        # sudo: a setting of the company
        four_eyes = self.company_id.sudo().invoice_run_four_eyes
        if self.approver == "me" and four_eyes:
            return self.env._(
                "%(company)s asks for a second pair of eyes: you cannot approve what you prepared. "
                "Choose a colleague.",
                company=self.company_id.display_name,
            )
        if self.approver != "other":
            return None
        if not self.reviewer_id:
            return self.env._("Choose the colleague who approves.")
        if not self.reviewer_id._is_invoice_run_reviewer():
            return self.env._(
                "%(user)s is not a reviewer of invoice runs: an administrator gives this role "
                "under Settings ‣ Users.",
                user=self.reviewer_id.name,
            )
        return None

    def _get_reviewer(self):
        choices = {"me": self.env.user, "other": self.reviewer_id}
        return choices.get(self.approver, self.env["res.users"])

    def _write_settings(self):
        """Note on the company who approves, and how invoices go out."""
        vals = {"billing_unset_sending": self.unset_sending}
        if reviewer := self._get_reviewer():
            vals["invoice_run_reviewer_id"] = reviewer.id
        # sudo: these settings are about runs, which are the manager's to configure
        self.company_id.sudo().write(vals)
        if self.is_email_missing and self.email:
            self.company_id.email = self.email

    # ------------------------------------------------------------------
    # Schedules
    # ------------------------------------------------------------------

    def _set_up_schedule(self, scenario):
        """Create the schedule of ``scenario``, or update the one that there is; return it."""
        Schedule = self.env["invoice.run.schedule"]
        domain = [("company_id", "=", self.company_id.id), ("scenario_id", "=", scenario.id)]
        known = Schedule.search(
            [*domain, ("cycle", "!=", "once"), ("state", "=", "active")], order="id", limit=1
        )
        vals = self._prepare_schedule_vals(scenario)
        if not known:
            return Schedule.create(vals)
        has_begun = any(run.state not in RUN_WAITING for run in known.run_ids)
        names = LATER if has_begun else [*LATER, "cycle", "date_from", *WHEN[self.when]]
        known.write({name: vals[name] for name in names})
        return known

    def _prepare_schedule_vals(self, scenario):
        labels = dict(self._fields["cycle"]._description_selection(self.env))
        return {
            "name": f"{scenario.name}: {labels[self.cycle]}",
            "company_id": self.company_id.id,
            "scenario_id": scenario.id,
            "cycle": self.cycle,
            "date_from": self._get_first_day(scenario),
            **WHEN[self.when],
            "auto_amounts": "yes",
            "auto_approve": "yes" if self.approver == "nobody" else "no",
            "auto_invoices": "yes",
            "auto_send": "yes" if self.is_sent else "no",
            "reviewer_id": self._get_reviewer().id,
            "user_id": self.env.uid,
        }

    def _get_first_day(self, scenario):
        """Return the first day of the first period: the present one, or the next.

        The next one where a run would begin at once and find nothing: it would be over before
        the first contract is entered. What becomes due meanwhile is in the next run as well.
        """
        first = self._get_period_start(self.company_id._get_invoice_run_today())
        if self.when != "first" or scenario.due_count:
            return first
        return self._get_period_start(first + self._get_length())

    def _get_length(self):
        if self.cycle in CYCLE_MONTHS:
            return relativedelta(months=CYCLE_MONTHS[self.cycle])
        return timedelta(weeks=2 if self.cycle == "biweekly" else 1)

    def _get_period_start(self, day):
        """Return the first day of the calendar period that contains ``day``."""
        if self.cycle not in CYCLE_MONTHS:
            return day - timedelta(days=day.weekday())
        months = CYCLE_MONTHS[self.cycle]
        return day + relativedelta(day=1, month=(day.month - 1) // months * months + 1)

    # ------------------------------------------------------------------
    # First runs
    # ------------------------------------------------------------------

    def _hold_first_runs(self, schedules):
        """Have a person look at the first run of each schedule, whoever approves the later ones."""
        for schedule in schedules:
            runs = schedule.run_ids.sorted("number")
            if runs and all(run.state in RUN_WAITING for run in runs):
                runs[0]._write_engine({"is_first_look": True})
                (runs - runs[0]).filtered("is_first_look")._write_engine({"is_first_look": False})

    def _begin_runs(self, schedules):
        """Generate the amounts of the runs whose day has come; return these runs."""
        today = self.company_id._get_invoice_run_today()
        runs = schedules.run_ids.filtered(
            lambda run: (
                run.state in RUN_WAITING and run.activation_date and run.activation_date <= today
            )
        )
        for run in runs.sorted("number"):
            # sudo: as the run that collects; only their number is looked at
            small = len(run.sudo()._get_selected_payers()) <= WATCHED_LIMIT
            run.with_context(invoice_run_watched=small).action_submit()
            self._work(run)
        return runs

    def _work(self, run):
        """Carry out what is queued, as far as it is small."""
        for _number in range(MAX_STEPS):
            if run.job != "amounts" or not run.is_watched:
                return
            run._process_step()
            run.invalidate_recordset()

    def _get_next_action(self, runs):
        """Return what the user does next: look at the run, or enter the first contract."""
        if len(runs) == 1:
            return runs._get_records_action(name=runs.display_name)
        if runs:
            return runs._get_records_action(name=self.env._("Invoice Runs"))
        Contract = self.env["billing.contract"]
        has_contracts = Contract.search_count([("company_id", "=", self.company_id.id)], limit=1)
        sources = [self.env[scenario.source_model] for scenario in self.scenario_ids]
        if has_contracts or not any(source._source_has_periods for source in sources):
            action = "invoice_run.invoice_run_dashboard_action"
            return self.env["ir.actions.client"]._for_xml_id(action)
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_contract_action"
        )
        return {**action, "views": [(False, "form")]}
