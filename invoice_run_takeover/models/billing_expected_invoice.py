from itertools import zip_longest

from odoo import api, fields, models
from odoo.addons.invoice_run.models.base.possible_dates import check_ahead
from odoo.tools import format_date, split_every

#: Contracts that are compared at once, in a run that is rolled back.
CHUNK = 100
#: Contracts that a button compares: within a minute or two, so that no web server ends it.
MOST = 1000
#: A run creates all invoices up to the last that is expected.
YEARS_AHEAD = 2
EXPECTED = {"contract_id", "date", "amount_untaxed", "amount_total"}
NOT_COMPARED = {
    "verdict": "open",
    "our_date": False,
    "our_untaxed": 0.0,
    "our_total": 0.0,
    "difference": 0.0,
    "reason": False,
    "compared_on": False,
}


class BillingExpectedInvoice(models.Model):
    """The next invoice of a contract as another program says, beside the one of a run.

    For contracts that come from a file. The first expected invoice of a contract is compared with
    the first that a run would create, the second with the second, and so on.
    """

    _name = "billing.expected.invoice"
    _description = "Expected Invoice"
    _inherit = ["invoice.run.guarded", "invoice.run.import.mixin"]
    _order = "contract_id, date, id"

    contract_id = fields.Many2one("billing.contract", required=True, ondelete="cascade", index=True)
    company_id = fields.Many2one(related="contract_id.company_id", store=True, index=True)
    partner_id = fields.Many2one(related="contract_id.partner_id", string="Customer", store=True)
    currency_id = fields.Many2one(related="contract_id.currency_id")
    date = fields.Date(
        "Expected On", required=True, help="Day on which the other program would invoice it."
    )
    amount_untaxed = fields.Monetary("Expected Untaxed", help="0: it is not compared.")
    amount_total = fields.Monetary("Expected Total", help="Including taxes. 0: it is not compared.")
    verdict = fields.Selection(
        [
            ("open", "Not Compared"),
            ("equal", "Equal"),
            ("day", "Other Day"),
            ("differs", "Differs"),
            ("none", "No Invoice"),
            ("failed", "Not Possible"),
        ],
        required=True,
        default="open",
        readonly=True,
        engine=True,
    )
    our_date = fields.Date("Here On", readonly=True, engine=True)
    our_untaxed = fields.Monetary("Untaxed Here", readonly=True, engine=True)
    our_total = fields.Monetary("Total Here", readonly=True, engine=True)
    difference = fields.Monetary(
        readonly=True, engine=True, help="What is invoiced more here than expected."
    )
    reason = fields.Text("Why", readonly=True, engine=True)
    compared_on = fields.Datetime(readonly=True, engine=True)

    _one_a_day = models.UniqueIndex(
        "(contract_id, date)",
        "There is an expected invoice of this contract on this day already. Change that one.",
    )
    _has_amount = models.Constraint(
        "CHECK (amount_untaxed <> 0 OR amount_total <> 0)",
        "Fill in the untaxed amount or the total that is expected.",
    )

    @api.constrains("date")
    def _check_date(self):
        for row in self:
            today = row.company_id._get_invoice_run_today()
            check_ahead(row, "date", today, YEARS_AHEAD)

    @api.depends("contract_id", "date")
    def _compute_display_name(self):
        for row in self:
            row.display_name = f"{row.contract_id.display_name}, {format_date(self.env, row.date)}"

    @api.model
    def get_import_templates(self):
        # EXTENDS 'base_import'
        (template,) = super().get_import_templates()
        path = f"/invoice_run_takeover/static/xls/{self._table}_import.xlsx"
        return [{**template, "template": path}]

    def write(self, vals):
        result = super().write(vals)
        if EXPECTED.intersection(vals):
            self._write_engine(NOT_COMPARED)
        return result

    # ------------------------------------------------------------------
    # Comparison
    # ------------------------------------------------------------------

    def action_compare(self):
        """Compare with what runs would invoice, and note it here; nothing else is written.

        Without a selection all that were not compared yet, at most 1,000 contracts at once.
        """
        rows = self or self.search([("verdict", "=", "open")])
        rows.check_access("write")
        contracts = rows.contract_id[:MOST]
        for _company, some in contracts.grouped("company_id").items():
            for ids in split_every(CHUNK, some.ids):
                self._compare_contracts(some.browse(ids))
        return self._get_summary(contracts)

    @api.model
    def _compare_contracts(self, contracts):
        expected = self.search([("contract_id", "in", contracts.ids)]).grouped("contract_id")
        days = {contract: rows[-1].date for contract, rows in expected.items()}
        invoices, reasons = self.env["billing.takeover.trial"]._try_contracts(days)
        for contract, rows in expected.items():
            reason = reasons.get(contract.id)
            ours = invoices.get(contract.id, [])
            for row, invoice in list(zip_longest(rows, ours))[: len(rows)]:
                row._write_engine(row._prepare_verdict_vals(invoice, reason))

    def _prepare_verdict_vals(self, invoice, reason):
        """Return what to note of this expected invoice.

        :param invoice: ours, a ``plan.Invoice``; None: there is none
        :param reason: why nothing can be invoiced; None: it can be
        """
        vals = {**NOT_COMPARED, "compared_on": fields.Datetime.now(), "reason": reason}
        if reason or not invoice:
            return {**vals, "verdict": "failed" if reason else "none"}
        difference = self._get_difference(invoice)
        verdict = "equal" if invoice.date == self.date else "day"
        return {
            **vals,
            "verdict": "differs" if difference else verdict,
            "our_date": invoice.date,
            "our_untaxed": invoice.untaxed,
            "our_total": invoice.total,
            "difference": difference,
        }

    def _get_difference(self, invoice):
        """Return what ``invoice`` has more than expected, untaxed or in total: the larger one."""
        pairs = (
            (invoice.untaxed, self.amount_untaxed),
            (invoice.total, self.amount_total),
        )
        found = [self.currency_id.round(ours - known) for ours, known in pairs if known]
        return max(found, key=abs)

    @api.model
    def _get_summary(self, contracts):
        rows = self.search([("contract_id", "in", contracts.ids)])
        equal = len(rows.filtered(lambda row: row.verdict == "equal"))
        message = self.env._(
            "Invoices compared: %(count)s. Equal: %(equal)s.", count=len(rows), equal=equal
        )
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success" if equal == len(rows) else "warning",
                "message": message,
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }
