from odoo.exceptions import AccessError
from odoo.tests import tagged

from .sale_common import SaleRunCommon


@tagged("post_install", "-at_install")
class TestManagerEntries(SaleRunCommon):
    """From contracts, orders, customers and scenarios into the Invoice Manager, and back."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls._make_partner("Other")
        cls.contact = cls._make_partner("Contact", parent_id=cls.debtor.id)
        cls.contract = cls._make_contract(date_start="2024-01-01", partner_id=cls.contact.id)
        cls.other_contract = cls._make_contract(date_start="2024-01-01", partner_id=cls.other.id)
        cls.order = cls._make_order(date_order="2024-01-05")
        cls.orders = cls._make_scenario("Orders", source="sale")

    def _start(self, action, user=None):
        """Return the manager as ``action`` opens it in the browser."""
        self.assertEqual(action["tag"], "invoice_run.manager")
        manager = self.env["invoice.manager"].with_user(user or self.user)
        return manager.browse(manager.action_start(action["params"]["options"])["id"])

    def _fetch(self, manager, scenario):
        manager.action_choose(scenario.id)
        state = manager.action_fetch({"invoice_date": "2024-01-31"})
        while state["run"]["job"] != "none":
            state = manager.action_work()
        return [row["reference"] for row in manager.get_rows()["rows"]]

    def test_contracts(self):
        manager = self._start(self.contract.with_user(self.user).action_open_manager())
        sources = {card["source"] for card in manager.get_cards()["scenarios"]}
        self.assertEqual(sources, {"Contracts"})
        self.assertEqual(self._fetch(manager, self.scenario), [self.contract.name])

    def test_orders(self):
        manager = self._start(self.order.with_user(self.user).action_open_manager())
        sources = {card["source"] for card in manager.get_cards()["scenarios"]}
        self.assertEqual(sources, {"Sale Orders"})
        self.assertEqual(self._fetch(manager, self.orders), [self.order.name])

    def test_customers(self):
        manager = self._start(self.contact.with_user(self.user).action_open_manager())
        self.assertEqual(manager.get_cards()["selected"], "Debtor")
        self.assertEqual(self._fetch(manager, self.scenario), [self.contract.name])

    def test_scenario(self):
        manager = self._start(self.scenario.with_user(self.user).action_open_manager())
        self.assertEqual(manager.scenario_id, self.scenario)

    def test_run(self):
        manager = self._start(self.scenario.with_user(self.user).action_open_manager())
        self._fetch(manager, self.scenario)
        again = self._start(manager.run_id.action_open_manager())
        self.assertEqual(again.run_id, manager.run_id)

    def test_between_partner_contract_run_and_invoice(self):
        run = self._run_all("2024-01-31").with_user(self.user)
        contract = self.contract.with_user(self.user)
        debtor = self.debtor.with_user(self.user)
        move = run.document_ids.filtered(lambda doc: contract in doc.contract_ids).move_id
        self.assertEqual((contract.invoice_run_count, run.contract_count), (1, 2))
        self.assertEqual((debtor.invoice_run_count, move.billing_contract_count), (1, 1))
        self.assertEqual(self.contact.with_user(self.user).invoice_run_count, 1)
        for action, model, expected in (
            (contract.action_view_invoice_runs(), "invoice.run", run),
            (debtor.action_view_invoice_runs(), "invoice.run", run),
            (run.action_view_contracts(), "billing.contract", contract | self.other_contract),
            (move.action_view_billing_contracts(), "billing.contract", contract),
        ):
            self.assertEqual(action["res_model"], model)
            found = self.env[model].with_user(self.user).search(action["domain"])
            self.assertEqual(found, expected)

    def test_order_and_run(self):
        run = self._run_all("2024-01-31", self.orders)
        order = self.order.with_user(self.user)
        self.assertEqual(order.invoice_run_count, 1)
        domain = order.action_view_invoice_runs()["domain"]
        self.assertEqual(self.env["invoice.run"].search(domain), run)

    def test_what_is_still_to_bill_of_a_customer(self):
        due = self.debtor.with_user(self.user).action_view_due()
        wizard = self.env["billing.due"].browse(due["res_id"])
        self.assertEqual(wizard.contract_ids, self.contract)

    def test_who_has_no_role_is_refused(self):
        accountant = self._make_user("entry_accountant", "account.group_account_invoice")
        for record in (self.order, self.debtor):
            with self.assertRaises(AccessError):
                record.with_user(accountant).action_open_manager()
