import csv
import io

from odoo.tests import tagged
from odoo.tools.misc import file_open

from .common import InvoiceRunCommon

OPTIONS = {
    "has_headers": True,
    "quoting": '"',
    "separator": ",",
    "encoding": "utf-8",
    "date_format": "",
    "float_thousand_separator": ",",
    "float_decimal_separator": ".",
}
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HEADERS = ["External ID", "Customer", "Start", "End", "Billing Timing", "Billing Period"]
#: Of one more contract with one line in a file.
MAX_QUERIES = 3
LINE_HEADERS = ["Product", "Price", "Per", "Discount %", "Start", "End"]


class ImportCommon(InvoiceRunCommon):
    """Files go through Odoo's own import, as the plain user who uploads them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name in ("Harbour Consulting", "Maria Rossi"):
            cls._make_partner(name)
        for name in ("Cleaning", "Parking", "Electricity", "Repair"):
            cls._make_product(name, 10.0)

    def _upload(self, model, content, mimetype="text/csv"):
        """Import a file; return the result and the field of each column."""
        wizard = (
            self.env["base_import.import"]
            .with_user(self.manager if model == "billing.tariff" else self.user)
            .create(
                {"res_model": model, "file": content, "file_name": "file", "file_type": mimetype}
            )
        )
        preview = wizard.parse_preview(dict(OPTIONS))
        self.assertNotIn("error", preview)
        matches = preview["matches"]
        fields = ["/".join(matches.get(n, [])) for n in range(len(preview["headers"]))]
        self.assertNotIn("", fields, f"a column has no field: {preview['headers']}")
        options = {**OPTIONS, **preview["options"]}
        return wizard.execute_import(fields, preview["headers"], options), fields

    def _upload_template(self, model):
        (template,) = self.env[model].get_import_templates()
        with file_open(template["template"].lstrip("/"), "rb") as file:
            content = file.read()
        return self._upload(model, content, XLSX)

    def _upload_rows(self, *rows, headers=None, model="billing.contract"):
        lines = [f"Price Lines/{name}" for name in LINE_HEADERS]
        output = io.StringIO()
        csv.writer(output).writerows([headers or [*HEADERS, *lines], *rows])
        return self._upload(model, output.getvalue().encode())[0]

    def _row(self, number, **values):
        """Return a row that is right but for ``values``, by header."""
        row = {
            "External ID": f"contract_{number}",
            "Customer": "Maria Rossi",
            "Start": "2025-01-01",
            "End": "2025-12-31",
            "Billing Timing": "In advance",
            "Billing Period": "1",
            "Product": "Rent",
            "Price": "100",
            "Per": "Month",
            "Discount %": "0",
            "line_start": "",
            "line_end": "",
        }
        self.assertLessEqual(set(values), set(row))
        return list((row | values).values())

    def _get_errors(self, result):
        """Return (row in the file, field label, message) of each error; nothing was stored."""
        self.assertFalse(result["ids"])
        self.assertFalse(self.env["billing.contract"].search([("partner_id.name", "like", "Ros")]))
        errors = []
        for message in result["messages"]:
            self.assertEqual(message["type"], "error")
            errors.append((message["rows"]["from"], message.get("field"), message["message"]))
        return errors


@tagged("post_install", "-at_install")
class TestImport(ImportCommon):
    def test_contract_template(self):
        result, fields = self._upload_template("billing.contract")
        self.assertEqual(result["messages"], [])
        self.assertIn("line_ids/initial_invoiced_until", fields)
        office, parking = self.env["billing.contract"].browse(result["ids"])
        self.assertEqual(office.partner_id.name, "Harbour Consulting")
        self.assertEqual(office.client_order_ref, "PO 4711")
        self.assertEqual(office.state, "draft")
        self.assertRecordValues(
            office.line_ids,
            [
                {
                    "price_unit": 950.0,
                    "discount": 0.0,
                    "initial_invoiced_until": self._date("2025-03-31"),
                    "date_start": False,
                },
                {
                    "price_unit": 120.0,
                    "discount": 5.0,
                    "initial_invoiced_until": False,
                    "date_start": self._date("2025-04-01"),
                },
            ],
        )
        self.assertRecordValues(
            parking,
            [{"billing_timing": "arrears", "proration": "thirty", "period_count": 3}],
        )
        office.with_user(self.user).action_activate()
        self.assertEqual(office.next_invoicing_date, self._date("2025-04-01"))

    def test_contract_template_twice_changes_the_same_contracts(self):
        first, _fields = self._upload_template("billing.contract")
        second, _fields = self._upload_template("billing.contract")
        self.assertEqual(second["messages"], [])
        self.assertEqual(first["ids"], second["ids"])
        contracts = self.env["billing.contract"].browse(first["ids"])
        self.assertEqual(contracts.mapped(lambda contract: len(contract.line_ids)), [2, 1])

    def test_names_are_looked_up_once(self):
        """Queries grow with the contracts of a file, not with the names in it."""
        counts = []
        # the first file fills Odoo's own caches
        for size in (1, 2, 22):
            rows = [self._row(f"{size}_{number}") for number in range(size)]
            before = self.env.cr.sql_log_count
            self.assertEqual(self._upload_rows(*rows)["messages"], [])
            counts.append(self.env.cr.sql_log_count - before)
        self.assertLess((counts[2] - counts[1]) / 20, MAX_QUERIES)

    def test_line_template(self):
        number = self._make_contract(activate=False).name
        (template,) = self.env["billing.contract.line"].get_import_templates()
        self.assertIn("billing_contract_line", template["template"])
        self.env["billing.contract"].search([("name", "=", "CTR-00001")]).name = "CTR-X"
        self.env["billing.contract"].search([("name", "=", number)]).name = "CTR-00001"
        tariffs, _fields = self._upload_template("billing.tariff")
        tariff = self.env["billing.tariff"].browse(tariffs["ids"][0])
        result, _fields = self._upload_template("billing.contract.line")
        self.assertEqual(result["messages"], [])
        lines = self.env["billing.contract.line"].browse(result["ids"])
        self.assertEqual(lines.mapped("price_interval"), ["month", "once", "period"])
        self.assertEqual(lines.mapped("is_metered"), [False, False, True])
        self.assertEqual(lines.contract_id.name, "CTR-00001")
        self.assertRecordValues(
            lines[2],
            [
                {
                    "tariff_id": tariff.id,
                    "aggregation": "sum",
                    "meter_code": "E-7",
                    "minimum_amount": 10.0,
                    "maximum_amount": 500.0,
                }
            ],
        )
        again, _fields = self._upload_template("billing.contract.line")
        self.assertEqual((again["messages"], again["ids"]), ([], result["ids"]))

    def test_tariff_template(self):
        """A tariff with its bands; the second time, what differs and nothing else."""
        result, _fields = self._upload_template("billing.tariff")
        self.assertEqual(result["messages"], [])
        tariffs = self.env["billing.tariff"].browse(result["ids"])
        self.assertEqual(tariffs.mapped("model"), ["graduated", "package", "percentage"])
        self.assertEqual(tariffs.mapped("tier_scope"), ["line", "customer", "line"])
        self.assertRecordValues(
            tariffs[0].tier_ids,
            [
                {"up_to": 100.0, "price_unit": 0.32, "flat_fee": 0.0},
                {"up_to": 1000.0, "price_unit": 0.28, "flat_fee": 5.0},
                {"up_to": 0.0, "price_unit": 0.24, "flat_fee": 0.0},
            ],
        )
        self.assertEqual((tariffs[1].package_size, tariffs[1].round_up), (10.0, True))
        self.assertEqual(tariffs[2].tier_ids.rate, 1.4)
        contract = self._make_contract([{"tariff_id": tariffs[0].id, "quantity": 50}])
        run = self._make_amounts(self._make_run("2020-01-10"))
        self.assertAmounts(run, [9.6])
        again, _fields = self._upload_template("billing.tariff")
        self.assertEqual((again["messages"], again["ids"]), ([], result["ids"]))
        self.assertFalse(run.stale_count)
        headers = ["External ID", "Bands/External ID", "Bands/Price"]
        row = ["tariff_electricity", "tariff_electricity_1", "0.5"]
        self._upload_rows(row, headers=headers, model="billing.tariff")
        self.assertEqual(tariffs[0].tier_ids.mapped("price_unit"), [0.5, 0.28, 0.24])
        self.assertEqual(run.line_ids.filtered("is_stale").contract_id, contract)

    def test_tariff_with_a_gap_is_refused(self):
        headers = ["Name", "Bands/Sequence", "Bands/Up To", "Bands/Price"]
        rows = [["Gap", "1", "100", "1"], ["", "2", "50", "2"]]
        result = self._upload_rows(*rows, headers=headers, model="billing.tariff")
        self.assertFalse(result["ids"])
        self.assertIn("Tariff Gap", result["messages"][0]["message"])

    def test_faults_of_metered_rows_are_named(self):
        """A tariff that does not exist, and a line by usage that is charged per month."""
        self._make_contract(activate=False).name = "CTR-USAGE"
        headers = ["Contract", "Product", "Per", "By Usage", "Tariff", "Measured As"]
        rows = [
            ["CTR-USAGE", "Electricity", "Billing period", "1", "No such tariff", "Sum"],
            ["CTR-USAGE", "Electricity", "Month", "1", "", "Sum"],
            ["CTR-USAGE", "Electricity", "Billing period", "1", "", "Average"],
        ]
        for row, text in zip(
            rows, ("No such tariff", "charged per billing period", "Average"), strict=True
        ):
            result = self._upload_rows(row, headers=headers, model="billing.contract.line")
            self.assertFalse(result["ids"])
            self.assertIn(text, result["messages"][0]["message"])

    def test_templates_of_prices(self):
        """Index values, clauses and planned prices, after the contracts that they are about."""
        self.env["billing.index"].create(
            {"code": "HEALTH", "name": "Health Index", "company_id": self.company.id}
        )
        values, _fields = self._upload_template("billing.index.value")
        self.assertEqual(values["messages"], [])
        found = self.env["billing.index.value"].browse(values["ids"])
        self.assertEqual(found.mapped("value"), [110.09, 111.56])
        contracts, _fields = self._upload_template("billing.contract")
        contract = self.env["billing.contract"].browse(contracts["ids"][0])
        self.env["billing.contract"].search([("name", "=", "CTR-00001")]).name = "CTR-X"
        contract.name = "CTR-00001"
        prices, _fields = self._upload_template("billing.contract.line.price")
        self.assertEqual(prices["messages"], [])
        rows = self.env["billing.contract.line.price"].browse(prices["ids"])
        self.assertEqual(rows.mapped("price_unit"), [980.0, 1010.0])
        clauses, _fields = self._upload_template("billing.index.clause")
        self.assertEqual(clauses["messages"], [])
        clause = self.env["billing.index.clause"].browse(clauses["ids"])
        self.assertEqual((clause.formula, clause.contract_id), ("base", contract))

    def test_usage_template(self):
        contract = self._make_contract()
        self.env["billing.contract"].search([("name", "=", "CTR-00001")]).name = "CTR-X"
        contract.name = "CTR-00001"
        rossi = self.env["res.partner"].search([("name", "=", "Maria Rossi")])
        result, _fields = self._upload_template("billing.usage")
        self.assertEqual(result["messages"], [])
        self.assertRecordValues(
            self.env["billing.usage"].browse(result["ids"]),
            [
                {"contract_id": contract.id, "partner_id": self.debtor.id, "amount": 36.15},
                {"contract_id": False, "partner_id": rossi.id, "amount": 76.5},
            ],
        )


@tagged("post_install", "-at_install")
class TestFaultyImport(ImportCommon):
    def test_right_rows_are_right(self):
        self.assertEqual(self._upload_rows(self._row(1), self._row(2))["messages"], [])

    def test_unknown_names(self):
        result = self._upload_rows(
            self._row(1), self._row(2, Customer="Nobody"), self._row(3, Product="Nothing")
        )
        errors = self._get_errors(result)
        # the last one is Odoo's: without its customer, the row has none
        self.assertEqual(
            [error[:2] for error in errors],
            [(1, "partner_id"), (2, "line_ids"), (1, "partner_id")],
        )
        self.assertIn("Nobody", errors[0][2])
        self.assertIn("Nothing", errors[1][2])
        self.assertIn("Product", errors[1][2])

    def test_unknown_selections(self):
        result = self._upload_rows(
            self._row(1, **{"Billing Timing": "Sometimes"}), self._row(2, Per="Fortnight")
        )
        errors = self._get_errors(result)
        self.assertEqual([error[:2] for error in errors], [(0, "billing_timing"), (1, "line_ids")])
        self.assertIn("Sometimes", errors[0][2])
        self.assertIn("Fortnight", errors[1][2])

    def test_what_the_database_refuses(self):
        result = self._upload_rows(
            self._row(1),
            self._row(2, End="2024-12-31"),
            self._row(3, **{"Discount %": "150"}),
            self._row(4, **{"Billing Period": "0"}),
        )
        errors = self._get_errors(result)
        self.assertEqual([error[0] for error in errors], [1, 2, 3])
        self.assertIn("end of the contract is before its start", errors[0][2])
        self.assertIn("discount must be between", errors[1][2])
        self.assertIn("at least one month, week or day", errors[2][2])

    def test_line_outside_the_contract(self):
        result = self._upload_rows(self._row(1), self._row(2, line_start="2026-02-01"))
        errors = self._get_errors(result)
        self.assertEqual([error[0] for error in errors], [1])
        self.assertIn("no day is left", errors[0][2])

    def test_unreadable_dates(self):
        result = self._upload_rows(
            self._row(1),
            self._row(2, Start="31 February"),
            self._row(3, line_start="2025-01-311"),
            self._row(4, End="soon"),
        )
        errors = self._get_errors(result)
        # the last one is Odoo's: without its start, the row has none
        self.assertEqual(
            [error[:2] for error in errors],
            [(1, "date_start"), (2, "line_ids"), (3, "date_end"), (1, None)],
        )
        self.assertIn("“31 February”", errors[0][2])
        self.assertIn("valid date", errors[0][2])
        self.assertIn("“2025-01-311”", errors[1][2])

    def test_missing_customer(self):
        result = self._upload_rows(self._row(1), self._row(2, Customer=""))
        errors = self._get_errors(result)
        self.assertEqual([error[0] for error in errors], [1])
        self.assertIn("Customer", errors[0][2])

    def test_corrected_file_after_the_faulty_one(self):
        self._upload_rows(self._row(1), self._row(2, Customer="Nobody"))
        self._upload_rows(self._row(1), self._row(2))
        contracts = self.env["billing.contract"].search([("partner_id.name", "=", "Maria Rossi")])
        self.assertEqual(len(contracts), 2)

    def test_engine_fields_cannot_be_imported(self):
        usage = self._make_usage(external_ref="A1")
        result = (
            self.env["billing.usage"]
            .with_user(self.user)
            .load(["external_ref", "state"], [["A1", "Invoiced"]])
        )
        self.assertFalse(result["ids"])
        self.assertIn("cannot be written by hand", result["messages"][0]["message"])
        self.assertEqual(usage.state, "open")

    def test_empty_cells_are_filled_in_as_in_the_form(self):
        row = self._row(1, Price="", Per="", **{"Billing Timing": "", "Billing Period": ""})
        contract = self.env["billing.contract"].browse(self._upload_rows(row)["ids"])
        line = contract.line_ids
        self.assertEqual((contract.billing_timing, contract.period_count), ("advance", 1))
        self.assertEqual((line.price_unit, line.price_interval), (100.0, "month"))
        self.assertEqual(line.product_uom_id, self.product.uom_id)
        self._upload_rows(self._row(1, Price="", **{"Billing Period": ""}))
        self.assertEqual(contract.period_count, 1, "an update empties nothing that is required")
