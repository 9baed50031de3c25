import io

import openpyxl

from odoo.exceptions import UserError
from odoo.tests import tagged

from .common import InvoiceRunCommon

HEADER = ["External Reference", "Date", "Payer", "Product", "Quantity", "Price"]
FIELDS = ["external_ref", "date", "partner_id", "product_id", "quantity", "price_unit"]
ROWS = [
    ["T-1", "2024-01-03", "Debtor", "Rent", "2", "10.5"],
    ["T-2", "2024-01-04", "Debtor", "Rent", "1", "7"],
]


@tagged("post_install", "-at_install")
class TestUsageImport(InvoiceRunCommon):
    """Odoo's own import, as the user who prepares runs."""

    def _import(self, content, file_type):
        wizard = (
            self.env["base_import.import"]
            .with_user(self.user)
            .create(
                {
                    "res_model": "billing.usage",
                    "file": content,
                    "file_name": "usage",
                    "file_type": file_type,
                }
            )
        )
        options = {"has_headers": True, "quoting": '"', "separator": ",", "encoding": "utf-8"}
        options |= {"date_format": "%Y-%m-%d", "float_decimal_separator": "."}
        return wizard.execute_import(FIELDS, HEADER, {**options, "sheet": "Sheet"})

    def _import_csv(self, rows=ROWS):
        lines = [",".join(f'"{value}"' for value in row) for row in [HEADER, *rows]]
        return self._import("\n".join(lines).encode(), "text/csv")

    def _get_usage(self):
        return self.env["billing.usage"].search([("external_ref", "=like", "T-%")])

    def test_csv(self):
        result = self._import_csv()
        self.assertFalse(result["messages"])
        usage = self._get_usage()
        self.assertEqual(usage.mapped("external_ref"), ["T-1", "T-2"])
        self.assertEqual(usage.mapped("amount"), [21.0, 7.0])
        self.assertEqual(usage.partner_id, self.debtor)
        self.assertEqual(usage.company_id, self.company)

    def test_xlsx(self):
        book = openpyxl.Workbook()
        for row in [HEADER, *ROWS]:
            book.active.append(row)
        content = io.BytesIO()
        book.save(content)
        mimetype = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        result = self._import(content.getvalue(), mimetype)
        self.assertFalse(result["messages"])
        self.assertEqual(self._get_usage().mapped("amount"), [21.0, 7.0])

    def test_twice_adds_nothing(self):
        self._import_csv()
        first = self._get_usage()
        result = self._import_csv()
        self.assertFalse(result["messages"])
        self.assertEqual(self._get_usage(), first)

    def test_twice_after_invoicing_adds_nothing(self):
        self._import_csv()
        run = self._run_all("2024-01-31", self.usage_scenario)
        self.assertEqual(run.amount_untaxed, 28.0)
        self.assertFalse(self._import_csv()["messages"])
        self.assertFalse(self._run_all("2024-01-31", self.usage_scenario).document_ids)

    def test_same_rows_do_not_outdate_amounts(self):
        self._import_csv()
        run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        self._import_csv()
        self.assertEqual(run.stale_count, 0)

    def test_corrected_row_changes_the_open_item(self):
        self._import_csv()
        self._import_csv([["T-1", "2024-01-03", "Debtor", "Rent", "3", "10.5"]])
        self.assertEqual(self._get_usage().mapped("amount"), [31.5, 7.0])

    def test_corrected_row_of_an_invoiced_item_is_refused(self):
        self._import_csv()
        self._run_all("2024-01-31", self.usage_scenario)
        result = self._import_csv([["T-1", "2024-01-03", "Debtor", "Rent", "3", "10.5"]])
        self.assertIn("credit item", result["messages"][0]["message"])
        self.assertEqual(self._get_usage()[0].quantity, 2)

    def test_unknown_product_is_named_and_nothing_is_lost(self):
        result = self._import_csv([*ROWS, ["T-3", "2024-01-05", "Debtor", "No Such", "1", "1"]])
        self.assertIn("No Such", result["messages"][0]["message"])
        self.assertFalse(self._get_usage())

    def test_reference_is_unique_within_a_company(self):
        self._import_csv()
        with self.assertRaisesRegex(Exception, "external_ref"), self.env.cr.savepoint():
            self._make_usage(date="2024-01-09", external_ref="T-1")


@tagged("post_install", "-at_install")
class TestUsage(InvoiceRunCommon):
    def test_credit_item_lowers_the_invoice(self):
        self._make_usage(date="2024-01-03", price_unit=50.0)
        self._make_usage(date="2024-01-04", price_unit=20.0, quantity=-1)
        move = self._run_all("2024-01-31", self.usage_scenario).document_ids.move_id
        self.assertEqual(move.move_type, "out_invoice")
        self.assertEqual(move.amount_total, 30.0)

    def test_items_of_a_cluster_belong_to_its_invoicing_party(self):
        other = self.setup_other_company()["company"]
        cluster = self.env["billing.cluster"].create({"name": "North", "company_id": other.id})
        asset = self.env["billing.asset"].create(
            {"name": "Car", "cluster_id": cluster.id, "company_id": other.id}
        )
        usage = self.env["billing.usage"].create(
            {
                "date": "2024-01-03",
                "partner_id": self._make_partner("Driver").id,
                "product_id": self.product.id,
                "asset_id": asset.id,
            }
        )
        self.assertEqual(usage.company_id, other)
        self.assertEqual(usage.cluster_id, cluster)
        scenario = self._make_scenario("Usage", source="usage", company_id=other.id)
        run = self._make_run("2024-01-31", scenario)
        run.action_generate_amounts()
        run._process_queue()
        self.assertEqual(run.line_ids.usage_id, usage)
        self.assertEqual(run.document_ids.company_id, other)

    def test_invoiced_item_cannot_be_changed(self):
        usage = self._make_usage(date="2024-01-03")
        self._run_all("2024-01-31", self.usage_scenario)
        with self.assertRaisesRegex(UserError, "credit item"):
            usage.price_unit = 3.0
        usage.price_unit = 100.0

    def test_state_follows_the_claim(self):
        usage = self._make_usage(date="2024-01-03")
        run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
        self.assertEqual(usage.state, "planned")
        run.action_delete_amounts("wrong")
        self.assertEqual(usage.state, "open")
        self._make_invoices(self._make_amounts(run))
        self.assertEqual(usage.state, "invoiced")
