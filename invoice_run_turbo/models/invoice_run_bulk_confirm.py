from collections import defaultdict

from odoo import api, fields, models

from .. import core
from ..bulk import CONFIRMED
from ..bypassed import CONFIRMED_METHODS, WATCHED
from ..found_once import found_once
from ..known_overrides import get_limited
from ..numbering import get_chunk


class InvoiceRunBulk(models.AbstractModel):
    """Creates invoices as confirmed: with number and state, so that no row is written twice.

    Odoo creates a draft and confirms it, which writes each invoice four times more and each of its
    items twice. Here the number is taken before the rows are inserted; what confirming does beside
    it follows in ``account.move._finish_confirmed``. Where something stands in the way, and where
    somebody else took one of the numbers, the invoices are created as drafts and confirmed.
    """

    _inherit = "invoice.run.bulk"

    @api.model
    def _create_confirmed(self, vals_list, cache):
        """Create invoices as confirmed, in this order; return them.

        :raises NotAtOnceError: Odoo must confirm them; what was done here must be rolled back
        """
        journals = self.env["account.journal"].browse({vals["journal_id"] for vals in vals_list})
        cache.kind = CONFIRMED
        with self.env["account.move"]._posting_together(journals):
            moves = self._create_bulk(vals_list, cache)
            moves._finish_confirmed()
        return moves

    @api.model
    def _are_confirmed_at_once(self, vals_list):
        """Whether all of these invoices are confirmed when they are created.

        Only all invoices of a chunk: numbers follow dates and references within it.
        """
        chunk = get_chunk(self.env)
        return (
            chunk is not None
            and chunk.count == len(vals_list)
            and (self.env.su or self.env.user.has_group("account.group_account_invoice"))
            and core.is_as_read(self.env, core.CONFIRM)
            and not self._get_confirming_overrides()
            and not self._is_confirming_patched()
            and not self._get_confirming_obstacles(vals_list)
        )

    @api.model
    @found_once
    def _get_confirming_overrides(self):
        """Return [(model.name, addon)] of what addons change in confirming that nobody read."""
        sources = self.env["invoice.run.source"]._get_sources()
        methods = {**CONFIRMED_METHODS, **{it._name: {"_create_run_moves"} for it in sources}}
        return list(self._get_overridden_methods(methods))

    @api.model
    def _is_confirming_patched(self):
        """Whether rules of Automations, or others, watch how invoices are created or written."""
        return any(
            self._is_patched(model, names) for model, names in CONFIRMED_METHODS.items()
        ) or any(
            self._is_patched(model, WATCHED) for model in ("account.move", "account.move.line")
        )

    @api.model
    def _get_confirming_obstacles(self, vals_list):
        """Return what these invoices need that only Odoo's confirming does, as short texts."""
        reasons = set()
        kinds = defaultdict(list)
        for vals in vals_list:
            kinds[vals["company_id"], vals["journal_id"], vals["invoice_date"]].append(vals)
            reasons |= self._get_line_reasons([command[2] for command in vals["invoice_line_ids"]])
        journals = self.env["account.journal"].browse({journal for _c, journal, _d in kinds})
        # the format of a number may be that of an earlier date, whose rows are not inserted yet
        days = {(journal, date) for _c, journal, date in kinds}
        if not self._is_numbering_known(journals) or len(days) > len(journals):
            reasons.add("numbers")
        for (company_id, journal_id, date), same in kinds.items():
            company = self.env["res.company"].browse(company_id)
            journal = journals.browse(journal_id)
            day = fields.Date.to_date(date)
            if journal.restrict_mode_hash_table or not journal.active:
                reasons.add("journal")
            if company._get_violated_lock_dates(day, True, journal):
                reasons.add("lock dates")
            reasons |= self._get_country_reasons(company, same)
        return reasons

    def _get_line_reasons(self, lines):
        """Return what invoice lines of these values need that only Odoo's confirming does."""
        if any(line.get("billing_credited_line_id") for line in lines):
            return {"credits of other invoices"}
        ids = {line["product_id"] for line in lines if line.get("product_id")}
        products = self.env["product.product"].browse(ids)
        if "is_storable" in products._fields and any(products.mapped("is_storable")):
            return {"cost of goods"}
        return set()

    def _get_country_reasons(self, company, vals_list):
        """Return the localisations that have something to do when these are confirmed."""
        countries = self._get_country_codes(company)
        return {
            module
            for module, known in get_limited(self.env.registry._init_modules, confirming=True)
            if known.country in countries and not all(vals.get(known.unless) for vals in vals_list)
        }
