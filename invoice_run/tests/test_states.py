from odoo.exceptions import AccessError, UserError
from odoo.tests import tagged

from .common import InvoiceRunCommon


@tagged("post_install", "-at_install")
class TestStates(InvoiceRunCommon):
    """A run and its documents take the steps of their tables, on every path."""

    def _get_records(self):
        self._make_contract(date_start="2024-02-01")
        run = self._make_amounts(self._make_run("2024-02-15"))
        return [run, run.document_ids[0]]

    def test_tables_name_each_state(self):
        for record in self._get_records():
            for field, table in record._get_transitions().items():
                states = {name for name, _label in record._fields[field].selection}
                self.assertEqual(set(table) - {None}, states)
                self.assertLessEqual(set().union(*table.values()), states)

    def test_only_the_steps_of_the_table(self):
        for record in self._get_records():
            for field, table in record._get_transitions().items():
                for before in set(table) - {None}:
                    for after in set(table) - {None, before}:
                        is_allowed = after in table[before]
                        self._check_step(record.sudo(), field, before, after, is_allowed)

    def _check_step(self, record, field, before, after, is_allowed):
        """The state ``before`` is put into the database: it does not ask the table."""
        with self.subTest(model=record._name, field=field, before=before, after=after):
            self.env.flush_all()
            self.env.cr.execute(
                f"UPDATE {record._table} SET {field} = %s WHERE id = %s", [before, record.id]
            )
            record.invalidate_recordset()
            set_state = getattr(record, f"_set_{field}")
            if is_allowed:
                set_state(after)
                self.assertEqual(record[field], after)
                return
            for write in (set_state, lambda state: record.write({field: state})):
                with self.assertRaisesRegex(UserError, "cannot become"):
                    write(after)
            self.assertEqual(record[field], before)

    def test_nothing_begins_in_the_middle(self):
        _run, document = self._get_records()
        for state in ("invoiced", "failed", "released"):
            with self.subTest(state=state), self.assertRaisesRegex(UserError, "Nothing new"):
                document.sudo().copy({"state": state})

    def test_same_state_again_is_no_step(self):
        for record in self._get_records():
            state = record.state
            record.sudo()._set_state(state)
            self.assertEqual(record.state, state)

    def test_who_may_not_write_hears_that_first(self):
        run, _document = self._get_records()
        with self.assertRaises(AccessError):
            run.with_user(self.user).write({"state": "invoiced"})
