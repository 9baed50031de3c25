from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL

from ...engine import periods, planned, recurring
from ...memory import remember, remembering

#: What is charged today, and at which price.
RATES = {"amount_month": "price_month", "amount_year": "price_year"}


class BillingContractLine(models.Model):
    """What a price line comes to per month and per year.

    What does not depend on the day is stored: the price per month and year, and the days on which
    it counts. Whether it is charged today is decided when it is read, by the database for sums of
    many lines, so nothing has to be updated at midnight.
    """

    _inherit = "billing.contract.line"

    partner_id = fields.Many2one(related="contract_id.partner_id", string="Customer")
    cluster_id = fields.Many2one(related="contract_id.cluster_id")
    category_id = fields.Many2one(related="contract_id.category_id")
    price_month = fields.Monetary(
        "Price per Month",
        compute="_compute_price_month",
        store=True,
        engine=True,
        aggregator=None,
        help="What the price comes to in a month, untaxed, after discount, for the whole "
        "quantity: a twelfth of the year, with 365 days or 52 weeks. One-off lines: nothing.",
    )
    price_year = fields.Monetary(
        "Price per Year",
        compute="_compute_price_month",
        store=True,
        engine=True,
        aggregator=None,
        help="What the price comes to in a year of 365 days or 52 weeks, untaxed, after "
        "discount, for the whole quantity. One-off lines: nothing.",
    )
    amount_month = fields.Monetary(
        "Per Month",
        compute="_compute_amount_month",
        help="Untaxed, of the lines that are in force today; on hold or not. One-off lines count "
        "nothing.",
    )
    amount_year = fields.Monetary(
        "Per Year",
        compute="_compute_amount_month",
        help="Untaxed, of the lines that are in force today; on hold or not. One-off lines count "
        "nothing.",
    )

    @api.depends(
        "quantity",
        "price_unit",
        "discount",
        "price_interval",
        "is_metered",
        "minimum_amount",
        "bound_scope",
        "tariff_id.model",
        "tariff_id.included_quantity",
        "tariff_id.package_size",
        "tariff_id.round_up",
        "tariff_id.tier_ids.up_to",
        "tariff_id.tier_ids.price_unit",
        "tariff_id.tier_ids.flat_fee",
        "product_id",
        "tax_ids",
        "contract_id.period_count",
        "contract_id.period_unit",
        "contract_id.currency_id",
        "contract_id.fiscal_position_id",
        "contract_id.partner_id",
        "contract_id.partner_invoice_id",
    )
    def _compute_price_month(self):
        # not by `tax_ids.amount`: for each tax that anybody creates or changes, Odoo would look for
        # products and price lines, though most taxes are not in a price
        with remembering(self.env):
            for line in self:
                line.price_month, line.price_year = line._get_recurring_price()

    @api.model
    def _renew_recurring_prices(self, domain):
        """Have the prices per month of these lines computed again: a tax in them has changed."""
        # sudo: whoever changes a tax or a product need not see the contracts
        lines = self.sudo().with_context(active_test=False).search(domain)
        lines.modified(["tax_ids"])

    def _get_recurring_price(self, vals=None):
        """Return what the price comes to per month and per year, in the contract's currency.

        :param vals: values in which another line would differ from this one: ``quantity``,
            ``price_unit``, ``discount``, ``product_id``
        """
        contract = self.contract_id
        if not contract.currency_id or not self.price_interval or contract.period_count < 1:
            return 0.0, 0.0
        coin = periods.exact(contract.currency_id.rounding)
        try:
            price = self._get_untaxed_price(vals or {})
        except UserError:  # the bands of the tariff are being typed
            return 0.0, 0.0
        terms = (self.price_interval, contract.period_count, contract.period_unit)
        exact = recurring.per_month(price, *terms), recurring.per_year(price, *terms)
        return tuple(float(periods.round_half_up(amount, coin)) for amount in exact)

    def _get_untaxed_price(self, vals):
        """Return the net price of one unit of time without the taxes in it, not rounded.

        :param vals: see :meth:`_get_recurring_price`
        """
        names = ("quantity", "price_unit", "discount")
        quantity, price_unit, discount = (vals.get(name, self[name]) for name in names)
        is_rated = self.is_metered or self.tariff_id
        net = self._get_net_price_at(planned.Price(None, price_unit, quantity, discount))
        if not self._may_include_taxes():
            return net
        product = self.product_id.browse(vals.get("product_id", self.product_id.id))
        contract = self.contract_id
        position = remember(
            self.env,
            ("fiscal position", contract),
            lambda: contract._get_run_document_records()["fiscal_position_id"],
        )
        taxes = contract._get_run_taxes(self.tax_ids, product, contract.company_id, position)
        price = price_unit * (1 - discount / 100)
        if is_rated:
            price, quantity = float(net), 1.0
        details = taxes._get_tax_details(
            price,
            quantity,
            precision_rounding=contract.currency_id.rounding,
            rounding_method="round_globally",
            product=product,
        )
        return periods.exact(round(details["total_excluded"], 10))

    def _may_include_taxes(self):
        """Whether a tax of this line may be in its price; most companies have no such tax."""
        if self.tax_ids:
            return any(self.tax_ids.flatten_taxes_hierarchy().mapped("price_include"))
        company = self.company_id
        return remember(
            self.env, ("included taxes", company), lambda: self._has_included_taxes(company)
        )

    def _has_included_taxes(self, company):
        taxes = self.env["account.tax"]
        domain = [*taxes._check_company_domain(company), ("type_tax_use", "=", "sale")]
        return any(taxes.search(domain).mapped("price_include"))

    @api.depends(
        "price_month",
        "price_year",
        "running_from",
        "running_until",
        "price_ids.date_from",
        "price_ids.price_month",
        "price_ids.price_year",
    )
    def _compute_amount_month(self):
        days = {}
        for line in self:
            company = line.company_id
            if company not in days:
                days[company] = (company or self.env.company)._get_invoice_run_today()
            is_running = line._is_running(days[company])
            rated = line._get_planned_on(days[company]) or line
            line.amount_month = rated.price_month if is_running else 0.0
            line.amount_year = rated.price_year if is_running else 0.0

    def _is_running(self, day):
        """Whether this line charges something for ``day``."""
        first, last = self.running_from, self.running_until
        return bool(first) and first <= day and (not last or last >= day)

    def _field_to_sql(self, alias, field_expr, query=None):
        # EXTENDS 'base': what is charged today can be summed up, grouped and sorted by
        if field_expr not in RATES:
            return super()._field_to_sql(alias, field_expr, query)
        self.env["billing.contract.line.price"].flush_model()
        today = SQL("%s::date", self._get_today_sql(alias))
        return SQL(
            "CASE WHEN %(first)s <= %(today)s AND COALESCE(%(last)s, 'infinity') >= %(today)s "
            "THEN COALESCE((SELECT planned.%(name)s FROM billing_contract_line_price planned "
            "WHERE planned.contract_line_id = %(id)s AND planned.date_from <= %(today)s "
            "ORDER BY planned.date_from DESC LIMIT 1), %(price)s) ELSE 0 END",
            name=SQL.identifier(RATES[field_expr]),
            id=SQL.identifier(alias, "id"),
            first=self._field_to_sql(alias, "running_from", query),
            last=self._field_to_sql(alias, "running_until", query),
            price=self._field_to_sql(alias, RATES[field_expr], query),
            today=today,
        )

    def _get_today_sql(self, alias):
        """Return today in SQL: each company has its local day."""
        # sudo: days are no secret, and a sum may go over all companies
        companies = self.env["res.company"].sudo().search([("active", "in", [True, False])])
        days = {company.id: company._get_invoice_run_today() for company in companies}
        if len(set(days.values())) == 1:
            return SQL("%s", next(iter(days.values())))
        cases = [SQL("WHEN %s THEN %s", company_id, day) for company_id, day in days.items()]
        company = self._field_to_sql(alias, "company_id")
        return SQL("CASE %s %s END", company, SQL(" ").join(cases))

    @api.model
    def _get_recurring_sums(self, fname, records):
        """Return what the lines of ``records`` charge today, in the currency of the company.

        :param fname: the field that leads from a price line to ``records``
        :return: {id: (per month, per year)}, at today's rates
        """
        groups = self._read_group(
            [(fname, "in", records.ids)],
            [fname],
            ["amount_month:sum_currency", "amount_year:sum_currency"],
        )
        return {record.id: tuple(sums) for record, *sums in groups}


