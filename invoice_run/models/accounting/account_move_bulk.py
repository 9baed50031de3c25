from collections import defaultdict

from markupsafe import Markup

from odoo import api, models
from odoo.tools import SQL

from ...advisory_locks import NUMBERS
from ...bulk import environments_kept

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
        "_compute_always_tax_exigible",
        "_compute_direction_sign",
        "_compute_expected_currency_rate",
        "_compute_is_storno",
        "_compute_needed_terms",
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


#: Numbers of which is asked at once whether they are taken; a chunk takes fewer.
NUMBERS_PER_QUERY = 500
#: Links of which nearly each new invoice has one of its own: their companies are compared.
OWN_LINKS = ("commercial_partner_id", "partner_id", "partner_shipping_id")
#: What sending writes, see ``account.move.send``.
SENDING_VALUES = {"is_move_sent", "message_main_attachment_id", "sending_data"}
#: What confirming does not change, though Odoo's fields say that it could.
AMOUNT_COMPUTES = ("_compute_amount", "_compute_needed_terms", "_compute_invoice_date_due")


class AccountMove(models.Model):
    _name = "account.move"
    _inherit = ["account.move", "invoice.run.bulk.mixin"]

    def _is_created_in_bulk(self):
        return bool(self.env.context.get("invoice_run_bulk"))

    def _check_company(self, fnames=None):
        # EXTENDS 'base': of new invoices that link to the same records one is checked
        if fnames is None and self.env.context.get("invoice_run_bulk"):
            self = _get_of_each_kind(self)
        return super()._check_company(fnames)

    def _add_precomputed_values(self, vals_list):
        # EXTENDS 'base': items made in bulk have what inverse methods would hand on to them
        result = super()._add_precomputed_values(vals_list)
        if self.env.context.get("invoice_run_bulk"):
            known = {self._fields[name] for name in MOVE_INVERSES}
            for vals in vals_list:
                vals["__precomputed__"] = known.union(vals.get("__precomputed__", ()))
        return result

    def _create(self, data_list):
        # EXTENDS 'base': what creation in bulk knows is not computed again
        if self.env.context.get("invoice_run_bulk"):
            _protect(self, data_list, MOVE_COMPUTES)
        return super()._create(data_list)

    # ------------------------------------------------------------------
    # Chatter
    # ------------------------------------------------------------------

    def _log_created(self):
        """Write the creation messages of these new invoices together.

        The same messages as of ``mail.thread.create``, which posts them one by one; so does
        this where somebody must be notified.
        """
        if {"mail_create_nolog", "tracking_disable"} & {
            key for key, value in self.env.context.items() if value
        }:
            return
        watched = self._get_watched()
        for move in watched:
            move._log_created_alone()
        # the others differ in nothing but what they are
        for moves in (self - watched).grouped("move_type").values():
            subtype = moves[0]._creation_subtype()
            if subtype:
                moves._create_messages(moves[0]._prepare_creation_message(subtype))
            else:
                body = moves[0]._creation_message()
                moves._message_log_batch(dict.fromkeys(moves.ids, body))

    def _log_created_alone(self):
        """Write the creation message of one invoice, as ``mail.thread.create`` does."""
        subtype = self._creation_subtype()
        if subtype:
            self.sudo().message_post(**self._prepare_creation_message(subtype))
        else:
            self._message_log_batch({self.id: self._creation_message()})

    def _get_watched(self):
        """Return the invoices whose creation message cannot be written with the others'."""
        methods = {self._name: CHATTER_METHODS}
        if any(self.env["invoice.run.bulk"]._get_overridden_methods(methods)):
            return self
        author = self.env.user.partner_id
        # sudo: followers and messages of invoices that the caller has just made
        followers = self.env["mail.followers"].sudo()
        domain = [("res_model", "=", self._name), ("res_id", "in", self.ids)]
        watched = followers.search([*domain, ("partner_id", "!=", author.id)]).mapped("res_id")
        messages = self.env["mail.message"].sudo()
        domain[0] = ("model", "=", self._name)
        return self.browse({*watched, *messages.search(domain).mapped("res_id")})

    def _prepare_creation_message(self, subtype):
        """Return what ``mail.thread.create`` hands to ``message_post``."""
        body = Markup('<div summary="o_mail_notification"><p>%s</p></div>')
        return {
            "subtype_id": subtype.id,
            "author_id": self.env.user.partner_id.id,
            "body": body % self._creation_message(),
        }

    def _create_messages(self, values):
        """Create a message on each of these records, as ``message_post`` would: nobody to notify.

        :param values: arguments of ``message_post``
        """
        records = self.sudo()._fallback_lang()
        author_id, email_from = records._message_compute_author(values["author_id"])
        domains = records._mail_get_alias_domains(default_company=self.env.company)
        companies = records._mail_get_companies(default=self.env.company)
        reply_to = records._notify_get_reply_to(default=email_from, author_id=author_id)
        common = {
            "email_add_signature": True,
            "author_guest_id": False,
            "email_from": email_from,
            "model": self._name,
            "message_type": "notification",
            "parent_id": False,
            "subject": False,
            "partner_ids": [],
            "incoming_email_to": False,
            "incoming_email_cc": False,
            "outgoing_email_to": False,
            "attachment_ids": [],
        }
        records._message_create(
            [
                {
                    **common,
                    **values,
                    "res_id": move.id,
                    "record_alias_domain_id": domains[move.id].id,
                    "record_company_id": companies[move.id].id,
                    "reply_to": reply_to[move.id],
                }
                for move in self
            ]
        )

    # ------------------------------------------------------------------
    # Confirmation
    # ------------------------------------------------------------------

    def _post_bulk(self):
        """Confirm these invoices, at most 1,000 in one batch: beyond it Odoo mixes the numbers."""
        ranks = {}
        data = self.env.cr.precommit.data
        data["invoice_run.ranks"] = ranks
        data["invoice_run.locks"] = {}
        if self.env["invoice.run.bulk"]._is_numbering_known(self.journal_id):
            data["invoice_run.formats"] = {}
        moves = self.with_context(invoice_run_bulk_post=True)
        try:
            with environments_kept(moves):
                # soft=False: a date in the future is meant, not to be waited for
                posted = moves._post(soft=False)
        finally:
            # gone already where somebody's override opened a savepoint
            for name in ("ranks", "locks", "formats"):
                data.pop(f"invoice_run.{name}", None)
        self.env["res.partner"]._increase_ranks(ranks)
        return posted.with_env(self.env)

    def write(self, vals):
        # EXTENDS 'account': to confirm or to send changes no amount: no item is looked at again
        if "invoice_run_batch" in self.env.context and SENDING_VALUES.issuperset(vals):
            self = self.with_context(skip_invoice_sync=True)
        is_confirmed = set(vals) == {"state", "posted_before"}
        if not is_confirmed or not self.env.context.get("invoice_run_bulk_post"):
            return super().write(vals)
        moves = super(AccountMove, self.with_context(skip_invoice_sync=True))
        with self.env.protecting(self._get_fields_kept_at_post(), self):
            return moves.write(vals)

    def _get_fields_kept_at_post(self):
        """Return the fields that follow from the state by their declaration, not by their value."""
        if self.env["invoice.run.bulk"]._get_unknown_overrides():
            return []
        return [field for field in self._fields.values() if field.compute in AMOUNT_COMPUTES]

    def _get_next_sequence_format(self):
        # EXTENDS 'account': once per journal, date and kind in one confirmation
        formats = self.env.cr.precommit.data.get("invoice_run.formats")
        if formats is None:
            return super()._get_next_sequence_format()
        key = (self.journal_id, self.date, self.move_type)
        if key in formats:
            text, values = formats[key]
            index = self._sequence_index and self[self._sequence_index]
            # beyond the first number Odoo counts on from its own cache
            if (text.format(**{**values, "seq": 0}), index) in self._get_sequence_cache():
                return text, dict(values)
        text, values = super()._get_next_sequence_format()
        values["seq"] = self._wait_for_numbers(text, values)
        formats[key] = text, dict(values)
        return text, values

    def _wait_for_numbers(self, text, values):
        """Return the last number that is taken, after waiting for others who give numbers.

        Odoo waits as well, but then tries one number after the other: this transaction does not
        see those of a worker who ended his chunk after it began.

        :param text: format of the numbers
        :param values: what is filled in; ``seq`` is the last number that this transaction sees
        """
        if not self.env["invoice.run"]._can_commit():
            return values["seq"]
        query = SQL("SELECT pg_advisory_xact_lock(%s)", NUMBERS + self.journal_id.id)
        self.env.execute_query(query)
        with self.env.registry.cursor() as cr:
            return self._get_last_number(cr, text, values)

    def _get_last_number(self, cr, text, values):
        """Return the last number after ``values["seq"]`` up to which all are taken.

        :param cr: cursor whose transaction began after the others ended theirs
        """
        last = values["seq"]
        while True:
            numbers = range(last + 1, last + 1 + NUMBERS_PER_QUERY)
            names = [text.format(**{**values, "seq": number}) for number in numbers]
            query = "SELECT name FROM account_move WHERE journal_id = %s AND name = ANY(%s)"
            cr.execute(query, [self.journal_id.id, names])
            taken = {name for (name,) in cr.fetchall()}
            free = (
                number for number, name in zip(numbers, names, strict=True) if name not in taken
            )
            last = next(free, last + NUMBERS_PER_QUERY + 1) - 1
            if last < numbers[-1]:
                return last


