import io

import openpyxl

from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

HEADER = ["External Reference", "Date", "Customer", "Product", "Quantity", "Price"]
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

    def test_known_rows_are_said_to_the_user(self):
        sent = []
        self.patch(
            self.env.registry["res.users"],
            "_bus_send",
            lambda user, kind, message, **kwargs: sent.append((user, kind, message)),
        )
        self._import_csv(ROWS[:1])
        self.assertFalse(sent)
        self._import_csv()
        [(user, kind, message)] = sent
        self.assertEqual((user, kind), (self.user, "simple_notification"))
        self.assertRegex(message["message"], "^Rows skipped: 1.*already exist")

    def test_reference_twice_in_one_file_is_refused(self):
        result = self._import_csv([ROWS[0], ["T-1", "2024-01-09", "Debtor", "Rent", "1", "3"]])
        self.assertIn("external reference already exists", result["messages"][0]["message"])
        self.assertFalse(self._get_usage())

    def test_rows_without_reference_are_always_new(self):
        row = ["", "2024-01-03", "Debtor", "Rent", "2", "10.5"]
        for _number in range(2):
            self.assertFalse(self._import_csv([row, row])["messages"])
        usage = self.env["billing.usage"].search([("partner_id", "=", self.debtor.id)])
        self.assertEqual(len(usage), 4)

    def test_each_company_has_its_own_references(self):
        """A row belongs to the company of its contract, whoever imports it."""
        other = self.setup_other_company()["company"]
        self.user.company_ids += other
        contract = self._make_contract(company_id=other.id, currency_id=other.currency_id.id)
        self._import_csv()
        model = self.env["billing.usage"].with_user(self.user)
        model = model.with_context(allowed_company_ids=[self.company.id, other.id])
        fields = [*FIELDS[:2], "contract_id/.id", *FIELDS[3:]]
        row = ["T-1", "2024-01-03", str(contract.id), "Rent", "1", "5"]
        for _number in range(2):
            result = model.load(fields, [row])
            self.assertFalse(result["messages"])
        usage = self._get_usage().filtered(lambda item: item.external_ref == "T-1")
        self.assertEqual(usage.company_id, self.company | other)
        self.assertEqual(sorted(usage.mapped("amount")), [5.0, 21.0])

    def test_unknown_product_is_named_and_nothing_is_lost(self):
        result = self._import_csv([*ROWS, ["T-3", "2024-01-05", "Debtor", "No Such", "1", "1"]])
        self.assertIn("No Such", result["messages"][0]["message"])
        self.assertFalse(self._get_usage())

    def test_reference_is_unique_within_a_company(self):
        self._import_csv()
        with self.assertRaisesRegex(Exception, "external_ref"), self.env.cr.savepoint():
            self._make_usage(date="2024-01-09", external_ref="T-1")

    def test_blanks_around_a_reference_mean_nothing(self):
        self._import_csv()
        blank = [" T-1\u00a0", "2024-01-03", "Debtor", "Rent", "3", "10.5"]
        self.assertFalse(self._import_csv([blank])["messages"])
        usage = self._get_usage()
        self.assertEqual(usage.mapped("external_ref"), ["T-1", "T-2"])
        self.assertEqual(usage[0].quantity, 3)
        usage[1].external_ref = "\tT-3 "
        self.assertEqual(usage[1].external_ref, "T-3")
        usage[1].external_ref = "  "
        self.assertFalse(usage[1].external_ref)
        with self.assertRaisesRegex(Exception, "external_ref"), self.env.cr.savepoint():
            self._make_usage(date="2024-01-09", external_ref="T-1 ")

    def test_the_index_knows_no_blanks_either(self):
        self._import_csv()
        usage = self._get_usage()
        with (
            mute_logger("odoo.sql_db"),
            self.assertRaisesRegex(Exception, "external_ref"),
            self.env.cr.savepoint(),
        ):
            self.env.cr.execute(
                "UPDATE billing_usage SET external_ref = %s WHERE id = %s",
                ["\u00a0T-1\n", usage[1].id],
            )


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

    def test_items_that_cancel_out_are_settled(self):
        usage = self._make_usage(date="2024-01-03")
        usage |= self._make_usage(date="2024-01-04", quantity=-1)
        run = self._run_all("2024-01-31", self.usage_scenario)
        self.assertEqual(run.document_ids.state, "nothing")
        self.assertEqual(set(usage.mapped("state")), {"invoiced"})
        self.assertFalse(self._run_all("2024-01-31", self.usage_scenario).document_ids)

    def test_credit_above_the_rent_makes_a_credit_note(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._make_usage(date="2024-01-05", contract_id=contract.id, quantity=-3, price_unit=50.0)
        move = self._run_all("2024-01-15").document_ids.move_id
        self.assertEqual(move.move_type, "out_refund")
        self.assertEqual(move.invoice_line_ids.mapped("price_subtotal"), [-100.0, 150.0])

    def test_contract_usage_is_billed_once_by_either_scenario(self):
        contract = self._make_contract(date_start="2024-01-01")
        usage = self._make_usage(date="2024-01-05", contract_id=contract.id, price_unit=7.0)
        run = self._make_amounts(self._make_run("2024-01-15"))
        self.assertEqual(run.document_ids.amount_untaxed, 107.0)
        other = self._make_amounts(self._make_run("2024-01-15", self.usage_scenario))
        self.assertFalse(other.line_ids)
        self.assertIn(f"Claimed by {run.reference}", other.exception_ids.message)
        run.action_delete_amounts("the usage alone")
        self._make_amounts(other)
        self.assertEqual(other.line_ids.usage_id, usage)

    def test_item_that_somebody_else_pays_is_his_own_document(self):
        contract = self._make_contract(date_start="2024-01-01")
        driver = self._make_partner("Driver")
        self._make_usage(
            date="2024-01-05", contract_id=contract.id, partner_id=driver.id, price_unit=7.0
        )
        run = self._make_amounts(self._make_run("2024-01-15"))
        totals = {doc.partner_id: doc.amount_untaxed for doc in run.document_ids}
        self.assertEqual(totals, {self.debtor: 100.0, driver: 7.0})

    def test_item_joins_the_newest_document_of_its_contract(self):
        self._make_contract(date_start="2024-01-01")
        contract = self._make_contract(date_start="2024-01-01")
        usage = self._make_usage(date="2024-01-05", contract_id=contract.id, price_unit=7.0)
        run = self._make_amounts(self._make_run("2024-03-15"))
        [document] = usage.run_line_ids.document_id
        self.assertEqual(document.contract_ids, contract)
        self.assertEqual(document.amount_untaxed, 107.0)
        self.assertEqual(document.date_to, self._date("2024-03-31"))
        self.assertEqual(len(run.document_ids), 6)

    def test_late_item_of_a_contract_goes_to_the_next_run(self):
        contract = self._make_contract(date_start="2024-01-01")
        self._run_all("2024-01-31")
        late = self._make_usage(date="2024-01-20", contract_id=contract.id, price_unit=7.0)
        run = self._make_amounts(self._make_run("2024-01-31"))
        self.assertEqual(run.line_ids.usage_id, late)
        self.assertEqual(run.document_ids.amount_untaxed, 7.0)

    def test_item_of_a_contract_on_hold_waits(self):
        contract = self._make_contract(date_start="2024-01-01", billing_hold=True)
        usage = self._make_usage(date="2024-01-05", contract_id=contract.id)
        for scenario in (self.scenario, self.usage_scenario):
            run = self._make_amounts(self._make_run("2024-01-15", scenario))
            self.assertFalse(run.line_ids)
            self.assertIn(usage, run.exception_ids.usage_id)

    def test_item_of_a_contract_that_is_not_billed_is_an_exception(self):
        self._make_contract(date_start="2024-01-01")
        for state in ("draft", "cancelled"):
            contract = self._make_contract(activate=False, date_start="2024-01-01")
            contract.state = state
            item = self._make_usage(date="2024-01-03", contract_id=contract.id, price_unit=7.0)
            for scenario in (self.scenario, self.usage_scenario):
                run = self._make_amounts(self._make_run("2024-01-31", scenario))
                self.assertEqual(run.exception_ids.usage_id, item)
                self.assertEqual(run.exception_ids.amount, 7.0)
                self.assertRegex(run.exception_ids.message, f"{contract.name} is a draft or")
                self.assertNotIn(item, run.line_ids.usage_id)
                run.action_delete_amounts("next")
            item.contract_id = False
            run = self._make_amounts(self._make_run("2024-01-31", self.usage_scenario))
            self.assertEqual(run.line_ids.usage_id, item)
            run.action_delete_amounts("next")
            item.unlink()

    def test_clusters_select_the_items_of_their_assets(self):
        clusters = self.env["billing.cluster"].create(
            [{"name": name, "company_id": self.company.id} for name in ("North", "South")]
        )
        assets = self.env["billing.asset"].create(
            [
                {"name": cluster.name, "cluster_id": cluster.id, "company_id": self.company.id}
                for cluster in clusters
            ]
        )
        north, _south = (self._make_usage(date="2024-01-03", asset_id=one.id) for one in assets)
        self._make_usage(date="2024-01-03")
        run = self._make_run("2024-01-31", self.usage_scenario, cluster_ids=clusters[0].ids)
        self._make_amounts(run)
        self.assertEqual(run.line_ids.usage_id, north)

    def test_discount_and_odd_quantities(self):
        for quantity, price, discount, amount in (
            (0.33, 3.33, 0.0, 1.1),
            (1.005, 1.0, 0.0, 1.01),
            (3.0, 0.335, 50.0, 0.5),
            (-2.5, 0.01, 0.0, -0.03),
        ):
            with self.subTest(quantity=quantity, price=price):
                usage = self._make_usage(
                    date="2024-01-03", quantity=quantity, price_unit=price, discount=discount
                )
                self.assertEqual(usage.amount, amount)
