from psycopg2 import errors as pg_errors

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tools import format_date

from ..models.base.invoice_run_guarded import EngineValue
from ..models.base.states import CONTRACT_BILLED
from ..models.job.invoice_run_progress import WATCHED_LIMIT
from ..models.review.invoice_run_explain import RunIsBusy

ALL = {"all": True, "ids": []}
#: Steps of work that one click carries out; what is left then goes on in the background.
MAX_STEPS = 40
#: Records of which it is told why nothing is due.
EXPLAINED = 5
#: Reasons that the next day says better.
NOT_YET = ("nothing", "dates")


class BillingInvoiceNow(models.TransientModel):
    """Invoice what is due of some records here and now, in one dialog.

    What it shows is calculated by a run on trial, which is rolled back. Its buttons go through the
    Invoice Manager, so claims, approval and sending are those of every run created by hand.
    """

    _name = "billing.invoice.now"
    _description = "Invoice Now"
    _inherit = "invoice.run.wizard"

    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )
    source = fields.Char(help="Source of the records; empty: all of the customers.")
    record_ids = fields.Json("Records", help="Ids of the source's records that are invoiced.")
    partner_ids = fields.Many2many(
        "res.partner", string="Customers", context={"active_test": False}
    )
    scenario_id = fields.Many2one("billing.scenario", "What", ondelete="cascade")
    invoice_date = fields.Date(
        required=True,
        default=lambda self: self.env.company._get_invoice_run_today(),
        help="The date of the invoices. What is due up to this day is invoiced.",
    )
    send_by = fields.Selection(
        selection="_selection_send_by",
        required=True,
        default="customer",
        help="How the invoices go to the customers, this time.",
    )
    reviewer_id = fields.Many2one(
        "res.users", domain=lambda self: self.env["res.users"]._get_invoice_run_reviewer_domain()
    )
    shown = fields.Json(help="What the dialog shows, to be compared with what comes of it.")
    preview = fields.Html(sanitize=False)
    notice = fields.Char()
    is_due = fields.Boolean()
    is_approval_needed = fields.Boolean("Needs Approval")
    is_outdated = fields.Boolean(compute="_compute_is_outdated")

    @api.model
    def _selection_send_by(self):
        choices = self.env["invoice.run.document"]._selection_send_action()
        return [("customer", self.env._("As set on the customer")), *choices]

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        names = {"company_id", "source", "record_ids", "partner_ids", "shown", "preview"}
        return super()._get_fixed_fields() | names | {"notice", "is_due", "is_approval_needed"}

    @api.depends("shown", "invoice_date", "scenario_id", "send_by")
    def _compute_is_outdated(self):
        for dialog in self:
            asked = (dialog.shown or {}).get("asked")
            dialog.is_outdated = asked != dialog._get_asked()

    @api.model_create_multi
    def create(self, vals_list):
        dialogs = super().create(vals_list)
        for dialog in dialogs:
            dialog._get_records().check_access("read")
        return dialogs

    def _get_records(self):
        """Return the records that are to be invoiced, or of the source where none are named.

        :raises UserError: there is no such source
        """
        if not self.source:
            return self.env["billing.contract"]
        sources = self.env["invoice.run.source"]._get_source_models()
        if self.source not in sources:
            raise UserError(self.env._("Choose a contract, a usage item or a sale order."))
        return self.env[sources[self.source]].browse(self.record_ids or []).exists()

    # ------------------------------------------------------------------
    # Opening
    # ------------------------------------------------------------------

    @api.model
    def _open_for(self, company, **vals):
        """Return the action that opens the dialog, with what is due today.

        :param vals: ``source`` and ``record_ids``, or ``partner_ids``
        :raises AccessError: the user has no role of invoice runs
        :raises UserError: the records belong to several companies, or there is no scenario
        """
        self.check_access("create")
        if len(company) != 1:
            raise UserError(
                self.env._("Choose records of one company: an invoice is issued by one company.")
            )
        scenario = self._get_default_scenario(company, vals.get("source") or "contract")
        today = company._get_invoice_run_today()
        dialog = self.create(
            {
                "company_id": company.id,
                "scenario_id": scenario.id,
                "invoice_date": today,
                # sudo: the company's setting says who reviews
                "reviewer_id": company.sudo().invoice_run_reviewer_id.id,
                **vals,
            }
        )
        return dialog.action_refresh()

    @api.model
    def _get_default_scenario(self, company, source):
        """Return the scenario that a person most probably means.

        :raises UserError: there is none
        """
        Scenario = self.env["billing.scenario"]
        known = Scenario.union(*Scenario._find_default_scenarios(company).values())
        fitting = known.filtered(lambda one: one.active and one.source == source)
        domain = [("company_id", "=", company.id), ("source", "=", source)]
        scenario = fitting[:1] or Scenario.search(domain, limit=1)
        if not scenario:
            raise UserError(
                self.env._(
                    "%(company)s has no scenario that selects them. Create one under "
                    "Configuration ‣ Scenarios.",
                    company=company.display_name,
                )
            )
        return scenario

    def _get_dialog(self):
        return self._get_records_action(name=self.env._("Invoice Now"), target="new")

    # ------------------------------------------------------------------
    # What is due
    # ------------------------------------------------------------------

    def action_refresh(self):
        """Show what is due on the invoice date."""
        return self._show()

    def _show(self, notice=False):
        """Show what is due, after ``notice``, a sentence."""
        self.ensure_one()
        self.check_access("write")
        if not self.scenario_id:
            raise UserError(self.env._("Choose the billing scenario of the run."))
        found = self._try()
        if found["is_unset"] and self.send_by == "customer":
            self.send_by = "email"
            found = self._try()
        preview = self.env["ir.qweb"]._render("invoice_run.invoice_now", found)
        self._write_fixed(
            {
                "preview": preview,
                "notice": notice,
                "is_due": bool(found["documents"]),
                "is_approval_needed": found["is_approval_needed"],
                "shown": {"asked": self._get_asked(), "content": found["content"]},
            }
        )
        return self._get_dialog()

    def _get_asked(self):
        """Return those choices of the user on which the contents of the dialog depend."""
        day = fields.Date.to_string(self.invoice_date)
        return [day, self.scenario_id.id, self.send_by]

    def _try(self):
        """Return what the dialog shows: a run on trial calculates it, and all is rolled back."""
        try:
            with self.env.cr.savepoint() as savepoint:
                run = self._create_trial_run()
                run._take_for_trial()
                found = self._look_at(run)
                savepoint.rollback()
        except (RunIsBusy, pg_errors.LockNotAvailable) as error:
            raise UserError(
                self.env._("Somebody is invoicing the same at this moment. Try again.")
            ) from error
        return found

    def _create_trial_run(self):
        """Create the run that generates the amounts on trial, without a number of its own."""
        values = self._prepare_run_vals()
        number = EngineValue("/…")
        names = ("name", "scenario_id", "date_from", "date_to", "invoice_date")
        schedule = self.env["invoice.run.schedule"].create(
            {
                **{name: values[name] for name in names},
                "reference": number,
                "company_id": self.company_id.id,
                "cycle": "once",
                "activation_rule": "disabled",
            }
        )
        run = self.env["invoice.run"].create(
            {
                **schedule._prepare_run_vals(0),
                **values,
                "reference": number,
                "schedule_id": EngineValue(schedule.id),
                "user_id": self.env.uid,
            }
        )
        run._write_engine({"is_managed": True})
        return run

    def _prepare_run_vals(self):
        day, rules = self.invoice_date, self.scenario_id.rule_ids.filtered("is_asked")
        return {
            "name": self.scenario_id.name,
            "scenario_id": self.scenario_id.id,
            "invoice_date": day,
            "date_from": day,
            "date_to": day,
            "target_date": day,
            "rule_values": {
                str(rule.id): [rule.value or False, rule.value_to or False] for rule in rules
            },
            "record_ids": self.record_ids,
            "partner_ids": [Command.set(self.partner_ids.ids)],
        }

    def _look_at(self, run):
        """Have ``run`` generate its amounts; return what is to be shown of them."""
        # the engine's rights, as when the run is carried out
        engine = run._with_engine()
        error = engine._get_stop_message()
        if error:
            raise UserError(error)
        engine._generate_amounts(engine._get_selected_payers())
        engine._create_run_exceptions()
        run.invalidate_recordset()
        documents = engine.document_ids.filtered(lambda document: document.state == "to_do")
        self._choose_sending(documents)
        held = engine.document_ids - documents
        left_out = filter(None, (document._get_left_out_reason() for document in held))
        notes = [message for _code, message in left_out]
        notes += [exception._get_explanation()[1] for exception in engine.exception_ids]
        is_approved = self.env["invoice.manager"]._is_approved_by_setting(run)
        return {
            "documents": [self._get_shown(document) for document in documents],
            "totals": self._get_totals(documents),
            "notes": list(dict.fromkeys(notes)),
            "next_day": not documents and self._get_next_text(),
            "reasons": [] if documents else self._get_reasons(run),
            "content": self._get_content(documents),
            "is_unset": bool(documents) and all(documents.mapped("is_send_unset")),
            "is_approval_needed": not (run._can_approve() or is_approved),
        }

    def _get_content(self, documents):
        """Return the content of these documents that must not change before the invoice."""
        return [
            [
                document.partner_id.id,
                document.title,
                document.currency_id.name,
                document.amount_total,
                [
                    [line.name, str(line.billing_date_from), str(line.billing_date_to), line.amount]
                    for line in document.line_ids.sorted("sequence")
                ],
            ]
            for document in documents.sorted(lambda one: (one.partner_id.id, one.title, one.id))
        ]

    def _get_shown(self, document):
        """Return what the dialog shows of ``document``, as text."""
        money = document.currency_id.format
        return {
            "title": document.title,
            "customer": document.partner_id.display_name,
            "untaxed": money(document.amount_untaxed),
            "tax": document.amount_tax and money(document.amount_tax),
            "total": money(document.amount_total),
            "sending": self._get_sending_text(document),
            "is_lost": document.send_action == "none" or self._lacks_address(document),
            "lines": [
                {
                    "name": (line.name or "").split("\n")[0],
                    "period": self._get_period_text(line),
                    "amount": money(line.amount_untaxed),
                }
                for line in document.line_ids.sorted("sequence")
            ],
        }

    def _get_period_text(self, line):
        days = [format_date(self.env, line.billing_date_from)]
        days += [format_date(self.env, line.billing_date_to)]
        return " – ".join(dict.fromkeys(days))

    def _lacks_address(self, document):
        return document.send_action == "email" and not document.partner_id.email

    def _get_sending_text(self, document):
        if self._lacks_address(document):
            return self.env._("Email: the customer has no address. Enter it there first.")
        if document.send_action == "email":
            return self.env._("Email to %(address)s", address=document.partner_id.email)
        choices = dict(document._fields["send_action"]._description_selection(self.env))
        return choices[document.send_action]

    def _get_totals(self, documents):
        """Return the totals of several documents, one for each currency, as text."""
        if len(documents) < 2:
            return []
        return [
            currency.format(sum(group.mapped("amount_total")))
            for currency, group in documents.grouped("currency_id").items()
        ]

    def _get_due_records(self):
        """Return the records for which the next due day is told."""
        if not self.partner_ids:
            return self._get_records()
        payers = self.partner_ids.commercial_partner_id
        source = self.scenario_id._get_source().sudo(False)
        domain = [(source._get_payer_field(), "in", payers.ids)]
        return source.search([*domain, ("company_id", "=", self.company_id.id)])

    def _get_next_text(self):
        """Return when the next invoice is due, as a sentence."""
        day = self._get_due_records()._get_next_due_day()
        if not day or day <= self.invoice_date:
            return self.env._(
                "Nothing is due on %(date)s.", date=format_date(self.env, self.invoice_date)
            )
        return self.env._(
            "Nothing is due on %(date)s. The next invoice is due on %(next)s.",
            date=format_date(self.env, self.invoice_date),
            next=format_date(self.env, day),
        )

    def _get_reasons(self, run):
        """Return why nothing is due of each of the first records, in words."""
        reasons, records = [], self._get_due_records()
        for record in records[:EXPLAINED]:
            found = run.explain(record._name, record.id)["reasons"]
            texts = [reason["message"] for reason in found if reason["code"] not in NOT_YET]
            name = f"{record.display_name}: " if len(records) > 1 else ""
            reasons += [f"{name}{text}" for text in texts]
        return reasons

    # ------------------------------------------------------------------
    # Doing it
    # ------------------------------------------------------------------

    def action_create(self):
        """Create the invoices and send nothing."""
        return self._carry_out(send=False)

    def action_create_and_send(self):
        """Create the invoices and send them; where it is needed, ask for the approval first.

        :raises UserError: none of them would be sent
        """
        return self._carry_out(send=True)

    def _carry_out(self, send):
        """Create the invoices that are shown; show again what changed meanwhile."""
        self.ensure_one()
        self.check_access("write")
        if self.is_outdated:
            return self._show(self.env._("You chose something else: this is what it means."))
        manager = self._fetch()
        run = manager.run_id
        if run.job != "none":
            return self._get_run_action(run)
        documents = run.document_ids.filtered(lambda document: document.state == "to_do")
        if self._get_content(documents.sudo()) != self.shown["content"]:
            manager.action_finish()
            return self._show(self.env._("What is due has changed: look at it again."))
        self._choose_sending(documents)
        if send:
            self._check_sending(documents)
        self._prepare_schedule(run, send)
        manager.action_process(ALL)
        self._work(manager)
        return self._get_result(manager, send)

    def _fetch(self):
        """Return the Invoice Manager with a run that holds what is due."""
        manager = self.env["invoice.manager"].create(
            {
                "source": self.source,
                "record_ids": self.record_ids,
                "partner_ids": [Command.set(self.partner_ids.ids)],
            }
        )
        manager.action_choose(self.scenario_id.id)
        manager.action_fetch({"invoice_date": self.invoice_date, "target_date": self.invoice_date})
        self._work(manager)
        return manager

    def _work(self, manager):
        """Carry out what is queued, as far as it is small."""
        for _number in range(MAX_STEPS):
            run = manager.run_id
            if run.job == "none" or not run.is_watched or run.send_wait_until:
                return
            manager.action_work()

    def _choose_sending(self, documents):
        """Send ``documents`` in the way that was chosen here."""
        if self.send_by != "customer":
            documents.filtered(lambda one: one.send_action != self.send_by).write(
                {"send_action": self.send_by}
            )

    def _check_sending(self, documents):
        if documents and set(documents.mapped("send_action")) == {"none"}:
            raise UserError(
                self.env._(
                    "None of these invoices would be sent: choose in “Send By” how they go to the "
                    "customer, or press “Create”."
                )
            )

    def _prepare_schedule(self, run, send):
        """Have the run do what was asked for here, also after somebody else approved it."""
        vals = {"auto_send": "yes" if send else "no"}
        if self.env["invoice.manager"]._get_approval_state(run)["needed"]:
            vals["auto_invoices"] = "yes"
            if not self.reviewer_id:
                raise UserError(
                    self.env._("A second person has to approve this: choose the reviewer.")
                )
            run.reviewer_id = self.reviewer_id
        run.schedule_id.write(vals)

    # ------------------------------------------------------------------
    # What came of it
    # ------------------------------------------------------------------

    def _get_result(self, manager, send):
        """Return the action that shows what came of it."""
        run = manager.run_id
        run.invalidate_recordset()
        if run.state == "amounts":
            return self._get_note(
                self.env._(
                    "%(reviewer)s was asked to approve it. It goes on by itself then.",
                    reviewer=run.reviewer_id.name,
                ),
                {"type": "ir.actions.act_window_close"},
            )
        if run.job != "none" or run.failed_count or not run.invoice_ids:
            return self._get_run_action(run)
        to_print = send and run.to_print_count and run.action_print()
        if to_print:
            return to_print
        names = ", ".join(run.invoice_ids.mapped("display_name"))
        created = self.env._("Created: %(names)s.", names=names)
        sent = self.env._("Sent: %(count)s.", count=run.sent_count)
        text = f"{created} {sent}" if send else created
        return self._get_note(
            text, run.invoice_ids._get_records_action(name=self.env._("Invoices"))
        )

    def _get_run_action(self, run):
        return run._get_records_action(name=run.display_name)

    def _get_note(self, message, action):
        params = {"type": "success", "message": message, "next": action}
        return {"type": "ir.actions.client", "tag": "display_notification", "params": params}


