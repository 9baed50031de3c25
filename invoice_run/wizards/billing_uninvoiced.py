from collections import defaultdict

from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from ..engine import periods
from ..memory import remembering
from ..models.base.possible_dates import check_ahead
from ..models.base.states import CONTRACT_BILLED


class BillingUninvoiced(models.TransientModel):
    """What no run ever invoices: days without a contract, and what no schedule selects."""

    _name = "billing.uninvoiced"
    _description = "Never Invoiced"
    _inherit = "invoice.run.wizard"

    date_from = fields.Date(
        "From",
        required=True,
        default=lambda self: fields.Date.context_today(self) + relativedelta(month=1, day=1),
    )
    date_to = fields.Date(
        "To", required=True, default=fields.Date.context_today, help="Last day, included."
    )
    cluster_ids = fields.Many2many(
        "billing.cluster",
        string="Clusters",
        check_company=True,
        context={"active_test": False},
        help="Empty: all.",
    )
    company_id = fields.Many2one(
        "res.company", required=True, default=lambda self: self.env.company
    )
    line_ids = fields.One2many("billing.uninvoiced.line", "report_id", "Lines")
    note = fields.Text("Not Checked", readonly=True)

    def action_compute(self):
        """Look for what is never invoiced and open it; say which schedules could not be read.

        :raises UserError: the days are in the wrong order, or too far away
        """
        self.ensure_one()
        self._check_days()
        # sudo: nobody else writes what a report says; it is read with the user's rights
        report = self.sudo()
        report.line_ids.unlink()
        unread = []
        rows = [
            *self._get_vacancies(),
            *self._get_unselected_contracts(unread),
            *self._get_unselected_orders(unread),
            *self._get_payerless_usage(),
        ]
        report.line_ids.create([{"report_id": self.id, **row} for row in rows])
        report.note = self._get_note(unread)
        action = self.action_view_rows()
        return self._say(self.note, action) if self.note else action

    def action_view_rows(self):
        """Open what was found, without looking for it again."""
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_uninvoiced_line_action"
        )
        action["domain"] = [("report_id", "in", self.ids)]
        # the address names this report also where no button opened the list
        action["context"] = {"search_default_group_cluster": 1, "active_id": self.id}
        return self._with_path("billing-uninvoiced-rows", action)

    def _check_days(self):
        check_ahead(self, "date_from", self.company_id._get_invoice_run_today())
        check_ahead(self, "date_to", self.company_id._get_invoice_run_today())
        if self.date_from > self.date_to:
            raise UserError(self.env._("The first day is after the last day. Correct one of them."))

    def _get_note(self, unread):
        if not unread:
            return False
        return self.env._(
            "The selection of these schedules cannot be read, so what they select is listed: "
            "%(schedules)s. Open their scenario: it says why.",
            schedules=", ".join(unread),
        )

    def _get_scope(self, field="cluster_id"):
        domain = Domain("company_id", "=", self.company_id.id)
        return domain & Domain(field, "in", self.cluster_ids.ids) if self.cluster_ids else domain

    # ------------------------------------------------------------------
    # Days without contract
    # ------------------------------------------------------------------

    def _get_vacancies(self):
        """Yield the values of a row for all consecutive days of an asset without contract."""
        assets = self.env["billing.asset"].search(self._get_scope())
        taken = self._get_let_spans(assets)
        for asset in assets:
            for span in periods.open_spans(self.date_from, self.date_to, taken[asset.id]):
                yield {
                    "kind": "vacancy",
                    "asset_id": asset.id,
                    "cluster_id": asset.cluster_id.id,
                    "date_from": span.date_from,
                    "date_to": span.date_to,
                    "days": (span.date_to - span.date_from).days + 1,
                }

    def _get_let_spans(self, assets):
        """Return {asset id: spans of days for which a contract charges something}."""
        # sudo: a contract that this user may not see is no vacancy; only its days are read
        lines = self.env["billing.contract.line"].sudo()
        domain = Domain("asset_id", "in", assets.ids) & Domain("running_from", "<=", self.date_to)
        domain &= Domain("running_until", "=", False) | Domain(
            "running_until", ">=", self.date_from
        )
        spans = defaultdict(list)
        for row in lines.search_read(domain, ["asset_id", "running_from", "running_until"]):
            span = periods.Span(row["running_from"], row["running_until"] or self.date_to)
            spans[row["asset_id"][0]].append(span)
        return spans

    # ------------------------------------------------------------------
    # Contracts that nothing selects
    # ------------------------------------------------------------------

    def _get_unselected_contracts(self, unread):
        """Yield the values of a row for each contract that is due and that no schedule selects.

        :param unread: schedules whose selection cannot be read are added to this list
        """
        domain = self._get_scope() & Domain("state", "in", CONTRACT_BILLED)
        domain &= Domain("next_invoicing_date", "<=", self.date_to)
        selected = self._get_selected_domain(self.env["billing.contract"], unread)
        contracts = self.env["billing.contract"].search(domain & ~selected)
        amounts = self._get_due_amounts(contracts)
        for contract in contracts:
            yield {
                "kind": "contract",
                "contract_id": contract.id,
                "partner_id": contract.partner_id.id,
                "cluster_id": contract.cluster_id.id,
                "date_from": min(
                    contract.line_ids.filtered("next_period_from").mapped("next_period_from"),
                    default=False,
                ),
                "date_to": self.date_to,
                "amount": amounts[contract.id],
            }

    def _get_selected_domain(self, source, unread):
        """Return the records of ``source`` that a schedule in force selects up to the last day.

        :param unread: schedules whose selection cannot be read are added to this list
        """
        schedules = self.env["invoice.run.schedule"].search(
            [
                ("company_id", "=", self.company_id.id),
                ("state", "=", "active"),
                ("cycle", "!=", "once"),
            ]
        )
        domains = []
        for schedule in schedules:
            if schedule.scenario_id._get_source()._name != source._name:
                continue
            domain = self._get_schedule_domain(source, schedule)
            if domain is None:
                unread.append(schedule.reference)
            else:
                domains.append(domain)
        return Domain.OR(domains)

    def _get_schedule_domain(self, source, schedule):
        """Return what the runs of ``schedule`` select; None: nobody can say."""
        run = self.env["invoice.run"].new(
            {
                "company_id": self.company_id.id,
                "scenario_id": schedule.scenario_id.id,
                "cluster_ids": [fields.Command.set(schedule.cluster_ids.ids)],
                "target_date": self.date_to,
            }
        )
        if schedule.scenario_id._get_selection_error(run):
            return None
        return source._get_run_selection_domain(run)

    def _get_due_amounts(self, contracts):
        """Return {contract id: untaxed amount due up to the last day, in company currency}."""
        claims = contracts.line_ids._get_taken_spans()
        forecast = self.env["billing.forecast"].new({"company_id": self.company_id.id})
        amounts = defaultdict(float)
        with remembering(self.env):
            for contract in contracts:
                for _key, amount in contract._get_forecast(self.date_to, self.date_to, claims):
                    amounts[contract.id] += forecast._convert(amount, contract.currency_id)
        return amounts

    # ------------------------------------------------------------------
    # Orders that nothing selects
    # ------------------------------------------------------------------

    def _get_unselected_orders(self, unread):
        """Yield the values of a row for each order to invoice that is in no run or schedule.

        :param unread: see :meth:`_get_selected_domain`
        """
        source = self.env["sale.order"]
        domain = self._get_scope("billing_cluster_id") & self._get_open_order_domain()
        domain &= ~self._get_selected_domain(source, unread)
        forecast = self.env["billing.forecast"].new({"company_id": self.company_id.id})
        orders = source.search(domain, order="date_order, id")
        orders._read_invoiceable_ahead()
        for order in orders:
            day = order._get_run_date()
            yield {
                "kind": "order",
                "order_id": order.id,
                "partner_id": order.partner_invoice_id.id,
                "cluster_id": order.billing_cluster_id.id,
                "date_from": day,
                "date_to": day,
                "amount": forecast._convert(order._get_untaxed_to_invoice(), order.currency_id),
            }

    def _get_open_order_domain(self):
        """Return the orders of or before the last day with something to invoice, in no run."""
        orders = self.env["sale.order"]
        conditions = orders._get_open_conditions(self.company_id, self.date_to)
        return Domain.AND(conditions.values()) & orders._get_unclaimed_domain()

    # ------------------------------------------------------------------
    # Usage that nobody pays
    # ------------------------------------------------------------------

    def _get_payerless_usage(self):
        domain = self._get_scope() & self.env["invoice.run"]._get_payerless_domain()
        domain &= Domain("date", ">=", self.date_from) & Domain("date", "<=", self.date_to)
        forecast = self.env["billing.forecast"].new({"company_id": self.company_id.id})
        for usage in self.env["billing.usage"].search(domain):
            yield {
                "kind": "usage",
                "usage_id": usage.id,
                "asset_id": usage.asset_id.id,
                "contract_id": usage.contract_id.id,
                "partner_id": usage.partner_id.id,
                "cluster_id": usage.cluster_id.id,
                "date_from": usage.date,
                "date_to": usage.date,
                "amount": forecast._convert(usage.amount, usage.currency_id),
            }


