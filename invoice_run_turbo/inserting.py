"""Inserts records by the hundred as ``BaseModel._create`` does, by columns and by ``COPY``."""

from collections import defaultdict
from operator import attrgetter

from odoo.orm.models import LOG_ACCESS_COLUMNS
from odoo.tools import OrderedSet, clean_context, unique

from .columns import UnknownValueError, get_column
from .links import copy_rows, create_links

#: What ``_create`` does not empty in the cache, though it is not inserted.
COMMON = {*LOG_ACCESS_COLUMNS, "id", "parent_path"}


class Insert:
    """The records of one ``_create``; :attr:`is_known` says whether they can be inserted here."""

    def __init__(self, model, data_list):
        self._model, self._data_list = model, data_list
        self._rows = [data["stored"] for data in data_list]
        self._names = sorted({name for row in self._rows for name in row})
        fields = [model._fields[name] for name in self._names]
        currencies = {}
        self._columns = [
            get_column(field, model, self._rows, currencies)
            for field in fields
            if field.column_type
        ]
        self._others = OrderedSet(
            field for field in fields if not field.column_type or field.type == "properties"
        )
        try:
            self._texts = [column.get_texts() for column in self._columns]
        except UnknownValueError:
            self._texts = []
        self.is_known = bool(self._texts)

    def insert(self):
        """Insert the records; return them. The steps are those of ``BaseModel._create``."""
        records = self._model.browse(self._copy())
        for data, record in zip(self._data_list, records.with_context(bin_size=False), strict=True):
            data["record"] = record
        self._fill_cache(records)
        records._parent_store_create()
        protected = [(data["protected"], data["record"]) for data in self._data_list]
        with self._model.env.protecting(protected):
            records.modified(self._model._fields, create=True)
            if self._others:
                self._create_others(records)
                records.modified([field.name for field in self._others], create=True)
        records._validate_fields(self._names)
        records.check_access("create")
        return records

    def _copy(self):
        """Insert the rows; return their ids."""
        model, cr = self._model, self._model.env.cr
        cr.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [model._table, len(self._rows)],
        )
        ids = [id_ for (id_,) in cr.fetchall()]
        names = ["id", *(column.field.name for column in self._columns)]
        rows = zip(map(str, ids), *self._texts, strict=True)
        copy_rows(cr, model._table, names, rows)
        return ids

    def _fill_cache(self, records):
        """Put all stored values into the cache, also those that are not inserted."""
        model = self._model
        cached = records.with_context(bin_size=False)
        for name, field in model._fields.items():
            if field.store and field.type in ("one2many", "many2many"):
                field._update_cache(cached, ())
            elif field.store and name not in COMMON and name not in self._names:
                field._update_cache(cached, None)
        for column in self._columns:
            values = column.fill_cache(cached)
            if column.field.type in ("many2one", "many2one_reference"):
                self._update_inverses(column.field, values, records)

    def _update_inverses(self, field, values, records):
        """Add the records to what is known of the records that they link to."""
        env = records.env
        for inverse in records.pool.field_inverses[field]:
            cache = inverse._get_cache(env)
            # of a record in the database only what was read is kept up to date
            pairs = zip(records._ids, values, strict=True)
            ids = [id_ for id_, value in pairs if value and value in cache]
            if not ids:
                continue
            owner = env[inverse.model_name]
            linked = records.browse(ids)
            if field.type == "many2one_reference":
                linked = linked.filtered(
                    lambda record, owner=owner: record[field.model_field] == owner._name
                )
            groups = defaultdict(list)
            field_cache = field._get_cache(env)
            for id_ in linked.filtered_domain(inverse.get_comodel_domain(owner))._ids:
                groups[field_cache[id_]].append(id_)
            for value, found in groups.items():
                cached = tuple(unique((*cache[value], *found)))
                inverse._update_cache(owner.browse(value), cached)

    def _create_others(self, records):
        """Write links to many records, and whatever else has no column."""
        others = records.with_context(clean_context(records.env.context))
        for field in sorted(self._others, key=attrgetter("_sequence")):
            if create_links(field, others, self._rows):
                continue
            pairs = zip(others, self._rows, strict=True)
            field.create([(other, row[field.name]) for other, row in pairs if field.name in row])
