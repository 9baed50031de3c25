from odoo.exceptions import ValidationError
from odoo.tests import freeze_time, new_test_user, tagged

from .sale_common import SaleRunCommon


@freeze_time("2024-02-10 09:00:00")
@tagged("post_install", "-at_install")
class TestDefaultScenarios(SaleRunCommon):
    """Every company begins with scenarios that work as they are."""

    def _get_default(self, key, company=None):
        company = company or self.company
        return self.env.ref(f"invoice_run.scenario_{key}_{company.id}")

    def _carry_out(self, key):
        run = self._make_run("2024-02-10", self._get_default(key))
        return self._make_amounts(run)

    def test_each_company_has_its_own(self):
        admin = new_test_user(self.env, "company_admin", groups="base.group_system")
        company = self.env["res.company"].with_user(admin).create({"name": "New"}).sudo(False)
        names = {self._get_default(key, company).name for key in self._get_keys()}
        self.assertEqual(len(names), len(self._get_keys()))
        for key in self._get_keys():
            scenario = self._get_default(key, company)
            self.assertEqual(scenario.company_id, company)
            self.assertEqual(scenario.author_id, self.env.ref("base.user_root"))

    def _get_keys(self):
        defaults = self.env["billing.scenario"]._get_default_scenarios()
        prefix = "invoice_run.scenario_"
        return [key.removeprefix(prefix) for key in defaults if key.startswith(prefix)]

    def test_a_forged_context_does_not_spare_the_check(self):
        forged = self.env["billing.scenario"].with_context(invoice_run_defaults=True)
        with self.assertRaises(ValidationError):
            forged.create({"name": "Bad", "domain": "[('nothing', '=', 1)]"})

    def test_a_new_branch_keeps_the_order_of_odoo(self):
        # Odoo loads the chart of accounts of a branch at the end of the transaction
        self.env.cr.flush()
        ran = []
        self.env.cr.precommit.add(lambda: ran.append("hook"))
        branch = self.env["res.company"].create({"name": "Branch", "parent_id": self.company.id})
        self.assertTrue(self._get_default("contracts_due", branch))
        self.assertEqual(ran, [], "the hooks of others wait")
        self.assertFalse(branch.chart_template)
        self.env.cr.flush()
        self.assertEqual(ran, ["hook"])
        self.assertTrue(branch.chart_template)

    def test_made_once(self):
        scenarios = self.env["billing.scenario"]
        before = scenarios.search_count([])
        self._get_default("contracts_due").name = "Ours"
        scenarios._create_default_scenarios(self.company)
        self.assertEqual(scenarios.search_count([]), before)
        self.assertEqual(self._get_default("contracts_due").name, "Ours")

    def test_contracts_due(self):
        self._make_contract(date_start="2024-02-01")
        self._make_usage(date="2024-02-05", price_unit=7.0)
        self.assertEqual(self._carry_out("contracts_due").amount_untaxed, 100.0)

    def test_checked_in(self):
        self._make_contract(date_start="2024-02-01")
        contract = self._make_contract(date_start="2024-02-01", check_in_date="2024-02-01")
        self.assertEqual(
            self._carry_out("contracts_checked_in").document_ids.contract_ids, contract
        )

    def test_until_a_date_month_by_month(self):
        self._make_contract(date_start="2024-01-01", date_end="2024-12-31")
        run = self._carry_out("contracts_until_date")
        self.assertEqual(self._get_periods(run), ["2024-01-01/2024-01-31", "2024-02-01/2024-02-10"])
        self.assertEqual(len(run.document_ids), 2)

    def test_usage_of_the_previous_month(self):
        for day in ("2023-12-30", "2024-01-31", "2024-02-01"):
            self._make_usage(date=day, price_unit=7.0)
        run = self._carry_out("usage_previous_month")
        self.assertEqual(len(run.document_ids), 1)
        self.assertEqual(
            run.line_ids.mapped("billing_date_from"),
            [self._day("2023-12-30"), self._day("2024-01-31")],
        )

    def test_sale_orders(self):
        order = self._make_order()
        self.assertEqual(self._carry_out("sale_to_invoice").document_ids.sale_order_ids, order)

    def test_all_can_be_used_by_schedules(self):
        for key in self._get_keys():
            scenario = self._get_default(key)
            scenario.rule_ids._check_rule()
            scenario._check_domain()
            self.assertTrue(scenario.description)
            try:
                self.env["invoice.run.schedule"].create(
                    {
                        "name": key,
                        "scenario_id": scenario.id,
                        "company_id": self.company.id,
                        "date_from": "2024-03-01",
                        "date_to": "2024-03-31",
                        "cycle": "monthly",
                    }
                )
            except ValidationError as error:
                self.fail(f"{key}: {error}")

    def _translate(self, **french):
        """Have the default scenarios' texts of ``french`` in that language."""
        scenarios = self.env["billing.scenario"]
        original = type(scenarios)._get_default_scenarios

        def translated(model):
            defaults = original(model)
            if model.env.lang == "fr_FR":
                defaults["invoice_run.scenario_contracts_due"] |= french
                rule = defaults["invoice_run.scenario_usage_previous_month"]["rule_ids"][0][2]
                rule["name"] = "Utilisé"
            return defaults

        self.patch(type(scenarios), "_get_default_scenarios", translated)

    def test_texts_of_installed_languages(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self._translate(name="Toutes", description="Ce qui est dû")
        company = self.env["res.company"].create({"name": "New"})
        scenario = self._get_default("contracts_due", company)
        self.assertEqual(scenario.with_context(lang="fr_FR").name, "Toutes")
        self.assertEqual(scenario.with_context(lang="en_US").name, "All contracts due")

    def test_texts_of_a_language_that_is_added_later(self):
        due, usage = self._get_default("contracts_due"), self._get_default("usage_previous_month")
        due.description = "Ours"
        self._translate(name="Toutes", description="Ce qui est dû")
        self.env["res.lang"]._activate_lang("fr_FR")
        # what "Add Languages" calls
        self.env["ir.module.module"]._load_module_terms(["invoice_run"], ["fr_FR"])
        french = due.with_context(lang="fr_FR")
        self.assertEqual((french.name, french.description), ("Toutes", "Ours"))
        self.assertEqual(due.with_context(lang="en_US").name, "All contracts due")
        rule = usage.rule_ids.with_context(lang="fr_FR")
        self.assertEqual(rule.name, "Utilisé")
        self.assertEqual(rule.with_context(lang="en_US").name, "Used until")
        # a second time: what was translated by hand stays
        french.name = "Les contrats"
        self.env["ir.module.module"]._load_module_terms(["invoice_run"], ["fr_FR"])
        self.assertEqual(french.name, "Les contrats")
