from odoo import models
from odoo.fields import Domain
from odoo.tools import format_date

from ..base.states import DOCUMENT_OPEN


class InvoiceRun(models.Model):
    """Checks of a run as a whole, before anybody approves it."""

    _inherit = "invoice.run"

    def _create_run_exceptions(self):
        """Report what prevents posting, and what other runs claim."""
        self.ensure_one()
        vals_list = [*self._get_lock_date_exceptions(), *self._get_journal_exceptions()]
        vals_list += [*self._get_skipped_exceptions(), *self._get_held_exceptions()]
        self.env["invoice.run.exception"].create(
            [{**vals, "run_id": self.id} for vals in vals_list]
        )

    def _get_lock_date_exceptions(self):
        """Yield one exception per journal whose books are closed on the invoice date."""
        Document = self.env["invoice.run.document"]
        to_do = Domain("run_id", "=", self.id) & Domain("state", "=", "to_do")
        for journal in self._get_journals():
            domain = to_do & Domain("journal_id", "=", journal.id)
            with_tax = Document.search(domain & Domain("amount_tax", "!=", 0), limit=1)
            document = with_tax or Document.search(domain, limit=1)
            for message in document._get_lock_date_errors():
                yield {"code": "lock_date", "message": message}

    def _get_journals(self):
        """Return the journals of what this run has to invoice."""
        groups = self.env["invoice.run.document"]._read_group(
            [("run_id", "=", self.id), ("state", "=", "to_do")], ["journal_id"]
        )
        return self.env["account.journal"].union(*(journal for (journal,) in groups))

    def _get_journal_exceptions(self):
        """Yield one exception per journal that has later invoices of the same series of numbers.

        The numbers would not follow the dates.
        """
        for journal in self._get_journals():
            last = self._find_later_invoice(journal)
            if last:
                yield {
                    "code": "sequence",
                    "message": self.env._(
                        "Journal %(journal)s already contains invoice %(invoice)s of %(date)s: "
                        "the numbers would not follow the dates. Choose a later invoice date.",
                        journal=journal.display_name,
                        invoice=last.name,
                        date=format_date(self.env, last.invoice_date),
                    ),
                }

    def _find_later_invoice(self, journal):
        """Return the last invoice of ``journal`` whose number comes after those of this run.

        A journal that numbers anew each month or year begins another series with each: an
        invoice of January does not stand in the way of December.
        """
        later = Domain("journal_id", "=", journal.id) & Domain("state", "=", "posted")
        later &= Domain("move_type", "=", "out_invoice")
        later &= Domain("invoice_date", ">", self.invoice_date)
        order = "invoice_date desc, id desc"
        last = self.env["account.move"].search(later, order=order, limit=1)
        if not last:
            return last
        reset = last._deduce_sequence_number_reset(last.name)
        day = last.new({"company_id": self.company_id.id, "date": self.invoice_date})
        _first, end, *_years = day._get_sequence_date_range(reset)
        # numbers follow the accounting date
        return last.search(later & Domain("date", "<=", end), order=order, limit=1)

    def _get_skipped_exceptions(self):
        """Yield what the run was told to leave out."""
        if self.skip_before:
            yield {
                "code": "skipped",
                "message": self.env._(
                    "Skipped as requested: periods that end before %(date)s, and usage before "
                    "that date. They stay billable; the next run proposes them.",
                    date=format_date(self.env, self.skip_before),
                ),
            }

    def _get_held_exceptions(self):
        """Yield what is due here but held by another run that created no invoice of it yet."""
        names = self.env["invoice.run.source"]._get_record_fields()
        lines = self.env["invoice.run.line"].search(
            self._get_held_domain(), order=", ".join(["run_id", *names])
        )
        due = lines.filtered(lambda line: line._is_held() and self._would_bill(line))
        states = dict(self._fields["state"]._description_selection(self.env))
        # one row per contract or order, however many items of it are claimed
        held = due.grouped(lambda line: (line.run_id, line._get_source_record()))
        for (run, record), group in held.items():
            message = self.env._(
                "Claimed by %(run)s (%(state)s) since %(date)s. Release it there, or let that "
                "run create the invoice.",
                run=run.reference,
                state=states[run.state],
                date=format_date(self.env, run.create_date.date()),
            )
            yield {
                **record._prepare_exception_vals("held", message),
                "blocking_run_id": run.id,
                "amount": sum(group.mapped(self._get_company_amount)),
                "has_amount": True,
            }

    def _get_company_amount(self, line):
        """Return the untaxed amount of ``line`` in company currency."""
        company = self.company_id
        return line.currency_id._convert(
            line.amount_untaxed, company.currency_id, company, line.document_id.invoice_date
        )

    def _get_held_domain(self):
        """Return what other runs invoice or credit of what this one selects, not invoiced yet."""
        held = Domain("is_claimed", "=", True) | Domain("corrects_id", "!=", False)
        held &= Domain("run_id", "!=", self.id)
        held &= Domain("company_id", "=", self.company_id.id)
        held &= Domain("document_id.state", "in", DOCUMENT_OPEN)
        source = self.scenario_id._get_source()
        selection = source._get_run_selection_domain(self)
        return held & Domain(source._source_record_field, "any", selection)

    def _would_bill(self, line):
        """Whether this run would invoice the days or item that ``line`` of another run holds."""
        if self.skip_before and line.billing_date_to < self.skip_before:
            return False
        return line._get_source()._would_bill(self, line)
