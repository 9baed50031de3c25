from contextlib import contextmanager, nullcontext

from psycopg2.errors import UniqueViolation

from odoo import api, models
from odoo.addons.invoice_run.advisory_locks import NUMBERS
from odoo.tools import SQL

from .. import core
from ..bulk import CONFIRMED, check_unchanged, creating, is_bulk, is_creating
from ..bypassed import (
    CONFIRMED_COMPUTES,
    CONFIRMED_INVERSES,
    MOVE_COMPUTES,
    MOVE_INVERSES,
    get_of_each,
    get_of_each_kind,
    protect,
)
from ..environments import environments_kept
from ..numbering import NotAtOnceError, number_invoices

#: How many numbers one query checks; a chunk takes fewer.
NUMBERS_PER_QUERY = 500
#: What sending writes, see ``account.move.send``.
SENDING_VALUES = {"access_token", "is_move_sent", "message_main_attachment_id", "sending_data"}
#: What confirming does not change, though Odoo's fields say that it could. The due date is computed
#: again: somebody may have changed that of a draft.
AMOUNT_COMPUTES = ("_compute_amount",)


class AccountMove(models.Model):
    _name = "account.move"
    _inherit = ["account.move", "invoice.run.bulk.mixin"]

    def _is_created_in_bulk(self):
        return is_creating(self.env)

    def _is_created_confirmed(self):
        return is_creating(self.env, CONFIRMED)

    @api.model_create_multi
    def create(self, vals_list):
        # EXTENDS 'account': invoices that others create meanwhile are their own
        if is_bulk(self.env) and not all("always_tax_exigible" in vals for vals in vals_list):
            self = self.with_context(invoice_run_bulk=None, mail_create_nolog=False)
        return super().create(vals_list)

    @contextmanager
    def _check_balanced(self, container):
        # EXTENDS 'account': which is around all that `create` does, and for it without records
        is_new = is_bulk(self.env) and not self
        with creating(self.env) if is_new else nullcontext(), super()._check_balanced(container):
            yield

    @contextmanager
    def _sync_dynamic_lines(self, container):
        # EXTENDS 'account': all items are there already
        if self._is_created_in_bulk():
            with self._disable_recursion(container, "skip_invoice_sync"):
                yield
            return
        with super()._sync_dynamic_lines(container):
            yield

    def _check_company(self, fnames=None):
        # EXTENDS 'base': of new invoices that link to the same records one is checked
        if fnames is None and self._is_created_in_bulk():
            self = get_of_each_kind(self)
        return super()._check_company(fnames)

    def _add_precomputed_values(self, vals_list):
        # EXTENDS 'base': items created in bulk have what inverse methods would hand on to them
        result = super()._add_precomputed_values(vals_list)
        if self._is_created_confirmed():
            self._add_confirmed_values(vals_list)
        if self._is_created_in_bulk():
            self._add_teams(vals_list)
            inverses = CONFIRMED_INVERSES if self._is_created_confirmed() else {}
            known = {self._fields[name] for name in {**MOVE_INVERSES, **inverses}}
            for vals in vals_list:
                vals["__precomputed__"] = known.union(vals.get("__precomputed__", ()))
        return result

    def _add_teams(self, vals_list):
        """Complete the values by the sales team where it depends on the salesperson alone.

        Not sooner: the followers of a team that somebody chose would follow the invoice.
        """
        field = self._fields.get("team_id")
        if field is None or self.pool.field_depends[field] != ("invoice_user_id",):
            return
        teams = {}
        for vals in vals_list:
            names = ("company_id", "invoice_user_id", "move_type")
            kind = tuple((name, vals[name]) for name in names if name in vals)
            if kind not in teams:
                teams[kind] = self.new(dict(kind)).team_id.id
            vals["team_id"] = teams[kind]

    def _add_confirmed_values(self, vals_list):
        """Complete the values of new invoices by those that confirming gives them."""
        number_invoices(self, vals_list)
        journals = self.env["account.journal"].browse({vals["journal_id"] for vals in vals_list})
        # other references may need the id of the invoice
        named = journals.filtered_domain(
            [("invoice_reference_type", "=", "invoice"), ("invoice_reference_model", "=", "odoo")]
        )
        common = {
            "state": "posted",
            "posted_before": True,
            "made_sequence_gap": False,
            "checked": self._is_user_able_to_review(),
        }
        for vals in vals_list:
            vals.update(common)
            if vals["journal_id"] in named._ids and vals["move_type"] == "out_invoice":
                vals["payment_reference"] = vals["name"]

    def _create(self, data_list):
        # EXTENDS 'base': what creation in bulk knows is not computed again
        if self._is_created_in_bulk():
            protect(self, data_list, {**MOVE_COMPUTES, **CONFIRMED_COMPUTES, "team_id": None})
        try:
            return super()._create(data_list)
        except UniqueViolation as error:
            number = self._unique_name.full_name(self)
            if self._is_created_confirmed() and error.diag.constraint_name == number:
                raise NotAtOnceError from error  # somebody took one of the numbers
            raise

    def _compute_tax_country_id(self):
        # EXTENDS 'account': a constraint calls this, which would write on new invoices as users do
        if not self._is_created_in_bulk():
            return super()._compute_tax_country_id()
        with self.env.protecting([self._fields["tax_country_id"]], self):
            return super()._compute_tax_country_id()

    def _compute_reconciled_payment_ids(self):
        # EXTENDS 'account': nobody can have paid a new invoice
        if self._is_created_in_bulk():
            self.reconciled_payment_ids = False
            return
        super()._compute_reconciled_payment_ids()

    def _constrains_date_sequence(self):
        # EXTENDS 'account': the numbers of one sequence and day have one format
        if self._is_created_confirmed():
            kinds = self.grouped(lambda move: (move.journal_id, move.date, move.move_type))
            self = self.union(*(moves[0] for moves in kinds.values()))
        return super()._constrains_date_sequence()

    # ------------------------------------------------------------------
    # Confirmation
    # ------------------------------------------------------------------

    @contextmanager
    def _posting_together(self, journals):
        """Within this, what Odoo looks up and writes for each confirmed invoice is shared.

        :param journals: those in which invoices are confirmed
        """
        ranks = {}
        data = self.env.cr.precommit.data
        data["invoice_run.ranks"] = ranks
        data["invoice_run.locks"] = {}
        if self.env["invoice.run.bulk"]._is_numbering_known(journals):
            data["invoice_run.formats"] = {}
        try:
            with environments_kept(self):
                yield
        finally:
            # gone already where somebody's override opened a savepoint
            for name in ("ranks", "locks", "formats"):
                data.pop(f"invoice_run.{name}", None)
        self.env["res.partner"]._increase_ranks(ranks)

    def _finish_confirmed(self):
        """Do what ``account.move._post`` does beside the state and the number.

        Its checks that Odoo makes here too raise its own errors.

        :raises NotAtOnceError: Odoo refuses to confirm one of these, and says why
        """
        self = self.with_context(skip_is_manually_modified=True)
        if any(move._is_confirmed_by_odoo() for move in self):
            raise NotAtOnceError
        kinds = self.grouped(lambda move: (move.company_id, move.journal_id, move.date))
        self.union(*(moves[0] for moves in kinds.values()))._check_fiscal_lock_dates()
        lines = self.line_ids
        names = ("account_id", "journal_id", "currency_id", "company_currency_id")
        invoiced = lines.filtered(lambda line: line.account_id)
        get_of_each(invoiced, names)._check_constrains_account_id_journal_id()
        # Odoo asks for mandatory plans where the context says so
        is_asked = self.env.context.get("validate_analytic")
        (lines if is_asked else lines.filtered("analytic_distribution"))._create_analytic_lines()
        self._complete_payment_references()
        self.filtered(lambda move: move.currency_id.is_zero(move.amount_total))._invoice_paid_hook()
        for partner, moves in self.grouped("partner_id").items():
            partners = partner | partner.commercial_partner_id
            partners._increase_rank("customer_rank", len(moves))

    def _is_confirmed_by_odoo(self):
        """Whether ``account.move._post`` would refuse this new invoice, or do more with it."""
        self.ensure_one()
        return (
            self.auto_post != "no"
            or self.quick_edit_total_amount
            or not self.currency_id.active
            or (self.partner_bank_id and not self.partner_bank_id.active)
        )

    def _complete_payment_references(self):
        """Have the references computed that were not known before, and the names of terms."""
        unknown = self.filtered(
            lambda move: (
                not move.payment_reference or len(move.invoice_payment_term_id.line_ids) > 1
            )
        )
        unknown._compute_payment_reference()

    def write(self, vals):
        # EXTENDS 'account': to confirm or to send changes no amount: no item is looked at again,
        # and what was balanced still is; what others change in new invoices is Odoo's to work out
        check_unchanged(self.env, vals)
        if self._is_sent_in_batch() and SENDING_VALUES.issuperset(vals):
            self = self.with_context(skip_invoice_sync=True, check_move_validity=False)
        is_confirmed = set(vals) == {"state", "posted_before"}
        if not is_confirmed or not self.env.context.get("invoice_run_bulk_post"):
            return super().write(vals)
        moves = super(AccountMove, self.with_context(skip_invoice_sync=True))
        kept = self._get_fields_kept_at_post()
        # what still follows from a change of the draft
        self._recompute_recordset([field.name for field in kept])
        with self.env.protecting(kept, self):
            return moves.write(vals)

    def _is_sent_in_batch(self):
        return "invoice_run_batch" in self.env.context and core.is_as_read(self.env, core.SEND)

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
        see those of a worker that ended its chunk after it began.

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