class BillingUninvoicedLine(models.TransientModel):
    _name = "billing.uninvoiced.line"
    _description = "Never Invoiced: Details"
    _inherit = "invoice.run.wizard"
    _order = "cluster_id, kind, date_from, id"

    report_id = fields.Many2one("billing.uninvoiced", required=True, ondelete="cascade")
    company_id = fields.Many2one(related="report_id.company_id", related_sudo=False)
    currency_id = fields.Many2one(related="company_id.currency_id")
    kind = fields.Selection(
        [
            ("vacancy", "Days without contract"),
            ("contract", "Contract in no schedule"),
            ("order", "Order in no schedule"),
            ("usage", "Usage that nobody pays"),
        ],
        "What",
        required=True,
    )
    cluster_id = fields.Many2one("billing.cluster", ondelete="cascade")
    asset_id = fields.Many2one("billing.asset", ondelete="cascade")
    contract_id = fields.Many2one("billing.contract", ondelete="cascade")
    order_id = fields.Many2one("sale.order", "Sales Order", ondelete="cascade")
    usage_id = fields.Many2one("billing.usage", ondelete="cascade")
    partner_id = fields.Many2one("res.partner", "Customer", ondelete="cascade")
    date_from = fields.Date("From")
    date_to = fields.Date("To", help="Last day, included.")
    days = fields.Integer("Days Without Contract")
    amount = fields.Monetary(
        "Not Invoiced",
        help="Untaxed, in company currency at today's rates; it is not known "
        "for days without a contract.",
    )

    def action_open_record(self):
        """Open the asset, contract, order or usage item that this row is about."""
        self.ensure_one()
        self.check_access("read")
        record = self[self._get_record_field()]
        record.check_access("read")
        return record._get_records_action()

    @api.model
    def _get_record_fields(self):
        return {
            "vacancy": "asset_id",
            "contract": "contract_id",
            "order": "order_id",
            "usage": "usage_id",
        }

    def _get_record_field(self):
        return self._get_record_fields()[self.kind]
