from datetime import UTC
from functools import partial

from odoo import api, models
from odoo.exceptions import UserError
from odoo.fields import Command, Domain

from ...engine.charge import NotBillable


class SaleOrder(models.Model):
    """What an order has to invoice, read through the hooks by which Sales itself invoices."""

    _inherit = "sale.order"

    _to_invoice_idx = models.Index("(company_id, date_order) WHERE invoice_status = 'to invoice'")

    @api.model
    def _get_source_label(self):
        # EXTENDS 'invoice.run.source'
        return self.env._("Sales Orders")

    @api.model
    def _get_payer_field(self):
        # EXTENDS 'invoice.run.source': the customer of the invoice owes it, as on the invoice
        return "partner_invoice_id.commercial_partner_id"

    @api.model
    def _get_run_payers(self, run):
        # EXTENDS 'invoice.run.source': the commercial partner is not stored on orders
        groups = self._read_group(self._get_run_domain(run), ["partner_invoice_id"])
        partners = self.env["res.partner"].union(*(partner for (partner,) in groups))
        return partners.commercial_partner_id

    @api.model
    def _get_run_selection_domain(self, run):
        # EXTENDS 'invoice.run.source': with something to invoice, held or not
        return Domain.AND(self._get_selection_conditions(run).values())

    @api.model
    def _get_selection_conditions(self, run):
        """Return {code: domain} of :meth:`_get_run_selection_domain`.

        Orders of or before the target date, by the day of the order in the company.
        """
        conditions = self._get_open_conditions(run.company_id, run.target_date)
        if run.skip_before:
            begin = run.company_id._get_invoice_run_day_start(run.skip_before)
            conditions["skipped"] = Domain("date_order", ">=", begin)
        clusters = run.cluster_ids or run.scenario_id.cluster_ids
        if clusters:
            conditions["cluster"] = Domain("billing_cluster_id", "in", clusters.ids)
        return conditions | run._get_source_conditions()

    @api.model
    def _get_open_conditions(self, company, last_day):
        """Return {code: domain} of the orders up to ``last_day`` that have something to invoice."""
        end = company._get_invoice_run_day_start(last_day, 1)
        return {
            "company": Domain("company_id", "=", company.id),
            "state": Domain("state", "=", "sale"),
            "to_invoice": Domain("invoice_status", "=", "to invoice"),
            "dates": Domain("date_order", "<", end),
        }

    @api.model
    def _get_unclaimed_domain(self):
        """Return the orders that no run holds."""
        return Domain("run_line_ids", "not any", Domain("is_claimed", "=", True))

    @api.model
    def _get_run_conditions(self, run):
        # EXTENDS 'invoice.run.source'
        return {**self._get_selection_conditions(run), "claimed": self._get_unclaimed_domain()}

    @api.model
    def _collect_run_charges(self, run, payers):
        domain = self._get_run_domain(run) & Domain(self._get_payer_field(), "in", payers.ids)
        orders = self.search(domain, order="date_order, id")
        yield from orders._collect_records(run, lambda order: order._collect_order(run))

    def _collect_order(self, run):
        """Yield the charges of one order, or the exceptions that say why there are none."""
        order = self._with_invoice_context()
        try:
            invoice_vals = order._prepare_invoice()
            lines = list(order._get_run_invoice_lines())
        except UserError as error:
            yield NotBillable(self._prepare_exception_vals("order", str(error)))
            return
        records = order._get_order_document_records(invoice_vals)
        # in the language of the user, not of the customer
        reader = self.with_company(self.company_id)
        errors = reader._get_run_errors(run, records)
        errors += reader._get_order_errors(records, lines)
        get_charges = partial(order._get_order_charges, invoice_vals, records, lines)
        yield from order._get_exceptions(run, errors, get_charges)
        if not errors:
            yield from order._get_order_charges(invoice_vals, records, lines)

    def _with_invoice_context(self):
        """Return this order in the company and language in which Sales creates its invoice."""
        self.ensure_one()
        order = self.with_company(self.company_id)
        lang = order.partner_invoice_id.lang
        return order.with_context(lang=lang) if lang else order

    def _get_run_invoice_lines(self):
        """Yield (order line, values of its invoice line) of all that is to invoice now.

        What ``_create_invoices(final=True)`` invoices: over-invoiced quantities and down
        payments as negative ones. Without sections and notes: those carry no amount.
        """
        for number, line in enumerate(self._get_invoiceable_lines(final=True)):
            options = {"sequence": number, **line._get_run_down_payment_vals()}
            for vals in line._prepare_invoice_lines_vals_list(**options):
                if vals.get("display_type", "product") == "product":
                    yield line, vals

    def _read_invoiceable_ahead(self):
        """Read at once what ``_get_invoiceable_lines`` would have read order by order."""
        self.order_line.fetch(["tax_ids", "invoice_lines"])
        self.order_line.invoice_lines.fetch(["is_downpayment", "account_id"])

    def _get_untaxed_to_invoice(self):
        """Return what a run would invoice now of this order, untaxed, in its currency."""
        AccountTax = self.env["account.tax"]
        base_lines = [
            line._prepare_base_line_for_taxes_computation(
                quantity=vals["quantity"],
                price_unit=vals.get("price_unit", 0.0),
                discount=vals.get("discount", 0.0),
                extra_tax_data=vals.get("extra_tax_data"),
            )
            for line, vals in self._get_run_invoice_lines()
        ]
        AccountTax._add_tax_details_in_base_lines(base_lines, self.company_id)
        AccountTax._round_base_lines_tax_details(base_lines, self.company_id)
        return sum(one["tax_details"]["total_excluded_currency"] for one in base_lines)

    def _get_run_document_records(self):
        # EXTENDS 'invoice.run.source': as Sales invoices the order
        return self._get_order_document_records(self._with_invoice_context()._prepare_invoice())

    def _get_order_document_records(self, invoice_vals):
        """Return the records that decide on which document this order is invoiced.

        :param invoice_vals: see ``_prepare_invoice``
        """
        company = self.company_id
        currency = self.env["res.currency"].browse(invoice_vals["currency_id"])
        journal = self.env["account.journal"].browse(invoice_vals.get("journal_id"))
        return {
            "partner_id": self.env["res.partner"].browse(invoice_vals["partner_id"]),
            "company_id": company,
            "currency_id": currency,
            "journal_id": journal
            or self._get_run_journal(
                self.billing_cluster_id, self.env["billing.category"], company, currency
            ),
            "fiscal_position_id": self.env["account.fiscal.position"].browse(
                invoice_vals["fiscal_position_id"]
            ),
            "payment_term_id": self.env["account.payment.term"].browse(
                invoice_vals["invoice_payment_term_id"]
            ),
            "preferred_payment_method_line_id": self.env["account.payment.method.line"].browse(
                invoice_vals["preferred_payment_method_line_id"]
            ),
        }

    def _get_order_errors(self, records, lines):
        """Return the reasons, as (code, message), why these lines cannot be invoiced."""
        errors = []
        products = {vals.get("product_id") for _line, vals in lines}
        for product in self.env["product.product"].browse(sorted(filter(None, products))):
            # an archived product is no reason: Sales invoices what was ordered before
            errors += self._get_account_errors(product, records)
        return list(dict.fromkeys(errors))

    def _prepare_exception_vals(self, code, message):
        # EXTENDS 'invoice.run.source'
        vals = super()._prepare_exception_vals(code, message)
        return {**vals, "partner_id": self.partner_invoice_id.id}

    def _get_grouping_key(self):
        # EXTENDS 'invoice.run.source': what Sales keeps apart is never merged
        vals = self._with_invoice_context()._prepare_invoice()
        return tuple(vals.get(key) for key in self._get_invoice_grouping_keys())

    @api.model
    def _get_document_names(self, document):
        # EXTENDS 'invoice.run.source'
        return document.line_ids.sale_order_id.mapped("name")

    @api.model
    def _is_recurring(self, line):
        # EXTENDS 'invoice.run.source': what a customer orders need not resemble what he ordered
        return False

    def _get_order_charges(self, invoice_vals, records, lines):
        """Yield the charges of this order."""
        key = self._get_grouping_key()
        seen = set()
        for line, vals in lines:
            # an addon may create several invoice lines of one: the first holds the claim
            amount = self._prepare_run_line_vals(line, vals, claims=line.id not in seen)
            bucket = ("sale", self.id)
            yield self._prepare_charge(records, amount, bucket=bucket, unit=self.id, key=key)
            seen.add(line.id)

    def _prepare_run_line_vals(self, line, vals, claims):
        """Return the values of the amount that becomes the invoice line ``vals``."""
        day = self._get_run_date()
        price, discount = vals.get("price_unit", 0.0), vals.get("discount", 0.0)
        return {
            "sale_order_id": self.id,
            "sale_line_id": claims and line.id,
            "product_id": vals.get("product_id"),
            "product_uom_id": vals.get("product_uom_id"),
            "name": vals.get("name") or self.name,
            "billing_date_from": day,
            "billing_date_to": day,
            "quantity": vals["quantity"],
            "price_unit": price,
            "discount": discount,
            "amount": self._get_rounded_price(vals["quantity"], price, discount),
            "tax_ids": get_command_ids(vals.get("tax_ids")),
            "extra_tax_data": vals.get("extra_tax_data") or False,
            "analytic_distribution": vals.get("analytic_distribution")
            or line.analytic_distribution,
        }

    def _get_run_date(self):
        """Return the day of the order in its company."""
        zone = self.company_id._get_invoice_run_zone()
        return self.date_order.replace(tzinfo=UTC).astimezone(zone).date()


def get_command_ids(commands):
    """Return the ids that these commands, or this list of ids, leave in an empty relation."""
    ids = []
    for command in commands or []:
        if isinstance(command, int):
            ids.append(command)
        elif command[0] == Command.SET:
            ids = list(command[2])
        elif command[0] == Command.LINK:
            ids.append(command[1])
    return ids
