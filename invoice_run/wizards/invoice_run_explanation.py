from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..models.base.states import RUN_UNFINISHED


class InvoiceRunExplanation(models.TransientModel):
    """Why is it not in the run? Asks for run and record and tells, see ``invoice.run.explain``."""

    _name = "invoice.run.explanation"
    _description = "Why Is It Not in the Run?"
    _inherit = "invoice.run.wizard"

    run_id = fields.Many2one("invoice.run", ondelete="cascade")
    res_model = fields.Selection(selection="_selection_res_model", string="What Is Missing")
    res_id = fields.Many2oneReference("Which One", model_field="res_model")
    is_billed = fields.Boolean("Is Invoiced", readonly=True)
    answer = fields.Html(readonly=True)

    @api.model
    def _selection_res_model(self):
        sources = self.env["invoice.run.source"]._get_sources()
        return [(source._name, source._get_source_label()) for source in sources]

    @api.model
    def _get_fixed_fields(self):
        # EXTENDS 'invoice.run.wizard'
        return super()._get_fixed_fields() | {"answer", "is_billed"}

    @api.depends("run_id")
    def _compute_display_name(self):
        for wizard in self:
            wizard.display_name = self.env._("Why Is It Not in the Run?")

    @api.onchange("run_id", "res_model", "res_id")
    def _onchange_question(self):
        self.answer = False

    @api.onchange("res_model")
    def _onchange_res_model(self):
        self.res_id = False

    @api.model_create_multi
    def create(self, vals_list):
        wizards = super().create(vals_list)
        wizards._check_record()
        return wizards

    def write(self, vals):
        result = super().write(vals)
        if not {"res_model", "res_id"}.isdisjoint(vals):
            self._check_record()
        return result

    def _check_record(self):
        """Refuse a record that this user may not read.

        :raises AccessError: this user may not
        """
        for wizard in self.filtered("res_id"):
            self.env[wizard.res_model].browse(wizard.res_id).exists().check_access("read")

    def action_ask(self):
        """Answer, in the same dialog.

        :raises UserError: it is not said which run or what is missing
        """
        self.ensure_one()
        if not (self.run_id and self.res_model and self.res_id):
            raise UserError(self.env._("Choose the run, and what is missing in it."))
        result = self.run_id.explain(self.res_model, self.res_id)
        self._write_fixed({"is_billed": result["is_billed"], "answer": self._get_answer(result)})
        return self._get_dialog()

    def _get_answer(self, result):
        """Return ``result`` of ``invoice.run.explain`` as people read it."""
        record = self.env[self.res_model].browse(self.res_id)
        names = {"record": record.display_name, "run": self.run_id.reference}
        items = [Markup("<li>%s</li>") % reason["message"] for reason in result["reasons"]]
        head = Markup("<p>%s</p>") % self._get_headline(result, names)
        return head + Markup("<ul>%s</ul>") % Markup("").join(items) if items else head

    def _get_headline(self, result, names):
        if result["is_billed"] and result["is_in_run"]:
            return self.env._("%(record)s is in %(run)s, with all that is due of it.", **names)
        if result["is_billed"]:
            return self.env._(
                "%(record)s is not in %(run)s yet, and nothing stands in the way: generate the "
                "amounts of the run.",
                **names,
            )
        if result["is_in_run"]:
            return self.env._("%(record)s is in %(run)s, but not all of it is invoiced:", **names)
        return self.env._("%(record)s is not invoiced by %(run)s:", **names)

    def _get_dialog(self):
        name = self.env._("Why Is It Not in the Run?")
        return self._get_records_action(name=name, target="new")


class InvoiceRun(models.Model):
    """The button of a run."""

    _inherit = "invoice.run"

    def action_find_missing(self):
        """Ask for something that is missing in this run, and tell why."""
        self.ensure_one()
        self.check_access("read")
        wizard = self.env["invoice.run.explanation"].create(
            {"run_id": self.id, "res_model": self.scenario_id.source_model}
        )
        return wizard._get_dialog()


class InvoiceRunSource(models.AbstractModel):
    """The button of a contract, a usage item, an order."""

    _inherit = "invoice.run.source"

    def action_explain_billing(self):
        """Tell why this record is not in the newest open run; another one can be chosen there."""
        self.ensure_one()
        self.check_access("read")
        wizard = self.env["invoice.run.explanation"].create(
            {"run_id": self._get_run_to_explain().id, "res_model": self._name, "res_id": self.id}
        )
        return wizard.action_ask() if wizard.run_id else wizard._get_dialog()

    def _get_run_to_explain(self):
        """Return the newest open run that invoices such records, if possible one that has begun."""
        Run = self.env["invoice.run"]
        domain = [("company_id", "=", self.company_id.id), ("state", "in", RUN_UNFINISHED)]
        today = self.company_id._get_invoice_run_today()
        runs = Run.search([*domain, ("date_from", "<=", today)])
        runs += Run.search([*domain, ("date_from", ">", today)], order="date_from, id")
        return runs.filtered(lambda run: self._is_of_source(run.scenario_id))[:1]
