from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import format_date
from odoo.tools.misc import clean_context

from ..base.invoice_run_guarded import EngineValue
from ..base.possible_dates import MAX_YEARS_AHEAD, check_years
from ..base.states import (
    DOCUMENT_HOLDING,
    DOCUMENT_NOT_IN_RUN,
    DOCUMENT_OPEN,
    RUN_APPROVED,
    RUN_STARTED,
    RUN_TRANSITIONS,
    RUN_UNFINISHED,
    RUN_WAITING,
    SEND_DONE,
)

#: Documents that are deleted while a user waits, more is background work.
DELETED_AT_ONCE = 500


class InvoiceRun(models.Model):
    """One cycle of invoicing: amounts, approval, invoices, sending."""

    _name = "invoice.run"
    _description = "Invoice Run"
    _inherit = [
        "invoice.run.states",
        "mail.thread",
        "mail.activity.mixin",
        "invoice.run.stale.mixin",
    ]
    _order = "date_from desc, reference desc, id desc"
    _check_company_auto = True
    _rec_name = "reference"
    _rec_names_search = ["reference", "name"]

    reference = fields.Char(required=True, copy=False, readonly=True, default="/", engine=True)
    name = fields.Char(required=True)
    description = fields.Text()
    schedule_id = fields.Many2one(
        "invoice.run.schedule",
        required=True,
        index=True,
        ondelete="restrict",
        check_company=True,
        copy=False,
        help="A run created by hand has its own schedule, for one run.",
        engine=True,
    )
    number = fields.Integer(
        readonly=True, copy=False, help="0: the first run of the schedule.", engine=True
    )
    scenario_id = fields.Many2one(
        "billing.scenario",
        required=True,
        check_company=True,
        ondelete="restrict",
        help="What is invoiced: contracts, usage or sales orders, and which of them.",
    )
    company_id = fields.Many2one(
        "res.company",
        "Invoicing Party",
        required=True,
        index=True,
        default=lambda self: self.env.company,
    )
    currency_id = fields.Many2one(related="company_id.currency_id")
    cluster_ids = fields.Many2many(
        "billing.cluster",
        string="Clusters",
        check_company=True,
        context={"active_test": False},
        ondelete="restrict",
        help="Only these business units. Empty: those of the scenario, else all.",
    )
    date_from = fields.Date(
        "Period From", required=True, help="First day of the period of the run."
    )
    date_to = fields.Date("Period To", required=True, help="Last day of that period, included.")
    target_date = fields.Date(
        required=True, help="Invoice up to the period that contains this day; usage up to it."
    )
    skip_before = fields.Date(
        help="Skip periods that end before this day; they stay billable. Only for runs created "
        "by hand.",
    )
    activation_date = fields.Date(help="The run is submitted on this day. Empty: by hand.")
    invoice_date = fields.Date(required=True, help="The date of all invoices of the run.")
    due_date = fields.Date(help="Empty: by the payment terms.")
    state = fields.Selection(
        [
            ("draft", "Draft"),
            ("on_hold", "On Hold"),
            ("submitted", "Submitted"),
            ("amounts", "To Approve"),
            ("approved", "Approved"),
            ("invoiced", "Invoiced"),
            ("cancelled", "Cancelled"),
        ],
        "Status",
        required=True,
        default="draft",
        copy=False,
        readonly=True,
        index=True,
        tracking=True,
        group_expand="_group_expand_state",
        engine=True,
    )
    job = fields.Selection(
        [
            ("none", "None"),
            ("amounts", "Generating amounts"),
            ("delete", "Deleting amounts"),
            ("renew", "Deleting amounts to recalculate them"),
            ("cancel", "Cancelling"),
            ("invoices", "Generating invoices"),
            ("confirm", "Confirming drafts"),
            ("send", "Sending"),
            ("print", "Printing"),
            ("reprint", "Printing all again"),
            ("reverse", "Reversing"),
        ],
        "Background Job",
        required=True,
        default="none",
        copy=False,
        readonly=True,
        engine=True,
    )
    document_ids = fields.One2many("invoice.run.document", "run_id", "Documents", engine=True)
    line_ids = fields.One2many("invoice.run.line", "run_id", "Amounts", engine=True)
    exception_ids = fields.One2many("invoice.run.exception", "run_id", "Exceptions", engine=True)
    invoice_ids = fields.One2many("account.move", "invoice_run_id", "Invoices", engine=True)
    reviewer_id = fields.Many2one(
        "res.users",
        domain=lambda self: self.env["res.users"]._get_invoice_run_reviewer_domain(),
        check_company=True,
        help="Asked to approve the run when its amounts have been generated. Empty: any reviewer "
        "can approve it.",
    )
    user_id = fields.Many2one(
        "res.users", "Responsible", default=lambda self: self.env.user, check_company=True
    )
    is_first_look = fields.Boolean(
        "A Person Looks First",
        readonly=True,
        copy=False,
        help="The first run after the set-up: it is approved by a person, whatever its schedule "
        "says.",
        engine=True,
    )
    submitted_by_id = fields.Many2one("res.users", readonly=True, copy=False, engine=True)
    amounts_by_id = fields.Many2one(
        "res.users", "Amounts Generated By", readonly=True, copy=False, engine=True
    )
    amounts_date = fields.Datetime("Amounts Generated On", readonly=True, copy=False, engine=True)
    approved_by_id = fields.Many2one("res.users", readonly=True, copy=False, engine=True)
    approved_date = fields.Datetime("Approved On", readonly=True, copy=False, engine=True)

    amount_untaxed = fields.Monetary("Untaxed", compute="_compute_totals")
    amount_tax = fields.Monetary("Taxes", compute="_compute_totals")
    amount_total = fields.Monetary("Total", compute="_compute_totals")
    document_count = fields.Integer("Documents Created", compute="_compute_totals")
    invoice_count = fields.Integer("Invoices Created", compute="_compute_totals")
    failed_count = fields.Integer("Failed", compute="_compute_totals")
    flagged_count = fields.Integer("Flagged", compute="_compute_totals")
    stale_count = fields.Integer("Changed", compute="_compute_totals")
    pending_count = fields.Integer("To Send", compute="_compute_totals")
    sent_count = fields.Integer("Sent", compute="_compute_totals")
    exception_count = fields.Integer("Exceptions Found", compute="_compute_exception_count")
    progress_done = fields.Integer(compute="_compute_totals")
    progress_total = fields.Integer(compute="_compute_totals")
    progress = fields.Float(compute="_compute_totals")

    _queue_idx = models.Index("(id) WHERE job <> 'none'")
    _number_unique = models.Constraint(
        "UNIQUE (schedule_id, number)", "The schedule has already created this run."
    )
    _dates_in_order = models.Constraint(
        "CHECK (date_to >= date_from)",
        "The period ends before it starts. Correct one of the dates.",
    )

    @api.depends("reference", "name")
    def _compute_display_name(self):
        for run in self:
            # a run that is not saved yet has no number: the page says "New"
            known = run.reference != "/" and run.reference
            run.display_name = " ".join(filter(None, [known, run.name]))

    @api.depends(
        "document_ids.state",
        "document_ids.send_state",
        "document_ids.is_flagged",
        "document_ids.is_stale",
        "document_ids.company_amount_total",
    )
    def _compute_totals(self):
        totals = self._get_document_totals()
        for run in self:
            run.update(totals.get(run.id) or dict.fromkeys(self._get_total_fields(), 0))

    @api.model
    def _get_total_fields(self):
        return [
            "amount_untaxed",
            "amount_tax",
            "amount_total",
            "document_count",
            "invoice_count",
            "failed_count",
            "flagged_count",
            "stale_count",
            "pending_count",
            "sent_count",
            "progress_done",
            "progress_total",
            "progress",
        ]

    def _get_document_totals(self):
        """Return {run id: totals} with one aggregate query, in company currency."""
        rows = self.env["invoice.run.document"]._read_group(
            [("run_id", "in", self.ids), ("state", "not in", DOCUMENT_NOT_IN_RUN)],
            ["run_id", "state", "send_state", "send_action", "is_flagged", "is_stale"],
            [
                "__count",
                "company_amount_untaxed:sum",
                "company_amount_tax:sum",
                "company_amount_total:sum",
            ],
        )
        totals = {}
        for run, state, send_state, action, flagged, stale, count, untaxed, tax, total in rows:
            values = totals.setdefault(run.id, dict.fromkeys(self._get_total_fields(), 0))
            to_send = send_state == "pending" and action != "print"
            values["pending_count"] += count if to_send else 0
            values["sent_count"] += count if send_state in SEND_DONE else 0
            has_failed = "failed" in (state, send_state)
            values["failed_count"] += count if has_failed else 0
            if state == "credit":
                # sent like a document, but nothing that is due
                continue
            values["amount_untaxed"] += untaxed
            values["amount_tax"] += tax
            values["amount_total"] += total
            values["document_count"] += count
            values["progress_total"] += count
            values["progress_done"] += count if state != "to_do" else 0
            values["invoice_count"] += count if state == "invoiced" else 0
            values["flagged_count"] += count if flagged and state in DOCUMENT_OPEN else 0
            values["stale_count"] += count if stale and state in DOCUMENT_OPEN else 0
        for values in totals.values():
            values["progress"] = 100.0 * values["progress_done"] / (values["progress_total"] or 1)
        return totals

    @api.model
    def _group_expand_state(self, states, domain):
        """Show all open states in the order of the work, and the others where they have runs."""
        order = [name for name, _label in self._fields["state"].selection]
        return [name for name in order if name in states or name in RUN_UNFINISHED[1:]]

    @api.depends("exception_ids")
    def _compute_exception_count(self):
        counts = dict(
            self.env["invoice.run.exception"]._read_group(
                [("run_id", "in", self.ids)], ["run_id"], ["__count"]
            )
        )
        for run in self:
            run.exception_count = counts.get(run, 0)

    @api.constrains("invoice_date", "due_date")
    def _check_due_date(self):
        for run in self:
            if run.due_date and run.due_date < run.invoice_date:
                raise ValidationError(
                    self.env._(
                        "%(run)s: the due date is before the invoice date. Correct one of the two.",
                        run=run.reference,
                    )
                )

    @api.constrains("skip_before", "schedule_id")
    def _check_skip_before(self):
        for run in self:
            if run.skip_before and run.schedule_id.cycle != "once":
                raise ValidationError(
                    self.env._(
                        "Only a run created by hand can skip earlier periods: empty “%(field)s”.",
                        field=self._fields["skip_before"]._description_string(self.env),
                    )
                )

    @api.model
    def _get_date_names(self):
        return [
            "date_from",
            "date_to",
            "target_date",
            "skip_before",
            "activation_date",
            "invoice_date",
            "due_date",
        ]

    @api.model
    def _check_ad_hoc_dates(self, vals):
        """Refuse dates of a run created by hand that can only be typing errors.

        :raises ValidationError: names the field
        """
        run = self.new({name: vals[name] for name in self._get_date_names() if vals.get(name)})
        run._check_years()
        if run.date_from and run.date_to and run.date_to < run.date_from:
            raise ValidationError(self.env._("The period ends before it starts. Correct one."))

    @api.constrains(lambda self: self._get_date_names())
    def _check_years(self):
        check_years(self, self._get_date_names())

    @api.constrains("target_date", "schedule_id")
    def _check_target_date(self):
        for run in self.filtered(lambda run: run.schedule_id.cycle == "once"):
            today = run.company_id._get_invoice_run_today()
            last = today + relativedelta(years=MAX_YEARS_AHEAD)
            if run.target_date > last:
                raise ValidationError(
                    self.env._(
                        "“%(field)s”: a run can invoice until %(last)s at the latest. Correct "
                        "the date.",
                        field=self._fields["target_date"]._description_string(self.env),
                        last=format_date(self.env, last),
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        """Create runs; without a schedule, an ad hoc run with a one-run schedule of its own.

        An ad hoc run needs ``scenario_id`` and takes ``invoice_date`` (default: today) as its
        target date unless ``target_date`` says otherwise.
        """
        runs = super().create([self._complete_create_vals(vals) for vals in vals_list])
        runs._set_state("on_hold")
        # the others are created by a schedule: whoever planned that is noted there
        by_hand = zip(runs, vals_list, strict=True)
        runs.concat(*(run for run, vals in by_hand if not vals.get("schedule_id")))._note_prepared()
        runs._own_send_attachments()
        return runs

    def write(self, vals):
        """Write ``vals``; what was approved, asked for or told before follows.

        :raises AccessError: engine fields, or a selection that only managers change
        """
        reselected = self._note_reselected(vals)
        if not {"job", "state"}.isdisjoint(vals):
            # what moves on has not stopped any more
            self._drop_trouble_activities()
            vals = {"job_error": False, **vals}
        self._wait_for_form()
        result = super().write(vals)
        self._drop_settled_activities(vals)
        if "send_attachment_ids" in vals:
            self._own_send_attachments()
        reselected.filtered("document_ids")._withdraw_approval()
        return result

    @api.model
    def _get_transitions(self):
        return {"state": RUN_TRANSITIONS}

    @api.model
    def _complete_create_vals(self, vals):
        """Return the values of a new run with its number; without a schedule, create one for it."""
        vals = dict(vals)
        if vals.get("reference", "/") == "/":
            number = self.env["ir.sequence"].next_by_code("invoice.run")
            vals["reference"] = EngineValue(number)
        return vals if vals.get("schedule_id") else self._complete_ad_hoc_vals(vals)

    @api.model
    def _complete_ad_hoc_vals(self, vals):
        """Return the values of a run created by hand, with the schedule that is created for it.

        :raises UserError: it has no scenario, or its dates are impossible
        """
        # an error of the run, before its schedule is created with these dates
        self._check_ad_hoc_dates(vals)
        # a form sends its empty fields as False
        vals = {name: value for name, value in vals.items() if value}
        scenario = self.env["billing.scenario"].browse(vals.get("scenario_id"))
        if not scenario:
            raise UserError(self.env._("Choose the billing scenario of the run."))
        today = scenario.company_id._get_invoice_run_today()
        invoice_date = fields.Date.to_date(vals.get("invoice_date")) or today
        target = fields.Date.to_date(vals.get("target_date")) or invoice_date
        vals |= {
            "name": vals.get("name") or scenario.name,
            "invoice_date": invoice_date,
            "target_date": target,
        }
        schedule = self._create_ad_hoc_schedule(scenario, vals)
        return {
            "user_id": self.env.user.id,
            **schedule._prepare_run_vals(0),
            **vals,
            "schedule_id": EngineValue(schedule.id),
        }

    @api.model
    def _create_ad_hoc_schedule(self, scenario, vals):
        """Create the schedule of one run created by hand, with these values of the run."""
        # defaults in the context are those of the run
        env = self.env(context=clean_context(self.env.context))
        return (
            self.env["invoice.run.schedule"]
            .with_env(env)
            .create(
                {
                    "name": vals["name"],
                    "company_id": scenario.company_id.id,
                    "scenario_id": scenario.id,
                    "cycle": "once",
                    "date_from": vals.get("date_from") or vals["target_date"],
                    "date_to": vals.get("date_to") or vals["target_date"],
                    "invoice_date": vals["invoice_date"],
                    "due_date": vals.get("due_date"),
                    "activation_rule": "disabled",
                }
            )
        )

    @api.ondelete(at_uninstall=False)
    def _unlink_except_with_amounts(self):
        if self.document_ids:
            raise UserError(
                self.env._("Delete the amounts of the run first, or cancel it to keep its history.")
            )

    # ------------------------------------------------------------------
    # Lifecycle
    # ------------------------------------------------------------------

    def action_submit(self):
        """Activate the runs: now, also before their date. Pressing twice changes nothing."""
        self.check_access("write")
        self._check_not_busy()
        for run in self.filtered(lambda run: run.state in RUN_WAITING):
            run._check_schedule_active()
            run._note_prepared()
            if run._is_automatic("amounts"):
                run._queue_job("amounts", "submitted", submitted_by_id=self.env.uid)
            else:
                run._set_state("submitted", submitted_by_id=self.env.uid)

    def _check_schedule_active(self):
        if self.schedule_id.state == "paused":
            raise UserError(
                self.env._(
                    "Schedule %(schedule)s is paused: resume it first.",
                    schedule=self.schedule_id.reference,
                )
            )

    def action_generate_amounts(self):
        """Collect in the background what is due; existing amounts are recalculated.

        :raises UserError: the run has invoices, or is cancelled
        """
        self.check_access("write")
        self._check_not_busy()
        for run in self:
            if run.job == "amounts":
                continue
            run._note_prepared()
            vals = {"amounts_by_id": self.env.uid, **run._prepare_no_approval_vals()}
            if run.state in RUN_WAITING:
                run._check_schedule_active()
                vals["submitted_by_id"] = self.env.uid
            else:
                run._check_amounts_renewable()
            run._start_removal("renew", **vals)

    def action_delete_amounts(self, reason=None):
        """Delete the amounts, release their periods and withdraw an approval.

        :param reason: why; it is logged
        :raises UserError: no reason, or the run has invoices
        """
        self.check_access("write")
        self._check_not_busy()
        if not (reason or "").strip():
            raise UserError(self.env._("Enter the reason why the amounts are deleted."))
        for run in self:
            run._check_amounts_renewable()
            run._note_prepared()
            total = run.amount_total
            run._start_removal("delete", **run._prepare_no_approval_vals())
            run.message_post(
                body=self.env._(
                    "Amounts deleted (%(total)s): %(reason)s",
                    total=run.currency_id.format(total),
                    reason=reason,
                )
            )

    def _check_amounts_state(self):
        """Refuse a change of amounts where the run is past them, or has not begun.

        :raises UserError: names the state, or says that the run is being cancelled
        """
        if self.job == "cancel":
            self._check_no_job()
        if self.state not in RUN_STARTED:
            raise UserError(
                self.env._(
                    "%(run)s is %(state)s: its amounts cannot be changed.",
                    run=self.reference,
                    state=dict(self._fields["state"]._description_selection(self.env))[self.state],
                )
            )

    def _check_amounts_renewable(self):
        """Refuse to remove all amounts of a run that has invoices.

        :raises UserError: says what to do instead
        """
        self._check_amounts_state()
        if self._has_invoices():
            raise UserError(
                self.env._(
                    "%(run)s has invoices: its amounts cannot be changed. Reverse the run, or "
                    "delete its draft invoices.",
                    run=self.reference,
                )
            )

    def _get_documents(self, domain, limit=None, order=None):
        """Return the documents of these runs in ``domain``, without reading the others."""
        domain = Domain("run_id", "in", self.ids) & Domain(domain)
        return self.env["invoice.run.document"].search(domain, limit=limit, order=order)

    def _has_invoices(self):
        """Whether one of these runs has an invoice, in whatever state."""
        return bool(self._get_documents([("move_id", "!=", False)], limit=1))

    def _is_large(self, domain=()):
        """Whether these are too many documents to be changed within the click of a button.

        :param domain: those of the run that are meant; by default all
        """
        return len(self._get_documents(domain, limit=DELETED_AT_ONCE + 1)) > DELETED_AT_ONCE

    def _start_removal(self, job, **vals):
        """Delete the amounts of this run, those of a large one in the background.

        :param job: ``delete``, or ``renew``: to calculate them anew from what is due
        :param vals: what is written with the state, which is "submitted" from now on
        """
        if self._is_large():
            vals |= self._prepare_no_renewal_vals()
            self._queue_job(job, "submitted", **vals)
            return
        self._remove_amounts()
        if job == "renew":
            self._queue_job("amounts", "submitted", **vals)
        else:
            self._set_state("submitted", job="none", **vals)

    def _remove_amounts(self):
        """Release and delete all amounts, documents and exceptions of these runs."""
        # sudo: amounts, documents and exceptions belong to the engine; the caller checked the run
        runs = self.sudo()
        runs._get_documents([])._remove()
        runs.exception_ids.unlink()
        self._write_engine(self._prepare_no_renewal_vals())

    def action_generate_invoices(self):
        """Create the invoices of the approved documents in the background.

        :raises AccessError: the user may not create invoices
        :raises UserError: the run is not approved
        """
        self.check_access("write")
        self.env["account.move"].check_access("create")
        self._check_not_busy()
        for run in self:
            if run._is_invoicing_all() or run.state == "invoiced":
                continue
            if run.state != "approved":
                raise UserError(self.env._("%(run)s is not approved yet.", run=run.reference))
            run._start_invoices(only_selected=False)

    def _is_invoicing_all(self):
        """Whether all documents are being invoiced, not a selection of them."""
        return self.job == "invoices" and not self.only_selected

    def _start_invoices(self, **vals):
        """Freeze the invoice date and queue the work; ``vals`` as in :meth:`_queue_job`."""
        self.ensure_one()
        if self._is_dated_later():
            today = self.company_id._get_invoice_run_today()
            self._set_invoice_date(self.schedule_id._get_date_of_day(today))
        self._queue_job("invoices", **vals)

    def _is_dated_later(self):
        """Whether the invoice date is that of the day on which the invoices are created."""
        mode = self.schedule_id.invoice_date_mode
        return mode == "generation" or (mode != "schedule" and not self.activation_date)

    def _set_invoice_date(self, invoice_date):
        """Give the run and the documents without invoice their final invoice date."""
        schedule = self.schedule_id
        due_date = invoice_date + schedule._get_due_distance() if schedule.due_date else False
        self._set_dates(invoice_date, due_date)

    def _set_dates(self, invoice_date, due_date):
        """Give the run and the documents without invoice these dates; due: False, by the terms."""
        if self.invoice_date == invoice_date:
            return
        self._write_engine({"invoice_date": invoice_date, "due_date": due_date})
        # sudo: documents belong to the engine
        documents = self.sudo()._get_documents([("move_id", "=", False)])
        documents.write({"invoice_date": invoice_date, "invoice_date_due": due_date})
        documents.filtered(lambda doc: doc.currency_id != doc.company_currency_id)._update_amounts()

    def action_retry_failed(self):
        """Try again, in the background, exactly the invoices and mails that failed."""
        self.check_access("write")
        self._check_not_busy()
        for run in self:
            # sudo: documents belong to the engine
            failed = run.sudo()._get_documents([("state", "=", "failed")])
            if failed:
                run._check_retry_allowed()
            failed._set_state("to_do", error=False, is_selected=True)
            unsent = run._retry_sending()
            if failed:
                run._start_invoices(state="approved")
            run._ask_sending(unsent.filtered("send_asked"))

    def _check_retry_allowed(self):
        """Refuse to create invoices that nobody approved, or for a user without the right to.

        :raises UserError: the amounts were recalculated since, and wait for approval
        """
        self.env["account.move"].check_access("create")
        if self.state not in RUN_APPROVED:
            raise UserError(self.env._("%(run)s is not approved yet.", run=self.reference))

    def action_cancel(self):
        """Cancel runs without confirmed invoices and release what they claimed.

        Drafts that were never confirmed are deleted; drafts that carry a number are
        cancelled, because deleting them would leave a gap. A large run is cancelled in the
        background.

        :raises UserError: the run has confirmed invoices
        """
        self.check_access("write")
        self._check_not_busy()
        for run in self.filtered(lambda run: run.state != "cancelled"):
            if count := run._count_confirmed():
                raise UserError(
                    self.env._(
                        "%(run)s has confirmed invoices: %(count)s. Reverse the run instead.",
                        run=run.reference,
                        count=count,
                    )
                )
            # sudo: all of them; whether the user may delete them is Odoo's question below
            drafts = run.sudo()._get_documents([("move_id.state", "=", "draft")]).with_env(self.env)
            if not run._is_large():
                drafts._cancel_drafts()
                run._end_cancelled()
                continue
            drafts.move_id.check_access("unlink")
            run._queue_job("cancel", "submitted", **run._prepare_no_approval_vals())

    def _count_confirmed(self):
        """Return how many invoices of this run are confirmed."""
        domain = Domain("run_id", "=", self.id) & Domain("move_id.state", "=", "posted")
        # sudo: also those that the user may not read
        return self.env["invoice.run.document"].sudo().search_count(domain)

    def _end_cancelled(self):
        """Release the amounts of this run, which keeps them to be read, and end it.

        Not where somebody confirmed invoices while it was being cancelled: it keeps these.
        """
        # sudo: documents belong to the engine
        self.sudo()._get_documents([("state", "in", DOCUMENT_HOLDING)])._give_up()
        count = self._count_confirmed()
        self._set_state("invoiced" if count else "cancelled", job="none")
        if count:
            self.message_post(
                body=self.env._(
                    "Not cancelled: invoices were confirmed meanwhile (%(count)s). All else is "
                    "released.",
                    count=count,
                )
            )

    # ------------------------------------------------------------------
    # Views
    # ------------------------------------------------------------------

    def _get_list_action(self, xml_id, domain, path):
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(xml_id)
        action["domain"] = [("run_id", "in", self.ids), *domain]
        action["context"] = {"create": False}
        return self._with_path(path, action)

    def action_view_documents(self):
        """Open the documents of the run."""
        return self._get_list_action(
            "invoice_run.invoice_run_document_action", [], "billing-run-documents"
        )

    def action_view_failed(self):
        """Open what failed: invoices and mails."""
        domain = self.env["invoice.run.document"]._get_failed_domain()
        action = self._get_list_action(
            "invoice_run.invoice_run_document_action", domain, "billing-run-failed"
        )
        action["context"]["invoice_run_failed"] = True
        return action

    def action_view_lines(self):
        """Open the amounts of the run."""
        return self._get_list_action(
            "invoice_run.invoice_run_line_action", [], "billing-run-amounts"
        )

    def action_view_exceptions(self):
        """Open what is due but could not be invoiced."""
        return self._get_list_action(
            "invoice_run.invoice_run_exception_action", [], "billing-run-exceptions"
        )

    def action_view_invoices(self):
        """Open the invoices of the run."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "account.action_move_out_invoice_type"
        )
        action["domain"] = [("invoice_run_id", "in", self.ids)]
        action["context"] = {"default_move_type": "out_invoice", "create": False}
        return self._with_path("billing-run-invoices", action)

    def action_view_flagged(self):
        """Open the documents that somebody should look at."""
        domain = [("is_flagged", "=", True), ("state", "in", DOCUMENT_OPEN)]
        return self._get_list_action(
            "invoice_run.invoice_run_document_action", domain, "billing-run-flagged"
        )

    def action_ask_reject_reason(self):
        """Ask why the amounts are rejected."""
        self.check_access("write")
        self._check_reviewer()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.invoice_run_reason_action"
        )
        action["name"] = self.env._("Reject Amounts")
        action["context"] = {"default_run_id": self.id, "default_purpose": "reject"}
        return action

    def action_ask_delete_reason(self):
        """Ask why the amounts are deleted."""
        self.check_access("write")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.invoice_run_reason_action"
        )
        action["context"] = {"default_run_id": self.id}
        return action
