from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from ...engine import periods
from ..base.possible_dates import check_years
from ..base.states import CONTRACT_BILLED

#: An external reference without the blanks around it: spaces, tabs, ends of lines.
BARE_REF = r"btrim(external_ref, E' \t\n\r\u00a0')"


class BillingUsage(models.Model):
    """Something used or a one-off item, billed once."""

    _name = "billing.usage"
    _description = "Usage"
    _inherit = [
        "analytic.mixin",
        "billing.default.price",
        "invoice.run.source",
        "invoice.run.guarded",
        "invoice.run.stale.mixin",
        "invoice.run.import.mixin",
    ]
    _order = "date, id"
    _check_company_auto = True
    _prepares_runs = True

    date = fields.Date(required=True, index=True, default=fields.Date.context_today)
    partner_id = fields.Many2one(
        "res.partner",
        "Payer",
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
        domain="[('type_tax_use', '=', 'sale')]",
        help="Empty: the product's taxes, mapped by the fiscal position.",
    )
    amount = fields.Monetary(compute="_compute_amount", store=True)
    external_ref = fields.Char(
        "External Reference",
        copy=False,
        help="Key in the system that this item comes from. Unique: importing a file twice "
        "adds nothing.",
    )
    state = fields.Selection(
        [("open", "Open"), ("planned", "Planned"), ("invoiced", "Invoiced")],
        required=True,
        readonly=True,
        default="open",
        copy=False,
        index=True,
        help="Planned: claimed by a run that has not made the invoice yet.",
    )
    run_line_ids = fields.One2many("invoice.run.line", "usage_id", "Amounts")

    _external_ref_unique = models.UniqueIndex(
        f"(company_id, ({BARE_REF})) WHERE external_ref IS NOT NULL",
        "A usage item with this external reference exists already.",
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
            usage.amount = usage._get_net_amount()

    @api.constrains("date")
    def _check_years(self):
        check_years(self, ["date"])

    @api.model
    def _get_engine_fields(self):
        # EXTENDS 'invoice.run.guarded'
        return super()._get_engine_fields() | {"state", "run_line_ids"}

    @api.model_create_multi
    def create(self, vals_list):
        return super().create([self._strip_reference(vals) for vals in vals_list])

    @api.model
    def _strip_reference(self, vals):
        """Return ``vals`` with the external reference that means the item, whoever typed it."""
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
        return super().write(vals)

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
                "%(count)s rows were known by their external reference: they added no item.",
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
        if self.filtered("run_line_ids"):
            raise UserError(
                self.env._("Usage that a run billed cannot be deleted. Delete its amounts first.")
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
        }

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return [("usage_id", "in", self.ids)]

    def _get_net_amount(self):
        price = periods.net_price(self.quantity, self.price_unit, self.discount)
        coin = periods.exact(self.currency_id.rounding or 0.01)
        return float(periods.round_half_up(price, coin))

    def _update_state(self):
        """Follow the claims: open, planned (claimed by a run) or invoiced."""
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
    def _get_open_domain(self, run):
        return (
            Domain("company_id", "=", run.company_id.id)
            & Domain("state", "=", "open")
            & Domain("date", "<=", run.target_date)
        )

    @api.model
    def _get_run_domain(self, run):
        scenario = run.scenario_id
        domain = self._get_open_domain(run) & run._get_source_domain()
        clusters = run.cluster_ids or scenario.cluster_ids
        if clusters:
            domain &= Domain("cluster_id", "in", clusters.ids)
        if run.skip_before:
            domain &= Domain("date", ">=", run.skip_before)
        return domain

    @api.model
    def _get_contract_usage_domain(self, run):
        """Return the open usage of the contracts that ``run`` selects.

        Of drafts and cancelled ones too: each item becomes an exception.
        """
        contracts = self.env["billing.contract"]._get_run_scope_domain(run)
        domain = self._get_open_domain(run) & Domain("contract_id", "any", contracts)
        if run.skip_before:
            domain &= Domain("date", ">=", run.skip_before)
        return domain

    @api.model
    def _get_contract_usage_payers(self, run):
        groups = self._read_group(self._get_contract_usage_domain(run), ["commercial_partner_id"])
        return self.env["res.partner"].union(*(partner for (partner,) in groups))

    @api.model
    def _collect_run_charges(self, run, payers):
        yield from self._collect_usage_charges(run, self._get_run_domain(run), payers)

    @api.model
    def _collect_contract_usage_charges(self, run, payers):
        yield from self._collect_usage_charges(run, self._get_contract_usage_domain(run), payers)

    @api.model
    def _collect_usage_charges(self, run, domain, payers):
        """Yield a charge, or the exceptions, of each item of ``domain`` that ``payers`` pay."""
        domain &= Domain("commercial_partner_id", "in", payers.ids)
        yield from self.search(domain, order="date, id")._collect_item_charges(run)

    def _collect_item_charges(self, run):
        """Yield a charge, or the exceptions, of each of these items."""
        yield from self._collect_records(run, lambda usage: usage._collect_item(run))

    def _collect_item(self, run):
        records = self._get_run_document_records()
        errors = self._get_usage_errors(run, records)
        yield from self._get_exceptions(run, errors, lambda: [self._prepare_charge(records)])
        if not errors:
            yield self._prepare_charge(records)

    def _get_usage_errors(self, run, records):
        """Return all reasons, as (code, message), why this item cannot be billed.

        :param records: see :meth:`_get_run_document_records`
        """
        if self.contract_id.billing_hold:
            reason = self.contract_id.billing_hold_reason or self.env._("no reason given")
            return [("hold", self.env._("The contract is on hold: %(reason)s.", reason=reason))]
        errors = self._get_contract_state_errors()
        errors += self._get_document_errors(self.partner_id, records, run.invoice_date)
        errors += self._get_product_errors(self.product_id, records)
        is_free = run.scenario_id.allow_free_usage
        return errors if is_free else errors + self._get_price_errors(self)

    def _get_contract_state_errors(self):
        """Return the reason, as (code, message), why usage of this contract is not billed."""
        contract = self.contract_id
        if not contract or contract.state in CONTRACT_BILLED:
            return []
        message = self.env._(
            "Contract %(contract)s is a draft or cancelled. Activate it, or take the usage out of "
            "it.",
            contract=contract.name,
        )
        return [("contract", message)]

    def _prepare_exception_vals(self, code, message):
        return {
            "usage_id": self.id,
            "contract_id": self.contract_id.id,
            "partner_id": self.partner_id.id,
            "code": code,
            "message": message,
        }

    def _prepare_charge(self, records):
        """Return the charge of this item: see ``invoice.run.source``."""
        self.ensure_one()
        contract = self.contract_id
        return {
            "payer": self.commercial_partner_id,
            "contract": contract,
            "bucket": ("usage", contract.id or 0, 0),
            "document": {
                **{name: record.id for name, record in records.items()},
                "category_id": contract.category_id.id,
            },
            "line": self._prepare_run_line_vals(records["fiscal_position_id"]),
        }

    def _get_run_document_records(self):
        """Return the records that decide on which document this item is billed."""
        self.ensure_one()
        contract = self.contract_id
        if contract.partner_id == self.partner_id and contract.currency_id == self.currency_id:
            return contract._get_run_document_records()
        company = self.company_id
        usage = self.with_company(company)
        partner = usage.partner_id.browse(usage.partner_id.address_get(["invoice"])["invoice"])
        return {
            "partner_id": partner,
            "company_id": company,
            "currency_id": self.currency_id,
            "journal_id": self._get_run_journal(
                self.cluster_id, contract.category_id, company, self.currency_id
            ),
            "fiscal_position_id": self._get_run_fiscal_position(partner, company),
            "payment_term_id": partner.property_payment_term_id,
            "preferred_payment_method_line_id": partner.property_inbound_payment_method_line_id,
        }

    def _prepare_run_line_vals(self, fiscal_position):
        """Return the values of the run line that bills this item."""
        taxes = self._get_run_taxes(self.tax_ids, self.product_id, self.company_id, fiscal_position)
        return {
            "usage_id": self.id,
            "contract_id": self.contract_id.id,
            "product_id": self.product_id.id,
            "product_uom_id": self.product_uom_id.id,
            "name": self.name or self.product_id.display_name,
            "billing_date_from": self.date,
            "billing_date_to": self.date,
            "quantity": self.quantity,
            "price_unit": self.price_unit,
            "discount": self.discount,
            "amount": self._get_invoiced_amount(taxes),
            "tax_ids": taxes.ids,
            "analytic_distribution": self.analytic_distribution,
        }

    def _get_invoiced_amount(self, taxes):
        """Return what the invoice line will come to, taxes included that are in the price.

        The quantity stays as it was measured, so the amount follows Odoo's rounding.
        """
        if not self._is_price_split_unrounded(taxes, self.company_id):
            return self.amount
        AccountTax = self.env["account.tax"]
        base_line = AccountTax._prepare_base_line_for_taxes_computation(
            self, tax_ids=taxes, currency_id=self.currency_id
        )
        AccountTax._add_tax_details_in_base_line(base_line, self.company_id)
        AccountTax._round_base_lines_tax_details([base_line], self.company_id)
        details = base_line["tax_details"]
        included = [data for data in details["taxes_data"] if data["tax"].price_include]
        return details["total_excluded_currency"] + sum(
            data["tax_amount_currency"] for data in included
        )