class InvoiceRunSource(models.AbstractModel):
    """The button of a contract, a usage item, an order."""

    _inherit = "invoice.run.source"

    def action_invoice_now(self):
        """Invoice what is due of these records in one dialog; many of them in its own page."""
        self.check_access("read")
        if len(self) > WATCHED_LIMIT:
            return self.action_open_manager()
        return self.env["billing.invoice.now"]._open_for(
            self.company_id, source=self._source_key, record_ids=self.ids
        )

    def _get_next_due_day(self):
        """Return the day on which the next invoice of these records is due, if it is known."""
        return False


class BillingContract(models.Model):
    _inherit = "billing.contract"

    def _get_next_due_day(self):
        # EXTENDS 'invoice.run.source'
        billed = self.filtered(lambda one: one.state in CONTRACT_BILLED and not one.billing_hold)
        return min(filter(None, billed.mapped("next_invoicing_date")), default=False)


class ResPartner(models.Model):
    _inherit = "res.partner"

    def action_invoice_now(self):
        """Invoice in one dialog what is due of the contracts of these customers."""
        self.check_access("read")
        payers = self.commercial_partner_id
        if len(payers) > WATCHED_LIMIT:
            return self.action_open_manager()
        return self.env["billing.invoice.now"]._open_for(
            self.env.company, partner_ids=[Command.set(payers.ids)]
        )
