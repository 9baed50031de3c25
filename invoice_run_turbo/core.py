"""The methods of Odoo that this addon repeats or bypasses, as they were when they were read.

Where one of them differs in the Odoo that runs, this addon stands aside for the step that it
belongs to, and Odoo's own way is used. ``tests/test_core.py`` says what to do about it.
"""

import hashlib
import inspect
import logging
from typing import NamedTuple

from odoo import fields, models

from .found_once import found_once

_logger = logging.getLogger(__name__)

#: Where these methods are defined.
SOURCES = tuple(f"odoo.addons.{name}." for name in ("account", "analytic", "base", "mail"))
#: Steps that stand aside each for itself.
CREATE, CONFIRM, PRINT, SEND = STEPS = ("create", "confirm", "print", "send")
#: Confirming leaves out computations whose results creating already knows.
BUILDS_ON = {CONFIRM: {CREATE}}


class Repeated(NamedTuple):
    """A method of Odoo that is repeated, or that is known not to need a call."""

    step: str
    #: First digits of the SHA-256 of its source; several where several versions were read.
    hashes: tuple
    #: What repeats it.
    by: str


def _rows(step, model, **methods):
    return {
        f"{model}.{name}": Repeated(step, tuple(hashes.split()), by)
        for name, (hashes, by) in methods.items()
    }


def _convert(name, column, cache):
    """Return the rows of a class of fields whose values are converted by :mod:`columns`."""
    return _rows(
        CREATE,
        f"fields.{name}",
        convert_to_column=(column, "Column"),
        convert_to_cache=(cache, "Column"),
    )


