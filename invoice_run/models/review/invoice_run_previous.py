from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL

from ..base.states import DOCUMENT_BILLED


class InvoiceRun(models.Model):
    """Compares a run as a whole with the previous run of its schedule."""

    _inherit = "invoice.run"

    previous_run_id = fields.Many2one(
        "invoice.run",
        compute="_compute_previous_run",
        help="The latest earlier run of the schedule that has amounts.",
    )
    previous_run_amount = fields.Monetary(
        "Untaxed of the Previous Run", compute="_compute_previous_run"
    )
    previous_run_count = fields.Integer(
        "Documents of the Previous Run", compute="_compute_previous_run"
    )
    previous_run_variance = fields.Float(
        "Change %",
        compute="_compute_previous_run",
        help="Untaxed amount against the previous run of the schedule, in percent.",
    )
    missing_contract_count = fields.Integer("Contracts Missing", compute="_compute_missing")
    missing_customer_count = fields.Integer("Customers Missing", compute="_compute_missing")

    @api.depends("number", "schedule_id.run_ids.state", "amount_untaxed")
    def _compute_previous_run(self):
        previous = self._get_previous_runs()
        runs = self.browse().union(*previous.values())
        totals = runs._get_document_totals()
        for run in self:
            other = previous.get(run.id, self.browse())
            values = totals.get(other.id, {})
            before = values.get("amount_untaxed", 0.0)
            change = run.amount_untaxed - before
            run.previous_run_id = other
            run.previous_run_amount = before
            run.previous_run_count = values.get("document_count", 0)
            run.previous_run_variance = 100.0 * change / abs(before) if before else 0.0

    def _get_previous_runs(self):
        """Return {run id: the latest earlier run of its schedule that has amounts}."""
        if not self.ids:
            return {}
        self.flush_model(["schedule_id", "number", "state"])
        self.env["invoice.run.document"].flush_model(["run_id", "state"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT run.id, previous.id
                  FROM invoice_run run
            CROSS JOIN LATERAL (
                       SELECT earlier.id
                         FROM invoice_run earlier
                        WHERE earlier.schedule_id = run.schedule_id
                          AND earlier.number < run.number
                          AND earlier.state IN ('amounts', 'approved', 'invoiced')
                          AND EXISTS (
                              SELECT 1 FROM invoice_run_document document
                               WHERE document.run_id = earlier.id
                                 AND document.state = ANY(%(states)s))
                        ORDER BY earlier.number DESC
                        LIMIT 1) previous
                 WHERE run.id = ANY(%(ids)s)
                """,
                ids=self.ids,
                states=list(DOCUMENT_BILLED),
            )
        )
        return {run_id: self.browse(previous_id) for run_id, previous_id in rows}

    @api.depends("previous_run_id", "document_ids.state")
    def _compute_missing(self):
        Contract = self.env["billing.contract"]
        for run in self:
            previous = run.previous_run_id
            contracts = Contract.search_count(run._get_missing_domain()) if previous else 0
            run.missing_contract_count = contracts
            run.missing_customer_count = len(run._get_missing_customer_ids()) if previous else 0

    def _get_missing_domain(self):
        """Return the contracts that the previous run invoiced and this one does not."""
        billed = Domain("document_id.state", "in", DOCUMENT_BILLED)
        before = Domain("run_id", "=", self.previous_run_id.id) & billed
        here = Domain("run_id", "=", self.id) & billed
        return Domain("run_line_ids", "any", before) & Domain("run_line_ids", "not any", here)

    def _get_missing_customer_ids(self):
        """Return the ids of the customers whom the previous run invoiced and this one does not."""
        self.env["invoice.run.document"].flush_model(["run_id", "state", "payer_id"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT payer_id FROM invoice_run_document
                 WHERE run_id = %(previous)s AND state = ANY(%(states)s)
                EXCEPT
                SELECT payer_id FROM invoice_run_document
                 WHERE run_id = %(run)s AND state = ANY(%(states)s)
                """,
                previous=self.previous_run_id.id or None,
                run=self.id or None,
                states=list(DOCUMENT_BILLED),
            )
        )
        return [row[0] for row in rows]

    def action_view_missing_contracts(self):
        """Open the contracts that the previous run invoiced and this one does not."""
        # no run: the web client asks for the name of the list
        run = self[:1]
        run.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_contract_action"
        )
        action["name"] = self.env._("Missing Since %(run)s", run=run.previous_run_id.reference)
        action["domain"] = list(run._get_missing_domain())
        action["context"] = {"create": False}
        return run._with_path("billing-run-missing-contracts", action)

    def action_view_missing_customers(self):
        """Open the customers whom the previous run invoiced and this one does not."""
        # no run: the web client asks for the name of the list
        run = self[:1]
        run.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "account.res_partner_action_customer"
        )
        action["name"] = self.env._("Missing Since %(run)s", run=run.previous_run_id.reference)
        action["domain"] = [("id", "in", run._get_missing_customer_ids())]
        action["context"] = {"create": False}
        return run._with_path("billing-run-missing-customers", action)
