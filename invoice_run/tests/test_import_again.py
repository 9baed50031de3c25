"""A file that is imported again: what differs is written, and nothing else."""

from odoo.tests import tagged
from odoo.tools import SQL

from .test_import import ImportCommon

CONTRACT_HEADERS = ("External ID", "Customer", "Title", "Start", "Invoice Address")
LINE_HEADERS = ("External ID", "Product", "Price", "Per", "Discount %")
HEADERS = [*CONTRACT_HEADERS, *(f"Price Lines/{name}" for name in LINE_HEADERS)]
#: Of one more contract of two lines in a file that is imported again.
MAX_QUERIES = 0.5


@tagged("post_install", "-at_install")
class TestImportAgain(ImportCommon):
    def _import(self, *contracts):
        """Import contracts of two lines; each is {header: value}, "Price" that of the first."""
        rows = []
        for number, values in enumerate(contracts):
            row = {
                "External ID": f"again_{number}",
                "Customer": "Maria Rossi",
                "Title": "House",
                "Start": "2025-01-01",
                "Invoice Address": "",
                "line": f"again_{number}_1",
                "Product": "Rent",
                "Price": "100",
                "Per": "Month",
                "Discount %": "0",
            }
            row |= values
            rows.append(list(row.values()))
            name = values.get("External ID", f"again_{number}")
            rows.append(["", "", "", "", "", f"{name}_2", "Parking", "20", "Month", "0"])
        result = self._upload_rows(*rows, headers=HEADERS)
        self.assertEqual(result["messages"], [])
        return self.env["billing.contract"].browse(result["ids"])

    def _import_billed(self, *contracts):
        """Import contracts, activate them and generate their amounts for January."""
        contracts = self._import(*contracts)
        contracts.with_user(self.user).action_activate()
        run = self._make_amounts(self._make_run("2025-01-01"))
        self.assertEqual(run.line_ids.contract_id, contracts)
        # what is written from now on is seen by its date, which is that of the transaction
        self.env.flush_all()
        for table in ("billing_contract", "billing_contract_line"):
            name = SQL.identifier(table)
            self.env.cr.execute(SQL("UPDATE %s SET write_date = '2020-01-01'", name))
        self.env["billing.change"].sudo().search([]).unlink()
        self.env.invalidate_all()
        return contracts, run

    def _get_traces(self, contracts, run):
        """Return all that tells that somebody changed ``contracts``, or that amounts changed."""
        self.env.flush_all()
        self.env.invalidate_all()
        lines = contracts.line_ids
        return {
            "contracts": contracts.read(load=False),
            "lines": lines.read(load=False),
            "messages": len(contracts.message_ids),
            "changes": self.env["billing.change"].sudo().search_count([]),
            "amounts": run.line_ids.read(["is_claimed", "is_stale", "write_date"]),
        }

    def test_same_file_changes_nothing(self):
        contracts, run = self._import_billed({}, {"Price": "200"})
        before = self._get_traces(contracts, run)
        self.assertEqual(self._import({}, {"Price": "200"}), contracts)
        after = self._get_traces(contracts, run)
        for name, value in before.items():
            self.assertEqual(after[name], value, name)

    def test_new_price_leaves_its_trace_and_outdates(self):
        contracts, run = self._import_billed({}, {"Price": "200"})
        first, second = contracts
        before = self._get_traces(first, run)
        self._import({}, {"Price": "210"})
        after = self._get_traces(first, run)
        for name in ("contracts", "lines", "messages"):
            self.assertEqual(after[name], before[name], name)
        rent, parking = second.line_ids
        self.assertEqual((rent.price_unit, parking.price_unit), (210.0, 20.0))
        self.assertIn("210.00", second.message_ids[0].body)
        self.assertEqual(run.line_ids.filtered("is_stale").contract_line_id, rent)
        self.assertEqual(run.document_ids.filtered("is_stale").contract_ids, second)
        changes = self.env["billing.change"].sudo().search([])
        self.assertEqual((changes.model, changes.res_id), (rent._name, rent.id))
        self.assertEqual(changes.user_id, self.user)
        self.assertEqual(parking.write_date.year, 2020, "a line that is as it was is left alone")

    def test_last_row_counts(self):
        """A file that names a record twice: what the first row changed, the second puts back."""
        (contract,) = self._import({"Price": "100"})
        again = {"External ID": "again_0", "line": "again_0_1"}
        self._import({**again, "Price": "150"}, {**again, "Price": "100"})
        self.assertEqual(contract.line_ids[0].price_unit, 100.0)

    def test_what_follows_from_a_change_is_as_the_file_says(self):
        """A value that Odoo would compute from another one counts also where it is unchanged."""
        address = "Harbour Consulting"
        (contract,) = self._import({"Invoice Address": address})
        self._import({"Customer": "Debtor", "Invoice Address": address})
        self.assertEqual(contract.partner_id, self.debtor)
        self.assertEqual(contract.partner_invoice_id.name, address)
        # the price would be that of the other product's list
        self._import({"Customer": "Debtor", "Invoice Address": address, "Product": "Cleaning"})
        self.assertEqual(contract.line_ids[0].product_id.name, "Cleaning")
        self.assertEqual(contract.line_ids[0].price_unit, 100.0)

    def test_empty_cells_leave_what_follows_or_was_entered(self):
        (contract,) = self._import({"Price": "", "Invoice Address": ""})
        line = contract.line_ids[0]
        self.assertEqual(line.price_unit, 100.0, "the product's")
        line.price_unit = 90.0
        self._import({"Price": "", "Invoice Address": "", "Title": ""})
        self.assertEqual(
            (line.price_unit, contract.partner_invoice_id), (90.0, contract.partner_id)
        )
        self.assertFalse(contract.title, "what follows from nothing is emptied")

    def test_line_that_is_added_is_filled_in(self):
        (contract,) = self._import({})
        again = {"External ID": "again_0", "line": "again_0_3", "Per": "", "Price": ""}
        self._import({**again, "Product": "Cleaning"})
        line = contract.line_ids.filtered(lambda line: line.product_id.name == "Cleaning")
        self.assertEqual((line.price_unit, line.price_interval), (10.0, "month"))
        self.assertEqual(len(contract.line_ids), 3)

    def test_nobody_imports_what_he_may_not_change(self):
        (contract,) = self._import({})
        self.user.group_ids -= self.env.ref("invoice_run.invoice_run_group_user")
        self.user.group_ids += self.env.ref("account.group_account_readonly")
        result = contract.with_user(self.user).load(["id", "title"], [["again_0", "House"]])
        self.assertFalse(result["ids"])

    def test_queries_do_not_grow_with_the_file(self):
        counts = []
        # the first file fills Odoo's own caches
        for size in (1, 2, 22):
            contracts = [{"External ID": f"{size}_{number}"} for number in range(size)]
            contracts = [{**row, "line": f"{row['External ID']}_1"} for row in contracts]
            self._import(*contracts)
            self.env.flush_all()
            self.env.invalidate_all()
            before = self.env.cr.sql_log_count
            self._import(*contracts)
            counts.append(self.env.cr.sql_log_count - before)
        self.assertLess((counts[2] - counts[1]) / 20, MAX_QUERIES)
