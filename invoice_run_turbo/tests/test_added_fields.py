from freezegun import freeze_time

from odoo.addons.invoice_run.tests.common import InvoiceRunCommon
from odoo.fields import Command
from odoo.tests import tagged

from ..inserting import Insert
from .bulk_rows import get_differences, read_rows

#: {type: what else a field of this type has}
KINDS = {
    "char": {},
    "text": {"translate": "standard"},
    "html": {},
    "float": {},
    "monetary": {"currency_field": "currency_id"},
    "date": {},
    "boolean": {"company_dependent": True},
    "integer": {"depends": "name", "compute": "for record in self: record['NAME'] = record.id"},
    "many2one": {"relation": "res.partner"},
    "selection": {"selection_ids": [Command.create({"value": "a", "name": "A"})]},
}
#: {name: default}
DEFAULTS = {"x_char": "A\tB", "x_text": "Text", "x_html": "<p>B</p>", "x_float": 1.5}
DEFAULTS |= {"x_monetary": 1.239, "x_date": "2024-01-31", "x_selection": "a", "x_boolean": True}


@tagged("post_install", "-at_install")
class TestAddedFields(InvoiceRunCommon):
    """Fields that somebody added to invoices get the same values in bulk, and the same defaults."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.lang"]._activate_lang("fr_FR")
        cls.env["ir.model.fields"].create(
            [
                cls._prepare_field(model, kind, vals)
                for model in ("account.move", "account.move.line")
                for kind, vals in KINDS.items()
            ]
        )
        for number in range(3):
            partner = cls._make_partner(f"{number}", f"{number}@example.com")
            lines = [{}, {"price_unit": 10.0 / 3}]
            cls._make_contract(lines, partner_id=partner.id, date_start="2024-03-01")

    @classmethod
    def _prepare_field(cls, model, kind, vals):
        name = f"x_{kind}"
        vals = {**vals, "compute": vals.get("compute", "").replace("NAME", name) or False}
        return {
            "name": name,
            "field_description": kind,
            "model_id": cls.env["ir.model"]._get_id(model),
            "ttype": kind,
            "store": True,
            **vals,
        }

    def _set_defaults(self, model, **who):
        for name, value in DEFAULTS.items():
            self.env["ir.default"].set(model, name, value, **who)

    def _assert_equal(self, **context):
        """Invoice all contracts in both ways, and compare all rows."""
        run = self._make_amounts(self._make_run("2024-03-15")).with_context(**context)
        run.with_user(self.reviewer).action_approve()
        run.action_generate_invoices()
        inserted, insert = [], Insert.insert

        def watched(records):
            inserted.append(records._model._name)
            return insert(records)

        self.patch(Insert, "insert", watched)
        rows = [self._read_rows(run, value) for value in ("0", "1")]
        self.assertFalse(get_differences(*rows)[:20])
        self.assertLess({"account.move", "account.move.line"}, set(inserted))
        self.assertEqual(len(rows[1]["account_move"]), 3)
        return rows[1]

    def _read_rows(self, run, is_bulk):
        savepoint = self.env.cr.savepoint()
        self.env["ir.config_parameter"].sudo().set_param("invoice_run.bulk_create", is_bulk)
        self.env.invalidate_all()
        with freeze_time("2024-03-20 10:00:00"):
            run._process_queue()
        self.assertFalse(run.document_ids.filtered("error").mapped("error"))
        rows = read_rows(run.document_ids.move_id.sorted("id"))
        # follows the id, which differs
        for row in rows["account_move"] + rows["account_move_line"]:
            row["x_integer"] = bool(row["x_integer"])
        savepoint.close(rollback=True)
        self.env.cr.cache.clear()
        self.env.cr.precommit.clear()
        return rows

    def _get_values(self, rows, table):
        return [{name: row[name] for name in DEFAULTS} for row in rows[table]]

    def test_without_defaults(self):
        rows = self._assert_equal()
        self.assertTrue(all(row["x_integer"] for row in rows["account_move"]))

    def test_defaults_of_all(self):
        self._set_defaults("account.move")
        self._set_defaults("account.move.line")
        rows = self._assert_equal()
        for table in ("account_move", "account_move_line"):
            for row in rows[table]:
                self.assertEqual(row["x_char"], "A\tB")
                self.assertEqual(row["x_text"], {"en_US": "Text"})
                self.assertEqual(row["x_monetary"], 1.24)

    def test_defaults_of_a_company_and_of_a_user(self):
        self._set_defaults("account.move", company_id=self.company.id)
        self._set_defaults("account.move.line", user_id=self.user.id)
        rows = self._assert_equal()
        self.assertEqual({row["x_char"] for row in rows["account_move"]}, {"A\tB"})
        self.assertEqual({row["x_char"] for row in rows["account_move_line"]}, {"A\tB"})

    def test_defaults_of_the_context(self):
        """Neither way takes them: they are those of whoever pressed a button."""
        rows = self._assert_equal(default_x_char="Forged", default_x_float=3.0, lang="fr_FR")
        self.assertEqual({row["x_char"] for row in rows["account_move"]}, {None})
