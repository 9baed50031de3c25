"""The fields and methods of Odoo that creating, confirming and writing messages together replace.

Where an addon overrides one of them, and ``known_overrides.py`` does not say that it was read, the
step is left to Odoo. Below them: how records are kept from what Odoo would compute and check.
"""

#: What creation in bulk puts into the values instead of having it computed, and by which method
#: ``create`` would compute it. See ``invoice.run.bulk``.
MOVE_COMPUTES = {
    "date": "_compute_date",
    "journal_id": "_compute_journal_id",
    "company_id": "_compute_company_id",
    "currency_id": "_compute_currency_id",
    "delivery_date": "_compute_delivery_date",
    "taxable_supply_date": "_compute_taxable_supply_date",
    "invoice_payment_term_id": "_compute_invoice_payment_term_id",
    "partner_shipping_id": "_compute_partner_shipping_id",
    "fiscal_position_id": "_compute_fiscal_position_id",
    "invoice_currency_rate": "_compute_invoice_currency_rate",
    "invoice_date_due": "_compute_invoice_date_due",
    "commercial_partner_id": "_compute_commercial_partner_id",
    "invoice_partner_display_name": "_compute_invoice_partner_display_info",
    "always_tax_exigible": "_compute_always_tax_exigible",
    "payment_state": "_compute_payment_state",
    **dict.fromkeys(
        (
            "amount_untaxed",
            "amount_tax",
            "amount_total",
            "amount_residual",
            "amount_untaxed_signed",
            "amount_untaxed_in_currency_signed",
            "amount_tax_signed",
            "amount_total_signed",
            "amount_residual_signed",
            "amount_total_in_currency_signed",
        ),
        "_compute_amount",
    ),
}
LINE_COMPUTES = {
    **dict.fromkeys(
        (
            # related to the invoice or the tax repartition line
            "journal_id",
            "company_id",
            "company_currency_id",
            "move_name",
            "parent_state",
            "date",
            "invoice_date",
            "ref",
            "payment_id",
            "statement_line_id",
            "statement_id",
            "tax_line_id",
            "tax_group_id",
        )
    ),
    "analytic_distribution": "_compute_analytic_distribution",
    "is_storno": "_compute_is_storno",
    "sequence": "_compute_sequence",
    "account_id": "_compute_account_id",
    "name": "_compute_name",
    "debit": "_compute_debit_credit",
    "credit": "_compute_debit_credit",
    "balance": "_compute_balance",
    "amount_currency": "_compute_amount_currency",
    "currency_id": "_compute_currency_id",
    "partner_id": "_compute_partner_id",
    "tax_ids": "_compute_tax_ids",
    "amount_residual": "_compute_amount_residual",
    "amount_residual_currency": "_compute_amount_residual",
    "reconciled": "_compute_amount_residual",
    "display_type": "_compute_display_type",
    "product_uom_id": "_compute_product_uom_id",
    "quantity": "_compute_quantity",
    "price_unit": "_compute_price_unit",
    "price_subtotal": "_compute_totals",
    "price_total": "_compute_totals",
    "no_followup": "_compute_no_followup",
}
#: Which fields hand their value on to items or journal; in bulk these have it already.
MOVE_INVERSES = {
    "company_id": "_inverse_company_id",
    "currency_id": "_inverse_currency_id",
    "journal_id": "_inverse_journal_id",
    "partner_id": "_inverse_partner_id",
}
#: What creation in bulk does itself; an unknown override of one of these needs plain ``create``.
BYPASSED_METHODS = {
    "res.partner": {"_check_company_domain"},
    "account.move": {
        *MOVE_COMPUTES.values(),
        *MOVE_INVERSES.values(),
        "_compute_direction_sign",
        "_compute_expected_currency_rate",
        "_compute_is_storno",
        "_compute_needed_terms",
        "_compute_reconciled_payment_ids",
        "_get_accounting_date_source",
        "_get_discount_allocation_account",
        "_get_expected_currency_rate_at",
        "_get_invoice_currency_rate_date",
        "_get_product_base_line_currency_rate",
        "_get_rounded_base_and_tax_lines",
        "_get_sync_stack",
        "_prepare_product_base_line_for_taxes_computation",
        "_recompute_cash_rounding_lines",
        "_sync_dynamic_line",
        "_sync_dynamic_line_needed_values",
        "_sync_dynamic_lines",
        "_sync_invoice",
        "_sync_non_deductible_base_lines",
        "_sync_rounding_lines",
        "_sync_tax_lines",
        "_sync_unbalanced_lines",
    },
    "account.move.line": {
        *filter(None, LINE_COMPUTES.values()),
        "_add_precomputed_values",
        "_check_caba_non_caba_shared_tags",
        "_compute_discount_allocation_needed",
        "_compute_epd_needed",
        "_compute_term_key",
        "_get_analytic_distribution_arguments",
        "_inverse_account_id",
        "_inverse_amount_currency",
        "_inverse_analytic_distribution",
        "_inverse_no_followup",
        "_inverse_partner_id",
        "_inverse_product_id",
        "_related_analytic_distribution",
        "_sync_invoice",
    },
    "account.tax": {
        "_get_base_line_field_value_from_record",
        "_prepare_base_line_for_taxes_computation",
        "_prepare_base_line_grouping_key",
        "_prepare_base_line_tax_repartition_grouping_key",
    },
}
#: What decides the next number of an invoice.
NUMBERING_METHODS = {
    "_deduce_sequence_number_reset",
    "_get_last_sequence",
    "_get_last_sequence_domain",
    "_get_next_sequence_format",
    "_get_sequence_format_param",
    "_get_starting_sequence",
}
#: What invoices that are created as confirmed have in addition, and how confirming computes it.
CONFIRMED_COMPUTES = {
    "name": "_compute_name",
    "sequence_prefix": "_compute_split_sequence",
    "sequence_number": "_compute_split_sequence",
    "made_sequence_gap": "_compute_made_sequence_gap",
    "payment_reference": "_compute_payment_reference",
    "checked": "_compute_checked",
}
#: Which fields hand their value on to the items when it changes.
CONFIRMED_INVERSES = {
    "invoice_payment_term_id": "_inverse_invoice_payment_term_id",
    "name": "_inverse_name",
    "payment_reference": "_inverse_payment_reference",
}
#: What is done otherwise or not at all for invoices that are created as confirmed. Where an addon
#: overrides one of these, they are created as drafts and confirmed: the steps stay its own.
CONFIRMED_METHODS = {
    "account.move": {
        *CONFIRMED_COMPUTES.values(),
        *CONFIRMED_INVERSES.values(),
        "_check_fiscal_lock_dates",
        "_constrains_date_sequence",
        "_get_invoice_computed_reference",
        "_get_invoice_reference_odoo_invoice",
        "_hash_moves",
        "_locked_increment",
        "_post",
        "_set_next_made_sequence_gap",
        "_set_next_sequence",
        "_synchronize_business_models",
        "create",
        "write",
    },
    "account.move.line": {
        "_check_constrains_account_id_journal_id",
        "_check_tax_lock_date",
        "_reconcile_marked",
        "create",
    },
    "invoice.run.document": {"_create_account_moves", "_create_drafts", "_post_moves"},
}

