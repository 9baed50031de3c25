from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestNames(InvoiceRunCommon):
    """What the customer reads: names, references, periods, in his language."""

    def _run_schedule(self, **vals):
        schedule = self.env["invoice.run.schedule"].create(
            {
                "name": "Monthly",
                "company_id": self.company.id,
                "scenario_id": self.scenario.id,
                "date_from": "2024-03-01",
                "run_count": 1,
                "invoice_name": "Rent {month} {year}",
                **vals,
            }
        )
        schedule.action_generate_runs()
        return self._make_amounts(schedule.run_ids)

    def test_three_formats(self):
        contract = self._make_contract(date_start="2024-03-01")
        titles = {
            "contract": f"Rent March 2024 – {contract.name}",
            "contract_debtor": f"Rent March 2024 – {contract.name} – Debtor",
            "debtor": "Rent March 2024 – Debtor",
        }
        for name_format, title in titles.items():
            run = self._run_schedule(invoice_name_format=name_format)
            self.assertEqual(run.document_ids.title, title)
            run.action_delete_amounts("next format")

    def test_title_and_origin_on_the_invoice(self):
        contract = self._make_contract(date_start="2024-03-01")
        move = self._make_invoices(self._run_schedule())
        self.assertEqual(move.billing_title, f"Rent March 2024 – {contract.name}")
        self.assertEqual(move.invoice_origin, contract.name)

    def test_placeholders(self):
        self._make_contract(date_start="2024-03-01")
        name = "{date_from:d MMM} – {date_to:d MMM yyyy}, {quarter}, {week}, {unknown}"
        run = self._run_schedule(invoice_name=name, invoice_name_format="debtor")
        self.assertEqual(run.document_ids.title, "1 Mar – 31 Mar 2024, Q1, 9, {unknown} – Debtor")

    def test_language_of_the_customer(self):
        self.env["res.lang"]._activate_lang("nl_NL")
        self.debtor.lang = "nl_NL"
        contract = self._make_contract(date_start="2024-03-01")
        run = self._run_schedule()
        self.assertEqual(run.document_ids.title, f"Rent maart 2024 – {contract.name}")
        self.assertIn("01-03-2024 – 31-03-2024", run.line_ids.name)

    def test_name_of_the_run_without_invoice_name(self):
        contract = self._make_contract(date_start="2024-03-01")
        run = self._run_schedule(invoice_name=False, run_name="Rents")
        self.assertEqual(run.document_ids.title, f"Rents – {contract.name}")

    def test_reference_category_and_analytics(self):
        plan = self.env["account.analytic.plan"].create({"name": "Projects"})
        account = self.env["account.analytic.account"].create(
            {"name": "Tower", "plan_id": plan.id, "company_id": self.company.id}
        )
        category = self.env["billing.category"].create(
            {"name": "Rent", "company_id": self.company.id}
        )
        distribution = {str(account.id): 100.0}
        self._make_contract(
            [{"analytic_distribution": distribution}],
            date_start="2024-03-01",
            client_order_ref="PO 7",
        )
        move = self._make_invoices(self._run_schedule(category_id=category.id))
        self.assertEqual(move.ref, "PO 7")
        self.assertEqual(move.billing_category_id, category)
        self.assertEqual(move.invoice_line_ids.analytic_distribution, distribution)

    def test_period_on_every_line(self):
        lines = [{}, {"price_interval": "once", "price_unit": 5.0}]
        self._make_contract(lines, date_start="2024-03-01")
        move = self._make_invoices(self._run_schedule())
        periods = {(line.billing_date_from, line.billing_date_to) for line in move.invoice_line_ids}
        self.assertEqual(periods, {(self._date("2024-03-01"), self._date("2024-03-31"))})

    def test_arithmetic_where_quantity_and_price_cannot_say_it(self):
        self._make_contract(date_start="2024-03-16", period_anchor="calendar")
        line = self._run_schedule().line_ids
        self.assertEqual((line.quantity, line.price_unit, line.amount), (1.0, 51.61, 51.61))
        self.assertIn("16 days: 0.5161 × $\xa0100.00", line.name)

    def test_too_many_lines_make_several_invoices(self):
        self.company.invoice_run_max_lines = 2
        self._make_contract([{}, {}, {}], date_start="2024-03-01")
        run = self._run_schedule(invoice_name_format="debtor")
        titles = run.document_ids.mapped("title")
        self.assertEqual(
            titles, ["Rent March 2024 – Debtor (1/2)", "Rent March 2024 – Debtor (2/2)"]
        )
        self.assertEqual(sum(self._make_invoices(run).mapped("amount_total")), 300.0)

    def test_delivery_date_in_arrears(self):
        self._make_contract(date_start="2024-03-01", billing_timing="arrears")
        move = self._make_invoices(self._run_schedule())
        self.assertEqual(move.delivery_date, self._date("2024-03-31"))

    def test_due_date_of_the_schedule_clears_the_term(self):
        self.debtor.property_payment_term_id = self.env.ref("account.account_payment_term_30days")
        self._make_contract(date_start="2024-03-01")
        move = self._make_invoices(self._run_schedule(due_date="2024-03-31"))
        self.assertFalse(move.invoice_payment_term_id)
        self.assertEqual(move.invoice_date_due, self._date("2024-03-31"))

    def test_payable_at_once_is_due_on_the_invoice_date(self):
        self._make_contract(date_start="2024-03-01")
        move = self._make_invoices(self._run_schedule(invoice_date="2030-03-05"))
        self.assertEqual(move.invoice_date_due, self._date("2030-03-05"))
