from odoo import api, models
from odoo.exceptions import AccessError
from odoo.models import LOG_ACCESS_COLUMNS


class InvoiceRunWizard(models.AbstractModel):
    """A dialog or report that belongs to the user who opened it.

    Record rules of each such model keep all other users out: nobody can change what a button does
    that another user presses. Its subject is fixed when it is opened, and it points at
    nothing that its user may not read: Odoo shows the name of what a record points at to
    everybody who may read the record.
    """

    _name = "invoice.run.wizard"
    _description = "Dialog of Invoice Runs"

    @api.model
    def _get_fixed_fields(self):
        """Return the names of the fields that nobody changes once the dialog is open."""
        return set()

    @api.model
    def _say(self, message, action):
        """Return an action that shows ``message`` until somebody closes it, then ``action``."""
        params = {"type": "warning", "sticky": True, "message": message, "next": action}
        return {"type": "ir.actions.client", "tag": "display_notification", "params": params}

    def _compute_display_name(self):
        # EXTENDS 'base': what a breadcrumb shows; a dialog has no name of its own
        if self._rec_name:
            return super()._compute_display_name()
        name = self.env["ir.model"]._get(self._name).name
        for wizard in self:
            wizard.display_name = name

    @api.model
    def default_get(self, fields_list):
        # EXTENDS 'base': a default of the context is no way to learn a name
        values = super().default_get(fields_list)
        self._check_readable(values)
        return values

    @api.model_create_multi
    def create(self, vals_list):
        wizards = super().create(vals_list)
        wizards._check_references(self._fields)
        return wizards

    def write(self, vals):
        self._check_fixed(vals)
        result = super().write(vals)
        self._check_references(vals)
        return result

    def onchange(self, values, field_names, fields_spec):
        # EXTENDS 'web': it answers with the names of what the values point at
        self._check_readable(values)
        return super().onchange(values, field_names, fields_spec)

    def _write_fixed(self, vals):
        """Write fixed fields; the method that does so checked what comes in."""
        # sudo: what is fixed is written by our own methods alone
        self.sudo().write(vals)

    def _check_fixed(self, names):
        """Refuse to change what the dialog was opened for.

        :param names: fields that are written
        :raises AccessError: names the fields
        """
        names = [] if self.env.su else sorted(self._get_fixed_fields().intersection(names))
        if names:
            labels = [self._fields[name]._description_string(self.env) for name in names]
            raise AccessError(
                self.env._(
                    "%(fields)s can no longer be changed here. Close the dialog and open it again.",
                    fields=", ".join(labels),
                )
            )

    def _check_references(self, names):
        """Refuse what points at records that this user may not read.

        :param names: fields that are looked at
        :raises AccessError: names the field
        """
        if self.env.su:
            return
        for name in set(names) - {*LOG_ACCESS_COLUMNS}:
            field = self._fields.get(name)
            if field and field.type in ("many2one", "many2many") and not field.compute:
                self._check_reference(field, self[name].ids)

    def _check_readable(self, values):
        """Do as :meth:`_check_references`, for values that are not written yet."""
        if self.env.su:
            return
        for name, value in values.items():
            field = self._fields.get(name)
            if field and field.type == "many2one" and type(value) is int:
                self._check_reference(field, [value])

    def _check_reference(self, field, ids):
        records = self.env[field.comodel_name].browse(ids).exists()
        if records != records._filtered_access("read"):
            raise AccessError(
                self.env._(
                    "%(field)s: you are not allowed to read the selected value. Choose another "
                    "one, or ask for access.",
                    field=field._description_string(self.env),
                )
            )
