"""Values as people, files and RPC give them, compared with those of a record."""


def is_other_value(record, name, value):
    """Whether writing ``value`` would give the field ``name`` of ``record`` another value."""
    record.ensure_one()
    field = record._fields[name]
    return field.convert_to_record(field.convert_to_cache(value, record), record) != record[name]
