from odoo import api, fields, models

from .. import core
from ..bypassed import WATCHED


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    invoice_run_fast_path = fields.Char(
        "Fast Creation of Invoices", compute="_compute_invoice_run_fast_path"
    )

    @api.depends("company_id")
    def _compute_invoice_run_fast_path(self):
        for settings in self:
            texts = [
                settings._get_creation_text(),
                settings._get_confirming_text(),
                settings._get_changes_text(),
                settings._get_posting_text(),
            ]
            settings.invoice_run_fast_path = " ".join(filter(None, texts))

    def _get_creation_text(self):
        """Return whether invoices are created in bulk, or what holds that back, in words."""
        bulk = self.env["invoice.run.bulk"]
        addons = sorted({module for _name, module in bulk._get_unknown_overrides()})
        if not core.is_as_read(self.env, core.CREATE):
            return None
        if bulk._is_off():
            return self.env._("Off, by the system parameter invoice_run.bulk_create.")
        if addons:
            return self.env._("Off, because of these apps: %(apps)s.", apps=", ".join(addons))
        if bulk._is_patched("account.move.line", WATCHED):
            return self.env._("Off, because automation rules watch journal items.")
        if reasons := bulk._get_company_obstacles(self.company_id):
            return self.env._(
                "Off for this company, because of: %(reasons)s.", reasons=", ".join(reasons)
            )
        return self.env._("On.")

    def _get_confirming_text(self):
        """Return what has invoices created as drafts before they are confirmed, or nothing."""
        bulk = self.env["invoice.run.bulk"]
        if not bulk._is_on() or not core.is_as_read(self.env, core.CONFIRM):
            return None  # said already
        addons = sorted({module for _name, module in bulk._get_confirming_overrides()})
        if addons:
            return self.env._(
                "Confirming takes a step of its own, because of these apps: %(apps)s.",
                apps=", ".join(addons),
            )
        if bulk._is_confirming_patched():
            return self.env._(
                "Confirming takes a step of its own, because automation rules watch invoices."
            )
        return None

    def _get_changes_text(self):
        """Return which steps stand aside because Odoo's own methods changed, in words."""
        steps = [step for step in core.STEPS if not core.is_as_read(self.env, step)]
        if not steps:
            return None
        labels = {
            core.CREATE: self.env._("creating invoices"),
            core.CONFIRM: self.env._("confirming invoices"),
            core.PRINT: self.env._("printing"),
            core.SEND: self.env._("sending"),
        }
        off = [labels[step] for step in steps]
        # writing messages together builds on both
        if core.CREATE in steps and core.SEND not in steps:
            off.append(self.env._("writing messages"))
        return self.env._(
            "Off for %(steps)s: this version of Odoo works differently from what the fast path "
            "expects. Look for a newer version of Invoice Run Turbo.",
            steps=", ".join(off),
        )

    def _get_posting_text(self):
        """Return what keeps messages from being written together, in words, or nothing."""
        obstacles = self.env["account.move.send"]._get_posting_obstacles()
        if not obstacles:
            return None
        return self.env._(
            "Off for writing messages, because of: %(reasons)s.", reasons=", ".join(obstacles)
        )
