from odoo import fields, models

from .. import periods
from ..models.possible_dates import check_ahead


class BillingCutoff(models.TransientModel):
    """What was billed in advance, and what is not billed yet, at a date."""

    _name = "billing.cutoff"
    _description = "Cut-off Report"
    _inherit = "invoice.run.wizard"

    date = fields.Date(
        "At",
        required=True,
        default=fields.Date.context_today,
        help="Last day of the accounting period, included.",
    )
    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )

    def action_compute(self):
        """Compute the report and open it.

        :raises ValidationError: the date is too far away
        """
        self.ensure_one()
        check_ahead(self, "date", self.company_id._get_invoice_run_today())
        contracts = self.env["billing.contract"].search(
            [
                ("company_id", "=", self.company_id.id),
                ("state", "in", ("active", "closed")),
                ("date_start", "<=", self.date),
            ]
        )
        vals_list = [self._prepare_line_vals(line) for line in contracts.line_ids]
        vals_list += [self._prepare_usage_vals(usage) for usage in self._get_usage()]
        # sudo: nobody else writes what a report says; it was read with the user's rights
        self.env["billing.cutoff.line"].sudo().create(
            [
                {**vals, "cutoff_id": self.id}
                for vals in vals_list
                if vals["billed_in_advance"] or vals["not_yet_billed"]
            ]
        )
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_cutoff_line_action"
        )
        action["domain"] = [("cutoff_id", "=", self.id)]
        return action

    def _get_billed(self, lines):
        """Return the amounts on confirmed invoices that are dated on or before the date."""
        return lines.filtered(
            lambda line: any(
                move.state == "posted" and move.invoice_date <= self.date
                for move in line.move_line_ids.move_id
            )
        )

    def _prepare_line_vals(self, line):
        """Return both figures of one price line, untaxed, in company currency."""
        billed = self._get_billed(line.run_line_ids)
        advance = sum(amount._get_amount_after(self.date) for amount in billed)
        missing = line._get_amount_unbilled(billed, self.date)
        contract = line.contract_id
        records = contract._get_run_document_records()
        account = contract._get_run_account(
            line.product_id, contract.company_id, records["fiscal_position_id"]
        )
        return {
            "contract_id": contract.id,
            "partner_id": contract.partner_id.id,
            "cluster_id": contract.cluster_id.id,
            "product_id": line.product_id.id,
            "account_id": account.id,
            "billed_in_advance": self._convert(line._get_untaxed(advance), contract.currency_id),
            "not_yet_billed": self._convert(line._get_untaxed(missing), contract.currency_id),
        }

    def _get_usage(self):
        """Return the items dated on or before the date that no invoice up to it bills."""
        usage = self.env["billing.usage"].search(
            [("company_id", "=", self.company_id.id), ("date", "<=", self.date)]
        )
        return usage.filtered(lambda item: not self._get_billed(item.run_line_ids))

    def _prepare_usage_vals(self, usage):
        records = usage._get_run_document_records()
        position = records["fiscal_position_id"]
        taxes = usage._get_run_taxes(usage.tax_ids, usage.product_id, self.company_id, position)
        untaxed = taxes.compute_all(usage.amount, usage.currency_id)["total_excluded"]
        return {
            "contract_id": usage.contract_id.id,
            "partner_id": usage.partner_id.id,
            "cluster_id": usage.cluster_id.id,
            "product_id": usage.product_id.id,
            "account_id": usage._get_run_account(usage.product_id, self.company_id, position).id,
            "billed_in_advance": 0.0,
            "not_yet_billed": self._convert(untaxed, usage.currency_id),
        }

    def _convert(self, amount, currency):
        company = self.company_id
        return currency._convert(amount, company.currency_id, company, self.date)


class BillingCutoffLine(models.TransientModel):
    _name = "billing.cutoff.line"
    _description = "Cut-off per Contract and Account"
    _inherit = "invoice.run.wizard"
    _order = "account_id, contract_id, id"

    cutoff_id = fields.Many2one("billing.cutoff", required=True, ondelete="cascade")
    date = fields.Date(related="cutoff_id.date", related_sudo=False, store=True)
    company_id = fields.Many2one(related="cutoff_id.company_id", related_sudo=False)
    currency_id = fields.Many2one(related="company_id.currency_id")
    contract_id = fields.Many2one("billing.contract", ondelete="cascade")
    partner_id = fields.Many2one("res.partner", "Customer", ondelete="cascade")
    cluster_id = fields.Many2one("billing.cluster")
    product_id = fields.Many2one("product.product")
    account_id = fields.Many2one("account.account")
    billed_in_advance = fields.Monetary(help="Invoiced for days after the date: to defer.")
    not_yet_billed = fields.Monetary(help="Days up to the date that no invoice bills: to accrue.")


class InvoiceRunLine(models.Model):
    _inherit = "invoice.run.line"

    def _get_amount_after(self, date):
        """Return what this amount billed for the days after ``date``; credits are negative."""
        self.ensure_one()
        if self.contract_line_id.price_interval == "once":
            return 0.0
        billed = self._get_billed_span()
        part = billed.clip(date + periods.DAY, None)
        if not part:
            return 0.0
        if part == billed:
            return self.amount
        if self.corrects_id:
            return -self.corrects_id._get_billed_amount(part)
        return self._get_billed_amount(part)


class BillingContractLine(models.Model):
    _inherit = "billing.contract.line"

    def _get_amount_unbilled(self, billed, date):
        """Return what the days up to ``date`` cost that none of the ``billed`` amounts bills."""
        self.ensure_one()
        terms = self.contract_id._get_billing_terms()
        if self.price_interval == "once":
            day = self._get_first_open_day(billed.ids)
            spans = [periods.Span(day, day)] if day and day <= date else []
        else:
            spans = self._get_unbilled_spans(billed, date)
        return sum(self._get_charge_vals(terms, span)["amount"] for span in spans)

    def _get_unbilled_spans(self, billed, date):
        first, last = self._get_first_day(), self._get_last_day()
        until = min(last, date) if last else date
        if until < first:
            return []
        credits = billed.filtered("corrects_id").grouped("corrects_id")
        taken = [
            part
            for line in billed.filtered(lambda line: not line.corrects_id)
            for part in periods.open_spans(
                *line._get_billed_span(),
                [credit._get_billed_span() for credit in credits.get(line, [])],
            )
        ]
        return periods.open_spans(first, until, taken)
