from dateutil.relativedelta import relativedelta

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain

from .. import periods

RELATIVE_DATES = {
    "today": lambda today: today,
    "month_start": lambda today: today + relativedelta(day=1),
    "month_end": lambda today: today + relativedelta(day=31),
    "previous_month_start": lambda today: today + relativedelta(months=-1, day=1),
    "previous_month_end": lambda today: today + relativedelta(day=1) - periods.DAY,
}


class BillingScenarioRule(models.Model):
    """One condition of a scenario."""

    _name = "billing.scenario.rule"
    _description = "Rule of a Billing Scenario"
    _order = "scenario_id, sequence, id"

    scenario_id = fields.Many2one("billing.scenario", required=True, index=True, ondelete="cascade")
    sequence = fields.Integer(default=10)
    name = fields.Char(required=True, translate=True)
    field_path = fields.Char("Field", required=True, help="E.g. “partner_id.country_id.code”.")
    operator = fields.Selection(
        [
            ("=", "is"),
            ("!=", "is not"),
            ("in", "is one of"),
            ("between", "is between"),
            (">=", "is at least"),
            ("<=", "is at most"),
            ("ilike", "contains"),
        ],
        required=True,
        default="=",
    )
    value = fields.Char(
        help="Several values are separated by commas. Dates: 2025-01-31, or today, month_start, "
        "month_end, previous_month_start, previous_month_end."
    )
    value_to = fields.Char("To", help="Second value of “is between”, included.")

    def _get_field(self):
        """Return the field at the end of ``field_path``.

        :raises ValidationError: there is no such field
        """
        model = self.scenario_id._get_source()
        field = None
        for name in self.field_path.split("."):
            field = model._fields.get(name) if model is not None else None
            if field is None:
                raise ValidationError(
                    self.env._(
                        "Rule “%(rule)s”: there is no field “%(field)s”.",
                        rule=self.name,
                        field=self.field_path,
                    )
                )
            model = self.env[field.comodel_name] if field.relational else None
        return field

    def _parse_value(self, text):
        """Return ``text`` as a value of the field's type.

        :raises ValidationError: the text is not such a value
        """
        text = (text or "").strip()
        parse = {
            "date": self._parse_date,
            "datetime": self._parse_date,
            "boolean": lambda value: value.lower() in ("1", "true", "yes"),
            "integer": int,
            "many2one": lambda value: int(value) if value.isdigit() else value,
            "float": float,
            "monetary": float,
        }.get(self._get_field().type, str)
        try:
            return parse(text)
        except ValueError as error:
            raise ValidationError(
                self.env._(
                    "Rule “%(rule)s”: “%(value)s” is not a valid value for “%(field)s”.",
                    rule=self.name,
                    value=text,
                    field=self.field_path,
                )
            ) from error

    def _parse_date(self, text):
        if text in RELATIVE_DATES:
            return RELATIVE_DATES[text](self.scenario_id.company_id._get_invoice_run_today())
        return fields.Date.to_date(text)

    def _get_rule_domain(self) -> Domain:
        """Return this condition as a domain on the source of the scenario."""
        self.ensure_one()
        if self.operator == "between":
            return Domain(self.field_path, ">=", self._parse_value(self.value)) & Domain(
                self.field_path, "<=", self._parse_value(self.value_to)
            )
        if self.operator == "in":
            values = [self._parse_value(value) for value in (self.value or "").split(",")]
            return Domain(self.field_path, "in", values)
        return Domain(self.field_path, self.operator, self._parse_value(self.value))

    @api.constrains("field_path", "operator", "value", "value_to")
    def _check_rule(self):
        for rule in self:
            rule._get_rule_domain()
