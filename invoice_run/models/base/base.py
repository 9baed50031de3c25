from odoo import api, models
from odoo.exceptions import AccessError, UserError

ADDONS = "invoice_run"


class Base(models.AbstractModel):
    """Hides the names of our records, such as runs and clusters, from users who may not read them.

    Odoo answers with the name of whatever id it is given, in a form that is being filled in and in
    the message about companies that do not fit: so users could learn names of other companies.
    """

    _inherit = "base"

    def onchange(self, values, field_names, fields_spec):
        # EXTENDS 'web'
        result = super().onchange(values, field_names, fields_spec)
        if not self.env.su:
            self._hide_billing_names(result.get("value", {}))
        return result

    @api.model
    def _with_path(self, path, action):
        """Return ``action`` with an address by which Back and a reload find its records again.

        The web client keeps no domain in the address, only the action's path and the record that
        the button belongs to: a server action of that path calls the same method for it.

        :param path: of a record of ``views/address_actions.xml``; others are left out
        """
        name = f"{ADDONS}.{path.replace('-', '_')}_address"
        address = self.env.ref(name, raise_if_not_found=False)
        # sudo: the path of an action is no secret
        return {**action, "path": address.sudo().path} if address else action

    def _hide_billing_names(self, values):
        """Remove from ``values``, as a form gets them, the names that this user may not read."""
        for name, value in values.items():
            field = self._fields.get(name)
            if field is None or not field.relational:
                continue
            if isinstance(value, list):
                for command in value:
                    if len(command) == 3 and isinstance(command[2], dict):
                        self.env[field.comodel_name]._hide_billing_names(command[2])
            elif isinstance(value, dict) and self._is_billing_hidden(field, [value.get("id")]):
                value["display_name"] = ""

    @api.model
    def _is_billing_hidden(self, field, ids):
        """Whether ``field`` refers to one of our models and this user may not read all the ids."""
        records = self.env[field.comodel_name]
        if records._original_module != ADDONS:
            return False
        records = records.browse(id_ for id_ in ids if type(id_) is int)
        return records != records._filtered_access("read")

    def _check_company(self, fnames=None):
        # EXTENDS 'base': the message names both records
        try:
            return super()._check_company(fnames)
        except UserError:
            if self.env.su or not self._has_hidden_billing():
                raise
        raise AccessError(
            self.env._("What was chosen belongs to another company. Choose something else.")
        )

    def _has_hidden_billing(self):
        """Whether these records refer to records of ours that their user may not read."""
        fields = [
            field
            for field in self._fields.values()
            if field.relational and field.store and field.type in ("many2one", "many2many")
        ]
        return any(self._is_billing_hidden(field, self[field.name].ids) for field in fields)