#: What automation rules replace to see what is created and changed.
WATCHED = {"_compute_field_value", "create", "write"}

#: What writing messages together does itself.
CHATTER_METHODS = {
    "_creation_message",
    "_creation_subtype",
    "_message_create",
    "_message_post_after_hook",
    "_notify_get_recipients",
    "_notify_thread",
    "message_post",
}

#: What posting the messages that send invoices does itself, see ``posting.py``.
POSTING_METHODS = {
    "account.move": {
        "_create_attachments_for_post",
        "_message_compute_author",
        "_message_compute_parent_id",
        "_message_create",
        "_message_subscribe",
        "_notify_get_reply_to",
        "_notify_thread",
        "_notify_thread_by_email",
        "_process_attachments_for_post",
        "message_post",
    },
    "account.move.send": {"_send_mail"},
    "mail.followers": {"_get_recipient_data"},
}
#: Methods that it does not call: without a date nothing is scheduled for later.
SKIPPED_METHODS = {"account.move": {"_is_notification_scheduled"}}
#: {attribute of invoices: the value that it is written for}
POSTING_ATTRIBUTES = {"_mail_flat_thread": True, "_mail_thread_customer": False}

#: Links of which nearly each new invoice has one of its own: their companies are compared.
OWN_LINKS = ("commercial_partner_id", "partner_id", "partner_shipping_id")


def get_of_each_kind(records):
    """Return one record of each kind for ``_check_company``: the same company, the same links."""
    # the company of an item is that of its invoice
    names = [
        name
        for name, field in records._fields.items()
        if field.relational and field.check_company and name != "move_id"
    ]
    return get_of_each(records, ("company_id", *names))


def get_of_each(records, names):
    """Return one of the records that agree in what these fields link to."""
    # sudo: as checks do
    columns = [_get_links(records.sudo(), name) for name in names]
    kinds = {}
    for id_, *kind in zip(records._ids, *columns, strict=True):
        kinds.setdefault(tuple(kind), id_)
    return records.browse(kinds.values())


def _get_links(records, name):
    """Return, for each of these records, what it links to: of links of its own their company."""
    field = records._fields[name]
    cache = field._get_cache(records.env)
    if any(id_ not in cache for id_ in records._ids):
        records.mapped(name)  # read together
    links = [cache[id_] for id_ in records._ids]
    if name not in OWN_LINKS:
        return links
    owners = records.env[field.comodel_name].browse({link for link in links if link})
    companies = {owner.id: owner.company_id.id for owner in owners}
    return [companies.get(link) for link in links]


def protect(model, data_list, names):
    """Keep these fields from being computed on records that are created with them."""
    known = {name: model._fields[name] for name in names}
    for data in data_list:
        data["protected"].update(field for name, field in known.items() if name in data["stored"])
