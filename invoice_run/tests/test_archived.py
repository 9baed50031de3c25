import psycopg2

from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestArchived(InvoiceRunCommon):
    """What is archived meanwhile changes no selection and no tax, and is named before approval."""

    def test_no_list_leaves_out_what_is_archived(self):
        """A list that decides what is invoiced would be empty then: no restriction, or no tax."""
        forgetful = [
            f"{model._name}.{name}"
            for model in self.env.registry.values()
            for name, field in model._fields.items()
            if field.type == "many2many"
            and any(module.startswith("invoice_run") for module in field._modules)
            and self.env[field.comodel_name]._active_name
            and field.context.get("active_test") is not False
            and not field.related
        ]
        self.assertEqual(forgetful, [])

    # ------------------------------------------------------------------
    # Selection
    # ------------------------------------------------------------------

    def _make_clusters(self):
        north, south = self.env["billing.cluster"].create(
            [{"name": name, "company_id": self.company.id} for name in ("North", "South")]
        )
        contracts = [
            self._make_contract(date_start="2024-01-01", cluster_id=cluster.id)
            for cluster in (north, south)
        ]
        return north, contracts[0]

    def test_cluster(self):
        """Of the run, of the scenario, of a schedule: the run does not widen to the company."""
        north, contract = self._make_clusters()
        by_run = self._make_run("2024-01-15", cluster_ids=[Command.set(north.ids)])
        scenario = self._make_scenario("North", cluster_ids=[Command.set(north.ids)])
        by_scenario = self._make_run("2024-01-15", scenario)
        north.active = False
        self.env.invalidate_all()
        for run in (by_run, by_scenario):
            run.with_user(self.user).action_generate_amounts()
            run._process_queue()
            self.assertEqual(run.line_ids.contract_id, contract)
            run.action_cancel()

    def test_cluster_of_a_schedule(self):
        north, contract = self._make_clusters()
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "North",
                "scenario_id": self.scenario.id,
                "run_count": 1,
                "date_from": "2024-01-01",
                "cluster_ids": [Command.set(north.ids)],
            }
        )
        north.active = False
        self.env.invalidate_all()
        schedule.action_generate_runs()
        run = schedule.run_ids[:1]
        self.assertEqual(run.cluster_ids, north)
        self._make_amounts(run)
        self.assertEqual(run.line_ids.contract_id, contract)

    def test_cluster_is_not_deleted(self):
        north, contract = self._make_clusters()
        self._make_run("2024-01-15", cluster_ids=[Command.set(north.ids)])
        contract.cluster_id = False
        refused = self.assertRaises(psycopg2.IntegrityError)
        with mute_logger("odoo.sql_db"), refused, self.env.cr.savepoint():
            north.unlink()

    def test_customers(self):
        other = self._make_partner("Other")
        for partner in (self.debtor, other):
            self._make_contract(date_start="2024-01-01", partner_id=partner.id)
        run = self._make_run("2024-01-15", partner_ids=[Command.set(other.ids)])
        other.active = False
        self.env.invalidate_all()
        self._make_amounts(run)
        self.assertFalse(run.document_ids, "nobody else is invoiced instead")
        self.assertEqual(run.exception_ids.mapped("code"), ["partner"])

    def test_merged_customers(self):
        """A run that names several of them names the one that is left, and no more than that."""
        doubles = [self._make_partner(f"Other {number}") for number in range(3)]
        others = self.env["res.partner"].concat(*doubles)
        run = self._make_run("2024-01-15", partner_ids=[Command.set((others + self.debtor).ids)])
        merged = self._make_run("2024-01-15", partner_ids=[Command.set(others[1:].ids)])
        wizard = self.env["base.partner.merge.automatic.wizard"].sudo().create({})
        wizard._merge(others.ids, dst_partner=others[0])
        self.assertEqual(run.partner_ids, others[0] + self.debtor)
        self.assertEqual(merged.partner_ids, others[0])

    def test_customers_of_the_invoice_manager(self):
        self.debtor.active = False
        action = self.debtor.with_user(self.user).action_open_manager()
        partner_ids = action["params"]["options"]["partner_ids"]
        manager = self.env["invoice.manager"].with_user(self.user)
        manager = manager.create({"partner_ids": [Command.set(partner_ids)]})
        self.env.invalidate_all()
        self.assertEqual(manager.partner_ids, self.debtor)

    # ------------------------------------------------------------------
    # Taxes
    # ------------------------------------------------------------------

    def _make_tax(self, amount):
        return self.env["account.tax"].create(
            {"name": f"{amount} %", "amount": amount, "company_id": self.company.id}
        )

    def test_credit_has_the_tax_of_its_invoice(self):
        tax = self._make_tax(21.0)
        contract = self._make_contract(
            [{"price_unit": 100.0, "tax_ids": [Command.set(tax.ids)]}],
            date_start="2024-01-01",
            prebilling_periods=11,
        )
        first = self._run_all("2024-01-01")
        self.assertEqual(first.amount_total, 1452.0)
        tax.active = False
        contract.line_ids.tax_ids = self._make_tax(19.0)
        contract.date_end = "2024-03-31"
        credit = self._run_all("2024-02-01")
        self.assertEqual((credit.amount_untaxed, credit.amount_total), (-900.0, -1089.0))
        self.assertEqual(credit.invoice_ids.invoice_line_ids.tax_ids, tax)

    def test_chosen_tax_is_named(self):
        """The product's taxes would take its place, without a word."""
        tax = self._make_tax(0.0)
        taxes = {"tax_ids": [Command.set(tax.ids)]}
        self._make_contract([taxes], date_start="2024-01-01")
        self._make_usage(date="2024-01-10", price_unit=5.0, **taxes)
        tax.active = False
        self.env.invalidate_all()
        for scenario in (self.scenario, self.usage_scenario):
            run = self._make_amounts(self._make_run("2024-01-31", scenario))
            self.assertFalse(run.document_ids)
            self.assertEqual(run.exception_ids.mapped("code"), ["taxes"])
            self.assertIn("0.0 % is archived", run.exception_ids.message)

    # ------------------------------------------------------------------
    # What an invoice needs
    # ------------------------------------------------------------------

    def test_journal_of_the_cluster(self):
        north, _contract = self._make_clusters()
        journal = self.company_data["default_journal_sale"].copy({"code": "NOR"})
        north.journal_id = journal
        journal.active = False
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(len(run.document_ids), 1, "the other one goes on")
        self.assertEqual(run.exception_ids.mapped("code"), ["journal"])
        self.assertIn("is archived", run.exception_ids.message)

    def test_company_of_the_customer(self):
        contact = self._make_partner("Jo", "jo@example.com", parent_id=self.debtor.id)
        self._make_contract(date_start="2024-01-01", partner_id=contact.id)
        self.debtor.active = False
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(run.exception_ids.mapped("code"), ["partner"])

    def test_salesperson_who_left(self):
        contract = self._make_contract(date_start="2024-01-01", user_id=self.manager.id)
        self.manager.active = False
        run = self._run_all("2024-01-15", user_id=self.user.id)
        self.assertEqual(run.document_ids.contract_ids, contract)
        self.assertEqual(run.invoice_ids.invoice_user_id, self.user)

    # ------------------------------------------------------------------
    # Companies
    # ------------------------------------------------------------------

    def test_draft_with_usage_stays_with_its_company(self):
        contract = self._make_contract(activate=False)
        self._make_usage(contract_id=contract.id, date="2024-01-10")
        with self.assertRaisesRegex(UserError, "has usage of another company"):
            contract.company_id = self.env["res.company"].create({"name": "Other"})

    def test_draft_with_taxes_stays_with_its_company(self):
        contract = self._make_contract(activate=False)
        contract.line_ids.tax_ids = self._make_tax(7.0)
        with self.assertRaisesRegex(UserError, "7.0 %"):
            contract.company_id = self.env["res.company"].create({"name": "Other"})