#: {model.method: what repeats it}; ``fields`` stands for the classes of fields.
REPEATED = {
    **_rows(
        CREATE,
        "account.move",
        _compute_journal_id=("8c7705ac69271865", "InvoiceRunDocument._prepare_header_vals"),
        _compute_company_id=("23ed78cb05d14fc4", "InvoiceRunDocument._prepare_header_vals"),
        _compute_currency_id=("533a61ab8c53fd0a", "InvoiceRunDocument._prepare_header_vals"),
        _compute_invoice_payment_term_id=(
            "9a832fe0ee559f9b",
            "InvoiceRunDocument._prepare_header_vals",
        ),
        _compute_fiscal_position_id=("b5acc6bb56724fcb", "InvoiceRunDocument._prepare_header_vals"),
        _compute_date=("d5683fdd1effe17b", "BulkHead.prepare_move_vals"),
        _get_accounting_date_source=("0a2f9908fa632013", "BulkHead.prepare_move_vals"),
        _compute_delivery_date=("dfa8fdef227e6eea", "BulkHead.prepare_move_vals"),
        _compute_taxable_supply_date=("eaade3abb2cb59ec", "BulkHead.prepare_move_vals"),
        _compute_partner_shipping_id=("10bb6bbfa355f290", "BulkHead.prepare_move_vals"),
        _compute_invoice_currency_rate=("e289c8a3d7fdccf3", "BulkHead.prepare_move_vals"),
        _compute_expected_currency_rate=("e172be76f7d6996c", "BulkHead._get_rate"),
        _get_expected_currency_rate_at=("1a73016f679ba6ea", "BulkHead._get_rate"),
        _get_invoice_currency_rate_date=("d8e8103eac95992d", "BulkHead._get_rate"),
        _get_product_base_line_currency_rate=("87947dc85d925137", "BulkHead._get_rate"),
        _compute_direction_sign=("b87ca123a2f66f18", "BulkHead"),
        _compute_is_storno=("6ca0adf519472351", "InvoiceRunBulk._get_company_obstacles"),
        _get_discount_allocation_account=(
            "7b3ff58b5f54d1df",
            "InvoiceRunBulk._get_company_obstacles",
        ),
        _compute_always_tax_exigible=("873b1885963f3166", "InvoiceRunBulk._are_taxes_plain"),
        _prepare_product_base_line_for_taxes_computation=(
            "16fd0976026d7111",
            "InvoiceRunBulk._prepare_base_line",
        ),
        _get_rounded_base_and_tax_lines=("da692defdff65d91", "InvoiceRunBulk._get_tax_lines_vals"),
        _sync_tax_lines=("d72fb68d5b7f0427", "InvoiceRunBulk._get_tax_lines_vals"),
        _compute_amount=("766de5b24706582e", "InvoiceRunBulk._prepare_total_vals"),
        _compute_needed_terms=("fcda1e344c79c035", "InvoiceRunBulk._get_instalments"),
        _compute_commercial_partner_id=("5e438d92b1fb4832", "BulkHead.prepare_move_vals"),
        _compute_invoice_partner_display_info=("72820a472b45f47d", "BulkHead._prepare_name_vals"),
        _compute_payment_state=("2c2c6e295759db3b", "InvoiceRunBulk._prepare_total_vals"),
        _compute_reconciled_payment_ids=(
            "f318ab4fc3ecc04a",
            "AccountMove._compute_reconciled_payment_ids",
        ),
        _compute_invoice_date_due=("d9814fdeab32cbb5", "InvoiceRunBulk._prepare_move_vals"),
        _get_sync_stack=("613fa7acb73b221b", "InvoiceRunBulk._prepare_move_vals"),
        _recompute_cash_rounding_lines=("88392747d0829310", "InvoiceRunBulk._prepare_move_vals"),
        _sync_dynamic_line=("69aae9f3fc82e266", "InvoiceRunBulk._prepare_move_vals"),
        _sync_dynamic_line_needed_values=("8d7afa9a2f5c3b79", "InvoiceRunBulk._prepare_move_vals"),
        _sync_dynamic_lines=("493ab6aafc8ea43b", "InvoiceRunBulk._prepare_move_vals"),
        _sync_invoice=("8944037bb156bc4b", "InvoiceRunBulk._prepare_move_vals"),
        _sync_non_deductible_base_lines=("f8b703f5507d779e", "InvoiceRunBulk._prepare_move_vals"),
        _sync_rounding_lines=("12117008bdc4abdc", "InvoiceRunBulk._prepare_move_vals"),
        _sync_unbalanced_lines=("78a467a24941ae6d", "InvoiceRunBulk._prepare_move_vals"),
        _inverse_company_id=("57aede2aefa83b54", "AccountMove._add_precomputed_values"),
        _inverse_currency_id=("a339dd129a6aa88e", "AccountMove._add_precomputed_values"),
        _inverse_journal_id=("75facac2543abdfd", "AccountMove._add_precomputed_values"),
        _inverse_partner_id=("ac363cdbf9926726", "AccountMove._add_precomputed_values"),
        _creation_message=("bd5d6b6a3033b051", "AccountMove._log_created"),
        _creation_subtype=("2accb916d433fe14", "AccountMove._log_created"),
        _message_post_after_hook=("5f6191feace97d44", "AccountMove._log_created"),
        _compute_tax_country_id=("c75d6182512a3a49", "AccountMove._compute_tax_country_id"),
        create=("ad4c7eb555ec88a6", "AccountMove._check_balanced"),
        _disable_recursion=("60bb75c0dcc3abeb", "AccountMove._sync_dynamic_lines"),
    ),
    **_rows(
        CREATE,
        "account.move.line",
        _compute_sequence=("46d5cc5b737bf10c", "BulkHead._prepare_line_vals"),
        _compute_name=("3272a9f687afb8e4", "BulkHead._prepare_line_vals"),
        _compute_currency_id=("a1df17b8abf30ade", "BulkHead._prepare_line_vals"),
        _compute_partner_id=("917f9b31fc9bfb26", "BulkHead._prepare_line_vals"),
        _compute_quantity=("38f229e00aa2c02f", "BulkHead._prepare_line_vals"),
        _compute_price_unit=("f1925536a07bc140", "BulkHead._prepare_line_vals"),
        _compute_product_uom_id=("9b3b9424ebb3300a", "BulkHead._prepare_line_vals"),
        _compute_tax_ids=("8830f803144565f4", "BulkHead._prepare_line_vals"),
        _compute_display_type=("66dd24d28bfe8476", "BulkHead._prepare_line_vals"),
        _compute_no_followup=("9ec74a507fb2d015", "BulkHead._prepare_line_vals"),
        _compute_is_storno=("7542d6f4d5ed5805", "InvoiceRunBulk._get_company_obstacles"),
        _compute_discount_allocation_needed=(
            "d77f6da415ddfffc",
            "InvoiceRunBulk._get_company_obstacles",
        ),
        _compute_analytic_distribution=("53fbd24ff049834e", "BulkCache.get_distribution"),
        _related_analytic_distribution=("e8d3622d30256438", "BulkCache.get_distribution"),
        _get_analytic_distribution_arguments=("a4d3819eac365818", "BulkCache.get_distribution"),
        _inverse_analytic_distribution=("5b65c31cb60e0b6e", "BulkCache.get_distribution"),
        _compute_account_id=("e3627c0401e84a19", "BulkHead.get_income_account"),
        _inverse_account_id=("de9a54be28dfff31", "BulkHead.get_income_account"),
        _compute_debit_credit=(
            "1f855e211687fd83",
            "AccountMoveLine._add_precomputed_values",
        ),
        _compute_balance=("36c23f6bf9aabd60", "InvoiceRunBulk._get_amounts"),
        _compute_amount_currency=("62daf13a5d3a78df", "InvoiceRunBulk._get_amounts"),
        _compute_amount_residual=("150f428489e4a02a", "InvoiceRunBulk._get_amounts"),
        _inverse_amount_currency=("5fa68994ec3946fb", "InvoiceRunBulk._get_amounts"),
        _compute_totals=("de1f0f54126d2f28", "InvoiceRunBulk._get_tax_lines_vals"),
        _compute_epd_needed=("fcf18251b4e872f1", "InvoiceRunBulk._get_bulk_obstacles"),
        _compute_term_key=("11461724962b73d2", "InvoiceRunBulk._get_term_lines_vals"),
        _check_caba_non_caba_shared_tags=(
            "cec29276d6f4f8ed",
            "AccountMoveLine._check_caba_non_caba_shared_tags",
        ),
        _add_precomputed_values=("d495b7706a93e04f", "AccountMoveLine._add_precomputed_values"),
        _inverse_no_followup=("202687936fb4a8cb", "AccountMoveLine._add_precomputed_values"),
        _inverse_partner_id=("29c169057f5e5238", "AccountMoveLine._add_precomputed_values"),
        _inverse_product_id=("f47740a6fd2ea5ea", "AccountMoveLine._add_precomputed_values"),
        _sync_invoice=("b876caf4f9088f64", "AccountMoveLine._add_precomputed_values"),
    ),
    **_rows(
        CREATE,
        "account.tax",
        _get_base_line_field_value_from_record=(
            "2b1ec13aafd74a60",
            "InvoiceRunBulk._prepare_base_line",
        ),
        _prepare_base_line_for_taxes_computation=(
            "b4bd6763c52154b9",
            "InvoiceRunBulk._prepare_base_line",
        ),
        _prepare_base_line_grouping_key=("53fc9300e8d24fbd", "InvoiceRunBulk._get_tax_lines_vals"),
        _prepare_base_line_tax_repartition_grouping_key=(
            "7d3f94fd87ca47d3",
            "InvoiceRunBulk._get_tax_lines_vals",
        ),
    ),
    **_rows(
        CREATE,
        "account.tax",
        _add_tax_details_in_base_line=("85175430e6a147a7", "PlainLine"),
        _get_tax_details=("c64c50facbb9cfbf", "PlainLine"),
        _propagate_extra_taxes_base=("75068da0a1d357ab", "plain_taxes._is_plain"),
        _eval_tax_amount_fixed_amount=("da7d8832e2b259c4", "plain_taxes._is_plain"),
        _eval_tax_amount_price_excluded=("f2bd79b759fe5e7b", "PlainLine"),
        _aggregate_base_line_tax_details=("0bd1a98c7db8493b", "plain_taxes.compute"),
        _aggregate_base_lines_aggregated_values=("6f2d0187825894e6", "plain_taxes.compute"),
        _round_base_lines_tax_details=("2fc397bfd7568d3e", "plain_taxes.compute"),
        _round_tax_details_tax_amounts=("30925be4fa539849", "plain_taxes._round_together"),
        _round_tax_details_base_lines=("4a6e07b19b399bdf", "plain_taxes._round_untaxed"),
        _distribute_delta_amount_smoothly=("564c0224d00caac4", "Rounding.distribute"),
        _add_accounting_data_to_base_line_tax_details=("e451f23bff87f8bb", "TaxForm"),
        _prepare_tax_lines=("0983539426559b55", "TaxForm.fill"),
        _get_tax_totals_summary=("975569dd6d3eb296", "plain_taxes.get_totals"),
    ),
    **_rows(
        CREATE,
        "mail.thread",
        create=("c36b46f3dc80c243", "AccountMove._log_created"),
        message_post=("08e7554d9529e210", "AccountMove._create_messages"),
        _message_create=("388f66851ca8cb11", "AccountMove._create_messages"),
        _notify_thread=("e415114e509c26e5", "AccountMove._create_messages"),
        _notify_get_recipients=("eb238045b2ef3b57", "AccountMove._create_messages"),
    ),
    **_rows(
        CREATE,
        "res.partner",
        _check_company_domain=("ca50ef306eb7cc3c", "bypassed.get_of_each_kind"),
    ),
    **_rows(
        CREATE,
        "base",
        _check_company=("d35fd2236a55f421", "bypassed.get_of_each_kind"),
        create=("bf23d879fc3da7cc", "InvoiceRunBulkMixin._create"),
        _create=("499c68926c3de592", "InvoiceRunBulkMixin._create"),
        _add_precomputed_values=("d495b7706a93e04f", "InvoiceRunBulkMixin._create"),
        _flush=("27e3f20b3db9c01a", "InvoiceRunBulkMixin._flush"),
        flush_model=("df08b620bb70327a", "InvoiceRunBulkMixin._flush"),
        flush_recordset=("420a05e4b5e5e787", "InvoiceRunBulkMixin._flush"),
        _write_multi=("04bb904caad39325", "InvoiceRunBulkMixin._flush"),
        exists=("caba8f857fc34571", "InvoiceRunBulkMixin.exists"),
        _search=("3ffd62cfaea5c767", "InvoiceRunBulkMixin._search"),
        _fetch_query=("170620bf859f1ddf", "InvoiceRunBulkMixin._fetch_query"),
        lock_for_update=("cfe4ee0fdab38fc9", "InvoiceRunBulkMixin.lock_for_update"),
        try_lock_for_update=("ae5f093e2165d72e", "InvoiceRunBulkMixin.try_lock_for_update"),
        default_get=("d9350872d9dbd2fa", "InvoiceRunBulkMixin.default_get"),
        _prepare_create_values=("9755ba8934b962de", "AccountMove._add_precomputed_values"),
        _add_missing_default_values=(
            "525a584fccf3f7cd",
            "InvoiceRunBulkMixin._add_missing_default_values",
        ),
    ),
    **_rows(
        CREATE,
        "fields.Monetary",
        convert_to_column_insert=("08a60b41a3d181cc", "InvoiceRunBulkMixin.new"),
        convert_to_cache=("c9db10be0bf04126", "MonetaryColumn"),
    ),
    # values of these are converted once: nothing but the value decides
    **_rows(
        CREATE,
        "fields.Field",
        convert_to_column=("5515b09c8c36ea09", "Column"),
        convert_to_column_insert=("4eedc37a9035bddf", "Column"),
        convert_to_cache=("c74fb9f3d3a6231a", "Column"),
        _update_cache=("b735270804c3d449", "Column.fill_cache"),
        get_column_update=("20a0280646f2eb69", "InvoiceRunBulkMixin._flush"),
        _setup_attrs__=("e4f7baad97d787ea", "invoice_run_bulk_mixin._is_made"),
    ),
    **_convert("Html", "2d5335221ebb0e86", "6b64a3296b587c2a"),
    **_rows(CREATE, "fields.Html", _convert=("3a66e361e1d060f5", "HtmlColumn")),
    **_rows(CREATE, "fields.Char", convert_to_column_insert=("b79d9651a31642d6", "Column")),
    **_convert("Boolean", "866161de2f577f52", "894e9e65b490458d"),
    **_convert("Char", "1b543ddaeaf5e161", "fa06cf749e967e5c"),
    **_convert("Date", "0f6b8b45aedf20ff", "bb8a6044a6d5d85e"),
    **_convert("Datetime", "0f6b8b45aedf20ff", "a397130420b74499"),
    **_convert("Float", "454c63c970788c52", "832b00c77da0e294"),
    **_convert("Integer", "932beb41d47befb3", "594f200b9a166c03"),
    **_convert("Many2one", "666a1d8b25f6b685", "54dbb49d1b90eed9"),
    **_convert("Many2oneReference", "932beb41d47befb3", "f9b8b9917a7ed2a6"),
    **_convert("Selection", "cbf8337200797353", "dae0f21eac9c6e5e"),
    **_convert("Text", "1b543ddaeaf5e161", "fa06cf749e967e5c"),
    **_rows(
        CREATE,
        "fields.Many2one",
        _update_inverses=("c57c57aa3c88c35c", "Insert._update_inverses"),
    ),
    **_rows(CREATE, "fields.Many2many", write_real=("23db47347c4a290f", "links.get_links")),
    **_rows(
        CREATE,
        "fields.Many2oneReference",
        _update_inverses=("1dfd5fc41daba0a1", "Insert._update_inverses"),
        _record_ids_per_res_model=("f69fe37107f89374", "Insert._update_inverses"),
    ),
    **_rows(
        CONFIRM,
        "account.move.line",
        create=("1647c6cb1f0db1de", "AccountMoveLine.create"),
        _check_constrains_account_id_journal_id=(
            "7dfe858779160180",
            "AccountMove._finish_confirmed",
        ),
        _check_tax_lock_date=("97de196c161fe288", "AccountMoveLine._check_tax_lock_date"),
        _reconcile_marked=("7d75d62fce7e0034", "AccountMove._finish_confirmed"),
    ),
    **_rows(
        CONFIRM,
        "account.move",
        _post=("b405c232d2a57f5f", "AccountMove.write"),
        write=("dc5d5360e82f3907", "AccountMove.write"),
        _get_next_sequence_format=("c60f0d82919eebcd", "AccountMove._get_next_sequence_format"),
        _get_last_sequence=("633a3d7f7bb0e705", "AccountMove._get_next_sequence_format"),
        _get_last_sequence_domain=("6b2396dc96e0c439", "AccountMove._get_next_sequence_format"),
        _get_starting_sequence=("5fce68cd509a3281", "AccountMove._get_next_sequence_format"),
        _deduce_sequence_number_reset=("2f027abc13008ac0", "AccountMove._get_next_sequence_format"),
        _get_sequence_format_param=("55eff47c10e51bba", "AccountMove._get_next_sequence_format"),
        _get_sequence_cache=("fc0ced6f46c28e59", "AccountMove._get_next_sequence_format"),
        _set_next_sequence=("3640c804ca712082", "AccountMove._get_next_sequence_format"),
        # of invoices that are created as confirmed
        _compute_name=("b82522bda4f4d28a", "numbering.number_invoices"),
        _compute_split_sequence=("7ba26c3ddc106a33", "Sequence.take_number"),
        _locked_increment=("b2717f487010a9dc", "Sequence.take_number"),
        _compute_made_sequence_gap=("59f36252ef5af215", "AccountMove._add_confirmed_values"),
        _compute_payment_reference=("917217fba6cb0cfd", "AccountMove._add_confirmed_values"),
        _compute_checked=("5c15de8da94aedbb", "AccountMove._add_confirmed_values"),
        _get_invoice_computed_reference=("267987087431f4fa", "AccountMove._add_confirmed_values"),
        _get_invoice_reference_odoo_invoice=(
            "3c27ba6da574f682",
            "AccountMove._add_confirmed_values",
        ),
        _inverse_name=("95809beb028d77a2", "AccountMove._complete_payment_references"),
        _inverse_payment_reference=("e70ffd8a1e730c85", "AccountMove._complete_payment_references"),
        _inverse_invoice_payment_term_id=(
            "527ddb552d3b916e",
            "AccountMoveLine._get_bulk_term_name",
        ),
        _constrains_date_sequence=("f5a143fb5a398eca", "AccountMove._constrains_date_sequence"),
        _check_fiscal_lock_dates=("c5e677a41249d9f7", "AccountMove._finish_confirmed"),
        _hash_moves=("11071a2dbeba3a7f", "InvoiceRunBulk._get_confirming_obstacles"),
        _set_next_made_sequence_gap=("fc96685900558680", "AccountMove._finish_confirmed"),
        _synchronize_business_models=("51ed90602ab1ae0a", "AccountMove._finish_confirmed"),
    ),
    **_rows(
        CONFIRM,
        "res.company",
        _get_lock_date_violations=("abc809dd600d8119", "ResCompany._get_lock_date_violations"),
    ),
    **_rows(
        CONFIRM,
        "res.partner",
        _increase_rank=("c25e287e74158cb9", "ResPartner._increase_ranks"),
    ),
    **_rows(
        PRINT,
        "ir.actions.report",
        _render_qweb_pdf_prepare_streams=(
            "68f7c130471dcde3",
            "IrActionsReport._render_qweb_pdf_prepare_streams",
        ),
        _render_qweb_html=("5c4ac3a287e8e209", "IrActionsReport._render_qweb_pdf_prepare_streams"),
        _prepare_html=("3f20f7df7e34cb24", "IrActionsReport._render_qweb_pdf_prepare_streams"),
        _run_wkhtmltopdf=("ce20d268c369bbf2", "IrActionsReport._start_run_pdf"),
        _build_wkhtmltopdf_args=("de96b2c8441e6763", "IrActionsReport._start_run_pdf"),
    ),
    **_rows(
        SEND,
        "account.move.send",
        _get_default_mail_lang=("8219a75a66218f3b", "AccountMoveSend._render_in_batch"),
        _get_mail_default_field_value_from_template=(
            "a72329b95e4a4265",
            "AccountMoveSend._render_in_batch",
        ),
        _get_default_mail_template_id=("f309c6276e2311bb", "AccountMoveSend._render_in_batch"),
        _generate_and_send_invoices=("86192f77632992a3", "AccountMove.write"),
        _link_invoice_documents=("322b9329f2ba6822", "AccountMove.write"),
        _send_mail=("67c7d68927dfb931", "AccountMoveSend._prepare_post_arguments"),
        _send_mails=("387454b5dd60af44", "AccountMoveSend._post_mails"),
    ),
    **_rows(
        SEND,
        "mail.thread",
        _create_attachments_for_post=("6b2573a62f3f120a", "Posting._attach"),
        _is_notification_scheduled=("393a375424d7769e", "Posting._notify"),
        _message_compute_author=("60be0cc593f45824", "AccountMove._message_compute_author"),
        _message_compute_parent_id=("189fd4f34370f1eb", "Posting._get_parents"),
        _message_subscribe=("5ea00753badf6770", "Posting._subscribe_authors"),
        _notify_get_reply_to=("e99c28447d571ad6", "Posting._prepare_values"),
        _notify_thread_by_email=("a3f414924ca57f21", "Posting._queue_mails"),
        _process_attachments_for_post=("7917b6b6a660c08a", "Posting._attach"),
    ),
    **_rows(
        SEND,
        "mail.followers",
        _get_recipient_data=("2173372d829ec879", "Posting._get_recipient_data"),
    ),
    **_rows(SEND, "account.move", _check_balanced=("b41995836d116d8f", "AccountMove.write")),
    **_rows(
        SEND,
        "ir.qweb",
        _generate_code_uncached=("7b8749c5af11fbef", "IrQweb._generate_code_uncached"),
        _get_template_cache_keys=("e2cd18d970774fa8", "IrQweb._generate_code_uncached"),
    ),
    **_rows(
        SEND,
        "ir.mail_server",
        _get_default_bounce_address=(
            "b3d3204a951ca134",
            "IrMailServer._get_default_bounce_address",
        ),
    ),
    **_rows(
        SEND,
        "mail.mail",
        # its callback comes right before its commit
        _send=("db5f82b67dbcb1d7", "MailMail._send"),
        _postprocess_sent_message=("94e20d95ddf1a4df", "MailMail.unlink"),
        unlink=("a9772638ab65ad2b", "MailMail.unlink"),
    ),
}


