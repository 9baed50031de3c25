"""Thousands of rows of one kind: copies of what the engine has created."""

from odoo.tools import sql

#: {table of price lines: (column of the price, table of the contracts)}, ours and OCA's
PRICES = {
    "billing_contract_line": ("price_unit", "billing_contract"),
    "contract_line": ("specific_price", "contract_contract"),
}


def vary_prices(env, count: int) -> dict:
    """Give each contract prices of its own.

    Odoo looks for duplicates among invoices of the same amount and day, and would find many.
    """
    for lines, (price, contracts) in PRICES.items():
        if sql.table_exists(env.cr, lines):
            first = f"(SELECT min(id) FROM {contracts})"
            env.cr.execute(
                f"UPDATE {lines} SET {price} = {price} + ((contract_id - {first}) % 9973) * 0.01"
            )
    env.cr.commit()
    return {}


def copy_contracts(env, contracts, times: int):
    """Create more contracts of the same kind, each with a customer of its own, quickly."""
    number = f"+ copy * {len(contracts)}"
    _copy_rows(
        [contracts.partner_id, contracts, contracts.line_ids],
        {
            "res_partner": dict.fromkeys(("name", "complete_name"), _get_customer(number)),
            "billing_contract": {"name": f"'CTR-' || (split_part(name, '-', 2)::int {number})"},
        },
        times,
    )
    env.cr.commit()


def _get_customer(number: str) -> str:
    return f"'Customer ' || lpad((right(name, 6)::int {number})::text, 6, '0')"


def _copy_rows(recordsets, expressions: dict, times: int):
    """Copy rows; references between them lead to the copies.

    :param expressions: {table: {column: SQL expression of a copy's value}}
    """
    spans = {records._name: (min(records.ids), max(records.ids)) for records in recordsets}
    for records in recordsets:
        cr, table = records.env.cr, records._table
        values = {field.name: f'"{field.name}"' for field in records._fields.values()}
        for field in records._fields.values():
            if field.type == "many2one" and field.comodel_name in spans:
                values[field.name] = _get_shifted(field.name, spans[field.comodel_name])
        values["id"] = _get_shifted("id", spans[records._name])
        values.update(expressions.get(table, {}))
        _insert_copies(cr, table, values, "id IN %s", (records._ids,), times)
        cr.execute(f"SELECT setval('{table}_id_seq', max(id)) FROM {table}")


def _get_shifted(column: str, span: tuple) -> str:
    first, last = span
    shifted = f'"{column}" + copy * {last - first + 1}'
    return f'CASE WHEN "{column}" BETWEEN {first} AND {last} THEN {shifted} ELSE "{column}" END'


def _insert_copies(cr, table: str, values: dict, condition: str, params: tuple, times: int):
    cr.execute(f"SELECT * FROM {table} LIMIT 0")
    names = [column.name for column in cr.description]
    columns = ", ".join(f'"{name}"' for name in names)
    copies = ", ".join(values.get(name, f'"{name}"') for name in names)
    cr.execute(
        f"INSERT INTO {table} ({columns}) SELECT {copies} "
        f"FROM {table}, generate_series(1, %s) copy WHERE {condition}",
        (times, *params),
    )


def make_large(env, count: int) -> dict:
    """Copy an invoiced run's documents, amounts and invoices until it has ``count``."""
    run = env["invoice.run"].search([], limit=1)
    documents = run.document_ids
    contracts, moves = documents.contract_ids, documents.move_id
    # documents refer to invoices, and these to documents: no order of copying suits both
    env.cr.execute("SET LOCAL session_replication_role = replica")
    times = count // len(documents) - 1
    number = f"+ copy * {len(documents)}"
    _copy_rows(
        [
            *(contracts.partner_id, contracts, contracts.line_ids),
            *(documents, run.line_ids, moves, moves.line_ids),
        ],
        {
            "res_partner": dict.fromkeys(("name", "complete_name"), _get_customer(number)),
            "billing_contract": {"name": f"'CTR-' || (split_part(name, '-', 2)::int {number})"},
            "invoice_run_document": {"sequence": f"sequence {number}"},
            "account_move": {
                "name": f"sequence_prefix || lpad((sequence_number {number})::text, 6, '0')",
                "sequence_number": f"sequence_number {number}",
            },
        },
        times,
    )
    spans = [(min(records.ids), max(records.ids)) for records in (contracts, documents)]
    columns = ("billing_contract_id", "invoice_run_document_id")
    values = {name: _get_shifted(name, span) for name, span in zip(columns, spans, strict=True)}
    table = documents._fields["contract_ids"].relation
    condition = "invoice_run_document_id IN %s"
    _insert_copies(env.cr, table, values, condition, (documents._ids,), times)
    _copy_taxes(env, run.line_ids, times)
    env.cr.execute("ANALYZE")
    env.cr.commit()
    return {"documents": env["invoice.run.document"].search_count([("run_id", "=", run.id)])}


def _copy_taxes(env, lines, times: int):
    """Give the copies of amounts their taxes."""
    span = min(lines.ids), max(lines.ids)
    table, column = lines._fields["tax_ids"].relation, lines._fields["tax_ids"].column1
    values = {column: _get_shifted(column, span)}
    _insert_copies(env.cr, table, values, f"{column} IN %s", (lines._ids,), times)


def make_waiting(env, count: int) -> dict:
    """Take the invoices off the documents of a run, so that it waits for approval."""
    run = env["invoice.run"].search([], limit=1)
    env.cr.execute("SET LOCAL session_replication_role = replica")
    env.cr.execute(
        "UPDATE invoice_run_document SET state = 'to_do', send_state = 'none', move_id = NULL "
        "WHERE run_id = %s",
        (run.id,),
    )
    env.cr.execute(
        "UPDATE invoice_run SET state = 'amounts', approved_date = NULL WHERE id = %s", (run.id,)
    )
    env.cr.execute("ANALYZE")
    env.cr.commit()
    return {"waiting": env.cr.rowcount}
