from odoo import models


class IrAttachment(models.Model):
    _inherit = "ir.attachment"

    def _get_download_action(self):
        """Return the action by which the browser saves this file."""
        self.ensure_one()
        return {
            "type": "ir.actions.act_url",
            "url": f"/web/content/{self.id}?download=true",
            "target": "download",
        }
