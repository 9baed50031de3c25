from odoo import api, fields, models
from odoo.fields import Domain
from odoo.tools import SQL

from ..base.states import DOCUMENT_CHANGEABLE, DOCUMENT_OPEN, DOCUMENT_RENEWABLE

#: What a run selects; the manager who lets a schedule approve by itself has seen these.
SELECTION_FIELDS = {
    "scenario_id",
    "cluster_ids",
    "partner_ids",
    "record_ids",
    "rule_values",
    "target_date",
}


class InvoiceRunLine(models.Model):
    """Amounts whose contract, price, customer or usage item changed after they were created."""

    _inherit = "invoice.run.line"

    is_stale = fields.Boolean(
        "Changed", readonly=True, help="Its contract, order or item has changed: recalculate it."
    )

    @api.model
    def _mark_stale(self, domain):
        """Mark the amounts of ``domain`` that are not invoiced yet, and their documents.

        Those that were left out too: they can be put back.
        """
        domain = Domain(domain).optimize(self)
        if domain.is_false():
            return
        domain &= Domain("is_stale", "=", False)
        domain &= Domain("document_id.state", "in", DOCUMENT_CHANGEABLE)
        # sudo: users who change a customer need not see the runs that invoice it
        lines = self.sudo().search(domain)
        lines.write({"is_stale": True})
        lines.document_id.write({"is_stale": True})
        lines.filtered("is_claimed")._mark_sharing_stale()

    @api.model
    def _mark_unrated(self, runs):
        """Mark the amounts of ``runs`` whose periods have usage that they do not rate.

        It was reported while they were approved. Without the approval it is of its period, not
        late.
        """
        if not runs:
            return
        self.env["billing.usage"].flush_model(["contract_line_id", "date", "state"])
        self.flush_model(["run_id", "contract_line_id", "is_metered", "period_from", "period_to"])
        unrated = SQL(
            """(
            SELECT amount.id FROM invoice_run_line amount
              JOIN billing_usage usage ON usage.contract_line_id = amount.contract_line_id
               AND usage.date BETWEEN amount.period_from AND amount.period_to
             WHERE amount.run_id = ANY(%s) AND amount.is_metered AND usage.state = 'open'
               AND NOT EXISTS (SELECT FROM invoice_run_usage claim
                                WHERE claim.line_id = amount.id AND claim.usage_id = usage.id)
            )""",
            runs.ids,
        )
        self._mark_stale(Domain("id", "in", unrated))


class InvoiceRunDocument(models.Model):
    _inherit = "invoice.run.document"

    is_stale = fields.Boolean(
        "Changed",
        readonly=True,
        help="A contract, order, price, customer or item of it has changed since: no invoice "
        "is created until its amounts are recalculated.",
    )

    def _detect_stale(self):
        """Mark what changed without being written: orders, rates, what is left to credit.

        What was created while its price was changed counts too.
        Documents that differ from what was approved are marked as well.
        """
        self._detect_changed_sources()
        domain = Domain("id", "in", self.ids) & Domain("is_stale", "=", False)
        changed = self.search(domain & Domain("line_ids.corrects_id", "!=", False)).filtered(
            lambda document: document._get_credit_errors()
        )
        ours = Domain("document_id", "in", self.ids)
        changed |= self.env["invoice.run.line"]._get_repriced_meanwhile(ours).document_id
        foreign = self.search(domain & Domain("currency_rate", "not in", (0, 1)))
        changed |= foreign.filtered(lambda document: document._is_rate_changed())
        approved = self.filtered(
            lambda document: document.run_id.approved_date and not document.is_stale
        )
        changed |= approved._get_unapproved()
        changed.line_ids.write({"is_stale": True})
        changed.write({"is_stale": True})

    def _get_stale_errors(self):
        """Return that this document has changed, where nothing more precise is known."""
        if not self.is_stale:
            return []
        return [
            self.env._(
                "The contract, the order, the customer or an item was changed after the amounts "
                "were generated. Press “Recalculate Changed”, then approve again."
            )
        ]

    def _detect_changed_sources(self):
        """Mark those of these documents whose records changed by computation.

        Deliveries and invoices, for example, change what there is to invoice of an order.
        """
        domain = Domain("document_id", "in", self.ids) & Domain("is_stale", "=", False)
        sources = self.env["invoice.run.source"]._get_sources()
        of_source = Domain.OR(
            Domain(source._source_record_field, "!=", False)
            for source in sources
            if source._source_changes_unnoticed
        )
        for document in self.env["invoice.run.line"].search(domain & of_source).document_id:
            if document._get_change_errors():
                document.line_ids.write({"is_stale": True})
                document.is_stale = True


