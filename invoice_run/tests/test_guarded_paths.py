"""Every field that only the engine writes, on every path that leads to it, as every role.

Models, fields and the relations that lead to them are found in the registry, so a new one is
tried without anybody thinking of it.
"""

import logging

from lxml import etree

from odoo.exceptions import AccessError, MissingError, UserError
from odoo.fields import Command
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

_logger = logging.getLogger(__name__)

#: What a refusal may be; anything else is a mistake, of the code or of this test.
REFUSALS = (AccessError, UserError, MissingError)
#: Written by the ORM itself.
ORM_FIELDS = {"id", "create_uid", "create_date", "write_uid", "write_date", "display_name"}
#: Who tries it, with all the rights that matter; the others have less of the same.
ATTACKERS = ("user", "manager", "accountant", "employee", "portal")


@tagged("post_install", "-at_install")
class TestGuardedPaths(InvoiceRunCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls._make_partner("Other", "other@example.com")
        cls.contract = cls._make_contract(date_start="2024-01-01")
        cls._make_contract(date_start="2024-01-01", partner_id=cls.other.id, billing_hold=True)
        cls.usage = cls._make_usage(date="2024-01-03")
        cls.order = cls._make_order()
        cls._make_prices()
        cls.waiting = cls._make_run("2024-01-15")
        cls._generate(cls.waiting)
        cls.invoiced = cls._make_draft_invoice()
        # as the engine claims an item of a price line by usage
        cls.env["invoice.run.usage"].sudo().create(
            {"line_id": cls.invoiced.line_ids[:1].id, "usage_id": cls.usage.id}
        )
        cls.users = cls._make_attackers()

    @classmethod
    def _make_prices(cls):
        """A price update, and a planned price so late that no run looks at it."""
        cls.env["billing.contract.line.price"].create(
            {
                "contract_line_id": cls.contract.line_ids[:1].id,
                "date_from": "2030-01-01",
                "price_unit": 1.0,
            }
        )
        updates = cls.env["billing.price.update"]
        updates.create({"name": "Prices", "company_id": cls.company.id}).action_find_lines()

    @classmethod
    def _generate(cls, run):
        run.action_generate_amounts()
        run._process_queue()

    @classmethod
    def _make_draft_invoice(cls):
        """A run whose invoice is not confirmed."""
        drafts = cls._make_scenario("Drafts", source="usage", invoice_state="draft")
        run = cls._make_run("2024-01-31", drafts)
        cls._generate(run)
        run.action_approve()
        run.action_generate_invoices()
        run._process_queue()
        return run

    @classmethod
    def _make_attackers(cls):
        groups = {
            "user": "invoice_run.invoice_run_group_user,sales_team.group_sale_salesman_all_leads",
            "manager": "invoice_run.invoice_run_group_manager,sales_team.group_sale_manager,"
            "account.group_account_manager,base.group_partner_manager",
            "accountant": "account.group_account_manager",
            "employee": "sales_team.group_sale_manager,base.group_partner_manager",
            "portal": "base.group_portal",
        }
        return {role: cls._make_user(f"path_{role}", names) for role, names in groups.items()}

    @classmethod
    def _make_order(cls):
        product = cls._make_product("Ordered", 50.0, invoice_policy="order")
        # sudo: what exists before the attack, whoever made it
        return (
            cls.env["sale.order"]
            .sudo()
            .create(
                {
                    "partner_id": cls.debtor.id,
                    "company_id": cls.company.id,
                    "order_line": [Command.create({"product_id": product.id})],
                }
            )
        )

    # ------------------------------------------------------------------
    # What is guarded
    # ------------------------------------------------------------------

    def _get_guarded(self):
        """Yield (model, names of the fields) of what is guarded, from the registry."""
        guard = self.env.registry["invoice.run.guarded"]
        for name, cls in self.env.registry.items():
            # models of addons beside have records in the tests of those addons alone
            is_beside = cls._original_module.startswith("invoice_run_")
            if cls._abstract or is_beside or not issubclass(cls, guard):
                continue
            model = self.env[name]
            names = model._get_guarded_names() | set(model._get_reserved_fields())
            kept = [name for name in sorted(names - ORM_FIELDS) if model._fields[name].store]
            yield name, kept

    def test_fields_say_it_themselves(self):
        run, schedule = self.env["invoice.run"], self.env["invoice.run.schedule"]
        # of the run's own file, and of those that add to it
        own = {"state", "job", "line_ids", "job_error", "is_managed", "renew_payer_ids"}
        self.assertLessEqual(own, run._get_guarded_names())
        self.assertTrue(run._get_guarded_names().isdisjoint({"name", "invoice_date"}))
        self.assertEqual(run._get_reserved_fields(), {})
        group = "invoice_run.invoice_run_group_manager"
        self.assertEqual(schedule._get_reserved_fields(), {"auto_approve": group})
        # lists of names, as there were before, would guard nothing
        for name, _fields in self._get_guarded():
            self.assertFalse(hasattr(self.env[name], "_get_engine_fields"), name)
        # a mixin's field on the models that have it
        self.assertEqual(self.env["billing.scenario"]._get_guarded_names(), {"author_id"})
        # of the engine's own records all but what a person chooses
        document, line = self.env["invoice.run.document"], self.env["invoice.run.line"]
        self.assertEqual(set(document._fields) - document._get_guarded_names(), {"send_action"})
        self.assertEqual(set(line._fields), line._get_guarded_names())

    def _get_record(self, model):
        """Return the record of ``model`` that is attacked."""
        move = self.invoiced.invoice_ids
        chosen = {
            "account.move": move,
            "account.move.line": move.invoice_line_ids,
            "billing.contract": self.contract,
            "billing.contract.line": self.contract.line_ids,
            "billing.usage": self.usage,
            "invoice.run": self.waiting,
            "invoice.run.document": self.waiting.document_ids,
            "invoice.run.exception": self.waiting.exception_ids,
            "invoice.run.line": self.waiting.line_ids,
            "invoice.run.schedule": self.waiting.schedule_id,
            "sale.order": self.order,
        }
        record = chosen.get(model) or self.env[model].sudo().search([], limit=1)
        self.assertTrue(record, f"{model}: the test needs a record")
        return record[:1].sudo()

    def _get_create_vals(self, model):
        """Return values with which somebody with the right could create a record."""
        company = {"company_id": self.company.id}
        product = {"product_id": self.product.id}
        makers = {
            "account.move": {
                "move_type": "out_invoice",
                "partner_id": self.debtor.id,
                "journal_id": self.invoiced.invoice_ids.journal_id.id,
                "invoice_line_ids": [Command.create({**product, "price_unit": 5.0})],
            },
            "account.move.line": {
                "move_id": self.invoiced.invoice_ids.id,
                **product,
                "price_unit": 5.0,
            },
            "billing.contract": {"partner_id": self.debtor.id, **company},
            "billing.contract.line": {"contract_id": self.contract.id, **product},
            "billing.usage": {"partner_id": self.debtor.id, **product, **company},
            "invoice.run": {"scenario_id": self.scenario.id, "invoice_date": "2024-01-15"},
            "invoice.run.schedule": {
                "name": "Monthly",
                "date_from": "2024-01-01",
                "scenario_id": self.scenario.id,
                **company,
            },
            "sale.order": {"partner_id": self.debtor.id, **company},
        }
        if model in makers:
            return makers[model]
        return {
            name: value
            for name, value in self._get_record(model).copy_data()[0].items()
            if not isinstance(value, list)
        }

    def _get_forged(self, record, name):
        """Return a value of field ``name`` that is not the one that ``record`` has."""
        if name == "auto_approve":
            return "yes"  # anybody may ask for an approval
        field = record._fields[name]
        value = record[name]
        if field.type == "boolean":
            return not value
        if field.type in ("integer", "float", "monetary"):
            return (value or 0) + 7
        if field.type in ("char", "text", "html"):
            return "forged"
        if field.type == "date":
            return "2001-01-01"
        if field.type == "datetime":
            return "2001-01-01 00:00:00"
        if field.type == "json":
            return {"forged": 1}
        if field.type == "selection":
            choices = [key for key, _label in field._description_selection(self.env)]
            return next(key for key in reversed(choices) if key != value)
        return self._get_forged_link(field, value)

    def _get_forged_link(self, field, value):
        comodel = self.env[field.comodel_name].sudo().with_context(active_test=False)
        other = comodel.search([("id", "not in", value.ids)], limit=1)
        if field.type == "many2one":
            return other.id
        return [Command.link(other.id)] if other else [Command.clear()]

    # ------------------------------------------------------------------
    # Attempts
    # ------------------------------------------------------------------

    def _try(self, attempt):
        """Carry out ``attempt``; return what it returns, nothing where it was refused."""
        try:
            with self.env.cr.savepoint():
                result = attempt()
                self.env.flush_all()
                return result
        except REFUSALS:
            return None
        finally:
            self.env.invalidate_all(flush=False)

    def _read(self, record, name):
        value = record.sudo()[name]
        return value.ids if record._fields[name].relational else value

    def assertKept(self, record, name, attempt, path):
        """Carry out ``attempt``, look at the field of ``record``, and take it all back."""
        before = self._read(record, name)
        with self.env.cr.savepoint() as savepoint:
            self._try(attempt)
            self.counts[path] = self.counts.get(path, 0) + 1
            now = self._read(record, name) if record.sudo().exists() else before
            savepoint.rollback()
        self.env.invalidate_all(flush=False)
        if now != before:
            self.failures.append((path, record._name, name, before, now))

    def assertOwnDefault(self, model, name, create, path):
        """Carry out ``create``; what comes of it has the value that the field has by itself."""
        with self.env.cr.savepoint() as savepoint:
            latest = self.env[model].sudo().search([], order="id desc", limit=1).id
            self._try(create)
            self.counts[path] = self.counts.get(path, 0) + 1
            made = self.env[model].sudo().search([("id", ">", latest)])
            values = [self._read(record, name) for record in made]
            forged = [value for value in values if self._is_forged(model, name, value)]
            savepoint.rollback()
        self.env.invalidate_all(flush=False)
        if forged:
            self.failures.append((path, model, name, forged))

    def _is_forged(self, model, name, value):
        """Whether a new record has the value of the attacker, not one that the engine gives."""
        forged = self.forged
        if isinstance(forged, list):
            return any(command[0] == Command.LINK and command[1] in value for command in forged)
        if self.env[model]._fields[name].type == "many2one":
            return value == [forged]
        if self.env[model]._fields[name].type in ("date", "datetime"):
            return str(value) == forged
        return value == forged

    def _walk(self, get_attempts):
        """Try what ``get_attempts`` yields for every guarded field and every attacker."""
        self.counts, self.failures = {}, []
        for model, names in self._get_guarded():
            record = self._get_record(model)
            for name in names:
                self.forged = self._get_forged(record, name)
                for user in self._get_attackers(record, name):
                    get_attempts(record.with_user(user), name)
        total = sum(self.counts.values())
        _logger.info("Guarded fields: %s attempts, by path: %s", total, self.counts)
        self.assertFalse(self.failures, self.failures[:10])
        self.assertGreater(total, 500, "paths are found")

    def _get_attackers(self, record, name):
        """Return the users who may not write this field."""
        group = record._get_reserved_fields().get(name)
        users = [self.users[role] for role in ATTACKERS]
        return [user for user in users if not group or not user.has_group(group)]

    # ------------------------------------------------------------------
    # Direct paths
    # ------------------------------------------------------------------

    @mute_logger("odoo.addons.base.models.ir_model", "odoo.sql_db", "odoo.models.unlink")
    def test_existing_records(self):
        self._walk(self._attack_existing)

    def _attack_existing(self, record, name):
        vals = {name: self.forged}
        attacks = {
            "write": lambda: record.write(vals),
            "write with a forged context": lambda: record.with_context(
                invoice_run_engine=True, install_mode=True, import_file=True
            ).write(vals),
            "web_save": lambda: record.web_save(vals, {name: {}}),
            "import": lambda: self._load(record, name),
            "onchange": lambda: record.onchange(vals, [name], {name: {}}),
        }
        for path, attempt in attacks.items():
            self.assertKept(record, name, attempt, path)

    def _load(self, record, name):
        """Import a row that means ``record``."""
        column = name if not record._fields[name].relational else f"{name}/.id"
        value = self.forged
        if isinstance(value, list):
            value = ",".join(str(command[1]) for command in value if command[0] == Command.LINK)
        return record.load([".id", column], [[str(record.id), str(value)]])

    @mute_logger("odoo.addons.base.models.ir_model", "odoo.sql_db", "odoo.models.unlink")
    def test_new_records(self):
        self._walk(self._attack_new)

    def _attack_new(self, record, name):
        if not record.has_access("create") and name != self._get_first_name(record):
            return  # refused whatever the field is
        model, vals = record.browse(), self._get_create_vals(record._name)
        others = {key: value for key, value in vals.items() if key != name}
        default = {f"default_{name}": self.forged}
        forged = {**others, name: self.forged}
        attacks = {
            "create": lambda: model.create(forged),
            "create with a default in the context": lambda: model.with_context(**default).create(
                others
            ),
            "create with a default of the user": lambda: self._create_with_own_default(
                model, name, others
            ),
            "web_save of a new one": lambda: model.web_save(forged, {name: {}}),
            "copy": lambda: record.copy({name: self.forged}),
            "copy with a default in the context": lambda: record.with_context(**default).copy(),
        }
        for path, attempt in attacks.items():
            self.assertOwnDefault(record._name, name, attempt, path)

    def _get_first_name(self, record):
        return next(names[0] for model, names in self._get_guarded() if model == record._name)

    def _create_with_own_default(self, model, name, vals):
        self.env["ir.default"].with_user(model.env.user).set(
            model._name, name, self.forged, user_id=True
        )
        return model.create(vals)

    @mute_logger("odoo.sql_db")
    def test_engine_takes_no_defaults_over(self):
        """A context goes with the request into the code that works as superuser."""
        forged = {}
        for model in ("invoice.run.document", "invoice.run.line", "invoice.run.exception"):
            record = self._get_record(model)
            for name in dict(self._get_guarded())[model]:
                forged.setdefault(f"default_{name}", self._get_forged(record, name))
        expected = self._get_rows(self.waiting)
        self.assertEqual(len(expected), 3)
        self.waiting.action_cancel()
        run = self._make_run("2024-01-15").with_user(self.users["user"]).with_context(**forged)
        run.action_generate_amounts()
        run._process_queue()
        self.assertEqual(self._get_rows(run), expected)
        # what buttons do as superuser without the queue
        run.line_ids.action_exclude()
        run.document_ids.action_include()
        self.assertEqual(self._get_rows(run), expected)

    def _get_rows(self, run):
        """Return the rows of documents, amounts and exceptions of ``run``, without what is new."""
        run.invalidate_recordset()
        new = ORM_FIELDS | {"run_id", "document_id", "line_ids", "document_ids", "title"}
        rows = []
        for records in (run.sudo().document_ids, run.sudo().line_ids, run.sudo().exception_ids):
            names = {name for name, field in records._fields.items() if field.store} - new
            rows += [
                {name: self._read(record, name) for name in sorted(names)} for record in records
            ]
        return rows

    # ------------------------------------------------------------------
    # Nested paths
    # ------------------------------------------------------------------

    def _get_relations(self, model):
        """Yield (record, field name) of all that can write ``model`` by commands."""
        target = self._get_record(model)
        for name, cls in self.env.registry.items():
            if cls._abstract:
                continue
            for field in cls._fields.values():
                if field.type not in ("one2many", "many2many") or field.comodel_name != model:
                    continue
                if field.store or field.inverse or field.type == "one2many" and not field.compute:
                    holder = self._get_holder(name, field, target)
                    if holder:
                        yield holder, field.name

    def _get_holder(self, model, field, target):
        """Return a record of ``model`` by whose ``field`` ``target`` can be reached."""
        inverse = field.type == "one2many" and target._fields.get(field.inverse_name)
        if inverse and inverse.type == "many2one":
            return target[field.inverse_name][:1]
        Model = self.env[model].sudo().with_context(active_test=False)
        if not Model._auto:
            return Model
        found = Model.search([(field.name, "in", target.ids)], limit=1) if field.store else Model
        return found or Model.search([], limit=1)

    @mute_logger("odoo.addons.base.models.ir_model", "odoo.sql_db", "odoo.models.unlink")
    def test_nested(self):
        self._walk_nested(depth=1)

    @mute_logger("odoo.addons.base.models.ir_model", "odoo.sql_db", "odoo.models.unlink")
    def test_nested_twice(self):
        self._walk_nested(depth=2)

    def _walk_nested(self, depth):
        self.counts, self.failures = {}, []
        for model, names in self._get_guarded():
            relations = list(self._get_relations(model))
            if depth == 2:
                relations = [
                    (outer, outer_name, holder, field_name)
                    for holder, field_name in relations
                    for outer, outer_name in self._get_relations_of(holder)
                ]
            for name in names:
                self._attack_nested(self._get_record(model), name, relations)
        total = sum(self.counts.values())
        _logger.info("Guarded fields, nested: %s attempts", total)
        self.assertFalse(self.failures, self.failures[:10])
        self.assertGreater(total, 300, "relations are found")

    def _get_relations_of(self, holder):
        self.__dict__.setdefault("known_relations", {})
        key = (holder._name, holder.id)
        if key not in self.known_relations:
            self.known_relations[key] = [
                (outer, name)
                for outer, name in self._get_relations_to(holder)
                if outer._name != holder._name
            ]
        return self.known_relations[key]

    def _get_relations_to(self, target):
        for name, cls in self.env.registry.items():
            if cls._abstract:
                continue
            for field in cls._fields.values():
                is_stored = field.type == "one2many" and not field.compute
                if is_stored and field.comodel_name == target._name:
                    outer = self._get_holder(name, field, target)
                    if outer:
                        yield outer, field.name

    def _attack_nested(self, record, name, relations):
        self.forged = self._get_forged(record, name)
        update = Command.update(record.id, {name: self.forged})
        create = Command.create({**self._get_create_vals(record._name), name: self.forged})
        strongest = (self.users["manager"], self.users["accountant"], self.users["employee"])
        attackers = [user for user in self._get_attackers(record, name) if user in strongest]
        for path in relations:
            *outers, holder, field_name = path
            for user in attackers:
                label = ".".join([*(f"{o}" for o in outers[1:2]), f"{holder._name}.{field_name}"])
                for command in (update, create):
                    vals = {field_name: [command]}
                    target = holder
                    if outers:
                        vals = {outers[1]: [Command.update(holder.id, vals)]}
                        target = outers[0]
                    attempt = self._get_write(target.with_user(user), vals)
                    if command is update:
                        self.assertKept(record, name, attempt, label)
                    else:
                        self.assertOwnDefault(record._name, name, attempt, label)

    def _get_write(self, target, vals):
        return lambda: target.write(vals)


@tagged("post_install", "-at_install")
class TestGuardedForms(InvoiceRunCommon):
    """What only the engine writes cannot be edited in a view: saving it would be refused."""

    def test_views(self):
        views = self.env["ir.ui.view"].search([("type", "in", ("form", "list"))])
        views = views.filtered(lambda view: not view.inherit_id and self._is_guarded(view.model))
        self.assertGreater(len(views), 30)
        found = set()
        for view in views:
            arch = self.env[view.model].get_view(view.id, view.type)["arch"]
            found.update(self._find_editable(etree.fromstring(arch), view.model))
        self.assertFalse(found)

    def _is_guarded(self, model_name):
        model = self.env.registry.get(model_name)
        return model is not None and hasattr(model, "_get_guarded_names")

    def _find_editable(self, node, model_name):
        """Yield (model, field) of what somebody could fill in, in this view and in those in it."""
        if node.tag == "list" and not (node.get("editable") or node.get("multi_edit")):
            return
        for child in node.iterchildren(etree.Element):
            name = child.get("name")
            if child.tag == "groupby":  # shows fields of another model
                continue
            if child.tag != "field":
                yield from self._find_editable(child, model_name)
                continue
            field = self.env[model_name]._fields[name]
            is_fixed = field.readonly or child.get("readonly") in ("1", "True", "true")
            if getattr(field, "engine", False) is True and not is_fixed:
                yield model_name, name
            if field.relational and not is_fixed:
                yield from self._find_editable(child, field.comodel_name)