def get_hash(env, name):
    """Return the hash of a method of Odoo; None where its source cannot be read.

    :param name: as in ``REPEATED``; of several parts of Odoo's core that define it all count
    """
    owner, _dot, method = name.rpartition(".")
    try:
        classes = _get_classes(env, owner, method)
        sources = [inspect.getsource(cls.__dict__[method]) for cls in classes]
    except (AttributeError, KeyError, OSError, TypeError):
        # the method is gone, or its source is
        return None
    text = "\n".join(sources)
    return hashlib.sha256(text.encode()).hexdigest()[:16] if sources else None


def _get_classes(env, owner, method):
    """Return the classes of Odoo's core that define ``method``."""
    if owner.startswith("fields."):
        classes = getattr(fields, owner.removeprefix("fields.")).__mro__
        return [cls for cls in classes if method in cls.__dict__][:1]
    if owner == "base":
        return [models.BaseModel]
    classes = [cls for cls in type(env[owner]).__mro__ if method in cls.__dict__]
    own = [cls for cls in classes if cls.__module__.startswith(SOURCES)]
    return own or [cls for cls in classes if cls is models.BaseModel]


@found_once
def get_changed(env):
    """Return {step: names of the methods that are not those that were read}."""
    changed = {}
    for name, repeated in REPEATED.items():
        if get_hash(env, name) not in repeated.hashes:
            changed.setdefault(repeated.step, []).append(name)
    return changed


def is_as_read(env, step):
    """Whether Odoo's methods behind ``step`` are those that were read."""
    steps = {step} | BUILDS_ON.get(step, set())
    return steps.isdisjoint(get_changed(env))


def warn(env):
    """Say in the log what stands aside, and why."""
    for step, names in get_changed(env).items():
        _logger.warning(
            "Invoice run: Odoo's own, slower way is used to %s: %s changed since the fast way was "
            "written. Look for a newer version of invoice_run_turbo.",
            " and ".join(other for other in STEPS if step in {other, *BUILDS_ON.get(other, ())}),
            ", ".join(names),
        )