class BillingContract(models.Model):
    """What a contract charges today per month and per year."""

    _inherit = "billing.contract"

    amount_month = fields.Monetary(
        "Per Month",
        compute="_compute_amount_month",
        help="Untaxed, of the price lines that are in force today; on hold or not. One-off lines "
        "count nothing.",
    )
    amount_year = fields.Monetary(
        "Per Year",
        compute="_compute_amount_month",
        help="Untaxed, of the price lines that are in force today; on hold or not. One-off lines "
        "count nothing.",
    )

    @api.depends("line_ids.amount_month", "line_ids.amount_year")
    def _compute_amount_month(self):
        for contract in self:
            contract.amount_month = sum(contract.line_ids.mapped("amount_month"))
            contract.amount_year = sum(contract.line_ids.mapped("amount_year"))

    def _field_to_sql(self, alias, field_expr, query=None):
        # EXTENDS 'base': see the price lines
        if field_expr not in RATES:
            return super()._field_to_sql(alias, field_expr, query)
        line = self.env["billing.contract.line"]
        return SQL(
            "(SELECT COALESCE(sum(%(amount)s), 0) FROM billing_contract_line rated "
            "WHERE %(contract)s = %(id)s)",
            amount=line._field_to_sql("rated", field_expr),
            contract=line._field_to_sql("rated", "contract_id"),
            id=SQL.identifier(alias, "id"),
        )

    def action_view_prices(self):
        """Open the price lines of these contracts."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_contract_line_action"
        )
        action["domain"] = [("contract_id", "in", self.ids)]
        action["context"] = {}
        return self._with_path("billing-contract-prices", action)


class BillingCluster(models.Model):
    """What the contracts of a cluster charge today."""

    _inherit = "billing.cluster"

    currency_id = fields.Many2one(related="company_id.currency_id")
    amount_month = fields.Monetary(
        "Per Month",
        compute="_compute_amount_month",
        help="Untaxed, of the price lines that are in force today, in company currency at "
        "today's rates.",
    )
    amount_year = fields.Monetary(
        "Per Year",
        compute="_compute_amount_month",
        help="Untaxed, of the price lines that are in force today, in company currency at "
        "today's rates.",
    )

    @api.depends("company_id")
    def _compute_amount_month(self):
        lines = self.env["billing.contract.line"]
        for company, clusters in self.grouped("company_id").items():
            company_lines = lines.with_company(company or self.env.company)
            sums = company_lines._get_recurring_sums("cluster_id", clusters)
            for cluster in clusters:
                cluster.amount_month, cluster.amount_year = sums.get(cluster._origin.id, (0, 0))

    def action_view_prices(self):
        """Open the price lines of these clusters."""
        self.check_access("read")
        action = self.env["billing.contract"].action_view_prices()
        action["domain"] = [("contract_id.cluster_id", "in", self.ids)]
        return self._with_path("billing-cluster-prices", action)
