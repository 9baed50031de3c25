import psycopg2
from dateutil.relativedelta import relativedelta

from odoo import api, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Command, Domain

#: In this order nothing is deleted that something else still needs.
SAMPLE_MODELS = (
    "billing.usage",
    "billing.contract",
    "billing.scenario",
    "billing.cluster",
    "product.product",
    "res.partner",
)


class InvoiceRunSample(models.AbstractModel):
    """A small business to look around in: customers, contracts, usage, a schedule with runs.

    Each company has its own. They are known by external ids of a module name that no
    module has, so that exactly this can be removed again.
    """

    _name = "invoice.run.sample"
    _description = "Sample Data of Invoice Runs"

    @api.model
    def action_load(self):
        """Create the sample data of the company and open the runs.

        :raises AccessError: the user is not a manager of invoice runs
        :raises UserError: the company has sample data already
        """
        self._check_manager()
        if self._get_records("billing.contract"):
            raise UserError(self.env._("The sample data has already been loaded. Remove it first."))
        contracts = self._create_contracts()
        self._create_usage(contracts[1])
        schedule = self._create_schedule(contracts.cluster_id)
        schedule.action_generate_runs()
        return schedule.with_env(self.env).action_view_runs()

    @api.model
    def action_remove(self):
        """Delete the sample data of the company, and what runs generated from them.

        :raises AccessError: the user is not a manager of invoice runs
        :raises UserError: invoices of sample customers were confirmed
        """
        self._check_manager()
        self._remove_amounts()
        self._remove_runs()
        for model in SAMPLE_MODELS:
            self._remove_records(self._get_records(model))
        # sudo: external ids of what could only be archived
        self.env["ir.model.data"].sudo().search([("module", "=", self._get_module())]).unlink()

    # ------------------------------------------------------------------
    # What there is
    # ------------------------------------------------------------------

    @api.model
    def _check_manager(self):
        manager = self.env.user.has_group("invoice_run.invoice_run_group_manager")
        if not self.env.su and not manager:
            raise AccessError(
                self.env._("Only managers of invoice runs can load or remove sample data.")
            )

    @api.model
    def _get_module(self):
        """Return the module name of the external ids, no module's, one for each company."""
        return f"__invoice_run_sample_{self.env.company.id}__"

    @api.model
    def _get_records(self, model):
        """Return what there is of the sample data, as superuser."""
        # sudo: a manager of invoice runs need not be allowed to delete customers and products
        data = (
            self.env["ir.model.data"]
            .sudo()
            .search([("module", "=", self._get_module()), ("model", "=", model)])
        )
        records = self.env[model].sudo().with_context(active_test=False)
        return records.browse(data.mapped("res_id")).exists()

    @api.model
    def _create(self, model, vals_list):
        """Create records and note that they are samples."""
        # sudo: a manager of invoice runs need not be allowed to create customers and products
        records = self.env[model].sudo().with_company(self.env.company).create(vals_list)
        self.env["ir.model.data"].sudo().create(
            [
                {
                    "module": self._get_module(),
                    "name": f"{model.replace('.', '_')}_{record.id}",
                    "model": model,
                    "res_id": record.id,
                    "noupdate": True,
                }
                for record in records
            ]
        )
        return records

    # ------------------------------------------------------------------
    # Creating
    # ------------------------------------------------------------------

    @api.model
    def _get_month_start(self):
        return self.env.company._get_invoice_run_today() + relativedelta(day=1)

    @api.model
    def _create_contracts(self):
        """Create active contracts: in advance, in arrears, cut, and one that is on hold."""
        cluster = self._create("billing.cluster", [{"name": self.env._("Sample"), "code": "SMP"}])
        common = {"cluster_id": cluster.id, "company_id": self.env.company.id}
        vals_list = self._prepare_contracts_vals(self._create_products(), self._create_customers())
        contracts = self._create("billing.contract", [{**vals, **common} for vals in vals_list])
        contracts.action_activate()
        return contracts

    @api.model
    def _create_products(self):
        office, copier = self.env._("Office (sample)"), self.env._("Copier (sample)")
        vals_list = [{"name": office, "list_price": 950.0}, {"name": copier, "list_price": 60.0}]
        return self._create("product.product", [{**vals, "type": "service"} for vals in vals_list])

    @api.model
    def _create_customers(self):
        names = (self.env._("Lakeside Studio (sample)"), self.env._("Corner Bakery (sample)"))
        return self._create("res.partner", [{"name": name, "is_company": True} for name in names])

    @api.model
    def _prepare_contracts_vals(self, products, customers):
        office, copier = products
        first, second = customers
        start = self._get_month_start()
        return [
            self._prepare_contract_vals(self.env._("Office"), first, start, office),
            self._prepare_contract_vals(
                self.env._("Copier"), first, start, copier, billing_timing="arrears"
            ),
            self._prepare_contract_vals(
                self.env._("Workshop"),
                second,
                start + relativedelta(day=10),
                office,
                period_anchor="calendar",
            ),
            self._prepare_contract_vals(
                self.env._("Storage room"),
                second,
                start,
                office,
                billing_hold=True,
                billing_hold_reason=self.env._("waits for the signature"),
            ),
        ]

    @api.model
    def _prepare_contract_vals(self, title, partner, start, product, **vals):
        """Return the values of a contract with one price; ``vals`` are what is special on it."""
        line = {"product_id": product.id, "price_unit": product.list_price}
        return {
            "title": title,
            "partner_id": partner.id,
            "date_start": start,
            "line_ids": [Command.create(line)],
            **vals,
        }

    @api.model
    def _create_usage(self, contract):
        product = contract.line_ids.product_id
        return self._create(
            "billing.usage",
            [
                {
                    "contract_id": contract.id,
                    "product_id": product.id,
                    "date": self._get_month_start() + relativedelta(day=day),
                    "name": self.env._("Prints, week %(number)s", number=number),
                    "quantity": 100 * number,
                    "price_unit": 0.05,
                }
                for number, day in ((1, 7), (2, 14))
            ],
        )

    @api.model
    def _create_schedule(self, cluster):
        """Create a monthly schedule that does nothing by itself and only creates drafts."""
        scenario = self._create(
            "billing.scenario",
            [
                {
                    "name": self.env._("Contracts (sample)"),
                    "company_id": self.env.company.id,
                    "cluster_ids": [Command.set(cluster.ids)],
                    "send_action": "none",
                    "invoice_state": "draft",
                }
            ],
        )
        start = self._get_month_start()
        return self._create(
            "invoice.run.schedule",
            [
                {
                    "name": self.env._("Every month (sample)"),
                    "company_id": self.env.company.id,
                    "scenario_id": scenario.id,
                    "date_from": start,
                    "run_count": 3,
                    "activation_rule": "disabled",
                    **dict.fromkeys(
                        ("auto_amounts", "auto_approve", "auto_invoices", "auto_send"), "no"
                    ),
                }
            ],
        )

    # ------------------------------------------------------------------
    # Removing
    # ------------------------------------------------------------------

    @api.model
    def _remove_amounts(self):
        """Delete drafts, documents and amounts that runs generated from the sample data."""
        contracts = self._get_records("billing.contract")
        domain = Domain("contract_id", "in", contracts.ids) | Domain(
            "usage_id", "in", self._get_records("billing.usage").ids
        )
        # sudo: amounts and documents belong to the engine
        lines = self.env["invoice.run.line"].sudo().search(domain)
        documents = lines.document_id
        self._check_not_confirmed(documents.move_id)
        documents.move_id.unlink()
        documents.run_id._withdraw_approval()
        lines._release()
        lines.unlink()
        documents.filtered(lambda document: not document.line_ids).unlink()

    @api.model
    def _check_not_confirmed(self, moves):
        confirmed = moves.filtered(lambda move: move.state != "draft" or move.posted_before)
        if confirmed:
            raise UserError(
                self.env._(
                    "%(invoices)s are confirmed: a numbered invoice cannot be deleted. Credit "
                    "these invoices and close the sample contracts instead.",
                    invoices=", ".join(confirmed.mapped("display_name")),
                )
            )

    @api.model
    def _remove_runs(self):
        """Delete the runs and schedules of the sample scenario."""
        scenarios = self._get_records("billing.scenario")
        domain = [("scenario_id", "in", scenarios.ids)]
        # sudo: see _get_records
        self.env["invoice.run"].sudo().search(domain).unlink()
        self.env["invoice.run.schedule"].sudo().search(domain).unlink()

    @api.model
    def _remove_records(self, records):
        """Delete records; what somebody used elsewhere meanwhile is archived."""
        for record in records:
            try:
                with self.env.cr.savepoint():
                    record.unlink()
            except (UserError, psycopg2.IntegrityError):
                if "active" not in record._fields:
                    raise
                record.active = False
