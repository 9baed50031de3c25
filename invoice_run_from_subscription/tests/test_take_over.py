from freezegun import freeze_time

from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import FromSubscriptionCommon


@tagged("post_install", "-at_install")
@freeze_time("2024-01-01")
class TestFromSubscription(FromSubscriptionCommon):
    def _check_kind(self, invoices, until, made=2, **vals):
        """Make ``made`` invoices there, then compare ``invoices`` coming ones, to the cent."""
        subscription = self._make_subscription(**vals)
        self._invoice(subscription, made)
        report = self._get_report(subscription, count=invoices)
        self.assertEqual(report["verdict"], "ready", report["findings"])
        self.assertEqual({str(line["invoiced_until"]) for line in report["lines"]}, {until})
        self.assertEqual(len(report["invoices"]), invoices)
        for pair in report["invoices"]:
            self.assertEqual(pair["theirs"], pair["ours"])
            self.assertTrue(pair["ours"]["tax"])
        return subscription

    def test_weekly(self):
        self._check_kind(52, "2024-01-14", rule="weeks")

    def test_every_14_days(self):
        self._check_kind(26, "2024-01-28", rule="days", interval=14)

    def test_monthly(self):
        self._check_kind(24, "2024-02-29", lines=[{}, {"price_unit": 19.99, "discount": 0}])

    def test_monthly_from_the_15th(self):
        self._check_kind(24, "2024-03-14", start="2024-01-15")

    def test_quarterly(self):
        self._check_kind(8, "2024-06-30", interval=3)

    def test_yearly(self):
        self._check_kind(2, "2025-12-31", rule="years")

    def test_tax_included(self):
        included = self.tax.copy({"name": "incl.", "price_include_override": "tax_included"})
        self._check_kind(24, "2024-02-29", lines=[{"tax_ids": [Command.set(included.ids)]}])

    def test_limited(self):
        """An invoice is made on the last day before it is closed: a 13th one."""
        subscription = self._check_kind(
            11,
            "2024-02-29",
            template={"recurring_rule_boundary": "limited", "recurring_rule_count": 12},
        )
        self.assertEqual(str(subscription.date), "2025-01-01")
        self.assertEqual(len(self._get_report(subscription, count=60)["invoices"]), 11)

    def test_drifting(self):
        subscription = self._make_subscription(start="2024-01-31")
        self.assertEqual(self._get_report(subscription)["verdict"], "stop")

    def test_moved_next_date(self):
        subscription = self._make_subscription()
        self._invoice(subscription, 1)
        subscription.recurring_next_date = "2024-02-20"
        self.assertEqual(self._get_report(subscription)["verdict"], "accept")

    def test_days(self):
        report = self._get_report(self._make_subscription(rule="days", interval=10))
        self.assertEqual(report["verdict"], "stop")
        self.assertIn("every 10 days", report["findings"][0]["text"])

    def test_no_tax_on_a_taxed_product(self):
        account = self.company_data["default_account_revenue"]
        product = self._make_product(
            "Taxed",
            10.0,
            taxes_id=[Command.set(self.tax.ids)],
            property_account_income_id=account.id,
        )
        lines = [{"product_id": product.id, "tax_ids": [Command.clear()]}]
        report = self._get_report(self._make_subscription(lines=lines))
        self.assertEqual(report["verdict"], "stop")
        self.assertIn("no tax", "".join(found["text"] for found in report["findings"]))

    def test_there_no_invoice_can_be_made(self):
        """Without an account on product and category; here the company's is taken."""
        subscription = self._make_subscription(
            lines=[{"product_id": self._make_product("No account", 10.0).id}]
        )
        with mute_logger("odoo.sql_db"):
            report = self._get_report(subscription)
        self.assertEqual(report["verdict"], "accept")
        self.assertIn("cannot create its next invoice", report["findings"][-1]["text"])

    def test_not_begun(self):
        subscription = self._make_subscription()
        subscription.in_progress = False
        self.assertEqual(self._get_report(subscription)["verdict"], "stop")

    def test_take_over_and_undo(self):
        subscription = self._make_subscription()
        self._invoice(subscription, 1)
        self.env["ir.attachment"].create(
            {
                "name": "signed.pdf",
                "raw": b"pdf",
                "res_model": subscription._name,
                "res_id": subscription.id,
            }
        )
        theirs = [pair["theirs"]["total"] for pair in self._get_report(subscription)["invoices"]]
        ours = self._take_over(subscription)
        self.assertEqual(ours.line_ids.tax_ids, self.tax)
        self.assertEqual(ours.message_attachment_count, 1)
        self.assertEqual(str(ours.line_ids.initial_invoiced_until), "2024-01-31")
        with freeze_time("2024-04-01"):
            self.env["sale.subscription"].cron_subscription_management()
        self.assertEqual(len(subscription.invoice_ids), 1)
        with self.assertRaises(UserError):
            subscription.manual_invoice()
        takeover = ours.takeover_id.with_user(self.mover)
        takeover.action_undo()
        self.assertTrue(subscription.active)
        self.assertEqual(str(subscription.recurring_next_date), "2024-02-01")
        again = self._take_over(subscription)
        totals = [
            total
            for month in (2, 3, 4)
            for total in self._run_all(f"2024-{month:02}-01").document_ids.move_id.mapped(
                "amount_total"
            )
        ]
        self.assertEqual(totals, theirs)
        self.assertEqual(again.line_ids.invoiced_until, self._date("2024-04-30"))

    def test_paused(self):
        subscription = self._make_subscription()
        subscription.action_pause("2024-05-01")
        report = self._get_report(subscription)
        self.assertEqual(report["verdict"], "accept")
        self.assertTrue(self._take_over(subscription, accept=True).billing_hold)
