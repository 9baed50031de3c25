from odoo import api, models
from odoo.fields import Domain
from odoo.tools import float_round, format_date

from ...engine import periods
from ...engine.charge import Charge, NotBillable, get_charges, get_exceptions
from ...memory import remember, remembering


class InvoiceRunSource(models.AbstractModel):
    """What a model must say so that its records can be invoiced by an invoice run.

    A source only reads: it says which customers have something due and yields it as
    :class:`~odoo.addons.invoice_run.engine.charge.Charge`. The run groups charges into documents,
    claims what they invoice and creates the invoices.

    The attributes below declare the source, all else follows from them: claims and who holds
    them, exclusion, renewal, comparison, exceptions, names and screens. ``docs/extending.md``
    shows a whole source of another addon.
    """

    _name = "invoice.run.source"
    _description = "Source of an Invoice Run"
    _inherit = "invoice.run.stale.mixin"
    _prepares_runs = True

    #: Key of the source in ``billing.scenario.source``. None: the model is no source.
    _source_key = None
    #: Place of the source in lists, and in the order in which claims are entered.
    _source_sequence = 100
    #: Icon of its scenarios on the cards of the Invoice Manager.
    _source_icon = "fa-cube"
    #: Field of ``invoice.run.line`` that names what an amount claims. Only the database can
    #: refuse to invoice it twice: it needs a unique index, or an exclusion constraint, over the
    #: claimed amounts; without one the source is refused when Odoo starts.
    _source_claim_field = None
    #: Field of ``invoice.run.line``, and of ``invoice.run.exception``, that names the record of
    #: this model. May be the same one.
    _source_record_field = None
    #: Whether an amount claims days, from ``period_from`` to ``period_to``, not the whole item.
    _source_has_periods = False
    #: Whether the Invoice Manager asks up to which day to invoice, beside the invoice date.
    _source_has_target = True
    #: Whether the records follow their invoices themselves, as orders do by their invoiced
    #: quantities: the claim ends with the invoice, and an invoice over nothing is created as well.
    _source_follows_invoices = False
    #: Whether a record is invoiced as a whole: people exclude all of its amounts or none.
    _source_is_billed_whole = False
    #: Whether records change in a way that nobody writes down, so that they are looked at again.
    _source_changes_unnoticed = False

    # ------------------------------------------------------------------
    # What is due
    # ------------------------------------------------------------------

    @api.model
    def _get_source_label(self):
        """Return the name of the source, as in "Contracts"; by default the model's."""
        return self.env["ir.model"]._get(self._name).name

    @api.model
    def _get_run_selection_domain(self, run) -> Domain:
        """Return the records that ``run`` selects, claimed by others or not."""
        return Domain("company_id", "=", run.company_id.id) & run._get_source_domain()

    @api.model
    def _get_run_domain(self, run) -> Domain:
        """Return the records that ``run`` selects and that have something due.

        A source defines either this or :meth:`_get_run_conditions`.
        """
        return Domain.AND(self._get_run_conditions(run).values())

    @api.model
    def _get_run_conditions(self, run):
        """Return {code: domain}: what ``run`` asks of a record, so that each can be asked alone.

        Together they are :meth:`_get_run_domain`. A source that names its conditions can tell
        people which of them a record does not meet: ``_get_condition_messages``.
        """
        return {"selected": self._get_run_domain(run)}

    @api.model
    def _get_run_count(self, run):
        """Return how many records ``run`` would invoice; cheap, for the cards of the scenarios."""
        return self.search_count(self._get_run_domain(run))

    @api.model
    def _get_run_payers(self, run):
        """Return the commercial partners for whom something is due, as a recordset."""
        groups = self._read_group(self._get_run_domain(run), [self._get_payer_field()])
        return self.env["res.partner"].union(*(partner for (partner,) in groups))

    @api.model
    def _get_payer_field(self):
        """Return the stored field of the commercial partner who pays."""
        return "commercial_partner_id"

    @api.model
    def _collect_run_charges(self, run, payers):
        """Yield what is due for ``payers`` (commercial partners). Writes nothing.

        What cannot be invoiced is yielded as ``NotBillable``.
        """
        domain = self._get_run_domain(run) & Domain(self._get_payer_field(), "in", payers.ids)
        yield from self.search(domain)._collect_charges(run)

    def _collect_charges(self, run):
        """Yield the charges, or the exceptions, of each of these records."""
        yield from self._collect_records(run, lambda record: record._collect_record(run))

    def _collect_record(self, run):
        """Yield the charges of one record, or the exceptions that say why there are none."""
        records = self._get_run_document_records()
        errors = self._get_run_errors(run, records)
        yield from self._get_exceptions(run, errors, lambda: self._get_run_charges(records))
        if not errors:
            yield from self._get_run_charges(records)

    def _get_run_errors(self, run, records):
        """Return all reasons, as (code, message), why this record cannot be invoiced.

        :param records: see :meth:`_get_run_document_records`
        """
        return self._get_document_errors(self.partner_id, records, run.invoice_date)

    def _get_run_charges(self, records):
        """Return the charges of this record, as ``Charge``.

        :param records: see :meth:`_get_run_document_records`
        """
        raise NotImplementedError

    def _prepare_charge(self, records, line, **values):
        """Return the charge of one amount of this record.

        :param records: see :meth:`_get_run_document_records`
        :param line: values of the ``invoice.run.line``
        :param values: further fields of :class:`Charge`, or others than these
        """
        payer = records["partner_id"].commercial_partner_id
        document = {name: record.id for name, record in records.items()}
        if "key" not in values:
            values["key"] = self._get_grouping_key()
        defaults = {"payer": payer, "document": document, "bucket": (self._source_key, 0)}
        return Charge(**{**defaults, **values}, line=line)

    def _prepare_item_vals(
        self, records, product, *, day, quantity, price_unit, discount=0.0, taxes=None, **vals
    ):
        """Return the values of an amount that invoices something once: quantity × price.

        :param records: see :meth:`_get_run_document_records`
        :param day: what the invoice shows as its date
        :param taxes: as they are; none: those of the product, mapped by the fiscal position
        :param vals: further values of the ``invoice.run.line``, or others than these
        """
        self.ensure_one()
        position = records["fiscal_position_id"]
        taxes = self._get_run_taxes(taxes, product, self.company_id, position)
        # as they are stored: the amount would not know of anything else
        quantity = self._round_as_stored("quantity", quantity)
        discount = self._round_as_stored("discount", discount)
        return {
            self._source_record_field: self.id,
            "product_id": product.id,
            "product_uom_id": product.uom_id.id,
            "name": product.display_name,
            "billing_date_from": day,
            "billing_date_to": day,
            "quantity": quantity,
            "price_unit": price_unit,
            "discount": discount,
            "amount": self._get_item_amount(quantity, price_unit, discount, taxes),
            "tax_ids": taxes.ids,
            **vals,
        }

    @api.model
    def _round_as_stored(self, name, value):
        """Return ``value`` with the digits of the field ``name`` of an amount."""
        _total, digits = self.env["invoice.run.line"]._fields[name].get_digits(self.env)
        return float_round(value, precision_digits=digits)

    def _get_rounded_price(self, quantity, price_unit, discount):
        """Return quantity × price after discount, rounded to the coin."""
        coin = periods.exact(self.currency_id.rounding or 0.01)
        price = periods.net_price(quantity, price_unit, discount)
        return float(periods.round_half_up(price, coin))

    def _get_item_amount(self, quantity, price_unit, discount, taxes):
        """Return what the invoice line will come to, taxes included that are in the price.

        The quantity stays as it was measured, so the amount follows Odoo's rounding.
        """
        if not self._is_price_split_unrounded(taxes, self.company_id):
            return self._get_rounded_price(quantity, price_unit, discount)
        AccountTax = self.env["account.tax"]
        base_line = AccountTax._prepare_base_line_for_taxes_computation(
            self,
            quantity=quantity,
            price_unit=price_unit,
            discount=discount,
            tax_ids=taxes,
            currency_id=self.currency_id,
        )
        AccountTax._add_tax_details_in_base_line(base_line, self.company_id)
        AccountTax._round_base_lines_tax_details([base_line], self.company_id)
        details = base_line["tax_details"]
        included = [data for data in details["taxes_data"] if data["tax"].price_include]
        return details["total_excluded_currency"] + sum(
            data["tax_amount_currency"] for data in included
        )

    def _get_grouping_key(self):
        """Return values that never mix on one document, beside those of every document."""
        return ()

    def _get_run_document_records(self):
        """Return the records that decide on which document this record is invoiced.

        By default those of an invoice to the invoice address of ``partner_id``.
        """
        self.ensure_one()
        return self._get_customer_records()

    def _get_customer_records(self, cluster=None, category=None):
        """Return what decides on a document to the invoice address of ``partner_id``.

        :param cluster: whose journal it has; the one of ``category`` comes first
        """
        company, currency = self.company_id, self.currency_id
        customer = self.with_company(company).partner_id
        partner = customer.browse(customer.address_get(["invoice"])["invoice"])
        cluster = cluster or self.env["billing.cluster"]
        category = category or self.env["billing.category"]
        return {
            "partner_id": partner,
            "company_id": company,
            "currency_id": currency,
            "journal_id": self._get_run_journal(cluster, category, company, currency),
            "fiscal_position_id": self._get_run_fiscal_position(partner, company),
            "payment_term_id": partner.property_payment_term_id,
            "preferred_payment_method_line_id": partner.property_inbound_payment_method_line_id,
        }

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
                items = [NotBillable(record._prepare_exception_vals("error", message))]
            yield from items

    def _prepare_exception_vals(self, code, message):
        """Return the values of an exception of this record, without the run."""
        return {
            self._source_record_field: self.id,
            "partner_id": self.partner_id.id,
            "code": code,
            "message": message,
        }

    @api.model
    def _get_source_charges(self, run, payers):
        """Return charges and values of exceptions of ``payers`` as two lists."""
        items = list(self._collect_run_charges(run, payers))
        return get_charges(items), get_exceptions(items)

    # ------------------------------------------------------------------
    # What became of it
    # ------------------------------------------------------------------

    def _follow_claims(self):
        """Update these records after a change of their claims or of the invoices of these.

        By default nothing is stored on them.
        """

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return [(self._source_record_field, "in", self.ids)]

    @api.model
    def _get_sought_record(self, line):
        """Return the record of the amount ``line`` that people look for."""
        return line[self._source_record_field]

    @api.model
    def _get_document_names(self, document):
        """Return the names of what ``document`` invoices of this source."""
        return document.line_ids[self._source_record_field].mapped("display_name")

    @api.model
    def _would_bill(self, run, line):
        """Whether ``run`` would invoice what the amount ``line`` of another run holds."""
        return line.billing_date_from <= run.target_date

    @api.model
    def _is_recurring(self, line):
        """Whether the amount ``line`` comes again, so that it can be compared with earlier ones."""
        return True

    @api.model
    def _get_change_errors(self, document):
        """Return what changed since ``document`` has amounts and forbids an invoice.

        What the fields of ``_get_stale_fields`` say need not be said here.
        """
        return []

    @api.model
    def _create_run_moves(self, documents):
        """Create the draft invoices of these documents of one company; return them in order."""
        with remembering(self.env):
            vals_list = [document._prepare_move_vals() for document in documents]
        return documents._create_drafts(vals_list)

    # ------------------------------------------------------------------
    # Looked up for charges
    # ------------------------------------------------------------------

    def _get_run_journal(self, cluster, category, company, currency):
        """Return the sales journal: of the category, else of the cluster, else the company's."""
        journal = category.journal_id or cluster.journal_id
        if journal:
            return journal
        return remember(
            self.env,
            ("journal", company.id, currency.id),
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
            ("taxes", product.id, company.id, fiscal_position.id),
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
        return remember(
            self.env,
            ("price include", taxes._ids),
            lambda: any(taxes.flatten_taxes_hierarchy().mapped("price_include")),
        )

    def _get_run_account(self, product, company, fiscal_position):
        """Return the income account that the invoice line would get, possibly none."""
        template = product.with_company(company).product_tmpl_id
        return template.get_product_accounts(fiscal_pos=fiscal_position)["income"]

    def _get_document_errors(self, debtor, records, date):
        """Return the reasons, as (code, message), why there can be no invoice.

        Asked again before the invoice is created, of no record then.

        :param debtor: the partner who owes it; the invoice address may be another one's
        :param records: what decides on the document, see ``_get_run_document_records``
        :param date: invoice date
        """
        company = records["company_id"]
        errors = []
        # one by one they keep their prefetch, which a union would lose
        for partner in dict.fromkeys([*debtor, *records["partner_id"]]):
            errors += self._get_partner_errors(partner, company)
        errors += self._get_receivable_errors(records)
        errors += self._get_currency_errors(records["currency_id"], company, date)
        errors += self._get_journal_errors(records["journal_id"])
        return list(dict.fromkeys(errors))

    def _get_journal_errors(self, journal):
        """Return the reason, as (code, message), why there is no journal to invoice in."""
        if not journal:
            return [("journal", self.env._("There is no sales journal. Create one."))]
        if journal.active:
            return []
        message = self.env._(
            "Journal %(journal)s is archived. Restore it, or choose another one on the invoice "
            "category or the cluster.",
            journal=journal.display_name,
        )
        return [("journal", message)]

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

    def _get_tax_errors(self, taxes):
        """Return the reasons, as (code, message), why taxes that somebody chose cannot be used."""
        return [
            (
                "taxes",
                self.env._(
                    "Tax %(tax)s is archived. Restore it or choose another one.",
                    tax=tax.display_name,
                ),
            )
            for tax in taxes
            if not tax.active
        ]

    def _get_account_errors(self, product, records):
        """Return the reason, as (code, message), why ``product`` has no place in the books.

        Odoo would take the journal's default account, without a word.
        """
        company, fiscal_position = records["company_id"], records["fiscal_position_id"]
        return remember(
            self.env,
            ("account errors", product.id, company.id, fiscal_position.id),
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
        """Return the reason, as (code, message), why the price of ``line`` cannot be used.

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
        payer = partner.commercial_partner_id
        if not (partner.active and payer.active):
            return [("partner", self.env._("The customer is archived. Restore the contact."))]
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
