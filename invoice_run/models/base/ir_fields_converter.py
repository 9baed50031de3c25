from odoo import models


class LookedUp(dict):
    """What the names of a file were found to be; a type of its own: no RPC context has one."""


class IrFieldsConverter(models.AbstractModel):
    _inherit = "ir.fields.converter"

    def db_id_for(self, model, field, subfield, value, savepoint):
        # EXTENDS 'base': a file of 10,000 contracts names few products, each of them 10,000 times
        found = self.env.context.get("invoice_run_looked_up")
        # what the file itself creates, or may create, is looked up each time
        is_own = subfield or hasattr(self.env[field.comodel_name], "_is_file_loaded")
        is_new = self.env.context.get("name_create_enabled_fields")
        if is_own or is_new or not isinstance(found, LookedUp):
            return super().db_id_for(model, field, subfield, value, savepoint)
        key = (field.comodel_name, field.model_name, field.name, value)
        if key not in found:
            found[key] = super().db_id_for(model, field, subfield, value, savepoint)
        record_id, warnings = found[key]
        return record_id, list(warnings)

    def _xmlid_to_record_id(self, xmlid, model):
        # EXTENDS 'base': the external IDs of a file are looked up together
        found = self.env.context.get("invoice_run_looked_up")
        known = isinstance(found, LookedUp) and found.get((model._name, xmlid))
        return known or super()._xmlid_to_record_id(xmlid, model)
