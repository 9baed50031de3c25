"""Ways into the Invoice Manager, and between records that belong together."""

from odoo import api, fields, models
from odoo.fields import Domain


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    @api.model
    def _get_counts(self, by, records, counted):
        """Return {record: how many different ``counted`` its amounts have}.

        :param by: field of an amount that holds one of ``records``
        """
        rows = self._read_group([(by, "in", records.ids)], [by], [f"{counted}:count_distinct"])
        return dict(rows)


class InvoiceRunSource(models.AbstractModel):
    _inherit = "invoice.run.source"

    invoice_run_count = fields.Integer(
        "Invoice Runs",
        compute="_compute_invoice_run_count",
        groups="invoice_run.invoice_run_group_user",
    )

    def _compute_invoice_run_count(self):
        name = self._source_record_field
        counts = self.env["invoice.run.line"]._get_counts(name, self, "run_id")
        for record in self:
            record.invoice_run_count = counts.get(record, 0)

    def action_open_manager(self):
        """Invoice these records in the Invoice Manager."""
        self.check_access("read")
        return self.env["invoice.manager"]._open_for(source=self._source_key, record_ids=self.ids)

    def action_view_invoice_runs(self):
        """Open the runs that invoiced these records, or are about to."""
        self.check_access("read")
        lines = [(self._source_record_field, "in", self.ids)]
        action = self.env["invoice.run"]._get_runs_action(lines)
        return self._with_path(f"{self._name.replace('.', '-')}-runs", action)


class ResPartner(models.Model):
    _inherit = "res.partner"

    invoice_run_count = fields.Integer(
        compute="_compute_invoice_run_count", groups="invoice_run.invoice_run_group_user"
    )

    def _compute_invoice_run_count(self):
        documents = self.env["invoice.run.document"]
        for partner in self:
            rows = documents._read_group(
                partner._get_run_documents_domain(), [], ["run_id:count_distinct"]
            )
            partner.invoice_run_count = rows[0][0]

    def _get_run_documents_domain(self):
        """Return the documents of these customers, their contacts and addresses included."""
        return Domain("partner_id", "child_of", self.ids)

    def action_open_manager(self):
        """Invoice these customers in the Invoice Manager."""
        self.check_access("read")
        payers = self.commercial_partner_id
        return self.env["invoice.manager"]._open_for(partner_ids=payers.ids)

    def action_view_invoice_runs(self):
        """Open the runs with documents of these customers."""
        self.env["invoice.run"].check_access("read")
        documents = self._get_run_documents_domain()
        action = self.env["ir.actions.act_window"]._for_xml_id("invoice_run.invoice_run_action")
        domain = list(Domain("document_ids", "any", documents))
        action = {**action, "domain": domain, "context": {"create": False}}
        return self._with_path("billing-customer-runs", action)

    def action_view_due(self):
        """Show what is still to be invoiced for these customers' contracts, without a run."""
        contracts = self.env["billing.contract"].search(
            [("commercial_partner_id", "in", self.commercial_partner_id.ids)]
        )
        return contracts.action_view_due()


class BillingScenario(models.Model):
    _inherit = "billing.scenario"

    def action_open_manager(self):
        """Begin with this scenario in the Invoice Manager."""
        self.ensure_one()
        self.check_access("read")
        return self.env["invoice.manager"]._open_for(scenario_id=self.id)


class InvoiceRun(models.Model):
    _inherit = "invoice.run"

    contract_count = fields.Integer("Contracts", compute="_compute_contract_count")

    def _compute_contract_count(self):
        counts = self.env["invoice.run.line"]._get_counts("run_id", self, "contract_id")
        for run in self:
            run.contract_count = counts.get(run, 0)

    @api.model
    def _get_runs_action(self, lines):
        """Return the action that opens the runs with amounts of the domain ``lines``."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id("invoice_run.invoice_run_action")
        domain = list(Domain("line_ids", "any", lines))
        return {**action, "domain": domain, "context": {"create": False}}

    def action_open_manager(self):
        """Go on with this run in the Invoice Manager."""
        self.ensure_one()
        self.check_access("write")
        return self.env["invoice.manager"]._open_for(run_id=self.id)

    def action_view_contracts(self):
        """Open the contracts that this run invoices."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_contract_action"
        )
        domain = list(Domain("run_line_ids", "any", [("run_id", "in", self.ids)]))
        action = {**action, "domain": domain, "context": {"create": False}}
        return self._with_path("billing-run-contracts", action)


class AccountMove(models.Model):
    _inherit = "account.move"

    billing_contract_count = fields.Integer(
        compute="_compute_billing_contract_count", groups="invoice_run.invoice_run_group_user"
    )

    def _compute_billing_contract_count(self):
        rows = self.env["account.move.line"]._read_group(
            [("move_id", "in", self.ids), ("invoice_run_line_id.contract_id", "!=", False)],
            ["move_id", "invoice_run_line_id"],
        )
        contracts = {}
        for move, line in rows:
            contracts.setdefault(move, set()).add(line.contract_id.id)
        for move in self:
            move.billing_contract_count = len(contracts.get(move, ()))

    def action_view_billing_contracts(self):
        """Open the contracts that these invoices are for."""
        self.check_access("read")
        self.env["billing.contract"].check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_contract_action"
        )
        lines = [("move_line_ids.move_id", "in", self.ids)]
        domain = list(Domain("run_line_ids", "any", lines))
        action = {**action, "domain": domain, "context": {"create": False}}
        return self._with_path("billing-invoice-contracts", action)
