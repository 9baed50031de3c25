from odoo import fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date

from ...engine import renewal
from ...engine.periods import DAY
from ..base.invoice_run_guarded import EngineValue

#: In the context: the end that the user saw, so that nobody renews twice.
SHOWN_END = "billing_shown_end"


class BillingContract(models.Model):
    """The renewal of a contract: another term, as long as its present one."""

    _inherit = "billing.contract"

    term_start = fields.Date(
        "Present Term From",
        readonly=True,
        copy=False,
        engine=True,
        help="First day of the term for which the contract was renewed. Empty: it never was.",
    )

    def action_renew(self):
        """Move the ends of these contracts by the length of their present terms.

        With ``billing_shown_end`` in the context, the end that the user saw, a contract that was
        renewed or changed meanwhile is refused, so that a second click renews nothing.

        :return: a message that says the new ends
        :raises AccessError: the user may not change the contracts
        :raises UserError: a contract is not active, has no end, or was changed meanwhile
        """
        self.check_access("write")
        errors = [error for contract in self for error in contract._get_renewal_errors()]
        if errors:
            raise UserError("\n".join(errors))
        for contract in self:
            contract._renew()
        params = {
            "type": "success",
            "message": self._get_renewed_text(),
            "next": {"type": "ir.actions.client", "tag": "soft_reload"},
        }
        return {"type": "ir.actions.client", "tag": "display_notification", "params": params}

    def _get_renewal_errors(self):
        """Return why this contract cannot be renewed, in words."""
        shown = self.env.context.get(SHOWN_END)
        if self.state != "active":
            text = self.env._(
                "%(contract)s is not active: only active contracts are renewed.",
                contract=self.name,
            )
        elif not self.date_end:
            text = self.env._(
                "%(contract)s has no end: it goes on until you enter one, so there is nothing to "
                "renew.",
                contract=self.name,
            )
        elif shown and str(shown) != str(self.date_end):
            text = self.env._(
                "%(contract)s ends on %(date)s by now: somebody has renewed or changed it. Reload "
                "the page.",
                contract=self.name,
                date=format_date(self.env, self.date_end),
            )
        else:
            return []
        return [text]

    def _get_term_start(self):
        """Return the first day of the present term."""
        start = self.term_start
        return start if start and self.date_start <= start <= self.date_end else self.date_start

    def _get_renewed_end(self):
        """Return the last day of the next term."""
        return renewal.next_end(self.date_start, self._get_term_start(), self.date_end)

    def _renew(self):
        """Begin the next term; lines that last to the present end last to the new one."""
        last = self.date_end
        lines = self.line_ids.filtered(
            lambda line: line.date_end == last and line.price_interval != "once"
        )
        vals = {"date_end": self._get_renewed_end(), "term_start": EngineValue(last + DAY)}
        if self.billing_mode == "date" and self.invoice_until == last:
            vals["invoice_until"] = vals["date_end"]
        self.write(vals)
        lines.write({"date_end": self.date_end})
        self.message_post(body=self._get_renewal_note(lines))

    def _get_renewal_note(self, lines):
        note = self.env._(
            "Renewed for another term: %(date_from)s – %(date_to)s.",
            date_from=format_date(self.env, self.term_start),
            date_to=format_date(self.env, self.date_end),
        )
        if not lines:
            return note
        names = ", ".join((line.name or "").split("\n")[0] for line in lines)
        ends = self.env._("Price lines that ended with the contract go on: %(lines)s.", lines=names)
        return f"{note} {ends}"

    def _get_renewed_text(self):
        """Return in words until when these contracts were renewed."""
        ends = [
            self.env._(
                "%(contract)s until %(date)s",
                contract=contract.name,
                date=format_date(self.env, contract.date_end),
            )
            for contract in self
        ]
        return self.env._("Renewed: %(contracts)s.", contracts=", ".join(ends))
