from odoo import api, models

from .. import core
from ..bulk import BulkHead
from ..bypassed import BYPASSED_METHODS, LINE_COMPUTES, MOVE_COMPUTES, NUMBERING_METHODS, WATCHED
from ..found_once import found_once
from ..known_overrides import CORE, get_limited, is_known

#: Values that the bulk path was compared with. Others may have a meaning for ``create``.
KNOWN_MOVE_VALUES = {
    "move_type",
    "company_id",
    "journal_id",
    "partner_id",
    "currency_id",
    "invoice_date",
    "fiscal_position_id",
    "invoice_payment_term_id",
    "preferred_payment_method_line_id",
    "invoice_user_id",
    "invoice_origin",
    "ref",
    "billing_title",
    "billing_category_id",
    "invoice_run_id",
    "invoice_run_document_id",
    "invoice_line_ids",
    "invoice_date_due",
    "delivery_date",
}
#: Default values of these fields change nothing: the document gives the value, or nothing of what
#: is computed here depends on it.
HARMLESS_DEFAULTS = {
    "account.move": {
        *(KNOWN_MOVE_VALUES - {"delivery_date", "invoice_date_due"}),
        *("auto_post", "incoterm_location", "invoice_incoterm_id", "narration"),
        *("partner_bank_id", "qr_code_method"),
    },
    # taxes and terms get the defaults as well
    "account.move.line": set(),
}
KNOWN_LINE_VALUES = {
    "product_id",
    "product_uom_id",
    "name",
    "quantity",
    "price_unit",
    "discount",
    "tax_ids",
    "billing_date_from",
    "billing_date_to",
    "invoice_run_line_id",
    "billing_credited_line_id",
    "analytic_distribution",
    "display_type",
    "sequence",
}


