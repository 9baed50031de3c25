"""docs/security.md, tried cell by cell, and every public method called by users who may not."""

import inspect
import re
from pathlib import Path

from odoo.exceptions import AccessError
from odoo.fields import Command
from odoo.models import BaseModel
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import InvoiceRunCommon

ROLES = ("user", "reviewer", "manager", "accountant", "employee", "portal", "public")
OPERATIONS = {"r": "read", "w": "write", "c": "create", "d": "unlink"}
#: Who may call a method from this role on.
FROM_ROLE = {
    "user": ROLES[:3],
    "reviewer": ROLES[1:3],
    "manager": ROLES[2:3],
    "accountant": ROLES[:4],
}
#: Arguments of public methods, by name; others get an empty dict.
ARGUMENTS = {"reason": "because"}
#: Keys of contexts that mean something to the code, as somebody would forge them.
FORGED = dict.fromkeys(
    (
        "default_state",
        "default_user_id",
        "install_mode",
        "invoice_run_batch",
        "invoice_run_bulk",
        "invoice_run_commit",
        "invoice_run_defaults",
        "invoice_run_engine",
        "invoice_run_fingerprint",
        "invoice_run_hand_over",
        "invoice_run_looked_up",
        "invoice_run_mails",
        "invoice_run_message",
        "invoice_run_move_claims",
        "invoice_run_pdf",
        "invoice_run_reversing",
        "invoice_run_step",
        "invoice_run_watched",
        "su",
    ),
    True,
)


def get_page():
    """Return the text of docs/security.md, which lies beside the addon."""
    return (Path(__file__).parents[2] / "docs" / "security.md").read_text()


