from odoo import api, models
from odoo.fields import Domain
from odoo.tools import SQL

from ..base.states import DOCUMENT_BILLED, DOCUMENT_LEFT_OUT, DOCUMENT_OPEN
from .invoice_run_flags import FLAGS

#: Rows of one page at most.
PAGE_SIZE = 80
#: Reasons and contracts that one row names at most.
NAMED = 3


class InvoiceRun(models.Model):
    """The review of a run: each document against last time, and why it is different."""

    _inherit = "invoice.run"

    def action_review(self):
        """Open the review of this run."""
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.client"]._for_xml_id("invoice_run.invoice_run_review_action")
        return {**action, "context": {"active_id": self.id}}

    def get_review(self, offset=0, limit=40, filters=None, search="", only_rows=False):
        """Return one page of the documents of this run, each compared with last time.

        :param offset: rows before the first one
        :param limit: rows at most, 80 in all
        :param filters: names of :meth:`_get_review_filters`; a document that fits one is shown
        :param search: text in customer, invoice name, contract or number of the invoice
        :param only_rows: for another page of what was seen already: neither totals nor fingerprint
        :return: dict: ``rows`` (see :meth:`invoice.run.document._get_review_row`), ``total`` number
            of rows and, unless ``only_rows``: ``totals`` per currency of what the run invoices,
            ``counts`` {filter: documents}, ``run``, and the ``fingerprint`` for ``action_approve``
        :raises AccessError: the user may not see the run
        """
        self.ensure_one()
        self.check_access("read")
        Document = self.env["invoice.run.document"]
        domain = self._get_review_domain(filters, search)
        documents = Document.search(
            domain,
            order="sequence, id",
            offset=max(int(offset or 0), 0),
            limit=min(max(int(limit or 0), 1), PAGE_SIZE),
        )
        review = {
            "rows": documents._get_review_rows(),
            "total": Document.search_count(domain),
        }
        return review if only_rows else {**review, **self._get_review_header()}

    def _get_review_header(self):
        """Return what the review says of the run as a whole."""
        count = self.env["invoice.run.document"].search_count
        return {
            "totals": self._get_review_totals(),
            "counts": {
                name: count(self._get_review_domain([name])) for name in self._get_review_filters()
            },
            "run": self._get_review_run(),
            "fingerprint": self.fingerprint,
        }

    @api.model
    def _get_review_filters(self):
        """Return {name: documents that it shows}."""
        is_open = Domain("state", "in", DOCUMENT_OPEN)
        return {
            "changed": Domain("state", "in", DOCUMENT_BILLED) & self._get_changed_domain(),
            "flagged": Domain("is_flagged", "=", True) & is_open,
            "failed": self.env["invoice.run.document"]._get_failed_domain(),
            "excluded": Domain("state", "in", DOCUMENT_LEFT_OUT),
        }

    @api.model
    def _get_changed_domain(self):
        """Return the documents that are not what was invoiced last time."""
        return Domain.custom(
            to_sql=lambda model, alias, query: SQL(
                "(%s IS DISTINCT FROM COALESCE(%s, 0))",
                model._field_to_sql(alias, "amount_untaxed", query),
                model._field_to_sql(alias, "last_amount", query),
            ),
            predicate=lambda document: document.amount_untaxed != document.last_amount,
        )

    def _get_review_domain(self, filters=None, search=""):
        domain = Domain("run_id", "=", self.id)
        domain &= Domain("state", "in", (*DOCUMENT_BILLED, *DOCUMENT_LEFT_OUT))
        known = self._get_review_filters()
        if chosen := [known[name] for name in filters or () if name in known]:
            domain &= Domain.OR(chosen)
        if text := (search or "").strip():
            domain &= self.env["invoice.run.document"]._get_search_domain(text)
        return domain

    def _get_review_totals(self):
        """Return number and amounts of what the run invoices, per currency.

        Without what is excluded or held, whatever filter shows it: that is ``left_out``.
        """
        billed = self._get_review_sums(DOCUMENT_BILLED)
        left_out = self._get_review_sums(DOCUMENT_LEFT_OUT)
        nothing = (0, 0.0, 0.0, 0.0)
        return [
            {
                "currency_id": currency.id,
                "count": count,
                "untaxed": untaxed,
                "total": total,
                "last": last or 0.0,
                "difference": currency.round(untaxed - (last or 0.0)),
                "left_out": left_out.get(currency, nothing)[0],
                "with_left_out": currency.round(untaxed + left_out.get(currency, nothing)[1]),
            }
            for currency in billed | left_out
            for count, untaxed, total, last in [billed.get(currency, nothing)]
        ]

    def _get_review_sums(self, states):
        """Return {currency: (documents, untaxed, total, last)} of the documents in ``states``."""
        groups = self.env["invoice.run.document"]._read_group(
            Domain("run_id", "=", self.id) & Domain("state", "in", states),
            ["currency_id"],
            ["__count", "amount_untaxed:sum", "amount_total:sum", "last_amount:sum"],
        )
        return {currency: sums for currency, *sums in groups}

    def _get_review_run(self):
        states = dict(self._fields["state"]._description_selection(self.env))
        return {
            "id": self.id,
            "reference": self.reference,
            "name": self.name,
            "state": self.state,
            "state_label": states[self.state],
            "job": self.job,
            "exceptions": self.exception_count,
            "stale": self.stale_count,
            **self._get_review_approval(),
        }

    def _get_review_approval(self):
        """Return whether this user may approve the run now, and if not, why."""
        waits = self.state == "amounts" and self.job == "none" and bool(self.document_count)
        is_reviewer = self.env.user._is_invoice_run_reviewer()
        reason = self._get_four_eyes_reason() if waits and is_reviewer else ""
        return {
            "is_reviewer": is_reviewer,
            "can_approve": waits and is_reviewer and not reason and not self.stale_count,
            "prepared": reason,
        }


