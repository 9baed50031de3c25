from collections import defaultdict
from itertools import chain

from odoo import api, models
from odoo.fields import Domain

from ..base.states import CONTRACT_BILLED, DOCUMENT_OPEN
from .billing_contract import METER_DATES


class BillingContract(models.Model):
    """What a customer sees of a contract."""

    _inherit = "billing.contract"

    def _compute_access_url(self):
        # EXTENDS 'portal'
        for contract in self:
            contract.access_url = f"/my/contracts/{contract.id}"
        return None

    @api.model
    def _get_thread_with_access(self, thread_id, *, hash=None, pid=None, token=None, **kwargs):
        # EXTENDS 'portal': the link that a customer was given shows the page of the contract; what
        # is written about it stays with those who may read the contract
        return super()._get_thread_with_access(thread_id, **kwargs)

    def write(self, vals):
        # EXTENDS 'portal': links given to the earlier customer stop working
        before = {contract: contract.partner_id.commercial_partner_id for contract in self}
        result = super().write(vals)
        if METER_DATES.intersection(vals):
            self._link_usage()
        if "partner_id" in vals:
            for contract, customer in before.items():
                if contract.access_token and contract.commercial_partner_id != customer:
                    # sudo: the token is Odoo's own, whatever groups may read it
                    contract.sudo().access_token = False
        return result

    @api.model
    def _get_portal_domain(self):
        """Return the contracts that the user sees in the portal.

        Those of the user's own company (commercial partner), in the companies that the user
        deals with, that are active or closed. Portal users have no right on the model itself:
        no other field of a contract can be read from outside.
        """
        user = self.env.user
        return (
            Domain("commercial_partner_id", "=", user.partner_id.commercial_partner_id.id)
            & Domain("company_id", "in", user.company_ids.ids)
            & Domain("state", "in", CONTRACT_BILLED)
        )

    def _is_being_prepared(self):
        """Whether a run has amounts of this contract that are not invoiced yet."""
        self.ensure_one()
        return bool(
            self.env["invoice.run.line"].search_count(
                [
                    ("contract_id", "=", self.id),
                    ("is_claimed", "=", True),
                    ("document_id.state", "in", DOCUMENT_OPEN),
                ],
                limit=1,
            )
        )

    def _get_portal_prices(self):
        """Return the prices as the customer sees them, those of one product in order of time.

        Lines that have no day because the contract ends before they begin are left out.

        :return: a dict for each: ``line``, ``rated`` (the line or its planned price: what has
            price, quantity, discount), ``note``, ``date_from`` and ``date_to`` (inclusive, None
            where it is open-ended)
        """
        self.ensure_one()
        prices = [price for line in self.line_ids for price in line._get_dated_prices()]
        places = {}
        for number, line in enumerate(self.line_ids):
            places.setdefault(line._get_price_root(), number)
        return sorted(
            prices,
            key=lambda data: (places[data["line"]._get_price_root()], data["date_from"]),
        )

    def _get_portal_invoices(self):
        """Return what confirmed invoices charged its customer for this contract, newest first.

        Invoices of an earlier customer, or of others who pay a part, are not shown to this one.

        Credit notes are included, whoever created them, below zero.

        :return: a dict for each of them: ``move``, ``date_from`` and ``date_to`` (inclusive),
            ``amount_untaxed`` of this contract alone, in its currency
        """
        self.ensure_one()
        by_move = defaultdict(list)
        ledger = self.env["billing.ledger"]
        for records in (self.line_ids, self.usage_ids):
            for entry in chain.from_iterable(ledger._get_entries(records).values()):
                if entry.move_id and entry.is_posted:
                    by_move[entry.move_id].append(entry)
        moves = self.env["account.move"].browse(by_move)
        moves = moves.filtered(self._is_billed_by)
        invoices = [self._prepare_portal_invoice(move, by_move[move.id]) for move in moves]
        return sorted(
            invoices, key=lambda data: (data["move"].invoice_date, data["date_to"]), reverse=True
        )

    def _is_billed_by(self, move):
        """Whether the present customer owes ``move``, whatever address it went to."""
        invoice = move.reversed_entry_id or move
        payer = invoice.invoice_run_document_id.payer_id or move.partner_id
        return payer.commercial_partner_id == self.commercial_partner_id

    def _prepare_portal_invoice(self, move, entries):
        """Return what the portal shows of one invoice or credit note."""
        return {
            "move": move,
            "date_from": min(entry.date_from or move.invoice_date for entry in entries),
            "date_to": max(entry.date_to or move.invoice_date for entry in entries),
            "amount_untaxed": move.currency_id.round(sum(entry.amount for entry in entries)),
        }
