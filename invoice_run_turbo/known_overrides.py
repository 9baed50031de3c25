"""Overrides, in other addons, of methods in ``bypassed.py``, and known to do no harm.

Read in Odoo's source, method by method: an addon that overrides one more of them is unknown again.
``devtools/tests/test_fast_path.py`` compares this list with the source of all addons of Odoo.
"""

from typing import NamedTuple

#: Addons whose methods are repeated, and our own.
CORE = frozenset({"account", "analytic", "base", "invoice_run", "invoice_run_turbo", "mail"})


class Known(NamedTuple):
    """Overrides of one addon that were read."""

    #: Methods, and fields that the addon adds or computes, as ``model.name``.
    names: frozenset
    #: Code of the country whose companies alone are concerned: theirs are created plainly.
    country: str | None = None
    #: Type of the invoices that alone are concerned; None: all.
    move_type: str | None = None
    #: Whether they decide on numbers, not on what is created.
    numbers: bool = False
    #: Whether they decide on what is done when invoices are confirmed.
    confirming: bool = False
    #: Value of invoices with which they have nothing to do.
    unless: str | None = None
    #: Boolean field of the journals that alone are concerned; None: all.
    journal_field: str | None = None


def _know(model, *names, **limits):
    return Known(frozenset(f"{model}.{name}" for name in names), **limits)


def _know_numbers(*names):
    return _know("account.move", *names, numbers=True, journal_field="l10n_latam_use_documents")


