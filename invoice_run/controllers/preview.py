from odoo import http
from odoo.exceptions import UserError
from odoo.http import content_disposition, request


class PreviewController(http.Controller):
    @http.route("/invoice_run/preview/<int:document_id>", type="http", auth="user")
    def preview_invoice(self, document_id):
        """Show the PDF that the invoice of a document will have, if the user may read that."""
        document = request.env["invoice.run.document"].browse(document_id).exists()
        if not document:
            raise request.not_found()
        document.check_access("read")
        try:
            content = document._render_preview()
        except UserError as error:
            headers = [("Content-Type", "text/plain; charset=utf-8")]
            return request.make_response(str(error), headers, status=409)
        name = content_disposition(f"{document._get_preview_mark()}.pdf", "inline")
        headers = [
            ("Content-Type", "application/pdf"),
            ("Content-Length", len(content)),
            ("Content-Disposition", name),
        ]
        return request.make_response(content, headers)
