from contextlib import contextmanager

from odoo import api, models, tools
from odoo.tools import SQL

from .. import core
from ..environments import ENVIRONMENTS, environments_kept
from ..inserting import Insert
from ..known_overrides import CORE
from ..waiting import get_waiting

#: Key of the cursor's cache, while records are inserted.
DUMMIES = "invoice_run.dummies"
#: Key of the cursor's cache, while values are completed: {(model, names given): defaults}.
DEFAULTS = "invoice_run.defaults"
#: Whose ``default_get`` adds nothing to a field that has no default.
KNOWN_MODULES = {"account", "invoice_run", "invoice_run_turbo"}
#: Whose ``default_get`` adds what the cookies of a request say, the same for all its records.
READS_REQUEST = {"utm"}
#: {field: where its default is made}, of a setting: the same for all records.
SAME_FOR_ALL = {"analytic_precision": "odoo.addons.analytic.models.analytic_mixin"}
#: {model: methods with a hand in new amounts before their rows need be in the database}
BEFORE_ROWS = {
    "invoice.run": ("_create_amounts", "_create_claimed_lines"),
    "invoice.run.document": (
        *("create", "write", "_update_title", "_update_amounts", "_update_comparison"),
    ),
    "invoice.run.line": (
        *("create", "write", "_create_usage_claims", "_serialize_shared", "_claim"),
        *("_update_sources", "_settle_pools"),
    ),
}
#: The context in which the ORM reads the currency of an amount.
WITHOUT_PREFETCH = {"prefetch_fields": False}


def _is_made(field):
    """Whether the default of a field is a function of somebody's, not a value."""
    # Odoo wraps a value into a function of its own: Field._setup_attrs__
    known = {"odoo.orm.fields", SAME_FOR_ALL.get(field.name)}
    return field.inherited or field.default.__module__ not in known