class InvoiceRun(models.Model):
    """The run's own dates and selection count as well: what was approved is what is invoiced."""

    _inherit = "invoice.run"

    renew_payer_ids = fields.Many2many(
        "res.partner",
        "invoice_run_renew_payer_rel",
        string="Customers to Recalculate",
        context={"active_test": False},
        readonly=True,
        copy=False,
        help="Customers whose amounts are to be recalculated.",
        engine=True,
    )

    @api.model
    def _get_stale_fields(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return SELECTION_FIELDS | {"skip_before", "invoice_date", "due_date"}

    def _get_stale_domain(self):
        # EXTENDS 'invoice.run.stale.mixin'
        return [("run_id", "in", self.ids)]

    def _note_reselected(self, vals):
        """Note who prepares, before ``vals`` are written; return the runs whose amounts change.

        :raises AccessError: only managers change what such a schedule approves by itself
        """
        changed = self._get_changed(vals, self._get_stale_fields())
        (changed | self._get_changed(vals, {"activation_date"}))._note_prepared()
        selected = self._get_changed(vals, SELECTION_FIELDS).schedule_id
        if any(schedule._is_selection_approved() for schedule in selected):
            selected._check_manager()
        return changed

    def _get_changed(self, vals, names):
        # EXTENDS 'invoice.run.stale.mixin': the engine dates the documents together with the run
        if self.env.su:
            return self.browse()
        return super()._get_changed(vals, names)

    def action_renew_stale(self):
        """Recalculate the amounts of the customers with changed documents, and no others.

        An approval is withdrawn. What somebody excluded stays excluded.

        :raises UserError: the run is not in a state in which amounts can be recalculated
        """
        self.check_access("write")
        self._check_not_busy()
        for run in self:
            # sudo: amounts and documents belong to the engine
            run.sudo()._get_open_documents()._detect_stale()
            if not run._get_stale_payers() or run.job != "none":
                continue
            # the approval goes, and with it what kept later usage out
            self.env["invoice.run.line"]._mark_unrated(run)
            payers = run._get_stale_payers()
            run._check_amounts_state()
            run._note_prepared()
            run._remove_exceptions(payers)
            outdated = run._get_renewable_domain(payers)
            job = "renew" if run._is_large(outdated) else "amounts"
            if job == "amounts":
                # sudo: amounts and documents belong to the engine
                run.sudo()._get_documents(outdated)._remove()
            run._queue_job(
                job,
                "submitted",
                amounts_by_id=self.env.uid,
                renew_payer_ids=[fields.Command.set(payers.ids)],
                **run._prepare_no_approval_vals(),
            )

    def _get_stale_payers(self):
        """Return the customers with a changed document that is not invoiced."""
        domain = Domain("run_id", "=", self.id) & Domain("is_stale", "=", True)
        domain &= Domain("state", "in", DOCUMENT_RENEWABLE)
        groups = self.env["invoice.run.document"]._read_group(domain, ["payer_id"])
        return self.env["res.partner"].union(*(payer for (payer,) in groups))

    def _get_open_documents(self):
        """Return the documents that this run has not invoiced yet."""
        domain = Domain("run_id", "=", self.id) & Domain("state", "in", DOCUMENT_OPEN)
        return self.env["invoice.run.document"].search(domain)

    @api.model
    def _get_renewable_domain(self, payers):
        """Return the documents of ``payers`` that are replaced, not what somebody excluded."""
        return Domain("payer_id", "in", payers.ids) & Domain("state", "in", DOCUMENT_RENEWABLE)

    def _note_renewed(self, payers):
        """Note that these customers are recalculated, without writing the run: workers share it."""
        if not self.renew_payer_ids & payers:
            return
        field = self._fields["renew_payer_ids"]
        self.env.cr.execute(
            SQL(
                "DELETE FROM %s WHERE %s = %s AND %s = ANY(%s)",
                SQL.identifier(field.relation),
                SQL.identifier(field.column1),
                self.id,
                SQL.identifier(field.column2),
                payers.ids,
            )
        )
        self.invalidate_recordset(["renew_payer_ids"])

    def _drop_excluded_charges(self, charges, payers):
        """Return ``charges`` of ``payers`` without what somebody excluded.

        Recalculating does not bring it back.
        """
        excluded = self._get_excluded_keys(self.renew_payer_ids & payers)
        return [charge for charge in charges if self._get_charge_key(charge.line) not in excluded]

    def _get_excluded_keys(self, payers):
        """Return what was excluded of ``payers`` in this run, see :meth:`_get_charge_key`."""
        if not payers:
            return set()
        lines = self.env["invoice.run.line"].search(
            [
                ("run_id", "=", self.id),
                ("document_id.payer_id", "in", payers.ids),
                ("document_id.state", "=", "excluded"),
            ]
        )
        names = self.env["invoice.run.source"]._get_link_fields()
        own = ["corrects_id", "late_number", "billing_date_from"]
        rows = lines.read([*names, *own], load=False)
        return {self._get_charge_key(row) for row in rows}

    @api.model
    def _get_charge_key(self, vals):
        """Return what an amount with these values invoices: price line and first day, or item.

        An amount that claims nothing, such as a second invoice line of an order line, is known by
        the record it belongs to.
        """
        source = self.env["invoice.run.source"]
        key = [vals.get(name) or 0 for name in source._get_claim_fields()]
        if not any(key):
            key += [vals.get(name) or 0 for name in source._get_record_fields()]
        own = vals.get("corrects_id") or 0, vals.get("late_number") or 0
        return (*key, *own, vals["billing_date_from"])

    def _get_payers_in_renewal(self):
        """Return the customers whose amounts are being recalculated at this moment."""
        is_asked = self.job in ("amounts", "renew")
        return self.renew_payer_ids if is_asked else self.renew_payer_ids.browse()

    def _go_on_without(self, payers):
        """Let the run go on without the amounts of ``payers``, which were not recalculated.

        Those whose documents are still there are not recalculated, either, and say so.
        """
        self._set_state("amounts", **self._prepare_no_renewal_vals())
        left = self._get_documents(self._get_renewable_domain(payers)).payer_id
        self._create_not_renewed(payers - left)

    @api.model
    def _prepare_no_renewal_vals(self):
        return {"renew_payer_ids": [fields.Command.clear()]}

    def _create_not_renewed(self, payers):
        message = self.env._(
            "The work was stopped before the amounts of this customer were recalculated. They "
            "are not in this run; the next one proposes what is due."
        )
        # sudo: exceptions belong to the engine
        self.env["invoice.run.exception"].sudo().create(
            [
                {"run_id": self.id, "partner_id": payer.id, "code": "error", "message": message}
                for payer in payers
            ]
        )

    def _remove_exceptions(self, payers):
        """Remove the exceptions of these customers and those of the run as a whole."""
        # sudo: exceptions belong to the engine
        self.sudo().exception_ids.filtered(
            lambda exception: (
                not exception.partner_id
                or exception.partner_id.commercial_partner_id in payers
                or exception.blocking_run_id
            )
        ).unlink()
