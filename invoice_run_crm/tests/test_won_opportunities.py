from odoo.addons.invoice_run.tests.sale_common import SaleRunCommon
from odoo.tests import Form, freeze_time, tagged


@freeze_time("2024-02-10 09:00:00")
@tagged("post_install", "-at_install")
class TestWonOpportunities(SaleRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.won_scenario = cls.env.ref(
            f"invoice_run_crm.scenario_won_opportunities_{cls.company.id}"
        )
        cls.team = cls.env["crm.team"].create({"name": "North", "company_id": cls.company.id})

    def _make_lead(self, name, closed="2024-01-20 10:00:00", won=True):
        lead = self.env["crm.lead"].create(
            {
                "name": name,
                "type": "opportunity",
                "partner_id": self.debtor.id,
                "company_id": self.company.id,
                "team_id": self.team.id,
            }
        )
        if won:
            lead.action_set_won()
            lead.date_closed = closed
        return lead

    def _make_lead_order(self, lead, approve=True, **vals):
        order = self._make_order(opportunity_id=lead.id, team_id=self.team.id, **vals)
        if approve:
            order.with_user(self.user).action_approve_for_invoicing()
        return order

    def _fetch(self, *values, **vals):
        """Make the amounts of a run, with these answers to what the scenario asks."""
        if values:
            vals["rule_values"] = {str(self.won_scenario.rule_ids.id): list(values)}
        return self._make_amounts(self._make_run("2024-02-10", self.won_scenario, **vals))

    def test_won_and_closed_in_the_range_and_approved(self):
        order = self._make_lead_order(self._make_lead("Won"))
        self._make_lead_order(self._make_lead("Won, not approved"), approve=False)
        self._make_lead_order(self._make_lead("Open", won=False))
        self._make_lead_order(self._make_lead("Too early", closed="2023-12-31 20:00:00"))
        self._make_lead_order(self._make_lead("Too late", closed="2024-02-01 10:00:00"))
        self._make_order().with_user(self.user).action_approve_for_invoicing()
        run = self._fetch("2024-01-01", "2024-01-31")
        self.assertEqual(run.document_ids.sale_order_ids, order)
        self._make_invoices(run)
        self.assertEqual(order.invoice_status, "invoiced")
        self.assertFalse(self._fetch("2024-01-01", "2024-01-31").document_ids)

    def test_days_are_those_of_the_company(self):
        # 31 December 23:30 in UTC is the new year in Brussels
        order = self._make_lead_order(self._make_lead("Won", closed="2023-12-31 23:30:00"))
        self.assertFalse(self._fetch("2023-12-01", "2023-12-31").document_ids)
        self.assertEqual(self._fetch("2024-01-01", "2024-01-01").document_ids.sale_order_ids, order)

    def test_previous_month_is_proposed(self):
        self._make_lead_order(self._make_lead("January"))
        self._make_lead_order(self._make_lead("February", closed="2024-02-02 10:00:00"))
        self.assertEqual(self._fetch().document_ids.opportunity_id.name, "January")

    def test_archived_opportunity(self):
        lead = self._make_lead("Won")
        order = self._make_lead_order(lead)
        lead.active = False
        self.assertEqual(lead.won_status, "won")
        # archiving closes it once more
        lead.date_closed = "2024-01-20 10:00:00"
        self.assertEqual(self._fetch().document_ids.sale_order_ids, order)

    def test_opportunity_and_team_where_they_are_shared(self):
        self.debtor.allow_invoice_grouping = True
        leads = self._make_lead("First") | self._make_lead("Second")
        for lead in leads:
            self._make_lead_order(lead)
        document = self._fetch().document_ids
        self.assertEqual(len(document), 1)
        self.assertEqual(document.line_ids.opportunity_id, leads)
        self.assertFalse(document.opportunity_id)
        self.assertEqual(document.sale_team_id, self.team)
        move = self._make_invoices(document.run_id)
        self.assertEqual(move.team_id, self.team)

    def test_plain_user_reads_the_columns(self):
        self._make_lead_order(self._make_lead("Won"))
        run = self._fetch()
        user_documents = self.env["invoice.run.document"].with_user(self.user)
        found = user_documents.web_search_read(
            [("run_id", "=", run.id)],
            {"opportunity_id": {"fields": {"display_name": {}}}, "sale_team_id": {"fields": {}}},
        )
        self.assertEqual(found["records"][0]["opportunity_id"]["display_name"], "Won")
        with Form(run.document_ids.with_user(self.user)) as form:
            self.assertEqual(form.sale_team_id, self.team)

    def test_lost_approval_outdates_the_amounts(self):
        order = self._make_lead_order(self._make_lead("Won"))
        run = self._fetch()
        order.with_user(self.user).action_withdraw_invoicing_approval()
        self.assertTrue(run.document_ids.is_stale)
        run.with_user(self.user).action_renew_stale()
        run._process_queue()
        self.assertFalse(run.document_ids)

    def test_new_company_has_the_scenario(self):
        company = self.env["res.company"].create({"name": "New"})
        scenario = self.env.ref(f"invoice_run_crm.scenario_won_opportunities_{company.id}")
        self.assertEqual(scenario.company_id, company)
