from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain

from ...engine import rule_values
from ..base.invoice_run_guarded import ENGINE

#: What people are asked for, per type of field: decides on the widget and the operators.
KINDS = {
    "boolean": "boolean",
    "char": "text",
    "date": "date",
    "datetime": "date",
    "float": "number",
    "html": "text",
    "integer": "number",
    "many2many": "many2one",
    "many2one": "many2one",
    "monetary": "number",
    "one2many": "many2one",
    "selection": "selection",
    "text": "text",
}
RANGE_OPERATORS = ("=", "!=", "in", "between", ">=", "<=")
OPERATORS = {
    "boolean": ("=", "!="),
    "date": RANGE_OPERATORS,
    "many2one": ("=", "!=", "in", "ilike"),
    "number": RANGE_OPERATORS,
    "selection": ("=", "!=", "in"),
    "text": ("=", "!=", "in", "ilike"),
}


class BillingScenarioRule(models.Model):
    """One condition of a scenario; its value is fixed, relative to today, or asked for.

    Values are kept as text that no language changes: dates as 2025-01-31 or as one of
    ``rule_values.RELATIVE_DATES``, yes and no, numbers with a point, ids or names of records,
    keys of a selection; several separated by commas.
    """

    _name = "billing.scenario.rule"
    _description = "Rule of a Billing Scenario"
    _inherit = "billing.selection"
    _order = "scenario_id, sequence, id"

    scenario_id = fields.Many2one("billing.scenario", required=True, index=True, ondelete="cascade")
    company_id = fields.Many2one(
        related="scenario_id.company_id", store=True, precompute=True, index=True
    )
    source_model = fields.Char(related="scenario_id.source_model")
    sequence = fields.Integer(default=10)
    name = fields.Char(required=True, translate=True)
    field_path = fields.Char(
        "Field", required=True, help="For example “partner_id.country_id.code”."
    )
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
    value_hint = fields.Char("Possible Values", compute="_compute_value_hint")
    is_asked = fields.Boolean(
        "Ask",
        help="The Invoice Manager asks for the value and proposes this one. A scenario that "
        "asks without proposing cannot be used by a schedule.",
    )

    def _get_scenarios(self):
        # EXTENDS 'billing.selection'
        return self.scenario_id

    @api.model
    def _get_selection_fields(self):
        # EXTENDS 'billing.selection'
        names = {"scenario_id", "field_path", "operator", "value", "value_to", "is_asked"}
        return super()._get_selection_fields() | names

    @api.depends("field_path", "scenario_id.source")
    def _compute_value_hint(self):
        for rule in self:
            try:
                rule.value_hint = rule._get_value_hint()
            except ValidationError:
                rule.value_hint = False

    def _get_value_hint(self):
        """Return what can be written into the value, in words."""
        kind = self._get_kind()
        if kind == "selection":
            return ", ".join(f"{key} ({label})" for key, label in self._get_selection())
        return {
            "boolean": self.env._("yes, no"),
            "date": ", ".join(["2025-01-31", *rule_values.RELATIVE_DATES]),
            "many2one": self.env._("name or database id"),
            "number": self.env._("number with a point"),
            "text": self.env._("text"),
        }[kind]

    # ------------------------------------------------------------------
    # Field
    # ------------------------------------------------------------------

    def _get_field(self):
        """Return the field at the end of ``field_path``.

        :raises ValidationError: there is no such field, or it cannot be searched
        """
        model = self.scenario_id._get_source()
        field = None
        for name in (self.field_path or "").split("."):
            field = model._fields.get(name) if model is not None else None
            if field is None:
                raise self._get_error(self.env._("there is no such field. Choose another one."))
            model = self.env[field.comodel_name] if field.relational else None
        if field.type not in KINDS or not field._description_searchable:
            raise self._get_error(self.env._("this field cannot be searched. Choose another one."))
        return field

    def _get_path_label(self):
        """Return the labels of the fields on the way, as the field's widget shows them.

        From the first one on that does not exist: as it was typed.
        """
        names = (self.field_path or "").split(".")
        labels = []
        model = self.scenario_id._get_source()
        while names and model is not None and names[0] in model._fields:
            field = model._fields[names.pop(0)]
            labels.append(field._description_string(self.env))
            model = self.env[field.comodel_name] if field.relational else None
        return " > ".join(labels + ([".".join(names)] if names else []))

    def _get_kind(self):
        """Return what is asked for: date, boolean, selection, many2one, text or number."""
        return KINDS[self._get_field().type]

    def _get_selection(self):
        """Return the (key, label) pairs of a selection field."""
        return self._get_field()._description_selection(self.env)

    def _get_error(self, reason):
        """Return the error that names rule and field."""
        return ValidationError(
            self.env._(
                "Rule “%(rule)s”, field “%(field)s”: %(reason)s",
                rule=self.name or "",
                field=self._get_path_label(),
                reason=reason,
            )
        )

    # ------------------------------------------------------------------
    # Value
    # ------------------------------------------------------------------

    def _parse_value(self, text):
        """Return ``text`` as a value of the field's kind.

        :raises ValidationError: the text is not such a value
        """
        text = (text or "").strip()
        try:
            return getattr(self, f"_parse_{self._get_kind()}")(text)
        except ValueError as error:
            raise self._get_error(
                self.env._(
                    "“%(value)s” is not a valid value. Possible values: %(hint)s.",
                    value=text,
                    hint=self._get_value_hint(),
                )
            ) from error

    def _parse_boolean(self, text):
        return rule_values.parse_boolean(text)

    def _parse_date(self, text):
        today = self.scenario_id.company_id._get_invoice_run_today()
        return rule_values.parse_date(text, today)

    def _parse_number(self, text):
        return rule_values.parse_number(text, whole=self._get_field().type == "integer")

    def _parse_selection(self, text):
        for key, label in self._get_selection():
            if text in (str(key), label):
                return key
        raise ValueError(text)

    def _parse_text(self, text):
        if not text:
            raise ValueError(text)
        return text

    def _parse_many2one(self, text):
        """Return the ids of the record or records that ``text`` names."""
        is_id = text.isdecimal()
        domain = Domain("id", "=", int(text)) if is_id else Domain("display_name", "=", text)
        records = self._get_named_records().with_context(active_test=not is_id)
        found = records.search(domain & self._get_read_rules(records)) if text else records
        if not found:
            raise ValueError(text)
        return found.ids

    def _get_named_records(self):
        """Return the empty recordset in which names are looked up, by whoever may see them.

        The engine reads them with the rights of their author, other users with their own.
        """
        records = self.env[self._get_field().comodel_name]
        records = records.with_context(allowed_company_ids=self.company_id.ids)
        return records.with_user(self._get_author()) if self.env.su and self.id else records

    # ------------------------------------------------------------------
    # Domain
    # ------------------------------------------------------------------

    def _get_rule_domain(self, value=None, value_to=None) -> Domain:
        """Return this condition as a domain on the source of the scenario.

        :param value: text, instead of the rule's own
        :param value_to: as ``value``, the second one of "is between"
        :raises ValidationError: names rule and field
        """
        self.ensure_one()
        self._check_operator()
        if self.operator == "ilike":
            return Domain(self.field_path, "ilike", self._parse_text((value or "").strip()))
        return getattr(self, f"_get_{self._get_kind()}_domain")(value, value_to)

    def _check_operator(self):
        kind = self._get_kind()
        if self.operator in OPERATORS[kind]:
            return
        labels = dict(self._fields["operator"]._description_selection(self.env))
        raise self._get_error(
            self.env._(
                "“%(operator)s” cannot be used with this field. Possible operators: %(operators)s.",
                operator=labels.get(self.operator, ""),
                operators=", ".join(labels[operator] for operator in OPERATORS[kind]),
            )
        )

    def _get_values(self, value):
        """Return the values that ``value`` holds: several only for "is one of"."""
        texts = (value or "").split(",") if self.operator == "in" else [value]
        return [self._parse_value(text) for text in texts]

    def _get_text_domain(self, value, value_to=None):
        values = self._get_values(value)
        operator = "not in" if self.operator == "!=" else "in"
        return Domain(self.field_path, operator, values)

    _get_boolean_domain = _get_text_domain
    _get_selection_domain = _get_text_domain

    def _get_many2one_domain(self, value, value_to=None):
        ids = [record_id for found in self._get_values(value) for record_id in found]
        operator = "not in" if self.operator == "!=" else "in"
        return Domain(self.field_path, operator, ids)

    def _get_number_domain(self, value, value_to=None):
        if self.operator == "between":
            return self._get_range_domain(*self._parse_bounds(value, value_to))
        if self.operator in (">=", "<="):
            return Domain(self.field_path, self.operator, self._parse_value(value))
        return self._get_text_domain(value)

    def _get_date_domain(self, value, value_to=None):
        """Return the condition on whole days, in the company's time zone for points in time."""
        if self.operator == "between":
            return self._get_days_domain(*self._parse_bounds(value, value_to))
        days = self._get_values(value)
        if self.operator == ">=":
            return self._get_days_domain(days[0], None)
        if self.operator == "<=":
            return self._get_days_domain(None, days[0])
        if self.operator == "!=":
            return ~self._get_days_domain(days[0], days[0])
        return Domain.OR([self._get_days_domain(day, day) for day in days])

    def _parse_bounds(self, value, value_to):
        """Return both ends of "is between", None for one that was left open.

        :raises ValidationError: both are open, or the second is before the first
        """
        first = self._parse_value(value) if value or not value_to else None
        last = self._parse_value(value_to) if value_to else None
        if last is None and not self.is_asked:
            raise self._get_error(self.env._("the second value is missing. Fill it in."))
        if first is not None and last is not None and last < first:
            raise self._get_error(self.env._("the second value is before the first. Swap the two."))
        return first, last

    def _get_days_domain(self, first, last):
        if self._get_field().type == "date":
            return self._get_range_domain(first, last)
        company = self.scenario_id.company_id
        begin = company._get_invoice_run_day_start(first) if first else None
        end = company._get_invoice_run_day_start(last, 1) if last else None
        return self._get_range_domain(begin, end, "<")

    def _get_range_domain(self, first, last, before="<="):
        """Return the condition "from ``first`` to ``last``" on one and the same related record."""
        *path, name = self.field_path.split(".")
        domain = Domain(name, ">=", first) if first is not None else Domain.TRUE
        if last is not None:
            domain &= Domain(name, before, last)
        for parent in reversed(path):
            domain = Domain(parent, "any", domain)
        return domain

    # ------------------------------------------------------------------
    # Checks
    # ------------------------------------------------------------------

    def _has_value(self):
        return bool((self.value or "").strip() or (self.value_to or "").strip())

    @api.constrains("field_path", "operator", "value", "value_to", "is_asked", "scenario_id")
    def _check_rule(self):
        if self.env.context.get("invoice_run_defaults") is ENGINE:
            return
        # Odoo checks as superuser; a name that is looked up must be one that the user may see
        for rule in self.sudo(False):
            if rule._has_value() or not rule.is_asked:
                rule._get_rule_domain(rule.value, rule.value_to)
            else:
                rule._check_operator()
                rule._check_not_scheduled()
        # the path may lead to what this user may not see
        self.scenario_id._check_domain()

    def _check_not_scheduled(self):
        """Refuse a question where nobody is there to answer it.

        :raises ValidationError: a schedule uses the scenario
        """
        # sudo: schedules of the same company that this user may not see are meant as well
        schedule = (
            self.env["invoice.run.schedule"]
            .sudo()
            .search(
                [
                    ("scenario_id", "=", self.scenario_id.id),
                    ("cycle", "!=", "once"),
                    ("state", "!=", "closed"),
                ],
                limit=1,
            )
        )
        if schedule:
            raise self._get_error(
                self.env._(
                    "schedule %(schedule)s uses this scenario and cannot answer a question. "
                    "Enter a value.",
                    schedule=schedule.reference,
                )
            )
