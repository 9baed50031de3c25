"""Links of new records to many others, of all records at once: ``fields.Many2many.write_real``."""

import io
from collections import defaultdict

from odoo import fields, sql_db
from odoo.fields import Command
from odoo.tools import SQL


def get_links(field, model, rows):
    """Return the ids that new records are linked to, None where this cannot be done here.

    Not where the other side knows of the links, where the user's rights must be asked, or where
    a value does more than to link.

    :param rows: values of the records, in their order
    """
    is_plain = type(field) is fields.Many2many and field.store and model.env.su
    if not is_plain or model.pool.field_inverses[field]:
        return None
    links = [_get_ids(row.get(field.name)) for row in rows]
    return None if None in links else links


def cache_links(field, records, links):
    """Put the ids that new records are linked to into the cache, in their order."""
    groups = defaultdict(list)
    for id_, linked in zip(records._ids, links, strict=True):
        groups[linked].append(id_)
    for linked, ids in groups.items():
        field._update_cache(records.browse(ids), linked)


def copy_links(field, records, links):
    """Insert the links of new records."""
    pairs = zip(records._ids, links, strict=True)
    copy_rows(
        records.env.cr,
        field.relation,
        (field.column1, field.column2),
        [(str(id_), str(other)) for id_, linked in pairs for other in linked],
    )


def _get_ids(commands):
    """Return the ids that a new record is linked to, by commands or as they are; else None."""
    ids = {}
    if commands and all(type(command) is int for command in commands):
        return tuple(dict.fromkeys(commands))
    for command in commands or ():
        if not isinstance(command, list | tuple):
            return None
        if command[0] == Command.SET:
            ids = dict.fromkeys(command[2])
        elif command[0] == Command.LINK:
            ids[command[1]] = None
        else:
            return None
    return tuple(ids)


def copy_rows(cr, table, columns, rows):
    """Insert rows of texts, escaped as ``COPY`` reads them."""
    text = "".join(["\t".join(row) + "\n" for row in rows])
    if not text:
        return
    names = SQL(", ").join(map(SQL.identifier, columns))
    statement = SQL("COPY %s (%s) FROM STDIN", SQL.identifier(table), names)
    # the cursor of Odoo counts what it executes itself
    sql_db.sql_counter += 1
    cr.copy_expert(statement.code, io.StringIO(text))
