from ast import literal_eval

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain


class BillingScenario(models.Model):
    """What a run selects, and how that is billed and sent."""

    _name = "billing.scenario"
    _description = "Billing Scenario"
    _order = "name, id"
    _check_company_auto = True

    name = fields.Char(required=True, translate=True)
    description = fields.Text(translate=True)
    company_id = fields.Many2one(
        "res.company", required=True, index=True, default=lambda self: self.env.company
    )
    source = fields.Selection(
        [("contract", "Contracts"), ("usage", "Usage")],
        required=True,
        default="contract",
        help="Contracts: with the usage that belongs to them.",
    )
    source_model = fields.Char(compute="_compute_source_model")
    domain = fields.Char("Selection", default="[]", required=True)
    cluster_ids = fields.Many2many("billing.cluster", string="Clusters", check_company=True)
    only_checked_in = fields.Boolean(
        help="Only contracts whose customer has checked in and not yet out."
    )
    billing_mode = fields.Selection(
        [
            ("contract", "As set on each contract"),
            ("periodic", "Periodically"),
            ("date", "Until the target date of the run"),
            ("end", "Until the end of the contract"),
        ],
        required=True,
        default="contract",
    )
    split_periods = fields.Boolean(
        "One Invoice per Period",
        help="Cut what is billed until a date or the end on the contract's periods.",
    )
    enforce_collective = fields.Boolean(
        "Collective Invoices", help="One invoice per customer, whatever the customer's setting."
    )
    send_action = fields.Selection(
        [
            ("partner", "As the customer wants"),
            ("email", "Email"),
            ("print", "Print"),
            ("none", "Nothing"),
        ],
        "Send By",
        required=True,
        default="partner",
    )
    invoice_state = fields.Selection(
        [("posted", "Confirmed"), ("draft", "Draft")],
        "Invoices Are Made",
        required=True,
        default="posted",
    )
    rule_ids = fields.One2many("billing.scenario.rule", "scenario_id", "Rules", copy=True)
    active = fields.Boolean(default=True)

    @api.model
    def _get_source_models(self):
        """Return the model of each source; a bridge adds its own."""
        return {"contract": "billing.contract", "usage": "billing.usage"}

    @api.depends("source")
    def _compute_source_model(self):
        models_by_source = self._get_source_models()
        for scenario in self:
            scenario.source_model = models_by_source.get(scenario.source)

    def _get_source(self):
        """Return the empty recordset of the source: a model with ``invoice.run.source``."""
        self.ensure_one()
        return self.env[self.source_model]

    def _get_source_domain(self):
        """Return the selection and the rules of the scenario, as a domain on the source."""
        self.ensure_one()
        domain = Domain(literal_eval(self.domain or "[]"))
        return domain & Domain.AND([rule._get_rule_domain() for rule in self.rule_ids])

    @api.constrains("domain", "source", "rule_ids")
    def _check_domain(self):
        for scenario in self:
            try:
                scenario._get_source_domain().validate(scenario._get_source())
            except (ValueError, SyntaxError, TypeError, KeyError) as error:
                raise ValidationError(
                    self.env._(
                        "Scenario %(name)s: the selection cannot be read (%(error)s). "
                        "Correct the field “Selection” or the rules.",
                        name=scenario.name,
                        error=error,
                    )
                ) from error
