from freezegun import freeze_time

from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.fields import Command

SOURCE = "billing.takeover.subscription"


class FromSubscriptionCommon(InvoiceRunCommon):
    """OCA subscriptions, and a manager who takes them over."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mover = cls._make_user(
            "mover",
            "invoice_run.invoice_run_group_manager,account.group_account_manager,"
            "sales_team.group_sale_salesman_all_leads",
        )
        cls.Takeover = cls.env["billing.takeover"].with_user(cls.mover)
        cls.pricelist = cls.env["product.pricelist"].create(
            {"name": "Prices", "currency_id": cls.company.currency_id.id}
        )
        # subscription_oca looks for an account on product and category alone
        account = cls.company_data["default_account_revenue"]
        cls.product.with_company(cls.company).property_account_income_id = account
        cls.tax = cls.env["account.tax"].create({"name": "19 %", "amount": 19})

    @classmethod
    def get_default_groups(cls):
        return super().get_default_groups() | cls.env.ref("sales_team.group_sale_manager")

    def _make_subscription(self, rule="months", interval=1, start="2024-01-01", **vals):
        template = self.env["sale.subscription.template"].create(
            {
                "name": "Template",
                "recurring_rule_type": rule,
                "recurring_interval": interval,
                **vals.pop("template", {}),
            }
        )
        lines = vals.pop("lines", None) or [{}]
        subscription = self.env["sale.subscription"].create(
            {
                "partner_id": self.debtor.id,
                "template_id": template.id,
                "pricelist_id": self.pricelist.id,
                "company_id": self.company.id,
                **vals,
            }
        )
        for number, line in enumerate(lines, 1):
            self.env["sale.subscription.line"].create(
                {
                    "sale_subscription_id": subscription.id,
                    "product_id": self.product.id,
                    "name": f"Support {number}",
                    "price_unit": 28.57,
                    "discount": 10,
                    "product_uom_qty": 3,
                    "tax_ids": [Command.set(self.tax.ids)],
                    **line,
                }
            )
        with freeze_time(start):
            subscription.action_start_subscription()
        return subscription

    def _invoice(self, subscription, count):
        for _number in range(count):
            subscription.manual_invoice()

    def _get_report(self, subscription, **kwargs):
        (report,) = self.Takeover.get_report(SOURCE, subscription.ids, **kwargs)
        return report

    def _take_over(self, subscription, **kwargs):
        (result,) = self.Takeover.take_over(SOURCE, subscription.ids, **kwargs)
        self.assertFalse(result["error"])
        return self.env["billing.contract"].browse(result["contract_ids"])