#: {addon: overrides that were read}
KNOWN_OVERRIDES = {
    # numbers debit notes apart: a run creates none
    "account_debit_note": [
        _know("account.move", "_get_last_sequence_domain", "_get_starting_sequence"),
    ],
    # entries and items with expenses; adds the expense to what keeps taxes apart: always none
    "hr_expense": [
        _know(
            "account.move",
            "_compute_commercial_partner_id",
            "_compute_needed_terms",
            "_creation_message",
            "_prepare_product_base_line_for_taxes_computation",
        ),
        _know("account.move.line", "_compute_partner_id", "_compute_totals"),
        _know(
            "account.tax",
            "_prepare_base_line_for_taxes_computation",
            "_prepare_base_line_grouping_key",
        ),
    ],
    # entries of the point of sale: its sessions, and orders that were reversed to be invoiced
    "point_of_sale": [
        _know(
            "account.move", "_compute_always_tax_exigible", "_compute_amount", "_compute_is_storno"
        ),
        _know("account.move.line", "_compute_name"),
    ],
    # vehicles of vendor bills; ``write`` when the vehicle is taken off an item
    "account_fleet": [_know("account.move", "_post")],
    # the analytic distribution of a purchase line: items of a run have none; messages that name
    # the purchase order
    "purchase": [
        _know("account.move", "create", "write"),
        _know("account.move.line", "_related_analytic_distribution"),
    ],
    # items for the cost of what was bought
    "purchase_stock": [_know("account.move", "_post")],
    # messages that carry a rating
    "rating": [_know("account.move", "_message_post_after_hook", "message_post")],
    # down payments and items of order lines: invoices of orders are created by Sales;
    # payments of its transactions, of which a new invoice has none
    "sale": [
        _know("account.move", "_post"),
        _know("account.move.line", "_compute_is_storno", "_related_analytic_distribution"),
    ],
    # items of order lines; else the project of the context, of which a job keeps none
    "sale_project": [_know("account.move.line", "_compute_analytic_distribution")],
    # the day on which an order was delivered
    "sale_stock": [_know("account.move", "_compute_delivery_date")],
    # messages sent as text messages; a creation message is a note, and an invoice goes by email
    "sms": [
        _know("account.move", "_notify_thread", "message_post"),
        _know("mail.followers", "_get_recipient_data"),
    ],
    # vendor bills, and items for the cost of goods, which come with the confirmation
    "stock_account": [
        _know("account.move", "_post"),
        _know("account.move.line", "_compute_account_id", "_inverse_product_id"),
    ],
    # --- localisations -------------------------------------------------------------------------
    # accounting date and rate of the day of the taxable supply
    "l10n_cz": [
        _know(
            "account.move",
            "_compute_date",
            "_compute_taxable_supply_date",
            "_get_invoice_currency_rate_date",
            country="CZ",
        ),
    ],
    # the day of the delivery: that of the invoice
    "l10n_de": [
        _know("account.move", "_post", confirming=True, country="DE", unless="delivery_date"),
    ],
    "l10n_hu": [
        _know("account.move", "_post", confirming=True, country="HU", unless="delivery_date"),
    ],
    # numbers with premises and device of the journal, counted by year
    "l10n_hr_edi": [
        _know(
            "account.move",
            "_deduce_sequence_number_reset",
            "_get_invoice_reference_odoo_invoice",
            "_get_sequence_format_param",
            "_post",
            numbers=True,
            country="HR",
        ),
    ],
    # rate of the day of the delivery
    "l10n_hu_edi": [
        _know(
            "account.move",
            "_compute_expected_currency_rate",
            "_get_invoice_currency_rate_date",
            country="HU",
        ),
    ],
    # place of supply, treatment and section of the tax return
    "l10n_in": [
        _know(
            "account.move",
            "_compute_fiscal_position_id",
            "_get_sync_stack",
            "l10n_in_gst_treatment",
            "l10n_in_state_id",
            country="IN",
        ),
        _know("account.tax", "_prepare_base_line_for_taxes_computation", country="IN"),
    ],
    # items of a cash rounding, which a run has none of
    "l10n_it_edi": [
        _know("account.move", "_prepare_product_base_line_for_taxes_computation"),
    ],
    # declarations of intent
    "l10n_it_edi_doi": [
        _know(
            "account.move",
            "_compute_fiscal_position_id",
            "l10n_it_edi_doi_id",
            country="IT",
        ),
    ],
    # local, export or development area
    "l10n_jo_edi": [_know("account.move", "l10n_jo_edi_invoice_type", country="JO")],
    # an income account of its own for credit notes
    "l10n_mx": [
        _know("account.move.line", "_compute_account_id", country="MX", move_type="out_refund"),
    ],
    # the day of the taxable supply where somebody filled it in: a run leaves it empty
    "l10n_pl": [
        _know("account.move", "_get_accounting_date_source", "_get_invoice_currency_rate_date"),
    ],
    # an income account of its own for credit notes
    "l10n_tr": [
        _know("account.move.line", "_compute_account_id", country="TR", move_type="out_refund"),
    ],
    # --- numbers by type of document, in the journals that use them ------------------------------
    "l10n_ar": [_know_numbers("_get_last_sequence_domain", "_get_starting_sequence", "_post")],
    "l10n_br": [_know_numbers("_get_last_sequence_domain")],
    "l10n_cl": [_know_numbers("_get_last_sequence_domain", "_get_starting_sequence", "_post")],
    "l10n_ec": [_know_numbers("_get_last_sequence_domain", "_get_starting_sequence")],
    "l10n_latam_invoice_document": [
        _know_numbers(
            "_compute_made_sequence_gap",
            "_compute_name",
            "_deduce_sequence_number_reset",
            "_get_last_sequence_domain",
            "_get_starting_sequence",
            "_post",
            "_set_next_made_sequence_gap",
        ),
    ],
    "l10n_uy": [_know_numbers("_get_last_sequence_domain", "_get_starting_sequence")],
}
#: Addons whose part in confirming was read and does something, whatever the invoice: theirs are
#: created as drafts, and Odoo confirms them.
CONFIRMED_BY_ODOO = {
    "account_edi",  # documents of the journal's formats
    "l10n_gcc_invoice",  # the terms in two languages
    "l10n_in",
    "l10n_in_edi",
    "l10n_it_edi",  # what the header of the electronic invoice says
    "l10n_it_edi_doi",  # whether declarations of intent are valid
    "l10n_jo_edi",
    "l10n_sa",  # the moment of the confirmation
    "l10n_tr_nilvera_einvoice",
    "l10n_vn_edi_viettel",
    "product_email_template",  # the mail of a product
}


def is_known(name, module):
    """Whether what ``module`` does to ``name``, as ``model.name``, was read."""
    known = KNOWN_OVERRIDES.get(module, ())
    return module in CORE or any(name in item.names for item in known)


def get_limited(modules, numbers=False, confirming=False):
    """Return [(module, Known)] of what concerns some documents only, of these modules.

    :param numbers: what decides on their numbers, instead of on what is created
    :param confirming: what decides on how they are confirmed
    """
    return [
        (module, item)
        for module in sorted(KNOWN_OVERRIDES.keys() & modules)
        for item in KNOWN_OVERRIDES[module]
        if (item.country or item.journal_field)
        and (item.numbers, item.confirming) == (numbers, confirming)
    ]
