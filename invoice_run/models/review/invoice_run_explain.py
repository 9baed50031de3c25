from psycopg2 import errors as pg_errors

from odoo import models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date

from ..base.states import DOCUMENT_OPEN, DOCUMENT_SETTLED, JOBS_OF_AMOUNTS, RUN_WAITING

#: How long a trial waits for workers that claim the same.
LOCK_TIMEOUT = "5s"
#: Codes of reasons in the order in which they are told; exceptions of other codes come last.
ORDER = (
    "busy",
    "company",
    "cancelled",
    "paused",
    "closed",
    "source",
    "state",
    "to_invoice",
    "cluster",
    "checked_in",
    "author",
    "selection",
    "rule",
    "customers",
    "records",
    "selected",
    "dates",
    "skipped",
    "hold",
    "partner",
    "claimed",
    "invoiced",
    "limit",
    "excluded",
    "released",
    "failed",
    "nothing",
)


class RunIsBusy(Exception):
    """Somebody works on the run at this moment, so nothing can be tried."""


class InvoiceRun(models.Model):
    """Why a record is not in a run: what the run itself would do with it, and what to do."""

    _inherit = "invoice.run"

    def explain(self, record_model, record_id):
        """Tell why this run does not invoice a contract, usage item or order; changes nothing.

        What the run generated for the record is read. Where that is nothing, the run generates the
        amounts of the customer on trial and rolls them back, so the answer is what it would do.

        :param record_model: model of a source, e.g. ``billing.contract``
        :param record_id: id of the record
        :return: ``is_billed``: the run invoices all that is due of it, or will when its amounts are
            generated; ``is_in_run``: amounts of it are in the run; ``reasons``: list of ``code``
            and ``message`` (what is wrong, what to do), empty exactly when it is invoiced
        :raises AccessError: the user may not read the run or the record
        :raises UserError: it is not a record that runs invoice
        """
        self.ensure_one()
        self.check_access("read")
        record = self._get_explained_record(record_model, record_id)
        run = self._with_engine()
        record = record.with_env(run.env)
        lines = run._get_lines_of(record)
        reasons = run._sort_reasons(run._get_reasons(record, lines))
        return {
            "is_billed": not reasons,
            "is_in_run": bool(lines),
            "reasons": [{"code": code, "message": message} for code, message in reasons],
        }

    def _get_explained_record(self, model, record_id):
        """Return the record that is asked about, which the user may read."""
        sources = self.env["invoice.run.source"]._get_source_models().values()
        if model not in sources or type(record_id) is not int:
            raise UserError(self.env._("Choose a contract, a usage item or a sale order."))
        record = self.env[model].browse(record_id).exists()
        if not record:
            raise UserError(self.env._("It was deleted meanwhile. Choose another one."))
        record.check_access("read")
        return record

    def _get_lines_of(self, record):
        """Return this run's amounts of ``record``, of a contract without separate usage."""
        if not record._is_of_source(self.scenario_id):
            return self.env["invoice.run.line"]
        domain = Domain(record._get_stale_domain()) & Domain("run_id", "=", self.id)
        return self.env["invoice.run.line"].search(domain)

    def _get_exceptions_of(self, record):
        domain = Domain(record._get_stale_domain()) & Domain("run_id", "=", self.id)
        return self.env["invoice.run.exception"].search(domain)

    def _sort_reasons(self, reasons):
        """Return the reasons, each once, in the order in which they are told."""
        places = {code: number for number, code in enumerate(ORDER)}
        return sorted(dict.fromkeys(reasons), key=lambda item: places.get(item[0], len(ORDER)))

    def _get_reasons(self, record, lines):
        """Return the reasons, as (code, message), why ``record`` is not invoiced by this run.

        :param lines: what is in the run of it
        """
        reasons = self._get_foreign_reasons(record)
        if reasons:
            return reasons
        if lines:
            reasons = self._get_result_reasons(lines, self._get_exceptions_of(record))
            return reasons + self._get_claim_reasons(record)
        return self._get_missing_reasons(record)

    def _get_foreign_reasons(self, record):
        """Return why there is nothing more to ask."""
        if self.job in JOBS_OF_AMOUNTS:
            return [self._get_busy_reason()]
        reasons = []
        if record.company_id != self.company_id:
            message = self.env._(
                "It belongs to %(company)s, the run to %(own)s. Choose a run of %(company)s.",
                company=record.company_id.display_name,
                own=self.company_id.display_name,
            )
            reasons.append(("company", message))
        if not record._is_of_source(self.scenario_id):
            reasons.append(("source", record._get_source_message(self)))
        return reasons

    def _get_busy_reason(self):
        jobs = dict(self._fields["job"]._description_selection(self.env))
        message = self.env._(
            "%(run)s is being processed at the moment (%(job)s). Try again when this is done.",
            run=self.reference,
            job=jobs[self.job] if self.job != "none" else self.env._("another user"),
        )
        return ("busy", message)

    def _get_missing_reasons(self, record):
        """Return why nothing of ``record`` is in this run."""
        closed = self._get_closed_reasons()
        error = self._get_stop_message()
        if error:
            return [*closed, ("selection", error)]
        try:
            is_billed, reasons = self._try_amounts(record)
        except (RunIsBusy, pg_errors.LockNotAvailable):
            return [self._get_busy_reason()]
        held = self._get_claim_reasons(record)
        reasons = closed + reasons + held
        if not is_billed:
            reasons += self._get_unmet_reasons(record, bool(held))
        if not is_billed and not reasons:
            reasons.append(self._get_nothing_reason())
        return reasons

    def _get_closed_reasons(self):
        """Return why this run no longer generates amounts."""
        if self.state == "cancelled":
            message = self.env._(
                "The run is cancelled and invoices nothing any more. Create a new run, or wait "
                "for the next one of the schedule."
            )
            return [("cancelled", message)]
        if self.state in RUN_WAITING and self.schedule_id.state == "paused":
            message = self.env._(
                "Schedule %(schedule)s is paused: resume it first.",
                schedule=self.schedule_id.reference,
            )
            return [("paused", message)]
        if self._has_invoices():
            message = self.env._(
                "The run has invoices already, so its amounts cannot be generated again. What is "
                "due comes with the next run; create one by hand to invoice it now."
            )
            return [("closed", message)]
        return []

    def _format_day(self, day):
        return format_date(self.env, day)

    def _get_nothing_reason(self):
        """Return why nothing is due of a record that is all that the run asks for."""
        if self.skip_before:
            return ("skipped", self.env["invoice.run.source"]._get_skipped_message(self))
        message = self.env._(
            "Nothing of it is due up to %(date)s. Choose a run with a later target date.",
            date=self._format_day(self.target_date),
        )
        return ("nothing", message)

    # ------------------------------------------------------------------
    # Trial
    # ------------------------------------------------------------------

    def _try_amounts(self, record):
        """Generate the amounts of the customers of ``record`` on trial, and roll them back.

        A savepoint is rolled back: nothing stays, and nothing that was pending before is lost.

        :return: whether amounts of it are generated, and the reasons why not all are
        :raises RunIsBusy: somebody works on the run
        :raises LockNotAvailable: somebody else is about to claim the same
        """
        payers = record._get_explained_payers() & self._get_selected_payers()
        if not payers:
            return False, []
        with self.env.cr.savepoint() as savepoint:
            self._take_for_trial()
            self._generate_again(payers)
            lines, exceptions = self._get_lines_of(record), self._get_exceptions_of(record)
            exceptions |= self._get_failed_payers(payers)
            result = bool(lines), self._get_result_reasons(lines, exceptions)
            savepoint.rollback()
        return result

    def _take_for_trial(self):
        """Keep workers off until the trial is taken back: they pass over what others have locked.

        :raises RunIsBusy: somebody works on the run
        """
        if self.job != "none" or not self.try_lock_for_update(allow_referencing=True):
            raise RunIsBusy
        self.env.cr.execute("SELECT set_config('lock_timeout', %s, TRUE)", [LOCK_TIMEOUT])

    def _generate_again(self, payers):
        """Generate the amounts of ``payers`` as if it were for the first time; for a trial."""
        if not self._has_invoices():
            # generated again, the run groups and limits all that these customers have due
            self._get_documents(self._get_renewable_domain(payers))._remove()
        self._remove_exceptions(payers)
        self._generate_amounts(payers)

    def _get_failed_payers(self, payers):
        """Return the exceptions of customers as a whole, whatever they owe."""
        exceptions = self.env["invoice.run.exception"].search(
            [
                ("run_id", "=", self.id),
                ("partner_id.commercial_partner_id", "in", payers.ids),
                ("code", "=", "error"),
            ]
        )
        return exceptions.filtered(lambda exception: not exception._get_source_record())

    # ------------------------------------------------------------------
    # What the run generated for it
    # ------------------------------------------------------------------

    def _get_result_reasons(self, lines, exceptions):
        """Return why these amounts are not invoiced, and what could not be invoiced at all."""
        reasons = [document._get_left_out_reason() for document in lines.document_id]
        # what others hold is told with their names, as far as the reader may know them
        found = exceptions.filtered(lambda exception: exception.code != "held")
        reasons += [exception._get_explanation() for exception in found]
        return list(filter(None, reasons))

    # ------------------------------------------------------------------
    # What it does not meet
    # ------------------------------------------------------------------

    def _get_unmet_reasons(self, record, is_held):
        """Return what this run asks for and ``record`` does not meet, and what blocks it.

        :param is_held: whether other runs hold something of it, which is told already
        """
        reasons = []
        for code, asked, domain in record._get_asked_conditions(self):
            if self._meets(asked, domain):
                continue
            if code == "selection":
                reasons += self._get_selection_reasons(asked)
            elif code in asked._get_claim_codes():
                # nothing is due of what is never invoiced, or is in another run
                is_told = is_held or "state" in dict(reasons)
                reasons += [] if is_told else self._get_settled_reasons(asked, code)
            else:
                reasons.append((code, asked._get_condition_message(self, code)))
        return reasons + record._get_block_reasons(self)

    def _get_settled_reasons(self, record, code):
        """Return why nothing of ``record`` is left, and which run invoiced it last."""
        invoiced = self._get_claim_reasons(record, invoiced=True)
        if invoiced and record._is_billed_once():
            return invoiced
        return [(code, record._get_condition_message(self, code)), *invoiced]

    def _meets(self, record, domain):
        """Whether ``record`` is among those of ``domain``, as the run searches for them."""
        source = record.with_context(allowed_company_ids=self.company_id.ids)
        return bool(source.search_count(Domain("id", "=", record.id) & domain, limit=1))

    def _get_selection_reasons(self, record):
        """Return the conditions and rules of the scenario that ``record`` does not meet."""
        scenario, reasons, blind = self.scenario_id, [], set()
        source = scenario._get_source()
        for what, writer, condition in scenario._get_source_conditions(self):
            visible = scenario._get_readable_domain(source, Domain.TRUE, writer)
            if writer in blind:
                continue
            if not self._meets(record, visible):
                blind.add(writer)
                reasons.append(what._get_author_reason(writer))
                continue
            domain = scenario._get_readable_domain(source, condition, writer)
            if not self._meets(record, domain):
                reasons.append(what._get_unmet_reason(self))
        return reasons

    # ------------------------------------------------------------------
    # What invoices it instead
    # ------------------------------------------------------------------

    def _get_claim_reasons(self, record, invoiced=False):
        """Return what else holds what this run would invoice of ``record``.

        :param invoiced: those that have an invoice; else those that have none yet
        """
        states = DOCUMENT_SETTLED if invoiced else DOCUMENT_OPEN
        domain = Domain(record._get_stale_domain()) & Domain("run_id", "!=", self.id)
        domain &= Domain("company_id", "=", self.company_id.id)
        lines = self.env["invoice.run.line"].search(
            domain & Domain("document_id.state", "in", states)
        )
        lines = lines.filtered(lambda line: line._is_held() and self._would_bill(line))
        if invoiced:
            return self._get_invoiced_reasons(lines)
        return [group._get_claim_reason() for group in lines.grouped("run_id").values()]

    def _get_invoiced_reasons(self, lines):
        """Return the reasons for the latest invoice: an old contract has hundreds."""
        last = lines.sorted(lambda line: (line.billing_date_to, line.id))[-1:]
        if not last:
            return []
        return [(lines & last.document_id.line_ids)._get_invoiced_reason()]
