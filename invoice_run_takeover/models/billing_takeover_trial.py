from itertools import zip_longest

import psycopg2

from odoo import api, models
from odoo.addons.invoice_run.engine import periods
from odoo.addons.invoice_run.models.base.invoice_run_guarded import EngineValue
from odoo.exceptions import UserError
from odoo.tools import format_date, formatLang

from .. import plan as planning

#: In the context of a trial: nobody gets mail about what is rolled back.
SILENT = {
    "tracking_disable": True,
    "mail_create_nolog": True,
    "mail_create_nosubscribe": True,
    "mail_notrack": True,
}
#: Numbers of sequences are not rolled back, so a trial takes none.
TRIAL_NAME = "-"


class BillingTakeoverTrial(models.AbstractModel):
    """The next invoices of both modules, created by the code of each and rolled back."""

    _name = "billing.takeover.trial"
    _description = "Next Invoices of Two Modules"

    @api.model
    def _compare(self, source, plan, count):
        """Return pairs of invoices, theirs and ours; what differs becomes a finding."""
        theirs = self._try(plan, planning.ACCEPT, self._get_their_invoices, source, count)
        ours = self._try(plan, planning.STOP, self._get_our_invoices, source, count)
        if theirs is None or ours is None:
            return []
        pairs = list(zip_longest(theirs, ours))
        for pair in pairs:
            self._check_pair(plan, *pair)
        return pairs

    @api.model
    def _try(self, plan, kind, get_invoices, source, count):
        """Return what ``get_invoices`` returns; None, and why, where there can be no invoice."""
        try:
            return get_invoices(source, plan, count)
        except (UserError, psycopg2.IntegrityError) as error:
            reason = str(error).strip().splitlines()[0]
            if kind == planning.STOP:
                text = self.env._("It cannot be invoiced here: %(reason)s", reason=reason)
            else:
                text = self.env._(
                    "The other module cannot create its next invoice, so there is nothing to "
                    "compare with: %(reason)s",
                    reason=reason,
                )
            self.env.invalidate_all(flush=False)
            plan.add(kind, text)
            return None

    @api.model
    def _check_pair(self, plan, theirs, ours):
        if theirs and ours and theirs[1:] == ours[1:]:
            return
        currency = self.env["res.currency"].browse(plan.vals["currency_id"])
        day = format_date(self.env, (theirs or ours).date)
        amounts = [
            formatLang(self.env, invoice.total if invoice else 0.0, currency_obj=currency)
            for invoice in (theirs, ours)
        ]
        text = self.env._(
            "The invoice of %(day)s differs: %(theirs)s there, %(ours)s here.",
            day=day,
            theirs=amounts[0],
            ours=amounts[1],
        )
        plan.add(planning.ACCEPT, text)

    @api.model
    def _get_their_invoices(self, source, plan, count):
        invoices = []
        with self.env.cr.savepoint() as savepoint:
            # sudo: as the cron of the other module does; it is rolled back
            record = plan.record.sudo().with_context(**SILENT)
            record = record.with_company(record.company_id)
            for move in source._create_next_invoices(record, count):
                amounts = (move.amount_untaxed, move.amount_tax, move.amount_total)
                invoices.append(planning.Invoice(move.invoice_date, *amounts))
            savepoint.rollback()
        self.env.invalidate_all(flush=False)
        return invoices

    @api.model
    def _get_our_invoices(self, source, plan, count):
        invoices = []
        with self.env.cr.savepoint() as savepoint:
            env = self.with_context(**SILENT).env
            contracts = self._create_contracts(env, source, plan)
            days = planning.get_due_days(plan.contracts)[:count]
            documents = self._make_documents(contracts, days[-1])
            invoices = self._get_sums(documents)
            savepoint.rollback()
        self.env.invalidate_all(flush=False)
        return invoices

    @api.model
    def _get_sums(self, documents):
        """Return what ``documents`` invoice, by the day on which it is due, in order."""
        terms = {contract: contract._get_billing_terms() for contract in documents.contract_ids}
        by_day = documents.grouped(
            lambda document: periods.next_invoicing_date(
                terms[document.contract_ids], document.date_from
            )
        )
        return [self._get_sum(day, by_day[day]) for day in sorted(by_day)]

    # ------------------------------------------------------------------
    # Contracts that are here already
    # ------------------------------------------------------------------

    @api.model
    def _try_contracts(self, days):
        """Return what runs would invoice of contracts, drafts too, as if nothing held them.

        :param days: {contract: day}; up to it, and the next invoice in any case. The contracts are
            of one company.
        :return: {id: invoices}, {id: why nothing can be invoiced}
        """
        invoices, reasons = {}, {}
        with self.env.cr.savepoint() as savepoint:
            # sudo: as a run invoices; it is rolled back
            env = self.sudo().with_context(**SILENT).env
            contracts = env["billing.contract"].union(*(one.with_env(env) for one in days))
            contracts = self._activate(contracts, reasons)
            until = {contract.id: day for contract, day in days.items()}
            by_target = contracts.grouped(
                lambda contract: max(
                    filter(None, (contract.next_invoicing_date, until[contract.id]))
                )
            )
            for target, some in by_target.items():
                found, failed = self._try_run(some, target)
                invoices.update(found)
                reasons.update(failed)
            savepoint.rollback()
        self.env.invalidate_all(flush=False)
        return invoices, reasons

    @api.model
    def _activate(self, contracts, reasons):
        """Activate drafts; return what can be invoiced. ``reasons`` says why others cannot be."""
        able = contracts.browse()
        for contract in contracts:
            try:
                with self.env.cr.savepoint():
                    if contract.state == "draft":
                        contract.action_activate()
            except UserError as error:
                reasons[contract.id] = str(error)
            else:
                able |= contract
        able.filtered("billing_hold").billing_hold = False
        for payer in able.commercial_partner_id.with_company(able.company_id):
            payer.allow_invoice_grouping = False
        return able

    @api.model
    def _try_run(self, contracts, target):
        """Return {id: invoices} and {id: why there are none} of one run."""
        with self.env.cr.savepoint() as savepoint:
            run = self._create_run(contracts, target)
            run._generate_amounts(contracts.commercial_partner_id)
            reasons = {
                exception.contract_id.id: exception.message for exception in run.exception_ids
            }
            invoices = {
                contract.id: self._get_sums(documents)
                for contract, documents in run.document_ids.grouped("contract_ids").items()
            }
            savepoint.rollback()
        return invoices, reasons

    @api.model
    def _get_sum(self, day, documents):
        names = ("amount_untaxed", "amount_tax", "amount_total")
        # a sum of floats must be rounded to be an amount
        totals = [documents.currency_id.round(sum(documents.mapped(name))) for name in names]
        return planning.Invoice(day, *totals)

    @api.model
    def _create_contracts(self, env, source, plan):
        vals_list = source._prepare_contract_vals_list(plan)
        contracts = env["billing.contract"].create(
            [{**vals, "name": TRIAL_NAME, "billing_hold": False} for vals in vals_list]
        )
        contracts.action_activate()
        # each period as the invoice that a run of its day creates, not all on one
        payer = contracts.commercial_partner_id.with_company(contracts.company_id)
        payer.sudo().allow_invoice_grouping = False
        return contracts

    @api.model
    def _make_documents(self, contracts, target):
        """Return the documents of a run that invoices these contracts alone.

        :raises UserError: they cannot be invoiced; says why
        """
        run = self._create_run(contracts, target)
        run._generate_amounts(contracts.commercial_partner_id)
        if run.exception_ids:
            raise UserError("\n".join(run.exception_ids.mapped("message")))
        if not run.document_ids:
            raise UserError(self.env._("Nothing is due on %(day)s.", day=target))
        return run.document_ids

    @api.model
    def _create_run(self, contracts, target):
        # sudo: scenarios are for managers to choose, this one is gone in a moment
        env = contracts.sudo().env
        company = contracts.company_id
        scenario = env["billing.scenario"].create(
            {
                "name": TRIAL_NAME,
                "company_id": company.id,
                "domain": repr([("id", "in", contracts.ids)]),
            }
        )
        schedule = env["invoice.run.schedule"].create(
            {
                "reference": EngineValue(TRIAL_NAME),
                "name": TRIAL_NAME,
                "company_id": company.id,
                "scenario_id": scenario.id,
                "cycle": "once",
                "date_from": target,
                "date_to": target,
                "invoice_date": target,
                "activation_rule": "disabled",
            }
        )
        return env["invoice.run"].create(
            {
                **schedule._prepare_run_vals(0),
                "reference": EngineValue(TRIAL_NAME),
                "schedule_id": EngineValue(schedule.id),
                "target_date": target,
                "invoice_date": target,
                "user_id": self.env.uid,
            }
        )
