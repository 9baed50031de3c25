import logging

from psycopg2 import errors as pg_errors

from odoo import fields, models
from odoo.fields import Domain
from odoo.tools import SQL, groupby

from ...memory import remember, remembering
from ..base.errors import is_outage

_logger = logging.getLogger(__name__)

#: The database refuses to claim a period or an item twice.
CLAIM_ERRORS = (pg_errors.ExclusionViolation, pg_errors.UniqueViolation)


class InvoiceRun(models.Model):
    """Amounts: from what the source has due to documents and claims."""

    _inherit = "invoice.run"

    def _get_open_payers(self):
        """Return the customers with something due for whom this run created nothing yet.

        All that a customer has due is handled in one transaction, so after a crash a
        customer is done or untouched.
        """
        self.ensure_one()
        payers = self._get_selected_payers() - self._get_done_payers()
        # sorted by the database, so that none of 100,000 customers is read
        Partner = payers.with_context(active_test=False)
        return Partner.search([("id", "in", payers.ids)], order="name, id").with_env(self.env)

    def _get_done_payers(self, payers=None):
        """Return the customers, among ``payers`` or all, with documents or exceptions of this run.

        Not those that are recalculated, which may have other documents.
        """
        domain = failed_domain = Domain("run_id", "=", self.id)
        if payers is not None:
            domain &= Domain("payer_id", "in", payers.ids)
            failed_domain &= Domain("partner_id.commercial_partner_id", "in", payers.ids)
        groups = self.env["invoice.run.document"]._read_group(domain, ["payer_id"])
        failed = self.env["invoice.run.exception"].search(failed_domain)
        done = failed.partner_id.commercial_partner_id.union(*(payer for (payer,) in groups))
        return done - self.renew_payer_ids

    def _generate_amounts(self, payers, look_again=False):
        """Create documents, amounts, claims and exceptions of ``payers``, in this transaction.

        Tried for all at once; where that fails, customer by customer and contract by
        contract, so that one bad contract never stops the others.

        :param look_again: raise when somebody has claimed the same periods since this transaction
            began: the caller can look again in a new one
        :raises CLAIM_ERRORS: with ``look_again``
        """
        self.ensure_one()
        if not self._generate_together(payers, look_again):
            for payer in payers:
                self.env.invalidate_all(flush=False)
                self._generate_payer_amounts(payer)
        self._note_renewed(payers)

    def _generate_together(self, payers, look_again):
        """Do as :meth:`_generate_amounts`, for all at once; return whether that worked."""
        try:
            with self.env.cr.savepoint():
                self._create_amounts(payers)
            return True
        except self._get_retry_errors():
            raise
        except Exception as error:
            if is_outage(error) or look_again and isinstance(error, CLAIM_ERRORS):
                raise
            _logger.info("Invoice run %s: customer by customer after: %s", self.id, error)
            return False

    def _generate_payer_amounts(self, payer):
        """Do as :meth:`_generate_amounts`, for one customer, each contract on its own."""
        try:
            with self.env.cr.savepoint():
                self.with_context(invoice_run_isolate=True)._create_amounts(payer)
        except self._get_retry_errors():
            raise
        except Exception as error:
            if is_outage(error):
                raise
            self.env.invalidate_all(flush=False)
            self._create_payer_exception(payer, error)

    def _create_payer_exception(self, payer, error):
        message = self.env["invoice.run.document"]._get_error_text(error)
        self.env["invoice.run.exception"].create(
            {"run_id": self.id, "partner_id": payer.id, "code": "error", "message": message}
        )

    def _create_amounts(self, payers):
        with remembering(self.env):
            charges, exceptions = self._get_charges(payers)
            groups = self._group_charges(charges)
            vals_list = [self._prepare_document_vals(key, group) for key, group in groups.items()]
        self.env["invoice.run.exception"].create(
            [{**vals, "run_id": self.id} for vals in exceptions]
        )
        documents = self.env["invoice.run.document"].create(vals_list)
        lines_vals = [
            {**charge.line, "document_id": document.id, "sequence": number}
            for document, group in zip(documents, groups.values(), strict=True)
            for number, charge in enumerate(group, 1)
        ]
        self._create_claimed_lines(lines_vals)
        documents._order_new_lines()
        documents._update_title()
        documents._update_amounts()
        documents._update_comparison()
        documents._apply_limits()

    def _get_charges(self, payers):
        """Return charges and exceptions of ``payers`` as two lists, from the source."""
        charges, exceptions = self.scenario_id._get_source()._get_source_charges(self, payers)
        return self._drop_excluded_charges(charges, payers), exceptions

    def _create_claimed_lines(self, lines_vals):
        """Insert the amounts as claims, in the order of what they claim (no deadlocks)."""
        names = self.env["invoice.run.source"]._get_claim_fields()
        lines_vals = sorted(lines_vals, key=lambda vals: [vals.get(name) or 0 for name in names])
        lines = self.env["invoice.run.line"].create(
            [
                {
                    **vals,
                    "run_id": self.id,
                    "company_id": self.company_id.id,
                    "is_claimed": not vals.get("corrects_id"),
                }
                for vals in lines_vals
            ]
        )
        lines._create_usage_claims()
        lines._serialize_shared()
        lines.filtered("corrects_id")._claim()
        lines._update_sources()
        lines._settle_pools()
        lines._follow_shortfalls(True)

    # ------------------------------------------------------------------
    # Grouping
    # ------------------------------------------------------------------

    def _get_document_key_fields(self):
        """Return the fields of a document that never mix. An addon can extend the list.

        Each must be in the ``document`` values of the charges.
        """
        self.ensure_one()
        names = ["company_id", "partner_id", "currency_id", "journal_id", "fiscal_position_id"]
        if not self._is_collective():
            names.append("preferred_payment_method_line_id")
            if not self.due_date:
                names.append("payment_term_id")
        return names

    def _is_collective(self):
        def ask():
            return self.scenario_id.enforce_collective or self.schedule_id.enforce_collective

        return remember(self.env, ("collective", self.id), ask)

    def _is_grouped(self, payer):
        """Whether all charges of ``payer`` go on one document where they may be mixed."""
        grouping = payer.with_company(self.company_id).allow_invoice_grouping
        return self._is_collective() or grouping

    def _group_charges(self, charges):
        """Return {key: charges}: one entry per document, in order of customer and contract."""
        names = self._get_document_key_fields()
        groups, newest = {}, {}
        for charge in sorted(charges, key=self._get_charge_order):
            common = (
                charge.payer.id,
                *(charge.document.get(name) for name in names),
                *charge.key,
            )
            contract_key = (*common, charge.contract_id)
            if not charge.is_alone and self._is_grouped(charge.payer):
                key = (*common, "payer")
            elif charge.joins and contract_key in newest:
                key = newest[contract_key]
            else:
                key = (*common, charge.bucket)
            if charge.contract_id and not charge.is_alone:
                newest[contract_key] = key
            groups.setdefault(key, []).append(charge)
        return self._split_groups(groups)

    def _split_groups(self, groups):
        """Return the groups, cut where the company limits the lines of one invoice.

        Their keys end with the number of the part, as in "1/2"; False where there is one only.
        """
        limit = self.company_id.invoice_run_max_lines
        result = {}
        for key, charges in groups.items():
            parts = self._get_parts(charges, limit) if limit >= 1 else [charges]
            for number, part in enumerate(parts, 1):
                text = f"{number}/{len(parts)}" if len(parts) > 1 else False
                result[(*key, text)] = part
        return result

    def _get_parts(self, charges, limit):
        """Return ``charges`` in parts of at most ``limit``; what belongs together stays so."""
        parts = [[]]
        units = groupby(
            enumerate(charges), lambda pair: pair[0] if pair[1].unit is None else (pair[1].unit,)
        )
        for _unit, pairs in units:
            unit = [charge for _number, charge in pairs]
            if parts[-1] and len(parts[-1]) + len(unit) > limit:
                parts.append([])
            parts[-1] += unit
        return parts

    def _get_charge_order(self, charge):
        """Return the order of charges: customer, contract, period, then usage.

        Usage comes after the periods of its contract and joins the newest document.
        """
        payer, contract = charge.payer, charge.contract
        return (
            payer.name or "",
            payer.id,
            contract.name or "" if contract else "",
            charge.contract_id,
            charge.joins,
            charge.line["billing_date_from"],
        )

    def _prepare_document_vals(self, key, charges):
        """Return the values of the document that holds ``charges``.

        :param key: see :meth:`_split_groups`
        """
        first = charges[0]
        payer = first.payer.with_company(self.company_id)
        shared = dict(first.document)
        if self._is_collective():
            shared["payment_term_id"] = payer.property_payment_term_id.id
            method = payer.property_inbound_payment_method_line_id
            shared["preferred_payment_method_line_id"] = method.id
        if self.due_date:
            shared["payment_term_id"] = False
        if self.schedule_id.category_id:
            shared["category_id"] = self.schedule_id.category_id.id
        contracts = {charge.contract_id for charge in charges if charge.contract_id}
        empty = dict.fromkeys(("corrects_id", "contract_line_id", "is_metered", "late_number"))
        lines = [{**empty, **charge.line} for charge in charges]
        return {
            **shared,
            **self.env["invoice.run.document"]._prepare_lines_vals(lines, contracts),
            "run_id": self.id,
            "payer_id": payer.id,
            "part": key[-1],
            "is_grouped": self._is_grouped(payer) and bool(contracts),
            "invoice_date": self.invoice_date,
            "invoice_date_due": self.due_date,
            **self._prepare_sending_vals(shared["partner_id"]),
        }

    def _prepare_sending_vals(self, partner_id):
        """Return how to send: as the scenario says, else the customer, else the company."""
        action = self.scenario_id.send_action
        if action == "partner":
            partner = self.env["res.partner"].with_company(self.company_id).browse(partner_id)
            action = partner._get_invoice_run_send_action()
        if action == "ask":
            return {"send_action": "none", "is_send_unset": True}
        return {"send_action": action}

    # ------------------------------------------------------------------
    # After the last customer
    # ------------------------------------------------------------------

    def _finish_amounts(self):
        """Put the documents in customer order and move the run on.

        To its approval, or to its end where nothing is to be approved.
        """
        self.ensure_one()
        self._update_order()
        self._create_run_exceptions()
        self._mark_repriced_meanwhile()
        self._set_state("amounts", job="none", amounts_date=fields.Datetime.now())
        unclear = self.exception_count or self.flagged_count or self.stale_count
        if self._is_automatic("approve") and self.document_count and not unclear:
            self._approve()
        else:
            self._ask_for_approval()
        self._end_without_documents()
        # some have nothing due any more
        self.renew_payer_ids = False

    def _update_order(self):
        """Number the documents: by customer, contracts and period.

        In the database: of 100,000 documents none need be read.
        """
        documents = self.env["invoice.run.document"]
        documents.flush_model(["run_id", "partner_id", "contract_ids", "date_from", "sequence"])
        self.env["res.partner"].flush_model(["name"])
        self.env["billing.contract"].flush_model(["name"])
        self.env.cr.execute(
            SQL(
                """
                UPDATE invoice_run_document document SET sequence = ordered.number
                  FROM (
                    SELECT document.id, row_number() OVER (
                               ORDER BY COALESCE(partner.name, '') COLLATE "C", partner.id,
                                        contracts.names, document.date_from, document.id
                           ) AS number
                      FROM invoice_run_document document
                      JOIN res_partner partner ON partner.id = document.partner_id
                      LEFT JOIN LATERAL (
                        SELECT COALESCE(array_agg(
                                   contract.name::text COLLATE "C"
                                   ORDER BY contract.name COLLATE "C"
                               ), '{}') AS names
                          FROM billing_contract_invoice_run_document_rel rel
                          JOIN billing_contract contract ON contract.id = rel.billing_contract_id
                         WHERE rel.invoice_run_document_id = document.id
                      ) contracts ON TRUE
                     WHERE document.run_id = %(run)s
                  ) ordered
                 WHERE ordered.id = document.id
                   AND document.sequence IS DISTINCT FROM ordered.number
                """,
                run=self.id,
            )
        )
        documents.invalidate_model(["sequence"])
        self.invalidate_recordset(["document_ids"])
