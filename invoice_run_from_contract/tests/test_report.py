"""The report: what does not map, and why; nothing is written."""

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import tagged

from .common import SOURCE, FromContractCommon


@tagged("post_install", "-at_install")
class TestReport(FromContractCommon):
    def _assert_stopped(self, contract, text, **kwargs):
        report = self._get_report(contract, **kwargs)
        self.assertEqual(report["verdict"], "stop")
        self.assertIn(text, "\n".join(self._get_texts(report, "stop")))
        (result,) = self.Takeover.take_over(SOURCE, contract.ids, accept=True)
        self.assertIn(text, result["error"])
        self.assertTrue(contract.active)

    def test_nothing_is_written(self):
        contract = self._make_oca(lines=[{}, {}])
        self._invoice_oca(contract, 1)
        models = ("account.move", "billing.contract", "invoice.run", "mail.message")
        before = [self.env[name].sudo().search_count([]) for name in models]
        days = contract.contract_line_ids.mapped("last_date_invoiced")
        numbers = self.env["ir.sequence"].search([("code", "like", "billing.contract")])
        number = numbers.number_next_actual
        self._get_report(contract)
        self.env.invalidate_all()
        self.assertEqual(before, [self.env[name].sudo().search_count([]) for name in models])
        self.assertEqual(days, contract.contract_line_ids.mapped("last_date_invoiced"))
        self.assertEqual(number, numbers.number_next_actual)

    def test_last_day_is_read_from_invoices(self):
        """Not from the day that OCA's module keeps, which can be ahead."""
        contract = self._make_oca(lines=[{}, {}])
        self._invoice_oca(contract, 1)
        contract.contract_line_ids[1].last_date_invoiced = "2024-02-29"
        report = self._get_report(contract)
        self.assertEqual(
            [str(line["invoiced_until"]) for line in report["lines"]], ["2024-01-31"] * 2
        )

    def test_late_invoices(self):
        """The cron dates an invoice on the day on which it runs."""
        contract = self._make_oca()
        contract._recurring_create_invoice(self._date("2024-01-09"))
        contract._recurring_create_invoice(self._date("2024-02-20"))
        (line,) = self._get_report(contract)["lines"]
        self.assertEqual(str(line["invoiced_until"]), "2024-02-29")

    def test_cancelled_invoice_leaves_a_hole(self):
        contract = self._make_oca()
        moves = self._invoice_oca(contract, 3)
        moves[1].button_cancel()
        report = self._get_report(contract)
        self.assertEqual(report["verdict"], "accept")
        self.assertIn("exactly once", self._get_texts(report, "accept")[0])

    def test_credited_invoice_is_named(self):
        contract = self._make_oca()
        move = self._invoice_oca(contract, 1, post=True)
        move._reverse_moves(cancel=True)
        report = self._get_report(contract)
        self.assertIn(f"{move.name} were credited", "".join(self._get_texts(report, "accept")))

    def test_started_without_invoices(self):
        """Imported there with a next date: a person has to say what was invoiced."""
        contract = self._make_oca(date_start="2022-01-01")
        contract.recurring_next_date = "2024-05-01"
        contract.contract_line_ids.recurring_next_date = "2024-05-01"
        self._assert_stopped(contract, "Enter the last invoiced day")
        line = contract.contract_line_ids
        days = {str(line.id): "2024-04-30"}
        report = self._get_report(contract, invoiced_until=days)
        self.assertNotIn("stop", report["verdict"])
        self.assertEqual(str(report["lines"][0]["next_from"]), "2024-05-01")

    def test_period_that_drifts(self):
        self._assert_stopped(self._make_oca(date_start="2024-01-31"), "29th, 30th or 31st")

    def test_period_that_has_drifted(self):
        """After its February invoice OCA's period begins on the 29th or 28th for good."""
        contract = self._make_oca(date_start="2023-01-31")
        self._invoice_oca(contract, 3)
        report = self._get_report(contract)
        self.assertEqual(report["verdict"], "ready", report["findings"])

    def test_days(self):
        self._assert_stopped(self._make_oca("daily", 10), "every 10 days")

    def test_cut_quarter(self):
        contract = self._make_oca("quarterly", date_end="2024-04-20")
        self._assert_stopped(contract, "Invoice this period before")

    def test_supplier(self):
        contract = self._make_oca(contract_type="purchase")
        self._assert_stopped(contract, "supplier")

    def test_no_product(self):
        contract = self._make_oca(lines=[{"product_id": False}])
        self._assert_stopped(contract, "no product")

    def test_pricelist_price(self):
        contract = self._make_oca(lines=[{"automatic_price": True}])
        self._assert_stopped(contract, "pricelist")

    def test_variable_quantity(self):
        formula = self.env["contract.line.qty.formula"].create(
            {"name": "Seven", "code": "result = 7"}
        )
        lines = [{"qty_type": "variable", "qty_formula_id": formula.id}]
        self._assert_stopped(self._make_oca(lines=lines), "as usage")

    def test_markers(self):
        contract = self._make_oca(lines=[{"name": "Rent of #INVOICEMONTHNAME#"}])
        self._assert_stopped(contract, "#INVOICEMONTHNAME#")

    def test_other_journal(self):
        journal = self.company_data["default_journal_sale"].copy({"code": "RENT"})
        contract = self._make_oca(journal_id=journal.id)
        self._assert_stopped(contract, "invoice category")
        category = self.env["billing.category"].create(
            {"name": "Rent", "journal_id": journal.id, "company_id": self.company.id}
        )
        self.assertEqual(self._take_over(contract).category_id, category)

    def test_section_is_named(self):
        lines = [
            {"display_type": "line_section", "name": "Office", "product_id": False, "quantity": 0},
            {},
        ]
        report = self._get_report(self._make_oca(lines=lines))
        self.assertIn("Section “Office”", self._get_texts(report, "accept")[0])

    def test_payment_mode(self):
        journal = self.company_data["default_journal_bank"]
        method = journal.inbound_payment_method_line_ids[:1]
        mode = self.env["account.payment.mode"].create(
            {
                "name": "Direct debit",
                "company_id": self.company.id,
                "bank_account_link": "fixed",
                "fixed_journal_id": journal.id,
                "payment_method_id": method.payment_method_id.id,
            }
        )
        contract = self._make_oca(payment_mode_id=mode.id)
        self.assertIn("Direct debit", self._get_texts(self._get_report(contract), "accept")[0])
        ours = self._take_over(contract, accept=True)
        self.assertEqual(ours.preferred_payment_method_line_id, method)

    def test_rights(self):
        contract = self._make_oca()
        Takeover = self.env["billing.takeover"]
        for user in (self.user, self.reviewer):
            with self.assertRaises(AccessError):
                Takeover.with_user(user).get_report(SOURCE, contract.ids)
            with self.assertRaises(AccessError):
                Takeover.with_user(user).take_over(SOURCE, contract.ids)
        # a manager of invoice runs may not change OCA's contracts by that
        with self.assertRaises(AccessError):
            Takeover.with_user(self.manager).take_over(SOURCE, contract.ids)
        with self.assertRaises(UserError):
            self.Takeover.get_report("res.partner", contract.ids)

    def test_analytic_distribution_and_tax_free_product(self):
        plan = self.env["account.analytic.plan"].create({"name": "Houses"})
        account = self.env["account.analytic.account"].create(
            {"name": "House 1", "plan_id": plan.id}
        )
        lines = [{"analytic_distribution": {str(account.id): 100.0}}]
        ours = self._take_over(self._make_oca(lines=lines))
        self.assertEqual(ours.line_ids.analytic_distribution, {str(account.id): 100.0})

    def test_many_lines_cost_no_query_each(self):
        small = self._make_oca()
        large = self._make_oca(lines=[{}] * 12)
        counts = []
        for contract in (small, large):
            self._invoice_oca(contract, 1)
            self.env.invalidate_all()
            self._get_report(contract)
            before = self.env.cr.sql_log_count
            self._get_report(contract)
            counts.append(self.env.cr.sql_log_count - before)
        self.assertLess(counts[1], counts[0] * 3)

    def test_other_company(self):
        other = self.setup_other_company()["company"]
        contract = self._make_oca()
        stranger = self._make_user(
            "stranger",
            "invoice_run.invoice_run_group_manager,account.group_account_manager",
            company=other,
        )
        with self.assertRaises(AccessError):
            self.env["billing.takeover"].with_user(stranger).get_report(SOURCE, contract.ids)

    def test_tax_of_fiscal_position(self):
        tax = self.env["account.tax"].create({"name": "20 %", "amount": 20})
        position = self.env["account.fiscal.position"].create({"name": "Abroad"})
        free = self.env["account.tax"].create(
            {
                "name": "0 %",
                "amount": 0,
                "fiscal_position_ids": [Command.link(position.id)],
                "original_tax_ids": [Command.link(tax.id)],
            }
        )
        product = self._make_product("Taxed", 10.0, taxes_id=[Command.set(tax.ids)])
        contract = self._make_oca(
            lines=[{"product_id": product.id}], fiscal_position_id=position.id
        )
        report = self._get_report(contract)
        self.assertEqual(report["verdict"], "ready", report["findings"])
        self.assertEqual(report["invoices"][0]["ours"]["tax"], 0.0)
        self.assertTrue(free)