class InvoiceRunBulkMixin(models.AbstractModel):
    """Records with amounts that are created by the hundred.

    The ORM creates a record to ask it for the currency of each amount that is inserted, and an
    environment to ask for each amount that is remembered. Here those of one kind share theirs.
    """

    _name = "invoice.run.bulk.mixin"
    _description = "Record Created by the Hundred"

    def _is_created_in_bulk(self):
        """Whether these records come from the engine, many of one kind."""
        return core.is_as_read(self.env, core.CREATE)

    def _create(self, data_list):
        # EXTENDS 'base'
        if not self._is_created_in_bulk():
            return super()._create(data_list)
        with self._sharing_dummies():
            insert = self._is_inserted_by_columns() and Insert(self, data_list)
            if insert and insert.is_known:
                return insert.insert()
            return super()._create(data_list)

    @contextmanager
    def _sharing_dummies(self):
        cache = self.env.cr.cache
        cache[DUMMIES] = {}
        try:
            with environments_kept(self):
                yield
        finally:
            cache.pop(DUMMIES, None)

    def _is_inserted_by_columns(self):
        """Whether nothing but Odoo's own ``_create`` inserts these records."""
        return self._is_create_known() and self._is_table_plain()

    @tools.ormcache()
    def _is_create_known(self):
        """Whether no other addon has a part in ``_create``."""
        modules = self.env["invoice.run.bulk"]._get_modules(self._name, "_create")
        return set(modules) <= {"invoice_run_turbo"} and not self._inherits

    def _is_table_plain(self):
        """Whether ``COPY`` inserts what ``INSERT`` would.

        Somebody may have given a column a default in the database, or the table a rule, or taken
        its sequence away; asked each time, because no cache knows when.
        """
        query = SQL(
            """
            SELECT NOT relhasrules
               AND NOT relrowsecurity
               AND pg_get_serial_sequence(%(table)s, 'id') IS NOT NULL
               AND NOT EXISTS (
                   SELECT FROM pg_attribute
                    WHERE attrelid = pg_class.oid
                      AND atthasdef AND NOT attisdropped AND attname != 'id')
              FROM pg_class WHERE oid = %(table)s::regclass
            """,
            table=self._table,
        )
        [(is_plain,)] = self.env.execute_query(query)
        return is_plain

    @tools.ormcache()
    def _can_wait_for_rows(self):
        """Whether new records can wait for further values before their rows are inserted.

        Their values must be found in the cache, and no addon that nobody read may look for the rows
        meanwhile.
        """
        get_modules = self.env["invoice.run.bulk"]._get_modules
        modules = {
            module
            for model_name, names in BEFORE_ROWS.items()
            for name in names
            for module in get_modules(model_name, name)
        }
        fields = [field for field in self._fields.values() if field.store]
        is_known = self._name in BEFORE_ROWS and modules <= CORE and not self._parent_store
        return is_known and all(map(self._is_in_cache, fields))

    def _is_in_cache(self, field):
        """Whether the cache has one value of this stored field, as it is inserted."""
        if not field.column_type:
            return not field.compute
        varies = field.translate or field.company_dependent
        is_own = field.type in ("html", "properties", "binary")
        return not (varies or is_own or field in self.env._field_depends_context)

    def _insert_waiting(self):
        """Insert the rows that wait, where some are of this model."""
        if waiting := get_waiting(self.env, self._name):
            waiting.insert()

    def _insert_unless_held(self):
        """Insert the rows that wait, unless what is asked is not about them."""
        waiting = get_waiting(self.env, self._name)
        if waiting and not waiting.is_held:
            waiting.insert()

    def _flush(self):
        # EXTENDS 'base': rows that wait are inserted when somebody asks for what is in them
        waiting = get_waiting(self.env, self._name)
        if waiting and waiting.is_held:
            with waiting.left_alone(self):
                return super()._flush()
        self._insert_waiting()
        return super()._flush()

    def exists(self):
        # EXTENDS 'base': asks the database by id
        self._insert_waiting()
        return super().exists()

    def _search(self, *args, **kwargs):
        # EXTENDS 'base': what is counted or sorted by id has no field that is flushed
        self._insert_unless_held()
        return super()._search(*args, **kwargs)

    def _fetch_query(self, query, fields):
        # EXTENDS 'base': links have no column that is flushed
        self._insert_unless_held()
        return super()._fetch_query(query, fields)

    def lock_for_update(self, *, allow_referencing=False):
        # EXTENDS 'base': see `exists`
        self._insert_waiting()
        return super().lock_for_update(allow_referencing=allow_referencing)

    def try_lock_for_update(self, *, allow_referencing=False, limit=None):
        # EXTENDS 'base': see `exists`
        self._insert_waiting()
        return super().try_lock_for_update(allow_referencing=allow_referencing, limit=limit)

    def write(self, vals):
        # EXTENDS 'base': links are written at once
        if get_waiting(self.env, self._name) and self._has_links(vals):
            self._insert_waiting()
        return super().write(vals)

    def _has_links(self, names):
        fields = (self._fields.get(name) for name in names)
        return any(field and not field.column_type for field in fields)

    def unlink(self):
        # EXTENDS 'base'
        self._insert_waiting()
        return super().unlink()

    def _prepare_create_values(self, vals_list):
        # EXTENDS 'base': what is missing is the same for all records of one kind
        if not self._is_created_in_bulk():
            return super()._prepare_create_values(vals_list)
        cache = self.env.cr.cache
        outer = cache.get(DEFAULTS)
        cache[DEFAULTS] = {}
        try:
            return super()._prepare_create_values(vals_list)
        finally:
            cache[DEFAULTS] = outer

    def _add_missing_default_values(self, values):
        # EXTENDS 'base': default values that are declared as values, once for each set of names
        known = self.env.cr.cache.get(DEFAULTS)
        if known is None or not self._has_constant_defaults(values):
            return super()._add_missing_default_values(values)
        key = self._name, frozenset(values)
        if key not in known:
            complete = super()._add_missing_default_values(values)
            known[key] = {name: complete[name] for name in complete if name not in values}
        return {**known[key], **values}

    def _has_constant_defaults(self, values):
        """Whether what ``values`` leave open has the same defaults in each record."""
        made = self._get_fields_with_made_default()
        return (
            made is not None
            and made <= values.keys()
            and not self.env["ir.default"]._get_model_defaults(self._name)
            and not any(key.startswith("default_") for key in self.env.context)
        )

    @tools.ormcache()
    def _get_fields_with_made_default(self):
        """Return the fields whose default is made anew for each record.

        None where an unknown addon gives defaults in another way, and where there are properties,
        whose defaults each record has from its own parent.
        """
        modules = self.env["invoice.run.bulk"]._get_modules(self._name, "default_get")
        has_properties = any(field.type == "properties" for field in self._fields.values())
        if has_properties or not (KNOWN_MODULES | READS_REQUEST).issuperset(modules):
            return None
        fields = self._fields.items()
        return frozenset(name for name, field in fields if field.default and _is_made(field))

    @api.model
    def default_get(self, fields):
        # EXTENDS 'base': of a hundred fields only those with a default are asked for it
        if self._is_created_in_bulk() and self._get_fields_with_default():
            asked = {
                *self._get_fields_with_default(),
                *self.env["ir.default"]._get_model_defaults(self._name),
                *(key.removeprefix("default_") for key in self.env.context),
            }
            fields = [name for name in fields if name in asked]
        return super().default_get(fields)

    @tools.ormcache()
    def _get_fields_with_default(self):
        """Return the fields that may have a default, empty where an unknown addon gives some."""
        modules = self.env["invoice.run.bulk"]._get_modules(self._name, "default_get")
        if not KNOWN_MODULES.issuperset(modules):
            return frozenset()
        fields = self._fields.items()
        return frozenset(name for name, field in fields if field.default or field.inherited)

    def with_context(self, ctx=None, /, **overrides):
        # EXTENDS 'base': the ORM asks for this one for each amount
        if ctx is None and overrides == WITHOUT_PREFETCH:
            env = self.env.cr.cache.get(ENVIRONMENTS, {}).get(self.env)
            if env is not None:
                return self.with_env(env)
        return super().with_context(ctx, **overrides)

    def new(self, values=None, origin=None, ref=None):
        # EXTENDS 'base': what only holds the currency of an amount serves all amounts
        dummies = self.env.cr.cache.get(DUMMIES)
        if dummies is None or origin is not None or ref is not None or len(values or ()) != 1:
            return super().new(values, origin=origin, ref=ref)
        [(name, value)] = values.items()
        field = self._fields[name]
        if field.type != "many2one" or not isinstance(value, int):
            return super().new(values)
        key = (self.env, self._name, *self._get_dummy_key(name, value))
        if key not in dummies or dummies[key].id not in field._get_cache(self.env):
            dummies[key] = super().new(values)
        return dummies[key]

    def _get_dummy_key(self, name, value):
        """Return what decides the currency of a record whose link ``name`` is ``value``."""
        return name, value
