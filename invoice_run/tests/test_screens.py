from freezegun import freeze_time
from lxml import etree

from odoo.exceptions import ValidationError
from odoo.tests import Form, tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
@freeze_time("2024-02-15")
class TestScreens(InvoiceRunCommon):
    """What contracts, customers, schedules and settings say about themselves."""

    # ------------------------------------------------------------------
    # Contract
    # ------------------------------------------------------------------

    def test_contract_shows_what_was_invoiced_and_what_is_due(self):
        contract = self._make_contract(date_start="2024-01-01").with_user(self.user)
        self.assertFalse(contract.invoiced_until)
        self.assertEqual(contract.due_state, "overdue")
        self.assertEqual(contract.due_html.count("<tr>"), 3)
        self._run_all("2024-01-15")
        contract.invalidate_recordset()
        self.assertEqual(contract.invoiced_until, self._date("2024-01-31"))
        self.assertEqual(contract.due_html.count("<tr>"), 2)
        self.assertIn("100.00", contract.due_html)
        self.assertEqual(contract.run_line_ids.move_id.state, "posted")
        self.assertEqual(contract.run_line_ids.payment_state, "not_paid")
        self._run_all("2024-02-15")
        contract.invalidate_recordset()
        self.assertEqual(contract.invoiced_until, self._date("2024-02-29"))
        self.assertFalse(contract.due_state)
        self.assertNotIn("<table", contract.due_html)
        contract.billing_hold = True
        self.assertEqual(contract.due_state, "hold")

    def test_invoiced_until_is_the_line_that_lags_behind(self):
        contract = self._make_contract(
            [
                {"initial_invoiced_until": "2024-01-31"},
                {"initial_invoiced_until": "2024-03-31"},
                {"date_end": "2024-01-10", "initial_invoiced_until": "2024-01-10"},
            ],
            date_start="2024-01-01",
        )
        self.assertEqual(contract.invoiced_until, self._date("2024-01-31"))
        contract.date_end = "2024-02-15"
        self.assertEqual(contract.invoiced_until, self._date("2024-01-31"))
        contract.line_ids.initial_invoiced_until = "2024-02-15"
        self.assertEqual(contract.invoiced_until, self._date("2024-02-15"))

    def test_draft_has_nothing_to_bill(self):
        contract = self._make_contract(activate=False, date_start="2024-01-01")
        self.assertFalse(contract.due_state)
        self.assertNotIn("<table", contract.due_html)

    # ------------------------------------------------------------------
    # Runs
    # ------------------------------------------------------------------

    def test_columns_of_the_kanban_are_in_the_order_of_the_work(self):
        run = self._make_run("2024-02-15").with_user(self.user)
        run.action_cancel()
        run = run.with_context(read_group_expand=True)
        groups = run.web_read_group([("id", "=", run.id)], ["state"], ["__count"])["groups"]
        self.assertEqual(
            [group["state"] for group in groups],
            ["on_hold", "submitted", "amounts", "approved", "cancelled"],
        )

    def test_runs_on_the_phone_begin_with_what_comes_next(self):
        runs = self.env["invoice.run"].with_user(self.user)
        for mobile, is_grouped in ((False, True), (True, False)):
            kanban = etree.fromstring(runs.get_view(view_type="kanban", mobile=mobile)["arch"])
            self.assertEqual("default_group_by" in kanban.attrib, is_grouped)
            self.assertEqual(kanban.get("default_order"), "next_rank, id desc")
        view = self.env.ref("invoice_run.invoice_run_view_kanban")
        other = view.copy({"arch": view.arch.replace('default_group_by="state"', "")})
        arch = runs.get_view(other.id, "kanban", mobile=True)["arch"]
        self.assertIn("next_rank", arch)

    # ------------------------------------------------------------------
    # Customer
    # ------------------------------------------------------------------

    def _get_summary(self, **vals):
        self.debtor.write(vals)
        return self.debtor.with_user(self.user).invoice_run_summary

    def test_customer_says_what_a_run_does(self):
        self.assertIn(
            "for each contract and period. Nobody has chosen how to send it", self._get_summary()
        )
        text = self._get_summary(allow_invoice_grouping=True, invoice_sending_method="email")
        self.assertIn("on one invoice. It emails the invoice to debtor@example.com.", text)
        self.assertIn("address is missing", self._get_summary(email=False))
        invoice_address = self._make_partner(
            "Bookkeeping", "books@example.com", parent_id=self.debtor.id, type="invoice"
        )
        self.assertIn("to books@example.com.", self._get_summary())
        self.assertEqual(
            invoice_address.with_user(self.user).invoice_run_summary, self._get_summary()
        )
        text = self._get_summary(billing_hold=True, billing_hold_reason="In dispute")
        self.assertEqual(
            text, "Runs do not invoice this customer: blocked for invoicing. In dispute"
        )

    # ------------------------------------------------------------------
    # Settings
    # ------------------------------------------------------------------

    def test_settings_say_where_a_run_stops(self):
        settings = self.env["res.config.settings"].create({})
        stops = []
        for step in ("amounts", "approve", "invoices", "send"):
            settings[f"invoice_run_auto_{step}"] = False
        for step in ("amounts", "approve", "invoices", "send"):
            stops.append(settings.invoice_run_stop)
            settings[f"invoice_run_auto_{step}"] = True
        self.assertEqual(
            [text.split("“")[-1].split("”")[0] for text in stops if "“" in text],
            ["Generate Amounts", "Generate Invoices", "Send"],
        )
        self.assertIn("a reviewer approves them", stops[1])
        self.assertIn("until its invoices are sent", settings.invoice_run_stop)

    def test_schedule_says_where_its_runs_stop(self):
        with Form(self.env["invoice.run.schedule"].with_user(self.manager)) as form:
            form.name = "Rent"
            form.scenario_id = self.scenario
            form.date_from = "2024-03-01"
            self.assertIn("a reviewer approves them", form.stop_text)
            form.auto_approve = "yes"
            self.assertIn("Generate Invoices", form.stop_text)
            form.auto_amounts = "no"
            self.assertIn("Generate Amounts", form.stop_text)

    def test_settings_refuse_typing_errors(self):
        for name, value, label in (
            ("activation_days", -1, "Activation Days"),
            ("activation_days", 367, "at most 366"),
            ("release_days", -1, "Release After"),
            ("max_lines", -1, "Lines per Invoice"),
            ("mails_per_hour", -1, "Emails per Hour"),
            ("min_amount", -0.01, "Smallest Invoice"),
            ("max_amount", -5.0, "Largest Invoice"),
            ("outlier_factor", -2.0, "Outlier Factor"),
            ("outlier_factor", 0.5, "Outlier Factor"),
        ):
            with self.subTest(name=name, value=value):
                with self.assertRaisesRegex(ValidationError, label), self.env.cr.savepoint():
                    self.company.write({f"invoice_run_{name}": value})
        with self.assertRaisesRegex(ValidationError, "nothing could be invoiced"):
            self.company.write({"invoice_run_min_amount": 10.0, "invoice_run_max_amount": 5.0})

    def test_zero_keeps_its_meaning(self):
        names = ("activation_days", "release_days", "max_lines", "mails_per_hour")
        names += ("min_amount", "max_amount", "outlier_factor")
        self.company.write({f"invoice_run_{name}": 0 for name in names})
        self.company.write({"invoice_run_min_amount": 10.0})
        self.assertEqual(self.company.invoice_run_min_amount, 10.0)
