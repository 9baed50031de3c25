from odoo import api, models
from odoo.fields import Command

from .values import is_other_value

#: Types whose values are not compared: they are written as the file gives them.
UNCOMPARED = {"binary", "properties", "properties_definition"}


class InvoiceRunImportMixin(models.AbstractModel):
    """A file that is imported again: of records that exist, what differs is written, no more."""

    _inherit = "invoice.run.import.mixin"

    def _load_records_write(self, values):
        # EXTENDS 'base'
        if not self._is_file_loaded():
            return super()._load_records_write(values)
        found = self.env.context.get("invoice_run_looked_up", {})
        record = self.with_prefetch(found.get(("records", self._name), self._ids))
        values = record._get_loaded_difference(record._prepare_loaded_update(values))
        if values:
            super(InvoiceRunImportMixin, record)._load_records_write(values)
        return None

    @api.model
    def _find_external_ids(self, fields, data):
        """Return {(model, external ID): id} of the sub-records that rows name and that exist.

        Odoo looks each of them up on its own, by a query whose cost grows with the table.
        """
        module = self.env.context.get("module", "__import__")
        found = {}
        for number, path in enumerate(fields):
            comodel = self._get_loaded_comodel(path)
            if comodel is None:
                continue
            names = {str(row[number]) for row in data if row[number]}
            names = [name if "." in name else f"{module}.{name}" for name in names]
            # sudo: the import itself looks them up so
            rows = self.env["ir.model.data"].sudo()._lookup_xmlids(names, comodel)
            for _id, prefix, name, model, _res_id, _noupdate, row_id in rows:
                if row_id and model == comodel._name:
                    found[model, f"{prefix}.{name}"] = row_id
        return found

    @api.model
    def _get_loaded_comodel(self, path):
        """Return the model of the sub-records whose external IDs are in the column ``path``."""
        name, _slash, rest = path.partition("/")
        field = self._fields.get(name)
        is_id = rest == "id" and field is not None and field.type == "one2many"
        return self.env[field.comodel_name] if is_id else None

    @api.model
    def _read_loaded_ahead(self, data_list):
        """Read all records together that rows of a file mean: they are compared one by one.

        :raises AccessError: the user may not change one of them
        """
        if len(data_list) < 2:
            return
        xml_ids = [data["xml_id"] for data in data_list if data.get("xml_id")]
        # sudo: the import itself looks them up so
        rows = self.env["ir.model.data"].sudo()._lookup_xmlids(xml_ids, self)
        ids = [row_id for *_data, model, _res_id, _noupdate, row_id in rows if model == self._name]
        ids += [data["values"].get("id") for data in data_list if not data.get("xml_id")]
        records = self.browse(filter(None, ids))
        records.check_access("write")
        self.env.context["invoice_run_looked_up"]["records", self._name] = records._ids
        records.fetch()
        for name in {name for data in data_list for name in data["values"]}:
            if self._fields[name].type in ("one2many", "many2many"):
                records[name].fetch()

    def _prepare_loaded_update(self, values):
        """Return ``values`` of a row without the empty ones that leave a field as it is.

        As for a new record: an empty cell means what an empty field of the form means, see
        :meth:`_prepare_loaded_vals`. And it cannot empty what must be filled in.
        """
        return {
            name: value
            for name, value in self._prepare_loaded_vals(values).items()
            if name != "id" and not (value is False and self._fields[name].required)
        }

    def _get_loaded_difference(self, values, is_kept=False):
        """Return what of ``values``, as a file gives them, this record does not say yet.

        Where anything changes, values that Odoo might compute from it are given again.

        :param is_kept: whether the record that this one belongs to changes
        """
        commands = {name: values[name] for name in values if self._fields[name].type == "one2many"}
        changed = {
            name: value
            for name, value in values.items()
            if name not in commands and self._is_loaded_other(name, value)
        }
        is_kept = is_kept or bool(changed)
        for name, given in commands.items():
            if left := self._get_loaded_commands(name, given or (), is_kept):
                changed[name] = left
        if is_kept or changed:
            changed |= {name: values[name] for name in values if self._is_loaded_computed(name)}
        return changed

    def _is_loaded_other(self, name, value):
        is_compared = self._fields[name].type not in UNCOMPARED
        return not is_compared or is_other_value(self, name, value)

    @api.model
    def _is_loaded_computed(self, name):
        field = self._fields[name]
        return field.type != "one2many" and bool(field.compute or field.inverse)

    def _get_loaded_commands(self, name, commands, is_kept):
        """Return what of the ``commands`` of a file for this record's ``name`` changes anything."""
        lines, left = self[name], []
        for command in commands:
            if command[0] == Command.LINK and command[1] in lines.ids:
                continue
            if command[0] == Command.UPDATE and hasattr(lines, "_get_loaded_difference"):
                line = lines.browse(command[1]).with_prefetch(lines._prefetch_ids)
                vals = line._prepare_loaded_update(command[2])
                vals = line._get_loaded_difference(vals, is_kept) if line in lines else vals
                if not vals:
                    continue
                command = Command.update(line.id, vals)
            left.append(command)
        return left
