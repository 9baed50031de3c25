import psycopg2

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain

from ..base.states import DOCUMENT_OPEN


class InvoiceRunLine(models.Model):
    """One amount of a run, and the claim on its period.

    While ``is_claimed``, PostgreSQL refuses any other claimed line on one of the same days
    of the same price line, or on the same usage item. ``is_claimed`` is written where amounts are
    created, by :meth:`_claim` and :meth:`_release`, and where a correction takes days over.
    """

    _name = "invoice.run.line"
    _description = "Amount to Invoice"
    _inherit = ["invoice.run.guarded", "analytic.mixin"]
    # by id, which an index sorts without reading the documents
    _order = "document_id.id, sequence, id"
    _check_company_auto = True
    _is_engine_model = True

    run_id = fields.Many2one("invoice.run", required=True, ondelete="restrict")
    document_id = fields.Many2one(
        "invoice.run.document", required=True, index=True, ondelete="cascade"
    )
    company_id = fields.Many2one("res.company", required=True, index=True)
    currency_id = fields.Many2one(related="document_id.currency_id")
    partner_id = fields.Many2one(related="document_id.partner_id")
    sequence = fields.Integer(default=10)
    contract_id = fields.Many2one("billing.contract", index="btree_not_null", ondelete="restrict")
    contract_line_id = fields.Many2one(
        "billing.contract.line", index="btree_not_null", ondelete="restrict"
    )
    usage_id = fields.Many2one("billing.usage", index="btree_not_null", ondelete="restrict")
    product_id = fields.Many2one("product.product")
    name = fields.Text("Description", required=True)
    period_from = fields.Date("Claimed From", help="First claimed day, included.")
    period_to = fields.Date("Claimed To", help="Last claimed day, included.")
    billing_date_from = fields.Date("From", help="First day that the invoice shows, included.")
    billing_date_to = fields.Date("To", help="Last day that the invoice shows, included.")
    quantity = fields.Float(digits="Product Unit", required=True)
    product_uom_id = fields.Many2one("uom.uom", "Unit")
    price_unit = fields.Float(
        "Price", min_display_digits="Product Price", required=True, aggregator="avg"
    )
    discount = fields.Float("Discount %", digits="Discount", aggregator="avg")
    tax_ids = fields.Many2many("account.tax", string="Taxes", context={"active_test": False})
    amount = fields.Monetary(help="After discount, including taxes that are included in the price.")
    amount_untaxed = fields.Monetary("Untaxed Amount")
    net_price = fields.Float(
        digits=False, help="Price of one unit of time for the whole quantity, after discount."
    )
    extra_tax_data = fields.Json(help="Taxes of a down payment, as Odoo keeps them.")
    is_claimed = fields.Boolean(
        "Claimed", readonly=True, help="No other run can invoice the same days or item."
    )
    is_released = fields.Boolean("Released", compute="_compute_is_released")
    move_line_ids = fields.One2many("account.move.line", "invoice_run_line_id", "Invoice Lines")

    _run_document_idx = models.Index("(run_id, document_id, sequence, id)")
    _period_complete = models.Constraint(
        """CHECK (
            contract_line_id IS NULL OR (period_from IS NOT NULL AND period_to >= period_from)
        )""",
        "An amount of a contract needs a period whose end is not before its start.",
    )
    _period_claimed_once = models.Constraint(
        """EXCLUDE USING gist (
            int8range(
                contract_line_id::int8 * 1000000 + (period_from - DATE '1900-01-01')
                    + COALESCE(late_number, 0)::int8 * 1000000000000000,
                contract_line_id::int8 * 1000000 + (period_to - DATE '1900-01-01')
                    + COALESCE(late_number, 0)::int8 * 1000000000000000,
                '[]'
            ) WITH &&
        ) WHERE (is_claimed AND contract_line_id IS NOT NULL)""",
        "Some of these days are already invoiced, or claimed by another run.",
    )
    _usage_claimed_once = models.UniqueIndex(
        "(usage_id) WHERE is_claimed AND usage_id IS NOT NULL",
        "This usage item is already invoiced, or claimed by another run.",
    )

    def init(self):
        # EXTENDS 'analytic': the untaxed amount is written after the others; where there is room
        # for it on the same page, no index has to know
        self.env.cr.execute("ALTER TABLE invoice_run_line SET (fillfactor = 50)")
        return super().init()

    @api.depends("is_claimed")
    def _compute_is_released(self):
        for line in self:
            follows = line._get_source()._source_follows_invoices
            line.is_released = not line.is_claimed and not follows

    @api.ondelete(at_uninstall=False)
    def _unlink_except_invoiced(self):
        if self.document_id.filtered("move_id"):
            raise UserError(
                self.env._(
                    "Amounts that are on an invoice cannot be deleted. "
                    "Delete or reverse the invoice instead."
                )
            )

    def _claim(self):
        """Claim the periods and items of these lines, in an order that cannot deadlock.

        :raises UserError: somebody else claims one of them; names the run or invoice
        """
        corrections = self.filtered("corrects_id")
        corrections._claim_corrections()
        lines = (self - corrections).filtered(lambda line: not line.is_claimed)
        if not lines:
            return
        lines = lines.sorted(lambda line: (*line._get_claimed_ids(), line.id))
        self.env.flush_all()
        try:
            with self.env.cr.savepoint():
                lines.write({"is_claimed": True})
                lines.flush_recordset(["is_claimed"])
                lines._follow_usage_claims(True)
        except psycopg2.IntegrityError as error:
            lines.invalidate_recordset(["is_claimed"])
            raise UserError(lines._get_claim_conflict_message()) from error
        lines._update_sources()
        # what was calculated meanwhile has not counted these
        lines._mark_sharing_stale()
        lines._update_unsettled()
        lines._follow_shortfalls(True)

    def _get_claimed_ids(self):
        """Return the ids of what this amount claims: claims are entered in their order."""
        names = self.env["invoice.run.source"]._get_claim_fields()
        return [self[name].id or 0 for name in names]

    def _release(self):
        """Release the periods and items of these lines: the next run proposes them again."""
        self.filtered("corrects_id")._release_corrections()
        lines = self.filtered(lambda line: line.is_claimed and not line.corrects_id)
        lines._check_not_superseded()
        lines.write({"is_claimed": False})
        # a claim that follows in the same transaction must not meet the old one
        lines.flush_recordset(["is_claimed"])
        lines._follow_usage_claims(False)
        lines._update_sources()
        lines._update_unsettled()
        lines._follow_shortfalls(False)
        # amounts that wait to be recalculated have marked the others already
        lines.filtered(lambda line: not line.is_stale)._mark_sharing_stale()

    def _note_invoiced(self):
        """Update the records of these amounts from their new invoices.

        For some sources the invoice itself holds from now on what was claimed.
        """
        followed = self.filtered(lambda line: line._get_source()._source_follows_invoices)
        followed._release()
        (self - followed)._update_sources()

    def _update_sources(self):
        """Update the records of these amounts after a change of claims or invoices."""
        for source in self._get_sources():
            self[source._source_record_field]._follow_claims()
        self._update_metered_usage()

    def _follow_invoices(self):
        """Follow a change of the invoices of these amounts: claims first, they say who is wrong."""
        self._sync_claims()
        self.move_line_ids.move_id._note_given_back()

    def _sync_claims(self):
        """Claim or release these amounts as their invoices say.

        An amount that was invoiced is claimed exactly while an invoice with it is in force,
        see ``account.move._is_billing``. Called after any change of such an invoice, so the
        order in which people delete, cancel, credit and reset does not matter.

        :raises UserError: a period that comes back was claimed by another amount meanwhile
        """
        followed = self.filtered(lambda line: line._get_source()._source_follows_invoices)
        # their records themselves know what is left of them
        followed.document_id._sync_state()
        (self - followed)._sync_held_claims()

    def _sync_held_claims(self):
        """Do as :meth:`_sync_claims`, for amounts whose claims last as long as their invoices."""
        billed = self.filtered(lambda line: line._is_billed())
        billed._check_billed_once()
        # what a correction cut or released stays so while the invoice is in force
        superseded = self.filtered("superseded_by_id")
        (superseded - billed)._check_not_superseded()
        billed -= superseded
        waiting = self.filtered(lambda line: line.document_id.state in DOCUMENT_OPEN)
        (self - billed - waiting - superseded)._release()
        billed._claim()
        self.document_id._sync_state()

    def _check_not_superseded(self):
        """Refuse to release an amount that was credited in part: the credit would refer to nothing.

        :raises UserError: names what must be undone first
        """
        superseded = self.filtered("superseded_by_id")
        if superseded:
            raise UserError(
                self.env._(
                    "%(what)s was credited in part by %(later)s. Undo that first.",
                    what=superseded[0]._get_reference(),
                    later=superseded[0].superseded_by_id._get_reference(),
                )
            )

    def _is_billed(self):
        return bool(self._get_billing_moves())

    def _get_billing_moves(self):
        """Return the invoices in force that this amount is on."""
        self.ensure_one()
        return self.move_line_ids.move_id.filtered(lambda move: move._is_billing())

    def _check_billed_once(self):
        """Refuse a second invoice of the same amount, as after "Reverse and create invoice".

        :raises UserError: names the two
        """
        for line in self:
            moves = line._get_billing_moves()
            if len(moves) > 1:
                raise UserError(
                    self.env._(
                        "“%(what)s” would be invoiced twice, by %(one)s and by %(other)s. Cancel "
                        "or delete one of them first.",
                        what=line.name,
                        one=moves[0].display_name,
                        other=moves[1].display_name,
                    )
                )

    def _get_conflicting_lines(self, until=None):
        """Return the claimed lines of others that stand in the way of these.

        :param until: last day, inclusive, that is to be claimed, where it is not the line's own
        """
        conflicts = self.browse()
        for line in self:
            domain = line._get_conflict_domain(until)
            domain &= Domain("is_claimed", "=", True) & Domain("id", "!=", line.id)
            conflicts |= self.search(domain)
        return conflicts - self

    def _get_conflict_domain(self, until=None):
        """Return the amounts that cannot be claimed at the same time as this one."""
        self.ensure_one()
        source = self._get_source()
        name = source._source_claim_field
        if not name or not self[name]:
            return Domain.FALSE
        domain = Domain(name, "=", self[name].id)
        if source._source_has_periods:
            domain &= Domain("period_from", "<=", until or self.period_to)
            domain &= Domain("period_to", ">=", self.period_from)
            domain &= Domain("late_number", "=", self.late_number)
        return domain

    def _get_source(self):
        """Return the source of this amount, as an empty recordset of its model.

        It is found by what the amount claims; where it claims nothing, by the record it belongs to.
        """
        self.ensure_one()
        for name, model_name in self.env["invoice.run.source"]._get_marks():
            if self[name]:
                return self.env[model_name]
        return self.env["invoice.run.source"]

    def _get_sources(self):
        """Return the sources of these amounts, in their order."""
        names = {line._get_source()._name for line in self}
        sources = self.env["invoice.run.source"]._get_sources()
        return [source for source in sources if source._name in names]

    def _get_source_record(self):
        """Return the record behind this amount that people look for: contract, order or item."""
        self.ensure_one()
        return self._get_source()._get_sought_record(self)

    def _get_whole(self):
        """Return these amounts, with all others on their documents that are invoiced with them."""
        result = self
        for source in self._get_sources():
            if source._source_is_billed_whole:
                name = source._source_record_field
                records = self[name]
                result |= self.document_id.line_ids.filtered(
                    lambda line, name=name, records=records: line[name] in records
                )
        return result

    def _is_in_force(self):
        """Whether this amount still has an invoice in force."""
        self.ensure_one()
        if self._get_source()._source_follows_invoices:
            # no claim is held any more once there is an invoice
            return self._is_billed()
        return self._is_held() or bool(self.superseded_by_id)

    def _get_booking_key(self):
        """Return what amounts must have in common to cancel each other out in the books."""
        self.ensure_one()
        distribution = tuple(sorted((self.analytic_distribution or {}).items()))
        return (self.product_id, self._get_booking_account(), self.tax_ids, distribution)

    def _get_extra_tax_data(self, sign):
        """Return the taxes that do not follow from price and quantity, for the tax engine."""
        if sign > 0:
            return self.extra_tax_data
        reverse = self.env["account.tax"]._reverse_quantity_base_line_extra_tax_data
        return reverse(self.extra_tax_data)

    def _get_claim_conflict_message(self, until=None):
        """Return a sentence that names what claims the periods of these lines.

        :param until: see :meth:`_get_conflicting_lines`
        """
        conflicts = self._get_conflicting_lines(until)
        if not conflicts:
            return self.env._(
                "Another run has just claimed one of these periods. Try again in a moment."
            )
        other = conflicts[0]
        return self.env._(
            "%(what)s, %(date_from)s – %(date_to)s, is already claimed by %(holder)s. "
            "Release it there first.",
            what=other.contract_id.name or other.name,
            date_from=other.billing_date_from,
            date_to=other.billing_date_to,
            holder=other.document_id.move_id.display_name or other.run_id.reference,
        )

    def _prepare_base_line(self, rate, sign=1):
        """Return the tax engine's base line, with the same values that the invoice line gets.

        :param rate: units of the document currency per unit of company currency
        :param sign: -1 on a credit note, whose lines show the opposite quantities
        """
        self.ensure_one()
        document = self.document_id
        return self.env["account.tax"]._prepare_base_line_for_taxes_computation(
            self,
            price_unit=self.price_unit,
            quantity=sign * self.quantity,
            discount=self.discount,
            tax_ids=self.tax_ids,
            currency_id=document.currency_id,
            partner_id=document.partner_id.commercial_partner_id,
            product_id=self.product_id,
            product_uom_id=self.product_uom_id,
            is_refund=sign < 0,
            rate=rate,
            name=self.name,
            extra_tax_data=self._get_extra_tax_data(sign),
        )

    def _prepare_move_line_vals(self, sign=1):
        """Return the values of the invoice line.

        :param sign: -1 on a credit note
        """
        self.ensure_one()
        vals = {
            "product_id": self.product_id.id,
            "product_uom_id": self.product_uom_id.id,
            "name": self.name,
            "quantity": sign * self.quantity,
            "price_unit": self.price_unit,
            "discount": self.discount,
            "tax_ids": [fields.Command.set(self.tax_ids.ids)],
            "billing_date_from": self.billing_date_from,
            "billing_date_to": self.billing_date_to,
            "invoice_run_line_id": self.id,
        }
        if extra_tax_data := self._get_extra_tax_data(sign):
            vals["extra_tax_data"] = extra_tax_data
        if self.analytic_distribution or self.credited_line_id:
            # without one, Odoo's analytic distribution models apply
            vals["analytic_distribution"] = self.analytic_distribution
        if self.credited_line_id:
            vals |= self._prepare_credited_line_vals()
        return vals
