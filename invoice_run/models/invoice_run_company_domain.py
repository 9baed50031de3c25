from odoo import SUPERUSER_ID, api, models
from odoo.fields import Domain
from odoo.tools.safe_eval import safe_eval

#: Conditions on related records that name them by their ids, or say that there are none.
MEMBERSHIP = ("in", "not in")
HIERARCHY = ("child_of", "parent_of")


class InvoiceRun(models.Model):
    """A selection leads through related records of the run's company only.

    The engine searches as superuser, so that the result does not depend on who presses the
    button; customers and products may be shared by companies. Without this a selection like
    "customers with an order above 1,000" would tell of the orders of other companies.
    """

    _inherit = "invoice.run"

    def _get_company_domain(self, model, domain):
        """Return ``domain`` with the companies' record rules on all related records.

        :param model: empty recordset of what is searched; its own rules are the caller's
        """
        return domain.optimize(model).map_conditions(
            lambda condition: self._get_company_condition(model, condition)
        )

    def _get_company_condition(self, model, condition):
        name, operator, value = condition.field_expr, condition.operator, condition.value
        field = model._fields.get(name)
        if field is None or not field.relational:
            return condition
        comodel = model.env[field.comodel_name]
        rules = self._get_company_rules(comodel)
        if operator in ("any", "not any") and isinstance(value, Domain):
            return Domain(name, operator, rules & self._get_company_domain(comodel, value))
        if operator in HIERARCHY:
            return Domain(name, "any", rules & Domain("id", operator, value))
        if operator in MEMBERSHIP and field.type != "many2one":
            return self._get_membership(name, operator, value, rules)
        return condition

    @api.model
    def _get_membership(self, name, operator, values, rules):
        """Return that one of the related records which ``rules`` let see is among ``values``.

        False among them means: there is no such record at all.
        """
        ids = [value for value in values if value]
        domain = Domain(name, "any", rules & Domain("id", "in", ids))
        if len(ids) < len(values):
            domain |= Domain(name, "not any", rules)
        return domain if operator == "in" else ~domain

    def _get_company_rules(self, model):
        """Return the record rules of ``model`` that hold for everybody, in the run's company."""
        rules = self.env["ir.rule"].with_user(SUPERUSER_ID)
        rules = rules.with_context(allowed_company_ids=self.company_id.ids)
        found = rules.search(
            [
                ("model_id.model", "=", model._name),
                ("groups", "=", False),
                ("perm_read", "=", True),
            ]
        )
        values = rules._eval_context()
        domain = Domain.AND(safe_eval(rule.domain_force or "[]", values) for rule in found)
        for parent, name in model._inherits.items():
            domain &= Domain(name, "any", self._get_company_rules(self.env[parent]))
        return domain
