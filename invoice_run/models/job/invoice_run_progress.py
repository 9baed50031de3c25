from odoo import api, models
from odoo.fields import Domain

#: Bus notification by which a browser learns that something changed on a run.
PROGRESS = "invoice_run.progress"


class InvoiceRun(models.Model):
    """How far background work is, for whoever looks on."""

    _inherit = "invoice.run"

    def get_progress(self):
        """Return how far the work on this run is; cheap enough to be asked every second.

        :return: dict: ``job`` and its ``label``, ``state``, ``done`` of ``total`` (0: not known
            yet) ``unit``, and ``wait_until``, a moment in UTC or False
        :raises AccessError: the user may not see the run
        """
        self.ensure_one()
        self.check_access("read")
        count = getattr(self, f"_count_progress_{self.job}", None)
        done, total = count() if count else (0, 0)
        return {
            "job": self.job,
            "label": dict(self._fields["job"]._description_selection(self.env))[self.job],
            "state": self.state,
            "done": done,
            "total": total,
            "unit": self._get_progress_units().get(self.job, ""),
            "wait_until": self.send_wait_until if self.job == "send" else False,
        }

    @api.model
    def _get_progress_units(self):
        return {
            "amounts": self.env._("customers"),
            "invoices": self.env._("documents"),
            "confirm": self.env._("invoices"),
            "send": self.env._("documents"),
            "print": self.env._("documents"),
        }

    def _count_progress_amounts(self):
        """The total is not known here: the worker says with each chunk how many are left."""
        [(done,)] = self.env["invoice.run.document"]._read_group(
            [("run_id", "=", self.id)], [], ["payer_id:count_distinct"]
        )
        return done, 0

    def _count_progress_invoices(self):
        if not self.only_selected:
            return self.progress_done, self.progress_total
        domain = Domain("run_id", "=", self.id) & Domain("is_selected", "=", True)
        to_do = Domain("state", "=", "to_do")
        total, left = self._count_documents(domain, domain & to_do)
        return total - left, total

    def _count_progress_confirm(self):
        return self.invoice_count - self.draft_count, self.invoice_count

    def _count_progress_send(self):
        domain = Domain("run_id", "=", self.id) & Domain("send_action", "not in", ("print", "none"))
        done, left = self._count_documents(
            domain & Domain("send_state", "in", ("sent", "failed")),
            domain & Domain("send_state", "=", "pending") & Domain("send_asked", "=", True),
        )
        return done, done + left

    def _count_progress_print(self):
        moves = self._get_documents_to_print(self.is_reprint).move_id
        return len(moves.filtered("invoice_pdf_report_id")), len(moves)

    def _count_documents(self, *domains):
        Document = self.env["invoice.run.document"]
        return [Document.search_count(domain) for domain in domains]

    def _notify_progress(self, **values):
        """Tell the browsers at the next commit: of who looks at the run, and is responsible.

        :param values: what the worker knows: customers ``left`` while amounts are made
        """
        for run in self:
            message = {"run_id": run.id, **values}
            # sudo: the notification says no more than that run's number and progress
            self.env["bus.bus"].sudo()._sendone(run, PROGRESS, message)
            if run.user_id:
                run.user_id.sudo()._bus_send(PROGRESS, message)
