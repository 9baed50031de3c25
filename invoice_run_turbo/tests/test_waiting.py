import random
from unittest.mock import patch

from odoo import sql_db
from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.tests import tagged
from odoo.tools import SQL

from ..inserting import Insert
from ..waiting import Waiting, get_waiting
from .bulk_rows import IGNORED, get_differences

#: {table: (condition, order)} of what the amounts of a run leave behind
TABLES = {
    "invoice_run_document": ("run_id = %(run)s", "payer_id, date_from, part"),
    "invoice_run_line": (
        "run_id = %(run)s",
        "contract_line_id, period_from, usage_id, late_number",
    ),
    "billing_contract_line": ("TRUE", "id"),
    "billing_contract": ("TRUE", "id"),
    "invoice_run_exception": ("run_id = %(run)s", "partner_id, message"),
}
#: {link table: (column of the row, other column, table of the row)}
LINKS = {
    "account_tax_invoice_run_line_rel": (
        *("invoice_run_line_id", "account_tax_id", "invoice_run_line"),
    ),
    "billing_contract_invoice_run_document_rel": (
        *("invoice_run_document_id", "billing_contract_id", "invoice_run_document"),
    ),
}


@tagged("post_install", "-at_install")
class TestWaiting(InvoiceRunCommon):
    """Documents and amounts are inserted once, with all that is known of them by then."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.random = random.Random(5)
        cls.yen = cls.setup_other_currency("JPY", rates=[("2019-01-01", 151.4)], rounding=1.0)
        cls.tax = cls.company_data["default_tax_sale"]
        cls.distribution = {str(cls._make_analytic_account().id): 100.0}
        for number in range(12):
            cls._make_random_contract(cls._make_partner(f"{number}", f"{number}@example.com"))

    @classmethod
    def _make_analytic_account(cls):
        plan = cls.env["account.analytic.plan"].create({"name": "Plan"})
        return cls.env["account.analytic.account"].create({"name": "A", "plan_id": plan.id})

    @classmethod
    def _make_random_contract(cls, partner):
        lines = [
            {
                "name": "Two\nlines\tand a tab",
                "price_unit": cls.random.choice([100.0, 10 / 3, -20.0, 7.77]),
                "discount": cls.random.choice([0.0, 0.0, 12.5]),
                "tax_ids": cls.random.choice([cls.tax.ids, []]),
                "analytic_distribution": cls.random.choice([False, cls.distribution]),
                "date_end": cls.random.choice([False, "2020-03-12"]),
            }
            for _number in range(cls.random.randint(1, 3))
        ]
        currency = cls.random.choice([cls.company.currency_id, cls.yen])
        cls._make_contract(lines, partner_id=partner.id, currency_id=currency.id)

    def _read(self, run):
        """Return {table: rows}, ids replaced by their rank."""
        self.env.flush_all()
        ranks, result = {}, {}
        for table, (condition, order) in TABLES.items():
            rows = self._select(f"SELECT * FROM {table} WHERE {condition} ORDER BY {order}", run)
            ranks[table] = {row["id"]: number for number, row in enumerate(rows)}
            for row in rows:
                if row.get("document_id"):
                    row["document_id"] = ranks["invoice_run_document"][row["document_id"]]
            result[table] = [self._drop_ignored(row) for row in rows]
        for table, (column, other, owner) in LINKS.items():
            rows = self._select(f"SELECT {column}, {other} FROM {table}", run)
            ranked = [(ranks[owner].get(row[column]), row[other]) for row in rows]
            result[table] = sorted(row for row in ranked if row[0] is not None)
        return result

    def _select(self, query, run):
        self.env.cr.execute(SQL(query, run=run.id) if "%(run)s" in query else query)
        return self.env.cr.dictfetchall()

    def _drop_ignored(self, row):
        return {name: value for name, value in row.items() if name not in IGNORED}

    def _read_of(self, run, is_waiting):
        """Return the rows that amounts leave behind, made in one of the ways, and undo them."""
        Mixin = self.env.registry["invoice.run.bulk.mixin"]
        with (
            patch.object(
                Insert, "insert_rows", autospec=True, side_effect=Insert.insert_rows
            ) as insert_rows,
            patch.object(Mixin, "_is_inserted_by_columns", lambda _records: is_waiting),
            self.env.cr.savepoint() as savepoint,
        ):
            self._make_amounts(run)
            rows = self._read(run)
            self.assertEqual(insert_rows.called, is_waiting)
            savepoint.rollback()
        self.env.invalidate_all(flush=False)
        return rows

    def _assert_same(self, run):
        plain = self._read_of(run, is_waiting=False)
        self.assertTrue(plain["invoice_run_line"])
        self.assertFalse(get_differences(plain, self._read_of(run, is_waiting=True))[:20])

    def test_the_rows_are_the_same(self):
        """First invoices, then such as have earlier ones, with credits, flags and limits."""
        self._assert_same(self._make_run("2020-02-15"))
        self._run_all("2020-02-15")
        self.company.invoice_run_max_amount = 150.0
        self.company.invoice_run_outlier_factor = 1.1
        self.env["billing.contract.line"].search([], limit=3).price_unit = 300.0
        self._assert_same(self._make_run("2020-03-15"))
        self.company.invoice_run_min_amount = 50.0
        self._assert_same(self._make_run("2020-03-15"))

    def test_nothing_is_written_twice(self):
        """Also where earlier invoices are asked for, to compare."""
        self._run_all("2020-02-15")
        statements, execute = [], sql_db.Cursor.execute

        def note(cursor, query, *args, **kwargs):
            statements.append(" ".join(str(getattr(query, "code", query)).split()))
            return execute(cursor, query, *args, **kwargs)

        run = self._make_run("2020-03-15")
        self.patch(sql_db.Cursor, "execute", note)
        self._make_amounts(run)
        names = ('"invoice_run_document"', '"invoice_run_line"')
        updates = [text for text in statements if text.startswith("UPDATE")]
        self.assertFalse([text for text in updates if text.split()[1] in names])
        self.assertTrue(any(run.document_ids.mapped("previous_amount")))

    def _do_before_titles(self, do):
        """Have ``do(documents)`` called when the rows wait; return the run with its amounts."""
        Document = self.env.registry["invoice.run.document"]
        update = Document._update_title
        seen = []

        def do_first(documents):
            self.assertIsNotNone(get_waiting(documents.env, documents._name))
            seen.append(do(documents))
            return update(documents)

        with patch.object(Document, "_update_title", do_first):
            run = self._make_amounts(self._make_run("2020-02-15"))
        self.assertEqual(run.exception_count, 0)
        self.assertEqual(len(seen), 1, "all customers at once")
        return run, seen[0]

    def test_who_asks_finds_them(self):
        def ask(documents):
            documents.line_ids.quantity = 2.0
            lines = documents.env["invoice.run.line"]
            return [
                documents.search([("run_id", "in", documents.run_id.ids)]) == documents,
                lines.search_count([("document_id", "in", documents.ids), ("quantity", "=", 2.0)])
                == len(documents.line_ids),
                documents.exists() == documents,
            ]

        run, found = self._do_before_titles(ask)
        self.assertEqual(found, [True] * 3)
        self.assertTrue(all(run.document_ids.mapped("title")))

    def test_who_names_no_field_finds_them(self):
        """Counted, sorted by id, grouped by nothing or locked: no field is flushed for that."""

        def ask_for_groups(documents):
            [(number,)] = documents._read_group([], [], ["__count"])
            return number - len(documents)

        asked = [
            ask_for_groups,
            lambda documents: documents.search_count([]) - len(documents),
            lambda documents: len(documents.search([], order="id")) - len(documents),
            lambda documents: len(documents.try_lock_for_update()) - len(documents),
            lambda documents: documents.lock_for_update() or 0,
        ]
        self.assertFalse(self.env["invoice.run.document"].search_count([]))
        for question in asked:
            with self.env.cr.savepoint() as savepoint:
                _run, found = self._do_before_titles(question)
                self.assertEqual(found, 0)
                savepoint.rollback()
            self.env.invalidate_all(flush=False)

    def test_links_that_are_read_again(self):
        """Somebody has the cache forget them, which flushes columns only."""

        def read_again(documents):
            documents.line_ids.invalidate_recordset(["tax_ids"])
            return {line: line.tax_ids for line in documents.line_ids}

        _run, found = self._do_before_titles(read_again)
        self.assertTrue(any(found.values()))
        for line, taxes in found.items():
            self.assertEqual(taxes, line.contract_line_id.tax_ids)

    def test_a_savepoint_that_is_rolled_back_inside(self):
        """What was created within it does not come back at the end."""

        def try_in_vain(documents):
            with documents.env.cr.savepoint() as savepoint:
                copy = documents[0].copy()
                self.assertTrue(get_waiting(documents.env, documents._name))
                savepoint.rollback()
            return copy

        run, copy = self._do_before_titles(try_in_vain)
        self.assertFalse(copy.exists())
        self.assertTrue(run.document_ids)
        self.assertTrue(all(run.document_ids.mapped("title")))

    def test_a_record_of_others_that_links_to_one(self):
        """The database refuses it, as the row is not there yet; one by one it is."""
        Document = self.env.registry["invoice.run.document"]
        update, tried = Document._update_title, []

        def link(documents):
            tried.append(len(documents))
            move = documents.env["account.move"].sudo().create({"move_type": "entry"})
            documents.env.cr.execute(
                "UPDATE account_move SET invoice_run_document_id = %s WHERE id = %s",
                [documents[0].id, move.id],
                log_exceptions=False,
            )
            return update(documents)

        with patch.object(Document, "_update_title", link):
            run = self._make_amounts(self._make_run("2020-02-15"))
        self.assertEqual(run.exception_count, 0)
        self.assertEqual(len(run.document_ids), tried[0])
        self.assertEqual(sum(tried[1:]), tried[0])
        self.assertEqual(len(tried), 1 + len(run.document_ids.payer_id))

    def test_links_and_deletion(self):
        """Both are the database's at once."""

        def change(documents):
            documents[0].line_ids[0].tax_ids = self.tax
            documents[-1].line_ids.unlink()
            return documents[0].line_ids[0], documents[-1]

        run, (line, empty) = self._do_before_titles(change)
        self.env.invalidate_all()
        self.assertEqual(line.tax_ids, self.tax)
        self.assertFalse(run.line_ids.filtered(lambda line: line.document_id == empty))

    def test_what_is_rolled_back_is_forgotten(self):
        Document = self.env.registry["invoice.run.document"]
        update, calls = Document._update_amounts, []

        def fail_first(documents):
            calls.append(len(documents))
            if len(calls) == 1:
                raise ValueError("Not now")
            return update(documents)

        with patch.object(Document, "_update_amounts", fail_first):
            run = self._make_amounts(self._make_run("2020-02-15"))
        self.assertEqual(len(run.document_ids), sum(calls[1:]))
        self.assertIsNone(get_waiting(self.env))
        self.assertEqual(run.exception_count, 0)

    def test_other_addons(self):
        """One that nobody has read may look for the rows by statements of its own."""
        Bulk = self.env.registry["invoice.run.bulk"]
        get_modules = Bulk._get_modules

        def get_more(bulk, model_name, name):
            stranger = ["stranger"] if name == "_update_title" else []
            return [*get_modules(bulk, model_name, name), *stranger]

        self.env.registry.clear_cache()
        self.addCleanup(self.env.registry.clear_cache)
        with (
            patch.object(Bulk, "_get_modules", get_more),
            patch.object(Waiting, "add", side_effect=AssertionError),
        ):
            run = self._make_amounts(self._make_run("2020-02-15"))
        self.assertTrue(run.document_ids)
        self.assertEqual(run.exception_count, 0)
