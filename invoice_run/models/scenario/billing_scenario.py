import logging
from ast import literal_eval

import psycopg2

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.fields import Domain
from odoo.tools import SQL, mute_logger

from ..base.invoice_run_guarded import ENGINE

_logger = logging.getLogger(__name__)


class BillingScenario(models.Model):
    """What a run selects, and how that is invoiced and sent."""

    _name = "billing.scenario"
    _description = "Billing Scenario"
    _inherit = "billing.selection"
    _order = "name, id"
    _check_company_auto = True

    name = fields.Char(required=True, translate=True)
    description = fields.Text(translate=True)
    company_id = fields.Many2one(
        "res.company", required=True, index=True, default=lambda self: self.env.company
    )
    source = fields.Selection(
        selection="_selection_source",
        required=True,
        default="contract",
        help="Contracts: including the usage that belongs to them.",
    )
    source_model = fields.Char(compute="_compute_source_model")
    has_periods = fields.Boolean(compute="_compute_source_model")
    follows_invoices = fields.Boolean(compute="_compute_source_model")
    domain = fields.Char(
        "Selection",
        default="[]",
        required=True,
        help="Only records that match are invoiced. Without a condition: all.",
    )
    cluster_ids = fields.Many2many(
        "billing.cluster",
        string="Clusters",
        check_company=True,
        context={"active_test": False},
        ondelete="restrict",
    )
    only_checked_in = fields.Boolean(
        help="Only contracts whose customer has checked in and not yet checked out."
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
        help="Until when contracts are invoiced; all but the first option override the setting "
        "of the contract.",
    )
    split_periods = fields.Boolean(
        "One Invoice per Period",
        help="Create one invoice per billing period where contracts are invoiced until a date or "
        "their end.",
    )
    enforce_collective = fields.Boolean(
        "Collective Invoices", help="One invoice per customer, whatever the customer's setting."
    )
    allow_free_usage = fields.Boolean(
        "Usage Without a Price Is Free",
        help="It is invoiced at 0.00. Otherwise it is an exception, until somebody fills in the "
        "price or a discount of 100 %.",
    )
    send_action = fields.Selection(
        selection="_selection_send_action",
        string="Send By",
        required=True,
        default="partner",
        help="How invoices are sent; this can be changed for each invoice before it is sent.",
    )
    mail_template_id = fields.Many2one(
        "mail.template",
        "Email Template",
        domain=[("model", "=", "account.move")],
        help="Empty: the company's template for runs, else Odoo's own for invoices.",
    )
    invoice_state = fields.Selection(
        [("posted", "Confirmed"), ("draft", "Draft")],
        "Create Invoices As",
        required=True,
        default="posted",
        help="Drafts have no number yet; they are confirmed from the run.",
    )
    rule_ids = fields.One2many("billing.scenario.rule", "scenario_id", "Rules", copy=True)
    active = fields.Boolean(default=True)
    due_count = fields.Integer(
        "Due Now",
        compute="_compute_due",
        help="Records with something due that a run would fetch today. Conditions whose value "
        "the Invoice Manager asks for count with the value that it proposes.",
    )
    due_error = fields.Text("Why Nothing Can Be Counted", compute="_compute_due")

    @api.model
    def _selection_send_action(self):
        ways = self.env["invoice.run.document"]._selection_send_action()
        return [("partner", self.env._("As set on the customer")), *ways]

    @api.model
    def _selection_source(self):
        sources = self.env["invoice.run.source"]._get_sources()
        return [(source._source_key, source._get_source_label()) for source in sources]

    @api.depends("source")
    def _compute_source_model(self):
        models_by_source = self.env["invoice.run.source"]._get_source_models()
        for scenario in self:
            name = models_by_source.get(scenario.source)
            scenario.source_model = name
            source = self.env[name or "invoice.run.source"]
            scenario.has_periods = source._source_has_periods
            scenario.follows_invoices = source._source_follows_invoices

    def _get_source(self):
        """Return the empty recordset of the source: a model with ``invoice.run.source``.

        In the company of the scenario alone: what differs by company is read there.

        :raises UserError: the addon of the source is gone
        """
        self.ensure_one()
        if not self.source_model:
            raise UserError(
                self.env._(
                    "Scenario %(name)s: what it invoices is not installed any more. Choose "
                    "another source.",
                    name=self.name,
                )
            )
        source = self.env[self.source_model]
        return source.with_context(allowed_company_ids=self.company_id.ids)

    def _get_scenarios(self):
        # EXTENDS 'billing.selection'
        return self

    @api.model
    def _get_selection_fields(self):
        # EXTENDS 'billing.selection'
        return super()._get_selection_fields() | {"domain", "source", "company_id"}

    def _get_source_domain(self, run, author=None):
        """Return the selection and the rules of the scenario, as a domain on the source.

        Sources ask ``run._get_source_domain()``, which narrows this one as the run says.

        :param run: its values of the rules that ask; empty: those that the rules propose
        :param author: the user whose rights apply; None: the authors of selection and rules
        """
        self.ensure_one()
        conditions = {}
        for _what, writer, condition in self._get_source_conditions(run, author):
            conditions[writer] = conditions.get(writer, Domain.TRUE) & condition
        source = self._get_source()
        return Domain.AND(
            self._get_readable_domain(source, domain, writer)
            for writer, domain in conditions.items()
        )

    def _get_source_conditions(self, run, author=None):
        """Yield (this scenario or its rule, with whose rights it is read, its condition).

        :param run: see :meth:`_get_source_domain`
        :param author: see :meth:`_get_source_domain`
        """
        yield self, author or self._get_author(), Domain(self._get_selection())
        for rule in self.rule_ids:
            yield rule, author or rule._get_author(), run._get_rule_domain(rule)

    def action_take_over(self):
        """From now on, read the selection and the rules with the rights of this user.

        :raises ValidationError: this user may not read what they lead to
        """
        self.check_access("write")
        self._check_domain()
        for records in (self, self.rule_ids):
            records._write_engine({"author_id": self.env.uid})

    @api.depends(
        "source",
        "domain",
        "company_id",
        "cluster_ids",
        "only_checked_in",
        "billing_mode",
        "rule_ids.field_path",
        "rule_ids.operator",
        "rule_ids.value",
        "rule_ids.value_to",
        "rule_ids.is_asked",
    )
    def _compute_due(self):
        for scenario in self:
            scenario.due_count, scenario.due_error = scenario._get_due()

    def _get_due(self):
        """Return how many records a run would fetch today, and why that cannot be said."""
        self.ensure_one()
        if not self.source_model:
            return 0, self.env._("Choose what is invoiced.")
        # neither what is pending nor what a form holds in memory is lost with an error
        self.env.flush_all()
        try:
            with self.env.cr.savepoint(flush=False):
                return self._count_due(), False
        except UserError as error:
            return 0, str(error)
        except (ValueError, SyntaxError, TypeError, KeyError, psycopg2.Error) as error:
            _logger.info("Billing scenario %s cannot be counted", self.id, exc_info=True)
            return 0, self.env._("The selection cannot be read (%(error)s).", error=error)

    def _count_due(self):
        """Return how many of the records that a run would fetch this user can see."""
        today = self.company_id._get_invoice_run_today()
        # sudo: as a run reads one that is saved, with the rights of its author; counted with
        # those of the reader. What is being typed is its reader's in both.
        scenario = self.sudo() if self.id else self
        run = scenario.env["invoice.run"].new(
            {
                "scenario_id": scenario,
                "company_id": self.company_id.id,
                "target_date": today,
                "invoice_date": today,
                "is_preview": True,
            }
        )
        return self._get_source()._get_run_count(run)

    def _get_selection(self):
        """Return the field “Selection” as a list of conditions.

        :raises ValueError: it is something else
        """
        conditions = literal_eval((self.domain or "[]").strip())
        if not isinstance(conditions, list):
            raise ValueError(self.domain)
        return conditions

    @api.constrains("mail_template_id")
    def _check_mail_template(self):
        for scenario in self:
            if error := scenario.mail_template_id._get_invoice_error():
                raise ValidationError(error)

    @api.constrains("domain", "source", "rule_ids")
    def _check_domain(self):
        if self.env.context.get("invoice_run_defaults") is ENGINE:
            return
        for scenario in self:
            # Odoo checks as superuser; the selection must not lead to what its author cannot see
            error = scenario.sudo(False)._get_selection_error(author=self.env.user)
            if error:
                raise ValidationError(error)

    def _get_selection_error(self, run=None, author=None):
        """Return why what this scenario selects cannot be searched for; None where it can.

        Asked when a scenario is saved, as the user who saves it, and again when a run uses it:
        a field can vanish with its addon. PostgreSQL plans the query, it reads no record.

        :param run: with its values of the rules that ask
        :param author: the user whose rights apply; None: the authors of selection and rules
        """
        self.ensure_one()
        self.env.flush_all()
        try:
            # flush=False: nothing is written here, and what waits for the end of the transaction
            # must wait: a new company has its chart of accounts loaded then
            with self.env.cr.savepoint(flush=False), mute_logger("odoo.sql_db"):
                run = run or self.env["invoice.run"].new({"scenario_id": self, "is_preview": True})
                query = self._get_source()._search(run._get_source_domain(author))
                self.env.execute_query(SQL("EXPLAIN %s", query.select()))
        except self.env["invoice.run"]._get_retry_errors():
            raise
        except UserError as error:
            reason = str(error)
        except Exception as error:  # any error that a typed domain can cause
            reason = (str(error).strip() or repr(error)).splitlines()[0]
        else:
            return None
        return self.env._(
            "Scenario %(name)s: the selection cannot be read (%(error)s). "
            "Correct the field “Selection” or the rules.",
            name=self.name,
            error=reason,
        )
