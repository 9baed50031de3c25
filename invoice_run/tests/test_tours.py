from odoo.fields import Command
from odoo.tests import HttpCase, tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestTours(HttpCase, InvoiceRunCommon):
    """What people click; the scheduled action works between the tours."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.invoice_run_auto_amounts = False
        cls._make_contract(date_start="2024-01-01")

    def _work(self):
        self.env.ref("invoice_run.invoice_run_cron").method_direct_trigger()
        self.env.invalidate_all()

    def test_schedule_to_posted_invoice(self):
        self.start_tour(
            "/odoo/action-invoice_run.invoice_run_schedule_action/new",
            "invoice_run_schedule_to_amounts",
            login="run_user",
        )
        schedule = self.env["invoice.run.schedule"].search([("name", "=", "Monthly rent")])
        self.assertEqual(len(schedule.run_ids), 2)
        self.start_tour(
            f"/odoo/action-invoice_run.invoice_run_schedule_action/{schedule.id}",
            "invoice_run_save_and_return",
            login="run_user",
        )
        self.assertEqual(schedule.name, "Rent of halls")
        run = schedule.run_ids.sorted("number")[0]
        self.assertEqual(run.job, "amounts")
        self._work()
        self.assertEqual(run.state, "amounts")
        url = f"/odoo/action-invoice_run.invoice_run_action/{run.id}"
        self.start_tour(url, "invoice_run_approve_to_invoices", login="run_reviewer")
        self.assertEqual(run.approved_by_id, self.reviewer)
        self._work()
        self.assertEqual(run.state, "invoiced")
        self.start_tour(url, "invoice_run_open_invoice", login="run_user")


@tagged("post_install", "-at_install")
class TestManagerTours(HttpCase, InvoiceRunCommon):
    """The Invoice Manager, clicked through by a user with the plain role."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls._make_partner("Other")
        cls._make_contract(date_start="2023-12-01", title="Blue")
        cls._make_contract(date_start="2023-12-01", title="Red", partner_id=cls.other.id)
        # to their end they owe two months, whatever day it is today
        cls.env["billing.contract"].search([("company_id", "=", cls.company.id)]).write(
            {"date_end": "2024-01-31"}
        )

    def _start(self, tour, user="run_user"):
        self.start_tour("/odoo/invoice-manager", tour, login=user)
        self.env.invalidate_all()

    def _get_run(self):
        return self.env["invoice.run"].search([("is_managed", "=", True)])

    def test_from_a_card_to_the_invoices(self):
        # nothing unusual, no first invoice: the company's setting approves
        self.company.invoice_run_auto_approve = True
        self._run_all("2023-12-15")
        self._start("invoice_manager")
        run = self._get_run()
        self.assertEqual(run.state, "invoiced")
        self.assertEqual(set(run.invoice_ids.mapped("state")), {"posted"})
        self.assertEqual(
            {doc.partner_id.name: doc.send_action for doc in run.document_ids},
            {"Debtor": "print", "Other": "none"},
        )

    def test_approval_in_between(self):
        self.company.invoice_run_reviewer_id = self.reviewer
        self._make_contract(
            date_start="2023-12-01",
            date_end="2024-01-31",
            partner_id=self._make_partner("Held").id,
            billing_hold=True,
            billing_hold_reason="quarrel",
        )
        self._run_all("2023-12-15")
        self._start("invoice_manager_ask")
        run = self._get_run()
        self.assertEqual(run.activity_ids.user_id, self.reviewer)
        self.assertFalse(run.invoice_ids)
        run.with_user(self.reviewer).action_approve()
        self._start("invoice_manager_go_on")
        self.assertEqual(run.state, "invoiced")
        self.assertEqual(len(run.invoice_ids), 2)

    def test_values_are_asked_for(self):
        rules = (
            ("Begun", "date_start", "between"),
            ("On hold", "billing_hold", "="),
            ("Proration", "proration", "="),
            ("Customer", "partner_id", "="),
            ("Title", "title", "ilike"),
            ("Price", "line_ids.price_unit", ">="),
        )
        self._make_scenario(
            "Asking",
            rule_ids=[
                Command.create(
                    {"name": name, "field_path": path, "operator": operator, "is_asked": True}
                )
                for name, path, operator in rules
            ],
        )
        self._run_all("2023-12-15")
        self._start("invoice_manager_rules")
        run = self._get_run()
        self.assertEqual(run.document_ids.partner_id, self.debtor)
        answers = [run.rule_values[str(rule.id)] for rule in run.scenario_id.rule_ids]
        self.assertEqual(
            answers,
            [
                ["2023-12-01", False],
                ["no", False],
                ["actual", False],
                [str(self.debtor.id), False],
                ["lu", False],
                ["95", False],
            ],
        )
