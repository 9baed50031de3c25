from odoo.fields import Command
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestCompanyDomain(InvoiceRunCommon):
    """A selection through a customer whom companies share tells nothing of the other company."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other_company = cls.setup_other_company()["company"]
        cls._make_contract(date_start="2024-01-01")
        cls.other_order = cls._make_order(cls.other_company, 1000.0)

    @classmethod
    def _make_order(cls, company, price, **vals):
        line = {"product_id": cls.product.id, "price_unit": price, "tax_ids": [Command.clear()]}
        return (
            cls.env["sale.order"]
            .sudo()
            .with_company(company)
            .create(
                {
                    "partner_id": cls.debtor.id,
                    "company_id": company.id,
                    "order_line": [Command.create(line)],
                    **vals,
                }
            )
        )

    def _make_selection(self, domain):
        """Save a scenario as a manager of this company."""
        vals = {"name": "Probe", "company_id": self.company.id, "domain": str(domain)}
        return self.env["billing.scenario"].with_user(self.manager).create(vals)

    def assertSelects(self, domain, expected):
        scenario = self._make_selection(domain)
        run = self._make_amounts(self._make_run("2024-01-15", scenario))
        self.assertFalse(run.exception_ids, domain)
        self.assertEqual(len(run.document_ids), expected, domain)
        self.assertEqual((scenario.due_count, scenario.due_error), (expected, False), domain)
        run.action_delete_amounts("for the next one")

    def test_what_is_only_in_the_other_company(self):
        order = self.other_order
        orders = "partner_id.sale_order_ids"
        for domain in (
            [(f"{orders}.amount_total", ">", 500)],
            [("partner_id", "any", [("sale_order_ids", "any", [("amount_total", ">", 500)])])],
            [(f"{orders}.order_line.price_unit", "=", 1000.0)],
            [(orders, "!=", False)],
            [(orders, "in", order.ids)],
            [(f"{orders}.partner_id", "child_of", self.debtor.ids)],
            [(orders, "ilike", order.name)],
            [(orders, "=", order.name)],
            ["!", (f"{orders}.amount_total", ">", 500), "!", (1, "=", 1)],
        ):
            self.assertSelects(domain, 0)
        for domain in (
            [(orders, "=", False)],
            [(orders, "not in", order.ids)],
            [(orders, "not ilike", order.name)],
            ["!", (f"{orders}.amount_total", ">", 500)],
            ["|", (orders, "!=", False), ("partner_id.name", "=", "Debtor")],
        ):
            self.assertSelects(domain, 1)

    def test_what_is_in_this_company(self):
        order = self._make_order(self.company, 1000.0)
        orders = "partner_id.sale_order_ids"
        for domain in (
            [(f"{orders}.amount_total", ">", 500)],
            [(orders, "!=", False)],
            [(orders, "in", [False, order.id])],
            [(f"{orders}.partner_id", "child_of", self.debtor.ids)],
            [(orders, "ilike", order.name)],
        ):
            self.assertSelects(domain, 1)
        for domain in (
            [(orders, "=", False)],
            [(orders, "not in", [False, order.id])],
            [(orders, "not in", order.ids)],
        ):
            self.assertSelects(domain, 0)

    def test_rule_of_a_scenario(self):
        scenario = self._make_selection([])
        self.env["billing.scenario.rule"].with_user(self.manager).create(
            {
                "scenario_id": scenario.id,
                "name": "Large customers",
                "field_path": "partner_id.sale_order_ids.amount_total",
                "operator": ">=",
                "value": "500",
            }
        )
        self.assertEqual(scenario.due_count, 0)
        self._make_order(self.company, 1000.0)
        scenario.invalidate_recordset(["due_count"])
        self.assertEqual(scenario.due_count, 1)

    def test_fields_that_differ_by_company(self):
        """The value of the run's company counts, in whatever company somebody works."""
        term = self.env.ref("account.account_payment_term_30days")
        self.debtor.with_company(self.company).property_payment_term_id = term
        self.debtor.with_company(self.other_company).property_payment_term_id = False
        scenario = self._make_selection([("partner_id.property_payment_term_id", "=", term.id)])
        run = self._make_run("2024-01-15", scenario)
        run.action_generate_amounts()
        run.with_company(self.other_company)._process_queue()
        self.assertEqual(len(run.document_ids), 1)