class InvoiceRunBulk(models.AbstractModel):
    """What keeps invoices from being created in bulk: other addons, their company, their values.

    What is not proven to give the same rows is an obstacle.
    """

    _inherit = "invoice.run.bulk"

    @api.model
    def _is_on(self):
        """Whether invoices are created in bulk where nothing about themselves is in the way."""
        return (
            core.is_as_read(self.env, core.CREATE)
            and not self._is_off()
            and not self._get_unknown_overrides()
            # a rule may change an item before taxes and terms follow
            and not self._is_patched("account.move.line", WATCHED)
        )

    @api.model
    def _is_off(self):
        """Whether the system parameter ``invoice_run.bulk_create`` turns bulk creation off."""
        # sudo: a technical setting
        value = self.env["ir.config_parameter"].sudo().get_param("invoice_run.bulk_create", "1")
        return value.strip().lower() in ("0", "false", "no", "off")

    @api.model
    def _get_registry_obstacles(self):
        """Return what other addons change that the bulk path does itself, as names."""
        return [f"{name} ({module})" for name, module in self._get_unknown_overrides()]

    @api.model
    @found_once
    def _get_unknown_overrides(self):
        """Return [(model.name, addon)] of what stands in the way of the bulk path everywhere."""
        return [
            *self._get_overridden_methods(BYPASSED_METHODS),
            *self._get_unknown_fields("account.move", MOVE_COMPUTES),
            *self._get_unknown_fields("account.move.line", LINE_COMPUTES),
        ]

    @api.model
    def _is_create_extended(self):
        """Whether an addon that nobody read, or a rule, may change new invoices at once."""
        return self._is_create_overridden() or self._is_patched("account.move", {"create"})

    @api.model
    @found_once
    def _is_create_overridden(self):
        return any(self._get_overridden_methods({"account.move": {"create"}}))

    @api.model
    def _is_numbering_known(self, journals):
        """Whether numbers in ``journals`` depend on nothing but journal, date and type.

        A localisation may count its kinds of documents apart, which only its own methods know.
        """
        limited = get_limited(self.env.registry._init_modules, numbers=True)
        return self._is_numbering_read() and not any(
            journal[known.journal_field]
            if known.journal_field
            else known.country in self._get_country_codes(journal.company_id)
            for _module, known in limited
            for journal in journals
        )

    @api.model
    @found_once
    def _is_numbering_read(self):
        """Whether no addon that nobody read has a part in numbers."""
        return not any(self._get_overridden_methods({"account.move": NUMBERING_METHODS}))

    @api.model
    def _get_country_codes(self, company):
        """Return the codes of the country of ``company``: addons ask for the one or the other."""
        return {company.account_fiscal_country_id.code, company.country_id.code} - {False}

    @api.model
    def _get_overridden_methods(self, methods):
        """Yield (model.name, addon) of each of {model: methods} whose override is not known.

        What is known is in ``known_overrides.py``.
        """
        for model_name, names in methods.items():
            for name in names:
                for module in self._get_modules(model_name, name):
                    if not is_known(f"{model_name}.{name}", module):
                        yield f"{model_name}.{name}", module

    def _is_patched(self, model_name, methods):
        """Whether a rule of Automations, or somebody else, replaced one of these methods."""
        return not vars(type(self.env[model_name])).keys().isdisjoint(methods)

    def _get_modules(self, model_name, method):
        """Return the addons that define ``method``; parts of Odoo's core are none."""
        return [
            cls.__module__.split(".")[2]
            for cls in type(self.env[model_name]).__mro__
            if method in cls.__dict__ and cls.__module__.startswith("odoo.addons.")
        ]

    def _get_unknown_fields(self, model_name, computes):
        """Yield (model.name, addon) of stored fields that ``create`` computes as we do not know."""
        for name, field in self.env[model_name]._fields.items():
            is_ours = name in computes
            is_changed = is_ours and field.related is None and field.compute != computes[name]
            if not is_changed and (is_ours or not field.precompute):
                continue
            # the core's own change is not known either
            modules = set(field._modules) - CORE or set(field._modules)
            for module in sorted(modules):
                if module in CORE or not is_known(f"{model_name}.{name}", module):
                    yield f"{model_name}.{name}", module

    @api.model
    def _get_company_obstacles(self, company, move_type=None):
        """Return what keeps invoices of ``company`` from the bulk path, as labels and addons.

        :param move_type: also what concerns invoices of this type only
        """
        fields_ = ("account_storno", "account_discount_expense_allocation_id")
        reasons = [
            company._fields[name]._description_string(self.env) for name in fields_ if company[name]
        ]
        countries = self._get_country_codes(company)
        local = {
            module: None
            for module, known in get_limited(self.env.registry._init_modules)
            if known.country in countries and known.move_type in (None, move_type)
        }
        return [*reasons, *self._get_defaults(company), *local]

    def _get_defaults(self, company):
        """Yield the labels of fields whose default values ``create`` would work with.

        They are those of the user, as Odoo's are, or come with the context.
        """
        keys = [key for key in self.env.context if key.startswith("default_")]
        in_context = {key.removeprefix("default_") for key in keys}
        for name, harmless in HARMLESS_DEFAULTS.items():
            model = self.env[name].with_company(company)
            stored = self.env["ir.default"].with_company(company)._get_model_defaults(name)
            for field in sorted((in_context | stored.keys()) & model._fields.keys() - harmless):
                # on what somebody added nothing depends that is computed here
                if CORE.intersection(model._fields[field]._modules):
                    label = model._fields[field]._description_string(self.env)
                    yield self.env._("default value of “%(field)s”", field=label)

    @api.model
    def _get_known_move_values(self):
        """Return the values of an invoice with which it is created in bulk.

        An addon can add its own, where nothing else of the invoice follows from them.
        """
        return KNOWN_MOVE_VALUES

    @api.model
    def _get_known_line_values(self):
        """Return the same for a product line."""
        return KNOWN_LINE_VALUES

    @api.model
    def _get_bulk_obstacles(self, vals, cache):
        """Return why the invoice of ``vals`` is created by plain ``create``, as short texts.

        What is not proven to give the same rows belongs here. An addon can extend the list.

        :param cache: a ``BulkCache``
        """
        lines_vals = [command[2] for command in vals["invoice_line_ids"]]
        unknown = set(vals) - self._get_known_move_values()
        unknown |= set().union(*lines_vals) - self._get_known_line_values()
        if unknown or not vals["partner_id"] or not vals["invoice_date"] or not lines_vals:
            return [f"values: {', '.join(sorted(unknown))}"]
        head = BulkHead(vals, cache)
        checks = {
            "early payment discount": head.term.early_discount,
            "due date": bool(head.term) == bool(vals.get("invoice_date_due")),
            "receivable account": not head.get_receivable_account(),
        }
        reasons = list(head.get_company_obstacles())
        reasons += [reason for reason, found in checks.items() if found]
        for line_vals in lines_vals:
            if not line_vals.get("display_type"):
                reasons += self._get_line_obstacles(line_vals, head)
        return reasons

    def _get_line_obstacles(self, vals, head):
        """Return why a product line needs plain ``create``."""
        if not vals.get("product_id") or not vals.get("name") or not vals.get("quantity"):
            return ["product line without product, name or quantity"]
        reasons = []
        if not vals.get("analytic_distribution", True):
            reasons.append("no analytic distribution on purpose")
        if not head.get_income_account(vals["product_id"]):
            reasons.append("income account")
        if not self._are_taxes_plain(head.cache.get_taxes(vals)):
            reasons.append("taxes")
        return reasons

    def _are_taxes_plain(self, taxes):
        """Whether these taxes are due with the invoice, and of a kind that was compared."""
        return all(
            tax.tax_exigibility == "on_invoice"
            and tax.amount_type in ("percent", "fixed", "division")
            for tax in taxes.flatten_taxes_hierarchy()
        )
