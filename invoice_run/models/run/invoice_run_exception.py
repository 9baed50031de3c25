from odoo import fields, models

from ..base.states import DOCUMENT_OPEN


class InvoiceRunException(models.Model):
    """Something that is due but could not be invoiced, and what to do about it."""

    _name = "invoice.run.exception"
    _description = "Invoice Run Exception"
    _inherit = ["invoice.run.guarded"]
    _order = "run_id, id"
    _rec_name = "message"
    _check_company_auto = True
    _is_engine_model = True

    run_id = fields.Many2one("invoice.run", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(related="run_id.company_id", store=True, index=True)
    partner_id = fields.Many2one("res.partner", "Customer", index="btree_not_null")
    contract_id = fields.Many2one("billing.contract", index="btree_not_null", ondelete="cascade")
    usage_id = fields.Many2one("billing.usage", index="btree_not_null", ondelete="cascade")
    sale_order_id = fields.Many2one(
        "sale.order", "Sales Order", index="btree_not_null", ondelete="cascade"
    )
    blocking_run_id = fields.Many2one("invoice.run", "Claimed By", index="btree_not_null")
    credited_line_id = fields.Many2one(
        "account.move.line",
        "Credited Invoice Line",
        index="btree_not_null",
        ondelete="cascade",
        help="Invoice line that was credited in part, without saying for which days.",
    )
    code = fields.Char(required=True, readonly=True)
    message = fields.Text("What to Do", required=True, readonly=True)

    def _get_source_record(self):
        """Return what is due: an order, item or contract; nothing where the run is meant."""
        name = self._get_record_field()
        return self[name] if name else None

    def _get_record_field(self):
        """Return the field that holds what is due; None where the run is meant.

        An item of a contract is reported with both: it may be in a document of its own.
        """
        self.ensure_one()
        names = reversed(self.env["invoice.run.source"]._get_record_fields())
        return next((name for name in names if self[name]), None)

    def action_release(self):
        """Release what another run claims of the same record and has not invoiced yet."""
        self.check_access("read")
        for exception in self.filtered("blocking_run_id"):
            run = exception.blocking_run_id
            run.check_access("write")
            run._check_not_busy()
            run._note_prepared()
            # sudo: amounts and documents belong to the engine
            exception.sudo()._get_blocking_documents()._release_documents()
            body = self.env._("Released for %(run)s.", run=exception.run_id.reference)
            run.message_post(body=body)
        # sudo: exceptions belong to the engine; what they reported is done
        self.sudo().filtered("blocking_run_id").unlink()

    def action_ask_days(self):
        """Ask which days the credit behind this exception is for."""
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "invoice_run.billing_credit_question_action"
        )
        return {**action, "context": {"default_exception_id": self.id}}

    def _answer_credits(self, answer):
        """Note for which days the credits are that these exceptions are about.

        What they reported is done, in other runs too.

        :param answer: a record of ``billing.credit.mixin``
        :raises UserError: more would be credited than was invoiced
        """
        for exception in self:
            credited = exception.credited_line_id
            credits = credited._get_unasked_credits()
            credits._answer_credit(answer, credited)
            label = dict(answer._fields["billing_credit_kind"]._description_selection(self.env))
            for move in credits.move_id:
                move.message_post(body=label[answer.billing_credit_kind])
        self.search([("credited_line_id", "in", self.credited_line_id.ids)]).unlink()

    def _get_blocking_documents(self):
        """Return the documents of the other run that invoice what this exception is about."""
        name = self._get_record_field()
        lines = self.env["invoice.run.line"].search(
            [
                ("run_id", "=", self.blocking_run_id.id),
                (name, "=", self[name].id),
                ("document_id.state", "in", DOCUMENT_OPEN),
            ]
        )
        return lines.document_id
