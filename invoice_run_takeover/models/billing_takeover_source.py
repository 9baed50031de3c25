from odoo import api, models
from odoo.addons.invoice_run.engine import periods
from odoo.exceptions import LockError, UserError
from odoo.tools import format_date, formatLang

from .. import plan as planning


class BillingTakeoverSource(models.AbstractModel):
    """A module that contracts are taken over from. An addon for each inherits this model.

    It says what the module has (:meth:`_read_record`), has it create its next invoice
    (:meth:`_create_next_invoices`), and archives it (:meth:`_stop_record`). All the rest is the
    same for all: the proof that the same is charged, the report, the take-over and its undo.
    """

    _name = "billing.takeover.source"
    _description = "Module That Contracts Are Taken over From"

    #: The model of its contracts.
    _takeover_model = None

    # ------------------------------------------------------------------
    # What each module says
    # ------------------------------------------------------------------

    @api.model
    def _get_takeover_label(self):
        """Return the name of the module, as users know it."""
        raise NotImplementedError

    @api.model
    def _get_takeover_domain(self):
        """Return the records that still invoice."""
        raise NotImplementedError

    @api.model
    def _read_record(self, plan, invoiced_until):
        """Fill ``plan``: values, lines and findings; writes nothing.

        :param plan: a :class:`planning.Plan` of one record
        :param invoiced_until: {id of a line: last invoiced day, as somebody said}
        """
        raise NotImplementedError

    @api.model
    def _create_next_invoices(self, record, count):
        """Have the other module create its next invoices, as drafts; they are rolled back."""
        raise NotImplementedError

    @api.model
    def _stop_record(self, record):
        """Stop the invoices of the other module; return what :meth:`_restart_record` needs.

        By archiving it, which OCA's modules leave alone; a module that does not overrides both.
        """
        values = {"active": record.active}
        record.active = False
        return values

    @api.model
    def _restart_record(self, record, values):
        """Undo :meth:`_stop_record`."""
        record.active = values["active"]

    # ------------------------------------------------------------------
    # The same for all
    # ------------------------------------------------------------------

    @api.model
    def _get_takeover_sources(self):
        """Return the sources that are installed, by name of their model."""
        names = self.env.registry.descendants([self._name], "_inherit") - {self._name}
        return {name: self.env[name] for name in sorted(names)}

    @api.model
    def _get_records(self, ids):
        """Return the records with these ids.

        :raises AccessError: the user may not change them
        """
        records = self.env[self._takeover_model].browse(ids).exists()
        records.check_access("write")
        return records

    @api.model
    def _get_record_name(self, record):
        """Return how users know ``record``; some have neither name nor number."""
        return record.display_name or f"{self._get_takeover_label()} {record.id}"

    @api.model
    def _get_plan(self, record, invoiced_until=None, count=3):
        """Return the plan of ``record`` and its next invoices of both modules.

        :param invoiced_until: see :meth:`_read_record`
        :param count: how many invoices are compared
        :return: the plan, and a list of (their invoice, our invoice), None where one is missing
        """
        plan = planning.Plan(record)
        self._check_not_taken(plan)
        self._read_record(plan, invoiced_until or {})
        self._check_lines(plan)
        pairs = []
        if plan.verdict != planning.STOP:
            pairs = self.env["billing.takeover.trial"]._compare(self, plan, count)
        return plan, pairs

    @api.model
    def _check_not_taken(self, plan):
        takeover = self.env["billing.takeover"]._find(plan.record)
        if takeover:
            text = self.env._(
                "It was taken over already, as %(contracts)s.",
                contracts=", ".join(takeover.contract_ids.mapped("name")),
            )
            plan.add(planning.STOP, text)

    @api.model
    def _check_lines(self, plan):
        """Put the lines into contracts; find what their periods and prices cannot express."""
        if not plan.lines and plan.verdict != planning.STOP:
            plan.add(planning.STOP, self.env._("Nothing is left to invoice."))
        plan.contracts, misfits = planning.group_lines(plan.lines)
        for line in misfits:
            plan.add(planning.STOP, self._get_misfit_text(line))
        for line in plan.lines:
            if not 0 <= line.vals["discount"] <= 100:
                text = self.env._(
                    "“%(line)s”: its discount is below 0 %%, which makes the price higher. Enter "
                    "that price there, without a discount.",
                    line=line.name,
                )
                plan.add(planning.STOP, text)
        coin = periods.exact(self._get_currency(plan).rounding)
        for contract in plan.contracts:
            for line in contract.lines:
                wrong = planning.get_wrong_amount(contract.terms, line, coin)
                if wrong:
                    plan.add(planning.STOP, self._get_wrong_amount_text(plan, line, *wrong))
        if len(plan.contracts) > 1:
            text = self.env._(
                "Its lines are invoiced in different periods: it becomes %(count)s contracts, each "
                "with invoices of its own.",
                count=len(plan.contracts),
            )
            plan.add(planning.ACCEPT, text)

    @api.model
    def _check_next_date(self, plan, line, expected, planned, is_said):
        """Find where the other module would go on elsewhere than its invoices say.

        :param line: a :class:`planning.LinePlan`
        :param expected: the day of the next invoice by the invoices so far
        :param planned: the day on which the other module would create it
        :param is_said: whether somebody said which day is the last invoiced one
        """
        if expected == planned or is_said:
            return
        first = line.spans[0].date_from if line.spans else line.date_start
        days = {
            "line": line.name,
            "first": format_date(self.env, first),
            "planned": format_date(self.env, planned),
        }
        if line.invoiced_until:
            text = self.env._(
                "“%(line)s”: by its invoices the next period begins on %(first)s, but its next "
                "invoice is planned for %(planned)s. Check “Invoiced Until”.",
                **days,
            )
            plan.add(planning.ACCEPT, text)
        else:
            text = self.env._(
                "“%(line)s”: it begins on %(first)s and has no invoice, but its next one is "
                "planned for %(planned)s. Enter the last invoiced day in “Invoiced Until”.",
                **days,
            )
            plan.add(planning.STOP, text)

    @api.model
    def _add_invoices_not_sound(self, plan, line):
        text = self.env._(
            "“%(line)s”: its invoices do not cover each period exactly once. The latest one "
            "reaches to %(last)s; check “Invoiced Until”.",
            line=line.name,
            last=format_date(self.env, line.invoiced_until),
        )
        plan.add(planning.ACCEPT, text)

    @api.model
    def _check_moves(self, plan, moves):
        """Find invoices of the other module that are not settled yet."""
        drafts = moves.filtered(lambda move: move.state == "draft")
        if drafts:
            text = self.env._(
                "%(count)s of its invoices are drafts. Their days count as invoiced: post them.",
                count=len(drafts),
            )
            plan.add(planning.NOTE, text)
        credited = moves.filtered("reversal_move_ids")
        if credited:
            text = self.env._(
                "%(invoices)s were credited. Their days count as invoiced; change “Invoiced Until” "
                "where they are to be invoiced again.",
                invoices=", ".join(credited.mapped("display_name")),
            )
            plan.add(planning.ACCEPT, text)

    @api.model
    def _get_journal_vals(self, plan, journal):
        """Return the category by which invoices come into ``journal``, where one is needed."""
        contracts = self.env["billing.contract"]
        company = plan.record.company_id
        none = self.env["billing.cluster"], self.env["billing.category"]
        own = contracts._get_run_journal(*none, company, self._get_currency(plan))
        if not journal or journal == own:
            return {}
        category = none[1].search(
            [("journal_id", "=", journal.id), ("company_id", "=", company.id)], limit=1
        )
        if not category:
            text = self.env._(
                "Its invoices are in the journal %(journal)s. Create an invoice category with this "
                "journal first.",
                journal=journal.display_name,
            )
            plan.add(planning.STOP, text)
        return {"category_id": category.id}

    @api.model
    def _get_currency(self, plan):
        currency = self.env["res.currency"].browse(plan.vals.get("currency_id"))
        return currency or self.env.company.currency_id

    @api.model
    def _get_misfit_text(self, line):
        terms = periods.Terms(line.spans[0].date_from, count=line.count, unit=line.unit)
        span = planning.get_misfit(terms, line) or line.spans[0]
        return self.env._(
            "“%(line)s”: the period from %(first)s to %(last)s does not follow regularly on "
            "those before it, so it would be invoiced for other days here. Periods that begin on "
            "the 29th, 30th or 31st move to an earlier day after February; take the contract over "
            "then, or change its next invoice to a day up to the 28th.",
            line=line.name,
            first=format_date(self.env, span.date_from),
            last=format_date(self.env, span.date_to),
        )

    @api.model
    def _get_wrong_amount_text(self, plan, line, span, price, amount):
        currency = self._get_currency(plan)
        return self.env._(
            "“%(line)s”: %(theirs)s would be invoiced for %(first)s to %(last)s, here it would be "
            "%(ours)s. Invoice this period before the take-over, or change the line's end.",
            line=line.name,
            theirs=formatLang(self.env, price, currency_obj=currency),
            ours=formatLang(self.env, amount, currency_obj=currency),
            first=format_date(self.env, span.date_from),
            last=format_date(self.env, span.date_to),
        )

    @api.model
    def _prepare_contract_vals_list(self, plan):
        """Return the values of the contracts to create."""
        return [self._prepare_contract_vals(plan, contract) for contract in plan.contracts]

    @api.model
    def _prepare_contract_vals(self, plan, contract):
        terms = contract.terms
        ends = [line.date_end for line in contract.lines]
        return {
            **plan.vals,
            "date_start": terms.start,
            "date_end": max(ends) if all(ends) else False,
            "period_count": terms.count,
            "period_unit": terms.unit,
            "billing_timing": terms.timing,
            "period_anchor": terms.anchor,
            "proration": terms.proration,
            "line_ids": [
                (0, 0, self._prepare_line_vals(terms, line, number))
                for number, line in enumerate(contract.lines, 1)
            ],
        }

    @api.model
    def _prepare_line_vals(self, terms, line, number):
        return {
            **line.vals,
            "sequence": number,
            "price_interval": line.interval,
            "date_start": line.date_start if line.date_start > terms.start else False,
            "date_end": line.date_end or False,
            "initial_invoiced_until": line.invoiced_until or False,
        }

    @api.model
    def _take_over(self, record, invoiced_until=None, accept=False):
        """Create the contracts of ``record`` and stop it, in this transaction.

        :param accept: whether what the report asks to accept is accepted
        :raises UserError: it cannot be taken over; says why
        """
        self._lock(record)
        plan, _pairs = self._get_plan(record, invoiced_until)
        kinds = {planning.STOP} if accept else {planning.STOP, planning.ACCEPT}
        reasons = [finding.text for finding in plan.findings if finding.kind in kinds]
        if reasons:
            raise UserError("\n".join([self._get_record_name(record), *reasons]))
        return self.env["billing.takeover"]._create_takeover(self, plan)

    @api.model
    def _lock(self, record):
        """Keep others, the other module's scheduled action too, off ``record``; read it anew.

        :raises UserError: somebody else is working on it
        """
        try:
            record.lock_for_update()
        except LockError:
            raise UserError(
                self.env._(
                    "%(contract)s is being changed or invoiced just now. Try again in a minute.",
                    contract=self._get_record_name(record),
                )
            ) from None
        record.invalidate_recordset()
