from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from ..base.possible_dates import check_years
from ..base.states import CONTRACT_BILLED

#: An external reference without the blanks around it: spaces, tabs, ends of lines.
BARE_REF = r"btrim(external_ref, E' \t\n\r\u00a0')"


class BillingUsage(models.Model):
    """Something used or a one-off item, invoiced once."""

    _name = "billing.usage"
    _description = "Usage"
    _inherit = [
        "analytic.mixin",
        "billing.default.price",
        "invoice.run.source",
        "invoice.run.guarded",
        "invoice.run.import.mixin",
    ]
    _order = "date, id"
    _check_company_auto = True

    _source_key = "usage"
    _source_sequence = 20
    _source_icon = "fa-tachometer"
    _source_claim_field = "usage_id"
    _source_record_field = "usage_id"
    _source_has_target = False

    date = fields.Date(required=True, index=True, default=fields.Date.context_today)
    partner_id = fields.Many2one(
        "res.partner",
        "Customer",
        compute="_compute_partner_id",
        store=True,
        readonly=False,
        precompute=True,
        required=True,
        index=True,
        check_company=True,
    )
    commercial_partner_id = fields.Many2one(
        related="partner_id.commercial_partner_id", store=True, index=True
    )
    contract_id = fields.Many2one("billing.contract", check_company=True, index="btree_not_null")
    asset_id = fields.Many2one("billing.asset", check_company=True, index="btree_not_null")
    cluster_id = fields.Many2one(
        "billing.cluster",
        compute="_compute_cluster_id",
        store=True,
        readonly=False,
        precompute=True,
        check_company=True,
        index="btree_not_null",
    )
    company_id = fields.Many2one(
        "res.company",
        required=True,
        index=True,
        compute="_compute_company_id",
        store=True,
        readonly=False,
        precompute=True,
    )
    currency_id = fields.Many2one(
        "res.currency",
        required=True,
        compute="_compute_currency_id",
        store=True,
        readonly=False,
        precompute=True,
    )
    product_id = fields.Many2one("product.product", required=True, check_company=True)
    name = fields.Text(
        "Description", compute="_compute_name", store=True, readonly=False, precompute=True
    )
    quantity = fields.Float(
        digits="Product Unit", default=1.0, required=True, help="Negative: a credit."
    )
    product_uom_id = fields.Many2one(
        "uom.uom",
        "Unit",
        compute="_compute_product_uom_id",
        store=True,
        readonly=False,
        precompute=True,
    )
    price_unit = fields.Float(
        "Price",
        compute="_compute_price_unit",
        store=True,
        readonly=False,
        precompute=True,
        min_display_digits="Product Price",
        aggregator="avg",
    )
    discount = fields.Float("Discount %", digits="Discount", aggregator="avg")
    tax_ids = fields.Many2many(
        "account.tax",
        string="Taxes",
        check_company=True,
        context={"active_test": False},
        domain="[('type_tax_use', '=', 'sale')]",
        help="Empty: the product's taxes, mapped by the fiscal position.",
    )
    amount = fields.Monetary(compute="_compute_amount", store=True)
    external_ref = fields.Char(
        "External Reference",
        copy=False,
        help="Identifier in the system that this item comes from. Unique: importing a file twice "
        "adds nothing.",
    )
    state = fields.Selection(
        [("open", "Open"), ("planned", "Planned"), ("invoiced", "Invoiced")],
        "Status",
        required=True,
        readonly=True,
        default="open",
        copy=False,
        index=True,
        help="Planned: claimed by a run that has not created the invoice yet.",
        engine=True,
    )
    run_line_ids = fields.One2many("invoice.run.line", "usage_id", "Amounts", engine=True)

    _external_ref_unique = models.UniqueIndex(
        f"(company_id, ({BARE_REF})) WHERE external_ref IS NOT NULL",
        "A usage item with this external reference already exists.",
    )
    _open_idx = models.Index("(company_id, date) WHERE state = 'open'")
    _discount_range = models.Constraint(
        "CHECK (discount BETWEEN 0 AND 100)", "The discount must be between 0 and 100 %."
    )

    @api.depends("contract_id")
    def _compute_partner_id(self):
        for usage in self:
            usage.partner_id = usage.contract_id.partner_id or usage.partner_id

    @api.depends("asset_id", "contract_id")
    def _compute_cluster_id(self):
        for usage in self:
            usage.cluster_id = (
                usage.asset_id.cluster_id or usage.contract_id.cluster_id or usage.cluster_id
            )

    @api.depends("contract_id", "cluster_id")
    def _compute_company_id(self):
        for usage in self:
            usage.company_id = (
                usage.contract_id.company_id
                or usage.cluster_id.company_id
                or usage.company_id
                or self.env.company
            )

    @api.depends("contract_id", "company_id")
    def _compute_currency_id(self):
        for usage in self:
            usage.currency_id = (
                usage.contract_id.currency_id
                or usage.currency_id
                or usage.company_id.currency_id
                or self.env.company.currency_id
            )

    @api.depends("product_id")
    def _compute_name(self):
        for usage in self:
            product = usage.product_id.with_context(lang=usage.partner_id.lang or self.env.lang)
            usage.name = product.get_product_multiline_description_sale() if product else False

    @api.depends("product_id")
    def _compute_product_uom_id(self):
        for usage in self:
            usage.product_uom_id = usage.product_id.uom_id

    @api.depends("product_id", "product_uom_id")
    def _compute_price_unit(self):
        for usage in self:
            usage.price_unit = usage._get_default_price(usage.product_id, usage.product_uom_id)

    @api.onchange("currency_id")
    def _onchange_currency_id(self):
        # a number in another currency means nothing; over RPC and in files the price is given
        self._compute_price_unit()

    def _get_price_terms(self):
        # EXTENDS 'billing.default.price'
        return {
            "partner": self.partner_id,
            "company": self.company_id,
            "currency": self.currency_id,
            "date": self.date,
            "fiscal_position": lambda: self._get_run_document_records()["fiscal_position_id"],
        }

    @api.depends("quantity", "price_unit", "discount", "currency_id")
    def _compute_amount(self):
        for usage in self:
            terms = (usage.quantity, usage.price_unit, usage.discount)
            usage.amount = usage._get_rounded_price(*terms)

    @api.constrains("date")
    def _check_years(self):
        check_years(self, ["date"])

    @api.model_create_multi
    def create(self, vals_list):
        usage = super().create([self._strip_reference(vals) for vals in vals_list])
        usage._mark_periods_stale()
        return usage

    @api.model
    def _strip_reference(self, vals):
        """Return ``vals`` with the external reference as the item has it, however it was typed."""
        if vals.get("contract_line_id") and not vals.get("contract_id"):
            line = self.env["billing.contract.line"].browse(vals["contract_line_id"])
            vals = {**vals, "contract_id": line.contract_id.id}
        if not isinstance(vals.get("external_ref"), str):
            return vals
        return {**vals, "external_ref": vals["external_ref"].strip() or False}

    def write(self, vals):
        vals = self._strip_reference(vals)
        invoiced = self.filtered(lambda usage: usage.state == "invoiced")
        if invoiced._get_changed(vals, self._get_stale_fields()):
            raise UserError(
                self.env._("An invoiced usage item cannot be changed. Add a credit item instead.")
            )
        changed = self._get_changed(vals, self._get_stale_fields())
        result = super().write(vals)
        changed._mark_metered_stale()
        changed._mark_periods_stale()
        return result

    @api.model
    def load(self, fields, data):
        # EXTENDS 'base': a row whose external reference is known is that item, no second one
        last = self.search([], order="id desc", limit=1).id
        result = super(BillingUsage, self.with_context(invoice_run_known_until=last)).load(
            fields, data
        )
        known = [usage_id for usage_id in result["ids"] or [] if usage_id <= last]
        if known:
            # a message in the result would count as an error and stop the import
            message = self.env._(
                "Rows skipped: %(count)s. Items with their external reference already exist.",
                count=len(known),
            )
            self.env.user._bus_send("simple_notification", {"type": "info", "message": message})
        return result

    def _load_records(self, data_list, update=False):
        # EXTENDS 'base'
        last = self.env.context.get("invoice_run_known_until")
        rows = [
            data["values"]
            for data in data_list
            if (data["values"].get("external_ref") or "").strip()
            and not (data.get("xml_id") or data["values"].get("id"))
        ]
        known = self._get_known_items(rows, last) if last and rows else {}
        for values in rows:
            reference = values["external_ref"].strip()
            found = known.get((self._get_row_company(values).id, reference))
            if found:
                values["id"] = found
        return super()._load_records(data_list, update)

    @api.model
    def _get_known_items(self, rows, last):
        """Return {(company, external reference): id} of the items that rows of a file mean.

        :param last: highest id, so that a row never means an item of another row of its file
        """
        references = [values["external_ref"].strip() for values in rows]
        usage = self.search([("external_ref", "in", references), ("id", "<=", last)])
        return {(item.company_id.id, item.external_ref): item.id for item in usage}

    @api.model
    def _get_row_company(self, values):
        """Return the company that an imported row will belong to: see the computed fields."""
        contract = self.env["billing.contract"].browse(values.get("contract_id"))
        asset = self.env["billing.asset"].browse(values.get("asset_id"))
        cluster = self.env["billing.cluster"].browse(values.get("cluster_id"))
        company = self.env["res.company"].browse(values.get("company_id"))
        cluster = cluster or asset.cluster_id or contract.cluster_id
        return company or contract.company_id or cluster.company_id or self.env.company

    @api.ondelete(at_uninstall=False)
    def _unlink_except_billed(self):
        if self.filtered("run_line_ids") or self.filtered("usage_claim_ids"):
            raise UserError(
                self.env._(
                    "Usage that is in a run cannot be deleted. Delete the amounts of the run first."
                )
            )

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return {
            "partner_id",
            "contract_id",
            "asset_id",
            "cluster_id",
            "currency_id",
            "product_id",
            "name",
            "quantity",
            "product_uom_id",
            "price_unit",
            "discount",
            "tax_ids",
            "analytic_distribution",
            "date",
            "contract_line_id",
            "meter_code",
            "usage_key",
        }

    def _follow_claims(self):
        # EXTENDS 'invoice.run.source': open, planned (claimed by a run) or invoiced
        for usage in self:
            claim = usage.run_line_ids.filtered("is_claimed")
            document = claim.document_id
            is_settled = document.move_id or document.state == "nothing"
            state = "invoiced" if is_settled else "planned" if claim else "open"
            if usage.state != state:
                usage.state = state

    # ------------------------------------------------------------------
    # invoice.run.source
    # ------------------------------------------------------------------

    @api.model
    def _get_source_label(self):
        # EXTENDS 'invoice.run.source'
        return self.env._("Usage")

    @api.model
    def _get_open_conditions(self, run):
        """Return {code: domain}: what makes an item due in ``run``, whatever it selects."""
        conditions = {
            "company": Domain("company_id", "=", run.company_id.id),
            "state": Domain("state", "=", "open"),
            "dates": Domain("date", "<=", run.target_date),
            # rated together by their price line; of a contract that may not be invoiced each is
            # an exception of its own
            "metered": Domain("contract_line_id", "=", False)
            | Domain("contract_id.state", "not in", CONTRACT_BILLED),
        }
        if run.skip_before:
            conditions["skipped"] = Domain("date", ">=", run.skip_before)
        return conditions

    @api.model
    def _get_selection_conditions(self, run):
        """Return {code: domain} of :meth:`_get_run_selection_domain`."""
        conditions = {"company": Domain("company_id", "=", run.company_id.id)}
        clusters = run.cluster_ids or run.scenario_id.cluster_ids
        if clusters:
            conditions["cluster"] = Domain("cluster_id", "in", clusters.ids)
        return conditions | run._get_source_conditions()

    @api.model
    def _get_run_selection_domain(self, run):
        # EXTENDS 'invoice.run.source'
        return Domain.AND(self._get_selection_conditions(run).values())

    @api.model
    def _get_run_conditions(self, run):
        # EXTENDS 'invoice.run.source'
        return self._get_open_conditions(run) | self._get_selection_conditions(run)

    @api.model
    def _get_contract_usage_domain(self, run):
        """Return the open usage of the contracts that ``run`` selects.

        Of drafts and cancelled ones too: each item becomes an exception.
        """
        contracts = self.env["billing.contract"]._get_run_scope_domain(run)
        items = Domain.AND(self._get_open_conditions(run).values())
        return items & Domain("contract_id", "any", contracts)

    @api.model
    def _get_contract_usage_payers(self, run):
        groups = self._read_group(self._get_contract_usage_domain(run), ["commercial_partner_id"])
        return self.env["res.partner"].union(*(partner for (partner,) in groups))

    @api.model
    def _collect_contract_usage_charges(self, run, payers):
        """Yield a charge, or the exceptions, of each item of the contracts of ``run``."""
        domain = self._get_contract_usage_domain(run)
        domain &= Domain("commercial_partner_id", "in", payers.ids)
        yield from self.search(domain)._collect_charges(run)

    def _get_run_errors(self, run, records):
        # EXTENDS 'invoice.run.source'
        if self.contract_id.billing_hold:
            reason = self.contract_id.billing_hold_reason or self.env._("no reason given")
            return [("hold", self.env._("The contract is on hold: %(reason)s.", reason=reason))]
        errors = self._get_contract_state_errors() + self._get_metering_errors()
        errors += super()._get_run_errors(run, records)
        errors += self._get_product_errors(self.product_id, records)
        errors += self._get_tax_errors(self.tax_ids)
        is_free = run.scenario_id.allow_free_usage
        return errors if is_free else errors + self._get_free_errors(run)

    def _get_free_errors(self, run):
        """Return the reason, as (code, message), why an item without a price is not invoiced."""
        if self.price_unit:
            return []
        message = self.env._(
            "“%(line)s” has no price. Fill it in; for a free item set a discount of 100 %%. Where "
            "usage without a price is always free, tick “Usage Without a Price Is Free” on "
            "scenario “%(scenario)s”.",
            line=self.name,
            scenario=run.scenario_id.display_name,
        )
        return [("price", message)]

    def _get_contract_state_errors(self):
        """Return the reason, as (code, message), why usage of this contract is not invoiced."""
        contract = self.contract_id
        if not contract or contract.state in CONTRACT_BILLED:
            return []
        message = self.env._(
            "Contract %(contract)s is a draft or cancelled. Activate it, or remove the usage "
            "from it.",
            contract=contract.name,
        )
        return [("contract", message)]

    def _prepare_exception_vals(self, code, message):
        # EXTENDS 'invoice.run.source'
        vals = super()._prepare_exception_vals(code, message)
        return {**vals, "contract_id": self.contract_id.id}

    @api.model
    def _get_sought_record(self, line):
        # EXTENDS 'invoice.run.source'
        return line.contract_id or super()._get_sought_record(line)

    @api.model
    def _get_document_names(self, document):
        # EXTENDS 'invoice.run.source': items have no number; contracts say their own
        return []

    def _get_run_charges(self, records):
        # EXTENDS 'invoice.run.source'
        contract = self.contract_id
        line = self._prepare_item_vals(
            records,
            self.product_id,
            day=self.date,
            quantity=self.quantity,
            price_unit=self.price_unit,
            discount=self.discount,
            taxes=self.tax_ids,
            contract_id=contract.id,
            product_uom_id=self.product_uom_id.id,
            name=self.name or self.product_id.display_name,
            analytic_distribution=self.analytic_distribution,
        )
        document = {name: record.id for name, record in records.items()}
        charge = self._prepare_charge(
            records,
            line,
            payer=self.commercial_partner_id,
            contract=contract,
            bucket=("usage", contract.id or 0),
            # with its contract, on whatever document that is
            key=(contract or self)._get_grouping_key(),
            document={**document, "category_id": contract.category_id.id},
            joins=True,
        )
        return [charge]

    def _get_run_document_records(self):
        # EXTENDS 'invoice.run.source': as the contract where it is of the same customer
        self.ensure_one()
        contract = self.contract_id
        if contract.partner_id == self.partner_id and contract.currency_id == self.currency_id:
            return contract._get_run_document_records()
        return self._get_customer_records(self.cluster_id, contract.category_id)