class InvoiceRunDocument(models.Model):
    """A document as a row of the review."""

    _inherit = "invoice.run.document"

    @api.model
    def _get_search_domain(self, text):
        """Return the documents that people mean by ``text``."""
        names = ("partner_id", "title", "contract_ids", "move_id.name")
        return Domain.OR(Domain(name, "ilike", text) for name in names)

    def _get_review_rows(self):
        """Return these documents of one run as rows, see :meth:`_get_review_row`."""
        changes = self._get_changes()
        writable = self._filtered_access("write")
        is_reviewer = self.env.user._is_invoice_run_reviewer()
        busy = self.run_id.job != "none"
        return [
            {
                **document._get_review_row(),
                **document._get_why(changes[document]),
                **document._get_review_rights(document in writable and not busy, is_reviewer),
            }
            for document in self
        ]

    def _get_why(self, changes):
        """Return the main reasons why this document is not what it was last time.

        :return: dict: ``reasons``, the one with the most money first, and the number of ``more``
        """
        reasons = self._get_main_reasons(changes)
        return {"reasons": reasons[:NAMED], "more_reasons": len(reasons[NAMED:])}

    def _get_review_row(self):
        """Return what the row of this document says, apart from reasons and rights.

        Amounts are untaxed, in the currency of the document. ``last`` is as it was when the
        amounts were calculated.
        """
        self.ensure_one()
        states = dict(self._fields["state"]._description_selection(self.env))
        return {
            "id": self.id,
            "customer": self.partner_id.display_name,
            "title": self._get_review_title(),
            "date_from": self.date_from,
            "date_to": self.date_to,
            "currency_id": self.currency_id.id,
            "untaxed": self.amount_untaxed,
            "total": self.amount_total,
            "last": self.last_amount,
            "difference": self.currency_id.round(self.amount_untaxed - self.last_amount),
            "state": self.state,
            "state_label": states[self.state],
            "error": self.error or self.send_error or self.hold_reason or "",
            "flagged": self.is_flagged,
            "flags": self._get_flag_labels(),
            "checked": self.is_accepted,
            "stale": self.is_stale and self.state in DOCUMENT_OPEN,
            "move_id": self.move_id.id or False,
            "move_name": self.move_id.display_name or "",
        }

    def _get_review_title(self):
        """Return the titles of the contracts, or what else this document invoices."""
        contracts = self.contract_ids
        names = [contract.title or contract.name for contract in contracts]
        names = names or self._get_source_names() or [self.title or ""]
        rest = len(names) - NAMED
        return " · ".join([*names[:NAMED], *([f"+{rest}"] if rest > 0 else [])])

    def _get_flag_labels(self):
        """Return what a person should look at, in words."""
        if not self._needs_check():
            return []
        names = (name for name in FLAGS if name != "is_first" and self[name])
        return [self._fields[name]._description_string(self.env) for name in names]

    def _get_review_rights(self, can_write, is_reviewer):
        """Return which buttons do something, for this user and in this state."""
        is_open = self.state in DOCUMENT_OPEN and not self.move_id
        return {
            "can_check": can_write and is_open and is_reviewer and not self.is_accepted,
            "can_exclude": can_write and is_open,
            "can_include": can_write and self._is_left_out(),
        }

    def get_review_lines(self):
        """Return what this document invoices and what was invoiced last time, line by line.

        :return: list of dict: ``name``, ``contract``, ``date_from`` and ``date_to`` (inclusive; of
            last time where it is not invoiced now), ``amount`` and ``last`` (untaxed),
            ``difference``, ``reasons``, ``gone`` (invoiced last time only)
        :raises AccessError: the user may not see the document
        """
        self.ensure_one()
        self.check_access("read")
        return [self._get_review_line(change) for change in self._get_changes()[self]]

    def _get_review_line(self, change):
        lines = change.here or change.before
        contract = lines.contract_id[:1]
        return {
            "id": lines[:1].id,
            "name": lines[:1].name.split("\n")[0],
            "contract": (contract.title or contract.name or "") if self.is_grouped else "",
            "date_from": min(lines.mapped("billing_date_from")),
            "date_to": max(lines.mapped("billing_date_to")),
            "amount": change.amount,
            "last": self.currency_id.round(change.last),
            "difference": self.currency_id.round(change.amount - change.last),
            "reasons": change.reasons,
            "gone": not change.here,
        }
