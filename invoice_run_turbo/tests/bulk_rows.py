"""All that the database holds of invoices, to compare two ways of making or sending them."""

import re

from odoo.tools import SQL

#: Ids, stamps and random values: different for each row however it is made.
IGNORED = {
    *("id", "create_uid", "create_date", "write_uid", "write_date", "access_token", "message_id")
}
#: Random, wherever it stands.
MESSAGE_ID = re.compile(r"<[^<>\s]*-openerp-[^<>\s]*>")
#: In the order in which the database happens to find the followers.
TO_ADD = re.compile(r"(?<='X-Msg-To-Add': ')[^']+")
OF_MESSAGES = """mail_message_id IN (
    SELECT id FROM mail_message WHERE model = 'account.move' AND res_id = ANY(%(ids)s))"""
#: {table: (condition, order, {column: table whose row it names})}
TABLES = {
    "account_move": ("id = ANY(%(ids)s)", "id", {}),
    "account_move_line": (
        "move_id = ANY(%(ids)s)",
        "move_id, id",
        {"move_id": "account_move"},
    ),
    "account_analytic_line": (
        "move_line_id IN (SELECT id FROM account_move_line WHERE move_id = ANY(%(ids)s))",
        "id",
        {"move_line_id": "account_move_line"},
    ),
    "mail_message": (
        "model = 'account.move' AND res_id = ANY(%(ids)s)",
        "res_id, id",
        {"res_id": "account_move", "parent_id": "mail_message"},
    ),
    "mail_tracking_value": (
        OF_MESSAGES,
        "mail_message_id, id",
        {"mail_message_id": "mail_message"},
    ),
    "mail_mail": (
        OF_MESSAGES,
        # in the order of the invoices, whichever message was written first; of the recipients of
        # a message Odoo reads any one first
        "(SELECT res_id FROM mail_message WHERE mail_message.id = mail_message_id), "
        "mail_message_id, (SELECT min(res_partner_id) FROM mail_mail_res_partner_rel "
        "WHERE mail_mail_id = mail_mail.id), id",
        {"mail_message_id": "mail_message"},
    ),
    "mail_notification": (
        OF_MESSAGES,
        "mail_message_id, res_partner_id",
        {"mail_message_id": "mail_message", "mail_mail_id": "mail_mail"},
    ),
    "ir_attachment": (
        """res_model = 'mail.message' AND res_id IN (
            SELECT id FROM mail_message WHERE model = 'account.move' AND res_id = ANY(%(ids)s))""",
        "res_id, id",
        {"res_id": "mail_message"},
    ),
    "invoice_run_document": (
        "move_id = ANY(%(ids)s)",
        "move_id, id",
        {"move_id": "account_move", "send_message_id": "mail_message"},
    ),
    "mail_followers": (
        "res_model = 'account.move' AND res_id = ANY(%(ids)s)",
        "res_id, partner_id",
        {"res_id": "account_move"},
    ),
    "res_partner": (
        "id IN (SELECT partner_id FROM account_move WHERE id = ANY(%(ids)s))",
        "id",
        {},
    ),
}
#: {link table: (column of the row, table of the row)}
LINKS = {
    "account_move_line_account_tax_rel": ("account_move_line_id", "account_move_line"),
    "account_account_tag_account_move_line_rel": ("account_move_line_id", "account_move_line"),
    "mail_followers_mail_message_subtype_rel": ("mail_followers_id", "mail_followers"),
    "mail_message_res_partner_rel": ("mail_message_id", "mail_message"),
    "mail_mail_res_partner_rel": ("mail_mail_id", "mail_mail"),
    "message_attachment_rel": ("message_id", "mail_message"),
    "invoice_run_document_message_rel": ("invoice_run_document_id", "invoice_run_document"),
}
#: {column of a link table: table whose row it names too}
OTHER_ENDS = {
    "message_attachment_rel": {"attachment_id": "ir_attachment"},
    "invoice_run_document_message_rel": {"mail_message_id": "mail_message"},
}


def read_rows(moves):
    """Return {table: rows in order} of these invoices; ids of rows are replaced by their rank."""
    moves.env.flush_all()
    ranks, result = {}, {}
    for table, (condition, order, owners) in TABLES.items():
        query = f"SELECT * FROM {table} WHERE {condition} ORDER BY {order}"
        rows = _execute(moves, query, moves.ids)
        ranks[table] = {row["id"]: number for number, row in enumerate(rows)}
        if table == "res_partner":
            _add_pending_ranks(moves, rows)
        result[table] = [_normalize(row, owners, ranks) for row in rows]
    # per journal item; in which order they were inserted says nothing
    result["account_analytic_line"].sort(key=lambda row: str(sorted(row.items(), key=str)))
    # per message in the order of the invoices, whichever message was written first
    for table in ("mail_tracking_value", "mail_notification"):
        result[table].sort(key=lambda row: row["mail_message_id"])
    for table, (column, owner) in LINKS.items():
        query = f"SELECT * FROM {table} WHERE {column} = ANY(%(ids)s)"
        rows = _execute(moves, query, list(ranks[owner]))
        owners = {column: owner, **OTHER_ENDS.get(table, {})}
        result[table] = sorted(
            tuple(sorted(_normalize(row, owners, ranks).items())) for row in rows
        )
    return result


def _add_pending_ranks(moves, rows):
    """Add what ``res.partner._increase_rank`` writes after the commit."""
    data = moves.env.cr.postcommit.data
    pending = data.get("account.res.partner.increase_rank.customer_rank", {})
    for row in rows:
        row["customer_rank"] = (row["customer_rank"] or 0) + pending.get(row["id"], 0)


def _execute(moves, query, ids):
    moves.env.cr.execute(SQL(query, ids=ids))
    return moves.env.cr.dictfetchall()


def _normalize(row, owners, ranks):
    row = {
        name: _normalize_text(value) if isinstance(value, str) else value
        for name, value in row.items()
        if name in owners or name not in IGNORED
    }
    for column, table in owners.items():
        row[column] = row[column] and ranks[table][row[column]]
    return row


def _normalize_text(text):
    text = MESSAGE_ID.sub("<…>", text)
    return TO_ADD.sub(lambda match: ",".join(sorted(match.group().split(","))), text)


def get_differences(plain, bulk):
    """Return what differs, as readable lines."""
    result = []
    for table, rows in plain.items():
        others = bulk[table]
        if len(rows) != len(others):
            result.append(f"{table}: {len(rows)} rows, {len(others)} in bulk")
            continue
        for number, (row, other) in enumerate(zip(rows, others, strict=True)):
            result += _compare(f"{table} {number}", row, other)
    return result


def _compare(label, row, other):
    if isinstance(row, dict):
        return [
            f"{label} {name}: {row[name]!r}, {other[name]!r} in bulk"
            for name in row
            if row[name] != other[name]
        ]
    return [] if row == other else [f"{label}: {row!r}, {other!r} in bulk"]
