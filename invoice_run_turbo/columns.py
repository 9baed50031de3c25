"""The values of new records, converted column by column: equal values are converted once.

``BaseModel._create`` goes from record to record and converts each value twice, for the database
and for the cache. The results are the same here; what a field makes of a value depends on nothing
but the value, the environment and, with amounts, the currency.
"""

from datetime import date, datetime

from psycopg2.extras import Json

from odoo import fields

#: Fields that convert a value alike in all records.
PLAIN = (
    *(fields.Boolean, fields.Char, fields.Date, fields.Datetime, fields.Float, fields.Integer),
    *(fields.Many2one, fields.Many2oneReference, fields.Selection, fields.Text),
)
#: What a record has in a column that its values do not name.
ABSENT = object()
NULL = "\\N"
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class UnknownValueError(Exception):
    """A value that only Odoo's own ``_create`` knows how to insert."""


class Converted(dict):
    """{value: what ``convert`` made of it}, each value converted once."""

    def __init__(self, convert):
        super().__init__()
        self._convert = convert

    def __missing__(self, value):
        self[value] = result = self._convert(value)
        return result


def get_column(field, model, rows, currencies):
    """Return the column of ``field``.

    :param rows: values of the records, as ``_create`` gets them as "stored"
    :param currencies: {field of the currency: ``Currencies``}, kept for the other columns
    """
    is_of_value_alone = not (
        field in model.env._field_depends_context
        or field.company_dependent
        or getattr(field, "translate", False)
    )
    if is_of_value_alone and type(field) in PLAIN:
        return Column(field, model, rows)
    if is_of_value_alone and type(field) is fields.Html and not field.sanitize_overridable:
        return HtmlColumn(field, model, rows)
    if is_of_value_alone and type(field) is fields.Monetary:
        name = field.get_currency_field(model)
        if name not in currencies:
            currencies[name] = Currencies(model, model._fields[name], rows)
        if currencies[name].are_known:
            return MonetaryColumn(field, model, rows, currencies[name])
    return OtherColumn(field, model, rows)


class Column:
    """A column whose values are converted by the value alone."""

    def __init__(self, field, model, rows):
        self.field, self._model, self._rows = field, model, rows
        name = field.name
        values = [row.get(name, ABSENT) for row in rows]
        # 0, 0.0 and False are equal, but not the same
        self._keys = list(self._get_keys(values))

    def _get_keys(self, values):
        return zip(map(type, values), values, strict=True)

    def get_texts(self):
        """Return the values as ``COPY`` reads them.

        :raises UnknownValueError: a value that is not known here
        """
        if self.field.column_type[0] == "float8":
            return list(map(self._get_text, self._keys))  # which tell 0.0 and -0.0 apart
        return list(map(Converted(self._get_text).__getitem__, self._keys))

    def _get_text(self, key):
        value = key[-1]
        return NULL if value is ABSENT else get_text(self._convert_to_column(key))

    def _convert_to_column(self, key):
        return self.field.convert_to_column_insert(key[-1], self._model)

    def fill_cache(self, records):
        """Put the values into the cache of ``records``, in the order of the rows."""
        values = list(map(Converted(self._get_cached).__getitem__, self._keys))
        self.field._get_cache(records.env).update(zip(records._ids, values, strict=True))
        return values

    def _get_cached(self, key):
        return None if key[-1] is ABSENT else self._convert_to_cache(key)

    def _convert_to_cache(self, key):
        return self.field.convert_to_cache(key[-1], self._model)


class MonetaryColumn(Column):
    """A column of amounts, which are rounded as their currency says."""

    def __init__(self, field, model, rows, currencies):
        self._currencies = currencies
        super().__init__(field, model, rows)

    def _get_keys(self, values):
        return zip(self._currencies.keys, map(type, values), values, strict=True)

    def _convert_to_column(self, key):
        source = self._currencies.get_source(key[0])
        return self.field.convert_to_column_insert(key[-1], self._model, source)

    def _convert_to_cache(self, key):
        value = float(key[-1] or 0.0)
        currency = self._currencies.get_cached(key[0])
        return currency.round(value) if value and currency else value


class HtmlColumn(Column):
    """A column of texts that are cleaned up; the cache gets them when they are asked for."""

    def fill_cache(self, records):
        pairs = zip(records, self._keys, strict=True)
        absent = [record.id for record, key in pairs if key[-1] is ABSENT]
        self.field._update_cache(records.browse(absent), None)


class OtherColumn(Column):
    """A column whose values are converted record by record: texts in several languages, JSON, …"""

    def _get_keys(self, values):
        return enumerate(values)

    def _convert_to_column(self, key):
        number, value = key
        return self.field.convert_to_column_insert(value, self._model, self._rows[number])

    def get_texts(self):
        return list(map(self._get_text, self._keys))

    def fill_cache(self, records):
        result = []
        for record, (_number, value) in zip(records, self._keys, strict=True):
            cached = None if value is ABSENT else self.field.convert_to_cache(value, record)
            # a text that is cleaned up is read when it is asked for
            if value is ABSENT or self.field.type != "html":
                self.field._update_cache(record, cached)
            result.append(cached)
        return result


class Currencies:
    """The currency of each record, as ``fields.Monetary`` finds it in the record's values."""

    def __init__(self, model, field, rows):
        self._model, self._field = model, field
        self._sources = {}
        self._cached = Converted(self._find_cached)
        names = [field.name, *(field.related or "").split(".")[:1]]
        #: what decides the currency of each record
        self.keys = [self._get_key(names, row) for row in rows]
        self.are_known = None not in self.keys

    def _get_key(self, names, row):
        for name in names:
            if name in row:
                key = self._model._get_dummy_key(name, row[name])
                self._sources.setdefault(key, {name: row[name]})
                return key
        return None

    def get_source(self, key):
        """Return the value of a record that decides its currency."""
        return self._sources[key]

    def get_cached(self, key):
        """Return the currency by which an amount in the cache is rounded, maybe none."""
        return self._cached[key]

    def _find_cached(self, key):
        source = self._sources[key]
        if self._field.store and self._field.name not in source:
            return None  # it is computed when the amounts are in the cache
        return self._model.new(source)[self._field.name]


def get_text(value):
    """Return a parameter of a statement as ``COPY`` reads it.

    :raises UnknownValueError: it is of a kind that is not known here
    """
    if value is None:
        return NULL
    if isinstance(value, str):
        if "\0" in value:
            raise UnknownValueError
        return str(value).translate(ESCAPED)
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Json):
        return get_text(value.dumps(value.adapted))
    raise UnknownValueError
