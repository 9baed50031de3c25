from odoo import http
from odoo.http import content_disposition, request

TYPES = {
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class RegisterController(http.Controller):
    @http.route(
        "/invoice_run/register/<int:run_id>/<any(pdf,xlsx):kind>",
        type="http",
        auth="user",
        readonly=True,
    )
    def download_register(self, run_id, kind):
        """Return the report of a run as a file, if the user may read the run."""
        run = request.env["invoice.run"].browse(run_id).exists()
        if not run:
            raise request.not_found()
        content = run._render_register(kind)
        headers = [
            ("Content-Type", TYPES[kind]),
            ("Content-Length", len(content)),
            ("Content-Disposition", content_disposition(run._get_register_name(kind))),
        ]
        return request.make_response(content, headers)