class ResCompany(models.Model):
    _inherit = "res.company"

    def _get_lock_date_violations(self, *args, **kwargs):
        # EXTENDS 'account': asked for each item and invoice that is confirmed, the same each time
        violations = self.env.cr.precommit.data.get("invoice_run.locks")
        if violations is None:
            return super()._get_lock_date_violations(*args, **kwargs)
        key = (self, self.env, args, *sorted(kwargs.items()))
        if key not in violations:
            violations[key] = super()._get_lock_date_violations(*args, **kwargs)
        return list(violations[key])


class ResPartner(models.Model):
    _inherit = "res.partner"

    def _increase_rank(self, field, n=1):
        # EXTENDS 'account': invoices confirmed together write the ranks together
        ranks = self.env.cr.precommit.data.get("invoice_run.ranks")
        if ranks is None:
            return super()._increase_rank(field, n)
        for partner in self:
            ranks[field, partner.id] = ranks.get((field, partner.id), 0) + n
        return None

    @api.model
    def _increase_ranks(self, ranks):
        """Increase ranks, {(field, partner id): by how much}, with few calls."""
        partners = defaultdict(list)
        for (field, partner_id), increase in ranks.items():
            partners[field, increase].append(partner_id)
        for (field, increase), ids in partners.items():
            # sudo: as in _increase_rank
            records = self.sudo().browse(ids)
            new = records.filtered(lambda partner, field=field: not partner[field])
            new.write({field: increase})
            (records - new)._increase_rank(field, increase)


