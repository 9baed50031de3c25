"""What bulk creation of invoices looks up once: for a batch, and for one invoice of it.

The values are those that ``account.move.create`` computes; the docstrings name the methods.
"""

from contextlib import contextmanager

from odoo import fields
from odoo.tools import frozendict

from .numbering import NotInBulkError, get_chunk
from .plain_taxes import get_percents

#: In the context, as ``invoice_run_bulk``: invoices are created in bulk as drafts, or as confirmed.
#: Objects, because over RPC nobody can send one.
BULK, CONFIRMED = object(), object()
#: Key of the cursor's cache, while invoices with all their items are inserted.
CREATING = "invoice_run.creating"
#: What items, their accounts and due dates follow from.
DECISIVE = {
    *("partner_id", "invoice_payment_term_id", "fiscal_position_id", "journal_id"),
    *("currency_id", "invoice_currency_rate", "invoice_date", "date"),
}


def is_bulk(env):
    """Whether records are created in bulk."""
    return env.context.get("invoice_run_bulk") in (BULK, CONFIRMED)


def is_creating(env, *kinds):
    """Whether invoices are created in bulk right now, maybe only ``BULK`` or ``CONFIRMED``.

    Not when they are complete: an automation rule, or what another addon does after ``create``, has
    the same context, and what it changes is worked out as always.
    """
    kind = env.context.get("invoice_run_bulk")
    return CREATING in env.cr.cache and kind in (kinds or (BULK, CONFIRMED))


@contextmanager
def creating(env):
    """Inside this block, new invoices get all their items at once."""
    is_inside = CREATING in env.cr.cache
    env.cr.cache[CREATING] = True
    try:
        yield
    finally:
        if not is_inside:
            # gone already where a savepoint was rolled back
            env.cr.cache.pop(CREATING, None)


def check_unchanged(env, vals):
    """Refuse that another addon writes ``vals`` on invoices that it has just seen created.

    Odoo leaves some fields of a new invoice to be computed later, after such a change; in bulk they
    have been computed.

    :raises NotInBulkError: the chunk can be created once more, one step after the other
    """
    chunk = get_chunk(env)
    is_complete = is_bulk(env) and not is_creating(env)
    if chunk and is_complete and not DECISIVE.isdisjoint(vals):
        raise NotInBulkError


class BulkCache:
    """What the invoices of one batch share."""

    def __init__(self, env, vals_list):
        self.env = env
        #: ``BULK`` or ``CONFIRMED``
        self.kind = BULK
        self._found = {}
        self._prefetch_ids = self._get_prefetch_ids(vals_list)
        self._lines = env["account.move.line"]
        self._precision = env["decimal.precision"].precision_get("Percentage Analytic")
        # sudo: whether there are models at all is no secret
        models = env["account.analytic.distribution.model"].sudo()
        self._has_distribution_models = bool(models.search_count([], limit=1))

    def _get_prefetch_ids(self, vals_list):
        """Return {model: ids of the records that are read together}."""
        lines = [command[2] for vals in vals_list for command in vals["invoice_line_ids"]]
        return {
            "res.partner": {vals["partner_id"] for vals in vals_list} - {False},
            "product.product": {line.get("product_id") for line in lines} - {None, False},
        }

    def get(self, key, make):
        """Return what ``make`` returned the first time that ``key`` was asked for."""
        if key not in self._found:
            self._found[key] = make()
        return self._found[key]

    def browse(self, model, id_):
        """Return the record, read together with the others of the batch."""
        record = self.env[model].browse(id_ or [])
        ids = self._prefetch_ids.get(model)
        return record.with_prefetch(ids) if ids else record

    def get_taxes(self, line_vals):
        """Return the taxes in the values of an invoice line."""
        return self.env["account.tax"].browse(line_vals["tax_ids"][0][2])

    def get_percents(self, line_vals):
        """See :func:`plain_taxes.get_percents`."""
        ids = tuple(line_vals["tax_ids"][0][2])
        return self.get(("percents", ids), lambda: get_percents(self.get_taxes(line_vals)))

    def round(self, name, value):
        """Return a number as field ``name`` of a journal item would hold it."""
        return self._lines._fields[name].convert_to_cache(value or 0.0, self._lines)

    def is_reconciled(self, account_id):
        """Whether items of the account have a residual, see ``_compute_amount_residual``."""
        account = self.env["account.account"].browse(account_id)
        types = ("asset_cash", "liability_credit_card")
        return self.get(
            ("reconciled", account_id), lambda: account.reconcile or account.account_type in types
        )

    def get_distribution(self, line_vals, account, head):
        """Return the analytic distribution of a product line, or False.

        Its own, else that of Odoo's distribution models: see
        ``account.move.line._compute_analytic_distribution``.
        """
        name = "analytic_distribution"
        if line_vals[name]:
            return self._lines._sanitize_values({name: line_vals[name]}, self._precision)[name]
        if not self._has_distribution_models:
            return False
        product = self.browse("product.product", line_vals["product_id"])
        partner = head.commercial_partner
        arguments = frozendict(
            product_id=product.id,
            product_categ_id=product.categ_id.id,
            partner_id=partner.id,
            partner_category_id=tuple(partner.category_id.ids),
            account_prefix=account.code,
            company_id=head.company.id,
        )
        return self.get(("distribution", arguments), lambda: self._find_distribution(arguments))

    def _find_distribution(self, arguments):
        arguments = {
            **arguments,
            "partner_category_id": list(arguments["partner_category_id"]),
            "related_root_plan_ids": self.env["account.analytic.plan"],
        }
        models = self.env["account.analytic.distribution.model"]
        return models._get_distribution(arguments) or False


