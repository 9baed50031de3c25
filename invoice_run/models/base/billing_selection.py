from odoo import SUPERUSER_ID, api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.fields import Domain
from odoo.tools import SQL
from odoo.tools.safe_eval import safe_eval

from .invoice_run_guarded import EngineValue

#: Conditions on related records that name them by their ids, or say that there are none.
MEMBERSHIP = ("in", "not in")
HIERARCHY = ("child_of", "parent_of")
#: Fields of a scenario that only describe it: changing any other one is preparing its runs.
UNPREPARED_FIELDS = {"active", "description", "name", "sequence"}


class BillingSelection(models.AbstractModel):
    """Conditions that a person wrote, read with the rights of this person each time.

    The engine works as superuser, so that the result does not depend on the user who presses the
    button; what is selected depends on the author of the conditions. Record rules count at each
    step of a path: without this a selection like "customers with an order above 1,000" would
    reveal orders that its author cannot see. What the installation writes, such as the default
    scenarios, is read with the record rules that hold for everybody, those of the companies.
    """

    _name = "billing.selection"
    _description = "Conditions with the Rights of Their Author"
    _inherit = "invoice.run.guarded"

    author_id = fields.Many2one(
        "res.users",
        "Read with the Rights of",
        readonly=True,
        copy=False,
        ondelete="set null",
        help="The user who last changed the conditions. A run invoices nothing that this user "
        "cannot see.",
        engine=True,
    )

    @api.model
    def _get_selection_fields(self):
        """Return the names of the fields that hold the conditions."""
        return set()

    @api.model_create_multi
    def create(self, vals_list):
        author = {"author_id": EngineValue(self.env.uid)}
        # one that is given is refused there
        vals_list = [vals if vals.get("author_id") else {**vals, **author} for vals in vals_list]
        records = super().create(vals_list)
        self.env["billing.change"]._note(records._get_scenarios())
        return records

    def write(self, vals):
        result = super().write(vals)
        if not self._get_selection_fields().isdisjoint(vals):
            self._write_engine({"author_id": self.env.uid})
        if not UNPREPARED_FIELDS.issuperset(vals):
            self.env["billing.change"]._note(self._get_scenarios())
        return result

    def unlink(self):
        # with one condition less it selects more
        self.env["billing.change"]._note(self._get_scenarios())
        return super().unlink()

    def _get_scenarios(self):
        """Return the scenarios whose runs select by these conditions."""
        raise NotImplementedError

    def _init_column(self, column_name):
        # EXTENDS 'base': what was there before belongs to whoever wrote it last
        if column_name != "author_id":
            return super()._init_column(column_name)
        query = SQL(
            "UPDATE %s SET author_id = COALESCE(write_uid, create_uid) WHERE author_id IS NULL",
            SQL.identifier(self._table),
        )
        return self.env.cr.execute(query)

    def _get_author(self):
        """Return the user whose rights these conditions have: while typing, the present one.

        :raises UserError: the author was archived or deleted
        """
        self.ensure_one()
        if not self.id:
            return self.env.user
        # sudo: whoever counts or runs need not see other users
        author = self.sudo().author_id
        if author.id == SUPERUSER_ID or author.active:
            return author
        if not author:
            raise UserError(
                self.env._("its author no longer exists; another user can take it over")
            )
        raise UserError(
            self.env._(
                "its author, %(user)s, is archived; another user can take it over",
                user=author.name,
            )
        )

    # ------------------------------------------------------------------
    # The author's view
    # ------------------------------------------------------------------

    def _get_readable_domain(self, model, domain, author):
        """Return ``domain`` as ``author`` can search for it.

        :param model: empty recordset of what is searched, in the company of the conditions
        :raises UserError: the author may not read everything that it leads to
        """
        model = model.with_user(author)
        try:
            domain = self._get_ruled_domain(model, domain)
            if author.id == SUPERUSER_ID:
                return domain
            return Domain("id", "in", model._search(domain))
        except AccessError as error:
            raise UserError(
                self.env._(
                    "it is read with the rights of %(user)s, who may not see everything that it "
                    "needs; another user can take it over: %(reason)s",
                    user=author.name,
                    reason=str(error).strip().splitlines()[0],
                )
            ) from error

    def _get_ruled_domain(self, model, domain):
        """Return ``domain`` with the record rules on all related records.

        :param model: empty recordset of what is searched; its own rules are the caller's
        """
        return domain.optimize(model).map_conditions(
            lambda condition: self._get_ruled_condition(model, condition)
        )

    def _get_ruled_condition(self, model, condition):
        name, operator, value = condition.field_expr, condition.operator, condition.value
        field = model._fields.get(name)
        if field is None or not field.relational:
            return condition
        comodel = model.env[field.comodel_name]
        rules = self._get_read_rules(comodel)
        if operator in ("any", "not any") and isinstance(value, Domain):
            return Domain(name, operator, rules & self._get_ruled_domain(comodel, value))
        if operator in HIERARCHY:
            return Domain(name, "any", rules & Domain("id", operator, value))
        if operator in MEMBERSHIP and field.type != "many2one":
            return self._get_membership(name, operator, value, rules)
        return condition

    @api.model
    def _get_membership(self, name, operator, values, rules):
        """Return the condition that a related record that ``rules`` let see is among ``values``.

        False among them means: there is no such record at all.
        """
        ids = [value for value in values if value]
        domain = Domain(name, "any", rules & Domain("id", "in", ids))
        if len(ids) < len(values):
            domain |= Domain(name, "not any", rules)
        return domain if operator == "in" else ~domain

    @api.model
    def _get_read_rules(self, model):
        """Return the record rules on ``model`` for its user; for the system, those of everybody."""
        if not model.env.su:
            return model.env["ir.rule"]._compute_domain(model._name, "read")
        rules = model.env["ir.rule"]
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
            domain &= Domain(name, "any", self._get_read_rules(model.env[parent]))
        return domain