def get_rows(first_column):
    """Return the rows of the table whose first column has this heading, as lists of cells."""
    table = get_page().split(f"| {first_column} |", 1)[1].split("\n\n", 1)[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    return [[cells[0].strip("`"), *cells[1:]] for cells in rows]


@tagged("post_install", "-at_install")
class TestSecurityMatrix(InvoiceRunCommon):
    opener = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.contract = cls._make_contract(date_start="2024-01-01")
        cls._make_contract(date_start="2024-01-01", billing_hold=True)
        cls.waiting = cls._make_run("2024-01-15")
        cls.waiting.action_generate_amounts()
        cls.waiting._process_queue()
        cls.invoiced = cls._make_usage_run()
        cls.order = cls.env["sale.order"].sudo().create({"partner_id": cls.debtor.id})
        cls.stranger = cls._make_user(
            "matrix_stranger",
            "invoice_run.invoice_run_group_manager",
            company=cls.setup_other_company()["company"],
        )
        cls.users = {
            "user": cls.user,
            "reviewer": cls.reviewer,
            "manager": cls.manager,
            "accountant": cls._make_user("matrix_accountant", "account.group_account_invoice"),
            "employee": cls._make_user("matrix_employee", "base.group_user"),
            "portal": cls._make_user("matrix_portal", "base.group_portal"),
            "public": cls.env.ref("base.public_user"),
        }
        cls.opener = cls.user

    @classmethod
    def _make_usage_run(cls):
        """Make a run with an invoice."""
        cls._make_usage(date="2024-01-03")
        run = cls._make_run("2024-01-31", cls.usage_scenario)
        run.action_generate_amounts()
        run._process_queue()
        run.action_approve()
        run.action_generate_invoices()
        run._process_queue()
        return run

    def _get_models(self):
        """Return the names of all models with records that the addon defines."""
        return {
            name
            for name, model in self.env.registry.items()
            if model._original_module == "invoice_run" and not model._abstract
        }

    # ------------------------------------------------------------------
    # Records
    # ------------------------------------------------------------------

    def _get_create_vals(self, model):
        """Return values with which a record of ``model`` can be created."""
        makers = {
            **self._get_contract_makers(),
            **self._get_price_makers(),
            **self._get_index_makers(),
            **self._get_run_makers(),
            **self._get_dialog_makers(),
            **self._get_report_makers(),
        }
        return makers.get(model, dict)()

    def _get_contract_makers(self):
        """Return {model: function that returns values} of contracts, usage and what they are of."""
        company = {"company_id": self.company.id}
        line = {"product_id": self.product.id}
        return {
            "billing.asset": lambda: {"name": "Car", **company},
            "billing.category": lambda: {"name": "Rent", **company},
            "billing.change": lambda: {
                "model": "billing.usage",
                "res_id": self.env["billing.change"].sudo().search_count([]) + 1000000,
                "user_id": self.user.id,
                "date": "2024-01-01 10:00:00",
            },
            "billing.cluster": lambda: {"name": "North", **company},
            "billing.contract": lambda: {"partner_id": self.debtor.id, **company},
            "billing.contract.line": lambda: {"contract_id": self.contract.id, **line},
            "billing.usage": lambda: {"partner_id": self.debtor.id, **line, **company},
            "invoice.run.usage": lambda: {
                "line_id": self.waiting.line_ids[:1].id,
                "usage_id": self._make("billing.usage").id,
            },
        }

    def _get_price_makers(self):
        """Return {model: function that returns values} of tariffs, planned prices, updates."""
        company = {"company_id": self.company.id}
        return {
            "billing.tariff": lambda: {
                "name": "Kilometres",
                "tier_ids": [Command.create({"price_unit": 1.0})],
                **company,
            },
            "billing.tariff.tier": lambda: {
                "tariff_id": self._make("billing.tariff").id,
                "sequence": 1,
                "up_to": 5.0,
            },
            "billing.contract.line.price": lambda: {
                "contract_line_id": self._make("billing.contract.line").id,
                "date_from": "2030-01-01",
            },
            "billing.price.update": lambda: {"name": "Prices 2025", **company},
            "billing.price.update.line": lambda: {
                "update_id": self._make("billing.price.update").id,
                "contract_line_id": self.contract.line_ids[:1].id,
                "date_from": "2030-01-01",
            },
        }

    def _get_index_makers(self):
        """Return {model: function that returns values} of indexes and their clauses."""
        company = {"company_id": self.company.id}
        return {
            "billing.index": lambda: {
                "code": f"X{self.env['billing.index'].sudo().search_count([])}",
                "name": "Prices",
                **company,
            },
            "billing.index.value": lambda: {
                "index_id": self._make("billing.index").id,
                "month": "2024-01-01",
                "value": 100.0,
            },
            "billing.index.factor": lambda: {
                "index_id": self._make("billing.index").id,
                "base_year": 2013,
                "new_base_year": 2020,
                "factor": 0.9,
            },
            "billing.index.clause": lambda: {
                "contract_id": self.contract.id,
                "contract_line_id": self._make("billing.contract.line").id,
                "index_id": self._make("billing.index").id,
                "base_month": "2024-01-01",
                "first_date": "2025-01-01",
            },
        }

    def _get_run_makers(self):
        """Return {model: function that returns values} of runs and what belongs to them."""
        company = {"company_id": self.company.id}
        scenario = {"scenario_id": self.scenario.id}
        rule = {"name": "Started", "field_path": "date_start", "operator": "<=", "value": "today"}
        return {
            "billing.scenario": lambda: {"name": "Mine", **company},
            "billing.scenario.rule": lambda: {**scenario, **rule},
            "invoice.run.schedule": lambda: {
                "name": "Monthly",
                "date_from": "2024-01-01",
                **scenario,
                **company,
            },
            "invoice.run": lambda: {"invoice_date": "2024-01-15", **scenario},
            "invoice.run.reason": lambda: {"run_id": self.waiting.id, "reason": "because"},
            "invoice.run.reviewer.question": lambda: {
                "run_id": self.waiting.id,
                "reviewer_id": self.reviewer.id,
            },
            "invoice.run.send.question": lambda: {"run_ids": [Command.set(self.waiting.ids)]},
        }

    def _get_dialog_makers(self):
        """Return {model: function that returns values} of dialogs."""
        company = {"company_id": self.company.id}
        contract = {"contract_id": self.contract.id}
        line = {"contract_line_id": self.contract.line_ids[:1].id}
        return {
            "billing.contract.change": lambda: {
                "date": "2024-02-01",
                "line_ids": [Command.create(line)],
            },
            "billing.contract.change.line": lambda: {
                "change_id": self._make("billing.contract.change").id,
                **line,
            },
            "billing.credit.question": lambda: {
                "exception_id": self.waiting.exception_ids[:1].id,
            },
            "billing.due": lambda: {"contract_ids": [Command.set(self.contract.ids)]},
            "billing.due.line": lambda: {"due_id": self._make("billing.due").id, **contract},
            "invoice.run.explanation": lambda: {"run_id": self.waiting.id},
            "billing.invoice.now": lambda: {
                "scenario_id": self.scenario.id,
                "source": "contract",
                "record_ids": self.contract.ids,
                "invoice_date": "2024-01-15",
                **company,
            },
            "billing.setup": lambda: company,
        }

    def _get_report_makers(self):
        """Return {model: function that returns values} of reports."""
        company = {"company_id": self.company.id}
        contract = {"contract_id": self.contract.id}
        line = {"contract_line_id": self.contract.line_ids[:1].id}
        return {
            "billing.forecast": lambda: company,
            "billing.forecast.line": lambda: {
                "forecast_id": self._make("billing.forecast").id,
                "month": "2024-01-01",
                **line,
            },
            "billing.uninvoiced": lambda: company,
            "billing.uninvoiced.line": lambda: {
                "report_id": self._make("billing.uninvoiced").id,
                "kind": "contract",
                **contract,
            },
            "billing.bridge": lambda: company,
            "billing.bridge.line": lambda: {
                "bridge_id": self._make("billing.bridge").id,
                "kind": "new",
                **line,
            },
            "billing.cutoff": lambda: company,
            "billing.cutoff.detail": lambda: {
                "move_id": self.invoiced.invoice_ids[:1].id,
                "kind": "deferred",
                "account_id": self.company_data["default_account_revenue"].id,
            },
            "billing.cutoff.line": lambda: {
                "cutoff_id": self._make("billing.cutoff").id,
                **contract,
            },
        }

    def _make(self, model):
        """Return a record of ``model``: a new one, or one that the engine made.

        A dialog belongs to the user who opened it: ``opener``.
        """
        made = {
            "invoice.run.document": self.waiting.document_ids,
            "invoice.run.line": self.waiting.line_ids,
            "invoice.run.exception": self.waiting.exception_ids,
        }
        if made.get(model):
            return made[model]
        Model = self.env[model]
        if Model._transient:
            Model = Model.with_user(self.opener)
        return Model.sudo().create(self._get_create_vals(model))

    def _get_write_vals(self, record):
        """Return a harmless change of ``record``, of a field that a person may write."""
        names = (
            "is_dropped",
            "send_action",
            "name",
            "reason",
            "date",
            "date_to",
            "percentage",
            "month",
            "amount",
            "price_unit",
            "is_claimed",
        )
        name = next((name for name in names if name in record._fields), "create_date")
        return {name: record[name]}

    # ------------------------------------------------------------------
    # The table
    # ------------------------------------------------------------------

    def test_every_model_is_in_the_table(self):
        listed = [row[0] for row in get_rows("model")]
        self.assertEqual(
            sorted(listed),
            sorted(self._get_models()),
            "docs/security.md has to say who may do what with every model of the addon",
        )

    def _try(self, operation, record, user, vals):
        """Do ``operation`` as ``user`` and take it back."""
        self.env.flush_all()
        self.env.invalidate_all()
        record = record.with_user(user)
        with self.env.cr.savepoint() as savepoint:
            if operation == "read":
                record.read()
            elif operation == "write":
                record.write(vals["write"])
            elif operation == "create":
                record.create(vals["create"])
            else:
                record.unlink()
            self.env.flush_all()
            savepoint.rollback()

    @mute_logger("odoo.addons.base.models.ir_model", "odoo.models.unlink")
    def test_every_cell(self):
        for model, *cells in get_rows("model"):
            for role, cell in zip(ROLES, cells, strict=True):
                self.opener = self.users[role]
                record = self._make(model)
                vals = {
                    "write": self._get_write_vals(record),
                    "create": self._get_create_vals(model),
                }
                self.assertRegex(cell, r"^(–|r?w?c?d?)$", model)
                for letter, operation in OPERATIONS.items():
                    with self.subTest(model=model, role=role, operation=operation):
                        if letter in cell:
                            self._try(operation, record, self.users[role], vals)
                        else:
                            with self.assertRaises(AccessError):
                                self._try(operation, record, self.users[role], vals)

    def test_no_record_of_another_company(self):
        for model in sorted(self._get_models()):
            record = self._make(model)
            vals = {"write": self._get_write_vals(record)}
            for operation in ("read", "write", "unlink"):
                with self.subTest(model=model, operation=operation):
                    with self.assertRaises(AccessError):
                        self._try(operation, record, self.stranger, vals)
            Model = self.env[model].with_user(self.stranger)
            if Model.has_access("read"):
                self.assertFalse(Model.search([("id", "in", record.ids)]), model)

    # ------------------------------------------------------------------
    # Methods
    # ------------------------------------------------------------------

    def _get_public_methods(self):
        """Yield (model, method name, function) of all that can be called over RPC and is ours.

        Overrides of Odoo's own methods are left out: those are Odoo's rights.
        """
        for model_name, model in self.env.registry.items():
            if model._abstract:
                continue
            ours = [cls for cls in model.__mro__ if self._is_ours(cls)]
            foreign = [cls for cls in model.__mro__ if not self._is_ours(cls)]
            names = {
                name
                for cls in ours
                for name, value in vars(cls).items()
                if inspect.isfunction(value) and not name.startswith("_")
            }
            for name in sorted(names):
                if not hasattr(BaseModel, name) and not any(name in vars(cls) for cls in foreign):
                    yield model_name, name, getattr(model, name)

    def _is_ours(self, cls):
        return bool(re.match(r"odoo\.addons\.invoice_run\.", cls.__module__))

    def _get_record(self, model):
        core = {
            "account.move": self.invoiced.invoice_ids,
            "invoice.run": self.waiting,
            "res.partner": self.debtor,
            "sale.order": self.order,
        }
        record = core.get(model) or self._make(model)
        self.assertTrue(record, f"{model}: the test needs a record")
        return record

    def _call(self, record, name, function, user, context=None):
        self.env.flush_all()
        self.env.invalidate_all()
        required = [
            parameter.name
            for parameter in list(inspect.signature(function).parameters.values())[1:]
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            and (parameter.default is parameter.empty or parameter.name in ARGUMENTS)
        ]
        arguments = [ARGUMENTS.get(parameter, {}) for parameter in required]
        with self.env.cr.savepoint():
            getattr(record.with_user(user).with_context(**context or {}), name)(*arguments)

    def test_methods_of_the_table_exist(self):
        found = {f"{model}.{name}" for model, name, _function in self._get_public_methods()}
        listed = {row[0] for row in get_rows("method")}
        self.assertFalse(listed - found)

    @mute_logger("odoo.addons.base.models.ir_model")
    def test_every_public_method_refuses(self):
        lowest = dict(get_rows("method"))
        count = 0
        for model, name, function in self._get_public_methods():
            record = self._get_record(model)
            allowed = FROM_ROLE[lowest.get(f"{model}.{name}", "user")]
            for role in (role for role in ROLES if role not in allowed):
                for context in ({}, FORGED):
                    with self.subTest(method=f"{model}.{name}", role=role, forged=bool(context)):
                        count += 1
                        with self.assertRaises(AccessError):
                            self._call(record, name, function, self.users[role], context)
        self.assertGreater(count, 300, "methods are found")

    @mute_logger("odoo.addons.base.models.ir_model")
    def test_every_public_method_refuses_other_companies(self):
        for model, name, function in self._get_public_methods():
            if getattr(function, "_api_model", False) or model not in self._get_models():
                continue
            with self.subTest(method=f"{model}.{name}"), self.assertRaises(AccessError):
                self._call(self._get_record(model), name, function, self.stranger)
