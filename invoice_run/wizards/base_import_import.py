from odoo import models
from odoo.addons.base_import.models.base_import import ImportValidationError


class BaseImport(models.TransientModel):
    _inherit = "base_import.import"

    def _parse_date_from_data(self, data, index, name, field_type, options):
        # EXTENDS 'base_import': one unreadable date would be named for its column, in the words
        # of Python, and hide all others; left as it is, its row is named, with field and value
        if not hasattr(self.env[self.res_model], "_is_file_loaded"):
            return super()._parse_date_from_data(data, index, name, field_type, options)
        for row in data:
            try:
                super()._parse_date_from_data([row], index, name, field_type, options)
            except ImportValidationError:
                # in quotes: what the file's format does not read is not guessed by another one
                row[index] = f"“{row[index].strip()}”"
        return None
