from odoo import fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL, format_date

from ..base.states import DOCUMENT_OPEN, RUN_STARTED, RUN_TO_INVOICE, RUN_WAITING


class InvoiceRun(models.Model):
    """What keeps the invoices of a run from reaching their customers, said before they are sent."""

    _inherit = "invoice.run"

    readiness = fields.Json(
        compute="_compute_readiness",
        help="What is missing before the invoices are sent: see ``invoice.run.readiness``.",
    )

    def _compute_readiness(self):
        for run in self:
            run.readiness = run._get_readiness()

    def _get_readiness(self):
        """Return the findings about these runs as their form shows them, or False."""
        service = self.env["invoice.run.readiness"]
        if any(run.state in RUN_STARTED and run.document_count for run in self):
            findings = service._get_run_findings(self)
        else:
            findings = service._get_date_findings(self)
        return bool(findings) and {"run_ids": self.ids, "findings": findings}

    def action_ask_send(self):
        """Send as :meth:`action_send` does, but ask first where something is missing.

        :return: the question, or nothing
        :raises UserError: the run has no invoices yet
        """
        self.check_access("write")
        findings = self.env["invoice.run.readiness"]._get_run_findings(self)
        if not findings:
            return self.action_send()
        question = self.env["invoice.run.send.question"].create({"run_ids": self.ids})
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Before You Send"),
            "res_model": question._name,
            "res_id": question.id,
            "views": [(False, "form")],
            "target": "new",
        }

    def action_solve(self, button):
        """Carry out what the button of a finding says; of the company's findings without runs.

        :param button: its name, see ``invoice.run.readiness``
        :return: an action to open, or nothing
        :raises AccessError: the user may not change that
        :raises UserError: there is no such button
        """
        self.check_access("read")
        solve = self.env["invoice.run.readiness"]._get_solutions(self).get(str(button))
        if not solve:
            raise UserError(self.env._("This button no longer exists: reload the page."))
        return solve()

    # ------------------------------------------------------------------
    # Way of sending
    # ------------------------------------------------------------------

    def _decide_sending(self, way):
        """Send by ``way`` what nobody has decided about in these runs.

        :raises AccessError: the user may not change the runs
        """
        self.check_access("write")
        domain = self.env["invoice.run.readiness"]._get_unset_domain(self)
        self.env["invoice.run.document"].search(domain).write({"send_action": way})

    # ------------------------------------------------------------------
    # Sender
    # ------------------------------------------------------------------

    def _get_users_without_address(self):
        """Return the users from whom mails of these runs would go out, but who have no address.

        Only what is to be emailed counts, and no template with an address of its own.
        """
        runs = self.filtered(lambda run: not run._get_mail_template()._has_own_sender())
        domain = self.env["invoice.run.readiness"]._get_unsent_domain(runs)
        domain &= Domain("send_action", "=", "email")
        documents = self.env["invoice.run.document"]._search(domain)
        self.flush_model(["user_id"])
        self.env["billing.contract"].flush_model(["user_id"])
        self.env["res.users"].flush_model(["active"])
        self.env["invoice.run.document"].flush_model(["run_id", "contract_ids"])
        # as ``invoice.run.document._get_invoice_user`` says
        rows = self.env.execute_query(
            SQL(
                """
                SELECT DISTINCT COALESCE(seller.id, responsible.id)
                  FROM invoice_run_document document
                  JOIN invoice_run run ON run.id = document.run_id
                  LEFT JOIN billing_contract_invoice_run_document_rel rel
                    ON rel.invoice_run_document_id = document.id
                  LEFT JOIN billing_contract contract ON contract.id = rel.billing_contract_id
                  LEFT JOIN res_users seller ON seller.id = contract.user_id AND seller.active
                  LEFT JOIN res_users responsible
                    ON responsible.id = run.user_id AND responsible.active
                 WHERE document.id IN %s
                """,
                documents.subselect(),
            )
        )
        # sudo: names and addresses of colleagues
        users = self.env["res.users"].sudo().browse([row[0] for row in rows if row[0]])
        return users.filtered(lambda user: not user.email)

    # ------------------------------------------------------------------
    # Due dates
    # ------------------------------------------------------------------

    def _is_due_before_sent(self):
        """Whether the due date of this run, which has no amounts yet, comes before its invoices."""
        if not self.due_date or self.state not in (*RUN_WAITING, "submitted"):
            return False
        day = self.company_id._get_invoice_run_today()
        if self.state in RUN_WAITING and self.activation_date:
            day = max(day, self.activation_date)
        return self.due_date < day and not self._is_dated_later()

    def _may_be_redated(self):
        """Whether this run has amounts and no invoices, so that all can get another date."""
        return self.state in RUN_TO_INVOICE and not self._has_invoices()

    def _date_today(self):
        """Give these runs today as their invoice date; due dates follow, approvals are withdrawn.

        :raises AccessError: the user may not change the runs
        :raises UserError: a run has invoices, or is being worked on
        """
        self.check_access("write")
        self._check_not_busy()
        for run in self:
            run._check_amounts_renewable()
            run._note_prepared()
            today = run.company_id._get_invoice_run_today()
            due_date = run.due_date and today + (run.due_date - run.invoice_date)
            run._set_dates(today, due_date)
            run._withdraw_approval()
            date = format_date(self.env, today)
            run.message_post(body=self.env._("Invoice date of all documents: %(date)s.", date=date))

    def _count_overdue(self):
        """Return how many invoices of these runs are due before anybody can have them.

        :return: those that are to be created, and those that are created and not sent
        """
        domain = self.env["invoice.run.readiness"]._get_unsent_domain(self)
        to_create = created = 0
        for company, runs in self.grouped("company_id").items():
            counts = runs._count_overdue_of_day(domain, company._get_invoice_run_today())
            to_create, created = to_create + counts[0], created + counts[1]
        return to_create, created

    def _count_overdue_of_day(self, domain, today):
        domain &= Domain("run_id", "in", self.ids) & Domain("amount_total", ">", 0)
        # the others get another invoice date when their invoices are created
        dated = self.filtered(lambda run: not run._is_dated_later())
        to_create = (
            domain & Domain("state", "in", DOCUMENT_OPEN) & Domain("run_id", "in", dated.ids)
        )
        fixed = to_create & Domain("invoice_date_due", "<", today)
        created = domain & Domain("move_id.invoice_date_due", "<", today)
        Document = self.env["invoice.run.document"]
        by_term = Document._read_group(
            to_create & Domain("invoice_date_due", "=", False),
            ["payment_term_id", "invoice_date:day"],
            ["__count"],
        )
        late = sum(count for term, date, count in by_term if term._get_last_due_date(date) < today)
        return Document.search_count(fixed) + late, Document.search_count(created)
