from odoo import api, models, tools
from odoo.exceptions import AccessError
from odoo.tools import frozendict

#: In the context: the engine copies. An object, because over RPC nobody can send one.
ENGINE = object()


class EngineValue:
    """A value that the engine gives to one of its fields with the rights of the user.

    The permission is in the value, not in the context, so it does not extend to other records
    that the same call creates. It is an object because nobody can send one over RPC.
    """

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def __bool__(self):
        return bool(self.value)


class InvoiceRunGuarded(models.AbstractModel):
    """Fields that the engine alone writes, and fields that need a role, on every path.

    ``readonly`` protects a form, not the record: without this a user could approve a run, or
    open an invoiced item again, by writing its state. Every path ends in three methods:
    ``create`` and ``write`` get the values of people, imports and commands nested in other
    records; ``default_get`` gets those of their context and their own defaults. The engine writes
    as superuser, or by :class:`EngineValue`.

    A field says so itself: with ``engine=True`` only the engine writes it, and with
    ``reserved_for=group`` only members of this group give it anything but its own default.
    Where it depends on the value who may write it, the model checks. All
    fields of a model with ``_is_engine_model`` are the engine's, but for those that say
    ``engine=False``.
    """

    _name = "invoice.run.guarded"
    _description = "Record with Fields of the Invoice Run Engine"

    #: Whether only the engine writes records of this model.
    _is_engine_model = False

    @api.model
    def _valid_field_parameter(self, field, name):
        # EXTENDS 'base'
        is_own = name in ("engine", "reserved_for")
        return is_own or super()._valid_field_parameter(field, name)

    @tools.ormcache()
    def _get_guarded_names(self):
        """Return the names of the fields that only the engine writes."""
        return frozenset(
            name
            for name, field in self._fields.items()
            if getattr(field, "engine", self._is_engine_model)
        )

    @tools.ormcache()
    def _get_reserved_fields(self):
        """Return {field: group} of the fields that only members of the group fill in."""
        return frozendict(
            {
                name: field.reserved_for
                for name, field in self._fields.items()
                if getattr(field, "reserved_for", False)
            }
        )

    @tools.ormcache()
    def _get_names_with_default(self):
        return frozenset(name for name, field in self._fields.items() if field.default)

    @api.model
    def default_get(self, fields):
        # EXTENDS 'base': neither a context nor anybody's own defaults fill in guarded fields
        own = self._get_guarded_names().union(self._get_withheld_fields()).intersection(fields)
        if not own:
            return super().default_get(fields)
        values = super().default_get([name for name in fields if name not in own])
        given = {name: value for name, value in values.items() if name not in own}
        return given | self._get_own_defaults(own)

    def _get_withheld_fields(self):
        """Return the reserved fields that this user may not have filled in."""
        if self.env.su:
            return set()
        user = self.env.user
        return {
            name for name, group in self._get_reserved_fields().items() if not user.has_group(group)
        }

    def _get_own_defaults(self, names):
        """Return the values that these fields have by their own declaration."""
        result = {}
        for name in names & self._get_names_with_default():
            field = self._fields[name]
            value = field.convert_to_cache(field.default(self), self, validate=False)
            result[name] = field.convert_to_write(value, self)
        return result

    @api.model_create_multi
    def create(self, vals_list):
        vals_list = [self._open_engine_values(vals, is_new=True) for vals in vals_list]
        return super().create(vals_list)

    def write(self, vals):
        # no record, no change
        return super().write(self._open_engine_values(vals) if self else vals)

    def _open_engine_values(self, vals, is_new=False):
        """Return ``vals`` for the ORM; refuse engine fields from anybody but the engine.

        :param is_new: for a new record; an empty value is then what the field has anyway
        :raises AccessError: names the fields
        """
        names = self._get_guarded_names().intersection(vals)
        if not names:
            return vals
        given = {name for name in names if isinstance(vals[name], EngineValue)}
        refused = {name for name in names - given if vals[name] or not is_new}
        if refused and not self.env.su:
            raise AccessError(
                self.env._(
                    "%(fields)s cannot be written by hand: use the buttons.",
                    fields=", ".join(sorted(map(self._get_label, refused))),
                )
            )
        return {**vals, **{name: vals[name].value for name in given}}

    def _get_label(self, name):
        return self._fields[name]._description_string(self.env) or name

    def _write_engine(self, vals):
        """Write engine fields; the caller has checked that the user may do what leads here."""
        # sudo: see the class; the user, for the chatter and the stamps, stays the same
        self.sudo().write(vals)
