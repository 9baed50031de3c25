from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command, Domain

from ..models.base.states import DOCUMENT_OPEN, SEND_OPEN
from ..models.job.invoice_run_progress import WATCHED_LIMIT

#: Automatic steps of a run created here: the user decides on each, sending belongs to Process.
AUTOMATIC = {"auto_approve": "no", "auto_invoices": "no", "auto_send": "yes"}
RESTARTABLE = ("submitted", "amounts", "approved")


class InvoiceManager(models.TransientModel):
    """What a person chose in the Invoice Manager, and the ad hoc run that came of it.

    A front end of the one engine: the run creates everything. The browser shows what
    these methods return; each checks the rights of the user, as those of the run do.
    """

    _name = "invoice.manager"
    _description = "Invoice Manager"
    _inherit = "invoice.run.wizard"

    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )
    scenario_id = fields.Many2one("billing.scenario", ondelete="cascade")
    source = fields.Char(help="Only scenarios of this source are proposed.")
    record_ids = fields.Json("Records", help="Ids of the source's records that are to be invoiced.")
    partner_ids = fields.Many2many(
        "res.partner",
        string="Customers",
        context={"active_test": False},
        help="Only these customers are invoiced.",
    )
    invoice_date = fields.Date(help="The date of all invoices created here.")
    target_date = fields.Date(
        help="Invoice up to the period that contains this day; usage up to it."
    )
    rule_values = fields.Json(default=dict)
    invoice_state = fields.Selection(
        [("posted", "Confirmed"), ("draft", "Draft")],
        "Create Invoices As",
        help="Empty: as set on the scenario.",
    )
    run_id = fields.Many2one("invoice.run", ondelete="set null")

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard': its own methods write it, each value checked
        return super()._get_fixed_fields() | {
            "company_id",
            "scenario_id",
            "source",
            "record_ids",
            "partner_ids",
            "invoice_date",
            "target_date",
            "rule_values",
            "invoice_state",
            "run_id",
        }

    def _check_mine(self):
        """Refuse users without a role, or without one in this company.

        :raises AccessError: says so
        """
        self.check_access("write")
        self.ensure_one()

    # ------------------------------------------------------------------
    # Step one
    # ------------------------------------------------------------------

    @api.model
    def action_start(self, options=None):
        """Open the manager; return what the browser shows first.

        :param options: ``source`` and ``record_ids``, or ``partner_ids``: what was selected
            elsewhere; ``run_id``: go on with this run; ``scenario_id``: begin with this one
        """
        options = options or {}
        self._cancel_empty_runs()
        manager = self.create(
            {
                "source": options.get("source"),
                "record_ids": options.get("record_ids"),
                "partner_ids": [Command.set(options.get("partner_ids") or [])],
            }
        )
        if options.get("run_id"):
            manager._resume(self.env["invoice.run"].browse(options["run_id"]))
        elif options.get("scenario_id"):
            manager.action_choose(options["scenario_id"])
        return {"id": manager.id, **manager.get_cards(), **manager.get_state()}

    @api.model
    def _open_for(self, **options):
        """Return the action that opens the manager for what is selected elsewhere.

        :param options: see :meth:`action_start`
        :raises AccessError: the user has no role of invoice runs
        """
        self.check_access("create")
        action = self.env["ir.actions.client"]._for_xml_id("invoice_run.invoice_manager_action")
        return {**action, "params": {"options": options}}

    @api.model
    def _cancel_empty_runs(self):
        """Cancel this user's runs that found nothing: nobody comes back to them."""
        domain = Domain("is_managed", "=", True) & Domain("user_id", "=", self.env.uid)
        domain &= Domain("state", "in", RESTARTABLE) & Domain("job", "=", "none")
        domain &= Domain("document_ids", "=", False)
        self.env["invoice.run"].search(domain).action_cancel()

    def _resume(self, run):
        """Go on with a run that was begun before, perhaps by somebody else."""
        run.check_access("write")
        self._write_fixed(
            {
                "company_id": run.company_id.id,
                "run_id": run.id,
                "scenario_id": run.scenario_id.id,
                "invoice_date": run.invoice_date,
                "target_date": run.target_date,
                "invoice_state": run.invoice_state,
                "rule_values": run.rule_values or {},
                "record_ids": run.record_ids,
                "source": run.scenario_id.source,
                "partner_ids": [Command.set(run.partner_ids.ids)],
            }
        )

    def get_cards(self):
        """Return the scenarios that fit, and the runs of this user that are not finished."""
        self._check_mine()
        domain = Domain("source", "=", self.source) if self.source else Domain.TRUE
        scenarios = self.env["billing.scenario"].search(domain)
        return {
            "scenarios": [self._get_card(scenario) for scenario in scenarios],
            "runs": [self._get_run_card(run) for run in self._get_unfinished_runs()],
            "selected": self._get_selected_text(),
        }

    def _get_card(self, scenario):
        labels = {
            name: dict(scenario._fields[name]._description_selection(self.env))
            for name in ("source", "send_action", "billing_mode")
        }
        several = len(self.env.companies) > 1
        asked = scenario.rule_ids.filtered("is_asked")
        return {
            "id": scenario.id,
            "name": scenario.name,
            "description": scenario.description or "",
            "icon": self._get_icon(scenario),
            "source": labels["source"].get(scenario.source, scenario.source),
            "count": scenario.due_count,
            "error": scenario.due_error or "",
            "clusters": scenario.cluster_ids.mapped("name"),
            "delivery": labels["send_action"][scenario.send_action],
            "asked": asked.mapped("name"),
            "company": scenario.company_id.name if several else "",
        }

    @api.model
    def _get_icon(self, scenario):
        source = self.env[scenario.source_model or "invoice.run.source"]
        return source._source_icon

    def _get_unfinished_runs(self):
        """Return the runs that this user began here and that need somebody."""
        waiting = Domain("document_ids.send_state", "in", SEND_OPEN)
        domain = Domain("state", "in", RESTARTABLE) & Domain("document_ids", "!=", False)
        domain |= Domain("state", "=", "invoiced") & waiting
        domain |= Domain("job", "!=", "none")
        domain &= Domain("is_managed", "=", True) & Domain("user_id", "=", self.env.uid)
        return self.env["invoice.run"].search(domain, order="id desc", limit=8)

    def _get_run_card(self, run):
        return {
            "id": run.id,
            "name": run.name,
            "reference": run.reference,
            "date": run.invoice_date,
            "status": self._get_status_text(run),
            "documents": run.document_count,
            "invoices": run.invoice_count,
            "failed": run.failed_count,
            "amount": run.amount_total,
            "currency_id": run.currency_id.id,
        }

    def _get_status_text(self, run):
        """Return in words how far ``run`` is."""
        if run.job != "none":
            return dict(run._fields["job"]._description_selection(self.env))[run.job]
        if run.is_approval_asked and run.state == "amounts":
            return self.env._("Sent to the reviewer")
        if run.invoice_count and run.progress_done < run.progress_total:
            return self.env._("Partly processed")
        return {
            "submitted": self.env._("Started"),
            "amounts": self.env._("Fetched, not processed"),
            "approved": self.env._("Approved, not processed"),
            "invoiced": self.env._("Processed"),
        }.get(run.state, dict(run._fields["state"]._description_selection(self.env))[run.state])

    def _get_selected_text(self):
        """Return the names of what was selected elsewhere, and is to be invoiced."""
        if self.partner_ids:
            return ", ".join(self.partner_ids.mapped("display_name"))
        models_by_source = self.env["invoice.run.source"]._get_source_models()
        if self.record_ids and self.source in models_by_source:
            records = self.env[models_by_source[self.source]].browse(self.record_ids)
            return ", ".join(records.exists().mapped("display_name"))
        return ""

    def action_choose(self, scenario_id):
        """Choose the scenario; what was filled in for the same one before is kept."""
        self._check_mine()
        scenario = self.env["billing.scenario"].browse(scenario_id)
        scenario.check_access("read")
        if scenario != self.scenario_id:
            today = scenario.company_id._get_invoice_run_today()
            self._write_fixed(
                {
                    "company_id": scenario.company_id.id,
                    "scenario_id": scenario.id,
                    "invoice_date": self.invoice_date or today,
                    "target_date": False,
                    "invoice_state": False,
                    "rule_values": {
                        str(rule.id): [rule.value or False, rule.value_to or False]
                        for rule in scenario.rule_ids.filtered("is_asked")
                    },
                }
            )
        return self.get_state()

    def action_forget_selected(self):
        """Propose all scenarios, for all customers."""
        self._check_mine()
        self._write_fixed({"source": False, "record_ids": False, "partner_ids": [Command.clear()]})
        return self.get_cards()

    def action_discard(self, run_id):
        """Cancel a run that has no confirmed invoice; then its periods are billable again."""
        self._check_mine()
        run = self.env["invoice.run"].browse(run_id)
        run.action_cancel()
        if self.run_id == run:
            self._write_fixed({"run_id": False})
        return self.get_cards()

    # ------------------------------------------------------------------
    # Step two: fetch
    # ------------------------------------------------------------------

    def action_fetch(self, vals):
        """Collect what is due into the run; what an earlier fetch found is replaced.

        :param vals: ``invoice_date``, ``target_date`` (empty: the invoice date) and
            ``rule_values`` {rule id: [value, second value]}
        :raises UserError: no scenario or date, or a value is not one
        """
        self._check_mine()
        names = ("invoice_date", "target_date", "rule_values")
        self._write_fixed({name: vals[name] for name in names if name in vals})
        if not self.scenario_id:
            raise UserError(self.env._("Choose a scenario first."))
        if not self.invoice_date:
            raise UserError(self.env._("Fill in the invoice date."))
        self._check_idle()
        run = self._get_reusable_run()
        if run:
            run.write(self._prepare_run_vals())
        else:
            # the ad hoc run creates its own schedule
            run = self.env["invoice.run"].create(self._prepare_run_vals())
        run.schedule_id.write({**AUTOMATIC, "scenario_id": run.scenario_id.id})
        run._write_engine({"is_managed": True})
        self._write_fixed({"run_id": run.id})
        # sudo: as the run that collects; only their number is looked at
        small = len(run.sudo()._get_selected_payers()) <= WATCHED_LIMIT
        run.with_context(invoice_run_watched=small).action_generate_amounts()
        return self.get_state()

    def _check_idle(self):
        """Refuse to change a run on which somebody works.

        :raises UserError: says what is being done
        """
        run = self._find_run()
        if run and run.job != "none":
            raise UserError(
                self.env._(
                    "%(run)s is being processed (%(job)s). Wait until this is done.",
                    run=run.reference,
                    job=dict(run._fields["job"]._description_selection(self.env))[run.job],
                )
            )

    def _get_reusable_run(self):
        """Return the run of the earlier fetch; one with invoices is finished instead."""
        run = self._find_run()
        if not run or run.state not in RESTARTABLE:
            return run.browse()
        if not run.is_managed:
            self._check_takeable(run)
        if run.company_id != self.scenario_id.company_id:
            run.action_cancel()
            return run.browse()
        if run._has_invoices():
            self._finish_run(run)
            return run.browse()
        return run

    def _check_takeable(self, run):
        """Refuse to turn the run of a schedule into one of this wizard.

        :raises UserError: says what to do instead
        """
        schedule = run.schedule_id
        if schedule.cycle != "once" or schedule.auto_approve != "company":
            raise UserError(
                self.env._(
                    "%(run)s follows %(schedule)s: generate its amounts on the run itself.",
                    run=run.reference,
                    schedule=schedule.reference,
                )
            )

    def _prepare_run_vals(self):
        target = self.target_date or self.invoice_date
        return {
            "name": self.scenario_id.name,
            "scenario_id": self.scenario_id.id,
            "invoice_date": self.invoice_date,
            "date_from": target,
            "date_to": target,
            "target_date": target,
            "invoice_state": self.invoice_state,
            "rule_values": self.rule_values,
            "record_ids": self.record_ids,
            "partner_ids": [Command.set(self.partner_ids.ids)],
        }

    # ------------------------------------------------------------------
    # State
    # ------------------------------------------------------------------

    def _find_run(self):
        """Return the run, none where it was deleted meanwhile.

        :raises AccessError: this user may not see it
        """
        self._check_mine()
        run = self.run_id.exists()
        run.check_access("read")
        return run

    def get_state(self):
        """Return what step two shows beside the table."""
        run = self._find_run()
        return {
            "choices": self._get_choices(),
            "run": self._get_run_state(run) if run else False,
        }

    def _get_choices(self):
        scenario = self.scenario_id
        if not scenario:
            return False
        source = self.env[scenario.source_model or "invoice.run.source"]
        return {
            "scenario": self._get_card(scenario),
            "rules": [
                self._get_rule_state(rule) for rule in scenario.rule_ids.filtered("is_asked")
            ],
            "invoice_date": self.invoice_date,
            "target_date": self.target_date,
            "invoice_state": self.invoice_state or scenario.invoice_state,
            "invoice_states": self._fields["invoice_state"]._description_selection(self.env),
            "has_target": source._source_has_target or bool(self.target_date),
        }

    def _get_rule_state(self, rule):
        """Return what the browser needs to ask for the value of ``rule``."""
        kind = rule._get_kind()
        value, value_to = [*(self.rule_values or {}).get(str(rule.id), []), False, False][:2]
        operators = dict(rule._fields["operator"]._description_selection(self.env))
        state = {
            "id": rule.id,
            "name": rule.name,
            "kind": kind,
            "operator": rule.operator,
            "operator_label": operators[rule.operator],
            "value": value,
            "value_to": value_to,
        }
        return {
            **state,
            **getattr(self, f"_get_{kind}_widget", self._get_plain_widget)(rule, state),
        }

    def _get_plain_widget(self, rule, state):
        return {}

    def _get_date_widget(self, rule, state):
        """Return relative dates as the days that they mean today."""
        if rule.operator == "in":
            return {"kind": "text"}
        return {
            name: state[name] and fields.Date.to_string(rule._parse_value(state[name]))
            for name in ("value", "value_to")
        }

    def _get_selection_widget(self, rule, state):
        choices = [[str(key), label] for key, label in rule._get_selection()]
        return {"choices": choices}

    def _get_boolean_widget(self, rule, state):
        value = state["value"] and ("yes" if rule._parse_value(state["value"]) else "no")
        return {"choices": [["yes", self.env._("Yes")], ["no", self.env._("No")]], "value": value}

    def _get_many2one_widget(self, rule, state):
        """Return names as the ids of the records that they mean."""
        if rule.operator == "ilike":
            return {"kind": "text"}
        texts = (state["value"] or "").split(",") if state["value"] else []
        ids = [record_id for text in texts for record_id in rule._parse_value(text)]
        return {"model": rule._get_field().comodel_name, "ids": ids}

    def _get_run_state(self, run):
        states = dict(run._fields["state"]._description_selection(self.env))
        jobs = dict(run._fields["job"]._description_selection(self.env))
        return {
            "id": run.id,
            "reference": run.reference,
            "company": run.company_id.name,
            "state": run.state,
            "state_label": states[run.state],
            "job": run.job,
            "job_label": jobs[run.job],
            "documents": run.document_count,
            "progress": self._get_progress(run),
            "invoices": run.invoice_count,
            "failed": run.failed_count,
            "stale": run.stale_count,
            "sent": run.sent_count,
            "pending": run.pending_count,
            "exceptions": run.exception_count,
            "exception_notes": self._count_notes(run),
            "to_do": self._count_to_do(run),
            "drafts": run.draft_count,
            "to_print": run.to_print_count,
            "printed": len(run.print_attachment_ids),
            "unsent": self._count_unsent(run),
            "currency_id": run.currency_id.id,
            "amount_total": run.amount_total,
            "target_date": run.target_date,
            "is_fetched": self._is_fetched(run),
            "approval": self._get_approval_state(run),
            "wait_until": run.send_wait_until if run.job == "send" else False,
            "notes": self._get_notes(run),
            # not while something is carried out: then the browser asks again and again
            "readiness": run.readiness if run.job == "none" else False,
        }

    def _get_progress(self, run):
        """Return how far the work on ``run`` is: done, of how much; 0: not known."""
        job = run._get_job()
        if job is None:
            # the step that a person waits for next
            job = run.env["invoice.run.job.invoices"]
        done, total = job._count_progress(run)
        return {"done": done, "total": total}

    def _get_notes(self, run):
        """Return what the reviewer wants from this user."""
        if run.state != "amounts":
            return []
        activities = run.activity_ids.filtered(lambda item: item.user_id == self.env.user)
        return activities.mapped("summary")

    def _is_fetched(self, run):
        """Whether the run holds what the choices of this wizard ask for."""
        return run.state != "submitted" and (
            run.scenario_id == self.scenario_id
            and run.invoice_date == self.invoice_date
            and run.target_date == (self.target_date or self.invoice_date)
            and (run.rule_values or {}) == (self.rule_values or {})
        )

    def _get_approval_state(self, run):
        """Return whether approval is still needed, and by whom."""
        if run.state != "amounts":
            approver = run.approved_by_id.name if run.state == "approved" else False
            return {"needed": False, "asked": False, "approver": approver}
        reviewer = run._get_reviewer().name or False
        needed = not (run._can_approve() or self._is_approved_by_setting(run))
        return {"needed": needed, "asked": run.is_approval_asked, "reviewer": reviewer}

    def _is_approved_by_setting(self, run):
        """Whether the settings want no person to approve this run.

        Those of its schedule; a run created here is its user's own, so the company's count.
        """
        if run.exception_count or run.flagged_count:
            return False
        return run.company_id.invoice_run_auto_approve and (
            run.is_managed or run._is_automatic("approve")
        )

    def _count_documents(self, run, domain):
        return self.env["invoice.run.document"].search_count(
            Domain("run_id", "=", run.id) & Domain(domain)
        )

    def _count_to_do(self, run):
        return self._count_documents(run, [("state", "in", DOCUMENT_OPEN)])

    def _count_unsent(self, run):
        """Return how many invoices wait to be sent, or failed, otherwise than by print."""
        domain = Domain("send_state", "in", SEND_OPEN)
        domain &= Domain("send_action", "not in", ("print", "none"))
        return self._count_documents(run, domain & Domain("move_id.state", "=", "posted"))
