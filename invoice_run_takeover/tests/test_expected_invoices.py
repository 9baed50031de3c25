from psycopg2 import IntegrityError

from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.addons.invoice_run.tests.test_import import XLSX, ImportCommon
from odoo.exceptions import AccessError, ValidationError
from odoo.fields import Command
from odoo.tests import freeze_time, tagged
from odoo.tools import file_open, mute_logger


@freeze_time("2024-01-20 09:00:00")
@tagged("post_install", "-at_install")
class TestExpectedInvoices(InvoiceRunCommon):
    """What another program would invoice next, beside what a run would."""

    def _make_moved(self, activate=False, **line):
        """A contract of 100 a month that was invoiced elsewhere until January."""
        line = {"initial_invoiced_until": "2024-01-31", **line}
        return self._make_contract([line], activate=activate, date_start="2023-01-01")

    def _expect(self, contract, date="2024-02-01", untaxed=100.0, total=0.0):
        vals = {"date": date, "amount_untaxed": untaxed, "amount_total": total}
        rows = self.env["billing.expected.invoice"].with_user(self.manager)
        return rows.create({"contract_id": contract.id, **vals})

    def _get_traces(self):
        names = ("invoice.run", "invoice.run.document", "invoice.run.schedule", "billing.change")
        names += ("billing.scenario", "mail.message")
        # sudo: all there are
        return [self.env[name].sudo().search_count([]) for name in names]

    def test_what_is_equal_and_what_differs(self):
        draft, active = self._make_moved(), self._make_moved(activate=True)
        rows = self._expect(draft) + self._expect(draft, "2024-03-01")
        rows += self._expect(active) + self._expect(active, "2024-03-01", 120.0)
        before = self._get_traces()
        rows.action_compare()
        self.assertEqual(rows.mapped("verdict"), ["equal", "equal", "equal", "differs"])
        self.assertEqual(rows.mapped("difference"), [0.0, 0.0, 0.0, -20.0])
        self.assertEqual(rows.mapped("our_untaxed"), [100.0] * 4)
        self.assertEqual(self._get_traces(), before, "it was tried and rolled back")
        self.assertEqual((draft.state, active.state), ("draft", "active"))

    def test_a_cent_of_taxes(self):
        tax = self.env["account.tax"].create({"name": "19", "amount": 19.0})
        taxed = {"tax_ids": [Command.set(tax.ids)], "price_unit": 33.33}
        rows = self._expect(self._make_moved(**taxed), untaxed=33.33, total=39.66)
        rows += self._expect(self._make_moved(**taxed), untaxed=33.33, total=39.65)
        rows += self._expect(self._make_moved(**taxed), untaxed=0.0, total=39.66)
        rows.action_compare()
        self.assertEqual(rows.mapped("verdict"), ["equal", "differs", "equal"])
        self.assertEqual(rows[1].difference, 0.01)

    def test_a_month_that_would_be_invoiced_twice(self):
        row = self._expect(self._make_moved(initial_invoiced_until="2023-12-31"))
        row.action_compare()
        self.assertEqual((row.verdict, row.difference), ("day", 0.0))
        self.assertEqual(row.our_date, self._date("2024-01-01"))

    def test_one_that_cannot_be_invoiced_never_stops_the_others(self):
        empty = self._make_moved()
        empty.line_ids.unlink()
        ended = self._make_moved(date_end="2024-01-31")
        held = self._make_moved()
        held.billing_hold = True
        rows = self._expect(empty) + self._expect(ended) + self._expect(held)
        action = rows.action_compare()
        self.assertEqual(rows.mapped("verdict"), ["failed", "none", "equal"])
        self.assertIn("add a price line", rows[0].reason)
        self.assertIn("Invoices compared: 3. Equal: 1.", action["params"]["message"])
        self.assertTrue(held.billing_hold)

    def test_without_a_selection_what_is_open(self):
        rows = self._expect(self._make_moved()) + self._expect(self._make_moved(), untaxed=90.0)
        rows.browse().action_compare()
        self.assertEqual(rows.mapped("verdict"), ["equal", "differs"])
        rows[1].amount_untaxed = 100.0
        self.assertEqual((rows[1].verdict, rows[1].our_untaxed), ("open", 0.0))
        rows.browse().action_compare()
        self.assertEqual(rows.mapped("verdict"), ["equal", "equal"])

    def test_what_is_refused(self):
        contract = self._make_moved()
        row = self._expect(contract)
        with self.assertRaises(IntegrityError), mute_logger("odoo.sql_db"):
            self._expect(contract)
        with self.assertRaises(IntegrityError), mute_logger("odoo.sql_db"):
            self._expect(contract, "2024-03-01", untaxed=0.0)
        with self.assertRaises(ValidationError):
            self._expect(contract, "2124-03-01")
        with self.assertRaises(AccessError):
            row.verdict = "equal"
        with self.assertRaises(AccessError):
            row.with_user(self.reviewer).action_compare()

    def test_of_another_company(self):
        row = self._expect(self._make_moved())
        other = self.setup_other_company()["company"]
        group = "invoice_run.invoice_run_group_manager"
        stranger = self._make_user("expected_stranger", group, company=other)
        rows = self.env["billing.expected.invoice"].with_user(stranger)
        self.assertFalse(rows.search([]))
        with self.assertRaises(AccessError):
            row.with_user(stranger).action_compare()


@tagged("post_install", "-at_install")
class TestExpectedTemplate(ImportCommon):
    def test_the_template(self):
        self.user = self.manager
        contracts = {name: self._make_contract() for name in ("contract_harbour", "contract_rossi")}
        for name, contract in contracts.items():
            data = {"module": "__import__", "model": contract._name, "res_id": contract.id}
            self.env["ir.model.data"].create({**data, "name": name})
        (template,) = self.env["billing.expected.invoice"].get_import_templates()
        with file_open(template["template"].lstrip("/"), "rb") as file:
            result, _fields = self._upload("billing.expected.invoice", file.read(), XLSX)
        self.assertFalse(result["messages"])
        found = self.env["billing.expected.invoice"].browse(result["ids"])
        self.assertEqual(found.contract_id.ids, [one.id for one in contracts.values()])
        self.assertEqual(found.mapped("amount_untaxed"), [1064.0, 75.5])
        self.assertEqual(found.mapped("amount_total"), [1276.8, 0.0])
