from contextlib import closing

from odoo import models
from odoo.exceptions import UserError

from ...engine.pdf_mark import mark_pages
from ..base.states import DOCUMENT_CHANGEABLE


class InvoiceRunDocument(models.Model):
    """The PDF of an invoice before anybody approves it."""

    _inherit = "invoice.run.document"

    def action_preview(self):
        """Open the PDF that the invoice of this document will have; nothing is created.

        :raises UserError: there is an invoice already, or none will be created
        """
        self.ensure_one()
        self.check_access("read")
        self._check_previewable()
        url = f"/invoice_run/preview/{self.id}"
        return {"type": "ir.actions.act_url", "url": url, "target": "new"}

    def _check_previewable(self):
        if self.move_id or self.state not in DOCUMENT_CHANGEABLE:
            raise UserError(
                self.env._("“%(document)s” is settled: open its invoice.", document=self.title)
            )
        if self._is_nothing():
            raise UserError(
                self.env._(
                    "“%(document)s” comes to nothing: no invoice will be created.",
                    document=self.title,
                )
            )

    def _render_preview(self):
        """Return the PDF of the invoice that this document will have, marked as a preview.

        The invoice is created as the run creates it and undone again: it never gets a number, so
        none is used up, and nothing is sent or logged.

        :raises AccessError: the user may not read the document
        :raises UserError: see :meth:`_check_previewable`; or the amounts are out of date
        """
        self.ensure_one()
        self.check_access("read")
        self._check_previewable()
        # sudo: whoever may read the document may see the invoice, which does not stay
        document = self.sudo().with_context(tracking_disable=True, mail_notrack=True)
        # rolled back when the cursor is closed
        with closing(self.env.cr.savepoint()):
            move = document._create_preview_move()
            content = document._render_preview_move(move)
        return mark_pages(content, self._get_preview_mark())

    def _get_preview_mark(self):
        return self.env._("PREVIEW")

    def _create_preview_move(self):
        """Create the draft invoice of this document; the caller undoes it.

        :raises UserError: it is not what the document says
        """
        self.move_id = self.with_company(self.company_id)._create_account_moves()
        if error := self._get_amount_error():
            raise UserError(error)
        return self.move_id

    def _render_preview_move(self, move):
        """Return the PDF of ``move`` as it looks once it is confirmed, by the customer's report."""
        self.env.flush_all()
        mark = self._get_preview_mark()
        # only for the report, never in the database: to confirm it would give it a number
        values = {"state": "posted", "name": mark}
        if move.move_type == "out_invoice" and not move.payment_reference:
            values["payment_reference"] = mark
        for name, value in values.items():
            move._fields[name]._update_cache(move, value)
        report = self.env["account.move.send"]._get_default_pdf_report_id(move)
        reports = self.env["ir.actions.report"].with_company(self.company_id)
        content, _kind = reports._render_qweb_pdf(report.report_name, move.ids)
        return content
