"""Inserts records by the hundred as ``BaseModel._create`` does, by columns and by ``COPY``."""

from collections import defaultdict
from operator import attrgetter

from odoo.orm.models import LOG_ACCESS_COLUMNS
from odoo.tools import OrderedSet, clean_context, unique

from .columns import ABSENT, UnknownValueError, get_column
from .links import cache_links, copy_links, copy_rows, get_links
from .waiting import get_waiting

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
        #: {field: ids linked to, in the order of the rows}, where nothing but links is to be done
        self._links = {field: get_links(field, model, self._rows) for field in self._others}
        #: {name: what the cache held right after the creation}
        self._cached = {}
        self._records = model
        self._is_waiting = False
        try:
            self._texts = [column.get_texts() for column in self._columns]
        except UnknownValueError:
            self._texts = []
        self.is_known = bool(self._texts)

    def insert(self):
        """Insert the records; return them. The steps are those of ``BaseModel._create``.

        Where they can wait for further values, their rows are inserted later, see
        :class:`~.waiting.Waiting`.
        """
        records = self._records = self._model.browse(self._get_new_ids())
        waiting = self._can_wait() and get_waiting(self._model.env)
        self._is_waiting = bool(waiting)
        if not waiting:
            self._copy(self._texts)
        for data, record in zip(self._data_list, records.with_context(bin_size=False), strict=True):
            data["record"] = record
        self._fill_cache(records)
        if waiting:
            waiting.add(self, records)
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

    def _can_wait(self):
        """Whether all that is to be inserted is in columns and links that are known."""
        is_linked = None not in self._links.values()
        return is_linked and self._model.env.su and self._model._can_wait_for_rows()

    def _get_new_ids(self):
        cr = self._model.env.cr
        cr.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [self._model._table, len(self._rows)],
        )
        return [id_ for (id_,) in cr.fetchall()]

    def _copy(self, texts, names=None):
        """Insert the rows, of texts as ``COPY`` reads them."""
        names = names or [column.field.name for column in self._columns]
        rows = zip(map(str, self._records._ids), *texts, strict=True)
        copy_rows(self._model.env.cr, self._model._table, ["id", *names], rows)

    # ------------------------------------------------------------------
    # Rows that waited
    # ------------------------------------------------------------------

    def insert_rows(self):
        """Insert the rows, with the values that they have in the cache by now, and the links."""
        names = [column.field.name for column in self._columns]
        texts = dict(zip(names, self._texts, strict=True))
        with self._model._sharing_dummies():
            texts |= self._get_changed_texts(self._get_changed())
        self._copy(texts.values(), list(texts))
        for field, links in self._links.items():
            copy_links(field, self._records, links)

    def _get_changed(self):
        """Return {name: cached values} of the columns with a value that changed meanwhile."""
        model, ids = self._model, self._records._ids
        absent = [None] * len(ids)
        changed = {}
        for name, field in model._fields.items():
            if field.store and field.column_type and name != "id":
                before = self._cached.get(name, absent)
                # what is not in the cache is what was inserted
                values = list(map(field._get_cache(model.env).get, ids, before))
                if values != before:
                    changed[name] = values
        return changed

    def _get_changed_texts(self, changed):
        rows = [dict(row) for row in self._rows]
        for name, values in changed.items():
            for row, value in zip(rows, values, strict=True):
                row[name] = ABSENT if value is None else value
        currencies = {}
        columns = {
            name: get_column(self._model._fields[name], self._model, rows, currencies)
            for name in changed
        }
        return {name: column.get_texts() for name, column in columns.items()}

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
            values = self._cached[column.field.name] = column.fill_cache(cached)
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
            links = self._links[field]
            if links is None:
                pairs = zip(others, self._rows, strict=True)
                field.create(
                    [(other, row[field.name]) for other, row in pairs if field.name in row]
                )
                continue
            cache_links(field, others, links)
            if not self._is_waiting:  # else with the rows
                copy_links(field, others, links)
