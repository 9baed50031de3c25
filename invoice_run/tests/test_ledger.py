from odoo.fields import Command
from odoo.tests import tagged

from .ledger_common import LedgerCommon


@tagged("post_install", "-at_install")
class TestLedger(LedgerCommon):
    """What the invoices in force say was invoiced, and who reads it."""

    def setUp(self):
        super().setUp()
        self.move = self._bill()
        self.line = self.contract.line_ids
        self.ledger = self.env["billing.ledger"]

    def _get_billed(self, **kwargs):
        return self.ledger._get_billed_lines(self.line, **kwargs)[self.line.id]

    def test_entry_says_what_the_invoice_says(self):
        [billed] = self._get_billed()
        entry = billed.entry
        self.assertEqual(entry.kind, "billed")
        self.assertEqual(entry.line_id, self.move.invoice_line_ids.id)
        self.assertEqual(entry.amount_id, self.run.line_ids.id)
        self.assertEqual((entry.amount, entry.company_amount, entry.price_amount), (100,) * 3)
        self.assertEqual([str(day) for day in entry.span], ["2024-01-01", "2024-01-31"])
        self.assertEqual(entry.account_id, self.move.invoice_line_ids.account_id.id)
        self.assertFalse(billed.credits)
        totals = self.ledger._get_totals(self.line)[self.line.id]
        self.assertEqual(totals, {self.company.currency_id.id: (100.0, 0.0, 100.0, 0.0)})

    def test_as_of_a_day_of_the_books(self):
        self._credit(self.move, 30.0, date="2024-01-20")
        self.assertFalse(self._get_billed(as_of=self._date("2024-01-14")))
        [billed] = self._get_billed(as_of=self._date("2024-01-19"))
        self.assertEqual(float(billed.left()), 100.0)
        [billed] = self._get_billed(as_of=self._date("2024-01-20"))
        self.assertEqual(float(billed.left()), 70.0)
        self.move.button_draft()
        self.assertFalse(self._get_billed(as_of=self._date("2024-01-20")))
        self.assertEqual(float(self._get_billed()[0].left()), 70.0)

    def test_amount_is_spread_as_the_contract_bills_it(self):
        move = self._bill(
            [{"price_unit": 1200.0, "price_interval": "year"}],
            "2024-01-05",
            period_count=12,
        )
        line = self.contract.line_ids
        [billed] = self.ledger._get_billed_lines(line)[line.id]
        share = self.ledger._get_share(billed.entry)
        self.assertEqual(float(billed.left_after(self._date("2024-01-31"), share)), 1100.0)
        self.assertEqual(float(billed.left_after(self._date("2023-12-31"), share)), 1200.0)
        self.assertEqual(float(billed.left_after(self._date("2024-12-31"), share)), 0.0)
        self._credit(move, 200.0)
        [billed] = self.ledger._get_billed_lines(line)[line.id]
        self.assertEqual(float(billed.left_after(self._date("2024-01-31"), share)), 900.0)

    def test_taxes_of_an_entry(self):
        tax, other = self._make_tax(21), self._make_tax(6)
        lines = [self._with_tax(tax, other), self._with_tax(tax, price_unit=50.0)]
        items = self._bill(lines).invoice_line_ids
        credit = self._credit(items.move_id).invoice_line_ids
        taxes = self.ledger._get_tax_amounts([items[0].id, items[1].id, credit[1].id])
        self.assertEqual(taxes[items[0].id], {tax.id: (21.0, 21.0), other.id: (6.0, 6.0)})
        self.assertEqual(taxes[items[1].id], {tax.id: (10.5, 10.5)})
        self.assertEqual(taxes[credit[1].id], {tax.id: (-10.5, -10.5)})

    def test_usage(self):
        usage = self._make_usage(date="2024-01-20", price_unit=12.0)
        move = self._run_all("2024-01-31", self.usage_scenario).document_ids.move_id
        self._credit(move, 5.0)
        [billed] = self.ledger._get_billed_lines(usage)[usage.id]
        self.assertEqual((billed.entry.amount, float(billed.left())), (12.0, 7.0))
        self.assertEqual(billed.entry.planned_amount, 12.0)

    def test_order_line_of_an_invoice_without_a_run(self):
        order = (
            self.env["sale.order"]
            .sudo()
            .create(
                {
                    "partner_id": self.debtor.id,
                    "order_line": [
                        Command.create({"product_id": self.product.id, "price_unit": 80.0})
                    ],
                }
            )
        )
        order.action_confirm()
        move = order._create_invoices()
        self.assertEqual(
            self.ledger._get_totals(order.order_line)[order.order_line.id].popitem()[1][0], 80
        )
        move.action_post()
        self._credit(move, 30.0)
        entries = self.ledger._get_entries(order.order_line)[order.order_line.id]
        kinds = sorted((entry.kind, entry.amount) for entry in entries)
        self.assertEqual(kinds, [("billed", 80.0), ("released", -30.0)])

    def test_period_settled_without_an_invoice(self):
        self._bill([{"discount": 100.0}])
        line = self.contract.line_ids
        [entry] = self.ledger._get_entries(line)[line.id]
        self.assertEqual((entry.kind, entry.amount, entry.line_id), ("billed", 0.0, None))
        self.assertTrue(self.ledger._get_billed_days(line)[line.id])

    def test_queries_do_not_grow_with_the_records(self):
        few = self.line
        for _number in range(3):
            self._bill()
        many = self.env["billing.contract.line"].search([("contract_id", "!=", False)])
        self.assertGreater(len(many), 3)
        counts = []
        for lines in (few, many):
            self.env.flush_all()
            before = self.env.cr.sql_log_count
            self.ledger._get_billed_lines(lines)
            counts.append(self.env.cr.sql_log_count - before)
        self.assertEqual(counts, [1, 1])

    # ------------------------------------------------------------------
    # Readers
    # ------------------------------------------------------------------

    def test_compared_with_what_the_invoice_says(self):
        self._replace(self.move, 40.0)
        run = self._make_amounts(self._make_run("2024-02-01"))
        self.assertEqual(run.document_ids.previous_amount, 40.0)
        self.assertFalse(run.document_ids.is_outlier)

    def test_portal_shows_what_the_invoices_say(self):
        credit = self._credit(self.move, 30.0)
        new = self._end("2024-01-15").document_ids.move_id
        shown = {
            data["move"]: data["amount_untaxed"] for data in self.contract._get_portal_invoices()
        }
        self.assertEqual(shown, {self.move: 100.0, credit: -30.0, new: -21.61})

    def test_tab_of_the_contract_shows_what_the_invoices_say(self):
        self._credit(self.move, 30.0)
        amounts = self.contract.run_line_ids.with_user(self.user)
        self.assertEqual(amounts.mapped("amount_billed"), [70.0])
        self._end("2024-01-15")
        self.contract.invalidate_recordset()
        amounts = self.contract.run_line_ids.with_user(self.user)
        self.assertEqual(sorted(amounts.mapped("amount_billed")), [-21.61, 70.0])
