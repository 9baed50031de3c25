from odoo import models
from odoo.tools import format_date


def is_readable(records):
    """Whether the user for whom the engine reads ``records`` may read them as well."""
    return bool(records) and records.sudo(False).has_access("read")


class InvoiceRunDocument(models.Model):
    """Why a document is not invoiced."""

    _inherit = "invoice.run.document"

    def _get_left_out_reason(self):
        """Return why this document is not invoiced, as (code, message); None where it is."""
        self.ensure_one()
        if self.hold_reason:
            return ("limit", self.hold_reason)
        reasons = {
            "excluded": self.env._(
                "It is excluded from this run. “Include Again” takes it back; otherwise the next "
                "run proposes it."
            ),
            "released": self.env._(
                "What this run invoiced of it was released. The next run proposes it; create one "
                "by hand to invoice it now."
            ),
        }
        if self.state == "failed":
            return ("failed", self._get_failure_message())
        return (self.state, reasons[self.state]) if self.state in reasons else None

    def _get_failure_message(self):
        error = self.error if is_readable(self) else ""
        return self.env._(
            "Its invoice failed. Repair this and press “Retry Failed”: %(error)s",
            error=error or self.env._("the reason is on the document"),
        )


class InvoiceRunException(models.Model):
    """What an exception tells a user who asks about its record."""

    _inherit = "invoice.run.exception"

    def _get_explanation(self):
        """Return code and message, with what to do where the message does not say it.

        The text of an unforeseen error is not shown: it may name anything.
        """
        self.ensure_one()
        if self.code == "error":
            message = self.env._(
                "An unforeseen error stands in the way. Generate the amounts: the exceptions of "
                "the run say which."
            )
        else:
            message = self._add_advice(self.code, self.message)
        return (self.code, message)

    def _add_advice(self, code, message):
        """Return ``message`` with what to do, where it says only what is wrong."""
        advice = {
            "hold": self.env._("Lift the hold, then generate the amounts again."),
            "partner": self.env._(
                "Lift the block or restore the contact, then generate the amounts again."
            ),
        }
        return " ".join(filter(None, [message, advice.get(code)]))


class InvoiceRunLine(models.Model):
    """What holds the periods that a run would invoice."""

    _inherit = "invoice.run.line"

    def _get_claim_reason(self):
        """Return that the run of these amounts holds them, as (code, message)."""
        run = self.run_id
        states = dict(run._fields["state"]._description_selection(self.env))
        if is_readable(run):
            message = self.env._(
                "%(from)s – %(to)s is in %(run)s (%(state)s), without an invoice yet. Release it "
                "there, or let that run create the invoice.",
                run=run.reference,
                state=states[run.state],
                **self._get_days(),
            )
        else:
            message = self.env._(
                "%(from)s – %(to)s is in another run, which you may not see, without an invoice "
                "yet. Ask a colleague to release it there, or to create the invoice.",
                **self._get_days(),
            )
        return ("claimed", message)

    def _get_invoiced_reason(self):
        """Return that these amounts are invoiced, as (code, message)."""
        document = self.document_id
        holder = self.env._("another run")
        if is_readable(document.move_id):
            holder = document.move_id.display_name
        elif is_readable(document.run_id):
            holder = document.run_id.reference
        message = self.env._(
            "%(from)s – %(to)s has been invoiced already, by %(holder)s. Nothing is to be done; "
            "to invoice it again, cancel or credit that invoice.",
            holder=holder,
            **self._get_days(),
        )
        return ("invoiced", message)

    def _get_days(self):
        """Return the first and the last day of these amounts, for a message."""
        return {
            "from": format_date(self.env, min(self.mapped("billing_date_from"))),
            "to": format_date(self.env, max(self.mapped("billing_date_to"))),
        }