class BulkHead:
    """What the lines of one invoice share."""

    def __init__(self, vals, cache):
        self.cache = cache
        self.company = cache.browse("res.company", vals["company_id"])
        self.company_currency = self.company.currency_id
        self.currency = cache.browse("res.currency", vals["currency_id"])
        self.partner = cache.browse("res.partner", vals["partner_id"])
        self.commercial_partner = self.partner.commercial_partner_id
        self.fiscal_position = cache.browse("account.fiscal.position", vals["fiscal_position_id"])
        self.term = cache.browse("account.payment.term", vals["invoice_payment_term_id"])
        self.date = fields.Date.to_date(vals["invoice_date"])
        self.move_type = vals["move_type"]
        self.is_refund = self.move_type == "out_refund"
        self.sign = 1 if self.is_refund else -1
        self.rate = self._get_rate()
        self.line_vals = self._prepare_line_vals(vals)

    def get_company_obstacles(self):
        """See ``invoice.run.bulk._get_company_obstacles``."""
        key = ("obstacles", self.company, self.move_type)
        bulk = self.cache.env["invoice.run.bulk"]
        return self.cache.get(
            key, lambda: bulk._get_company_obstacles(self.company, self.move_type)
        )

    def get_tax_key(self):
        """Return what the tax engine knows of the invoice, but for the customer."""
        return self.company.id, self.currency.id, self.rate, self.move_type

    def _get_rate(self):
        """See ``account.move._get_expected_currency_rate_at``."""
        key = ("rate", self.currency, self.company, self.date)
        return self.cache.get(
            key,
            lambda: self.cache.env["res.currency"]._get_conversion_rate(
                from_currency=self.company_currency,
                to_currency=self.currency,
                company=self.company,
                date=self.date,
            ),
        )

    def prepare_move_vals(self, vals):
        """Return what ``create`` would compute of the invoice before it inserts it."""
        return {
            "date": self.date,
            "partner_shipping_id": self.partner.address_get(["delivery"])["delivery"],
            "invoice_currency_rate": self.rate,
            "delivery_date": vals.get("delivery_date", False),
            "taxable_supply_date": False,
            "commercial_partner_id": self.commercial_partner.id,
            "always_tax_exigible": False,
            "is_manually_modified": False,
            **self._prepare_name_vals(),
        }

    def _prepare_name_vals(self):
        """Return the name, see ``account.move._compute_invoice_partner_display_info``.

        Where the customer has none it is left to Odoo.
        """
        name = self.partner.display_name
        return {"invoice_partner_display_name": name} if name else {}

    def get_receivable_account(self):
        """See ``account.move.line._compute_account_id``; the last resorts are left to it."""
        name = "property_account_receivable_id"
        account = (
            self.commercial_partner.with_company(self.company)[name]
            or self.company.partner_id.with_company(self.company)[name]
        )
        return self.fiscal_position.map_account(account) if self.fiscal_position else account

    def get_income_account(self, product_id):
        """See ``account.move.line._compute_account_id``."""

        def find():
            product = self.cache.browse("product.product", product_id)
            template = product.with_company(self.company).product_tmpl_id
            return template.get_product_accounts(fiscal_pos=self.fiscal_position)["income"]

        return self.cache.get(("income", product_id, self.company, self.fiscal_position), find)

    def _prepare_line_vals(self, vals):
        """Return the values that each line of the invoice has unless it says otherwise."""
        zero = ("quantity", "price_unit", "balance", "amount_currency", "price_subtotal")
        zero += ("price_total", "amount_residual", "amount_residual_currency", "discount")
        empty = ("name", "account_id", "product_uom_id", "is_storno", "analytic_distribution")
        empty += ("no_followup", "reconciled", "move_name", "payment_id", "statement_line_id")
        empty += ("statement_id",)
        return {
            **dict.fromkeys(zero, 0.0),
            **dict.fromkeys(empty, False),
            "partner_id": self.commercial_partner.id,
            "currency_id": self.currency.id,
            "tax_ids": [],
            "sequence": 100,
            "date": self.date,
            "invoice_date": self.date,
            "ref": vals.get("ref", False),
            "parent_state": "draft",
        }
