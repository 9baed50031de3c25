from odoo import api, models
from odoo.fields import Domain
from odoo.tools import format_date

from ...bulk import remember


class InvoiceRunSource(models.AbstractModel):
    """What a model must answer so that its records can be billed by an invoice run.

    A source only reads: it says who has something due and yields it as *charges*. The run
    groups charges into documents, claims their periods and makes the invoices.

    To add a source, inherit this mixin, extend ``billing.scenario.source`` with its key and
    ``billing.scenario._get_source_model`` with its model name.

    A charge is a dict with

    * ``payer``: the commercial partner (grouping and sending settings are read there);
    * ``document``: values that all charges of one document share, see
      ``invoice.run._get_document_key_fields``;
    * ``bucket``: what one document holds when the payer's invoices are not grouped,
      e.g. ``("contract", contract, period)``: hashable, orderable within a source;
    * ``key`` (optional): further values that never mix on one document;
    * ``unit`` (optional): charges of one unit, neighbours all, are never cut apart;
    * ``contract``: the ``billing.contract`` of the charge, may be empty;
    * ``line``: values of the ``invoice.run.line``.
    """

    _name = "invoice.run.source"
    _description = "Source of an Invoice Run"

    @api.model
    def _get_run_domain(self, run) -> Domain:
        """Return the records that ``run`` selects and that have something due."""
        raise NotImplementedError

    @api.model
    def _get_run_conditions(self, run):
        """Return {code: domain}: what ``run`` asks of a record, so that each can be asked alone.

        Together they are :meth:`_get_run_domain`. A source that names its conditions can tell
        people which of them a record does not meet, see ``invoice.run.explain``.
        """
        return {"selected": self._get_run_domain(run)}

    @api.model
    def _get_run_count(self, run):
        """Return how many records ``run`` would bill; cheap, for the cards of the scenarios."""
        return self.search_count(self._get_run_domain(run))

    @api.model
    def _get_run_payers(self, run):
        """Return the commercial partners for whom something is due, as a recordset."""
        groups = self._read_group(self._get_run_domain(run), [self._get_payer_field()])
        return self.env["res.partner"].union(*(partner for (partner,) in groups))

    @api.model
    def _get_payer_field(self):
        """Return the stored field that holds the commercial partner who pays."""
        return "commercial_partner_id"

    @api.model
    def _collect_run_charges(self, run, payers):
        """Yield the charges that are due for ``payers`` (commercial partners).

        What cannot be billed is yielded as a dict with the key ``exception``: values of an
        ``invoice.run.exception``. Writes nothing.
        """
        raise NotImplementedError

    def _collect_records(self, run, collect):
        """Yield what ``collect(record)`` yields of each of these records.

        When the run isolates records, because something failed in a way that nobody foresaw,
        each is collected under a savepoint and a failure becomes its exception.
        """
        for record in self:
            if not self.env.context.get("invoice_run_isolate"):
                yield from collect(record)
                continue
            try:
                with self.env.cr.savepoint():
                    items = list(collect(record))
            except run._get_retry_errors():
                raise
            except Exception as error:
                self.env.invalidate_all(flush=False)
                message = self.env["invoice.run.document"]._get_error_text(error)
                items = [{"exception": record._prepare_exception_vals("error", message)}]
            yield from items

    def _prepare_exception_vals(self, code, message):
        """Return the values of an exception of this record, without the run."""
        raise NotImplementedError

    @api.model
    def _get_source_charges(self, run, payers):
        """Return charges and exceptions of ``payers`` as two lists."""
        charges, exceptions = [], []
        for item in self._collect_run_charges(run, payers):
            (exceptions if "exception" in item else charges).append(item)
        return charges, [item["exception"] for item in exceptions]

    def _get_run_journal(self, cluster, category, company, currency):
        """Return the sales journal: of the category, else of the cluster, else the company's."""
        journal = category.journal_id or cluster.journal_id
        if journal:
            return journal
        return remember(
            self.env,
            ("journal", company, currency),
            lambda: self._find_run_journal(company, currency),
        )

    def _find_run_journal(self, company, currency):
        Journal = self.env["account.journal"]
        domain = Domain("type", "=", "sale") & Domain(Journal._check_company_domain(company))
        same_currency = Journal
        if currency != company.currency_id:
            same_currency = Journal.search(
                domain & Domain("currency_id", "=", currency.id), limit=1
            )
        return same_currency or Journal.search(domain, limit=1)

    def _get_run_fiscal_position(self, partner, company):
        """Return the fiscal position that Odoo would choose for an invoice to ``partner``."""
        delivery = partner.browse(partner.address_get(["delivery"])["delivery"])
        delivery = delivery.with_prefetch(partner._prefetch_ids)
        return (
            self.env["account.fiscal.position"]
            .with_company(company)
            ._get_fiscal_position(partner, delivery=delivery)
        )

    def _get_run_taxes(self, taxes, product, company, fiscal_position):
        """Return ``taxes`` as they are, or the product's, mapped by the fiscal position.

        As ``account.move.line._get_computed_taxes``: the product's taxes of the company,
        else those of its income account.
        """
        if taxes:
            return taxes
        return remember(
            self.env,
            ("taxes", product, company, fiscal_position),
            lambda: self._find_run_taxes(product, company, fiscal_position),
        )

    def _find_run_taxes(self, product, company, fiscal_position):
        taxes = self.env["account.tax"]
        found = product.taxes_id.filtered_domain(taxes._check_company_domain(company))
        if not found:
            account = self._get_run_account(product, company, fiscal_position)
            found = account.tax_ids.filtered(lambda tax: tax.type_tax_use == "sale")
        return fiscal_position.map_tax(found._filter_taxes_by_company(company))

    def _is_price_split_unrounded(self, taxes, company):
        """Whether Odoo takes the taxes out of a price before it rounds that to the coin.

        Net amount and taxes are then rounded one by one, and may miss the rounded price by a
        coin: an amount that must be met to the coin needs a price without fractions of it.
        """
        if company.tax_calculation_rounding_method != "round_globally":
            return False
        return any(taxes.flatten_taxes_hierarchy().mapped("price_include"))

    def _get_run_account(self, product, company, fiscal_position):
        """Return the income account that the invoice line would get, possibly none."""
        template = product.with_company(company).product_tmpl_id
        return template.get_product_accounts(fiscal_pos=fiscal_position)["income"]

    def _get_document_errors(self, debtor, records, date):
        """Return the reasons, as (code, message), why there can be no invoice.

        :param debtor: who owes it; the invoice address may be somebody else's
        :param records: what decides on the document, see ``_get_run_document_records``
        :param date: invoice date
        """
        company = records["company_id"]
        errors = []
        # one by one they keep what they are read ahead with, a union would not
        for partner in dict.fromkeys([*debtor, *records["partner_id"]]):
            errors += self._get_partner_errors(partner, company)
        errors += self._get_receivable_errors(records)
        errors += self._get_currency_errors(records["currency_id"], company, date)
        if not records["journal_id"]:
            errors.append(("journal", self.env._("There is no sales journal. Create one.")))
        return list(dict.fromkeys(errors))

    def _get_product_errors(self, product, records):
        """Return the reasons, as (code, message), why ``product`` cannot be on an invoice line."""
        errors = []
        if not product:
            errors.append(("product", self.env._("The line has no product. Choose one.")))
        elif not product.active:
            message = self.env._(
                "“%(product)s” is archived. Restore it or choose another product.",
                product=product.display_name,
            )
            errors.append(("product", message))
        else:
            errors += self._get_account_errors(product, records)
        return errors

    def _get_account_errors(self, product, records):
        """Return the reason, as (code, message), why ``product`` has no place in the books.

        Odoo would take the journal's default account, without a word.
        """
        company, fiscal_position = records["company_id"], records["fiscal_position_id"]
        return remember(
            self.env,
            ("account errors", product, company, fiscal_position),
            lambda: self._find_account_errors(product, company, fiscal_position),
        )

    def _find_account_errors(self, product, company, fiscal_position):
        account = self._get_run_account(product, company, fiscal_position)
        if not account:
            message = self.env._(
                "“%(product)s” has no income account. Set one on the product, its category or "
                "the company.",
                product=product.display_name,
            )
            return [("account", message)]
        return self._get_archived_account_errors(account)

    def _get_receivable_errors(self, records):
        """Return the reason, as (code, message), why there is no account for what is owed.

        In the order of ``account.move.line._compute_account_id``.
        """
        company = records["company_id"]
        partner = records["partner_id"].commercial_partner_id.with_company(company)
        account = (
            partner.property_account_receivable_id
            or company.partner_id.with_company(company).property_account_receivable_id
            or self._get_any_receivable(company)
        )
        account = records["fiscal_position_id"].map_account(account)
        if account:
            return self._get_archived_account_errors(account)
        message = self.env._(
            "There is no receivable account for %(partner)s. Set one on the customer.",
            partner=partner.display_name,
        )
        return [("account", message)]

    def _get_any_receivable(self, company):
        domain = [("account_type", "=", "asset_receivable"), ("company_ids", "in", company.ids)]
        return self.env["account.account"].search(domain, limit=1)

    def _get_archived_account_errors(self, account):
        if account.active:
            return []
        message = self.env._(
            "Account %(account)s is archived. Restore it or choose another one.",
            account=account.display_name,
        )
        return [("account", message)]

    def _get_price_errors(self, line):
        """Return the reason, as (code, message), why the price of ``line`` is no price.

        What is meant to be free has a discount of 100 %.
        """
        if line.price_unit:
            return []
        message = self.env._(
            "“%(line)s” has no price. Fill it in; for a free line set a discount of 100 %%.",
            line=line.name,
        )
        return [("price", message)]

    def _get_partner_errors(self, partner, company):
        """Return the reasons, as (code, message), why ``partner`` gets no invoices."""
        partner = partner.with_company(company)
        if not partner.active:
            return [("partner", self.env._("The customer is archived. Restore the contact."))]
        payer = partner.commercial_partner_id
        if payer.billing_hold:
            reason = payer.billing_hold_reason or self.env._("no reason given")
            return [
                (
                    "partner",
                    self.env._("The customer is blocked for invoicing: %(why)s.", why=reason),
                )
            ]
        return []

    def _get_currency_errors(self, currency, company, date):
        """Return the reasons, as (code, message), why ``currency`` cannot be used on ``date``."""
        if not currency.active:
            return [
                ("currency", self.env._("Currency %(name)s is not active.", name=currency.name))
            ]
        if currency == company.currency_id:
            return []
        rates = currency.with_company(company).rate_ids.filtered(
            lambda rate: rate.name <= date and rate.company_id in (company.root_id, False)
        )
        if rates or currency.rate_ids.filtered(
            lambda rate: rate.name <= date and not rate.company_id
        ):
            return []
        return [
            (
                "currency",
                self.env._(
                    "Currency %(name)s has no rate on the invoice date, %(date)s, or before it. "
                    "Add one.",
                    name=currency.name,
                    date=format_date(self.env, date),
                ),
            )
        ]
