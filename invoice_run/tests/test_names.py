from odoo.exceptions import ValidationError
from odoo.fields import Command
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestNames(InvoiceRunCommon):
    """What an invoice is called, and what its lines say."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for code in ("nl_NL", "fr_FR"):
            cls.env["res.lang"]._activate_lang(code)
        cls.dutch = cls._make_partner("Klant", lang="nl_NL")

    def _run_named(self, title, invoice_date="2024-03-15", name_format="contract", **vals):
        run = self._make_run(invoice_date, **vals)
        run.schedule_id.sudo().write({"invoice_name": title, "invoice_name_format": name_format})
        self._make_amounts(run)
        self._make_invoices(run)
        return run

    def _get_titles(self, run):
        titles = run.document_ids.mapped("title")
        self.assertEqual(run.document_ids.move_id.mapped("billing_title"), titles)
        return titles

    def test_formats(self):
        contract = self._make_contract(date_start="2024-03-01")
        for name_format, title in (
            ("contract", f"Rent – {contract.name}"),
            ("contract_debtor", f"Rent – {contract.name} – Debtor"),
            ("debtor", "Rent – Debtor"),
        ):
            with self.subTest(name_format=name_format):
                run = self._run_named("Rent", name_format=name_format)
                self.assertEqual(self._get_titles(run), [title])
                run.action_reverse()

    def test_debtor_is_who_owes_not_the_invoice_address(self):
        office = self._make_partner("Bookkeeping Office")
        self._make_contract(date_start="2024-03-01", partner_invoice_id=office.id)
        run = self._run_named("Rent", name_format="debtor")
        self.assertEqual(run.document_ids.partner_id, office)
        self.assertEqual(self._get_titles(run), ["Rent – Debtor"])

    def assertDefault(self, expected, date_start, date_end, partner=None, **vals):
        """Check the name of the one invoice of a contract over these days."""
        contract = self._make_contract(
            date_start=date_start,
            date_end=date_end,
            billing_mode="end",
            partner_id=(partner or self.debtor).id,
            **vals,
        )
        run = self._run_named(False, date_start, record_ids=contract.ids)
        self.assertEqual(self._get_titles(run), [expected])
        run.action_reverse()

    def test_without_a_name_title_and_period(self):
        flat = {"title": "Apartment 2B"}
        for title, *days in (
            ("Apartment 2B – November 2024", "2024-11-01", "2024-11-30"),
            ("Apartment 2B – October – December 2024", "2024-10-01", "2024-12-31"),
            ("Apartment 2B – November 2024 – January 2025", "2024-11-01", "2025-01-31"),
            ("Apartment 2B – 11/10/2024 – 12/09/2024", "2024-11-10", "2024-12-09"),
            ("Apartment 2B – 11/10/2024", "2024-11-10", "2024-11-10"),
        ):
            with self.subTest(title):
                self.assertDefault(title, *days, **flat)

    def test_without_a_name_in_the_language_of_the_customer(self):
        month = ("2024-11-01", "2024-11-30")
        french = self._make_partner("Client", lang="fr_FR")
        self.assertDefault("Flat – november 2024", *month, self.dutch, title="Flat")
        self.assertDefault("Flat – novembre 2024", *month, french, title="Flat")

    def test_without_name_and_title_the_number(self):
        contract = self._make_contract(date_start="2024-03-01")
        run = self._run_named(False, name="Internal name")
        self.assertEqual(self._get_titles(run), [f"{contract.name} – March 2024"])

    def test_without_a_name_the_customer_where_the_format_says_so(self):
        self._make_contract(date_start="2024-03-01", title="Flat")
        run = self._run_named(False, name_format="debtor")
        self.assertEqual(self._get_titles(run), ["Flat – March 2024 – Debtor"])

    def test_without_a_name_several_contracts(self):
        self.debtor.allow_invoice_grouping = True
        for title in ("Flat", "Garage", "Flat", "Cellar"):
            self._make_contract(date_start="2024-03-01", title=title)
        run = self._run_named(False)
        self.assertEqual(self._get_titles(run), ["Flat, Garage, Cellar – March 2024"])
        run.action_reverse()
        for title in ("Garden", "Roof"):
            self._make_contract(date_start="2024-03-01", title=title)
        run = self._run_named(False)
        self.assertEqual(self._get_titles(run), ["Flat, Garage and 3 others – March 2024"])

    def test_without_a_name_usage(self):
        self._make_usage(date="2024-03-03")
        run = self._run_named(False, scenario=self.usage_scenario)
        self.assertEqual(self._get_titles(run), ["Usage – 03/03/2024"])

    def test_usage_without_contract_has_no_contract_in_its_name(self):
        self._make_usage(date="2024-03-03")
        run = self._run_named("Kilometres", scenario=self.usage_scenario)
        self.assertEqual(self._get_titles(run), ["Kilometres"])

    def assertRendered(self, name, title, partner=None):
        self._make_contract(
            date_start="2024-03-04",
            date_end="2024-04-10",
            partner_id=(partner or self.dutch).id,
            period_anchor="calendar",
        )
        run = self._run_named(name)
        [rendered] = self._get_titles(run)
        self.assertEqual(rendered.split(" – CTR")[0], title)

    def test_month_in_the_language_of_the_customer(self):
        self.assertRendered("Huur {month} {year}", "Huur maart 2024")

    def test_month_in_english(self):
        self.assertRendered("Rent {month} {year}", "Rent March 2024", self.debtor)

    def test_patterns_of_babel(self):
        self.assertRendered("{date_from:d MMM}–{date_to:d MMMM yyyy}", "4 mrt–31 maart 2024")

    def test_quarter_and_week(self):
        self.assertRendered("{quarter} {year}, week {week}", "K1 2024, week 10")

    def test_dates_in_the_format_of_the_language(self):
        self.assertRendered("{date_from} {date_to}", "04-03-2024 31-03-2024")

    def test_other_braces_stay(self):
        self.assertRendered("{month} {room} {}", "maart {room} {}")

    def test_each_customer_reads_his_own_language(self):
        french = self._make_partner("Client", lang="fr_FR")
        for partner in (self.dutch, french, self.debtor):
            self._make_contract(
                date_start="2024-02-01", date_end="2024-02-29", partner_id=partner.id
            )
        run = self._run_named("{month}")
        titles = {doc.partner_id: doc.title.split(" – ")[0] for doc in run.document_ids}
        self.assertEqual(
            titles, {self.dutch: "februari", french: "février", self.debtor: "February"}
        )

    def test_impossible_pattern_is_refused(self):
        schedule = self._make_run("2024-03-15").schedule_id
        for pattern in ("{date_from:HH:mm}", "{date_to:MMMMMMMM}"):
            with self.subTest(pattern), self.assertRaisesRegex(ValidationError, pattern):
                schedule.invoice_name = f"Rent {pattern}"

    def test_every_line_says_its_period(self):
        contract = self._make_contract(
            [{}, {"date_start": "2024-03-11", "name": "Garage"}],
            date_start="2024-03-01",
            partner_id=self.dutch.id,
        )
        usage = self._make_usage(
            date="2024-03-05", contract_id=contract.id, partner_id=self.dutch.id, name="Water"
        )
        lines = self._run_named("Huur").document_ids.move_id.invoice_line_ids
        rent, garage, water = lines.mapped("name")
        self.assertEqual(rent, "Rent\n01-03-2024 - 31-03-2024")
        self.assertRegex(garage, "^Garage\n11-03-2024 - 31-03-2024\n21 .*0,6774 × .*100,00")
        self.assertEqual(water, "Water")
        self.assertEqual(
            [(str(line.billing_date_from), str(line.billing_date_to)) for line in lines],
            [("2024-03-01", "2024-03-31"), ("2024-03-11", "2024-03-31"), ("2024-03-05",) * 2],
        )
        self.assertEqual(lines.invoice_run_line_id.usage_id, usage)

    def test_every_format_can_carry_the_names_of_lines(self):
        # FatturaPA and others are in Latin-1: what it has no sign for would be a question mark
        self.debtor.allow_invoice_grouping = True
        self.company.currency_id.symbol = "€"
        for code in ("nl_NL", "fr_FR", "it_IT", "de_DE", "es_ES"):
            self.env["res.lang"]._activate_lang(code)
            self.debtor.lang = code
            contract = self._make_contract(
                [{"price_unit": 1234.56}], date_start="2024-03-11", period_anchor="calendar"
            )
            contract.title = "Garage"
            run = self._run_named("Rent")
            for name in run.document_ids.move_id.invoice_line_ids.mapped("name"):
                with self.subTest(lang=code, name=name):
                    self.assertEqual(name, name.encode("latin-1", "replace").decode("latin-1"))
            self.assertTrue(run.line_ids.filtered(lambda line: " - " in line.name))
            self.assertTrue(run.line_ids.filtered(lambda line: "USD" in line.name))

    def test_one_off_lines_have_no_period_in_their_text(self):
        self._make_contract(
            [{"price_interval": "once", "name": "Deposit"}], date_start="2024-03-01"
        )
        line = self._run_named("Rent").document_ids.move_id.invoice_line_ids
        self.assertEqual(line.name, "Deposit")
        self.assertEqual(line.billing_date_from, self._date("2024-03-01"))

    def test_lines_are_in_the_language_of_the_invoice(self):
        address = self._make_partner("Boekhouding", lang="nl_NL", parent_id=self.debtor.id)
        self._make_contract(date_start="2024-03-01", partner_invoice_id=address.id)
        move = self._run_named("{month}").document_ids.move_id
        self.assertTrue(move.billing_title.startswith("maart"))
        self.assertEqual(move.invoice_line_ids.name, "Rent\n01-03-2024 - 31-03-2024")

    def test_title_is_printed(self):
        contract = self._make_contract(date_start="2024-03-01", partner_id=self.dutch.id)
        move = self._run_named("Huur {month}").document_ids.move_id
        report = self.env["ir.actions.report"].with_context(lang="nl_NL")
        html, _type = report._render_qweb_html("account.report_invoice", move.ids)
        self.assertIn(f"Huur maart – {contract.name}", html.decode())

    def test_references_of_contracts_and_customer(self):
        self.debtor.allow_invoice_grouping = True
        common = {"date_start": "2024-03-01"}
        contracts = [
            self._make_contract(client_order_ref=ref, **common)
            for ref in ("PO 1", "PO 2", "PO 1", False)
        ]
        move = self._run_named("Rent", name_format="debtor").document_ids.move_id
        self.assertEqual(move.ref, "PO 1, PO 2")
        self.assertEqual(move.invoice_origin, ", ".join(one.name for one in contracts))
        sections = move.invoice_line_ids.filtered(lambda line: line.display_type == "line_section")
        self.assertEqual(sections[0].name, f"{contracts[0].name} - PO 1")

    def test_analytic_distribution(self):
        plan = self.env["account.analytic.plan"].create({"name": "Buildings"})
        accounts = self.env["account.analytic.account"].create(
            [{"name": name, "plan_id": plan.id} for name in ("North", "South")]
        )
        self.env["account.analytic.distribution.model"].create(
            {
                "product_id": self.product.id,
                "analytic_distribution": {str(accounts[1].id): 100},
                "company_id": self.company.id,
            }
        )
        shared = {str(accounts[0].id): 60.0, str(accounts[1].id): 40.0}
        contract = self._make_contract(
            [{"analytic_distribution": shared}, {}], date_start="2024-03-01"
        )
        usage = {"date": "2024-03-05", "contract_id": contract.id}
        self._make_usage(analytic_distribution={str(accounts[0].id): 100.0}, **usage)
        lines = self._run_named("Rent").document_ids.move_id.invoice_line_ids
        # without one of its own, a line gets what Odoo gives it on any invoice
        self.assertEqual(
            lines.mapped("analytic_distribution"),
            [shared, {str(accounts[1].id): 100}, {str(accounts[0].id): 100.0}],
        )

    def test_category_of_the_contract_or_of_the_schedule(self):
        categories = self.env["billing.category"].create(
            [{"name": name, "company_id": self.company.id} for name in ("Rent", "Extra")]
        )
        self._make_contract(date_start="2024-03-01", category_id=categories[0].id)
        run = self._make_run("2024-03-15")
        self._make_amounts(run)
        self.assertEqual(run.document_ids.category_id, categories[0])
        run.schedule_id.category_id = categories[1]
        self._make_amounts(run)
        self.assertEqual(self._make_invoices(run).billing_category_id, categories[1])

    def test_limit_of_lines_makes_several_invoices_and_says_so(self):
        self.company.invoice_run_max_lines = 2
        contract = self._make_contract([{}, {}, {}, {}, {}], date_start="2024-03-01")
        self._make_contract([{}, {}], date_start="2024-03-01", partner_id=self.dutch.id)
        run = self._run_named("Rent")
        mine = run.document_ids.filtered(lambda doc: doc.contract_ids == contract)
        self.assertEqual(
            mine.mapped("title"), [f"Rent – {contract.name} ({n}/3)" for n in (1, 2, 3)]
        )
        self.assertEqual([len(doc.line_ids) for doc in mine], [2, 2, 1])
        self.assertEqual(mine.mapped("amount_total"), [200.0, 200.0, 100.0])
        other = run.document_ids - mine
        self.assertNotIn("(", other.title)
        self.assertEqual(len(run.invoice_ids), 4)

    def test_limit_of_lines_in_a_grouped_invoice(self):
        self.company.invoice_run_max_lines = 2
        self.debtor.allow_invoice_grouping = True
        for _number in range(2):
            self._make_contract([{}, {}, {}], date_start="2024-03-01")
        run = self._run_named("Rent", name_format="debtor")
        self.assertEqual(
            run.document_ids.mapped("title"), [f"Rent – Debtor ({n}/3)" for n in (1, 2, 3)]
        )
        middle = run.document_ids[1].move_id.invoice_line_ids
        self.assertEqual(
            middle.mapped("display_type"), ["line_section", "product", "line_section", "product"]
        )

    def test_payment_terms_and_addresses_of_the_contract(self):
        term = self.env.ref("account.account_payment_term_30days")
        address = self._make_partner("Branch", parent_id=self.debtor.id, type="invoice")
        salesman = self._make_user("salesman", "base.group_user")
        self._make_contract(date_start="2024-03-01", payment_term_id=term.id, user_id=salesman.id)
        move = self._run_named("Rent").document_ids.move_id
        self.assertEqual(move.partner_id, address)
        self.assertEqual(move.invoice_payment_term_id, term)
        self.assertEqual(move.invoice_date_due, self._date("2024-04-14"))
        self.assertEqual(move.invoice_user_id, salesman)

    def test_delivered_on_the_last_day(self):
        self._make_contract(date_start="2024-02-01", billing_timing="arrears")
        move = self._run_named("Rent").document_ids.move_id
        self.assertEqual(move.delivery_date, self._date("2024-02-29"))
        contract = self._make_contract(
            [{"tax_ids": [Command.set(self.tax_sale_a.ids)]}], date_start="2024-03-01"
        )
        move = self._run_named("Rent").document_ids.move_id
        self.assertEqual(move.billing_contract_ids, contract)
        self.assertEqual(move.delivery_date, self._date("2024-03-31"))

    def test_no_future_delivery_where_a_country_refuses_it(self):
        self._make_contract(date_start="2024-03-01")
        self._make_contract(date_start="2024-02-01", billing_timing="arrears")
        for country in ("es", "hu"):
            with self.subTest(country), self.env.cr.savepoint() as savepoint:
                self.company.account_fiscal_country_id = self.env.ref(f"base.{country}")
                run = self._make_run("2024-03-15", target_date="2024-03-15")
                moves = self._make_invoices(self._make_amounts(run)).sorted("delivery_date")
                days = [self._date("2024-02-29"), self._date("2024-03-15")]
                self.assertEqual(moves.mapped("delivery_date"), days)
                savepoint.rollback()

    def test_arithmetic_where_quantity_and_price_cannot_say_it(self):
        self._make_contract(date_start="2024-03-16", period_anchor="calendar")
        line = self._make_amounts(self._make_run("2024-03-16")).line_ids
        self.assertEqual((line.quantity, line.price_unit, line.amount), (1.0, 51.61, 51.61))
        self.assertIn("16 days: 0.5161 × $\xa0100.00", line.name)

    def test_due_date_of_the_run_clears_the_term(self):
        self.debtor.property_payment_term_id = self.env.ref("account.account_payment_term_30days")
        self._make_contract(date_start="2024-03-01")
        move = self._run_named("Rent", due_date="2024-03-31").document_ids.move_id
        self.assertFalse(move.invoice_payment_term_id)
        self.assertEqual(move.invoice_date_due, self._date("2024-03-31"))

    def test_payable_at_once_is_due_on_the_invoice_date(self):
        self._make_contract(date_start="2030-03-01")
        move = self._run_named("Rent", "2030-03-05").document_ids.move_id
        self.assertEqual(move.invoice_date_due, self._date("2030-03-05"))
