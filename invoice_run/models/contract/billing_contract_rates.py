"""Prices by which usage was invoiced stay: usage reported later is rated by them."""

from odoo import models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date

from ..base.states import DOCUMENT_SETTLED

#: Fields of a price line by which its usage is rated, or that give them another value.
RATE_FIELDS = {
    "tariff_id",
    "price_unit",
    "product_id",
    "product_uom_id",
    "discount",
    "aggregation",
    "minimum_amount",
    "maximum_amount",
}


class BillingTariff(models.Model):
    """Another price would be charged, with usage reported later, for what was invoiced as well.

    An invoice would hold a difference that nobody sees. So prices change from a day on: with a copy
    of the tariff, by "Change from Date…".
    """

    _inherit = "billing.tariff"

    def action_view_prices(self):
        """Open the price lines with these tariffs, to give them another one from a day on."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_contract_line_action"
        )
        action["domain"] = [("tariff_id", "in", self.ids)]
        action["views"] = sorted(action["views"], key=lambda view: view[1] != "list")
        return self._with_path("billing-tariff-prices", action)

    def _check_rates_free(self):
        """Refuse a change of what usage costs by these tariffs once some was invoiced.

        :raises UserError: says what to do instead
        """
        lines = Domain("contract_line_id.tariff_id", "in", self.ids)
        amount = self.env["invoice.run.line"]._find_invoiced_usage(lines, limit=1)
        if amount:
            raise UserError(
                self.env._(
                    "Tariff %(tariff)s: usage up to %(date)s has been invoiced by it (%(what)s), "
                    "and usage of these days that is reported later is charged at the same "
                    "prices. Duplicate the tariff, change the copy, and give it to the price lines "
                    "with “Change from Date…”. To correct what was invoiced, reverse it with "
                    "“Release for Invoicing” first.",
                    tariff=amount.contract_line_id.tariff_id.name,
                    date=format_date(self.env, amount.period_to),
                    what=amount._get_reference(),
                )
            )


class BillingContractLine(models.Model):
    _inherit = "billing.contract.line"

    def _get_kept_rates(self, vals):
        """Return {price line: by what usage is rated} of those that ``vals`` may change.

        Only of lines whose usage was invoiced.
        """
        metered = RATE_FIELDS.intersection(vals) and self.filtered("is_metered")
        if not metered:
            return {}
        lines = Domain("contract_line_id", "in", metered.ids)
        invoiced = self.env["invoice.run.line"]._find_invoiced_usage(lines).contract_line_id
        return {line: line._get_rates() for line in invoiced}

    def _get_rates(self):
        """Return by what usage of this line is rated; without the bands of its tariff."""
        names = ("discount", "aggregation", "minimum_amount", "maximum_amount")
        price = self.price_unit if not self.tariff_id else None
        return self.tariff_id.id, price, *(self[name] for name in names)

    def _check_rates_kept(self, before):
        """Refuse other rates than ``before``, see :meth:`_get_kept_rates`.

        :raises UserError: says what to do instead
        """
        changed = [line for line, rates in before.items() if line._get_rates() != rates]
        if changed:
            raise UserError(changed[0]._get_rates_message())

    def _get_rates_message(self):
        """Return why the price of this line is not overwritten, and what to do instead."""
        return self.env._(
            "Contract %(contract)s, line “%(line)s”: its usage up to %(date)s has been invoiced, "
            "and usage of these days that is reported later is charged at the same price. Use "
            "“Change from Date…” to have another price, discount, tariff, minimum or maximum "
            "from a day on. To correct what was invoiced, reverse it with “Release for Invoicing”.",
            contract=self.contract_id.name,
            line=self.name,
            date=format_date(self.env, self.invoiced_until),
        )


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    def _find_invoiced_usage(self, domain, limit=None):
        """Return the amounts of ``domain`` that hold usage that was invoiced, the latest first.

        Where nothing was used, nothing was invoiced by the prices.
        """
        domain &= Domain("is_metered", "=", True) & Domain("is_true_up", "=", False)
        domain &= Domain("is_claimed", "=", True)
        domain &= Domain("document_id.state", "in", DOCUMENT_SETTLED)
        domain &= Domain("rated_quantity", "!=", 0) | Domain("amount", "!=", 0)
        # sudo: whoever changes a price need not see the runs
        found = self.sudo().search(domain, order="period_to DESC, id DESC", limit=limit)
        return found.with_env(self.env)
