from unittest.mock import patch

from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.fields import Command
from odoo.models import BaseModel
from odoo.tests import tagged

from ..inserting import Insert
from ..links import get_links

#: Texts that mean something to ``COPY``.
TEXTS = ("A\tB", "A\nB", "A\r\nB", "A\\nB", "\\N", "\\.", "", "Ärger 🙂", " A ")


@tagged("post_install", "-at_install")
class TestColumns(InvoiceRunCommon):
    """What is inserted by columns is what Odoo's own ``_create`` inserts, and caches."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.yen = cls.setup_other_currency("JPY", rates=[("2020-01-01", 151.4)], rounding=1.0)
        for number in range(3):
            partner = cls._make_partner(f"{number}", f"{number}@example.com")
            lines = [{"name": "Two\nlines\tand a tab"}, {"price_unit": 10.0 / 3}]
            cls._make_contract(lines, partner_id=partner.id)

    def _watch(self):
        """Return {model: records} of what is inserted by columns from now on."""
        found, original = {}, Insert.insert

        def insert_noted(insert):
            records = original(insert)
            found[records._name] = records.concat(found.get(records._name, records.browse()))
            return records

        self.patch(Insert, "insert", insert_noted)
        return found

    def test_all_kinds_of_records(self):
        found = self._watch()
        self._make_invoices(self._make_amounts(self._make_run("2020-01-15")))
        names = {"account.move", "account.move.line", "invoice.run.document", "invoice.run.line"}
        self.assertEqual(set(found), names | {"mail.message"})
        self.assertEqual(len(found["account.move"]), 3)

    def test_cache(self):
        """Right after the insertion the cache holds what Odoo's own way puts into it."""
        run = self._make_run("2020-01-15").sudo()
        savepoint = self.env.cr.savepoint()
        plain = self._get_cached(run, BaseModel, "_create")
        savepoint.rollback()
        self.env.invalidate_all(flush=False)
        self.env.cr.cache.clear()
        self.assertEqual(self._get_cached(run, Insert, "insert"), plain)
        self.assertEqual(len(plain), 4)

    def _get_cached(self, run, owner, name):
        """Return {model: [{field: cached value} of each record]} of what this method inserts."""
        found, modified = {}, BaseModel.modified
        is_plain = owner is BaseModel
        models = {f"account.move{end}" for end in ("", ".line")}
        models |= {f"invoice.run.{end}" for end in ("document", "line")}

        def note(records, fnames, create=False, before=False):
            # called when the cache is filled, before anything is computed
            if create and records._name in models and fnames is records._fields:
                rows = found.setdefault(records._name, [])
                rows += [self._read_cache(record) for record in records]
            return modified(records, fnames, create, before)

        Mixin = self.env.registry["invoice.run.bulk.mixin"]
        with (
            patch.object(BaseModel, "modified", note),
            patch.object(Mixin, "_is_inserted_by_columns", lambda _records: not is_plain),
            patch.object(owner, name, autospec=True, side_effect=getattr(owner, name)) as method,
        ):
            self._make_invoices(self._make_amounts(run))
        self.assertTrue(method.called)
        return found

    def _read_cache(self, record):
        own = {"id", "create_date", "write_date", "access_token"}
        data = {}
        for name, field in record._fields.items():
            cache = field._get_cache(record.env)
            if field.store and name not in own and record.id in cache:
                value = cache[record.id]
                links = field.relational or field.type == "many2one_reference"
                data[name] = bool(value) if links else (type(value), value)
        return data

    def test_texts(self):
        vals = {"name": "A", "product_id": self.product.id, "quantity": 1.0, "price_unit": 1.0}
        lines = self._insert_amounts([{**vals, "name": text or "-"} for text in TEXTS])
        self.assertEqual(lines.mapped("name"), [text or "-" for text in TEXTS])

    def _insert_amounts(self, vals_list):
        """Insert amounts of the document of a run; return them as the database has them."""
        run = self._make_amounts(self._make_run("2020-01-15")).sudo()
        common = {"run_id": run.id, "company_id": run.company_id.id}
        common |= {"document_id": run.document_ids[0].id, "is_claimed": False}
        found = self._watch()
        lines = run.line_ids.create([{**common, **vals} for vals in vals_list])
        self.assertEqual(found.get("invoice.run.line", lines.browse()), lines)
        self.env.invalidate_all()
        return lines

    def test_amounts_of_several_currencies(self):
        """Each is rounded by its own, which it has by its document."""
        run = self._make_amounts(self._make_run("2020-01-15")).sudo()
        first, second = run.document_ids[:2]
        second.currency_id = self.yen
        common = {"run_id": run.id, "company_id": run.company_id.id, "is_claimed": False}
        common |= {"product_id": self.product.id, "name": "A", "amount_untaxed": 1.236}
        common |= {"quantity": 1.0, "price_unit": 1.0}
        lines = run.line_ids.create(
            [{**common, "document_id": document.id} for document in (first, second)]
        )
        self.env.flush_all()
        self.env.invalidate_all()
        self.assertEqual(lines.mapped("amount_untaxed"), [1.24, 1.0])

    def test_defaults_that_are_made(self):
        """Each record has its own; a value is the same for all."""
        vals = {"name": "A", "product_id": self.product.id, "quantity": 1.0, "price_unit": 1.0}
        lines = self._insert_amounts([vals] * 3)
        self.assertEqual(lines.mapped("sequence"), [10, 10, 10])
        numbers = iter(range(1, 100))
        field = lines._fields["sequence"]
        self.patch(field, "default", lambda _lines: next(numbers))
        self.env.registry.clear_cache()
        self.addCleanup(self.env.registry.clear_cache)
        common = lines[0].copy_data()[0] | {"is_claimed": False}
        common.pop("sequence")
        made = lines.create([dict(common) for _line in range(3)])
        self.assertEqual(len(set(made.mapped("sequence"))), 3)

    def test_links(self):
        """To taxes, once each; what more there is to do is Odoo's own."""
        tax = self.company_data["default_tax_sale"]
        other = tax.copy({"name": "Other"})
        commands = [
            [Command.set([tax.id, tax.id])],
            [Command.set(tax.ids), Command.link(other.id)],
            [],
            False,
        ]
        vals = {"name": "A", "product_id": self.product.id, "quantity": 1.0, "price_unit": 1.0}
        lines = self._insert_amounts([{**vals, "tax_ids": taxes} for taxes in commands])
        self.assertEqual([line.tax_ids.ids for line in lines], [tax.ids, (tax + other).ids, [], []])
        rows = [{"tax_ids": [Command.create({"name": "New"})]}]
        self.assertIsNone(get_links(lines._fields["tax_ids"], lines, rows))
        user_lines = lines.with_user(self.reviewer)
        self.assertIsNone(get_links(lines._fields["tax_ids"], user_lines, [{}]))

    def test_a_value_of_an_unknown_kind(self):
        """Odoo's own way says what is wrong with it."""
        with self.assertRaisesRegex(ValueError, "NUL"), self.env.cr.savepoint():
            self._insert_amounts([{"name": "A\0B", "product_id": self.product.id}])

    def test_overrides(self):
        lines = self.env["invoice.run.line"]
        self.assertTrue(lines._is_inserted_by_columns())
        self.env.registry.clear_cache()
        Bulk = self.env.registry["invoice.run.bulk"]
        with patch.object(Bulk, "_get_modules", lambda *_args: ["invoice_run_turbo", "stranger"]):
            self.assertFalse(lines._is_inserted_by_columns())
        self.env.registry.clear_cache()

    def test_what_somebody_did_to_the_table(self):
        """Seen at once, though Odoo runs on."""
        lines = self.env["invoice.run.line"]
        table = "invoice_run_line"
        self.assertTrue(lines._is_inserted_by_columns())
        for statement in (
            f"ALTER TABLE {table} ALTER discount SET DEFAULT 5",
            f"CREATE RULE nothing AS ON UPDATE TO {table} DO ALSO NOTHING",
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"ALTER SEQUENCE {table}_id_seq OWNED BY NONE",
        ):
            savepoint = self.env.cr.savepoint()
            self.env.cr.execute(statement)
            self.assertFalse(lines._is_inserted_by_columns(), statement)
            savepoint.close(rollback=True)
        self.assertTrue(lines._is_inserted_by_columns())

    def test_a_trigger_of_the_table(self):
        """It fires for ``COPY``, too."""
        self.env.cr.execute(
            """
            CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
                'BEGIN NEW.name = upper(NEW.name); RETURN NEW; END';
            CREATE TRIGGER shout BEFORE INSERT ON invoice_run_line
                FOR EACH ROW EXECUTE FUNCTION shout()
            """
        )
        vals = {"product_id": self.product.id, "quantity": 1.0, "price_unit": 1.0}
        lines = self._insert_amounts([{**vals, "name": name} for name in ("one", "two")])
        self.assertEqual(lines.mapped("name"), ["ONE", "TWO"])

    def test_properties_have_defaults_of_their_own(self):
        lines = self.env["invoice.run.line"]
        self.assertIsNotNone(lines._get_fields_with_made_default())
        self.patch(lines._fields["extra_tax_data"], "type", "properties")
        self.env.registry.clear_cache()
        self.addCleanup(self.env.registry.clear_cache)
        self.assertIsNone(lines._get_fields_with_made_default())
