from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.fields import Command

SOURCE = "billing.takeover.contract"


class FromContractCommon(InvoiceRunCommon):
    """OCA contracts, and a manager who takes them over."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # whatever other bridges ask of a product's taxes, an account has it
        cls.mover = cls._make_user(
            "mover", "invoice_run.invoice_run_group_manager,account.group_account_manager"
        )
        cls.Takeover = cls.env["billing.takeover"].with_user(cls.mover)

    @classmethod
    def _make_oca(cls, rule="monthly", interval=1, timing="pre-paid", lines=None, **vals):
        """Make a contract of OCA's module; ``lines`` default to one at 100."""
        vals.setdefault("date_start", "2024-01-01")
        vals = {
            "name": "Old contract",
            "partner_id": cls.debtor.id,
            "company_id": cls.company.id,
            "recurring_rule_type": rule,
            "recurring_interval": interval,
            "recurring_invoicing_type": timing,
            **vals,
        }
        line_vals = [
            {
                "product_id": cls.product.id,
                "name": f"Rent {number}",
                "specific_price": 100.0,
                "quantity": 1.0,
                "date_end": vals.get("date_end", False),
                "date_start": vals["date_start"],
                # a form says them, too: the defaults of a line are not those of its contract
                "recurring_rule_type": rule,
                "recurring_interval": interval,
                "recurring_invoicing_type": timing,
                **line,
            }
            for number, line in enumerate(lines or [{}], 1)
        ]
        contract = cls.env["contract.contract"].create(
            {**vals, "contract_line_ids": [Command.create(line) for line in line_vals]}
        )
        # as in the form, where the days of a new contract are computed before it is saved
        contract.contract_line_ids._compute_recurring_next_date()
        return contract

    def _invoice_oca(self, contract, count, post=False):
        """Have OCA's module create the next invoices."""
        moves = self.env["account.move"]
        for _number in range(count):
            moves += contract._recurring_create_invoice()
        if post:
            moves.action_post()
        return moves

    def _get_report(self, contract, **kwargs):
        (report,) = self.Takeover.get_report(SOURCE, contract.ids, **kwargs)
        return report

    def _take_over(self, contract, **kwargs):
        """Take over; return the contracts of invoice runs."""
        (result,) = self.Takeover.take_over(SOURCE, contract.ids, **kwargs)
        self.assertFalse(result["error"])
        return self.env["billing.contract"].browse(result["contract_ids"])

    def _get_texts(self, report, kind):
        return [found["text"] for found in report["findings"] if found["kind"] == kind]