class AccountMoveLine(models.Model):
    _name = "account.move.line"
    _inherit = ["account.move.line", "invoice.run.bulk.mixin"]

    def _is_created_in_bulk(self):
        return bool(self.env.context.get("invoice_run_bulk"))

    def _add_precomputed_values(self, vals_list):
        # EXTENDS 'base': creation in bulk has all values, but for those that follow from others
        if self.env.context.get("invoice_run_bulk"):
            known = {self._fields[name] for name in (*LINE_COMPUTES, "product_id")}
            for vals in vals_list:
                vals.update(self._prepare_bulk_precomputed_vals(vals))
                # no inverse method either: nothing was there before
                vals["__precomputed__"] = known
        return super()._add_precomputed_values(vals_list)

    def _prepare_bulk_precomputed_vals(self, vals):
        move = self.env["account.move"].browse(vals["move_id"])
        repartition = vals.get("tax_repartition_line_id")
        tax = self.env["account.tax.repartition.line"].browse(repartition or []).tax_id
        balance = vals["balance"]
        return {
            "journal_id": move.journal_id.id,
            "company_id": move.company_id.id,
            "company_currency_id": move.company_currency_id.id,
            "tax_line_id": tax.id,
            "tax_group_id": tax.tax_group_id.id,
            "debit": balance if balance > 0.0 else 0.0,
            "credit": -balance if balance < 0.0 else 0.0,
        }

    def _create(self, data_list):
        # EXTENDS 'base': what creation in bulk knows is not computed again
        if self.env.context.get("invoice_run_bulk"):
            _protect(self, data_list, LINE_COMPUTES)
        return super()._create(data_list)

    @api.constrains("tax_ids", "tax_repartition_line_id")
    def _check_caba_non_caba_shared_tags(self):
        # EXTENDS 'account': no tax of an invoice made in bulk is due on payment
        if self.env.context.get("invoice_run_bulk"):
            return
        super()._check_caba_non_caba_shared_tags()

    def _check_company(self, fnames=None):
        # EXTENDS 'base': of new items that link to the same records one is checked
        if fnames is None and self.env.context.get("invoice_run_bulk"):
            self = _get_of_each_kind(self)
        return super()._check_company(fnames)


def _get_of_each_kind(records):
    """Return one record of each kind for ``_check_company``: the same company, the same links."""
    # the company of an item is that of its invoice
    names = [
        name
        for name, field in records._fields.items()
        if field.relational and field.check_company and name != "move_id"
    ]

    def get_kind(record):
        # sudo: as the check does
        links = [record.sudo()[name] for name in names]
        pairs = zip(names, links, strict=True)
        ids = [(link.company_id if name in OWN_LINKS else link)._ids for name, link in pairs]
        return record.company_id.id, *ids

    kinds = records.grouped(get_kind).values()
    return records.browse(kind.ids[0] for kind in kinds)


def _protect(model, data_list, names):
    """Keep these fields from being computed on records that are created with them."""
    known = {name: model._fields[name] for name in names}
    for data in data_list:
        data["protected"].update(field for name, field in known.items() if name in data["stored"])
