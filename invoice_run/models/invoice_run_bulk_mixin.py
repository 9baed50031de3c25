from odoo import models

from ..bulk import environments_kept

#: Key of the cursor's cache, while records are inserted.
DUMMIES = "invoice_run.dummies"


class InvoiceRunBulkMixin(models.AbstractModel):
    """Records with amounts that are created by the hundred.

    The ORM makes a record to ask it for the currency of each amount that is inserted, and an
    environment to ask for each amount that is remembered. Here those of one kind share theirs.
    """

    _name = "invoice.run.bulk.mixin"
    _description = "Record Created by the Hundred"

    def _is_created_in_bulk(self):
        """Whether these records come from the engine, many of one kind."""
        return True

    def _create(self, data_list):
        # EXTENDS 'base'
        if not self._is_created_in_bulk():
            return super()._create(data_list)
        cache = self.env.cr.cache
        cache[DUMMIES] = {}
        try:
            with environments_kept(self):
                return super()._create(data_list)
        finally:
            cache.pop(DUMMIES, None)

    def new(self, values=None, origin=None, ref=None):
        # EXTENDS 'base': what only holds the currency of an amount serves all amounts
        dummies = self.env.cr.cache.get(DUMMIES)
        if dummies is None or origin is not None or ref is not None or len(values or ()) != 1:
            return super().new(values, origin=origin, ref=ref)
        [(name, value)] = values.items()
        field = self._fields[name]
        if field.type != "many2one" or not isinstance(value, int):
            return super().new(values)
        key = (self.env, self._name, name, value)
        if key not in dummies or dummies[key].id not in field._get_cache(self.env):
            dummies[key] = super().new(values)
        return dummies[key]
