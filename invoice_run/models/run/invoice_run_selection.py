from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain


class InvoiceRun(models.Model):
    """What a run selects: the scenario, with values that a person chose for this run."""

    _inherit = "invoice.run"

    rule_values = fields.Json(
        "Values of the Rules",
        copy=False,
        help="{rule id: [value, second value]}: the answers to the rules that ask for a value.",
    )
    partner_ids = fields.Many2many(
        "res.partner",
        string="Only Customers",
        context={"active_test": False},
        ondelete="restrict",
        help="Invoice these customers and no others.",
    )
    record_ids = fields.Json(
        "Only Records", copy=False, help="Ids of the source's records that are invoiced."
    )
    is_preview = fields.Boolean(
        store=False, help="Nobody has been asked yet: rules use the value that they propose."
    )

    def _get_source_domain(self, author=None):
        """Return what this run selects, as a domain on the source of its scenario.

        :param author: the user whose rights apply; None: the authors of the conditions
        :raises UserError: they have lost their rights, or are gone
        """
        self.ensure_one()
        return Domain.AND(self._get_source_conditions(author).values())

    def _get_source_conditions(self, author=None):
        """Return {code: domain}: the scenario's selection, and what was chosen for this run.

        :param author: see :meth:`_get_source_domain`
        """
        selection = self.scenario_id._get_source_domain(self, author)
        return {"selection": selection, **self._get_chosen_conditions()}

    def _get_chosen_conditions(self):
        """Return {code: domain}: the customers and records that were chosen for this run."""
        source, conditions = self.scenario_id._get_source(), {}
        if self.partner_ids:
            payers = self.partner_ids.commercial_partner_id
            conditions["customers"] = Domain(source._get_payer_field(), "in", payers.ids)
        if self.record_ids:
            conditions["records"] = Domain("id", "in", self.record_ids)
        return conditions

    def _get_stop_message(self):
        """Return why this run as a whole can invoice nothing until it is corrected, else None."""
        self.ensure_one()
        error = self.company_id._get_invoice_run_accounts_error()
        return error or self.scenario_id._get_selection_error(self)

    def _get_rule_domain(self, rule) -> Domain:
        """Return the condition of ``rule`` with the value that it has in this run.

        An answer that was left empty is not a condition. A rule that should have asked, and has
        no value, selects nothing: a run never invoices more than somebody asked for.
        """
        if not rule.is_asked:
            return rule._get_rule_domain(rule.value, rule.value_to)
        answers = self.rule_values or {}
        if str(rule.id) in answers:
            values = answers[str(rule.id)]
            return rule._get_rule_domain(*values) if any(values) else Domain.TRUE
        if rule._has_value():
            return rule._get_rule_domain(rule.value, rule.value_to)
        return Domain.TRUE if self.is_preview else Domain.FALSE

    @api.constrains("rule_values", "scenario_id")
    def _check_rule_values(self):
        # Odoo checks as superuser; what a person answers names nothing that this person cannot see
        for run in self.sudo(False):
            for rule in run.scenario_id.rule_ids.filtered("is_asked"):
                run._check_rule_value(rule)

    def _check_rule_value(self, rule):
        """Refuse an answer that is not a value, and a run whose questions nobody answered.

        :raises ValidationError: names rule and field
        """
        answers = self.rule_values or {}
        if str(rule.id) not in answers and not rule._has_value():
            raise rule._get_error(
                self.env._(
                    "the scenario asks for this value. Create the run in the Invoice Manager, or "
                    "enter a value in the scenario."
                )
            )
        values = answers.get(str(rule.id), [])
        if not isinstance(values, list) or len(values) > 2:
            raise rule._get_error(self.env._("give one value or two."))
        self._get_rule_domain(rule)

    @api.constrains("record_ids")
    def _check_record_ids(self):
        for run in self:
            ids = run.record_ids or []
            if not isinstance(ids, list) or not all(type(item) is int for item in ids):
                raise ValidationError(
                    self.env._("%(run)s: the records to invoice must be ids.", run=run.reference)
                )

    def _get_selected_payers(self):
        """Return the customers for whom what this run selects is due."""
        payers = self.scenario_id._get_source()._get_run_payers(self)
        if self.partner_ids:
            # usage of a selected contract may be paid by somebody else
            payers &= self.partner_ids.commercial_partner_id
        return payers
