from odoo import api, models
from odoo.exceptions import AccessError

#: In the context: the engine writes. An object, because over RPC nobody can send one.
ENGINE = object()


class InvoiceRunGuarded(models.AbstractModel):
    """Fields that the engine alone writes, over RPC too.

    ``readonly`` protects a form, not the record: without this a user could approve a run, or
    open an invoiced item again, by writing its state. The engine writes as superuser.
    """

    _name = "invoice.run.guarded"
    _description = "Record with Fields of the Invoice Run Engine"

    @api.model
    def _get_engine_fields(self):
        """Return the names of the fields that only the engine writes."""
        return set()

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            # an empty value is what the field has anyway
            self._check_engine_fields([name for name, value in vals.items() if value])
        return super().create(vals_list)

    def write(self, vals):
        self._check_engine_fields(vals)
        return super().write(vals)

    def _check_engine_fields(self, names):
        """Refuse values of engine fields from anybody but the engine.

        :param names: fields that are written
        :raises AccessError: names the fields
        """
        if self._is_engine():
            return
        names = sorted(self._get_engine_fields().intersection(names))
        if names:
            labels = [self._fields[name]._description_string(self.env) for name in names]
            raise AccessError(
                self.env._(
                    "%(fields)s cannot be written by hand: use the buttons.",
                    fields=", ".join(labels),
                )
            )

    def _is_engine(self):
        return self.env.su or self.env.context.get("invoice_run_engine") is ENGINE

    def _as_engine(self):
        """Return these records such that their engine fields can be written.

        With the rights of the user, unlike :meth:`_write_engine`; the caller makes sure that no
        value of an engine field comes from outside.
        """
        return self.with_context(invoice_run_engine=ENGINE)

    def _write_engine(self, vals):
        """Write engine fields; the caller has checked that the user may do what leads here."""
        # sudo: see the class; the user, for the chatter and the stamps, stays the same
        self.sudo().write(vals)
