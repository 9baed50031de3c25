from odoo import api, fields, models

#: The steps of a run that need no person where they are automatic, in order.
STEPS = ("amounts", "approve", "invoices", "send")


class ResCompany(models.Model):
    _inherit = "res.company"

    @api.model
    def _get_invoice_run_stop_text(self, automatic):
        """Return where a run waits for a person, in words.

        :param automatic: {step: bool}, see ``STEPS``
        """
        careful = self.env._(
            "It stops for a reviewer earlier if there are exceptions or unusual amounts."
        )
        texts = {
            "amounts": self.env._(
                "A run stops on its activation date, until somebody presses “Generate Amounts”."
            ),
            "approve": self.env._(
                "A run stops once its amounts are generated, until a reviewer approves them."
            ),
            "invoices": self.env._(
                "A run stops once it is approved, until somebody presses “Generate Invoices”."
            ),
            "send": self.env._(
                "A run stops once its invoices are created, until somebody presses “Send”."
            ),
        }
        stop = next((step for step in STEPS if not automatic[step]), False)
        text = texts.get(stop) or self.env._("A run continues until its invoices are sent.")
        return f"{text} {careful}" if stop in ("invoices", "send", False) else text


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    invoice_run_stop = fields.Char("Where a Run Stops", compute="_compute_invoice_run_stop")

    @api.depends(*(f"invoice_run_auto_{step}" for step in STEPS))
    def _compute_invoice_run_stop(self):
        for settings in self:
            automatic = {step: settings[f"invoice_run_auto_{step}"] for step in STEPS}
            settings.invoice_run_stop = self.env.company._get_invoice_run_stop_text(automatic)


class InvoiceRunSchedule(models.Model):
    _inherit = "invoice.run.schedule"

    stop_text = fields.Char("Where Its Runs Stop", compute="_compute_stop_text")

    @api.depends("company_id", *(f"auto_{step}" for step in STEPS))
    def _compute_stop_text(self):
        for schedule in self:
            automatic = {step: schedule._is_automatic(step) for step in STEPS}
            schedule.stop_text = schedule.company_id._get_invoice_run_stop_text(automatic)

    def _is_automatic(self, step):
        """Whether ``step``, one of ``STEPS``, of the runs of this schedule needs no person."""
        choice = self[f"auto_{step}"]
        if choice == "company":
            # sudo: the company's settings say what its runs do
            return self.company_id.sudo()[f"invoice_run_auto_{step}"]
        return choice == "yes"
