from odoo import api, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from ..models.base.states import DOCUMENT_OPEN, DOCUMENT_SETTLED, SEND_DONE

#: Rows of one page; a browser may ask for fewer.
PAGE_SIZE = 80
#: Rows that can be selected by a search; without a search all can.
SELECT_LIMIT = 10000
ORDERS = {
    "customer": "partner_id, sequence, id",
    "sequence": "sequence, id",
    "amount": "company_amount_total, sequence, id",
    "period": "date_from, sequence, id",
}


class InvoiceManager(models.TransientModel):
    """The table of what was found, page by page, and what is selected in it.

    A selection is ``{"all": true, "ids": [...]}``: all documents but these, or
    ``{"all": false, "ids": [...]}``: these. So 100,000 can be selected without reading them.
    """

    _inherit = "invoice.manager"

    @api.model
    def _get_filters(self):
        """Return {name: documents that it shows}."""
        return {
            "to_do": Domain("state", "=", "to_do"),
            "invoiced": Domain("state", "in", DOCUMENT_SETTLED),
            "failed": self.env["invoice.run.document"]._get_failed_domain(),
            "email": Domain("send_action", "=", "email"),
            "print": Domain("send_action", "=", "print"),
            "none": Domain("send_action", "=", "none") & Domain("is_send_unset", "=", False),
        }

    def _get_documents_domain(self, query=None):
        """Return the documents of the run that ``query`` (``filter``, ``search``) asks for."""
        query = query or {}
        domain = Domain("run_id", "=", self._find_run().id)
        domain &= Domain("state", "not in", ("excluded", "released", "credit"))
        domain &= self._get_filters().get(query.get("filter"), Domain.TRUE)
        if search := (query.get("search") or "").strip():
            domain &= self.env["invoice.run.document"]._get_search_domain(search)
        return domain

    def _get_selection_domain(self, selection):
        """Return the selected documents of the run."""
        ids = [int(record_id) for record_id in selection.get("ids", [])]
        operator = "not in" if selection.get("all") else "in"
        return self._get_documents_domain() & Domain("id", operator, ids)

    @api.model
    def _get_page(self, limit, offset=0):
        """Return the arguments of a search for one page, whatever a browser asks for."""
        return {
            "limit": min(max(int(limit or 0), 1), PAGE_SIZE),
            "offset": max(int(offset or 0), 0),
        }

    def get_rows(self, query=None, offset=0, limit=PAGE_SIZE):
        """Return one page of the table, the number of all rows and the run's fingerprint.

        :param query: ``filter``, see :meth:`_get_filters`; ``search``, text; ``order``, one of
            ``ORDERS``; ``desc``
        """
        self._check_mine()
        query = query or {}
        documents = self.env["invoice.run.document"]
        domain = self._get_documents_domain(query)
        order = ORDERS.get(query.get("order"), ORDERS["sequence"])
        if query.get("desc"):
            order = order.replace(",", " desc,", 1)
        page = self._get_page(limit, offset)
        found = documents.search(domain, order=order, **page)
        waiting = self._get_waiting(found)
        changes = found._get_changes()
        rows = [
            {
                **self._get_row(document, document in waiting),
                **document._get_why(changes[document]),
            }
            for document in found
        ]
        return {
            "total": documents.search_count(domain),
            "fingerprint": self._find_run().fingerprint,
            "rows": rows,
        }

    def _get_waiting(self, documents):
        """Return those that wait for the correction of an earlier period of their contract."""
        blocked = self.run_id._get_blocked_contracts()
        return documents.filtered(
            lambda document: document.state == "to_do" and document.contract_ids & blocked
        )

    def _get_row(self, document, is_waiting):
        return {
            "id": document.id,
            "customer": document.partner_id.display_name,
            "partner_id": document.partner_id.id,
            "email": bool(document.partner_id.email),
            "reference": ", ".join(document._get_source_names()),
            "title": document.title or "",
            # of several nobody can say which one is meant: the document lists them
            "contract_id": len(document.contract_ids) == 1 and document.contract_ids.id,
            "date_from": document.date_from,
            "date_to": document.date_to,
            "amount": document.amount_total,
            "untaxed": document.amount_untaxed,
            "currency_id": document.currency_id.id,
            "flagged": document.is_flagged,
            **self._get_row_status(document, is_waiting),
            **self._get_row_sending(document),
        }

    def _get_row_status(self, document, is_waiting):
        labels = {
            "to_do": self.env._("Not processed"),
            "invoiced": self.env._("Processed"),
            "nothing": self.env._("Nothing to invoice"),
            "failed": self.env._("Failed"),
            "waiting": self.env._("Waiting"),
            "held": self.env._("Postponed"),
        }
        status = "waiting" if is_waiting else document.state
        reason = document.error or ""
        if is_waiting:
            reason = self.env._("An earlier period of the same contract failed: fix that first.")
        if document.is_stale and document.state == "to_do":
            reason = self.env._("Something has changed since: recalculate the changed rows.")
        move = document.move_id
        return {
            "status": status,
            "status_label": labels.get(status, status),
            "reason": reason,
            "open": document.state in DOCUMENT_OPEN,
            "move_id": move.id or False,
            "move_name": (move.name if move.name and move.name != "/" else move.display_name) or "",
            "draft": move.state == "draft",
        }

    def _get_row_sending(self, document):
        labels = dict(document._fields["send_state"]._description_selection(self.env))
        label = labels[document.send_state]
        if document.send_state == "pending" and document.send_action == "print":
            label = self.env._("To print")
        return {
            "send_action": document.send_action,
            "send_unset": document.is_send_unset,
            "send_state": document.send_state,
            "send_label": label,
            "send_channel": document.send_channel or "",
            "send_error": document.send_error or "",
            "pdf": self._get_pdf_url(document.move_id),
        }

    def _get_pdf_url(self, move):
        """Return where the browser opens the PDF: the one that was sent, else a fresh one."""
        if not move:
            return False
        if move.invoice_pdf_report_id:
            return f"/web/content/{move.invoice_pdf_report_id.id}"
        return f"/report/pdf/account.report_invoice_with_payments/{move.id}"

    def get_send_actions(self):
        """Return the ways of sending that a row can have, as (key, label)."""
        self.check_access("read")
        field = self.env["invoice.run.document"]._fields["send_action"]
        choices = dict(field._description_selection(self.env))
        return [[key, choices[key]] for key in choices if key != "none"] + [
            ["none", self.env._("Create only")]
        ]

    def get_totals(self, selection):
        """Return number and amounts of the selected rows, per currency, by one aggregate."""
        rows = self.env["invoice.run.document"]._read_group(
            self._get_selection_domain(selection),
            ["currency_id"],
            ["__count", "amount_untaxed:sum", "amount_total:sum"],
        )
        open_domain = Domain("state", "in", DOCUMENT_OPEN)
        return {
            "count": sum(count for _currency, count, _untaxed, _total in rows),
            "open": self.env["invoice.run.document"].search_count(
                self._get_selection_domain(selection) & open_domain
            ),
            "currencies": [
                {"currency_id": currency.id, "untaxed": untaxed, "total": total}
                for currency, _count, untaxed, total in rows
            ],
        }

    def get_ids(self, query):
        """Return the ids of all rows that a search finds, to select them.

        :raises UserError: these are too many to name one by one
        """
        found = self.env["invoice.run.document"].search(
            self._get_documents_domain(query), limit=SELECT_LIMIT + 1
        )
        if len(found) > SELECT_LIMIT:
            raise UserError(
                self.env._(
                    "More than %(limit)s rows. Narrow the search, or select all without a search.",
                    limit=SELECT_LIMIT,
                )
            )
        return found.ids

    def action_set_send(self, selection, send_action):
        """Choose for the selected rows how their invoices go to the customers.

        What was sent already stays as it is.
        """
        self._check_mine()
        keys = [key for key, _label in self.get_send_actions()]
        if send_action not in keys:
            raise UserError(self.env._("Choose one of the billing actions."))
        domain = self._get_selection_domain(selection)
        domain &= Domain("send_state", "not in", SEND_DONE)
        documents = self.env["invoice.run.document"].search(domain)
        documents.write({"send_action": send_action})
        return len(documents)

    # ------------------------------------------------------------------
    # What cannot be invoiced
    # ------------------------------------------------------------------

    def get_exceptions(self, limit=PAGE_SIZE):
        """Return what is due but cannot be invoiced, with the reason; one page at most."""
        found = self.env["invoice.run.exception"].search(
            [("run_id", "=", self._find_run().id)], **self._get_page(limit)
        )
        return [self._get_exception(exception) for exception in found]

    def _count_notes(self, run):
        """Return how many exceptions of ``run`` keep nothing from being invoiced."""
        domain = [("run_id", "=", run.id), ("kind", "=", "note")]
        return self.env["invoice.run.exception"].search_count(domain)

    def _get_exception(self, exception):
        record = exception._get_source_record()
        kinds = dict(exception._fields["kind"]._description_selection(self.env))
        return {
            "id": exception.id,
            "customer": exception.partner_id.display_name or "",
            "reference": record.display_name if record else "",
            "model": record._name if record else False,
            "res_id": record.id if record else False,
            "message": exception.message,
            "kind": exception.kind,
            "kind_label": kinds[exception.kind],
            "held_by": exception.blocking_run_id.reference or "",
        }

    def action_release(self, exception_id):
        """Release what another run claims; the next fetch finds it."""
        exception = self.env["invoice.run.exception"].search(
            [("id", "=", exception_id), ("run_id", "=", self._find_run().id)]
        )
        exception.action_release()
        return self.get_state()
