from odoo import api, models
from odoo.exceptions import UserError

from .ir_fields_converter import LookedUp


class InvoiceRunImportMixin(models.AbstractModel):
    """Records that come from files: a template, empty cells, and errors at the right row."""

    _name = "invoice.run.import.mixin"
    _description = "Record That Is Imported from Files"

    @api.model
    def get_import_templates(self):
        # EXTENDS 'base_import'
        records = self.env["ir.model"]._get(self._name).name
        return [
            {
                "label": self.env._("Import Template: %(records)s", records=records),
                "template": f"/invoice_run/static/xls/{self._table}_import.xlsx",
            }
        ]

    @api.model
    def load(self, fields, data):
        # EXTENDS 'base'
        found = LookedUp(self._find_external_ids(fields, data))
        records = self.with_context(invoice_run_looked_up=found)
        return super(InvoiceRunImportMixin, records).load(fields, data)

    def _load_records(self, data_list, update=False):
        # EXTENDS 'base': load() reports a refusal of many rows at the first of them, and then
        # goes row by row: only then does an error name the right row
        try:
            if self._is_file_loaded():
                self._read_loaded_ahead(data_list)
            return super()._load_records(data_list, update)
        except UserError as error:
            if len(data_list) > 1 and self._is_file_loaded():
                raise RuntimeError("one of the rows was refused") from error
            raise

    def _load_records_create(self, vals_list):
        # EXTENDS 'base': an empty cell means what an empty field of the form means
        if self._is_file_loaded():
            vals_list = [self._prepare_loaded_vals(vals) for vals in vals_list]
        return super()._load_records_create(vals_list)

    @api.model
    def _is_file_loaded(self):
        """Whether :meth:`load` is at work, not the installation of a module."""
        return "_import_current_module" in self.env.context

    @api.model
    def _prepare_loaded_vals(self, values):
        """Return values without the empty ones that a default or another field determines."""
        result = {}
        for name, value in values.items():
            field = self._fields.get(name)
            if field is None or not self._is_cell_empty(field, value):
                result[name] = value
            if field is not None and field.type == "one2many" and value:
                commands = [self._prepare_loaded_command(field, command) for command in value]
                result[name] = commands
        return result

    @api.model
    def _is_cell_empty(self, field, value):
        """Whether ``value`` leaves ``field`` to its default or to the field that it follows."""
        return value is False and field.type != "boolean" and bool(field.compute or field.default)

    @api.model
    def _prepare_loaded_command(self, field, command):
        comodel = self.env[field.comodel_name]
        if command[0] != 0 or not hasattr(comodel, "_prepare_loaded_vals"):
            return command
        return (0, command[1], comodel._prepare_loaded_vals(command[2]))

    @api.model
    def _sql_error_to_message(self, exc):
        # EXTENDS 'base': a row of a file holds sub-records, whose table has its own messages
        for field in self._fields.values():
            if field.type != "one2many" or exc.diag.table_name == self._table:
                continue
            if self.env[field.comodel_name]._table == exc.diag.table_name:
                return self.env[field.comodel_name]._sql_error_to_message(exc)
        return super()._sql_error_to_message(exc)
