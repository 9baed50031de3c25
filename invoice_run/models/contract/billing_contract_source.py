from functools import partial

from odoo import api, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date

from ...engine import periods
from ...engine.charge import Charge, NotBillable
from ...memory import remember, remembering
from ..base.states import CONTRACT_BILLED


class BillingContract(models.Model):
    """Contracts as a source of amounts: their terms, what is due of them, and on which document."""

    _inherit = "billing.contract"

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
        errors = self._get_run_errors(run, records)
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

    def _get_run_errors(self, run, records):
        # EXTENDS 'invoice.run.source'
        if self.billing_hold:
            reason = self.billing_hold_reason or self.env._("no reason given")
            message = self.env._("The contract is on hold: %(reason)s.", reason=reason)
            return [("hold", message)]
        errors = super()._get_run_errors(run, records)
        # a line with nothing left to invoice may have a product that was archived meanwhile
        open_lines = self.line_ids.filtered("next_period_from")
        for line in open_lines if self.state in CONTRACT_BILLED else ():
            errors += self._get_product_errors(line.product_id, records)
            errors += self._get_tax_errors(line.tax_ids)
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
